/**
 * What a simulated node holds, as iproute2 (`ip -s xfrm state`, `ip -s xfrm policy`) and Linux (`/proc/net/xfrm_stat`) print
 * it. What a simulation does not know is left out: when a policy was used, and its index.
 * @module
 */

import type { SecurityAssociation } from '../../src/ipsec/sa.ts';
import type { Mark, SaConfig } from '../../src/ipsec/sa-config.ts';
import type { Policy } from '../../src/ipsec/spd.ts';
import { XFRM_COUNTERS } from '../../src/observe/xfrm-counters.ts';
import { fromSelector } from '../../src/sa-text/to-selector.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { PASS } from '../../src/wire/packet.ts';

/** When something was made, and used first, in ms since 1970; absent, not yet. */
export interface Times {
  readonly added: number;
  readonly used?: number | undefined;
}

const NO_LIMITS = [
  '\tlifetime config:',
  '\t  limit: soft (INF)(bytes), hard (INF)(bytes)',
  '\t  limit: soft (INF)(packets), hard (INF)(packets)',
  '\t  expire add: soft 0(sec), hard 0(sec)',
  '\t  expire use: soft 0(sec), hard 0(sec)',
];

const hex = (value: number, digits = 1) => `0x${value.toString(16).padStart(digits, '0')}`;

