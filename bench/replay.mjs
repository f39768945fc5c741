/**
 * `npm run bench -- replay`: the anti-replay window, in order and reordered.
 * @module
 */
import b from 'benny';
import { ReplayWindow } from '../dist/ipsec/replay.js';
import { rowsOf } from './lib/rows.mjs';

export async function replay() {
  const cases = [64, 1024, 4096].flatMap((size) => [
    b.add(`in order, window ${size}, ESN`, () => {
      const window = new ReplayWindow(size, true);
      let seq = 0;
      return () => arrive(window, ++seq);
    }),
    b.add(`every other pair swapped, window ${size}, ESN`, () => {
      const window = new ReplayWindow(size, true);
      let n = 0;
      return () => arrive(window, (n++ ^ 1) + 1);
    }),
  ]);
  return rowsOf('replay', await b.suite('replay', ...cases));
}

/** One packet through the window, as when its ICV is right. */
function arrive(window, lo) {
  const hi = window.inferHigh(lo);
  if (window.check(hi, lo) === 0) window.commit(hi, lo);
}
