/**
 * Which nodes and pods are there when an event of a scenario happens: what is not there, nothing can happen to.
 * @module
 */
import type { EventKind } from './scenario.ts';

/** What these tell about a node, others go by. */
const COME_AND_GO: readonly EventKind[] = ['join', 'leave', 'deleteNode'];
/** What a machine that is off cannot do. */
const NEEDS_POWER: readonly EventKind[] = [
  'join',
  'leave',
  'reboot',
  'staleBootId',
  'changeKey',
  'restartAgent',
  'ageSas',
  'startPod',
];

/** As much of an event as counts here. */
export interface Happening {
  /** ms. */
  readonly at: number;
  readonly kind: EventKind;
  /** Nodes, or a pod. */
  readonly names: readonly string[];
  /** Of a reboot: ms until the machine is on again. */
  readonly duration: number;
}

/** Why something cannot happen, and what to do. */
export interface Objection {
  readonly problem: string;
  readonly remedy: string;
}

interface State {
  is: 'away' | 'there' | 'deleted';
  /** ms: since when; of a node that is away from the start, -1. */
  since: number;
  /** ms: its machine is off until then. */
  offUntil: number;
}

/** The nodes that are not there at the start: those that join before anything else makes them come or go. */
export function latecomers(events: readonly Pick<Happening, 'kind' | 'names'>[]): Set<string> {
  const seen = new Set<string>();
  const late = new Set<string>();
  for (const { kind, names } of events) {
    if (!COME_AND_GO.includes(kind)) continue;
    for (const name of names) {
      if (kind === 'join' && !seen.has(name)) late.add(name);
      seen.add(name);
    }
  }
  return late;
}

export class Presence {
  readonly #states: ReadonlyMap<string, State>;
  readonly #started = new Set<string>();

  /** @param late those of the nodes that are not there at the start */
  constructor(nodes: readonly string[], late: ReadonlySet<string>) {
    this.#states = new Map(
      nodes.map((name) => [name, { is: late.has(name) ? 'away' : 'there', since: -1, offUntil: -1 }]),
    );
  }

  isThere(node: string): boolean {
    return this.#states.get(node)?.is === 'there';
  }

  /** Says why the node is not one that something can happen to; `undefined` when it is. */
  objection(node: string): Objection | undefined {
    const { is, since } = this.#states.get(node)!;
    if (is === 'there') return undefined;
    const remedy = 'Give a time when it is there, or have it join before.';
    if (since < 0) return { problem: `node ${node} is not there yet: it joins later`, remedy };
    const what = is === 'deleted' ? 'was deleted' : 'left';
    return { problem: `node ${node} is not there: it ${what} at ${timeText(since)}`, remedy };
  }

  /** Has an event happen, after all those before it. Says why it cannot; `undefined` when it can. */
  happen({ at, kind, names, duration }: Happening): Objection | undefined {
    for (const name of names) {
      const node = kind === 'startPod' ? name.slice(0, name.indexOf('/')) : name;
      const state = this.#states.get(node)!;
      if (kind !== 'join') {
        const objection = this.objection(node);
        if (objection) return objection;
      } else if (state.is === 'there')
        return {
          problem: `node ${node} is there already`,
          remedy: 'Have it leave, or be deleted, before it joins again.',
        };
      if (at <= state.offUntil && NEEDS_POWER.includes(kind))
        return {
          problem: `node ${node} is off until ${timeText(state.offUntil)}`,
          remedy: 'Give a later time.',
        };
      if (kind === 'reboot') state.offUntil = at + duration;
      if (kind === 'startPod' && this.#started.has(name))
        return { problem: `pod ${name} is there already`, remedy: 'Start each pod once.' };
      if (kind === 'startPod') this.#started.add(name);
      if (!COME_AND_GO.includes(kind)) continue;
      state.is = kind === 'join' ? 'there' : kind === 'leave' ? 'away' : 'deleted';
      state.since = at;
    }
    return undefined;
  }
}

/** As a scenario file has it. */
function timeText(ms: number): string {
  return ms >= 1000 ? `${ms / 1000}s` : `${ms}ms`;
}
