/**
 * What can be done to a replay window in the lab, as a list that fits into an address: `s20.h1.s40.d1`.
 *
 * ```text
 * s20  twenty packets are sent and arrive         r5   an attacker sends the fifth packet again
 * l3   three are sent and lost                    f9   a forged packet, 9 numbers ahead, with another key
 * h2   two are sent and held back on the way      j99  the sender skips 99 numbers
 * d2   the two oldest of those arrive             z    the sender begins again with number 1
 * ```
 * @module
 */

/** By the letter that stands for it in an address. */
const LETTERS = {
  s: 'send',
  l: 'lose',
  h: 'hold',
  d: 'deliver',
  r: 'replay',
  f: 'forge',
  j: 'jump',
  z: 'restart',
} as const;

export type ActionKind = (typeof LETTERS)[keyof typeof LETTERS];

export interface WindowAction {
  readonly kind: ActionKind;
  /** Packets; numbers that are skipped or lie ahead; of a replay, which packet of the wire, from 1; of a restart, 1. */
  readonly count: number;
}

/** Packets that one list may put on the wire. */
export const MOST_PACKETS = 4000;
export const MOST_ACTIONS = 400;
/** The furthest that a jump goes: a little more than what low halves can tell apart. */
export const FURTHEST = 2 ** 33;

const MOST: Readonly<Record<ActionKind, number>> = {
  send: MOST_PACKETS,
  lose: MOST_PACKETS,
  hold: MOST_PACKETS,
  deliver: MOST_PACKETS,
  replay: MOST_PACKETS,
  forge: FURTHEST,
  jump: FURTHEST,
  restart: 1,
};

/** What {@link parseActions} made of a text: the actions, or what is wrong with it, for people. */
export type Parsed = { readonly actions: readonly WindowAction[] } | { readonly problem: string };

/** Reads a list. The empty text is the empty list. */
export function parseActions(text: string): Parsed {
  const actions: WindowAction[] = [];
  if (text === '') return { actions };
  const words = text.split('.');
  if (words.length > MOST_ACTIONS) return { problem: `more than ${MOST_ACTIONS} actions` };
  let packets = 0;
  for (const [i, word] of words.entries()) {
    const [, letter, digits] = /^([a-z])(\d{0,10})$/.exec(word) ?? [];
    const kind = letter === undefined ? undefined : kindOf(letter);
    const shown = word.slice(0, 20);
    if (!kind || digits === undefined)
      return {
        problem: `action ${i + 1} is “${shown}”: one of ${Object.keys(LETTERS).join(', ')} and a number is due`,
      };
    const count = digits === '' ? 1 : Number(digits);
    if (count < 1 || count > MOST[kind])
      return { problem: `action ${i + 1} is “${shown}”: the number goes from 1 to ${MOST[kind]}` };
    packets += packetsOf({ kind, count });
    if (packets > MOST_PACKETS) return { problem: `more than ${MOST_PACKETS} packets in all` };
    actions.push({ kind, count });
  }
  return { actions };
}

/** The shortest text that {@link parseActions} reads as this list. */
export function formatActions(actions: readonly WindowAction[]): string {
  return actions.map(({ kind, count }) => `${letterOf(kind)}${count === 1 ? '' : count}`).join('.');
}

/** Adds an action to a list; one of the kind that is last there makes it longer. */
export function addAction(actions: readonly WindowAction[], action: WindowAction): WindowAction[] {
  const last = actions.at(-1);
  if (!last || last.kind !== action.kind || !ADDS_UP.includes(action.kind)) return [...actions, action];
  return [...actions.slice(0, -1), { kind: last.kind, count: last.count + action.count }];
}

/** Two of one kind in a row are one that is longer. */
export const ADDS_UP: readonly ActionKind[] = ['send', 'lose', 'hold', 'deliver'];

/** How many packets an action brings onto the wire, at most. */
export function packetsOf({ kind, count }: WindowAction): number {
  if (kind === 'jump' || kind === 'restart' || kind === 'deliver') return 0;
  return kind === 'replay' || kind === 'forge' ? 1 : count;
}

function kindOf(letter: string): ActionKind | undefined {
  return Object.hasOwn(LETTERS, letter) ? LETTERS[letter as keyof typeof LETTERS] : undefined;
}

function letterOf(kind: ActionKind): string {
  return Object.entries(LETTERS).find(([, one]) => one === kind)![0];
}
