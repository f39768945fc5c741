/** All of what `own.test.ts` takes a sample of. */
import '../../support/long-half.ts';
import './own.test.ts';
