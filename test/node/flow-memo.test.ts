import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { FlowMemo } from '../../src/node/flow-memo.ts';
import { parse } from '../../src/wire/ip.ts';
import { Batch } from '../../src/wire/packet.ts';
import { batchOf } from '../support/frames.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

/** A batch of packets whose headers were read. */
function read(packets: readonly Uint8Array[]): Batch {
  const batch = batchOf(packets);
  for (let i = 0; i < batch.count; i++) parse(batch, i);
  return batch;
}

const address = (len: number, fill: number) => new Uint8Array(len).fill(fill);

describe('FlowMemo', () => {
  it('knows two flows in turn', () => {
    const memo = new FlowMemo();
    const [a, b] = [1, 2].map((n) => ipv4Packet(40, { src: address(4, n), dst: address(4, 9) }));
    const batch = read([a!, b!, a!, b!, b!, a!]);
    memo.keep(batch, 0);
    memo.keep(batch, 1);
    expect([2, 3, 4, 5].map((i) => memo.find(batch, i))).toEqual([0, 1, 1, 0]);
  });

  it('tells the other way from the way there, and IPv4 from IPv6', () => {
    const memo = new FlowMemo();
    const [one, two] = [address(4, 1), address(4, 2)];
    const batch = read([
      ipv4Packet(40, { src: one, dst: two }),
      ipv4Packet(40, { src: two, dst: one }),
      ipv6Packet(60, { src: address(16, 1), dst: address(16, 1) }),
      ipv4Packet(40, { src: one, dst: one }),
    ]);
    memo.keep(batch, 0);
    memo.keep(batch, 2);
    expect([memo.find(batch, 1), memo.find(batch, 3)]).toEqual([-1, -1]);
  });

  it('forgets all at once', () => {
    const memo = new FlowMemo();
    const batch = read([ipv4Packet(40), ipv4Packet(40)]);
    memo.keep(batch, 0);
    memo.clear();
    expect(memo.find(batch, 1)).toBe(-1);
  });

  it('answers as a map would, or not at all', () => {
    const next = xorshift32(0xf10);
    const memo = new FlowMemo();
    let hits = 0;
    for (let round = 0; round < 40; round++) {
      const batch = new Batch({ capacity: 500 });
      const known = new Map<string, number>();
      memo.clear();
      for (let i = 0; i < batch.capacity; i++) {
        const [x, y] = [next() % 12, next() % 12];
        const packet =
          next() % 2 === 0
            ? ipv4Packet(40, { src: address(4, x), dst: address(4, y) })
            : ipv6Packet(60, { src: address(16, x), dst: address(16, y) });
        const name = `${packet.length}/${x}/${y}`;
        parse(batch, batch.push(packet));
        const found = memo.find(batch, i);
        // Another flow may have driven it out, but none is taken for it.
        if (found >= 0) expect(found, name).toBe(known.get(name));
        if (found >= 0) hits++;
        else {
          memo.keep(batch, i);
          known.set(name, i);
        }
      }
    }
    expect(hits).toBeGreaterThan(2000);
  });
});
