import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isLimited, isWatched, LifetimeCounter } from '../../src/ipsec/lifetime.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

/** Sends packets of `bytes` until the SA expires, `most` at the most. Returns how many passed. */
function carry(life: LifetimeCounter, bytes: number, most = 100): number {
  for (let n = 0; n < most; n++) {
    if (life.expired()) return n;
    life.count(bytes);
  }
  return most;
}

describe('LifetimeCounter', () => {
  it('lets as many packets pass as the hard limit says', () => {
    const life = new LifetimeCounter({ hardPackets: 7 });
    expect(carry(life, 84)).toBe(7);
    expect([life.packets, life.bytes]).toEqual([7, 588]);
  });

  it('lets the packet that crosses the byte limit pass, and no other', () => {
    expect(carry(new LifetimeCounter({ hardBytes: 100 }), 84)).toBe(2);
    expect(carry(new LifetimeCounter({ hardBytes: 168 }), 84), 'reached exactly').toBe(2);
    expect(carry(new LifetimeCounter({ hardBytes: 169 }), 84)).toBe(3);
  });

  it('stays expired', () => {
    const life = new LifetimeCounter({ hardPackets: 0 });
    for (let i = 0; i < 3; i++) expect(life.expired()).toBe(true);
  });

  it.each([{ softPackets: 3 }, { softBytes: 252 }])('is dying once a soft limit is reached: %o', (limits) => {
    const life = new LifetimeCounter({ ...limits, hardPackets: 10 });
    expect(carry(life, 84, 3)).toBe(3);
    expect(life.dying, 'the third packet fills the limit; nobody has asked since').toBe(false);
    expect(life.expired()).toBe(false);
    expect(life.dying).toBe(true);
    expect(carry(life, 84)).toBe(7);
  });

  it('is not dying where the hard limit is reached at once', () => {
    const life = new LifetimeCounter({ softPackets: 5, hardPackets: 5 });
    expect(carry(life, 84)).toBe(5);
    expect(life.dying).toBe(false);
  });

  it('knows whether it can ever expire', () => {
    expect(isLimited({})).toBe(false);
    expect(isLimited({ softBytes: 1, softPackets: 1 })).toBe(false);
    expect(isLimited({ hardBytes: 1 })).toBe(true);
    expect(isLimited({ hardPackets: 1 })).toBe(true);
    expect(carry(new LifetimeCounter({}), 2 ** 40)).toBe(100);
  });

  it('knows whether there is any limit', () => {
    expect(isWatched({})).toBe(false);
    for (const limit of ['softPackets', 'softBytes', 'hardPackets', 'hardBytes'])
      expect(isWatched({ [limit]: 1 }), limit).toBe(true);
  });

  it('is dying from the first soft limit on', () => {
    const life = new LifetimeCounter({ softPackets: 1 });
    expect([life.expired(), life.dying]).toEqual([false, false]);
    life.count(84);
    expect([life.expired(), life.dying]).toEqual([false, true]);
  });
});

needs([shared('captures')], 'what Linux counts for an SA', () => {
  // TFC padding counts too, so crafted-esn cannot be told from its inner packets.
  it.each(['native-v4', 'native-v6', 'gcm-256', 'cbc-sha256', 'faults-esn', 'faults-window64'])(
    '%s: packets, and bytes of inner packets',
    (name) => {
      const folder = `${CAPTURES}/${name}/`;
      const life = new LifetimeCounter({});
      const rows = readFileSync(`${folder}expected.jsonl`, 'utf8').trim().split('\n');
      const expected = rows.map((row) => JSON.parse(row) as { src: string; verdict: string; inner: string });
      const { src } = expected[0]!;
      for (const row of expected) {
        if (row.src === src && row.verdict === 'ok') life.count(row.inner.length / 2);
      }
      const text = readFileSync(`${folder}n2.xfrm_state.txt`, 'utf8');
      const state = text.split(/^(?=src )/m).find((part) => part.startsWith(`src ${src} `));
      const counted = /lifetime current:\s+(\d+)\(bytes\), (\d+)\(packets\)/.exec(state!);
      expect([life.bytes, life.packets]).toEqual([Number(counted![1]), Number(counted![2])]);
    },
  );
});
