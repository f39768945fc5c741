/** All of what `forgeries.test.ts` takes a sample of. */
import '../support/long-half.ts';
import './forgeries.test.ts';
