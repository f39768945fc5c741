/**
 * Writes states as `ip xfrm state add` commands, in the words that iproute2 6.1 takes; `offload packet` is of 6.2.
 *
 * `dir`, which iproute2 knows only from 6.10, is not written; what has been seen of the window cannot be.
 * @module
 */

import { EXTRA_FLAGS, flagNames, STATE_FLAGS } from './flags.ts';
import { HIDDEN_KEY } from './show-keys.ts';
import type { XfrmAlgorithm, XfrmLifetime, XfrmState } from './xfrm-tree.ts';
import {
  commandLine,
  flagWords,
  hex,
  limitWords,
  markWords,
  selectorWords,
  type Word,
} from './xfrm-words.ts';

/** What a command sets up. */
export type XfrmStateParts = Omit<
  XfrmState,
  | 'seq'
  | 'algorithms'
  | 'coa'
  | 'lifetime'
  | 'use'
  | 'stats'
  | 'lastUsed'
  | 'direction'
  | 'pcpuNum'
  | 'natKeepalive'
  | 'iptfs'
  | 'damaged'
  | 'origin'
> & {
  readonly algorithms: readonly AlgorithmParts[];
  readonly lifetime: Partial<XfrmLifetime> | null;
};

export type AlgorithmParts = Omit<XfrmAlgorithm, 'line'>;

/** Linux refuses ESN without a window; one that a state does not have is written this wide. */
const LEAST_ESN_WINDOW = 32;

/** The command, as a line. A key that is not there has a word in its place that `ip` refuses. */
export function writeStateCommand(state: XfrmStateParts): string {
  const { src, dst, mode, antiReplay, encap, lifetime, selector, offload, ifId, tfcPad } = state;
  const esn = flagNames(state.flags, STATE_FLAGS).includes('esn');
  // Where there is a context, the kernel goes by it and prints 0 in the line above.
  const window = antiReplay?.window ?? state.replayWindow ?? 0;
  const flags = [...state.flags];
  // Without a selector Linux takes one of the outer family, unless the family is left open in so many words.
  if (!selector && mode === 'tunnel' && !flags.includes('af-unspec')) flags.push('af-unspec');

  const words: Word[] = ['ip', 'xfrm', 'state', 'add', 'src', src, 'dst', dst];
  words.push('proto', state.proto ?? 'esp', 'spi', hex(state.spi ?? 0, 8), 'reqid', state.reqid ?? 0);
  words.push('mode', mode ?? 'transport');
  words.push('replay-window', esn && window === 0 ? LEAST_ESN_WINDOW : window);
  if (antiReplay) {
    const { seq, oseq, seqHi, oseqHi } = antiReplay;
    if (seq > 0) words.push('replay-seq', hex(seq));
    if (oseq > 0) words.push('replay-oseq', hex(oseq));
    if (esn && seqHi > 0) words.push('replay-seq-hi', hex(seqHi));
    if (esn && oseqHi > 0) words.push('replay-oseq-hi', hex(oseqHi));
  }
  words.push(...flagWords('flag', flags, STATE_FLAGS));
  words.push(...flagWords('extra-flag', state.extraFlags, EXTRA_FLAGS));
  words.push(...markWords('mark', state.mark), ...markWords('output-mark', state.outputMark));
  for (const algorithm of state.algorithms) words.push(...algorithmWords(algorithm));
  if (encap) {
    const any = src.includes(':') ? '::' : '0.0.0.0';
    words.push('encap', encap.type, encap.sport ?? 0, encap.dport ?? 0, encap.addr ?? any);
  }
  words.push(...limitWords(lifetime));
  if (offload?.dev) {
    words.push('offload', ...(offload.mode === 'packet' ? ['packet'] : []), 'dev', offload.dev);
    words.push('dir', offload.dir ?? 'in');
  }
  if (ifId !== null) words.push('if_id', hex(ifId));
  if (tfcPad !== null) words.push('tfcpad', tfcPad);
  if (state.secctx !== null) words.push('ctx', state.secctx);
  if (selector) words.push('sel', ...selectorWords(selector));
  return commandLine(words);
}

/** Without a key where there is none to have, and where it was not asked for. */
function algorithmWords({ type, name, key, icvBits }: AlgorithmParts): Word[] {
  if (type === 'comp') return [type, name];
  const digits = key ?? (hasNoKey(name) ? '' : HIDDEN_KEY);
  const words = [type, name, digits === '' ? '' : `0x${digits}`];
  return type === 'aead' || type === 'auth-trunc' ? [...words, icvBits ?? 0] : words;
}

/** `ecb(cipher_null)` and `digest_null` have an empty key, which is not printed. */
export function hasNoKey(name: string): boolean {
  return /(?:cipher|digest)_null/.test(name);
}
