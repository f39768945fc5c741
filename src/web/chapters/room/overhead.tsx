/**
 * How the overhead goes with the length: saw teeth, because of the padding.
 * @module
 */

import { onWire, type RoomChoice } from '../../model/room.ts';
import { Scroll } from '../../parts/scroll.tsx';

const WIDTH = 960;
const HEIGHT = 176;
const LEFT = 44;
const TOP = 14;
const BOTTOM = 40;
/** Lengths on either side of the reader's. */
const AROUND = 24;
const SHORTEST = 60;

export function Overhead({ choice, len }: { readonly choice: RoomChoice; readonly len: number }) {
  const from = Math.max(SHORTEST, len - AROUND);
  const lengths = Array.from({ length: 2 * AROUND + 1 }, (_, i) => from + i);
  const overheads = lengths.map((length) => onWire(choice, length) - length);
  const least = Math.min(...overheads);
  const most = Math.max(...overheads);
  const step = (WIDTH - LEFT) / lengths.length;
  const y = (overhead: number) =>
    TOP + ((most - overhead) / Math.max(1, most - least)) * (HEIGHT - TOP - BOTTOM);
  const path = overheads.map(
    (overhead, i) =>
      `${i === 0 ? 'M' : 'V'}${i === 0 ? `${LEFT} ${y(overhead)}` : y(overhead)}H${LEFT + (i + 1) * step}`,
  );
  const mine = lengths.indexOf(len);
  return (
    <Scroll label="Overhead by length">
      <svg
        class="picture"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`Overhead of packets from ${from} to ${lengths.at(-1)} bytes: between ${least} and ${most}. A packet of ${len} has ${overheads[mine]}.`}
      >
        <rect x={LEFT + mine * step} y={TOP} width={step} height={HEIGHT - TOP - BOTTOM} class="mine" />
        <path d={path.join('')} class="curve" />
        <text x={LEFT - 6} y={y(most) + 4} class="end">
          {most}
        </text>
        <text x={LEFT - 6} y={y(least) + 4} class="end">
          {least}
        </text>
        <text x={LEFT} y={HEIGHT - 24}>
          {from}
        </text>
        <text x={WIDTH} y={HEIGHT - 24} class="end">
          {lengths.at(-1)}
        </text>
        <text x={LEFT + (mine + 0.5) * step} y={HEIGHT - 24} class="center">
          {len}
        </text>
        <text x={LEFT + (WIDTH - LEFT) / 2} y={HEIGHT - 6} class="center soft">
          bytes added, by length of the pod's packet
        </text>
      </svg>
    </Scroll>
  );
}
