import { describe, expect, it } from 'vitest';
import { type DeviceLink, deviceStats } from '../../src/link/link.ts';
import { runLoop } from '../../src/node/loop.ts';

/** A link with `waiting` packets to read, ten a batch. */
function source(name: string, waiting: number, log: string[]): DeviceLink & { waiting: number } {
  return {
    name,
    medium: 'ip',
    mtu: 1500,
    fds: [],
    stats: deviceStats(),
    waiting,
    send: () => 0,
    receive: () => {},
    close: () => {},
    pump() {
      const packets = Math.min(10, this.waiting);
      this.waiting -= packets;
      if (packets > 0) log.push(name);
      return packets;
    },
  };
}

describe('runLoop', () => {
  it('reads everything that waits before it sleeps, and no link starves another', () => {
    const log: string[] = [];
    const links = [source('a', 100, log), source('b', 30, log)];
    let sleeps = 0;
    runLoop({
      links,
      clock: { now: () => 0 },
      wait: () => {
        expect(links.map(({ waiting }) => waiting)).toEqual([0, 0]);
        sleeps++;
      },
      stopped: () => sleeps === 2,
    });
    expect(log.slice(0, 7)).toEqual(['a', 'a', 'a', 'a', 'b', 'b', 'b']);
    expect(log).toHaveLength(13);
  });

  it('runs chores when they are due, also under load, and sleeps no longer than until the next', () => {
    let now = 1000;
    const ran: number[] = [];
    const slept: number[] = [];
    const busy = source('busy', 200, []);
    runLoop({
      links: [busy],
      clock: { now: () => now++ },
      wait: (ms) => {
        slept.push(ms);
        now += ms;
      },
      chores: [{ every: 3, run: () => ran.push(now) }],
      stopped: () => slept.length === 3,
    });
    expect(ran.length).toBeGreaterThan(3);
    expect(Math.max(...slept)).toBeLessThanOrEqual(3);
  });

  it('gives something long a twentieth of the time at most, and sleeps in between', () => {
    let now = 0;
    let left = 10;
    const slept: number[] = [];
    runLoop({
      links: [],
      clock: { now: () => now },
      wait: (ms) => {
        slept.push(ms);
        now += ms;
      },
      work: () => {
        if (left === 0) return false;
        left--;
        now += 3;
        return true;
      },
      stopped: () => slept.length === 11,
    });
    expect([left, slept]).toEqual([0, [...Array(10).fill(19 * 3), 1000]]);
  });

  it('goes on with its chores when the clock is set back', () => {
    let now = 1_000_000;
    let ran = 0;
    let turns = 0;
    runLoop({
      links: [],
      clock: { now: () => now },
      wait: () => {
        now = turns++ === 0 ? 5000 : now + 10;
      },
      chores: [{ every: 10, run: () => ran++ }],
      stopped: () => turns === 20,
    });
    expect(ran).toBeGreaterThan(10);
  });

  it('lets a device that is gone end it', () => {
    const gone = {
      ...source('gone', 1, []),
      pump: (): number => {
        throw new Error('gone');
      },
    };
    expect(() =>
      runLoop({ links: [gone], clock: { now: () => 0 }, wait: () => {}, stopped: () => false }),
    ).toThrow('gone');
  });
});
