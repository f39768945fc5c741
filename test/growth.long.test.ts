/** All of what `growth.test.ts` takes a sample of. */
import './support/long-half.ts';
import './growth.test.ts';
