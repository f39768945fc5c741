/**
 * One suite for every link: what `src/link/link.ts` promises.
 * @module
 */
import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { capture } from '../../src/link/capture.ts';
import { impair } from '../../src/link/impair.ts';
import type { DeviceLink, Link } from '../../src/link/link.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { openPacket } from '../../src/link/packet.ts';
import { openRaw } from '../../src/link/raw.ts';
import { openTun, type TunOptions } from '../../src/link/tun.ts';
import { openUdp } from '../../src/link/udp.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { HELD, ON, PASS } from '../../src/wire/packet.ts';
import * as udp from '../../src/wire/udp.ts';
import { batchOf, numbered, numberOf, received } from '../support/frames.ts';
import { needs } from '../support/needs.ts';
import { LIVE, makeNamespaces, must, pause } from '../support/netns.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

interface Pair {
  readonly a: Link;
  readonly b: Link;
  /** Waits until everything on the way has arrived. */
  settle(): void | Promise<void>;
  /** Removes what the pair has made beside its links. */
  remove?(): void;
}

/** What a link carries. */
interface Frames {
  /** Frame number `n` of `len` bytes, from `a` to `b` or back. */
  make(n: number, len?: number, back?: boolean): Uint8Array;
  numberOf(frame: Uint8Array): number;
  /** Bytes of the shortest. */
  readonly shortest: number;
  /** Does its queue take {@link QUEUE} frames and no more? The kernel's queues are longer than a test should fill. */
  readonly isBounded: boolean;
  /** Does its MTU bound only what comes out of it? The kernel takes whatever is written to a TUN device. */
  readonly takesLonger?: boolean;
}

const ANY_BYTES: Frames = {
  make: (n, len = 60) => numbered(n, Math.max(len, 4)).subarray(0, len),
  numberOf,
  shortest: 1,
  isBounded: true,
};

const MTU = 1400;
const QUEUE = 100;

/** Both ends of the link under test; the queue takes {@link QUEUE} frames. */
const LINKS: Readonly<Record<string, () => Pair>> = {
  memory() {
    const clock = new VirtualClock();
    return { ...memoryPair(clock, { mtu: MTU, queue: QUEUE, delay: 1 }), settle: () => clock.run() };
  },
  'impair without impairments'() {
    const clock = new VirtualClock();
    const { a, b } = memoryPair(clock, { mtu: MTU, queue: QUEUE });
    return { a: impair(a, clock, 1, {}), b: impair(b, clock, 2, {}), settle: () => clock.run() };
  },
  capture() {
    const clock = new VirtualClock();
    const { a, b } = memoryPair(clock, { mtu: MTU, queue: QUEUE });
    const recorder = { frame: () => {} };
    return {
      a: capture(a, clock, recorder),
      b: capture(b, clock, recorder),
      settle: () => clock.run(),
    };
  },
  'capture around impair around capture'() {
    const clock = new VirtualClock();
    const { a, b } = memoryPair(clock, { mtu: MTU, queue: QUEUE });
    const recorder = { frame: () => {} };
    const wrap = (end: Link) => capture(impair(capture(end, clock, recorder), clock, 3, {}), clock, recorder);
    return { a: wrap(a), b: wrap(b), settle: () => clock.run() };
  },
};

