/**
 * What becomes of a packet that was altered on its way, who counts it, and why.
 *
 * The verdict is that of esplane's own data plane ({@link arrive}); the words are for the field that was hit.
 * @module
 */
import { equalBytes } from '../../base/bytes.ts';
import type { EspSecurity } from '../../inspect/explain/security.ts';
import type { DropRow } from '../../ipsec/drop.ts';
import type { PagePacket } from '../packets/page-packet.ts';
import { type CounterAt, counterFor } from './counters.ts';
import type { Flip } from './flip.ts';
import type { Place } from './places.ts';
import { type Arrival, arrive } from './receiver.ts';
import { UNNOTICED } from './unnoticed.ts';

export interface Fate {
  /** `ignored` by the card; `waits` for fragments that never come; `changed` means that the pod got something else. */
  readonly outcome: 'unnoticed' | 'changed' | 'dropped' | 'waits' | 'ignored';
  /** What happens, in a sentence. */
  readonly headline: string;
  /** The counter that rises; `undefined` where none does. */
  readonly counter: CounterAt | undefined;
  /** Why, a sentence or two each. */
  readonly why: readonly string[];
  /** The rule behind it. */
  readonly rule: string | undefined;
}

/**
 * Sends an altered frame to its receiver.
 * @param places of the frame as it was sent
 * @param security what ESP says of the altered frame, where there is still an ESP packet in it
 */
export function fateOf(
  packet: PagePacket,
  places: readonly Place[],
  bytes: Uint8Array,
  flips: readonly Flip[],
  security: EspSecurity | undefined,
): Fate {
  const hit = flips.flatMap((flip) => hitBy(places, flip) ?? []);
  const arrival = arrive(packet, bytes);
  if (arrival.ignored) return ignored(arrival.ignored);
  const isFragment = hit.some(({ field }) => FRAGMENT.includes(field.id));
  if (arrival.waits || (arrival.drop?.reason === 'no-route' && isFragment)) return WAITS;
  if (arrival.drop) return dropped(arrival.drop, hit, isV6(packet.shown.bytes), security);
  return delivered(packet, arrival, hit);
}

const FRAGMENT: readonly string[] = ['ip.flags.mf', 'ip.frag_offset'];

/** The smallest field of the frame, bits and all, that has this bit. */
export function hitBy(places: readonly Place[], { byte, bit }: Flip): Place | undefined {
  let found: Place | undefined;
  for (const place of places) {
    const { at, end, isInner, field } = place;
    if (isInner || byte < at || byte >= end) continue;
    const [shift, width] = field.bits ?? [0, 8 * (end - at)];
    const inField = (end - 1 - byte) * 8 + bit;
    if (inField >= shift && inField < shift + width) found = place;
  }
  return found;
}

/** Is what carries ESP, as far as routers see, IPv6? */
function isV6(frame: Uint8Array): boolean {
  return frame[12] === 0x86;
}

function ignored(what: NonNullable<Arrival['ignored']>): Fate {
  if (what === 'station') {
    return {
      outcome: 'ignored',
      headline: 'The node never sees it.',
      counter: undefined,
      why: [
        'The frame is for another station now. A switch sends it elsewhere, and the card, or the kernel right behind it, passes over it.',
      ],
      rule: 'Linux ip_rcv: PACKET_OTHERHOST',
    };
  }
  return {
    outcome: 'dropped',
    headline: 'Dropped before anybody asks for IP: no protocol has this type.',
    counter: { name: 'rx_dropped', where: 'of the network device, `ip -s link`' },
    why: ['The type says what the frame carries. Whatever it says now, the kernel has no taker for it.'],
    rule: 'Linux __netif_receive_skb_core',
  };
}

const WAITS: Fate = {
  outcome: 'waits',
  headline: 'It waits for fragments that never come, and is forgotten after 30 seconds.',
  counter: { name: 'IpReasmFails', where: '/proc/net/snmp, when the time is up' },
  why: [
    'It says now that it is a piece of a larger packet. ESP is only looked at when all pieces are there, so no IPsec counter ever rises.',
  ],
  rule: 'RFC 791 §3.2; RFC 4303 §3.4.1',
};

function dropped(drop: DropRow, hit: readonly Place[], v6: boolean, security: EspSecurity | undefined): Fate {
  const ids = hit.map(({ field }) => field.id);
  const counter = counterFor(drop, ids, v6);
  return {
    outcome: 'dropped',
    headline: headlineFor(drop, ids),
    counter,
    why: whyDropped(drop, ids, security),
    rule: drop.rule,
  };
}

const HEADLINES: Readonly<Partial<Record<DropRow['reason'], string>>> = {
  'header-error': 'Dropped: there is no SPI and number left to read.',
  'no-state': 'Dropped: there is no SA with this SPI.',
  'replay-zero': 'Dropped: number 0 is never sent.',
  'replay-seen': 'Dropped as a replay: this number was accepted before.',
  'replay-stale': 'Dropped as a replay: this number lies left of the window.',
  'too-short': 'Dropped: too short for what its suite needs, or no whole number of blocks.',
  'bad-icv': 'Dropped: the ICV is wrong.',
  'ip-header': 'Dropped before ESP: the IP header is damaged.',
  'inner-header': 'Dropped: the IP header in the overlay is damaged.',
  'inner-truncated': 'Dropped: the IP packet says that it is longer than it is.',
  'no-node-id': 'Dropped by Cilium before decryption: it knows no node with this source.',
  'bad-vxlan': 'Dropped before ESP: this is no sound VXLAN any more.',
  'no-pod': 'Dropped: nobody here has this destination.',
  'invalid-identity': 'Dropped by Cilium: the VNI says that a host sent it.',
};

