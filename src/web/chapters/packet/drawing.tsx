/**
 * Two nodes, two pods and a wire, drawn: down through the one node, across, and up through the other. Every step is a
 * station on the line and a link to its address; the packet stands at the one at hand.
 * @module
 */
import { formatAddress } from '../../../wire/address.ts';
import type { Way, WayStep } from '../../model/way.ts';

interface DrawingProps {
  readonly way: Way;
  readonly current: WayStep;
  readonly hrefOf: (step: WayStep) => string;
}

const WIDTH = 360;
/** Boxes of the two sides, and the line through each. */
const BOX = { width: 173, gap: 14 };
const LINE = { left: 23, right: WIDTH - 23 };
const POD = { y: 4, height: 44 };
const NODE_Y = 66;
/** Above the first station of a node, and from one to the next. */
const TITLE = 46;
const ROW = 27;
/** A closed one: only who has the key can. */
const LOCK = 'M-4 -1 H4 V5 H-4 Z M-2.5 -1 V-3 A2.5 2.5 0 0 1 2.5 -3 V-1';
const PACKET = { width: 28, height: 18 };

interface Spot {
  readonly x: number;
  readonly y: number;
}

/** Where each step stands. */
function spotsOf(steps: readonly WayStep[]) {
  const left = steps.filter(({ place }) => place === 'node-1').length;
  const right = steps.filter(({ place }) => place === 'node-2').length;
  const nodeEnd = NODE_Y + TITLE + (left - 1) * ROW + 24;
  const wireY = nodeEnd + 26;
  const firstY = NODE_Y + TITLE;
  const lastY = firstY + (left - 1) * ROW;
  const climb = (lastY - firstY) / Math.max(1, right - 1);
  let down = 0;
  let up = 0;
  const spots = steps.map(({ place }): Spot => {
    if (place === 'client') return { x: LINE.left, y: POD.y + POD.height / 2 };
    if (place === 'web') return { x: LINE.right, y: POD.y + POD.height / 2 };
    if (place === 'wire') return { x: WIDTH / 2, y: wireY };
    if (place === 'node-1') return { x: LINE.left, y: firstY + ROW * down++ };
    return { x: LINE.right, y: lastY - climb * up++ };
  });
  return { spots, nodeEnd, wireY };
}

export function Drawing({ way, current, hrefOf }: DrawingProps) {
  const { steps } = way;
  const { spots, nodeEnd, wireY } = spotsOf(steps);
  const at = steps.indexOf(current);
  const here = spots[at]!;
  const height = wireY + 30;
  const { client, node1, node2, web } = namesOf(way);
  const path = (from: number, to: number) =>
    spots
      .slice(from, to + 1)
      .map((spot, i, all) => corner(all[i - 1], spot, wireY))
      .join(' ');

  return (
    <figure class="way-drawing">
      <svg viewBox={`0 0 ${WIDTH} ${height}`} role="group" aria-label="The way of the packet, with its steps">
        <Box x={0} y={POD.y} height={POD.height} kind="pod" lit={current.place === 'client'} />
        <Box x={BOX.width + BOX.gap} y={POD.y} height={POD.height} kind="pod" lit={current.place === 'web'} />
        <Box x={0} y={NODE_Y} height={nodeEnd - NODE_Y} kind="node" lit={current.place === 'node-1'} />
        <Box
          x={BOX.width + BOX.gap}
          y={NODE_Y}
          height={nodeEnd - NODE_Y}
          kind="node"
          lit={current.place === 'node-2'}
        />
        <Name x={BOX.width - 10} y={NODE_Y + 19} side="left" title="node-1" address={node1} />
        <Name x={BOX.width + BOX.gap + 10} y={NODE_Y + 19} side="right" title="node-2" address={node2} />
        <path class="way-line" d={path(0, steps.length - 1)} />
        <path class="way-line done" d={path(0, at)} />
        {steps.map((step, i) => {
          const { x, y } = spots[i]!;
          const side = step.place === 'client' || step.place === 'node-1' ? 'left' : 'right';
          const state = i === at ? 'now' : i < at ? 'done' : 'next';
          return (
            <a
              key={step.id}
              href={hrefOf(step)}
              class={`station ${state}`}
              aria-current={i === at ? 'step' : undefined}
              aria-label={`${i + 1}. ${step.title}`}
              tabIndex={i === at ? 0 : -1}
            >
              <Target place={step.place} x={x} y={y} />
              <circle cx={x} cy={y} r={5} />
              <Label step={step} x={x} y={y} side={side} address={step.place === 'client' ? client : web} />
            </a>
          );
        })}
        <g class="packet" style={{ transform: `translate(${here.x}px, ${here.y}px)` }}>
          <Glyph step={current} />
        </g>
      </svg>
    </figure>
  );
}

