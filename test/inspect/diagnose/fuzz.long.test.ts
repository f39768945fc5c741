/** All of what `fuzz.test.ts` takes a sample of. */
import '../../support/long-half.ts';
import './fuzz.test.ts';
