import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { FLOW_SLOTS, FlowMemo } from '../../src/node/flow-memo.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

const address = (len: number, fill: number) => new Uint8Array(len).fill(fill);

describe('FlowMemo', () => {
  it('knows two flows in turn', () => {
    const memo = new FlowMemo();
    const [a, b] = [1, 2].map((n) => ipv4Packet(40, { src: address(4, n), dst: address(4, 9) }));
    const slots = [memo.keep(a!, 0), memo.keep(b!, 0)];
    expect(slots[0]).not.toBe(slots[1]);
    for (let n = 0; n < 3; n++) expect([memo.find(a!, 0), memo.find(b!, 0)]).toEqual(slots);
  });

  it('forgets all at once', () => {
    const memo = new FlowMemo();
    const packet = ipv4Packet(40);
    memo.keep(packet, 0);
    memo.clear();
    expect(memo.find(packet, 0)).toBe(-1);
  });

  it('answers as a map would, or not at all', () => {
    const next = xorshift32(0xf10);
    const memo = new FlowMemo();
    const known = new Map<string, number>();
    const bySlot = new Map<number, string>();
    let hits = 0;
    for (let n = 0; n < 20_000; n++) {
      if (next() % 500 === 0) {
        memo.clear();
        known.clear();
        bySlot.clear();
      }
      const [x, y] = [next() % 12, next() % 12];
      const packet =
        next() % 2 === 0
          ? ipv4Packet(40, { src: address(4, x), dst: address(4, y) })
          : ipv6Packet(60, { src: address(16, x), dst: address(16, y) });
      const name = `${packet.length}/${x}/${y}`;
      const slot = memo.find(packet, 0);
      expect(slot, name).toBe(known.get(name) ?? -1);
      if (slot >= 0) hits++;
      else {
        const kept = memo.keep(packet, 0);
        expect(kept >= 0 && kept < FLOW_SLOTS).toBe(true);
        const driven = bySlot.get(kept);
        if (driven) known.delete(driven);
        bySlot.set(kept, name);
        known.set(name, kept);
      }
    }
    expect(hits).toBeGreaterThan(3000);
  });
});
