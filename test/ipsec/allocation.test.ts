/**
 * Nothing is allocated per packet, also once counters have outgrown a small integer: a number that is kept in a field or
 * passed to a function would then be a new object each time.
 */
import { getHeapStatistics } from 'node:v8';
import { expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { NativeEngine } from '../../src/crypto/native.ts';
import { Decapsulator } from '../../src/ipsec/decapsulate.ts';
import { Encapsulator } from '../../src/ipsec/encapsulate.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import { Sad } from '../../src/ipsec/sad.ts';
import { Batch } from '../../src/wire/packet.ts';
import { ADDON, needs } from '../support/needs.ts';
import { ipv4Packet, saConfig } from '../support/sa.ts';

const BATCH = 64;
const ROUNDS = 4000;

needs([ADDON], 'encapsulation and decapsulation', () => {
  it('allocate nothing per packet', () => {
    const engine = new NativeEngine('openssl');
    const random = seededBytes(1);
    const sad = new Sad('mark');
    // A mark in the upper half of 32 bits, and bytes that soon need more than 31 bits.
    const mark = { value: 0xf0d1_0d00, mask: 0xffff_ff00 };
    const config = saConfig({ esn: true, replayWindow: 1024, mark });
    const sa = new SecurityAssociation(config, engine, {
      random,
      startAfter: { hi: 0x1000_0000, lo: 0x2000_0000 },
    });
    sa.window.startBefore(0x1000_0000, 0x2000_0001);
    sa.life.count(2 ** 31 - 100_000);
    const index = sad.add(sa);
    const encapsulator = new Encapsulator(sad, engine, BATCH, random);
    const decapsulator = new Decapsulator(sad, engine, BATCH);
    const batch = new Batch({ capacity: BATCH });
    const inner = ipv4Packet(64);
    const run = (rounds: number) => {
      let bad = 0;
      for (let k = 0; k < rounds; k++) {
        batch.clear();
        for (let i = 0; i < BATCH; i++) batch.sa[batch.push(inner)] = index;
        encapsulator.run(batch);
        batch.mark.fill(mark.value);
        decapsulator.run(batch);
        for (let i = 0; i < BATCH; i++) bad += batch.verdict[i]!;
      }
      return bad;
    };
    const used = () => getHeapStatistics().used_heap_size;
    expect(run(ROUNDS), 'no packet is dropped').toBe(0);
    const growth: number[] = [];
    // The compilers allocate now and then, and the collector may run: the middle one of five tells.
    for (let k = 0; k < 5; k++) {
      const before = used();
      expect(run(ROUNDS)).toBe(0);
      growth.push((used() - before) / (ROUNDS * BATCH));
    }
    engine.close();
    expect(growth.sort((a, b) => a - b)[2], `bytes a packet: ${growth}`).toBeLessThan(2);
  });
});
