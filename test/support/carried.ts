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

/** A UDP datagram around `payload`. */
export function udp(port: number, payload: Uint8Array, src = 50_000): Uint8Array {
  const u16 = (v: number) => v.toString(16).padStart(4, '0');
  return join(`${u16(src)} ${u16(port)} ${u16(8 + payload.length)} 0000`, payload);
}

/** An Ethernet frame around `payload`. */
export function ethernet(type: string, payload: Uint8Array): Uint8Array {
  return join(`${MACS} ${type}`, payload);
}

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

/** The packet with AH between its header and ESP, in IPv6 behind `options` that name AH. */
function withAh(packet: Uint8Array, options = ''): Uint8Array {
  const isV4 = packet[0]! >>> 4 === 4;
  const headerLen = isV4 ? 20 : 40;
  const b = join(packet.subarray(0, headerLen), options, AH('32'), packet.subarray(headerLen));
  const lenAt = isV4 ? 2 : 4;
  const total = b.length - (isV4 ? 0 : 40);
  b.set([total >>> 8, total & 0xff], lenAt);
  b[isV4 ? 9 : 6] = options === '' ? 51 : 0;
  if (isV4) ipv4.fillChecksum(b, 0);
  return b;
}

/** A length in two bytes, behind which so many come. */
const len = (b: Uint8Array) => b.length.toString(16).padStart(4, '0');

