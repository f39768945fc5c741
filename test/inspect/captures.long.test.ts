/** All of what `captures.test.ts` takes a sample of. */
import '../support/long-half.ts';
import './captures.test.ts';
