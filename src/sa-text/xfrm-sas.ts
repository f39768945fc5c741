/**
 * The SAs of `ip xfrm state` texts, from one or several nodes, with or without `-s`.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { type Omission, omissionError, omissionLine, unreadParts } from './omission.ts';
import { type KeylessSa, toSa } from './to-sa.ts';
import { parseXfrm } from './xfrm-parse.ts';
import type { XfrmTree } from './xfrm-tree.ts';

/** What the states of a text are to esplane. */
export interface StateSas {
  readonly sas: readonly SaConfig[];
  /** States whose key the text does not show. */
  readonly keyless: readonly KeylessSa[];
  /** States that are left out, and parts of the text that are not understood. */
  readonly omitted: readonly Omission[];
}

const REMEDY = 'Give the whole text of `ip -s xfrm state`, as it was printed.';
const AS_ROOT = 'Run `ip -s xfrm state` as root, without `nokeys`.';

const SELECTOR_HIDDEN = 'the selector cannot be read: the state is taken without it';

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
  const omitted: Omission[] = [];
  for (const state of tree.states) {
    const result = toSa(state);
    if (result.kind === 'sa') sas.push(result.sa);
    else if (result.kind === 'keyless') {
      keyless.push(result.sa);
      if (result.sa.isSelectorHidden) omitted.push({ origin: state.origin, why: SELECTOR_HIDDEN });
    } else {
      const { kind: _, line, ...rest } = result;
      omitted.push({ origin: line === undefined ? state.origin : `${tree.source}:${line}`, ...rest });
    }
  }
  return { sas, keyless, omitted: [...omitted, ...unreadParts(tree)] };
}

/**
 * Reads the SAs of a text that keys are wanted of.
 * @param note called with one line for each part that is left out
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
  if (!keyless || read.keyless.length === 0) checkUsable([read], notes);
  for (const one of notes) note(omissionLine(one));
  return [...read.sas];
}

/**
 * Texts of which only parts could be used.
 * @throws {InputError} when they yield no SA at all, and something was left out
 */
export function checkUsable(texts: readonly Pick<StateSas, 'sas'>[], omitted: readonly Omission[]): void {
  const [first] = omitted;
  if (first && texts.every(({ sas }) => sas.length === 0))
    throw omissionError(first, first.why.includes('key is hidden') ? AS_ROOT : REMEDY);
}

/** A state without a key is left out where one is needed. */
export function withoutKey({ origin }: KeylessSa): Omission {
  return { origin, why: 'the state is left out: its key is hidden, cut off or not there' };
}
