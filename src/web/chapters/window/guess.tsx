/**
 * What the receiver took a number for: the sender's number, the window and the guess, in their order on the line of all
 * 64-bit numbers.
 * @module
 */
import type { WindowEvent, WindowRun } from '../../model/window.ts';
import { shown } from '../../model/window-text.ts';

const U32 = 2 ** 32;

interface GuessProps {
  readonly run: WindowRun;
  readonly event: WindowEvent;
}

/** For an event that arrived at a receiver with ESN. */
export function Guess({ run, event }: GuessProps) {
  const { packet, guess, before } = event;
  const { size } = run.settings;
  if (!packet || guess === undefined) return null;
  const bottom = Math.max(1, before - size + 1);
  const isRight = guess === packet.number;
  const items = [
    ...(before === 0
      ? []
      : [
          {
            at: (bottom + before) / 2,
            kind: 'band',
            what: 'the window',
            text: `${shown(bottom)} to ${shown(before)}`,
          },
        ]),
    ...(isRight ? [] : [{ at: packet.number, kind: 'true', what: 'sent as', text: shown(packet.number) }]),
    {
      at: guess,
      kind: isRight ? 'both' : 'guess',
      what: isRight ? 'sent as, and taken for' : 'taken for',
      text: guess < 0 ? `2^64 − ${shown(-guess)}` : shown(guess),
    },
  ].sort((a, b) => a.at - b.at);
  let epoch = Math.floor(items[0]!.at / U32);
  return (
    <figure class="guess">
      <figcaption>
        On the wire is only the low half, <output>{shown(packet.number % U32)}</output>. In order of the
        numbers:
      </figcaption>
      <ol>
        {items.flatMap(({ at, kind, what, text }) => {
          const own = Math.floor(at / U32);
          const borders = own === epoch ? [] : [own];
          epoch = own;
          return [
            ...borders.map((one) => (
              <li key={`border ${one}`} class="border">
                {one === 0 ? '0' : one === 1 ? '2^32' : `${shown(one)} × 2^32`}
              </li>
            )),
            <li key={what} class={kind}>
              <span>{what}</span> <output>{text}</output>
            </li>,
          ];
        })}
      </ol>
    </figure>
  );
}
