/**
 * Frames of every link type and carrier, each around the same ESP packet: written after the specifications, by hand.
 * @module
 */
import { hex } from '../../src/base/bytes.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';

/** IPv4 from 192.0.2.1 to 192.0.2.2 with ESP: SPI 0x12345678, number 1, and 32 bytes that nothing opens. */
export const ESP_PACKET = ip(50, hex(`12345678 00000001 ${'c5'.repeat(32)}`), '192.0.2.1', '192.0.2.2');
/** The same in IPv6, from 2001:db8::1 to 2001:db8::2. */
export const ESP_PACKET_V6 = ip6(50, hex(`12345678 00000001 ${'c5'.repeat(32)}`));

const MACS = '020000000002 020000000001';

export interface Carried {
  readonly name: string;
  readonly linkType: number;
  readonly frame: Uint8Array;
  /** What decrypt calls the way to it. */
  readonly carriers?: readonly string[];
  readonly vni?: number;
  /** Told to tshark, whose own preferences are others. */
  readonly tshark?: readonly string[];
}

function join(...parts: readonly (string | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...(typeof part === 'string' ? hex(part) : part)]));
}

function quad(address: string): number[] {
  return address.split('.').map(Number);
}

/** An IPv4 packet around `payload`. */
export function ip(protocol: number, payload: Uint8Array, src = '10.0.0.1', dst = '10.0.0.2'): Uint8Array {
  const b = new Uint8Array(20 + payload.length);
  b.set([0x45, 0, b.length >>> 8, b.length, 0, 1, 0, 0, 64, protocol]);
  b.set([...quad(src), ...quad(dst)], 12);
  b.set(payload, 20);
  ipv4.fillChecksum(b, 0);
  return b;
}

/** An IPv6 packet around `payload`. */
export function ip6(next: number, payload: Uint8Array): Uint8Array {
  const address = (n: number) => `20010db8 0000000000000000 0000000${n}`;
  const len = payload.length.toString(16).padStart(4, '0');
  return join(
    `60000000 ${len} ${next.toString(16).padStart(2, '0')} 40 ${address(1)} ${address(2)}`,
    payload,
  );
}

function udp(port: number, payload: Uint8Array, src = 50_000): Uint8Array {
  const u16 = (v: number) => v.toString(16).padStart(4, '0');
  return join(`${u16(src)} ${u16(port)} ${u16(8 + payload.length)} 0000`, payload);
}

/** An Ethernet frame around `payload`. */
export function ethernet(type: string, payload: Uint8Array): Uint8Array {
  return join(`${MACS} ${type}`, payload);
}

const INNER = ethernet('0800', ESP_PACKET);

const inEthernet = (
  name: string,
  type: string,
  payload: Uint8Array,
  more: Partial<Carried> = {},
): Carried => ({
  name,
  linkType: 1,
  frame: ethernet(type, payload),
  ...more,
});
const inIp = (name: string, protocol: number, payload: Uint8Array, more: Partial<Carried> = {}): Carried =>
  inEthernet(name, '0800', ip(protocol, payload), more);
const inUdp = (name: string, port: number, payload: Uint8Array, more: Partial<Carried> = {}): Carried =>
  inIp(name, 17, udp(port, payload), more);

const SNAP = 'aaaa03 000000 0800';
const DATA_FRAME = (control: string, more = '') =>
  `${control} 0000 020000000002 020000000001 020000000003 1000 ${more}`;
const AH = (next: string) => `${next} 04 0000 00000007 00000001 ${'aa'.repeat(12)}`;

/** A length in two bytes, behind which so many come. */
const len = (b: Uint8Array) => b.length.toString(16).padStart(4, '0');

