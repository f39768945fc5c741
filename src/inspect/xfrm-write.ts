/**
 * Writes SAs and policies as `ip xfrm state add` and `ip xfrm policy add` commands, in the words that iproute2 6.1 takes.
 *
 * `mark`, `output-mark` and the limits have a syntax of their own here, unlike what `ip xfrm state` prints. `dir`,
 * which iproute2 knows only from 6.10, is not written.
 * @module
 */
import type { Suite } from '../crypto/suite.ts';
import type { Mark, SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { formatAddress, formatPrefix } from '../wire/address.ts';
import { keyText, type ShowKeys } from './show-keys.ts';

/** Flags that iproute2 takes after `extra-flag`. */
const EXTRA_FLAGS: readonly string[] = ['dont-encap-dscp', 'oseq-may-wrap'];

/** Linux refuses ESN without a window; one that an SA does not have is written this wide. */
const LEAST_ESN_WINDOW = 32;

/** Writes one command a line. With keys hidden `ip` refuses the commands: what stands in a key's place is no number. */
export function writeXfrmState(sas: readonly SaConfig[], options: ShowKeys): string {
  return sas.map((sa) => `${command(sa, options.showKeys)}\n`).join('');
}

/**
 * Writes policies as `ip xfrm policy add` commands, one a line. A template without addresses gets those that stand for
 * any: there the selector decides the family.
 */
export function writeXfrmPolicy(policies: readonly Policy[]): string {
  return policies.map((policy) => `${policyCommand(policy)}\n`).join('');
}

function policyCommand({ dir, selector, action, priority, mark, templates }: Policy): string {
  const words: (string | number)[] = ['ip', 'xfrm', 'policy', 'add'];
  words.push('src', formatPrefix(selector.src), 'dst', formatPrefix(selector.dst));
  if (selector.proto !== undefined) words.push('proto', selector.proto);
  if (selector.sport !== undefined) words.push('sport', selector.sport);
  if (selector.dport !== undefined) words.push('dport', selector.dport);
  words.push('dir', dir, ...markWords('mark', mark));
  if (action === 'block') words.push('action', 'block');
  words.push('priority', priority);
  const any = new Uint8Array(selector.dst.address.length);
  for (const { src = any, dst = any, spi, reqid, mode, level } of templates) {
    words.push('tmpl', 'src', formatAddress(src), 'dst', formatAddress(dst), 'proto', 'esp');
    if (spi !== undefined) words.push('spi', hex(spi, 8));
    if (reqid !== undefined) words.push('reqid', reqid);
    words.push('mode', mode);
    if (level === 'use') words.push('level', 'use');
  }
  return words.map(quote).join(' ');
}

function command(sa: SaConfig, showKeys: boolean): string {
  const { encap, lifetime = {}, selector, sequence, mark, outputMark } = sa;
  const window = sa.esn && sa.replayWindow === 0 ? LEAST_ESN_WINDOW : sa.replayWindow;
  const flags = sa.flags.filter((flag) => !EXTRA_FLAGS.includes(flag));
  if (sa.esn) flags.push('esn');
  // Without a selector Linux takes one of the outer family, unless the family is left open in so many words.
  if (!selector && sa.mode === 'tunnel' && !flags.includes('af-unspec')) flags.push('af-unspec');
  const extraFlags = sa.flags.filter((flag) => EXTRA_FLAGS.includes(flag));

  const words: (string | number)[] = ['ip', 'xfrm', 'state', 'add'];
  words.push('src', formatAddress(sa.src), 'dst', formatAddress(sa.dst));
  words.push(
    'proto',
    'esp',
    'spi',
    hex(sa.spi, 8),
    'reqid',
    sa.reqid,
    'mode',
    sa.mode,
    'replay-window',
    window,
  );
  if (sequence) {
    const { seq, oseq, seqHi, oseqHi } = sequence;
    if (seq > 0) words.push('replay-seq', hex(seq));
    if (oseq > 0) words.push('replay-oseq', hex(oseq));
    if (sa.esn && seqHi > 0) words.push('replay-seq-hi', hex(seqHi));
    if (sa.esn && oseqHi > 0) words.push('replay-oseq-hi', hex(oseqHi));
  }
  if (flags.length > 0) words.push('flag', ...flags);
  if (extraFlags.length > 0) words.push('extra-flag', ...extraFlags);
  words.push(...markWords('mark', mark), ...markWords('output-mark', outputMark));
  words.push(...algorithmWords(sa, showKeys));
  if (encap)
    words.push('encap', 'espinudp', encap.sport, encap.dport, sa.src.length === 4 ? '0.0.0.0' : '::');
  for (const [name, limit] of [
    ['byte-soft', lifetime.softBytes],
    ['byte-hard', lifetime.hardBytes],
    ['packet-soft', lifetime.softPackets],
    ['packet-hard', lifetime.hardPackets],
  ] as const) {
    if (limit !== undefined) words.push('limit', name, limit);
  }
  if (selector) words.push('sel', 'src', formatPrefix(selector.src), 'dst', formatPrefix(selector.dst));
  return words.map(quote).join(' ');
}

function markWords(name: string, mark: Mark | undefined): string[] {
  return mark ? [name, hex(mark.value), 'mask', hex(mark.mask)] : [];
}

function algorithmWords({ keys }: SaConfig, showKeys: boolean): (string | number)[] {
  const { suite } = keys;
  const key = (...parts: readonly Uint8Array[]) => {
    const text = keyText(showKeys, ...parts);
    return text === '' ? '' : `0x${text}`;
  };
  const split = authencNames(suite);
  if (!split) return ['aead', suite.name, key(keys.key(), keys.salt()), suite.icvLen * 8];
  const auth = suite.mac ? ['auth-trunc', split.auth, key(keys.macKey()), suite.icvLen * 8] : [];
  return [...auth, 'enc', split.enc, key(keys.key())];
}

/** Both names in `authenc(hmac(sha256),cbc(aes))`; `undefined` for an AEAD. */
function authencNames(suite: Suite): { auth: string; enc: string } | undefined {
  const [, auth, enc] = /^authenc\((.*),(.*)\)$/.exec(suite.name) ?? [];
  return auth === undefined || enc === undefined ? undefined : { auth, enc };
}

function hex(value: number, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** A word for the shell. */
function quote(word: string | number): string {
  const text = String(word);
  return /^[\w./:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
