import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/base/bytes.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { planAgent } from '../../src/cilium/agent-plan.ts';
import { parseNodes } from '../../src/cilium/nodes.ts';
import { readKeys } from '../../src/cilium/secret.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import type { NodeObserver } from '../../src/node/node.ts';
import { NO_VXLAN, Overlay } from '../../src/node/overlay.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as geneve from '../../src/wire/geneve.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { Batch } from '../../src/wire/packet.ts';
import * as udp from '../../src/wire/udp.ts';
import * as vxlan from '../../src/wire/vxlan.ts';
import { GCM, ip, keysFrom, nodeObject, nodesFrom } from '../support/cilium-cluster.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';
import { ipv4Packet, ipv6Packet, RANDOM } from '../support/sa.ts';
import { ends, IDS, podNode, type TwoNodesOptions, twoNodes } from '../support/two-nodes.ts';

const ESP = 50;
const ID = 41_234;
const NEW = { mode: 'tunnel', identity: ID } as const satisfies TwoNodesOptions;
const OLD = { ...NEW, version: parseVersion('1.17') } as const satisfies TwoNodesOptions;
const GENEVE = { tunnelProtocol: 'geneve' } as const;
const noKeyThere = nodesFrom(podNode(1), podNode(2, { encryption: { key: 0 } }));
const noKeyHere = nodesFrom(podNode(1, { encryption: { key: 0 } }), podNode(2));

/** Nodes that have only IPv6 between them. */
const V6_NODES = nodesFrom(
  ...[1, 2].map((i) => {
    const object = podNode(i);
    const addresses = nodeObject(i).spec.addresses.filter(({ ip: text }) => !text.startsWith('192.'));
    return { ...object, spec: { ...object.spec, addresses } };
  }),
);

const BOTH = nodesFrom(podNode(1), podNode(2));

/** What a frame is, from outside in: protocols, and VNI. */
function layers(frame: Uint8Array): string {
  const isV4 = frame[0]! >>> 4 === 4;
  const protocol = isV4 ? frame[9] : frame[6];
  if (protocol === ESP) return 'esp';
  if (protocol !== udp.PROTOCOL) return 'clear';
  const at = isV4 ? 20 : 40;
  const inner = frame.subarray(at + 8 + 8 + 14);
  if (udp.dstPort(frame, at) === geneve.PORT) return `geneve ${geneve.vni(frame, at + 8)} ${layers(inner)}`;
  if (udp.dstPort(frame, at) !== vxlan.PORT_LINUX) return 'clear';
  return `vxlan ${vxlan.vni(frame, at + 8)} ${layers(inner)}`;
}

function send(packet: Uint8Array, options: TwoNodesOptions) {
  const two = twoNodes(options);
  two.send('a1', packet);
  return { two, wire: two.wire.map(layers), out: two.nodes[0].stats(), into: two.nodes[1].stats() };
}

