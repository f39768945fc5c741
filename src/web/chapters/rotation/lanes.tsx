/**
 * The time line, drawn: a lane for each node with its five moments, what it hears of the others, and every packet that
 * it sends.
 *
 * ```text
 *  node-1   ──R────I A S───────────────F──     moments, to be dragged
 *  to node-2 ||||||||||ııııııııııı××××         packets: old key, new key, lost
 *  to node-3 ||||||||||||||||ıııııııııı
 * ```
 * @module
 */
import { useRef } from 'preact/hooks';
import type { RotationRun, SentPacket } from '../../model/rotation.ts';
import {
  GRID,
  LENGTH,
  MOMENTS,
  type Moment,
  type NodePlan,
  type RotationPlan,
} from '../../model/rotation-plan.ts';
import { useIsNarrow } from '../../parts/use-is-narrow.ts';

export const LETTERS: Readonly<Record<Moment, string>> = {
  read: 'R',
  install: 'I',
  advertise: 'A',
  send: 'S',
  forget: 'F',
};

export const NAMES: Readonly<Record<Moment, string>> = {
  read: 'reads the new key',
  install: 'installs it',
  advertise: 'says that it has it',
  send: 'sends with it',
  forget: 'forgets the old key',
};

const RIGHT = 16;
const TOP = 30;
const LANE = 146;
/** Within a lane: the line with the moments, then a row of packets for each other node. */
const LINE = 64;
const ROW = 26;
/** Moments at one time stand above each other. */
const KNOB = 9;

/** How wide the picture is, and what stands left of time 0. */
interface Scale {
  readonly width: number;
  readonly left: number;
  /** Where a time is. */
  readonly x: (time: number) => number;
}

function scaleOf(width: number, left: number): Scale {
  return { width, left, x: (time) => left + (time / LENGTH) * (width - left - RIGHT) };
}

const WIDE = scaleOf(960, 84);
const NARROW = scaleOf(480, 70);

interface LanesProps {
  readonly plan: RotationPlan;
  /** The run of this plan, or of the one before while this one is under way. */
  readonly run: RotationRun | undefined;
  readonly label: string;
  readonly onMove: (node: number, moment: Moment, to: number) => void;
  /** What was moved was let go. */
  readonly onDone: () => void;
}

export function Lanes({ plan, run, label, onMove, onDone }: LanesProps) {
  const svg = useRef<SVGSVGElement>(null);
  const held = useRef<{ readonly node: number; readonly moment: Moment } | undefined>(undefined);
  const scale = useIsNarrow() ? NARROW : WIDE;
  const { width, left, x: xOf } = scale;
  const height = TOP + plan.nodes.length * LANE;

  const timeAt = (event: PointerEvent) => {
    const box = svg.current!.getBoundingClientRect();
    return ((((event.clientX - box.left) / box.width) * width - left) * LENGTH) / (width - left - RIGHT);
  };

  const letGo = () => {
    if (held.current) onDone();
    held.current = undefined;
  };

  return (
    <figure class="lanes">
      <svg
        ref={svg}
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={label}
        onPointerMove={(event) => {
          if (held.current) onMove(held.current.node, held.current.moment, timeAt(event));
        }}
        onPointerUp={letGo}
        onPointerCancel={letGo}
      >
        <Axis height={height} scale={scale} />
        {run && <News run={run} scale={scale} />}
        {plan.nodes.map((node, i) => {
          const y = TOP + i * LANE + LINE;
          const others = plan.nodes.map((_, k) => k).filter((k) => k !== i);
          return (
            <g key={i}>
              <text class="name" x={4} y={y + 5}>
                node-{i + 1}
              </text>
              <path class="line" d={`M${xOf(0)} ${y}H${xOf(LENGTH)}`} />
              <path
                class="both"
                d={`M${xOf(node.install)} ${y}H${xOf(Math.max(node.install, node.forget))}`}
              />
              {others.map((k, row) => (
                <g key={k}>
                  <text class="to" x={left - 6} y={y + 22 + row * ROW + 12} text-anchor="end">
                    to node-{k + 1}
                  </text>
                  <Packets
                    packets={run?.flows.find(({ from, to }) => from === i && to === k)?.packets ?? []}
                    newKey={run?.newKey ?? 0}
                    y={y + 22 + row * ROW}
                    scale={scale}
                  />
                </g>
              ))}
              <Knobs
                node={node}
                name={`node-${i + 1}`}
                y={y}
                scale={scale}
                onTake={(moment, pointer) => {
                  svg.current!.setPointerCapture(pointer);
                  held.current = { node: i, moment };
                }}
              />
            </g>
          );
        })}
      </svg>
    </figure>
  );
}

function Axis({ height, scale: { x: xOf } }: { readonly height: number; readonly scale: Scale }) {
  const ticks = Array.from({ length: LENGTH / 10 + 1 }, (_, i) => i * 10);
  return (
    <g class="axis">
      {ticks.map((at) => (
        <g key={at}>
          <path d={`M${xOf(at)} ${TOP - 8}V${height}`} />
          <text x={xOf(at)} y={TOP - 14} text-anchor="middle">
            {at} s
          </text>
        </g>
      ))}
    </g>
  );
}

