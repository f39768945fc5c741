/**
 * The packet to scale, beside the link's MTU.
 * @module
 */

import type { RoomPart } from '../../model/room.ts';
import { Scroll } from '../../parts/scroll.tsx';

const WIDTH = 1000;
const BAR = 44;
/** Above it the name of a part stands in the bar. */
const ROOM_FOR_NAME = 90;

interface ScaleProps {
  readonly parts: readonly RoomPart[];
  readonly total: number;
  readonly mtu: number;
}

export function Scale({ parts, total, mtu }: ScaleProps) {
  const scale = WIDTH / Math.max(total, mtu);
  let at = 0;
  const boxes = parts.map((part) => {
    const x = at * scale;
    at += part.bytes;
    return { ...part, x, width: part.bytes * scale };
  });
  const end = mtu * scale;
  return (
    <Scroll label="The packet to scale">
      <svg
        class="picture scale"
        viewBox={`0 0 ${WIDTH} 86`}
        role="img"
        aria-label={`The packet to scale: ${total} bytes on a link of ${mtu}; the table below has its parts.`}
      >
        <defs>
          <pattern
            id="room-hatch"
            width="8"
            height="8"
            patternUnits="userSpaceOnUse"
            patternTransform="rotate(45)"
          >
            <rect width="8" height="8" class="paper" />
            <rect width="5" height="8" class="fill-encrypted" />
          </pattern>
        </defs>
        {boxes.map(({ id, label, bytes, x, width, isEncrypted }) => (
          <g key={id}>
            <rect
              x={x}
              y={8}
              width={width}
              height={BAR}
              class="box"
              fill={isEncrypted ? 'url(#room-hatch)' : undefined}
            >
              <title>{`${label}: ${bytes} bytes`}</title>
            </rect>
            {width > ROOM_FOR_NAME && (
              <text x={x + width / 2} y={8 + BAR / 2} class="middle">
                {label}, {bytes}
              </text>
            )}
          </g>
        ))}
        {total > mtu && (
          <rect x={end} y={8} width={(total - mtu) * scale} height={BAR} class="beyond">
            <title>{`${total - mtu} bytes too many`}</title>
          </rect>
        )}
        <line x1={end} x2={end} y1={0} y2={62} class="limit" />
        <text x={end} y={78} class="end">
          MTU {mtu}
        </text>
      </svg>
    </Scroll>
  );
}
