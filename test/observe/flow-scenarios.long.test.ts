/** All of what `flow-scenarios.test.ts` takes a sample of. */
import '../support/long-half.ts';
import './flow-scenarios.test.ts';
