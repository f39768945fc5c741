/**
 * What carries packets and has no reader of its own: link layers beside Ethernet, and tunnels. Each header is one layer,
 * as long as the decryptor takes it to be.
 * @module
 */
import { LAYER_NAMES, readLayer } from '../../wire/carrier.ts';
import { type As, Layer, type LayerKind } from '../../wire/layer.ts';
import { readTrailer } from './link.ts';
import type { IpContext, Walker } from './walker.ts';

interface Words {
  readonly meaning: string;
  readonly reference: string;
  /** What its number is. */
  readonly id?: string;
}

const TUNNEL = 'Carries a packet inside another.';
const FRAME_TUNNEL = 'Carries an Ethernet frame inside an IP packet.';
const FIRST = 'What this link puts in front of packets.';

const WORDS: Readonly<Record<LayerKind, Words>> = {
  null: { meaning: FIRST, reference: 'LINKTYPE_NULL' },
  eth: { meaning: FIRST, reference: 'IEEE 802.3 §3.2' },
  ppp: { meaning: 'From one end of a line to the other.', reference: 'RFC 1661 §2' },
  chdlc: { meaning: 'From one end of a line to the other.', reference: 'RFC 1547 §4.3.1' },
  fr: { meaning: 'One of several circuits of a line.', reference: 'RFC 2427 §3' },
  nflog: {
    meaning: "What Linux's netfilter says of a packet that a rule logs.",
    reference: 'LINKTYPE_NFLOG',
  },
  enc: {
    meaning: 'What a BSD says of a packet that it takes out of IPsec, or puts in.',
    reference: 'LINKTYPE_ENC',
  },
  radiotap: { meaning: 'What the radio says of a frame.', reference: 'https://www.radiotap.org' },
  wlan: { meaning: 'From station to station by radio.', reference: 'IEEE 802.11 §9.2' },
  ppi: { meaning: 'What was known of a frame when it was captured.', reference: 'LINKTYPE_PPI' },
  pktap: {
    meaning: 'What macOS says of a packet: its interface, and the program it is of.',
    reference: 'LINKTYPE_PKTAP',
  },
  ipoib: { meaning: 'IP over InfiniBand.', reference: 'RFC 4391 §6' },
  ipnet: { meaning: 'What Solaris says of a packet between its zones.', reference: 'LINKTYPE_IPNET' },
  sll: { meaning: FIRST, reference: 'LINKTYPE_LINUX_SLL' },
  direction: { meaning: 'Did it come, or was it sent?', reference: 'LINKTYPE_PPP_WITH_DIR' },
  vlan: {
    meaning: 'Says which virtual LAN the frame belongs to.',
    reference: 'IEEE 802.1Q §9.6',
    id: 'VLAN',
  },
  vntag: { meaning: 'Says which virtual interface the frame belongs to.', reference: 'VN-Tag' },
  pbb: { meaning: "A provider's frame around a customer's.", reference: 'IEEE 802.1ah', id: 'service' },
  pppoe: { meaning: 'A PPP session on Ethernet.', reference: 'RFC 2516 §4', id: 'session' },
  mpls: { meaning: 'Labels that routers forward by.', reference: 'RFC 3032 §2', id: 'label' },
  llc: { meaning: 'Says what a frame carries whose type field is a length.', reference: 'IEEE 802.2' },
  ip: { meaning: TUNNEL, reference: 'RFC 2003' },
  ah: {
    meaning: 'Authenticates the packet, and hides nothing. Its ICV is not checked here.',
    reference: 'RFC 4302 §2',
  },
  gre: { meaning: TUNNEL, reference: 'RFC 2784 §2', id: 'key' },
  erspan: { meaning: 'A copy of a frame, from a switch that mirrors.', reference: 'draft-foschiano-erspan' },
  etherip: { meaning: FRAME_TUNNEL, reference: 'RFC 3378 §3' },
  vxlan: { meaning: FRAME_TUNNEL, reference: 'RFC 7348 §5', id: 'VNI' },
  'vxlan-gpe': { meaning: TUNNEL, reference: 'draft-ietf-nvo3-vxlan-gpe', id: 'VNI' },
  geneve: { meaning: TUNNEL, reference: 'RFC 8926 §3.4', id: 'VNI' },
  gtpu: { meaning: "A mobile network's tunnel.", reference: '3GPP TS 29.281 §5.1', id: 'TEID' },
  teredo: { meaning: 'IPv6 through a NAT.', reference: 'RFC 4380 §5.1.1' },
};

interface Around {
  /** Where the Ethernet frame around it starts, -1 without. */
  readonly frameAt?: number;
  /** The IP packet around it. */
  readonly ip?: IpContext;
  /** Where the layer starts: the header of a datagram has been shown before. */
  readonly from?: number;
  /** What it is called where nothing more is known of it. */
  readonly otherwise?: string | undefined;
}

/** Reads `b[at..end)` as `wire/carrier.ts` does, and what it carries. */
export function readCarrier(
  w: Walker,
  as: As,
  value: number,
  at: number,
  end: number,
  { frameAt = -1, ip, from = at, otherwise }: Around = {},
): void {
  if (w.tooDeep(from, end)) return;
  const layer = new Layer();
  readLayer(layer, as, value, w.b, at, end);
  const { kind, outcome, id } = layer;
  if (outcome === 'broken') {
    w.unreadable(from, end, kind, `${LAYER_NAMES[kind]} is cut off, or damaged`);
    return;
  }
  if (outcome === 'unknown' || outcome === 'nothing') {
    w.data(from, end, { label: otherwise ?? (outcome === 'unknown' ? layer.what : 'Payload') });
    return;
  }
  const words = WORDS[kind];
  w.layer({
    id: kind,
    label: LAYER_NAMES[kind],
    at: from,
    end: layer.at,
    text: id >= 0 && words.id !== undefined ? `${words.id} ${id}` : '',
    meaning: words.meaning,
    reference: words.reference,
  });
  // Behind an end that the header gives lies what is no part of the packet.
  const trailerAt = layer.end < end ? -1 : frameAt;
  switch (layer.as) {
    case 'link':
      w.next.link(w, layer.value, layer.at, layer.end);
      break;
    case 'ethertype':
      w.next.etherType(w, layer.value, layer.at, layer.end, trailerAt);
      break;
    case 'ip':
      w.next.ip(w, layer.at, layer.end, trailerAt, ip?.quoted);
      break;
    case 'protocol':
      if (ip) w.next.protocol(w, layer.value, layer.at, layer.end, ip);
      break;
    default:
      readCarrier(w, layer.as, layer.value, layer.at, layer.end, { frameAt: trailerAt });
  }
  readTrailer(w, layer.end, end, frameAt);
}
