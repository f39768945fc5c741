/** As many cases of the properties of `run.test.ts` as a fuzz test has. */
import '../support/long-half.ts';
import './run.test.ts';