/** One state, with its keys. */
export function stateText(sa: SecurityAssociation, times: Times): string {
  const { config, life, stats } = sa;
  const { src, dst, spi, reqid, mode, esn, mark, outputMark } = config;
  const any = src.length === 4 ? '0.0.0.0/0' : '::/0';
  const marks = [markText('mark', mark), markText('output-mark', outputMark)].filter((one) => one !== '');
  const lines = [
    `src ${formatAddress(src)} dst ${formatAddress(dst)}`,
    `\tproto esp spi ${hex(spi, 8)}(${spi}) reqid ${reqid}(${hex(reqid, 8)}) mode ${mode}`,
    // With ESN the window is in the context below.
    `\treplay-window ${esn ? 0 : config.replayWindow} seq 0x00000000 flag ${esn ? 'esn (0x10000000)' : ' (0x00000000)'}`,
    ...(marks.length > 0 ? [`\t${marks.join(' ')}`] : []),
    ...algorithmLines(config),
    ...replayLines(sa),
    `\tsel src ${any} dst ${any} uid 0`,
    ...NO_LIMITS,
    '\tlifetime current:',
    `\t  ${life.bytes}(bytes), ${life.packets}(packets)`,
    `\t  add ${dateText(times.added)} use ${times.used === undefined ? '-' : dateText(times.used)}`,
    '\tstats:',
    `\t  replay-window ${stats.replayWindow} replay ${stats.replay} failed ${stats.failed}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** One policy; `long` as with `-s`. */
export function policyText(
  { dir, selector, action, priority, mark, templates }: Policy,
  long: boolean,
): string {
  const { src, dst } = fromSelector(selector);
  const any = selector.dst.address.length === 4 ? '0.0.0.0' : '::';
  const lines = [
    `src ${src} dst ${dst} ${long ? 'uid 0' : ''}`,
    long
      ? `\tdir ${dir} action ${action} priority ${priority} ptype main share any flag  (0x00000000)`
      : `\tdir ${dir} ${action === 'block' ? 'action block ' : ''}priority ${priority} ptype main `,
    ...(long ? NO_LIMITS : []),
    ...(mark ? [`\t${markText('mark', mark)} `] : []),
  ];
  for (const template of templates) {
    const { spi = 0, reqid = 0, mode, level } = template;
    const from = template.src ? formatAddress(template.src) : any;
    const to = template.dst ? formatAddress(template.dst) : any;
    const spiText = long ? ` spi ${hex(spi, 8)}(${spi})` : spi === 0 ? '' : ` spi ${hex(spi, 8)}`;
    lines.push(
      `\ttmpl src ${from} dst ${to}`,
      `\t\tproto esp${spiText} reqid ${reqid}${long ? `(${hex(reqid, 8)})` : ''} mode ${mode}`,
    );
    if (long) {
      lines.push(
        `\t\tlevel ${level} share any `,
        '\t\tenc-mask ffffffff auth-mask ffffffff comp-mask ffffffff',
      );
    } else if (level === 'use') lines.push('\t\tlevel use ');
  }
  return `${lines.join('\n')}\n`;
}

/** `/proc/net/xfrm_stat` of Linux 6.1. */
export function statText(counts: Readonly<Record<string, number>>): string {
  return XFRM_COUNTERS.map(({ counter }) => `${counter.padEnd(24)}\t${counts[counter] ?? 0}\n`).join('');
}

function markText(name: string, mark: Mark | undefined): string {
  return mark ? `${name} ${hex(mark.value >>> 0)}/${hex(mark.mask >>> 0)}` : '';
}

function algorithmLines({ keys }: SaConfig): string[] {
  const { suite } = keys;
  const line = (type: string, name: string, icvBits: string, ...parts: readonly Uint8Array[]) => {
    const key = Buffer.concat(parts);
    return `\t${type} ${name} 0x${key.toString('hex')} (${8 * key.length} bits)${icvBits}`;
  };
  const icv = ` ${8 * suite.icvLen}`;
  const [, auth, enc] = /^authenc\((.*),(.*)\)$/.exec(suite.name) ?? [];
  if (auth === undefined || enc === undefined)
    return [line('aead', suite.name, icv, keys.key(), keys.salt())];
  return [line('auth-trunc', auth, icv, keys.macKey()), line('enc', enc, '', keys.key())];
}

function replayLines({ config, sequence, window }: SecurityAssociation): string[] {
  const isOut = config.direction === 'out';
  const out = isOut ? sequence : { hi: 0, lo: 0 };
  if (!config.esn) {
    return [
      `\tanti-replay context: seq ${hex(window.topLo)}, oseq ${hex(out.lo >>> 0)}, bitmap ${hex(bitsBelow(window), 8)}`,
    ];
  }
  const words = bitmap(window).map((word) => word.toString(16).padStart(8, '0'));
  // The kernel's last word comes first.
  words.reverse();
  const rows: string[] = [];
  for (let i = 0; i < words.length; i += 8) rows.push(`\t ${words.slice(i, i + 8).join(' ')} `);
  return [
    '\tanti-replay esn context:',
    `\t seq-hi ${hex(window.topHi)}, seq ${hex(window.topLo)}, oseq-hi ${hex(out.hi >>> 0)}, oseq ${hex(out.lo >>> 0)}`,
    `\t replay_window ${window.size}, bitmap-length ${words.length}`,
    ...rows,
  ];
}

type Window = SecurityAssociation['window'];

const isSeen = (window: Window, lo: number) => window.check(window.inferHigh(lo), lo) !== PASS;

/** The kernel's ring (`xfrm_replay_advance_esn`): number n at bit (n - 1) modulo the window. */
function bitmap(window: Window): number[] {
  const { size, topHi, topLo } = window;
  const words = new Uint32Array(Math.ceil(size / 32));
  for (let back = 0; back < size; back++) {
    const lo = topLo - back;
    // A young window reaches below the first number; nothing was seen there.
    if (lo < 1 && topHi === 0) break;
    if (!isSeen(window, lo >>> 0)) continue;
    const bit = (((lo - 1) % size) + size) % size;
    words[bit >>> 5]! |= 1 << (bit & 31);
  }
  return [...words];
}

/** Without ESN: bit n for the number n below the highest. */
function bitsBelow(window: Window): number {
  let bits = 0;
  for (let back = 0; back < Math.min(window.size, 32) && window.topLo - back >= 1; back++)
    if (isSeen(window, window.topLo - back)) bits |= 1 << back;
  return bits >>> 0;
}

/** In UTC, as a node of a cluster has it. */
function dateText(time: number): string {
  return new Date(time).toISOString().slice(0, 19).replace('T', ' ');
}