interface KnobsProps {
  readonly node: NodePlan;
  readonly name: string;
  readonly y: number;
  readonly scale: Scale;
  readonly onTake: (moment: Moment, pointer: number) => void;
}

/** The moments of a node. The sliders below are for keys, these for a pointer. */
function Knobs({ node, name, y, scale, onTake }: KnobsProps) {
  const knobs = MOMENTS.map((moment, k) => {
    const x = scale.x(node[moment]);
    const under = MOMENTS.slice(0, k).filter((one) => Math.abs(scale.x(node[one]) - x) < 2 * KNOB);
    return { moment, x, middle: y - KNOB - 1 - under.length * (2 * KNOB + 1) };
  });
  return (
    <>
      <path class="stems" d={knobs.map(({ x, middle }) => `M${x} ${y + 5}V${middle}`).join('')} />
      {knobs.map(({ moment, x, middle }) => (
        <g
          key={moment}
          class={`knob ${moment}`}
          onPointerDown={(event) => {
            event.preventDefault();
            onTake(moment, event.pointerId);
          }}
        >
          <title>
            {name} {NAMES[moment]} at {node[moment]} s
          </title>
          <circle cx={x} cy={middle} r={KNOB} />
          <text x={x} y={middle + 4} text-anchor="middle">
            {LETTERS[moment]}
          </text>
        </g>
      ))}
    </>
  );
}

/** From where a node says it to where another hears it. */
function News({ run, scale: { x: xOf } }: { readonly run: RotationRun; readonly scale: Scale }) {
  return (
    <g class="news">
      {run.done.flatMap(({ advertise }, from) =>
        run.heard.map((heard, to) => {
          const at = heard[from];
          if (advertise === undefined || at === undefined) return null;
          const [y1, y2] = [from, to].map((i) => TOP + i * LANE + LINE) as [number, number];
          const end = y2 > y1 ? y2 - 5 : y2 + 5;
          const [x1, x2] = [xOf(advertise), xOf(at)];
          return (
            <g key={`${from} ${to}`}>
              <path d={`M${x1} ${y1}L${x2} ${end}`} />
              <circle cx={x2} cy={end} r={2.5} />
            </g>
          );
        }),
      )}
    </g>
  );
}

interface PacketsProps {
  readonly packets: readonly SentPacket[];
  readonly newKey: number;
  readonly y: number;
  readonly scale: Scale;
}

/** Old key: a thin stroke, high. New key: a thick one, low. Lost: a cross. */
function Packets({ packets, newKey, y, scale: { x: xOf } }: PacketsProps) {
  const paths = { old: '', new: '', lost: '' };
  for (const { at, key, fate } of packets) {
    const x = xOf(at);
    if (fate === 'lost') paths.lost += `M${x - 3.5} ${y + 4}l7 9m0 -9l-7 9`;
    else if (fate === 'delivered' && key === newKey) paths.new += `M${x} ${y + 8}v8`;
    else if (fate === 'delivered') paths.old += `M${x} ${y + 1}v8`;
  }
  return (
    <g class="packets">
      <path class="old" d={paths.old} />
      <path class="new" d={paths.new} />
      <path class="lost" d={paths.lost} />
    </g>
  );
}

/** What the marks mean. */
export function LanesKey() {
  return (
    <ul class="key lanes" aria-label="What the marks mean">
      {MOMENTS.map((moment) => (
        <li key={moment}>
          <svg viewBox="0 0 20 20" aria-hidden="true" class={`knob ${moment}`}>
            <circle cx={10} cy={10} r={KNOB} />
            <text x={10} y={14} text-anchor="middle">
              {LETTERS[moment]}
            </text>
          </svg>
          {NAMES[moment]}
        </li>
      ))}
      <li>
        <svg viewBox="0 0 20 20" aria-hidden="true" class="packets">
          <path class="old" d="M5 4v8M10 4v8M15 4v8" />
        </svg>
        packets with the old key
      </li>
      <li>
        <svg viewBox="0 0 20 20" aria-hidden="true" class="packets">
          <path class="new" d="M5 8v8M10 8v8M15 8v8" />
        </svg>
        with the new key
      </li>
      <li>
        <svg viewBox="0 0 20 20" aria-hidden="true" class="packets">
          <path class="lost" d="M6 5l8 10m0 -10l-8 10" />
        </svg>
        lost
      </li>
      <li>
        <svg viewBox="0 0 20 20" aria-hidden="true" class="news">
          <path d="M4 3L14 15" />
          <circle cx={15} cy={16} r={2.5} />
        </svg>
        another node hears that it has it
      </li>
      <li>
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path class="both" d="M0 10h20" />
        </svg>
        has both keys
      </li>
    </ul>
  );
}

/** Seconds that one press of an arrow key moves. */
export const STEP = GRID;