describe('pod to pod over the overlay', () => {
  it.each([
    ['from 1.18: VXLAN in ESP', NEW, 'esp'],
    ['to 1.17: ESP in VXLAN, with the identity in the clear', OLD, `vxlan ${ID} esp`],
    ['from 1.18, IPv6 between the nodes', { ...NEW, nodes: V6_NODES }, 'esp'],
    ['to 1.17, IPv6 between the nodes', { ...OLD, nodes: V6_NODES }, `vxlan ${ID} esp`],
    ['from 1.18: Geneve in ESP', { ...NEW, plan: GENEVE }, 'esp'],
    ['to 1.17: ESP in Geneve', { ...OLD, plan: GENEVE }, `geneve ${ID} esp`],
    [
      'to 1.17: ESP in Geneve, IPv6 between the nodes',
      { ...OLD, plan: GENEVE, nodes: V6_NODES },
      `geneve ${ID} esp`,
    ],
    [
      'from 1.18, AES-CBC and IPv6 between the nodes, which has the longest headers',
      {
        ...NEW,
        nodes: V6_NODES,
        keys: keysFrom(`3+ hmac(sha256) ${'ab'.repeat(32)} cbc(aes) ${'cd'.repeat(16)}`),
      },
      'esp',
    ],
  ] as const)('%s', (_, options, want) => {
    for (const packet of [ipv4Packet(100, ends('a1', 'b1')), ipv6Packet(100, ends('a1', 'b1', 6))]) {
      const { two, wire, out, into } = send(packet, options);
      expect(wire).toEqual([want]);
      expect(out.out).toMatchObject({ encrypted: 1, clear: 0, drops: {} });
      expect(into.in).toMatchObject({ esp: 1, decrypted: 1, delivered: 1, drops: {} });
      // As it was sent, two hops on.
      const [got] = two.got.b1;
      expect(got!.subarray(packet[0]! >>> 4 === 4 ? 12 : 8)).toEqual(
        packet.subarray(packet[0]! >>> 4 === 4 ? 12 : 8),
      );
    }
  });

  it('many packets of several flows in one batch', () => {
    for (const options of [NEW, OLD]) {
      const two = twoNodes(options);
      const packets = Array.from({ length: 40 }, (_, i) =>
        i % 3 === 0
          ? ipv6Packet(60 + i, ends('a1', 'b1', 6))
          : ipv4Packet(60 + i, ends('a1', i % 2 ? 'b1' : 'a2')),
      );
      two.send('a1', ...packets);
      const toB1 = packets.filter((_, i) => i % 3 === 0 || i % 2 === 1);
      expect(two.got.b1.map(({ length }) => length)).toEqual(toB1.map(({ length }) => length));
      expect(two.got.a2).toHaveLength(packets.length - toB1.length);
    }
  });

  it('runs over IPv6 between nodes that have both, with underlay-protocol: ipv6, and keeps 70 bytes for it', () => {
    const two = twoNodes({ ...NEW, plan: { underlay: 'ipv6' } });
    const packet = ipv4Packet(100, ends('a1', 'b1'));
    two.send('a1', packet);
    expect(two.wire[0]![0]! >>> 4).toBe(6);
    expect(two.got.b1).toHaveLength(1);
    const other = twoNodes(NEW);
    other.send('a1', packet);
    expect(other.wire[0]![0]! >>> 4).toBe(4);
    const reserve = (plan: TwoNodesOptions['plan']) =>
      planAgent(BOTH[0]!, keysFrom(`3+ ${GCM}`), BOTH, IDS[0], { mode: 'tunnel', ...plan }).mtuReserve;
    expect([reserve({}), reserve({ underlay: 'ipv6' })]).toEqual([127, 147]);
  });

  it('takes Geneve with options, which Linux does not look at; no other version and no other protocol', () => {
    const two = twoNodes({ ...OLD, plan: GENEVE });
    two.send('a1', ipv4Packet(100, ends('a1', 'b1')));
    const frame = two.wire[0]!;
    const header = 20 + 8;
    const change = (edit: (b: Uint8Array) => void, extra: Uint8Array = new Uint8Array(0)) => {
      const b = Uint8Array.from([...frame.subarray(0, header + 8), ...extra, ...frame.subarray(header + 8)]);
      edit(b);
      ipv4.setTotalLength(b, 0, b.length);
      ipv4.fillChecksum(b, 0);
      udp.setLength(b, 20, b.length - 20);
      const one = twoNodes({ ...OLD, plan: GENEVE });
      one.inject(2, b);
      return one.got.b1.length;
    };
    const options = Uint8Array.from({ length: 8 }, (_, i) => i);
    expect(change(() => {})).toBe(1);
    expect(change((b) => b.set([2], header), options)).toBe(1);
    expect(change((b) => b.set([0x40], header))).toBe(0);
    expect(change((b) => b.set([8], header + 2))).toBe(0);
    expect(change((b) => b.set([63], header))).toBe(0);
  });

  // docs/cilium.md, "Overlays": from the VNI; what was decrypted up to 1.17 has none any more, the ipcache says it.
  it.each([
    ['from 1.18 from the VNI', NEW, ID],
    ['to 1.17 from the ipcache', OLD, 3],
  ] as const)('knows the identity %s', (_, options, want) => {
    const identities: number[] = [];
    send(ipv4Packet(100, ends('a1', 'b1')), { ...options, observer: senders(identities) });
    expect(identities).toEqual([want]);
  });

  it('carries ECN through both headers', () => {
    const two = twoNodes(NEW);
    two.send('a1', ipv4Packet(100, { ...ends('a1', 'b1'), tos: 0xba })); // DSCP 46, ECT(0)
    expect(two.wire[0]![1]! & 0xff).toBe(0x02);
    const marked = two.wire[0]!.slice();
    marked[1]! |= 3; // congestion on the way
    ipv4.fillChecksum(marked);
    const other = twoNodes(NEW);
    other.inject(2, marked);
    expect(other.got.b1[0]![1]).toBe(0xbb);
  });
});

