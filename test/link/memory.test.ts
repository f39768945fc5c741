import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { batchOf, numbered, numberOf, received } from '../support/frames.ts';

describe('memory link', () => {
  it('delivers after its delay, not before', () => {
    const clock = new VirtualClock(1000);
    const { a, b } = memoryPair(clock, { delay: 2.5 });
    const times: number[] = [];
    b.receive(() => times.push(clock.now()));
    a.send(batchOf([numbered(1)]));
    expect(times, 'never while sending').toEqual([]);
    clock.run(1002);
    expect(times).toEqual([]);
    clock.run();
    expect(times).toEqual([1002.5]);
  });

  it('counts what became of every frame', () => {
    const clock = new VirtualClock();
    const { a, b } = memoryPair(clock, { mtu: 100, queue: 2 });
    a.send(batchOf([numbered(1)]));
    clock.run();
    received(b);
    expect(a.send(batchOf([numbered(2), numbered(3, 101), numbered(4), numbered(5)]))).toBe(3);
    clock.run();
    expect(a.stats).toEqual({ delivered: 2, tooBig: 1, full: 1, unheard: 1 });
    expect(b.stats).toEqual({ delivered: 0, tooBig: 0, full: 0, unheard: 0 });
  });

  it('counts the queue of each direction by itself', () => {
    const clock = new VirtualClock();
    const { a, b } = memoryPair(clock, { queue: 1 });
    const atA = received(a);
    received(b);
    expect([a, b].map((end) => end.send(batchOf([numbered(1)])))).toEqual([1, 1]);
    clock.run();
    expect(atA.map(numberOf)).toEqual([1]);
  });

  it('carries an Ethernet header on top of its MTU', () => {
    const clock = new VirtualClock();
    const { a, b } = memoryPair(clock, { medium: 'ethernet', mtu: 1500 });
    const atB = received(b);
    a.send(batchOf([numbered(1, 1514), numbered(2, 1515)]));
    clock.run();
    expect(atB.map(numberOf)).toEqual([1]);
  });

  it('names its ends', () => {
    const { a, b } = memoryPair(new VirtualClock(), { name: 'wire' });
    expect([a.name, b.name, a.medium, a.mtu]).toEqual(['wire.a', 'wire.b', 'ip', 1500]);
  });
});
