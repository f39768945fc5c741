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
/** Until everything is compiled. */
const WARM_ROUNDS = 4000;
/** So few that the collector, which would hide what is allocated, seldom runs among them. */
const ROUNDS = 100;
const LOOKS = 9;

interface Case {
  readonly name: string;
  readonly esn: boolean;
  /** Low half of the number that the first packet has. */
  readonly from: number;
  /** Every second packet overtakes the one before. */
  readonly isReordered?: boolean;
}

needs([ADDON], 'encapsulation and decapsulation', () => {
  it.each<Case>([
    { name: 'ESN', esn: true, from: 0x2000_0000 },
    // An unsigned number above 2^31 is an object wherever it is passed to a function that is not inlined.
    { name: 'ESN, numbers above 2^31', esn: true, from: 0x9000_0000 },
    { name: 'ESN, numbers above 2^31, out of order', esn: true, from: 0x9000_0000, isReordered: true },
    { name: 'numbers above 2^31', esn: false, from: 0x9000_0000 },
    { name: 'numbers above 2^31, out of order', esn: false, from: 0x9000_0000, isReordered: true },
  ])('allocate nothing per packet: $name', ({ esn, from, isReordered = false }) => {
    const engine = new NativeEngine('openssl');
    const random = seededBytes(1);
    const sad = new Sad();
    // A mark in the upper half of 32 bits, and bytes that soon need more than 31 bits.
    const mark = { value: 0xf0d1_0d00, mask: 0xffff_ff00 };
    const config = saConfig({ esn, replayWindow: 1024, mark });
    const hi = esn ? 0x1000_0000 : 0;
    const sa = new SecurityAssociation(config, engine, { random, startAfter: { hi, lo: from } });
    sa.window.startBefore(hi, from + 1);
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
        for (let i = isReordered ? 0 : BATCH; i < BATCH; i += 2) {
          const { [i]: at, [i + 1]: next } = batch.offset;
          batch.offset[i] = next!;
          batch.offset[i + 1] = at!;
        }
        decapsulator.run(batch);
        for (let i = 0; i < BATCH; i++) bad += batch.verdict[i]!;
      }
      return bad;
    };
    const used = () => getHeapStatistics().used_heap_size;
    expect(run(WARM_ROUNDS), 'no packet is dropped').toBe(0);
    const growth: number[] = [];
    for (let k = 0; k < LOOKS; k++) {
      const before = used();
      const bad = run(ROUNDS);
      growth.push((used() - before) / (ROUNDS * BATCH));
      expect(bad).toBe(0);
    }
    engine.close();
    // The compilers allocate now and then, and the collector may run; an object for each packet is in every look.
    growth.sort((a, b) => b - a);
    expect(growth[LOOKS >> 1], `bytes a packet: ${growth}`).toBeLessThan(2);
  });
});