describe('what else the overlay carries, and how', () => {
  const toB1 = ipv4Packet(100, ends('a1', 'b1'));
  it.each([
    [
      'from 1.18: from the node itself, encrypted too',
      NEW,
      ipv4Packet(100, ends('10.244.1.1', 'b1')),
      'esp',
      'encrypt',
    ],
    [
      'to 1.17: from the node itself, in the clear as remote-node',
      OLD,
      ipv4Packet(100, ends('10.244.1.1', 'b1')),
      'vxlan 6 clear',
      'from-host',
    ],
    ['to 1.17: to a peer without a key', { ...OLD, nodes: noKeyThere }, toB1, `vxlan ${ID} clear`, 'no-key'],
    [
      'to 1.17: while the own key is not loaded',
      { ...OLD, nodes: noKeyHere },
      toB1,
      `vxlan ${ID} clear`,
      'no-key',
    ],
    [
      'to another node itself, past the overlay',
      NEW,
      ipv4Packet(100, ends('a1', '192.168.7.2')),
      'clear',
      'to-node',
    ],
    ['to a database outside', NEW, ipv4Packet(100, ends('a1', '198.51.100.7')), 'clear', 'off-cluster'],
  ] as const)('%s', (_, options, packet, want, decision) => {
    const { wire, out } = send(packet, options);
    expect(wire).toEqual([want]);
    expect(out.decisions).toEqual({ [decision]: 1 });
  });

  it.each([
    ['a peer without a key', { ...NEW, nodes: noKeyThere }, 'out-policy-block'],
    ['no own key', { ...NEW, nodes: noKeyHere }, 'out-policy-block'],
    ['no node id', { ...NEW, ids: [new Map(), IDS[1]] as const }, 'no-node-id'],
    ['no SA', { ...NEW, change: (plan) => ({ ...plan, sas: [] }) } as TwoNodesOptions, 'out-no-state'],
    [
      'no policy',
      { ...NEW, change: (plan) => ({ ...plan, policies: [] }) } as TwoNodesOptions,
      'out-policy-block',
    ],
  ] as const)('from 1.18 nothing leaves with %s', (_, options, reason) => {
    const { wire, out } = send(toB1, options);
    expect(wire).toEqual([]);
    expect(out.out.drops).toEqual({ [reason]: 1 });
  });

  it('strict mode lets packets to nodes pass in an overlay', () => {
    const strict = parsePrefix('0.0.0.0/0')!;
    const packet = ipv4Packet(100, ends('a1', '192.168.7.2'));
    expect(send(packet, { ...NEW, strict }).out.out.clear).toBe(1);
    expect(send(packet, { strict }).out.out.drops).toEqual({ unencrypted: 1 });
    expect(send(packet, { strict, strictAllowsNodes: true }).out.out.clear).toBe(1);
  });
});

/** VXLAN as another node would send it, with `change` made to the frame. */
function frame(inner: Uint8Array, vni: number, change: (b: Uint8Array) => void = () => {}): Uint8Array {
  const batch = new Batch({ capacity: 1 });
  batch.push(inner);
  new Overlay(0).wrap(batch, 0, { src: ip('192.168.7.1'), dst: ip('192.168.7.2') }, vni);
  const made = batch.copy(0);
  change(made);
  return made;
}

/** Writes down the identities of those whose packets come. */
function senders(identities: number[]): NodeObserver {
  return { decrypted: (node, batch) => identities.push(node.routes.senderOf(batch, 0)) };
}

