/**
 * The figures of each step of a packet's way: what was asked and what the answer was, as short lines; and bytes that
 * are worked with but lie nowhere in the packet as they are needed.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { seqText } from '../../inspect/decrypt-json.ts';
import { payloadLength } from '../../ipsec/padding.ts';
import type { Mark, SaConfig } from '../../ipsec/sa-config.ts';
import { FLAG } from '../../ipsec/sa-words.ts';
import type { Policy } from '../../ipsec/spd.ts';
import { ttlOf } from '../../sim/ledger.ts';
import { formatAddress, formatPrefix, isAny } from '../../wire/address.ts';
import type { StepId } from './way.ts';
import { IDENTITIES, type Number64, type WayRecord } from './way-network.ts';

/** One line: what was asked, and the answer. */
export interface Fact {
  readonly label: string;
  readonly value: string;
  /** What it comes from, or what to keep in mind. */
  readonly note?: string;
}

/** Bytes in labelled cells, in a row. */
export interface Row {
  readonly label: string;
  /** Bytes that the row begins further right, so that what belongs together stands in one column. */
  readonly indent?: number;
  readonly cells: readonly { readonly label: string; readonly hex: string; readonly kind: CellKind }[];
}

/** What a cell is, for its colour: as in the packet, secret, or in neither. */
export type CellKind = 'spi' | 'seq' | 'high' | 'iv' | 'salt' | 'random';

/** The lines of a step; none where its bytes say it all. */
export function factsOf(id: StepId, r: WayRecord): Fact[] {
  return FACTS[id]?.(r) ?? [];
}

/** The rows of a step. */
export function rowsOf(id: StepId, r: WayRecord): Row[] {
  if (id === 'nonce') return nonceRows(r);
  if (id === 'aad') return [aadRow(r)];
  if (id === 'open')
    return [nonceRow('Nonce, as the receiver puts it together', r.into.opened.nonce), aadRow(r)];
  return [];
}

