/**
 * The replay window at the receiver: which numbers have come, which is missing, and the one that is asked about.
 * @module
 */
import type { WindowView } from '../../model/way.ts';

/** Numbers beyond the one at hand that are shown. */
const AHEAD = 3;
/** Numbers that are shown at most. */
const MOST = 16;

export function WindowStrip({ view }: { readonly view: WindowView }) {
  const { size, number, after: now } = view;
  const asked = BigInt(number);
  const top = BigInt(now.top);
  const last = (asked > top ? asked : top) + BigInt(AHEAD);
  const first = last - BigInt(MOST) + 1n > BigInt(now.bottom) ? last - BigInt(MOST) + 1n : BigInt(now.bottom);
  const numbers: bigint[] = [];
  for (let n = first; n <= last; n++) numbers.push(n);
  const stateOf = (n: bigint) =>
    isSeen(now.seen, n) ? 'seen' : n === asked ? 'asked' : n < top ? 'missing' : 'ahead';
  return (
    <figure class="window-strip">
      <ol aria-label="Replay window">
        {numbers.map((n) => {
          const state = stateOf(n);
          return (
            <li key={String(n)} class={`${state}${n === top ? ' edge' : ''}`}>
              <b>{String(n)}</b>
              <span>{n === top ? 'top' : WORDS[state]}</span>
            </li>
          );
        })}
      </ol>
      <figcaption>
        <small>
          The window is {size} wide and reaches down from its top. What is below has gone; what is above may
          come.
        </small>
      </figcaption>
    </figure>
  );
}

const WORDS = { seen: 'seen', asked: 'this?', missing: 'missing', ahead: '' } as const;

/** @param seen runs such as `1-3`, `5` */
function isSeen(seen: readonly string[], n: bigint): boolean {
  return seen.some((run) => {
    const [from = '', to = from] = run.split('-');
    return n >= BigInt(from) && n <= BigInt(to);
  });
}
