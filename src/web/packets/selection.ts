/**
 * Which packets of `pcaps/` the page shows. Their bytes, keys and nodes are taken from there when the page is built
 * (`scripts/web-packets.ts`); nothing is copied by hand.
 * @module
 */

/** A frame of a capture, and what is needed to open it. */
export interface PacketChoice {
  /** Its name in addresses. */
  readonly id: string;
  readonly title: string;
  /** What there is to see in it, in a sentence. */
  readonly about: string;
  /** Folder in `pcaps/` with `wire.pcap`, `keys` and `ciliumnodes.json`. */
  readonly folder: string;
  /** 1-based. */
  readonly frame: number;
  /** Frames before it in the same stream, so that the window stands somewhere. */
  readonly before: readonly number[];
  /** Cilium version that the keys are read for. */
  readonly cilium: string;
  /** The pod that it goes to. */
  readonly pod: string;
  /** How its cluster routes. */
  readonly mode: 'native' | 'tunnel';
}

export const SELECTION = [
  {
    id: 'native-v4',
    title: 'Native routing, IPv4',
    about:
      'Cilium 1.17 and later: an IPv4 packet in ESP between two nodes, AES-GCM, a key for each tunnel, ESN.',
    folder: 'linux-6.1/native-v4',
    frame: 9,
    before: [1, 3, 5, 7],
    cilium: '1.20',
    pod: '10.244.2.20',
    mode: 'native',
  },
  {
    id: 'native-v6',
    title: 'Native routing, IPv6',
    about: 'The same with IPv6 inside and outside.',
    folder: 'linux-6.1/native-v6',
    frame: 9,
    before: [1, 3, 5, 7],
    cilium: '1.20',
    pod: 'fd00:10:244:2::20',
    mode: 'native',
  },
  {
    id: 'vxlan-in-esp',
    title: 'VXLAN in ESP',
    about: 'Tunnel mode from Cilium 1.18: the overlay packet with its identity is hidden in ESP.',
    folder: 'linux-6.1/vxlan-in-esp',
    frame: 10,
    before: [1, 4, 7],
    cilium: '1.20',
    pod: '10.244.2.20',
    mode: 'tunnel',
  },
  {
    id: 'esp-in-vxlan',
    title: 'ESP in VXLAN',
    about: 'Tunnel mode up to Cilium 1.17: ESP travels in the overlay, so everybody reads the identity.',
    folder: 'linux-6.1/esp-in-vxlan',
    frame: 11,
    before: [3, 7, 9],
    cilium: '1.17',
    pod: '10.244.2.20',
    mode: 'tunnel',
  },
  {
    id: 'cbc',
    title: 'AES-CBC with HMAC',
    about:
      'An older suite: encrypted in blocks, then authenticated with HMAC-SHA-256, whose ICV the kernel cuts to 96 bits.',
    folder: 'linux-6.1/cbc-sha256',
    frame: 9,
    before: [1, 3, 5, 7],
    cilium: '1.20',
    pod: '10.244.2.20',
    mode: 'native',
  },
  {
    id: 'global-key',
    title: 'One key for all',
    about: 'Cilium up to 1.16 without `+`: one key on all nodes, no ESN, and no replay window.',
    folder: 'linux-6.1/global-key-v4',
    frame: 9,
    before: [1, 3, 5, 7],
    cilium: '1.16',
    pod: '10.244.2.20',
    mode: 'native',
  },
] as const satisfies readonly PacketChoice[];