const FACTS: Partial<Record<StepId, (r: WayRecord) => Fact[]>> = {
  send: ({ sent, options }) => {
    const { src, dst } = ends(sent);
    return [
      { label: 'From', value: src, note: `the pod client on node-1, identity ${IDENTITIES.client}` },
      { label: 'To', value: dst, note: `the pod web on node-2, identity ${IDENTITIES.web}` },
      { label: 'Length', value: bytes(sent.length), note: `IPv${options.family}, UDP` },
    ];
  },
  intercept: ({ sent, intercepted, options }) => {
    const { to, peer, decision, bytes: now } = intercepted;
    const { dst } = ends(sent);
    return [
      {
        label: `Who has ${dst}?`,
        value: `a pod of ${peer.name}`,
        note: `ipcache: ${formatPrefix(to.prefix)}`,
      },
      { label: 'A pod of this node?', value: 'no', note: 'else it would go there in the clear' },
      {
        label: `Has ${peer.name} a key?`,
        value: `yes, id ${peer.keyId}`,
        note:
          options.mode === 'vxlan-in-esp' ? 'else it would be dropped' : 'else it would leave in the clear',
      },
      { label: 'Rule', value: decision.name, note: decision.why },
      {
        label: hopName(sent),
        value: `${ttlOf(sent)} → ${ttlOf(now)}`,
        note: 'one hop: the node is a router',
      },
    ];
  },
  sa: (r) => {
    const { mark, policy, policies, peer } = r.intercepted;
    const { sa, sas } = r.out;
    const template = policy.templates[0];
    const out = sas.filter(({ config }) => config.direction === 'out').length;
    return [
      {
        label: 'Mark',
        value: hex32(mark),
        note: `node id ${hex16(peer.nodeId)} for ${peer.name} ‖ key ${peer.keyId} ‖ e: encrypt`,
      },
      {
        label: 'Policy',
        value: selectorText(policy),
        note: `the first of ${policies.length} to have mark and addresses`,
      },
      ...(template?.src && template.dst
        ? [
            {
              label: 'It asks for',
              value: `${formatAddress(template.src)} → ${formatAddress(template.dst)}, SPI ${template.spi}`,
              note: `reqid ${template.reqid}, ${template.mode} mode, ${template.level}`,
            },
          ]
        : []),
      { label: 'SA', value: saText(sa.config), note: `one of ${out} for sending: ${sa.config.origin}` },
      esnFact(sa.config),
    ];
  },
  number: ({ out }) => [
    {
      label: 'Counter of the SA',
      value: `${full(out.numberBefore)} → ${full(out.number)}`,
      note: 'one SA, one counter',
    },
    ...(out.sa.esn
      ? [{ label: 'High half', value: String(out.number.hi), note: 'counted, authenticated, not sent' }]
      : [
          {
            label: 'Last number',
            value: String(2 ** 32 - 1),
            note: 'then the SA stops: XfrmOutStateSeqError',
          },
        ]),
  ],
  trailer: (r) => {
    const { before, textAt, textLen } = r.out.sealed;
    const payload = payloadLength(before, textAt, textLen);
    const pad = textLen - payload - 2;
    return [
      { label: 'Payload', value: bytes(payload) },
      {
        label: 'Padding',
        value: bytes(pad),
        note: `${payload} + ${pad} + 2 = ${textLen}, a multiple of ${r.out.sa.padMask + 1}`,
      },
      { label: 'Next header', value: nextText(before[textAt + textLen - 1]!) },
    ];
  },
  seal: ({ out }) => [
    { label: 'Cipher', value: out.sa.suite.name },
    {
      label: 'Encrypted',
      value: bytes(out.sealed.textLen),
      note: 'payload, padding, pad length, next header',
    },
    { label: 'ICV', value: bytes(out.sealed.icvLen), note: 'over AAD and ciphertext' },
  ],
  outer: ({ out, options }) => {
    const { src, dst } = out.sa.config;
    const isNode = options.mode === 'vxlan-in-esp';
    return [
      {
        label: 'From',
        value: formatAddress(src),
        note: isNode ? 'node-1 itself' : 'CiliumInternalIP of node-1',
      },
      {
        label: 'To',
        value: formatAddress(dst),
        note: isNode ? 'node-2 itself' : 'CiliumInternalIP of node-2',
      },
      { label: src.length === 4 ? 'Protocol' : 'Next header', value: '50', note: 'ESP' },
      {
        label: 'Copied from inside',
        value: src.length === 4 ? 'DSCP, ECN, DF' : 'traffic class, flow label',
      },
    ];
  },
  wrap: (r) => {
    const { peer, vni } = r.intercepted;
    return [
      {
        label: 'Between',
        value: peer.tunnel ? `${formatAddress(peer.tunnel.src)} → ${formatAddress(peer.tunnel.dst)}` : '',
      },
      { label: 'UDP port', value: '8472', note: 'Linux’s number for VXLAN; IANA’s is 4789' },
      { label: 'VNI', value: String(vni), note: 'the security identity of the pod client' },
    ];
  },
  wire: ({ wire, sent, options }) => {
    const { src, dst } = ends(wire);
    return [
      {
        label: 'Seen by all',
        value: `${src} → ${dst}`,
        note: options.mode === 'esp-in-vxlan' ? 'VXLAN with ESP in it' : 'ESP',
      },
      {
        label: 'Length',
        value: bytes(wire.length),
        note: `${wire.length - sent.length} more than the pod sent`,
      },
    ];
  },
  unwrap: (r) => [
    {
      label: 'VNI',
      value: String(r.options.mode === 'vxlan-in-esp' ? r.into.identity : r.intercepted.vni),
      note:
        r.options.mode === 'vxlan-in-esp'
          ? 'the sender’s identity, for the policies'
          : 'not kept: ESP has no place for it',
    },
  ],
  spi: ({ into }) => {
    const { src, dst } = ends(into.admitted);
    return [
      {
        label: 'Mark',
        value: hex32(into.mark),
        note: `${src} is ${into.peer.name}: node id ${hex16(into.peer.nodeId)} here ‖ d: decrypt`,
      },
      { label: 'Destination', value: dst },
      { label: 'SPI', value: String(into.sa.config.spi), note: 'the key id, on every node' },
      { label: 'SA', value: saText(into.sa.config), note: into.sa.config.origin },
    ];
  },
  window: ({ into }) => [
    { label: 'Number on the wire', value: String(into.number.lo) },
    ...(into.sa.esn
      ? [
          {
            label: 'High half, inferred',
            value: String(into.number.hi),
            note: 'the one that puts it nearest to the window',
          },
        ]
      : []),
    { label: 'Top of the window', value: into.windowBefore.top },
    {
      label: 'Seen in it',
      value: into.windowBefore.seen.join(', '),
      note: 'number 4 was lost on the way and may still come',
    },
    { label: 'Answer', value: `${full(into.number)} is new`, note: 'provisional, until the ICV is checked' },
  ],
  open: ({ into }) => [
    { label: 'ICV', value: into.opened.ok ? 'equal' : 'not equal', note: `all ${bytes(into.opened.icvLen)}` },
    { label: 'Decrypted', value: bytes(into.opened.textLen) },
  ],
  moved: ({ into }) => [
    { label: 'Top', value: `${into.windowBefore.top} → ${into.windowAfter.top}` },
    { label: 'Seen', value: into.windowAfter.seen.join(', '), note: 'each of these is refused from now on' },
  ],
  inner: (r) => {
    const { opened, sa, markAfter, policy } = r.into;
    const { after, textAt, textLen } = opened;
    return [
      {
        label: 'Pad length',
        value: String(after[textAt + textLen - 2]),
        note: `leaves ${bytes(payloadLength(after, textAt, textLen))}`,
      },
      {
        label: 'Next header',
        value: nextText(after[textAt + textLen - 1]!),
        note: 'the SA may carry it, and so the packet begins',
      },
      { label: 'Inner header', value: 'sound', note: 'its length is what came' },
      {
        label: 'Selector of the SA',
        value: sa.has(FLAG.TAKES_ALL) ? 'any to any' : 'fits',
        note: 'Cilium’s SAs carry all addresses',
      },
      { label: 'Mark left', value: hex32(markAfter), note: 'd: was decrypted; the node id is gone' },
      { label: `Policy ${policy.dir}`, value: policy.action, note: selectorText(policy) },
    ];
  },
  delivered: (r) => {
    const { into, delivered, options, sent } = r;
    return [
      { label: 'To', value: ends(delivered).dst, note: 'the pod web, by the route of the inner destination' },
      {
        label: hopName(delivered),
        value: `${ttlOf(into.opened.after.subarray(into.at))} → ${ttlOf(delivered)}`,
        note: `${ttlOf(sent)} when it was sent: two nodes have passed it on`,
      },
      {
        label: 'Sender’s identity',
        value: String(into.identity),
        note: options.mode === 'vxlan-in-esp' ? 'from the VNI' : 'from the ipcache, by the inner source',
      },
    ];
  },
};