/** Frames of every kind around a packet, of IPv4 and of IPv6. */
export function carried(packet: Uint8Array, packetV6: Uint8Array): readonly Carried[] {
  const inner = ethernet('0800', packet);
  return [
    // Link types.
    { name: 'BSD loopback', linkType: 0, frame: join('02000000', packet) },
    { name: 'PPP', linkType: 9, frame: join('0021', packet) },
    { name: 'PPP in HDLC-like framing', linkType: 9, frame: join('ff03 0057', packetV6) },
    { name: 'PPP with a short protocol', linkType: 9, frame: join('ff03 21', packet) },
    { name: 'PPP in HDLC framing', linkType: 50, frame: join('ff03 0021', packet) },
    { name: 'Cisco HDLC on a PPP link', linkType: 50, frame: join('0f00 0800', packet) },
    {
      name: 'PPPoE without Ethernet',
      linkType: 51,
      frame: join(`1100 0001 ${len(join('0021', packet))} 0021`, packet),
      carriers: ['pppoe'],
    },
    { name: 'Cisco HDLC', linkType: 104, frame: join('8f00 86dd', packetV6) },
    { name: '802.11', linkType: 105, frame: join(DATA_FRAME('0801', SNAP), packet) },
    { name: '802.11 with QoS', linkType: 105, frame: join(DATA_FRAME('8801', `0000 ${SNAP}`), packet) },
    {
      name: '802.11 between access points',
      linkType: 105,
      frame: join(DATA_FRAME('0803', `020000000004 ${SNAP}`), packet),
    },
    { name: 'Frame Relay', linkType: 107, frame: join('1841 03 cc', packet) },
    { name: 'Frame Relay with SNAP', linkType: 107, frame: join('1841 03 00 80 000000 0800', packet) },
    { name: 'Frame Relay of Cisco', linkType: 107, frame: join('1841 0800', packet) },
    { name: 'enc', linkType: 109, frame: join('02000000 00000007 00000000', packet) },
    {
      name: 'Linux cooked with LLC',
      linkType: 113,
      frame: join(`0000 0001 0006 0200000000010000 0004 ${SNAP}`, packet),
    },
    {
      name: 'radiotap',
      linkType: 127,
      // Flags (bit 1) with padding to four bytes behind the QoS header's 26.
      frame: join(`0000 0900 02000000 20 ${DATA_FRAME('8801', `0000 0000 ${SNAP}`)}`, packet),
    },
    {
      name: 'radiotap with a second word and a time',
      linkType: 127,
      frame: join(
        `0000 1900 03000080 00000000 00000000 1122334455667788 00 ${DATA_FRAME('0801', SNAP)}`,
        packet,
      ),
    },
    { name: 'PPI with Ethernet', linkType: 192, frame: join('0000 0800 01000000', inner) },
    {
      name: 'PPI with 802.11',
      linkType: 192,
      frame: join('0000 0800 69000000', DATA_FRAME('0801', SNAP), packet),
    },
    { name: 'PPP with direction', linkType: 204, frame: join('00 ff03 0021', packet) },
    {
      name: 'IPNET',
      linkType: 226,
      frame: join(`01 02 0001 0000${len(packet)} 00000002 00000000 00000000 00000000`, packet),
    },
    {
      name: 'NFLOG of a little-endian host',
      linkType: 239,
      frame: join(`02 00 0005 0800 0100 08000100 0500 0a00 61 000000`, leTlv(packet)),
    },
    {
      name: 'IP over InfiniBand',
      linkType: 242,
      frame: join(`60000000 0000 1b40 ${'00'.repeat(32)} 0800 0000`, packet),
    },
    {
      name: 'PKTAP with raw IP',
      linkType: 258,
      frame: join(`6c000000 01000000 0c000000 ${'00'.repeat(96)}`, packet),
    },
    // What Ethernet carries.
    inEthernet('VLAN in a provider VLAN', '88a8 0005 8100 0006 0800', packet),
    inEthernet('SNAP', len(join(SNAP, packet)), join(SNAP, packet)),
    inEthernet('LLC with IP', len(join('060603', packet)), join('060603', packet)),
    inEthernet('MPLS, two labels', '8847', join('00010040 00020140', packet), { carriers: ['mpls'] }),
    inEthernet('Ethernet over MPLS', '8847', join('00010140 00000000', inner), {
      carriers: ['mpls'],
      tshark: ['-d', 'mpls.label==16,pwethcw'],
    }),
    inEthernet('802.1ah', '88e7', join('00012345', inner), { carriers: ['pbb'] }),
    inEthernet('VN-Tag', '8926', join('00000000 0800', packet), { carriers: ['vntag'] }),
    inEthernet('PPPoE', '8864', join(`1100 0001 ${len(join('0021', packet))} 0021`, packet), {
      carriers: ['pppoe'],
    }),
    inEthernet(
      'PPPoE in a VLAN',
      '8100 0007 8864',
      join(`1100 0001 ${len(join('0057', packetV6))} 0057`, packetV6),
      {
        carriers: ['pppoe'],
      },
    ),
    // What IP carries.
    inIp('IPv4 in IPv4', 4, packet, { carriers: ['4in4'] }),
    inIp('IPv6 in IPv4', 41, packetV6, { carriers: ['6in4'] }),
    inEthernet('IPv4 in IPv6', '86dd', ip6(4, packet), { carriers: ['4in6'] }),
    inEthernet('IPv6 in IPv6, behind options', '86dd', ip6(60, join('29 00 010400000000', packetV6)), {
      carriers: ['6in6'],
    }),
    inEthernet('AH', '0800', withAh(packet), { carriers: ['ah'] }),
    inIp('AH in tunnel mode', 51, join(AH('04'), packet), { carriers: ['ah', '4in4'] }),
    inEthernet('AH in IPv6', '86dd', withAh(packetV6), { carriers: ['ah'] }),
    inEthernet('AH behind options in IPv6', '86dd', withAh(packetV6, '33 00 010400000000'), {
      carriers: ['ah'],
    }),
    inIp('GRE', 47, join('0000 0800', packet), { carriers: ['gre'] }),
    inIp('GRE with all its fields', 47, join('b000 0800 00000000 00000005 00000001', packet), {
      carriers: ['gre'],
    }),
    inIp('NVGRE', 47, join('2000 6558 00000500', inner), { carriers: ['gre'] }),
    inIp('MPLS in GRE', 47, join('0000 8847 00010140', packet), { carriers: ['gre', 'mpls'] }),
    inIp('PPTP', 47, join('3001 880b 003e 0001 00000001 0021', packet), { carriers: ['gre'] }),
    inIp('ERSPAN, type II', 47, join('1000 88be 00000001 10010001 00000000', inner), {
      carriers: ['erspan'],
    }),
    inIp('ERSPAN, type III', 47, join('1000 22eb 00000001 20010001 00000000 00000000', inner), {
      carriers: ['erspan'],
    }),
    inIp('EtherIP', 97, join('3000', inner), { carriers: ['etherip'] }),
    inIp('MPLS in IP', 137, join('00010140', packet), { carriers: ['mpls'] }),
    inUdp('VXLAN', 4789, join('08000000 00cc7900', inner), { carriers: ['vxlan'], vni: 0xcc79 }),
    inUdp('VXLAN-GPE', 4790, join('0c000001 00000500', packet), { carriers: ['vxlan-gpe'] }),
    inUdp('Geneve', 6081, join('0100 6558 00cc7900 01020304', inner), { carriers: ['geneve'], vni: 0xcc79 }),
    inUdp('Geneve with IP', 6081, join('0000 0800 00000500', packet), { carriers: ['geneve'], vni: 5 }),
    inUdp('GTP-U', 2152, join(`30ff ${len(packet)} 00000001`, packet), { carriers: ['gtpu'] }),
    inUdp(
      'GTP-U with an extension',
      2152,
      join(`34ff ${len(join('0000000000000000', packet))} 00000001 0000 00 85 01 1001 00`, packet),
      {
        carriers: ['gtpu'],
      },
    ),
    inUdp('Teredo', 3544, packetV6, { carriers: ['teredo'] }),
    inUdp('Teredo with an origin', 3544, join('0000 c4ef 3ffffdfe', packetV6), { carriers: ['teredo'] }),
    inUdp('GRE in UDP', 4754, join('0000 0800', packet), {
      carriers: ['gre'],
      tshark: ['-d', 'udp.port==4754,gre'],
    }),
    inUdp('MPLS in UDP', 6635, join('00010140', packet), { carriers: ['mpls'] }),
    inUdp('VXLAN on a port of its own', 7777, join('08000000 00000500', inner), {
      carriers: ['vxlan'],
      vni: 5,
      tshark: ['-d', 'udp.port==7777,vxlan'],
    }),
    inUdp('Geneve on a port of its own', 7777, join('0000 6558 00000500', inner), {
      carriers: ['geneve'],
      vni: 5,
      tshark: ['-d', 'udp.port==7777,geneve'],
    }),
    // One in another.
    inUdp(
      'GRE in VXLAN',
      4789,
      join('08000000 00000500', ethernet('0800', ip(47, join('0000 0800', packet)))),
      {
        carriers: ['vxlan', 'gre'],
        vni: 5,
      },
    ),
    inIp('IP in IP in IP', 4, ip(4, ip(4, packet)), { carriers: ['4in4', '4in4', '4in4'] }),
  ];
}

export const CARRIED = carried(ESP_PACKET, ESP_PACKET_V6);

function leTlv(payload: Uint8Array): Uint8Array {
  const n = payload.length + 4;
  return Uint8Array.from([n & 0xff, n >>> 8, 9, 0, ...payload]);
}
