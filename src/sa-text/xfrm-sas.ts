/**
 * The SAs of `ip xfrm state` texts, from one or several nodes, with or without `-s`.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { type KeylessSa, toSa } from './to-sa.ts';
import { unreadLines } from './unread.ts';
import { parseXfrm } from './xfrm-parse.ts';
import type { XfrmTree } from './xfrm-tree.ts';

/** What the states of a text are to esplane. */
export interface StateSas {
  readonly sas: readonly SaConfig[];
  /** States whose key the text does not show. */
  readonly keyless: readonly KeylessSa[];
  /** One line for every state that is left out, and for every part of a text that is not understood. */
  readonly omitted: readonly string[];
}

const REMEDY = 'Give the whole text of `ip -s xfrm state`, as it was printed.';
const AS_ROOT = 'Run `ip -s xfrm state` as root, without `nokeys`.';

/**
 * Reads the states of a text; other parts of it are passed over.
 * @param source file name, for {@link SaConfig.origin} and errors
 * @throws {InputError} when there is no state in it, but something else
 */
export function readStates(text: string, source: string): StateSas {
  if (text.trim() === '') return { sas: [], keyless: [], omitted: [] };
  const tree = parseXfrm(text, source);
  if (tree.states.length + tree.events.length === 0)
    throw new InputError(
      { source },
      tree.policies.length > 0
        ? 'this is the text of `ip xfrm policy`'
        : 'no state `src ADDRESS dst ADDRESS`',
      'Give the text of `ip -s xfrm state`.',
    );
  return statesOf(tree);
}

/** What the states of a tree are to esplane. */
export function statesOf(tree: XfrmTree): StateSas {
  const sas: SaConfig[] = [];
  const keyless: KeylessSa[] = [];
  const omitted: string[] = [];
  for (const state of tree.states) {
    const result = toSa(state);
    if (result.kind === 'sa') sas.push(result.sa);
    else if (result.kind === 'keyless') keyless.push(result.sa);
    else
      omitted.push(
        `${result.line === undefined ? state.origin : `${tree.source}:${result.line}`}: ${result.why}`,
      );
  }
  return { sas, keyless, omitted: [...omitted, ...unreadLines(tree)] };
}

/**
 * Reads the SAs of a text that keys are wanted of.
 * @param note is told, in one line each, what is left out
 * @param keyless takes states without a key; left out, they are noted
 * @throws {InputError} when the text holds states, and none can be used; the message never holds a key
 */
export function parseXfrmState(
  text: string,
  source: string,
  note: (line: string) => void = () => {},
  keyless?: (sa: KeylessSa) => void,
): SaConfig[] {
  const read = readStates(text, source);
  if (keyless) for (const sa of read.keyless) keyless(sa);
  const notes = keyless ? read.omitted : [...read.keyless.map(withoutKey), ...read.omitted];
  if (read.sas.length === 0 && (!keyless || read.keyless.length === 0)) refuse(notes);
  for (const line of notes) note(line);
  return [...read.sas];
}

/** What to say of a state without a key where one is needed. */
export function withoutKey({ origin }: KeylessSa): string {
  return `${origin}: the state is left out: its key is hidden, cut off or not there`;
}

/** The first reason is the answer where nothing is left. */
function refuse(notes: readonly string[]): void {
  const [first] = notes;
  if (first === undefined) return;
  const [, source = '', line = '', problem = first] = /^(.*):(\d+): (.*)$/.exec(first) ?? [];
  const remedy = problem.includes('key is hidden') ? AS_ROOT : REMEDY;
  throw new InputError({ source, line: Number(line) }, problem, remedy);
}
