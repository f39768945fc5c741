import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import { Batch, HEADROOM, LentBatch, ON, PASS, TAILROOM } from '../../src/wire/packet.ts';

describe('Batch', () => {
  it('holds packets in slots with room on both sides', () => {
    const batch = new Batch({ capacity: 4, maxPacket: 100 });
    expect(batch.push(hex('010203'))).toBe(0);
    expect(batch.push(hex('aabb'))).toBe(1);
    expect(batch.count).toBe(2);
    expect(batch.copy(0)).toEqual(hex('010203'));
    expect(batch.view(1)).toEqual(hex('aabb'));
    expect(batch.offset[0]).toBe(HEADROOM);
    expect(batch.offset[1]).toBe(batch.slotSize + HEADROOM);
    expect(batch.slotSize).toBeGreaterThanOrEqual(HEADROOM + 100 + TAILROOM);
  });

  it('lays slots an odd number of cache lines apart', () => {
    for (const maxPacket of [64, 1500, 2048, 9000, 65535]) {
      const { slotSize } = new Batch({ capacity: 1, maxPacket });
      expect(slotSize % 64).toBe(0);
      expect((slotSize / 64) % 2).toBe(1);
    }
  });

  it.each([0, 1, 64, 65, 300])('copies a range of %i bytes, short or long', (len) => {
    const source = Uint8Array.from({ length: 400 }, (_, i) => i);
    const batch = new Batch({ capacity: 2, maxPacket: 400 });
    batch.push(source, 20, 20 + len);
    batch.push(source);
    expect(batch.copy(0)).toEqual(source.slice(20, 20 + len));
    expect(batch.copy(1)).toEqual(source);
  });

  it('starts every packet afresh', () => {
    const batch = new Batch({ capacity: 1 });
    batch.push(hex('01'));
    batch.drop(0, 7);
    batch.sa[0] = 3;
    batch.mark[0] = 0xe00;
    batch.prepend(0, 20);
    batch.clear();
    expect(batch.count).toBe(0);
    batch.push(hex('0203'));
    expect([batch.verdict[0], batch.next[0]]).toEqual([PASS, ON]);
    expect([batch.sa[0], batch.mark[0], batch.offset[0]]).toEqual([-1, 0, HEADROOM]);
    expect(batch.copy(0)).toEqual(hex('0203'));
  });

  it('refuses when full, and what does not fit into a slot', () => {
    const batch = new Batch({ capacity: 1, maxPacket: 100, headroom: 10, tailroom: 0 });
    const most = batch.slotSize - 10;
    expect(batch.reserve(most + 1)).toBe(-1);
    expect(batch.count).toBe(0);
    expect(batch.reserve(most)).toBe(0);
    expect(batch.reserve(1)).toBe(-1);
    expect(batch.push(hex('01'))).toBe(-1);
    expect(batch.count).toBe(1);
  });

  it('grows into headroom and tailroom to the last byte, no further', () => {
    const batch = new Batch({ capacity: 3, maxPacket: 100, headroom: 16, tailroom: 8 });
    for (const byte of ['01', '02', '03']) batch.push(hex(byte));
    expect(batch.prepend(1, 17)).toBe(false);
    expect(batch.copy(1)).toEqual(hex('02'));
    expect(batch.prepend(1, 16)).toBe(true);
    const rest = batch.slotSize - 17;
    expect(batch.append(1, rest + 1)).toBe(false);
    expect(batch.length[1]).toBe(17);
    expect(batch.append(1, rest)).toBe(true);
    batch.view(1).fill(0xff);
    expect(batch.copy(0)).toEqual(hex('01'));
    expect(batch.copy(2)).toEqual(hex('03'));
  });

  it('trims what it grew', () => {
    const batch = new Batch({ capacity: 1 });
    batch.push(hex('0102030405'));
    batch.trimFront(0, 2);
    batch.trimBack(0, 1);
    expect(batch.copy(0)).toEqual(hex('0304'));
    batch.prepend(0, 2);
    batch.append(0, 1);
    expect(batch.copy(0)).toEqual(hex('0102030405'));
  });

  it('copy is a copy, view is the slab', () => {
    const batch = new Batch({ capacity: 1 });
    batch.push(hex('0102'));
    const copy = batch.copy(0);
    batch.view(0)[0] = 9;
    expect(copy).toEqual(hex('0102'));
    expect(batch.copy(0)).toEqual(hex('0902'));
  });

  it('shares its slab when asked', () => {
    expect(new Batch({ capacity: 1, shared: true }).slab.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(new Batch({ capacity: 1 }).slab.buffer).toBeInstanceOf(ArrayBuffer);
  });

  // A plain array of bytes for each packet is the obvious version.
  it('agrees with plain arrays over random growing and trimming', () => {
    const step = fc.record({
      i: fc.nat(3),
      op: fc.constantFrom('prepend', 'append', 'trimFront', 'trimBack'),
      n: fc.nat(40),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const batch = new Batch({ capacity: 4, maxPacket: 32, headroom: 32, tailroom: 0 });
        const plain = [1, 2, 3, 4].map((v) => new Array<number>(8).fill(v));
        for (const bytes of plain) batch.push(Uint8Array.from(bytes));
        const front = [32, 32, 32, 32];
        for (const { i, op, n } of steps) {
          const bytes = plain[i]!;
          if (op === 'prepend') {
            const fits = n <= front[i]!;
            expect(batch.prepend(i, n)).toBe(fits);
            if (!fits) continue;
            front[i]! -= n;
            bytes.unshift(...new Array<number>(n).fill(0xee));
            batch.view(i).fill(0xee, 0, n);
          } else if (op === 'append') {
            const fits = front[i]! + bytes.length + n <= batch.slotSize;
            expect(batch.append(i, n)).toBe(fits);
            if (!fits) continue;
            bytes.push(...new Array<number>(n).fill(0xdd));
            batch.view(i).fill(0xdd, bytes.length - n);
          } else {
            const take = Math.min(n, bytes.length);
            if (op === 'trimFront') {
              batch.trimFront(i, take);
              bytes.splice(0, take);
              front[i]! += take;
            } else {
              batch.trimBack(i, take);
              bytes.splice(bytes.length - take, take);
            }
          }
        }
        for (const [i, bytes] of plain.entries()) expect([...batch.copy(i)]).toEqual(bytes);
      }),
    );
  });
});

describe('LentBatch', () => {
  it('leaves packets where they lie, all in one array', () => {
    const batch = new LentBatch(2);
    const array = hex('00010203aabb');
    expect(batch.lend(array, 1, 4)).toBe(0);
    expect(batch.lend(hex('ff'), 0, 1), 'another array').toBe(-1);
    expect(batch.lend(array, 4, 6)).toBe(1);
    expect(batch.lend(array, 0, 1), 'full').toBe(-1);
    expect(batch.slab).toBe(array);
    expect(batch.words.getUint16(4)).toBe(0xaabb);
    expect([batch.view(0), batch.view(1)]).toEqual([hex('010203'), hex('aabb')]);
    expect([batch.verdict[1], batch.sa[1], batch.count]).toEqual([PASS, -1, 2]);
    batch.clear();
    expect(batch.lend(hex('ff'), 0, 1)).toBe(0);
    expect(batch.copy(0)).toEqual(hex('ff'));
  });

  it('has no room to grow a packet in, nor for another', () => {
    const batch = new LentBatch(2);
    batch.lend(hex('00010203'), 1, 3);
    expect([batch.prepend(0, 1), batch.append(0, 1), batch.push(hex('01'))]).toEqual([false, false, -1]);
    expect(batch.view(0)).toEqual(hex('0102'));
  });
});