describe('overlay packets that arrive in the clear', () => {
  const inner = ipv4Packet(100, ends('a1', 'b1'));

  it('are delivered, with the identity that they say', () => {
    const identities: number[] = [];
    const two = twoNodes({ ...NEW, observer: senders(identities) });
    two.inject(2, frame(inner, ID));
    expect(two.nodes[1].stats().in).toMatchObject({ clear: 1, delivered: 1, drops: {} });
    expect(identities).toEqual([ID]);
  });

  it.each([
    ['from a host', 'invalid-identity', frame(inner, 1)],
    ['without the flag', 'bad-vxlan', frame(inner, ID, (b) => b.fill(0, 28, 29))],
    [
      'with another flag, which Linux does not ignore',
      'bad-vxlan',
      frame(inner, ID, (b) => b.set([0x88], 28)),
    ],
    ['with reserved bits', 'bad-vxlan', frame(inner, ID, (b) => b.set([1], 31))],
    ['with reserved bits behind the VNI', 'bad-vxlan', frame(inner, ID, (b) => b.set([1], 35))],
    ['with a frame that is not IP', 'bad-vxlan', frame(inner, ID, (b) => b.set([0x08, 0x06], 48))],
    ['with a type that is not the packet', 'bad-vxlan', frame(inner, ID, (b) => b.set([0x86, 0xdd], 48))],
    ['with a UDP length beyond the packet', 'bad-vxlan', frame(inner, ID, (b) => b.set([0x10, 0], 24))],
    ['with a UDP length below the headers', 'bad-vxlan', frame(inner, ID, (b) => b.set([0, 8], 24))],
    ['with a checksum that is wrong', 'bad-vxlan', frame(inner, ID, (b) => b.set([0x12, 0x34], 26))],
    [
      'with congestion that the packet inside does not understand',
      'bad-vxlan',
      frame(inner, ID, (b) => {
        ipv4.setTos(b, 0, 3);
        ipv4.fillChecksum(b);
      }),
    ],
    ['with a damaged packet', 'inner-header', frame(inner, ID, (b) => b.fill(0xff, 60, 62))],
    ['for a pod that is not here', 'no-pod', frame(ipv4Packet(60, ends('a1', '10.244.2.99')), ID)],
  ] as const)('are dropped %s', (_, reason, made) => {
    const two = twoNodes(NEW);
    two.inject(2, made);
    expect(two.nodes[1].stats().in.drops).toEqual({ [reason]: 1 });
    expect(two.got.b1).toEqual([]);
  });

  it('mean nothing in native routing: nobody listens on the port', () => {
    const two = twoNodes();
    two.inject(2, frame(inner, ID));
    expect(two.nodes[1].stats().in.drops).toEqual({ 'no-route': 1 });
  });

  it('are dropped as host traffic when they come encrypted, too', () => {
    const two = twoNodes({ ...NEW, identity: 1 });
    two.send('a1', inner);
    expect(two.nodes[1].stats().in.drops).toEqual({ 'invalid-identity': 1 });
  });
});

describe('how long packets of pods may be', () => {
  // docs/cilium.md, "MTU".
  it.each([
    ['from 1.18', 1373, NEW],
    ['to 1.17', 1373, OLD],
    ['from 1.18 over IPv6', 1353, { ...NEW, nodes: V6_NODES }],
    ['to 1.17 over IPv6', 1353, { ...OLD, nodes: V6_NODES }],
  ] as const)('%s: %i bytes pass whole, one more is answered', (_, most, options) => {
    const df = { ...ends('a1', 'b1'), flags: 2, dontFragment: true };
    const fits = send(ipv4Packet(most, df), options);
    expect(fits.two.got.b1).toHaveLength(1);
    expect(fits.wire).toHaveLength(1);
    expect(fits.two.wire[0]!.length).toBeLessThanOrEqual(1500);
    const { two, out, wire } = send(ipv6Packet(most + 1, ends('a1', 'b1', 6)), options);
    expect([wire, out.out.drops]).toEqual([[], { 'too-big': 1 }]);
    const [answer] = two.got.a1;
    expect(answer![6]).toBe(icmp.PROTOCOL_V6);
    expect([answer![40], answer![46]! * 256 + answer![47]!]).toEqual([2, most]); // packet too big
  });

  it('IPv4 that may be cut is cut outside, and arrives whole', () => {
    for (const options of [NEW, OLD]) {
      const packet = ipv4Packet(1500, { ...ends('a1', 'b1'), dontFragment: false });
      const { two, into } = send(packet, options);
      expect(two.wire.length).toBe(2);
      expect(two.wire.every(({ length }) => length <= 1500)).toBe(true);
      expect(into.in).toMatchObject({ fragments: 2, reassembled: 1, delivered: 1 });
      expect(two.got.b1[0]!.length).toBe(1500);
    }
  });
});

