import { describe, expect, it } from 'vitest';
import { fileOf, frameId, numberOf } from '../../../src/capture/frame-id.ts';
import * as ipv4 from '../../../src/wire/ipv4.ts';
import { LINK_LINUX_SLL2 } from '../../../src/wire/link-type.ts';
import { compareCaptures, type Timed } from '../../support/places.ts';

const A = [10, 0, 1, 1];
const B = [10, 0, 2, 1];

interface Packet {
  readonly src: number[];
  readonly dst: number[];
  readonly spi: number;
  readonly length: number;
  readonly ttl: number;
  /** Where it is another one, so are the bytes. */
  readonly salt: number;
}

/** An ESP packet of `length` bytes; the same arguments give the same bytes. */
function esp(seq: number, given: Partial<Packet> = {}): Uint8Array {
  const { src = A, dst = B, spi = 3, length = 120, ttl = 64, salt = src[2]! } = given;
  const b = new Uint8Array(length);
  b.set([0x45, 0, length >> 8, length & 255, seq >> 8, seq & 255, 0, 0, ttl, 50]);
  b.set([...src, ...dst], 12);
  b.set([0, 0, 0, spi, seq >>> 24, (seq >> 16) & 255, (seq >> 8) & 255, seq & 255], 20);
  for (let i = 28; i < length; i++) b[i] = (i * 7 + seq * 13 + spi * 31 + (seq >> 3) * i + salt) & 255;
  ipv4.fillChecksum(b, 0);
  return b;
}

const BACK = { src: B, dst: A };

/** Packets that leave every 10 ms, and when. */
function sent(n: number, given = {}, first = 0): Timed[] {
  return Array.from({ length: n }, (_, i) => ({ t: first + i * 0.01, b: esp(i + 1, given) }));
}

/** The same at another place: later, by another clock. */
function arrived(frames: readonly Timed[], delay: number, clock = 0): Timed[] {
  return frames.map(({ t, b }, i) => ({ t: t + delay + clock + (i % 5) * 1e-5, b }));
}

/** Both directions at both ends: the second clock is ahead, packets take 1 ms, and `lost` says which do not come. */
function bothEnds(clock: number, lost: (i: number) => boolean = () => false) {
  const [there, back] = [sent(300), sent(300, BACK, 0.003)];
  const a = [...there, ...arrived(back, 0.001)].sort((x, y) => x.t - y.t);
  const b = [
    ...arrived(there, 0.001, clock).filter((_, i) => !lost(i)),
    ...back.map(({ t, b }) => ({ t: t + clock, b })),
  ].sort((x, y) => x.t - y.t);
  return [a, b];
}