function headlineFor({ reason }: DropRow, ids: readonly string[]): string {
  if (reason === 'bad-vxlan' && ids.some((id) => id.endsWith('.ecn')))
    return 'Dropped before ESP: it met congestion, and the packet inside cannot say so.';
  if (reason !== 'no-route') return HEADLINES[reason] ?? `Dropped: ${reason}.`;
  if (ids.some(isProtocol)) return 'Dropped before ESP: nobody on the node takes this protocol.';
  if (ids.includes('udp.dstport')) return 'Dropped before ESP: nobody listens on this port.';
  return 'Not for this node any more: it forwards the packet, or has no route for it.';
}

/** Does the field say what comes next in an IP packet? */
export function isProtocol(id: string): boolean {
  return id === 'ip.proto' || id === 'ipv6.nxt';
}

function whyDropped(
  { reason, look }: DropRow,
  ids: readonly string[],
  security: EspSecurity | undefined,
): string[] {
  switch (reason) {
    case 'bad-icv':
      return [
        whyBadIcv(ids),
        ...(security?.sequence && ids.includes('esp.seq') ? [security.sequence.how] : []),
      ];
    case 'no-state':
      return [
        'SPI and destination are how the receiver finds the SA; nothing has been decrypted yet.',
        ...(security ? [security.lookup] : []),
      ];
    case 'replay-seen':
    case 'replay-stale':
    case 'replay-zero':
      return [
        'The window is asked before the ICV, because that costs nothing. Had the number been a new one, the ICV would have given it away.',
        ...(security?.window ? [security.window.how] : []),
      ];
    case 'no-route':
      if (ids.some(isProtocol)) {
        return [
          'The protocol number says who gets the packet. The sender is told: ICMP protocol unreachable.',
        ];
      }
      if (ids.includes('udp.dstport')) {
        return ['The port leads to the VXLAN device. The sender is told: ICMP port unreachable.'];
      }
      return ['Only the destination itself looks for an SA. ESP has not been touched.'];
    case 'no-node-id':
      return [
        look,
        'A plain Linux node finds the SA by destination and SPI alone. There nobody would notice: ESP does not cover the outer header in tunnel mode.',
      ];
    case 'bad-vxlan':
      if (ids.some((id) => id.endsWith('.ecn')))
        return [
          'Both bits together say that a queue was full on the way. The packet inside does not understand that, and a sender that is not told goes on as before: the device drops it, as RFC 6040 §4.2 wants.',
        ];
      return ids.some((id) => id.startsWith('vxlan.'))
        ? [
            'The RFC wants one flag, and has receivers pass over all reserved bits. Linux takes only packets without any: what they may mean one day, this kernel does not know. Reserved bits are counted from 6.14 on, in rx_errors of the vxlan device.',
          ]
        : [look];
    case 'ip-header':
      return ids.some((id) => id.endsWith('.checksum'))
        ? [
            'The checksum does not fit the header. Everybody can compute one, so it stops accidents, and no attacker.',
          ]
        : [look];
    default:
      return [look];
  }
}

/** What the field has to do with the ICV. */
function whyBadIcv(ids: readonly string[]): string {
  if (ids.includes('esp.icv'))
    return 'The packet is as it was, and the value that vouches for it is not: both have to fit.';
  if (ids.includes('esp.seq')) {
    return 'The number is authenticated though it is not encrypted, so whoever changes it breaks the ICV.';
  }
  if (ids.includes('esp.iv')) {
    return 'The IV is a part of what the ICV is made from. Decrypted with another one the text would be another, too.';
  }
  if (ids.some((id) => id.startsWith('esp.'))) {
    return 'Only who has the key can make the ICV, and a single changed bit makes another one. Nothing of the text is used.';
  }
  return 'Where the packet ends has changed, so the receiver takes the wrong bytes for the ICV.';
}

function delivered(packet: PagePacket, { delivered: got }: Arrival, hit: readonly Place[]): Fate {
  const isSame = got !== undefined && equalBytes(deliveredOf(packet), got);
  const why = [...new Set(hit.map(({ field }) => UNNOTICED[field.id] ?? NOT_LOOKED_AT))];
  return {
    outcome: isSame ? 'unnoticed' : 'changed',
    headline: isSame
      ? 'Nobody notices. The pod gets the same packet.'
      : 'It is delivered, and the pod gets another packet than was sent.',
    counter: undefined,
    why: hit.length > 0 ? why : [],
    rule: undefined,
  };
}

const DELIVERED = new WeakMap<PagePacket, Uint8Array>();

/** What the pod gets when nothing is altered. */
function deliveredOf(packet: PagePacket): Uint8Array {
  let bytes = DELIVERED.get(packet);
  if (!bytes) {
    bytes = arrive(packet, packet.shown.bytes).delivered!;
    DELIVERED.set(packet, bytes);
  }
  return bytes;
}

const NOT_LOOKED_AT = 'It lies outside what ESP protects, and this receiver does not look at it.';