export const CARRIED: readonly Carried[] = [
  // Link types.
  { name: 'BSD loopback', linkType: 0, frame: join('02000000', ESP_PACKET) },
  { name: 'PPP', linkType: 9, frame: join('0021', ESP_PACKET) },
  { name: 'PPP in HDLC-like framing', linkType: 9, frame: join('ff03 0057', ESP_PACKET_V6) },
  { name: 'PPP with a short protocol', linkType: 9, frame: join('ff03 21', ESP_PACKET) },
  { name: 'PPP in HDLC framing', linkType: 50, frame: join('ff03 0021', ESP_PACKET) },
  { name: 'Cisco HDLC on a PPP link', linkType: 50, frame: join('0f00 0800', ESP_PACKET) },
  {
    name: 'PPPoE without Ethernet',
    linkType: 51,
    frame: join(`1100 0001 ${len(join('0021', ESP_PACKET))} 0021`, ESP_PACKET),
    carriers: ['pppoe'],
  },
  { name: 'Cisco HDLC', linkType: 104, frame: join('8f00 86dd', ESP_PACKET_V6) },
  { name: '802.11', linkType: 105, frame: join(DATA_FRAME('0801', SNAP), ESP_PACKET) },
  { name: '802.11 with QoS', linkType: 105, frame: join(DATA_FRAME('8801', `0000 ${SNAP}`), ESP_PACKET) },
  {
    name: '802.11 between access points',
    linkType: 105,
    frame: join(DATA_FRAME('0803', `020000000004 ${SNAP}`), ESP_PACKET),
  },
  { name: 'Frame Relay', linkType: 107, frame: join('1841 03 cc', ESP_PACKET) },
  { name: 'Frame Relay with SNAP', linkType: 107, frame: join('1841 03 00 80 000000 0800', ESP_PACKET) },
  { name: 'Frame Relay of Cisco', linkType: 107, frame: join('1841 0800', ESP_PACKET) },
  { name: 'enc', linkType: 109, frame: join('02000000 00000007 00000000', ESP_PACKET) },
  {
    name: 'Linux cooked with LLC',
    linkType: 113,
    frame: join(`0000 0001 0006 0200000000010000 0004 ${SNAP}`, ESP_PACKET),
  },
  {
    name: 'radiotap',
    linkType: 127,
    // Flags (bit 1) with padding to four bytes behind the QoS header's 26.
    frame: join(`0000 0900 02000000 20 ${DATA_FRAME('8801', `0000 0000 ${SNAP}`)}`, ESP_PACKET),
  },
  {
    name: 'radiotap with a second word and a time',
    linkType: 127,
    frame: join(
      `0000 1900 03000080 00000000 00000000 1122334455667788 00 ${DATA_FRAME('0801', SNAP)}`,
      ESP_PACKET,
    ),
  },
  { name: 'PPI with Ethernet', linkType: 192, frame: join('0000 0800 01000000', INNER) },
  {
    name: 'PPI with 802.11',
    linkType: 192,
    frame: join('0000 0800 69000000', DATA_FRAME('0801', SNAP), ESP_PACKET),
  },
  { name: 'PPP with direction', linkType: 204, frame: join('00 ff03 0021', ESP_PACKET) },
  {
    name: 'IPNET',
    linkType: 226,
    frame: join(`01 02 0001 0000${len(ESP_PACKET)} 00000002 00000000 00000000 00000000`, ESP_PACKET),
  },
  {
    name: 'NFLOG of a little-endian host',
    linkType: 239,
    frame: join(`02 00 0005 0800 0100 08000100 0500 0a00 61 000000`, leTlv(ESP_PACKET)),
  },
  {
    name: 'IP over InfiniBand',
    linkType: 242,
    frame: join(`60000000 0000 1b40 ${'00'.repeat(32)} 0800 0000`, ESP_PACKET),
  },
  {
    name: 'PKTAP with raw IP',
    linkType: 258,
    frame: join(`6c000000 01000000 0c000000 ${'00'.repeat(96)}`, ESP_PACKET),
  },
  // What Ethernet carries.
  inEthernet('VLAN in a provider VLAN', '88a8 0005 8100 0006 0800', ESP_PACKET),
  inEthernet('SNAP', len(join(SNAP, ESP_PACKET)), join(SNAP, ESP_PACKET)),
  inEthernet('LLC with IP', len(join('060603', ESP_PACKET)), join('060603', ESP_PACKET)),
  inEthernet('MPLS, two labels', '8847', join('00010040 00020140', ESP_PACKET), { carriers: ['mpls'] }),
  inEthernet('Ethernet over MPLS', '8847', join('00010140 00000000', INNER), {
    carriers: ['mpls'],
    tshark: ['-d', 'mpls.label==16,pwethcw'],
  }),
  inEthernet('802.1ah', '88e7', join('00012345', INNER), { carriers: ['pbb'] }),
  inEthernet('VN-Tag', '8926', join('00000000 0800', ESP_PACKET), { carriers: ['vntag'] }),
  inEthernet('PPPoE', '8864', join(`1100 0001 ${len(join('0021', ESP_PACKET))} 0021`, ESP_PACKET), {
    carriers: ['pppoe'],
  }),
  inEthernet(
    'PPPoE in a VLAN',
    '8100 0007 8864',
    join(`1100 0001 ${len(join('0057', ESP_PACKET_V6))} 0057`, ESP_PACKET_V6),
    {
      carriers: ['pppoe'],
    },
  ),
  // What IP carries.
  inIp('IPv4 in IPv4', 4, ESP_PACKET, { carriers: ['4in4'] }),
  inIp('IPv6 in IPv4', 41, ESP_PACKET_V6, { carriers: ['6in4'] }),
  inEthernet('IPv4 in IPv6', '86dd', ip6(4, ESP_PACKET), { carriers: ['4in6'] }),
  inEthernet('IPv6 in IPv6, behind options', '86dd', ip6(60, join('29 00 010400000000', ESP_PACKET_V6)), {
    carriers: ['6in6'],
  }),
  inIp('AH', 51, join(AH('32'), ESP_PACKET.subarray(20)), { carriers: ['ah'] }),
  inIp('AH in tunnel mode', 51, join(AH('04'), ESP_PACKET), { carriers: ['ah', '4in4'] }),
  inEthernet('AH in IPv6', '86dd', ip6(51, join(AH('32'), ESP_PACKET.subarray(20))), { carriers: ['ah'] }),
  inEthernet(
    'AH behind options in IPv6',
    '86dd',
    ip6(0, join(`33 00 010400000000 ${AH('32')}`, ESP_PACKET.subarray(20))),
    {
      carriers: ['ah'],
    },
  ),
  inIp('GRE', 47, join('0000 0800', ESP_PACKET), { carriers: ['gre'] }),
  inIp('GRE with all its fields', 47, join('b000 0800 00000000 00000005 00000001', ESP_PACKET), {
    carriers: ['gre'],
  }),
  inIp('NVGRE', 47, join('2000 6558 00000500', INNER), { carriers: ['gre'] }),
  inIp('MPLS in GRE', 47, join('0000 8847 00010140', ESP_PACKET), { carriers: ['gre', 'mpls'] }),
  inIp('PPTP', 47, join('3001 880b 003e 0001 00000001 0021', ESP_PACKET), { carriers: ['gre'] }),
  inIp('ERSPAN, type II', 47, join('1000 88be 00000001 10010001 00000000', INNER), { carriers: ['erspan'] }),
  inIp('ERSPAN, type III', 47, join('1000 22eb 00000001 20010001 00000000 00000000', INNER), {
    carriers: ['erspan'],
  }),
  inIp('EtherIP', 97, join('3000', INNER), { carriers: ['etherip'] }),
  inIp('MPLS in IP', 137, join('00010140', ESP_PACKET), { carriers: ['mpls'] }),
  inUdp('VXLAN', 4789, join('08000000 00cc7900', INNER), { carriers: ['vxlan'], vni: 0xcc79 }),
  inUdp('VXLAN-GPE', 4790, join('0c000001 00000500', ESP_PACKET), { carriers: ['vxlan-gpe'] }),
  inUdp('Geneve', 6081, join('0100 6558 00cc7900 01020304', INNER), { carriers: ['geneve'], vni: 0xcc79 }),
  inUdp('Geneve with IP', 6081, join('0000 0800 00000500', ESP_PACKET), { carriers: ['geneve'], vni: 5 }),
  inUdp('GTP-U', 2152, join(`30ff ${len(ESP_PACKET)} 00000001`, ESP_PACKET), { carriers: ['gtpu'] }),
  inUdp(
    'GTP-U with an extension',
    2152,
    join(`34ff ${len(join('0000000000000000', ESP_PACKET))} 00000001 0000 00 85 01 1001 00`, ESP_PACKET),
    {
      carriers: ['gtpu'],
    },
  ),
  inUdp('Teredo', 3544, ESP_PACKET_V6, { carriers: ['teredo'] }),
  inUdp('Teredo with an origin', 3544, join('0000 c4ef 3ffffdfe', ESP_PACKET_V6), { carriers: ['teredo'] }),
  inUdp('GRE in UDP', 4754, join('0000 0800', ESP_PACKET), {
    carriers: ['gre'],
    tshark: ['-d', 'udp.port==4754,gre'],
  }),
  inUdp('MPLS in UDP', 6635, join('00010140', ESP_PACKET), { carriers: ['mpls'] }),
  inUdp('VXLAN on a port of its own', 7777, join('08000000 00000500', INNER), {
    carriers: ['vxlan'],
    vni: 5,
    tshark: ['-d', 'udp.port==7777,vxlan'],
  }),
  inUdp('Geneve on a port of its own', 7777, join('0000 6558 00000500', INNER), {
    carriers: ['geneve'],
    vni: 5,
    tshark: ['-d', 'udp.port==7777,geneve'],
  }),
  // One in another.
  inUdp(
    'GRE in VXLAN',
    4789,
    join('08000000 00000500', ethernet('0800', ip(47, join('0000 0800', ESP_PACKET)))),
    {
      carriers: ['vxlan', 'gre'],
      vni: 5,
    },
  ),
  inIp('IP in IP in IP', 4, ip(4, ip(4, ESP_PACKET)), { carriers: ['4in4', '4in4', '4in4'] }),
];

function leTlv(payload: Uint8Array): Uint8Array {
  const n = payload.length + 4;
  return Uint8Array.from([n & 0xff, n >>> 8, 9, 0, ...payload]);
}