/** The suite. */
function conformance(name: string, kind: Frames, make: () => Pair): void {
  describe(`link: ${name}`, () => {
    const { make: frame, numberOf, shortest } = kind;
    const frames = (count: number, len?: number, back = false) =>
      Array.from({ length: count }, (_, n) => frame(n, len, back));
    let pair: Pair | undefined;
    const open = () => {
      pair = make();
      return pair;
    };
    afterEach(() => {
      pair?.a.close();
      pair?.b.close();
      pair?.remove?.();
      pair = undefined;
    });

    it('carries frames in order, byte for byte, both ways at once', async () => {
      const { a, b, settle } = open();
      const [atA, atB] = [received(a), received(b)];
      const there = frames(50, 99);
      const back = frames(3, MTU, true);
      expect(a.send(batchOf(there))).toBe(50);
      expect(b.send(batchOf(back))).toBe(3);
      await settle();
      expect(atB).toEqual(there);
      expect(atA).toEqual(back);
    });

    it('carries the shortest frame and the longest', async () => {
      const { a, b, settle } = open();
      const atB = received(b);
      const sent = [frame(0, shortest), frame(1, a.mtu)];
      a.send(batchOf(sent));
      await settle();
      expect(atB).toEqual(sent);
    });

    it(`takes a frame above its MTU, and ${kind.takesLonger ? 'carries it' : 'drops it alone'}`, async () => {
      const { a, b, settle } = open();
      const atB = received(b);
      expect(a.send(batchOf([frame(1), frame(2, a.mtu + 1), frame(3)]))).toBe(3);
      await settle();
      expect(atB.map(numberOf)).toEqual(kind.takesLonger ? [1, 2, 3] : [1, 3]);
    });

    it('sends only packets that go on', async () => {
      const { a, b, settle } = open();
      const atB = received(b);
      const batch = batchOf(frames(4));
      batch.drop(0, 7);
      batch.next[2] = HELD;
      expect(a.send(batch)).toBe(2);
      await settle();
      expect(atB.map(numberOf)).toEqual([1, 3]);
    });

    it('sends only packets for a port, where one is named', async () => {
      const { a, b, settle } = open();
      const atB = received(b);
      const batch = batchOf(frames(5));
      batch.next[1] = batch.next[4] = 3;
      batch.next[2] = 2;
      const before = [...batch.next];
      expect(a.send(batch, 3)).toBe(2);
      await settle();
      expect([atB.map(numberOf), [...batch.next]]).toEqual([[1, 4], before]);
    });

    it('sends a packet from where it starts in its slot', async () => {
      const { a, b, settle } = open();
      const atB = received(b);
      const batch = batchOf([frame(1, 100)]);
      batch.prepend(0, 20);
      batch.append(0, 5);
      const want = frame(2, 125);
      batch.view(0).set(want);
      a.send(batch);
      await settle();
      expect(atB).toEqual([want]);
    });

    it('leaves the batch as it was, and keeps nothing of it', async () => {
      const { a, b, settle } = open();
      const atB = received(b);
      const batch = batchOf(frames(3));
      const before = batch.slab.slice();
      a.send(batch);
      expect(batch.slab).toEqual(before);
      expect([...batch.next]).toEqual([ON, ON, ON]);
      batch.slab.fill(0xee);
      await settle();
      expect(atB.map(numberOf)).toEqual([0, 1, 2]);
    });

    it('hands over packets that go on, with room around them, to be changed in place', async () => {
      const { a, b, settle } = open();
      const seen: boolean[] = [];
      b.receive((batch) => {
        for (let i = 0; i < batch.count; i++) {
          seen.push(
            batch.next[i] === ON && batch.verdict[i] === PASS && batch.sa[i] === -1 && batch.mark[i] === 0,
          );
          seen.push(batch.prepend(i, 48), batch.append(i, 32));
          batch.view(i).fill(0);
        }
      });
      a.send(batchOf([frame(1), frame(2, a.mtu)]));
      await settle();
      expect(seen).toEqual(Array(6).fill(true));
      const atB = received(b);
      a.send(batchOf([frame(3)]));
      await settle();
      expect(atB, 'the next frame does not show it').toEqual([frame(3)]);
    });

    if (kind.isBounded)
      it('takes the first frames when there are more than its queue holds', async () => {
        const { a, b, settle } = open();
        const atB = received(b);
        const taken = a.send(batchOf(frames(QUEUE + 20)));
        await settle();
        // A link that hides what became of a frame may say that it took all of them.
        expect([QUEUE, QUEUE + 20]).toContain(taken);
        expect(atB.map(numberOf)).toEqual(frames(QUEUE).map(numberOf));
        expect(a.send(batchOf([frame(7)])), 'there is room again').toBe(1);
        await settle();
        expect(atB.map(numberOf).slice(QUEUE)).toEqual([7]);
      });

    it('has one receiver: the last, or none', async () => {
      const { a, b, settle } = open();
      const first = received(b);
      const second = received(b);
      a.send(batchOf([frame(1)]));
      await settle();
      b.receive(undefined);
      a.send(batchOf([frame(2)]));
      await settle();
      const third = received(b);
      await settle();
      expect([first, second.map(numberOf), third]).toEqual([[], [1], []]);
    });

    it('answers from within the receiver', async () => {
      const { a, b, settle } = open();
      const atA = received(a);
      b.receive((batch) => {
        b.send(
          batchOf(Array.from({ length: batch.count }, (_, i) => frame(numberOf(batch.view(i)), 60, true))),
        );
      });
      a.send(batchOf(frames(40)));
      await settle();
      expect(atA.map(numberOf)).toEqual(frames(40).map(numberOf));
    });

    it('does nothing after it is closed', async () => {
      const { a, b, settle } = open();
      const [atA, atB] = [received(a), received(b)];
      a.send(batchOf([frame(1)]));
      b.close();
      await settle();
      a.send(batchOf([frame(2)]));
      b.send(batchOf([frame(3, 60, true)]));
      b.close();
      await settle();
      expect([atA, atB]).toEqual([[], []]);
    });

    it('calls no receiver while it sends', async () => {
      const { a, b, settle } = open();
      let isSending = false;
      const calls: boolean[] = [];
      for (const end of [a, b]) end.receive(() => calls.push(isSending));
      for (const end of [a, b]) {
        isSending = true;
        end.send(batchOf(frames(3, 60, end === b)));
        isSending = false;
      }
      await settle();
      expect(calls.length).toBeGreaterThan(1);
      expect(calls).not.toContain(true);
    });

    it('takes an empty batch', async () => {
      const { a, b, settle } = open();
      const atB = received(b);
      expect(a.send(batchOf([]))).toBe(0);
      await settle();
      expect(atB).toEqual([]);
    });
  });
}

