/** All of what `tiling.test.ts` takes a sample of. */
import '../../support/long-half.ts';
import './tiling.test.ts';