describe('Overlay', () => {
  it.each([4, 6] as const)(
    'makes headers over IPv%i that check, a port for each flow, and takes them off',
    (family) => {
      const nodes = family === 4 ? ['192.168.7.1', '192.168.7.2'] : ['fd07::1', 'fd07::2'];
      const tunnel = { src: ip(nodes[0]!), dst: ip(nodes[1]!) };
      const overlay = new Overlay(0xffff);
      const ports = new Set<number>();
      for (let i = 0; i < 8; i++) {
        const inner =
          i % 2
            ? ipv4Packet(90 + i, ends('a1', `10.244.2.${i}`))
            : ipv6Packet(90 + i, ends('a1', `fd00::${i}`, 6));
        const batch = new Batch({ capacity: 1 });
        batch.push(inner);
        expect(overlay.wrap(batch, 0, tunnel, 0xff_ffff)).toBe(true);
        const made = batch.copy(0);
        const at = family === 4 ? 20 : 40;
        expect(made.length).toBe(inner.length + (family === 4 ? 50 : 70));
        if (family === 4) {
          expect([ipv4.check(made), ipv4.checksumOk(made), udp.checksum(made, at)]).toEqual([
            undefined,
            true,
            0,
          ]);
          expect(ipv4.id(made)).toBe(i + 1); // it wraps, and 0 is left out
        } else
          expect([ipv6.check(made), checksum.transportOk(made, 0, udp.PROTOCOL, at, made.length)]).toEqual([
            undefined,
            true,
          ]);
        const port = udp.srcPort(made, at);
        expect(port).toBeGreaterThanOrEqual(32_768);
        expect(port).toBeLessThanOrEqual(60_999);
        ports.add(port);
        expect(overlay.unwrap(batch, 0)).toBe(0xff_ffff);
        expect(batch.copy(0)).toEqual(inner);
      }
      expect(ports.size).toBeGreaterThan(5);
    },
  );

  it('leaves alone what is no VXLAN, and what has no room', () => {
    const batch = new Batch({ capacity: 1, headroom: 49 });
    const inner = ipv4Packet(90);
    batch.push(inner);
    const overlay = new Overlay(0);
    expect(overlay.wrap(batch, 0, { src: ip('192.168.7.1'), dst: ip('192.168.7.2') }, 7)).toBe(false);
    expect(overlay.unwrap(batch, 0)).toBe(NO_VXLAN);
    expect(batch.copy(0)).toEqual(inner);
  });

  it('never reads beyond a frame that was cut anywhere', () => {
    const whole = frame(ipv4Packet(40, ends('a1', 'b1')), ID);
    for (let len = 20; len < whole.length; len++) {
      const batch = new Batch({ capacity: 1 });
      batch.push(whole, 0, len);
      expect(new Overlay(0).unwrap(batch, 0)).toBeLessThan(0);
      expect(batch.length[0]).toBe(len);
    }
  });
});