/** A line from one station to the next; from node to node it goes along the wire. */
function corner(before: Spot | undefined, { x, y }: Spot, wireY: number): string {
  if (!before) return `M${x} ${y}`;
  if (before.x === x) return `V${y}`;
  return y === wireY ? `V${wireY} H${x}` : `H${x} V${y}`;
}

interface BoxProps {
  readonly x: number;
  readonly y: number;
  readonly height: number;
  readonly kind: 'pod' | 'node';
  readonly lit: boolean;
}

function Box({ x, y, height, kind, lit }: BoxProps) {
  return (
    <rect
      class={`way-${kind}${lit ? ' here' : ''}`}
      x={x + 1}
      y={y}
      width={BOX.width - 2}
      height={height}
      rx={kind === 'pod' ? 18 : 8}
    />
  );
}

interface NameProps {
  readonly x: number;
  readonly y: number;
  readonly side: 'left' | 'right';
  readonly title: string;
  readonly address: string;
}

function Name({ x, y, side, title, address }: NameProps) {
  const anchor = side === 'left' ? 'end' : 'start';
  return (
    <>
      <text class="way-name" x={x} y={y} text-anchor={anchor}>
        {title}
      </text>
      <text class="way-address" x={x} y={y + 13} text-anchor={anchor}>
        {address}
      </text>
    </>
  );
}

/** What can be clicked: more than the dot. */
function Target({ place, x, y }: { readonly place: WayStep['place'] } & Spot) {
  if (place === 'wire') return <rect class="target" x={x - 60} y={y - 14} width={120} height={40} />;
  const isLeft = x < WIDTH / 2;
  return (
    <rect
      class="target"
      x={isLeft ? 2 : WIDTH - BOX.width + 2}
      y={y - ROW / 2}
      width={BOX.width - 4}
      height={ROW}
    />
  );
}

interface LabelProps extends Spot {
  readonly step: WayStep;
  readonly side: 'left' | 'right';
  readonly address: string;
}

function Label({ step, x, y, side, address }: LabelProps) {
  const { place, title } = step;
  if (place === 'wire')
    return (
      <text x={x} y={y + 24} text-anchor="middle">
        {title}
      </text>
    );
  const [textX, anchor] = side === 'left' ? [x + 19, 'start'] : [x - 19, 'end'];
  if (place === 'client' || place === 'web')
    return (
      <>
        <text class="way-name" x={textX} y={y - 3} text-anchor={anchor}>
          pod {place}
        </text>
        <text class="way-address" x={textX} y={y + 11} text-anchor={anchor}>
          {address}
        </text>
      </>
    );
  return (
    <text x={textX} y={y + 4} text-anchor={anchor}>
      {title}
    </text>
  );
}

/** The packet: what of it is outside, and hatched what is encrypted. */
function Glyph({ step }: { readonly step: WayStep }) {
  const { bytes, parts } = step.after;
  const { width, height } = PACKET;
  const hidden = parts.filter(({ protection }) => protection === 'both');
  const from = ((hidden[0]?.at ?? 0) / bytes.length) * width;
  const to = ((hidden.at(-1)?.end ?? 0) / bytes.length) * width;
  return (
    <>
      <rect class="packet-body" x={-width / 2} y={-height / 2} width={width} height={height} rx={3} />
      {hidden.length > 0 && (
        <rect
          class="packet-hidden"
          x={-width / 2 + from}
          y={-height / 2 + 2}
          width={to - from}
          height={height - 4}
        />
      )}
      {hidden.length > 0 ? (
        <path class="packet-lock" d={LOCK} />
      ) : (
        <path class="packet-lines" d={letter(width, height)} />
      )}
    </>
  );
}

/** An open envelope: everybody can read it. */
function letter(width: number, height: number): string {
  return `M${-width / 2 + 2} ${-height / 2 + 3} L0 2 L${width / 2 - 2} ${-height / 2 + 3}`;
}

/** Addresses of the four, as far as this way has to do with them. */
function namesOf({ options, record }: Way) {
  const { sent, cluster, intercepted, out } = record;
  const len = options.family === 4 ? 4 : 16;
  const srcAt = options.family === 4 ? 12 : 8;
  const own = (i: number) =>
    intercepted.peer.tunnel
      ? cluster.nodes[i]!.nodeAddresses.find(({ length }) => length === 4)!
      : i === 0
        ? out.sa.config.src
        : out.sa.config.dst;
  return {
    client: formatAddress(sent, srcAt, len),
    web: formatAddress(sent, srcAt + len, len),
    node1: formatAddress(own(0)),
    node2: formatAddress(own(1)),
  };
}
