/**
 * One suite for every link: what `src/link/link.ts` promises.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { capture } from '../../src/link/capture.ts';
import { impair } from '../../src/link/impair.ts';
import type { Link } from '../../src/link/link.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { PASS } from '../../src/wire/packet.ts';
import { batchOf, numbered, numberOf, received } from '../support/frames.ts';

interface Pair {
  readonly a: Link;
  readonly b: Link;
  /** Waits until everything on the way has arrived. */
  settle(): void | Promise<void>;
}

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

describe.each(Object.entries(LINKS))('link: %s', (_, make) => {
  const frames = (count: number, len?: number) => Array.from({ length: count }, (_, n) => numbered(n, len));

  it('carries frames in order, byte for byte, both ways at once', async () => {
    const { a, b, settle } = make();
    const [atA, atB] = [received(a), received(b)];
    const there = frames(50, 99);
    const back = frames(3, MTU);
    expect(a.send(batchOf(there))).toBe(50);
    expect(b.send(batchOf(back))).toBe(3);
    await settle();
    expect(atB).toEqual(there);
    expect(atA).toEqual(back);
  });

  it('carries the shortest frame and the longest', async () => {
    const { a, b, settle } = make();
    const atB = received(b);
    const sent = [Uint8Array.of(0x45), numbered(1, a.mtu)];
    a.send(batchOf(sent));
    await settle();
    expect(atB).toEqual(sent);
  });

  it('takes a frame above its MTU, and drops it alone', async () => {
    const { a, b, settle } = make();
    const atB = received(b);
    expect(a.send(batchOf([numbered(1), numbered(2, a.mtu + 1), numbered(3)]))).toBe(3);
    await settle();
    expect(atB.map(numberOf)).toEqual([1, 3]);
  });

  it('sends only packets that have passed', async () => {
    const { a, b, settle } = make();
    const atB = received(b);
    const batch = batchOf(frames(4));
    batch.verdict[0] = 7;
    batch.verdict[2] = 255;
    expect(a.send(batch)).toBe(2);
    await settle();
    expect(atB.map(numberOf)).toEqual([1, 3]);
  });

  it('sends a packet from where it starts in its slot', async () => {
    const { a, b, settle } = make();
    const atB = received(b);
    const batch = batchOf([numbered(1)]);
    batch.prepend(0, 20);
    batch.append(0, 5);
    const want = batch.copy(0);
    a.send(batch);
    await settle();
    expect(atB).toEqual([want]);
  });

  it('leaves the batch as it was, and keeps nothing of it', async () => {
    const { a, b, settle } = make();
    const atB = received(b);
    const batch = batchOf(frames(3));
    const before = batch.slab.slice();
    a.send(batch);
    expect(batch.slab).toEqual(before);
    expect([...batch.verdict]).toEqual([PASS, PASS, PASS]);
    batch.slab.fill(0xee);
    await settle();
    expect(atB.map(numberOf)).toEqual([0, 1, 2]);
  });

  it('hands over packets that have passed, with room around them, to be changed in place', async () => {
    const { a, b, settle } = make();
    const seen: boolean[] = [];
    b.receive((batch) => {
      for (let i = 0; i < batch.count; i++) {
        seen.push(batch.verdict[i] === PASS && batch.sa[i] === -1 && batch.mark[i] === 0);
        seen.push(batch.prepend(i, 48), batch.append(i, 32));
        batch.view(i).fill(0);
      }
    });
    a.send(batchOf([numbered(1), numbered(2, a.mtu)]));
    await settle();
    expect(seen).toEqual(Array(6).fill(true));
    const atB = received(b);
    a.send(batchOf([numbered(3)]));
    await settle();
    expect(atB, 'the next frame does not show it').toEqual([numbered(3)]);
  });

  it('takes the first frames when there are more than its queue holds', async () => {
    const { a, b, settle } = make();
    const atB = received(b);
    const taken = a.send(batchOf(frames(QUEUE + 20)));
    await settle();
    // A link that hides what became of a frame may say that it took all of them.
    expect([QUEUE, QUEUE + 20]).toContain(taken);
    expect(atB.map(numberOf)).toEqual(frames(QUEUE).map(numberOf));
    expect(a.send(batchOf([numbered(7)])), 'there is room again').toBe(1);
    await settle();
    expect(atB.map(numberOf).slice(QUEUE)).toEqual([7]);
  });

  it('has one receiver: the last, or none', async () => {
    const { a, b, settle } = make();
    const first = received(b);
    const second = received(b);
    a.send(batchOf([numbered(1)]));
    await settle();
    b.receive(undefined);
    a.send(batchOf([numbered(2)]));
    await settle();
    const third = received(b);
    await settle();
    expect([first, second.map(numberOf), third]).toEqual([[], [1], []]);
  });

  it('answers from within the receiver', async () => {
    const { a, b, settle } = make();
    const atA = received(a);
    b.receive((batch) => {
      b.send(batch);
    });
    a.send(batchOf(frames(40)));
    await settle();
    expect(atA.map(numberOf)).toEqual(frames(40).map(numberOf));
  });

  it('does nothing after it is closed', async () => {
    const { a, b, settle } = make();
    const [atA, atB] = [received(a), received(b)];
    a.send(batchOf([numbered(1)]));
    b.close();
    await settle();
    a.send(batchOf([numbered(2)]));
    b.send(batchOf([numbered(3)]));
    b.close();
    await settle();
    expect([atA, atB]).toEqual([[], []]);
  });

  it('calls no receiver while it sends', async () => {
    const { a, b, settle } = make();
    let isSending = false;
    const calls: boolean[] = [];
    for (const end of [a, b]) end.receive(() => calls.push(isSending));
    for (const end of [a, b]) {
      isSending = true;
      end.send(batchOf(frames(3)));
      isSending = false;
    }
    await settle();
    expect(calls.length).toBeGreaterThan(1);
    expect(calls).not.toContain(true);
  });

  it('takes an empty batch', async () => {
    const { a, b, settle } = make();
    const atB = received(b);
    expect(a.send(batchOf([]))).toBe(0);
    await settle();
    expect(atB).toEqual([]);
  });
});