needs([shared('captures')], 'the overlay against a kernel', () => {
  interface Line {
    readonly frame: number;
    readonly src: string;
    readonly inner: string;
    readonly overlay: { readonly vni: number; readonly frame: string } | null;
  }
  const read = (folder: string, file: string) => readFileSync(`${CAPTURES}/${folder}/${file}`, 'utf8');
  const linesOf = (folder: string) =>
    read(folder, 'expected.jsonl')
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as Line);
  const framesOf = (folder: string): Uint8Array[] => {
    const file = new Uint8Array(readFileSync(`${CAPTURES}/${folder}/wire.pcap`));
    const frames: Uint8Array[] = [];
    const reader = captureReader(folder, { frame: (b, at, end) => void frames.push(b.slice(at + 14, end)) });
    reader.feed(file);
    reader.end();
    return frames;
  };
  const isOurs = (packet: Uint8Array) => packet[0]! >>> 4 !== 4 || packet[9] !== 0;

  it.each([
    ['vxlan-in-esp', '1.18'],
    ['esp-in-vxlan', '1.17'],
  ])('%s: a node takes what a kernel sent, and sends what it would have', (folder, version) => {
    expect(existsSync(`${CAPTURES}/${folder}/wire.pcap`)).toBe(true);
    const keys = readKeys(read(folder, 'keys'), 'keys', parseVersion(version));
    const nodes = parseNodes(read(folder, 'ciliumnodes.json'), 'nodes');
    const options = { mode: 'tunnel', keys, nodes, version: parseVersion(version) } as const;
    const lines = linesOf(folder);
    const frames = framesOf(folder);
    const toNode2 = lines.filter(({ src }) => src === '192.168.7.1' || src === '10.244.1.1');
    const clear = (line: Line) => fromHex(line.overlay ? line.overlay.frame.slice(28) : line.inner)!;
    const isArp = (line: Line) => line.overlay?.frame.slice(24, 28) === '0806';
    const want = toNode2
      .filter((line) => !isArp(line))
      .map(clear)
      .filter(isOurs);

    // 1. What the kernel put on the wire, fragments too: every inner packet comes out. The capture's VNI is its identity.
    const two = twoNodes(options);
    // A packet that xfrm decrypted comes a second time, as tcpdump shows it.
    const isCarrier = (bytes: Uint8Array) => version === '1.17' || bytes[9] === ESP;
    const arrived = frames.filter((bytes) => bytes[0]! >>> 4 === 4 && bytes[15] === 1 && isCarrier(bytes));
    two.inject(2, ...arrived);
    const stats = two.nodes[1].stats().in;
    expect(stats.esp).toBe(toNode2.length);
    const strip = (bytes: Uint8Array) =>
      toHex(bytes[0]! >>> 4 === 4 ? bytes.subarray(12) : bytes.subarray(8));
    const pods = want.filter((bytes) => bytes[0]! >>> 4 === 4 || bytes[24] === 0xfd);
    const isForPod = (text: string) => two.got.b1.some((bytes) => strip(bytes) === text);
    expect(two.got.b1.map(strip)).toEqual(pods.map(strip).filter(isForPod));
    expect(two.got.b1.length).toBe(stats.delivered);
    expect(two.got.b1.length).toBeGreaterThan(20);

    // 2. The same inner packets from a pod of ours: the layers and lengths of the kernel's, and all bytes that it does not choose by chance.
    const [line] = toNode2.filter((one) => !isArp(one));
    const identity = line!.overlay?.vni ?? 52_345;
    const sender = twoNodes({ ...options, identity });
    const packet = clear(line!);
    packet[8]!++; // the hop that this node takes
    ipv4.fillChecksum(packet);
    sender.send('a1', packet);
    const theirs = frames[line!.frame - 1]!;
    const [ours] = sender.wire;
    expect(ours!.length).toBe(theirs.length);
    const { config } = sender.nodes[0].sad.sas.find(
      (sa) => sa?.config.direction === 'out' && sa.config.src[0] === (version === '1.18' ? 192 : 10),
    )!;
    const decryptor = new TunnelEnd({ ...config, direction: 'in' }, new NodeEngine(), RANDOM);
    const espOf = (bytes: Uint8Array) => (version === '1.18' ? bytes : bytes.subarray(50));
    const opened = decryptor.decapsulate(espOf(ours!));
    if (opened.verdict !== 'ok') throw new Error(opened.reason);
    const masked = (bytes: Uint8Array, at: number) => {
      const copy = bytes.slice();
      copy.fill(0, at + 4, at + 6); // id
      copy.fill(0, at + 10, at + 12); // its checksum
      return copy;
    };
    const maskVxlan = (bytes: Uint8Array, at: number) => {
      const copy = masked(bytes, at);
      copy.fill(0, at + 20, at + 22); // source port: the flow
      copy.fill(0, at + 26, at + 28); // UDP checksum: Cilium sends none
      copy.fill(0, at + 36, at + 48); // addresses of the frame
      return toHex(copy.subarray(at));
    };
    if (version === '1.18') {
      expect(toHex(masked(ours!, 0).subarray(0, 24))).toBe(toHex(masked(theirs, 0).subarray(0, 24)));
      expect(maskVxlan(opened.packet, 0)).toBe(maskVxlan(fromHex(line!.inner)!, 0));
    } else {
      const outer = (bytes: Uint8Array) => maskVxlan(bytes, 0).slice(0, 2 * 50);
      expect(outer(ours!)).toBe(outer(theirs));
      expect(toHex(masked(espOf(ours!), 0).subarray(0, 24))).toBe(
        toHex(masked(espOf(theirs), 0).subarray(0, 24)),
      );
      expect(toHex(opened.packet)).toBe(line!.inner);
    }
  });
});