describe('two places', () => {
  it('what left the one and never came to the other, with the clocks apart', () => {
    for (const clock of [0, 0.35, -12.5, 4000]) {
      const { comparison, streams, places } = compareCaptures(bothEnds(clock, (i) => i % 50 === 20));
      const [{ ahead, margin, packets, onTheWay }] = comparison.clocks as [(typeof comparison.clocks)[0]];
      expect(ahead).toBeCloseTo(clock, 4);
      expect(onTheWay).toBeCloseTo(0.001, 4);
      expect(margin).toBeLessThan(0.0001);
      expect(packets).toBe(594);
      const [there, back] = streams as [(typeof streams)[0], (typeof streams)[0]];
      expect(there).toMatchObject({
        src: '10.0.1.1',
        dst: '10.0.2.1',
        spi: 3,
        first: 0,
        second: 1,
        both: 294,
      });
      expect(there.basis).toBe('assumed');
      expect(there.lost.count).toBe(6);
      expect(there.lost.frames.map(fileOf)).toEqual([0, 0, 0, 0, 0, 0]);
      expect(there.added.count + there.twice.count + there.reordered.count).toBe(0);
      expect(back).toMatchObject({ src: '10.0.2.1', first: 1, second: 0, both: 300 });
      expect(back.lost.count).toBe(0);
      expect(places.all.map(({ node }) => node)).toEqual([
        { name: '10.0.1.1', basis: 'assumed' },
        { name: '10.0.2.1', basis: 'assumed' },
      ]);
    }
  });

  it('a hole for long packets, beside loss of any length', () => {
    const there = Array.from({ length: 200 }, (_, i) => ({
      t: i * 0.01,
      b: esp(i + 1, { length: i % 4 === 0 ? 1440 : 100 + i }),
    }));
    const came = arrived(there, 0.001).filter(({ b }, i) => b.length < 1440 && i !== 50);
    const { streams } = compareCaptures([there, came], { told: ['10.0.1.1'], nodeAt: (a) => a });
    expect(streams).toHaveLength(1);
    expect(streams[0]).toMatchObject({ both: 149, longest: 299, basis: 'told' });
    // The first one left before the other place was known to listen.
    expect(streams[0]).toMatchObject({ outside: 1 });
    expect(streams[0]!.lost.count).toBe(50);
    expect(streams[0]!.beyond).toEqual({ count: 49, shortest: 1440 });
  });

  it('one SPI that is lost whole', () => {
    const [three, four] = [sent(100), sent(100, { spi: 4 })];
    const a = [...three, ...four].sort((x, y) => x.t - y.t);
    const { streams } = compareCaptures([a, arrived(three, 0.001)], { told: ['10.0.1.1'], nodeAt: (x) => x });
    const gone = streams.find(({ spi }) => spi === 4)!;
    expect(gone.both).toBe(0);
    // Those of the first and the last hundredth of a second are not judged.
    expect(gone.lost.count + gone.outside).toBe(100);
    expect(gone.lost.count).toBeGreaterThan(95);
  });

  it('what came twice, and in another order', () => {
    const there = sent(100);
    const came = arrived(there, 0.001);
    const odd = [...came, { ...came[30]!, t: came[30]!.t + 0.0001 }];
    odd.push({ ...came[60]!, t: came[64]!.t + 0.0001 });
    odd.splice(60, 1);
    odd.sort((x, y) => x.t - y.t);
    const { streams } = compareCaptures([there, odd], { told: ['10.0.1.1'], nodeAt: (x) => x });
    expect(streams[0]!.twice.count).toBe(1);
    expect(streams[0]!.reordered.count).toBe(1);
    expect(streams[0]!.lost.count).toBe(0);
  });

  it('judges only the time when both were listening', () => {
    const there = sent(500);
    const came = arrived(there, 0.001, 0.2).slice(150, 350);
    const { streams } = compareCaptures([there, came], { told: ['10.0.1.1'], nodeAt: (x) => x });
    expect(streams[0]).toMatchObject({ both: 200, outside: 300 });
    expect(streams[0]!.lost.count).toBe(0);
  });

  it('of one direction alone: the time on the way is in the difference, and who is first is not known', () => {
    const there = sent(100);
    const { comparison, streams, places } = compareCaptures([there, arrived(there, 0.001, 0.5)]);
    expect(comparison.clocks[0]).toMatchObject({ onTheWay: undefined });
    expect(comparison.clocks[0]!.ahead).toBeCloseTo(0.501, 4);
    expect(streams[0]!.basis).toBeUndefined();
    expect(places.all.map(({ node }) => node)).toEqual([undefined, undefined]);
  });

  it('a router between them shows who is first', () => {
    const there = sent(50);
    const came = there.map(({ t }, i) => ({ t: t + 0.001, b: esp(i + 1, { ttl: 63 }) }));
    const { streams } = compareCaptures([came, there]);
    expect(streams[0]).toMatchObject({ first: 1, second: 0, basis: 'seen', both: 50 });
  });

  it('behind NAT', () => {
    const there = sent(50);
    const came = there.map(({ t }, i) => ({ t: t + 0.001, b: esp(i + 1, { src: [192, 0, 2, 9], salt: 1 }) }));
    const { streams, passed } = compareCaptures([there, came], { told: ['10.0.1.1'], nodeAt: (x) => x });
    expect(streams[0]).toMatchObject({ src: '10.0.1.1', both: 50 });
    expect(streams[0]!.way.others).toMatchObject([{ src: '192.0.2.9' }]);
    expect(passed.map(fileOf)).toEqual(passed.map(() => 1));
  });

  it('a ring is one place', () => {
    const [a, b] = bothEnds(0.1) as [Timed[], Timed[]];
    const ring = [a.slice(0, 200), a.slice(200, 400), a.slice(400)];
    const names = ['w/node.pcap1', 'w/node.pcap2', 'w/node.pcap0', 'other.pcap'];
    const { places, streams } = compareCaptures([...ring, b], { names });
    expect(places.all.map(({ files }) => files)).toEqual([[0, 1, 2], [3]]);
    expect(streams.map(({ both }) => both)).toEqual([300, 300]);
    expect(streams.map(({ lost }) => lost.count)).toEqual([0, 0]);
  });

  it('a ring with a file missing was not listening then', () => {
    const there = sent(900);
    const came = arrived(there, 0.001);
    const names = ['a.pcap', 'w0', 'w2'];
    const { streams } = compareCaptures([there, came.slice(0, 300), came.slice(600)], {
      names,
      told: ['10.0.1.1'],
      nodeAt: (x) => x,
    });
    expect(streams[0]).toMatchObject({ both: 600, outside: 300 });
    expect(streams[0]!.lost.count).toBe(0);
  });

  it('memory is bounded: what has to make room is counted', () => {
    // Packets come so fast that those that wait for less than a second are too many.
    const n = 3000;
    const there = Array.from({ length: n }, (_, i) => ({ t: i * 1e-6, b: esp(i + 1, { length: 64 }) }));
    const came = arrived([there[0]!, there[n - 1]!], 0.001);
    const { streams } = compareCaptures([there, came], { told: ['10.0.1.1'], nodeAt: (x) => x }, 1000);
    // One of the two that came had made room by then.
    expect(streams[0]!.crowded).toBeGreaterThan(n - 1002);
    const { lost, added, outside, both, crowded } = streams[0]!;
    expect(lost.count + outside + both + crowded + added.count).toBe(n + (both === 1 ? 1 : 0));
  });
});