function nonceRows(r: WayRecord): Row[] {
  const { sa, number, sealed } = r.out;
  const number64 = new Uint8Array(8);
  const view = new DataView(number64.buffer);
  view.setUint32(0, number.hi);
  view.setUint32(4, number.lo);
  return [
    {
      label: 'Sequence number, 64 bits',
      indent: 4,
      cells: [{ label: 'number', hex: toHex(number64), kind: 'seq' }],
    },
    {
      label: 'XOR what this SA drew at random, once',
      indent: 4,
      cells: [{ label: 'random', hex: toHex(sa.ivSalt), kind: 'random' }],
    },
    nonceRow('Nonce', sealed.nonce),
  ];
}

function nonceRow(label: string, nonce: Uint8Array): Row {
  return {
    label,
    cells: [
      { label: 'salt, secret', hex: toHex(nonce, 0, 4), kind: 'salt' },
      { label: 'IV, in the packet', hex: toHex(nonce, 4), kind: 'iv' },
    ],
  };
}

function aadRow({ out }: WayRecord): Row {
  const { aad } = out.sealed;
  const spi = { label: 'SPI', hex: toHex(aad, 0, 4), kind: 'spi' } as const;
  const low = {
    label: out.sa.esn ? 'number, low half' : 'number',
    hex: toHex(aad, aad.length - 4),
    kind: 'seq',
  } as const;
  const high = { label: 'high half, not sent', hex: toHex(aad, 4, 8), kind: 'high' } as const;
  return { label: `AAD, ${bytes(aad.length)}`, cells: out.sa.esn ? [spi, high, low] : [spi, low] };
}

function esnFact({ esn, replayWindow }: SaConfig): Fact {
  return esn
    ? { label: 'ESN', value: 'on', note: `numbers of 64 bits, window ${replayWindow}` }
    : {
        label: 'ESN',
        value: 'off',
        note: `numbers of 32 bits, window ${replayWindow}: the SA as Cilium makes it, less the flag esn. Cilium itself has both or, to 1.16 with a key without “+”, neither`,
      };
}

/** Source and destination of an IP packet. */
export function ends(b: Uint8Array): { src: string; dst: string } {
  const [at, len] = b[0]! >>> 4 === 4 ? [12, 4] : [8, 16];
  return { src: formatAddress(b, at, len), dst: formatAddress(b, at + len, len) };
}

/** A selector as `ip xfrm policy` has it, and its mark. */
function selectorText({ selector: { src, dst }, mark }: Policy): string {
  const name = (prefix: typeof src) =>
    isAny(prefix.address) && prefix.bits === 0 ? 'any' : formatPrefix(prefix);
  return `${name(src)} → ${name(dst)}${mark ? `, mark ${markText(mark)}` : ''}`;
}

function markText({ value, mask }: Mark): string {
  return `${hex32(value)}/${hex32(mask)}`;
}

function saText({ src, dst, spi, keys }: SaConfig): string {
  return `${formatAddress(src)} → ${formatAddress(dst)}, SPI ${spi}, ${keys.suite.name}`;
}

function hopName(b: Uint8Array): string {
  return b[0]! >>> 4 === 4 ? 'TTL' : 'Hop limit';
}

function nextText(next: number): string {
  return next === 4 ? '4, IPv4' : next === 41 ? '41, IPv6' : String(next);
}

/** A number of 64 bits in decimal. */
function full({ hi, lo }: Number64): string {
  return seqText(hi, lo);
}

function bytes(n: number): string {
  return n === 1 ? '1 byte' : `${n} bytes`;
}

function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}

function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}
