/**
 * Why no receiver notices when these fields change on the way. All lie outside what ESP protects.
 * @module
 */
const HOPS =
  'Every router on the way lowers it, so the sender cannot vouch for it: it is neither encrypted nor authenticated. The node is the end of the outer way, and asks for no more hops.';
const DSCP =
  'Routers may rewrite it, so nothing vouches for it. The outer header is thrown away after decryption, and Linux copies no DSCP inwards.';
const ECN =
  'Routers mark congestion here, with both bits. Only that mark goes inwards, and only where the inner packet says that it understands it (RFC 6040).';
const VXLAN_MAC = 'A pod packet in the overlay is routed by its IP address; each node is known by that.';

/** By field id. */
export const UNNOTICED: Readonly<Record<string, string>> = {
  'eth.src': 'The card looks at whom a frame is for, not at who sent it.',
  'eth.dst': VXLAN_MAC, // of the frame in the overlay: another station's the card passes over
  'ip.dsfield.dscp': DSCP,
  'ipv6.tclass.dscp': DSCP,
  'ip.dsfield.ecn': ECN,
  'ipv6.tclass.ecn': ECN,
  'ip.id': 'It only tells which fragments belong together, and this packet is whole.',
  'ip.flags.rb': 'Nobody has a use for it, and Linux does not look.',
  'ip.flags.df': 'A word to routers, and the packet has arrived.',
  'ip.ttl': HOPS,
  'ipv6.hlim': HOPS,
  'ipv6.flow': 'Routers spread flows by it. The receiver does not look.',
  'ip.src':
    'The VXLAN device of Cilium takes packets from everybody. Who sent the packet inside, ESP will tell.',
  'udp.srcport': 'Routers spread flows by it. The VXLAN device does not look.',
  'vxlan.vni':
    "The sender's identity, for everybody to read and to change: ESP inside does not cover it. What is decrypted gets its identity by its address instead.",
};
