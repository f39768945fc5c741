/**
 * Prints states, policies and events as iproute2 does, from the tree that they are read into: what a property test and the
 * texts of real kernels are compared with. White space is one blank, lines have no blanks at their ends.
 * @module
 */
import type { Mark } from '../../src/ipsec/sa-config.ts';
import type {
  XfrmAlgorithm,
  XfrmEvent,
  XfrmLifetime,
  XfrmOffload,
  XfrmPolicy,
  XfrmSelector,
  XfrmState,
  XfrmTemplate,
  XfrmUse,
} from '../../src/sa-text/xfrm-tree.ts';

const STATE_FLAGS = ['noecn', 'decap-dscp', 'nopmtudisc', 'wildrecv', 'icmp', 'af-unspec', 'align4', 'esn'];
const POLICY_FLAGS = ['localok', 'icmp'];

/** White space made one blank, line by line. */
export function tidy(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '))
    .filter((line) => line !== '')
    .join('\n');
}

/** With `-s` iproute2 prints limits and use of everything. */
const isLong = ({ use }: { readonly use: XfrmUse | null }) => use !== null;

const hex = (value: number, digits = 1) => `0x${value.toString(16).padStart(digits, '0')}`;
const when = <T>(value: T | null, text: (value: T) => string) => (value === null ? '' : text(value));
const lines = (...parts: readonly string[]) => tidy(parts.join('\n'));

export function printState(state: XfrmState): string {
  const long = isLong(state);
  return lines(
    `src ${state.src} dst ${state.dst}`,
    idLine(state, long, ['esp', 'ah', 'comp'].includes(state.proto ?? '')),
    `replay-window ${state.replayWindow} ${long ? `seq 0x${String(state.seq).padStart(8, '0')}` : ''} ${stateFlags(state, long)}`,
    marks(state.mark, state.outputMark),
    ...state.algorithms.map((one) => algorithm(one, long)),
    when(
      state.encap,
      ({ type, sport, dport, addr }) => `encap type ${type} sport ${sport} dport ${dport} addr ${addr}`,
    ),
    when(state.coa, (coa) => `coa ${coa}`),
    when(state.lastUsed, (time) => `lastused ${time}`),
    antiReplay(state),
    when(state.offload, offload),
    when(state.ifId, (id) => `if_id ${hex(id)}`),
    when(state.tfcPad, (pad) => `tfcpad ${pad}`),
    when(state.direction, (dir) => `dir ${dir}`),
    when(state.pcpuNum, (cpu) => `pcpu-num ${cpu}`),
    when(state.natKeepalive, (seconds) => `nat-keepalive-interval ${seconds}`),
    when(state.iptfs, (options) =>
      [
        'iptfs-opts',
        ...Object.entries(options).map(([name, v]) => (v === true ? name : `${name} ${v}`)),
      ].join(' '),
    ),
    when(state.selector, (selector) => `sel ${printSelector(selector, long)}`),
    life(state),
    when(state.stats, (s) => `stats:\nreplay-window ${s.replayWindow} replay ${s.replay} failed ${s.failed}`),
    when(state.secctx, (context) => `security context ${context}`),
  );
}

export function printPolicy(policy: XfrmPolicy): string {
  const long = isLong(policy);
  const { action, index, share } = policy;
  return lines(
    printSelector(policy.selector, long),
    when(policy.secctx, (context) => `security context ${context}`),
    [
      `${policy.socket ? 'socket' : 'dir'} ${policy.direction}`,
      long || action !== 'allow' ? `action ${action}` : '',
      when(index, (n) => `index ${n}`),
      `priority ${policy.priority}`,
      when(policy.ptype, (ptype) => `ptype ${ptype}`),
      when(share, (name) => `share ${name}`),
      long || policy.flags.length > 0 ? `flag ${policy.flags.join(' ')}` : '',
      long ? `(0x${mask(policy.flags, POLICY_FLAGS)})` : '',
    ].join(' '),
    life(policy),
    when(policy.mark, (mark) => marks(mark, null)),
    ...policy.templates.map((one) => template(one, long)),
    when(policy.offload, offload),
    when(policy.ifId, (id) => `if_id ${hex(id)}`),
  );
}

export function printSelector(selector: XfrmSelector, long: boolean): string {
  const { src, dst, proto, sport, dport, type, code, key, dev, uid } = selector;
  return [
    `src ${src} dst ${dst}`,
    when(proto, (name) => `proto ${name}`),
    when(sport, (n) => `sport ${n}`),
    when(dport, (n) => `dport ${n}`),
    when(type, (n) => `type ${n}`),
    when(code, (n) => `code ${n}`),
    when(key, (n) => `key ${n}`),
    when(dev, (name) => `dev ${name}`),
    long ? `uid ${uid}` : '',
  ].join(' ');
}

export function printEvent(event: XfrmEvent): string {
  const { text, state, policy, id, selector, hard } = event;
  const name = text.split(' ')[0];
  const expiry = when(hard, (is) => `hard ${is ? 1 : 0}`);
  if (state) return lines(`${name} ${printState(state)}`, expiry);
  if (event.event === 'acquire' || event.event === 'report')
    return lines(
      text,
      when(selector, (sel) => `sel ${printSelector(sel, policy !== null && isLong(policy))}`),
      when(policy, (one) => `policy ${printPolicy(one)}`),
    );
  if (policy) return lines(`${name} ${printPolicy(policy)}`, expiry);
  return lines(
    text,
    when(event.defaults, ({ in: inbound, fwd, out }) =>
      lines(`in: ${inbound}`, `fwd: ${fwd}`, `out: ${out}`),
    ),
    when(
      id,
      ({ src, dst, proto, spi, reqid }) =>
        `${when(src, (address) => `src ${address} `)}dst ${dst} reqid ${hex(reqid!)} protocol ${proto} SPI ${hex(spi!)}`,
    ),
  );
}