describe('each packet once', () => {
  it('at the receiver’s end, where it is known', () => {
    const { passed } = compareCaptures(bothEnds(0.35));
    expect(passed).toHaveLength(600);
    // What went to 10.0.2.1 is judged by the second capture, and what came back by the first.
    expect(passed.filter((id) => fileOf(id) === 1)).toHaveLength(300);
  });

  it('frames that one place alone saw are handed on', () => {
    const [a, b] = bothEnds(0) as [Timed[], Timed[]];
    const own = { t: 1.5, b: esp(1, { src: [10, 0, 3, 1] }) };
    const { passed, once } = compareCaptures([[...a, own], b]);
    expect(passed).toContain(frameId(0, a.length + 1));
    expect(once.left.elsewhere).toBe(600);
  });

  it('not again on another interface of the same place, but a replay on the same', () => {
    const cooked = (index: number, packet: Uint8Array): Uint8Array => {
      const b = new Uint8Array(20 + packet.length);
      b.set([8, 0, 0, 0, 0, 0, 0, index, 0, 1, 0, 6]);
      b.set(packet, 20);
      return b;
    };
    const frames = [1, 2, 3].flatMap((seq) =>
      [2, 5].map((index, i) => ({
        t: seq + i * 1e-4,
        b: cooked(index, esp(seq)),
        linkType: LINK_LINUX_SLL2,
      })),
    );
    const replay = { t: 3.5, b: cooked(2, esp(3)), linkType: LINK_LINUX_SLL2 };
    const { passed, once } = compareCaptures([[...frames, replay]]);
    expect(passed.map(numberOf)).toEqual([1, 3, 5, 7]);
    expect(once.left.copies).toBe(3);
  });
});
