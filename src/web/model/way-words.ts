/**
 * What every step of a packet's way is, and why it is so, in words, and where to read on.
 * @module
 */
import { formatVersion } from '../../cilium/version.ts';
import { payloadLength } from '../../ipsec/padding.ts';
import { formatAddress } from '../../wire/address.ts';
import type { StepId } from './way.ts';
import { VERSION_OF, type WayRecord } from './way-network.ts';

export interface Words {
  readonly title: string;
  readonly what: string;
  readonly why: string;
  /** `RFC 4303 §3.3.3`, `Cilium 1.18: bpf/bpf_host.c`. */
  readonly references: readonly string[];
}

/** The words of a step. */
export function wordsOf(id: StepId, r: WayRecord): Words {
  return WORDS[id](r);
}

const WORDS: Readonly<Record<StepId, (r: WayRecord) => Words>> = {
  send: () => ({
    title: 'A pod sends',
    what: 'The pod client on node-1 writes a UDP datagram to the pod web on node-2. It leaves the pod in the clear.',
    why: 'The pod knows nothing of IPsec. The nodes encrypt, so no program has to be changed, and none can forget to do it.',
    references: ['RFC 4301 §3.3'],
  }),

  intercept: (r) => {
    const hop = `The node routes it, and a router takes one off the ${isV6(r.sent) ? 'hop limit' : 'TTL'} of what it forwards, so that nothing goes in circles for ever.`;
    const rule =
      'The destination decides. Packets for a pod of the same node never meet the wire, and a host outside the cluster could not decrypt: both stay in the clear.';
    if (r.options.mode === 'vxlan-in-esp')
      return {
        title: 'Intercepted',
        what: `Cilium’s program at the pod asks the ipcache whose address the destination is. It is a pod of ${r.intercepted.peer.name}: the packet goes to the tunnel device.`,
        why: `${rule} From 1.18 on nobody asks about the single packet any more: whatever the overlay carries to another node is encrypted. ${hop}`,
        references: [source(r, 'bpf/bpf_lxc.c'), 'RFC 4301 §5.1', hopReference(r)],
      };
    const where =
      r.options.mode === 'native'
        ? 'Before the packet leaves the node’s device, Cilium’s program there'
        : 'Cilium’s program at the pod';
    return {
      title: 'Intercepted',
      what: `${where} asks the ipcache whose address the destination is. It is a pod of ${r.intercepted.peer.name}, which has published a key: encrypt.`,
      why: `${rule} ${hop}`,
      references: [
        source(r, r.options.mode === 'native' ? 'bpf/bpf_host.c' : 'bpf/bpf_lxc.c'),
        'RFC 4301 §5.1',
        hopReference(r),
      ],
    };
  },

  wrap: (r) => {
    const isInside = r.options.mode === 'vxlan-in-esp';
    const n = isInside ? r.out.sealed.textLen : r.out.bytes.length;
    const added = isInside
      ? payloadLength(r.out.sealed.before, r.out.sealed.textAt, n) - r.sent.length
      : n - (r.out.sa.before + r.out.sealed.textLen + r.out.sealed.icvLen);
    return {
      title: 'Into VXLAN',
      what: `The tunnel device puts ${added} bytes before the ${isInside ? 'packet' : 'ESP packet'}: IP from node to node, UDP, VXLAN with the sender’s identity as VNI, and an Ethernet header.`,
      why: isInside
        ? 'The network between the nodes then need not know the addresses of pods, and the receiver learns from the VNI who has sent it: policies are about identities. From 1.18 on VXLAN comes first and is encrypted with the packet, identity and all.'
        : 'The network between the nodes then need not know any address of the pods’ range, CiliumInternalIPs included. Up to 1.17 VXLAN comes last, around ESP: whoever listens can read the VNI, and with it the sender’s identity. From 1.18 on it is the other way round.',
      references: ['RFC 7348 §5', source(r, isInside ? 'bpf/bpf_overlay.c' : 'bpf/bpf_host.c')],
    };
  },

  sa: (r) => ({
    title: 'SA found',
    what: `The packet bears a mark that names the peer and the key. The first policy with this mark that covers the ${r.options.mode === 'vxlan-in-esp' ? 'VXLAN packet' : 'packet'} asks for one tunnel and one SPI, and one SA has both.`,
    why: 'An SA is one direction of one tunnel under one key, derived from the cluster’s key, both addresses and both boot ids: what one node loses opens nothing of the others. A marked packet that finds no SA is dropped (XfrmOutNoStates). It never leaves in the clear.',
    references: ['RFC 4301 §4.4.1', 'RFC 4303 §3.3.1', source(r, 'pkg/datapath/linux/ipsec.go')],
  }),

  number: (r) => ({
    title: 'Sequence number',
    what: `The SA counts one up, and the ESP header comes before the packet: the SPI, by which the receiver finds the SA, and ${r.out.sa.esn ? 'the low half of the number' : 'the number'}.`,
    why: r.out.sa.esn
      ? 'By its number the receiver knows a packet that comes a second time. The number also makes the nonce, so none may come twice. With ESN it has 64 bits, and the counter never ends; only 32 of them are sent, the receiver infers the others.'
      : 'By its number the receiver knows a packet that comes a second time. The number also makes the nonce, so none may come twice: after 2^32−1 the SA stops, and nothing leaves until a new key is there.',
    references: ['RFC 4303 §3.3.3', 'RFC 4303 §2.1', r.out.sa.esn ? 'RFC 4303 §2.2.1' : 'RFC 4303 §2.2'],
  }),

  trailer: (r) => {
    const { before, textAt, textLen } = r.out.sealed;
    const pad = textLen - payloadLength(before, textAt, textLen) - 2;
    return {
      title: 'Padding and trailer',
      what: `The padding, ${pad === 1 ? '1 byte' : `${pad} bytes`}, goes behind the packet and counts up from 1. Then comes how long it is, and what kind of packet stands in front of it.`,
      why: 'ESP wants its trailer to end on a multiple of 4 bytes; GCM itself needs no padding, a block cipher such as CBC would. In tunnel mode the next header is 4 or 41: a whole IP packet. All of it will be encrypted, so nobody outside sees how much is padding.',
      references: ['RFC 4303 §2.4', 'RFC 4303 §2.5', 'RFC 4303 §2.6'],
    };
  },

  nonce: () => ({
    title: 'Nonce = salt ‖ IV',
    what: 'AES-GCM wants 12 bytes that never come twice under one key. Four are the salt, a secret that comes with the key. Eight are the IV, which goes into the packet.',
    why: 'A nonce used twice gives both texts away, and the means to forge. So the IV is made from the number, which is never used twice. Linux XORs it with a random value of the SA: the IV does not tell how many packets there were. The receiver takes the IV from the packet and need not know how it was made.',
    references: ['RFC 4106 §4', 'RFC 4106 §3.1', 'Linux: crypto/seqiv.c'],
  }),

  aad: (r) => ({
    title: 'AAD',
    what: `Additional authenticated data: SPI and number${r.out.sa.esn ? ', both halves of it' : ''}. The receiver has to read them before it can decrypt, so they stay in the clear; the ICV covers them.`,
    why: r.out.sa.esn
      ? 'Without it a listener could give an old packet a new number. The high half stands only here: it is never sent, and a receiver that infers another one finds the ICV wrong. The outer IP header is not in it: routers change that.'
      : 'Without it a listener could give an old packet a new number. Without ESN these are just the first 8 bytes of the packet. The outer IP header is not in it: routers change that.',
    references: ['RFC 4106 §5', 'RFC 4303 §3.3.2.2'],
  }),

  seal: (r) => ({
    title: 'Sealed',
    what: `AES-GCM encrypts the ${r.out.sealed.textLen} bytes from the inner header to the trailer where they lie, and puts an ICV of ${r.out.sealed.icvLen} bytes behind them.`,
    why: 'Encryption hides, but does not protect from change: a flipped bit would come out as a flipped bit. The ICV does. Nobody makes one without the key, and one bit changed in SPI, number, IV or text makes it wrong. Every byte keeps its place: GCM is a stream, and does not hide how long the packet is.',
    references: ['RFC 4303 §3.3.2.2', 'RFC 4106 §6', 'RFC 4303 §2.8'],
  }),

  outer: (r) => {
    const { src, dst } = r.out.sa.config;
    const isNode = r.options.mode === 'vxlan-in-esp';
    return {
      title: 'Outer header',
      what: `An IP header of its own goes before: from ${formatAddress(src)} to ${formatAddress(dst)}, ${isV6(r.sent) && !isNode ? 'next header' : 'protocol'} 50, which is ESP.`,
      why: `${
        isNode
          ? 'These are the nodes themselves, once more: the VXLAN packet between them is now inside.'
          : 'These are the CiliumInternalIPs of the two nodes. They lie in the pods’ ranges, so what brings pod packets to a node brings ESP, too. Which pods talk stands only inside.'
      } The hop limit is the node’s own, 64; what routers need for queues and congestion is copied from inside.`,
      references: ['RFC 4301 §5.1.2', 'RFC 4303 §3.1.2'],
    };
  },

  wire: (r) => ({
    title: 'On the wire',
    what: `Whoever listens reads the outer header, the SPI, the number and the IV, and sees when the packet comes and how long it is.${r.options.mode === 'esp-in-vxlan' ? ' Here also the VNI, and so the sender’s identity.' : ''} The rest looks like chance.`,
    why: `It is ${r.wire.length - r.sent.length} bytes more than the pod sent; that is why Cilium gives pods a smaller MTU. Length and time are not hidden; TFC padding and dummy packets could do that. Linux pads only where an SA asks for it, and Cilium’s do not.`,
    references: ['RFC 4303 §2', 'RFC 4303 §2.7', source(r, 'pkg/mtu/mtu.go')],
  }),

  unwrap: (r) =>
    r.options.mode === 'vxlan-in-esp'
      ? {
          title: 'Out of VXLAN',
          what: 'What came out of ESP is a UDP packet for the node’s VXLAN port. The tunnel device takes the frame out, and Cilium’s program there takes the identity of the sender from the VNI.',
          why: 'This VNI can be trusted: it was inside ESP, so a node of the cluster has written it, and nobody has read or changed it on the way. Up to 1.17 it travelled in the clear, and could not be.',
          references: ['RFC 7348 §4', source(r, 'bpf/bpf_overlay.c')],
        }
      : {
          title: 'Out of VXLAN',
          what: 'The frame is for the node’s own address and VXLAN port, so the tunnel device takes it out. What it carries is ESP for the node’s CiliumInternalIP: on to IPsec.',
          why: 'Nothing has vouched for the VXLAN header: anybody on the wire could have written this VNI. It is forgotten, and the sender’s identity will come from the ipcache, by the inner source address.',
          references: ['RFC 7348 §4', source(r, 'bpf/bpf_overlay.c')],
        },

  spi: (r) => ({
    title: 'SPI lookup',
    what: 'Cilium’s program marks the packet by its source: which node, and decrypt. The kernel then looks for the SA with this destination, this SPI and this mark.',
    why: 'With Cilium the SPI is the key id, the same for all peers, and each of them has a key of its own: so the mark has to tell them apart. Node ids are local: every node draws its own at random. Where no SA fits, Linux counts XfrmInNoStates; where the source is no known node, Cilium drops the packet before.',
    references: [
      'RFC 4303 §3.4.2',
      source(r, r.options.mode === 'esp-in-vxlan' ? 'bpf/bpf_overlay.c' : 'bpf/bpf_host.c'),
      source(r, 'pkg/datapath/linux/node_ids.go'),
    ],
  }),

  window: (r) => ({
    title: 'Window check',
    what: `The window says which of the last ${r.into.sa.window.size} numbers have come. Number ${r.into.number.lo} is above its top: it has not come before.`,
    why: `A packet that has come before stops here, before anything is spent on it (XfrmInStateSeqError). The window does not move yet: the number is only what the packet claims, and a forged one must not push the window on.${
      r.into.sa.esn
        ? ' With ESN the high half is inferred from where the window stands. For a number too old it is inferred too high, the ICV fails, and Linux counts XfrmInStateProtoError.'
        : ''
    }`,
    references: ['RFC 4303 §3.4.3', ...(r.into.sa.esn ? ['RFC 4303 §A2.2'] : [])],
  }),

  open: () => ({
    title: 'Opened',
    what: 'The receiver puts together the same nonce, salt from the SA and IV from the packet, and the same AAD. The ICV that they give is the one in the packet: the text is decrypted where it lies.',
    why: 'The ICV comes first, and nothing of a packet with a wrong one is looked at. It is compared in constant time, so that guesses cannot be told from near guesses. Were it wrong: XfrmInStateProtoError, and nothing else changes.',
    references: ['RFC 4303 §3.4.4.2', 'RFC 4106 §6'],
  }),

  moved: (r) => ({
    title: 'Window moved',
    what: `The packet is authentic, so number ${r.into.number.lo} is marked as seen and becomes the top of the window.`,
    why: 'Only now: who moves the window before the ICV is checked lets everybody who can send one packet shut all others out. From now on a copy of this packet is a replay. No byte of the packet has changed.',
    references: ['RFC 4303 §3.4.3'],
  }),

  inner: (r) => ({
    title: 'Inner checks',
    what: `Pad length and next header say what the payload is. It must be an IP packet with a sound header, no longer than what came, and the SA and the inbound policy must allow it. Then all around it goes: ${bytesOff(r)} bytes.`,
    why: 'Authentic does not mean harmless: a peer may be broken, or taken over. The selectors are there so that it cannot send as somebody else; Cilium’s SAs allow any address, and its policies by identity come later. If a router on the way has marked congestion outside, the mark is taken over inside.',
    references: ['RFC 4301 §5.2', 'RFC 4303 §2.4', 'RFC 4301 §5.1.2.1'],
  }),

  delivered: (r) => ({
    title: 'Delivered',
    what: `The inner destination is the pod web, and there the packet goes: what the pod client sent, byte for byte, but for the ${isV6(r.sent) ? 'hop limit' : 'TTL and the header checksum'}.`,
    why: `ESP does not touch the ${isV6(r.sent) ? 'hop limit' : 'TTL'} of what it carries; each node has taken one as a router. The identity of the sender ${
      r.options.mode === 'vxlan-in-esp' ? 'came in the VNI' : 'comes from the ipcache'
    }, and Cilium’s network policies are asked by it before the pod sees the packet.`,
    references: ['RFC 4301 §5.2', hopReference(r), source(r, 'bpf/bpf_lxc.c')],
  }),
};

/** How many bytes around the inner packet go. */
function bytesOff({ into }: WayRecord): number {
  const { opened, sa } = into;
  const { after, textAt, textLen, icvLen } = opened;
  return sa.before + textLen - payloadLength(after, textAt, textLen) + icvLen;
}

function source({ options }: WayRecord, file: string): string {
  return `Cilium ${formatVersion(VERSION_OF[options.mode])}: ${file}`;
}

function hopReference({ sent }: WayRecord): string {
  return isV6(sent) ? 'RFC 8200 §3' : 'RFC 1812 §5.3.1';
}

function isV6(packet: Uint8Array): boolean {
  return packet[0]! >>> 4 === 6;
}