function idLine(
  { proto, spi, reqid, mode }: Pick<XfrmState, 'proto' | 'spi' | 'reqid' | 'mode'>,
  long: boolean,
  forced: boolean,
): string {
  const n = spi ?? 0;
  const spiText = long || forced || n !== 0 ? `spi ${hex(n, 8)}${long ? `(${n})` : ''}` : '';
  return `proto ${proto} ${spiText} reqid ${reqid}${long ? `(${hex(reqid ?? 0, 8)})` : ''} mode ${mode}`;
}

function stateFlags({ flags, extraFlags }: XfrmState, long: boolean): string {
  const extra = extraFlags.length > 0 ? `extra_flag ${extraFlags.join(' ')}` : '';
  // Glued together, as iproute2 prints it.
  const names = `${flags.join(' ')}${extra}`;
  const shown = long || names !== '' ? `flag ${names}` : '';
  return long ? `${shown} (0x${mask(flags, STATE_FLAGS)})` : shown;
}

/** Bits in the order of their names, the lowest last. */
function mask(flags: readonly string[], names: readonly string[]): string {
  let bits = 0;
  for (const flag of flags) {
    const at = names.indexOf(flag);
    bits |= at < 0 ? Number.parseInt(flag, 16) : 1 << at;
  }
  return (bits & 0xff).toString(2).padStart(8, '0');
}

function marks(mark: Mark | null, outputMark: Mark | null): string {
  const one = (name: string, m: Mark | null) =>
    when(m, ({ value, mask: bits }) => `${name} ${hex(value)}/${hex(bits)}`);
  return [one('mark', mark), one('output-mark', outputMark)].join(' ');
}

function algorithm({ type, name, key, keyHash, keyBits, icvBits }: XfrmAlgorithm, long: boolean): string {
  const hidden = keyHash === undefined ? '<<Keys hidden>>' : `[hash:${keyHash}]`;
  // An empty key is not printed.
  const shown = key === undefined ? hidden : key === '' ? '' : `0x${key}`;
  const bits = long && keyBits !== null && keyBits > 0 ? `(${keyBits} bits)` : '';
  return `${type} ${name} ${shown} ${bits} ${icvBits ?? ''}`;
}

function antiReplay({ antiReplay: replay }: XfrmState): string {
  if (!replay) return '';
  const { seqHi, seq, oseqHi, oseq, window, bitmap } = replay;
  if (window === null)
    return `anti-replay context: seq ${hex(seq)}, oseq ${hex(oseq)}, bitmap 0x${bitmap[0]}`;
  const rows: string[] = [];
  for (let i = 0; i < bitmap.length; i += 8) rows.push(bitmap.slice(i, i + 8).join(' '));
  return lines(
    'anti-replay esn context:',
    `seq-hi ${hex(seqHi)}, seq ${hex(seq)}, oseq-hi ${hex(oseqHi)}, oseq ${hex(oseq)}`,
    `replay_window ${window}, bitmap-length ${bitmap.length}`,
    ...rows,
  );
}

function offload({ dev, dir, mode }: XfrmOffload): string {
  return `crypto offload parameters: dev ${dev} ${when(dir, (d) => `dir ${d}`)} ${when(mode, (m) => `mode ${m}`)}`;
}

function life({
  lifetime,
  use,
}: {
  readonly lifetime: XfrmLifetime | null;
  readonly use: XfrmUse | null;
}): string {
  const limit = (value: string | null) => value ?? '(INF)';
  return lines(
    when(lifetime, (l) =>
      lines(
        'lifetime config:',
        `limit: soft ${limit(l.softBytes)}(bytes), hard ${limit(l.hardBytes)}(bytes)`,
        `limit: soft ${limit(l.softPackets)}(packets), hard ${limit(l.hardPackets)}(packets)`,
        `expire add: soft ${l.softAddSeconds ?? 0}(sec), hard ${l.hardAddSeconds ?? 0}(sec)`,
        `expire use: soft ${l.softUseSeconds ?? 0}(sec), hard ${l.hardUseSeconds ?? 0}(sec)`,
      ),
    ),
    when(use, ({ bytes, packets, added, used }) =>
      lines(
        'lifetime current:',
        `${bytes}(bytes), ${packets}(packets)`,
        `add ${added ?? '-'} use ${used ?? '-'}`,
      ),
    ),
  );
}

function template(one: XfrmTemplate, long: boolean): string {
  const { src, dst, level, share, masks } = one;
  const levels = long || level !== 'required' ? `level ${level}` : '';
  return lines(
    `tmpl src ${src} dst ${dst}`,
    idLine(one, long, false),
    [levels, when(share, (name) => `share ${name}`)].join(' '),
    when(masks, ({ enc, auth, comp }) => `enc-mask ${enc} auth-mask ${auth} comp-mask ${comp}`),
  );
}