for (const [name, make] of Object.entries(LINKS)) conformance(name, ANY_BYTES, make);

/** Outer packets as the encapsulator makes them; what a UDP socket keeps back, the link writes like this. */
function outer(version: 4 | 6, inUdp: boolean): Frames {
  const [a, b] = (version === 4 ? ['10.99.0.1', '10.99.0.2'] : ['fd99::1', 'fd99::2']).map(
    (text) => parseAddress(text)!,
  ) as [Uint8Array, Uint8Array];
  const headers = (version === 4 ? 20 : 40) + (inUdp ? 8 : 0);
  return {
    shortest: headers + 8,
    isBounded: false,
    make(n, len = 100, back = false) {
      const [src, dst] = back ? [b, a] : [a, b];
      const protocol = inUdp ? 17 : 50;
      const packet =
        version === 4
          ? ipv4Packet(len, { src, dst, protocol, id: inUdp ? 0 : 0x1234 })
          : ipv6Packet(len, { src, dst, nextHeader: protocol, trafficClass: 0, flowLabel: 0, hopLimit: 64 });
      if (inUdp) {
        const length = len - headers + 8;
        udp.emit({ srcPort: 4500, dstPort: 4500, length, checksum: 0 }, packet, headers - 8);
      }
      packet.set([0x11, 0x22, 0x33, 0x44, 0, 0, n >>> 8, n], headers);
      return packet;
    },
    numberOf: (frame) => (frame[headers + 6]! << 8) | frame[headers + 7]!,
  };
}

/** Two ends whose other side is the kernel. */
function devices(a: DeviceLink, b: DeviceLink, remove: () => void): Pair {
  return {
    a,
    b,
    settle() {
      // What is on the way through the kernel arrives while the sender's call lasts; answers need another round.
      for (let quiet = 0; quiet < 3; ) {
        const read = a.pump() + b.pump();
        if (read > 0) quiet = 0;
        else {
          quiet++;
          pause(2);
        }
      }
    },
    remove,
  };
}

/** Two sockets, one in each of two namespaces. */
function sockets(open: (netns: string, address: string) => DeviceLink, version: 4 | 6): Pair {
  const net = makeNamespaces();
  const [addressA, addressB] = version === 4 ? ['10.99.0.1', '10.99.0.2'] : ['fd99::1', 'fd99::2'];
  return devices(open(net.a, addressA!), open(net.b, addressB!), net.remove);
}

let made = 0;

/** Two TUN devices; the kernel moves what is written to one to the other, as it is, both ways. */
function tuns(options: TunOptions): Pair {
  const netns = `est-t-${process.pid}-${made++}`;
  must('ip', 'netns', 'add', netns);
  const remove = () => must('ip', 'netns', 'delete', netns);
  try {
    // The interfaces shall be silent by themselves.
    must('ip', 'netns', 'exec', netns, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    const open = (name: string) => openTun({ ...options, name, netns, mtu: MTU });
    const [a, b] = [open('t0'), open('t1')];
    for (const [from, to] of [
      ['t0', 't1'],
      ['t1', 't0'],
    ] as const) {
      must('tc', '-n', netns, 'qdisc', 'add', 'dev', from, 'clsact');
      const redirect = `protocol all u32 match u32 0 0 action mirred egress redirect dev ${to}`;
      must('tc', '-n', netns, 'filter', 'add', 'dev', from, 'ingress', ...redirect.split(' '));
    }
    return devices(a, b, remove);
  } catch (error) {
    remove();
    throw error;
  }
}

needs(LIVE, 'links over the kernel', () => {
  for (const version of [4, 6] as const) {
    conformance(`udp over IPv${version}`, outer(version, true), () =>
      sockets((netns, address) => openUdp({ netns, address, mtu: MTU }), version),
    );
    conformance(`raw over IPv${version}`, outer(version, false), () =>
      sockets((netns, address) => openRaw({ netns, address, mtu: MTU }), version),
    );
    conformance(`packet over IPv${version}`, outer(version, false), () =>
      sockets((netns, address) => openPacket({ netns, address, mtu: MTU }), version),
    );
    for (const offload of [true, false])
      conformance(
        `tun ${offload ? 'with' : 'without'} offloads, IPv${version}`,
        { ...outer(version, false), takesLonger: true },
        () => tuns({ offload }),
      );
  }
});
