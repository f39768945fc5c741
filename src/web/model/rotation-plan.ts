/**
 * When each of three nodes does what in a key rotation: what the lab's time line drags, as a text in an address, and as
 * a scenario file that `esplane run` takes.
 * @module
 */

/** What a node does, in the order in which a good rotation does it. */
export const MOMENTS = ['read', 'install', 'advertise', 'send', 'forget'] as const;
export type Moment = (typeof MOMENTS)[number];

/** Seconds since the Secret changed, in steps of {@link GRID}. */
export type NodePlan = Readonly<Record<Moment, number>>;

export interface RotationPlan {
  readonly nodes: readonly [NodePlan, NodePlan, NodePlan];
  /** Seconds until other nodes hear what one advertises. */
  readonly news: number;
}

/** Seconds on the time line, and between two places on it. */
export const LENGTH = 60;
export const GRID = 0.5;
export const MOST_NEWS = 10;
/** Seconds between two packets from one pod to another, and until the first: never just when something happens. */
export const EVERY = 0.5;
export const PHASE = 0.25;

export interface RotationPreset {
  readonly id: string;
  readonly title: string;
  readonly look: string;
  readonly plan: RotationPlan;
}

function node(read: number, install: number, advertise: number, send: number, forget: number): NodePlan {
  return { read, install, advertise, send, forget };
}

export const ROTATION_PRESETS: readonly RotationPreset[] = [
  {
    id: 'right',
    title: 'The right order',
    look: 'Each node installs first, then says so, then sends. It does not matter when each reads the key: nothing is lost.',
    plan: { nodes: [node(4, 10, 10, 10, 52), node(13, 19, 19, 19, 55), node(24, 30, 30, 30, 58)], news: 1 },
  },
  {
    id: 'old-order',
    title: 'The old order',
    look: 'Until March 2026 a node said that it has the key, and then installed it. Peers that were ready sent with the new key to a node that had no SA for it: XfrmInNoStates (pull requests 44335 and 44701 of Cilium).',
    plan: { nodes: [node(4, 10, 4, 10, 52), node(13, 19, 13, 19, 55), node(24, 30, 24, 30, 58)], news: 1 },
  },
  {
    id: 'forgets-early',
    title: 'One forgets too early',
    look: 'Node 1 drops the old key while node 3 has not read the new one, so what node 3 sends it finds no SA, and what node 1 would send to node 3 is blocked. Cilium keeps an old key for 5 minutes; the Secret is everywhere within one.',
    plan: { nodes: [node(4, 10, 10, 10, 18), node(13, 19, 19, 19, 55), node(24, 30, 30, 30, 58)], news: 1 },
  },
  {
    id: 'sends-early',
    title: 'One sends before it has installed',
    look: 'Node 2 marks its packets for the new key while it has no outbound SA of it. No policy fits, and the default drop keeps them from leaving in the clear: XfrmOutPolBlock.',
    plan: { nodes: [node(4, 6, 6, 6, 52), node(13, 27, 27, 13, 55), node(8, 10, 10, 10, 58)], news: 1 },
  },
  {
    id: 'slow-news',
    title: 'Slow news',
    look: 'Others hear of it ten seconds later. They go on with the old key until then, which every node still has: still nothing is lost.',
    plan: { nodes: [node(4, 10, 10, 10, 52), node(13, 19, 19, 19, 55), node(24, 30, 30, 30, 58)], news: 10 },
  },
];

/** As in an address: `4,10,10,10,52`. */
export function formatNode(plan: NodePlan): string {
  return MOMENTS.map((moment) => plan[moment]).join(',');
}

/** Reads what {@link formatNode} wrote; `undefined` for anything else. Times are put onto the grid and the time line. */
export function parseNode(text: string): NodePlan | undefined {
  const times = text
    .split(',')
    .map((word) => (/^\d{1,3}(\.\d{1,3})?$/.test(word) ? Number(word) : Number.NaN));
  if (times.length !== MOMENTS.length || times.some(Number.isNaN)) return undefined;
  const [read, install, advertise, send, forget] = times.map((time) => onGrid(time, LENGTH)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const after = (time: number) => Math.max(read, time);
  return node(read, after(install), after(advertise), after(send), after(forget));
}

/**
 * Moves one moment of a node. Reading takes all that comes after along, as an agent does everything after it; nothing
 * else is before reading.
 */
export function move(plan: NodePlan, moment: Moment, to: number): NodePlan {
  const time = onGrid(to, LENGTH);
  if (moment !== 'read') return { ...plan, [moment]: Math.max(plan.read, time) };
  const by = time - plan.read;
  const moved = (at: number) => Math.min(LENGTH, at + by);
  return node(
    time,
    moved(plan.install),
    moved(plan.advertise),
    moved(plan.send),
    Math.max(time, plan.forget),
  );
}

/** The nearest place of the grid from 0 to `most`. */
export function onGrid(time: number, most: number): number {
  return Math.min(most, Math.max(0, Math.round(time / GRID) * GRID));
}

/** The scenario file. Its first second is that of the change of the Secret. */
export function scenarioText({ nodes, news }: RotationPlan): string {
  const names = nodes.map((_, i) => `node-${i + 1}`);
  const lines = [
    'about: |-',
    '  A key rotation, made in the lab: when each node reads the new key, installs it, says that it has it,',
    '  sends with it, and forgets the old one.',
    `duration: ${LENGTH}s`,
    'nodes:',
  ];
  for (const [i, plan] of nodes.entries()) {
    const { read, install, advertise, send, forget } = plan;
    const after = (time: number) => `${time - read}s`;
    lines.push(
      `  - name: ${names[i]}`,
      `    secret: { min: ${read}s, max: ${read}s }`,
      '    rotation:',
      `      steps: { install: ${after(install)}, advertise: ${after(advertise)}, send: ${after(send)} }`,
      `      keep: ${after(forget)}`,
      `      look: ${GRID}s`,
    );
  }
  lines.push(`news: { min: ${news}s, max: ${news}s }`, 'traffic:');
  for (const from of names)
    for (const to of names)
      if (from !== to)
        lines.push(
          `  - { kind: udp, from: ${from}/pod-1, to: ${to}/pod-1, every: ${EVERY}s, size: 32, start: ${PHASE}s }`,
        );
  lines.push('events:', '  - { at: 0s, rotate: true }');
  return `${lines.join('\n')}\n`;
}
