/**
 * Runs of usual packets against the steps for all: the same batches with packets that lie on words, where runs are made,
 * and beside them, where none is. Bytes, verdicts, notes and counters are the same.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import type { Engine, JobTable } from '../../src/crypto/engine.ts';
import { JobTable as Jobs } from '../../src/crypto/engine.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead, authenc } from '../../src/crypto/suite.ts';
import { Decapsulator } from '../../src/ipsec/decapsulate.ts';
import { admitRun, Pending } from '../../src/ipsec/decapsulate-run.ts';
import { Encapsulator } from '../../src/ipsec/encapsulate.ts';
import { frameRun } from '../../src/ipsec/encapsulate-run.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { Sad } from '../../src/ipsec/sad.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { Batch, HEADROOM } from '../../src/wire/packet.ts';
import { address, counting, ipv4Packet, ipv6Packet, saConfig } from '../support/sa.ts';
import { runs } from '../support/sample.ts';

const CAPACITY = 48;
const prefix = (text: string, bits: number) => ({ address: address(text), bits });

/** Kinds of SA, most of them usual. */
const KINDS: readonly Partial<SaConfig>[] = [
  {},
  { esn: false },
  { encap: { type: 'espinudp', sport: 4500, dport: 4500 } as NonNullable<SaConfig['encap']> },
  { keys: aead('rfc7539esp(chacha20,poly1305)', counting(36), 128) },
  { keys: aead('rfc4106(gcm(aes))', counting(20), 64), replayWindow: 32 },
  { esn: false, replayWindow: 0 },
  { flags: ['noecn'] },
  { flags: ['nopmtudisc'] },
  { flags: ['decap-dscp', 'dont-encap-dscp'] },
  { lifetime: { hardPackets: 20 } },
  { selector: { src: prefix('10.0.0.0', 8), dst: prefix('0.0.0.0', 0) } },
  { mode: 'transport' },
  { keys: authenc('hmac(sha256)', counting(32), 'cbc(aes)', counting(16)) },
  { src: address('2001:db8::1'), dst: address('2001:db8::2') },
];

const arbitraryPacket = fc
  .record({
    len: fc.oneof(fc.constant(64), fc.integer({ min: 20, max: 300 })),
    dontFragment: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, fc.constant(false)),
    tos: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 255 })),
    as: fc.oneof(
      { weight: 12, arbitrary: fc.constant('IPv4' as const) },
      fc.constantFrom('IPv6' as const, 'options' as const, 'garbage' as const, 'long' as const),
    ),
    behind: fc.constantFrom(0, 0, 0, 5),
    // In the selector of one kind, or not.
    net: fc.constantFrom(10, 10, 11),
  })
  .map(({ len, dontFragment, tos, as, behind, net }) => {
    if (as === 'IPv6') return ipv6Packet(Math.max(len, 40));
    const packet = ipv4Packet(Math.max(len, as === 'options' ? 24 : 20), { dontFragment });
    packet[1] = tos;
    packet[12] = net;
    if (as === 'options') packet[0] = 0x46;
    if (as === 'garbage') packet[0] = 0x95;
    if (as === 'long') packet[2] = 0x7f;
    return Uint8Array.from([...packet, ...new Uint8Array(behind)]);
  });

/** What happens to a batch on its way. */
const arbitraryTrouble = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom('lost', 'twice', 'swapped', 'bit', 'ce', 'cut', 'dropped'),
  bit: fc.nat(),
});

const arbitraryRun = fc.record({
  kind: fc.nat({ max: KINDS.length - 1 }),
  other: fc.nat({ max: KINDS.length - 1 }),
  // The receiver's two SAs may be the other way round: then hardly anything fits.
  isCrossed: fc.constantFrom(false, false, false, true),
  pathMtu: fc.constantFrom(0xffff, 0xffff, 200),
  start: fc.constantFrom(0, 3, 2000, 0x7fff_ffff, 0xffff_ffe0, 0xffff_fffe),
  batches: fc.array(
    fc.record({
      packets: fc.array(fc.tuple(arbitraryPacket, fc.constantFrom(0, 0, 0, 0, 1)), {
        minLength: 1,
        maxLength: CAPACITY,
      }),
      trouble: fc.array(arbitraryTrouble, { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});
type Run = typeof arbitraryRun extends fc.Arbitrary<infer T> ? T : never;

/** The two ends of two SAs, with batches whose packets begin at multiples of 4, or a byte behind them. */
class Ends {
  readonly batch: Batch;
  readonly sent: readonly SecurityAssociation[];
  readonly got: readonly SecurityAssociation[];
  readonly #encapsulator: Encapsulator;
  readonly #decapsulator: Decapsulator;

  constructor({ kind, other, start, isCrossed, pathMtu }: Omit<Run, 'batches'>, isAligned: boolean) {
    const engine: Engine = new NodeEngine();
    this.batch = new Batch({ capacity: CAPACITY, headroom: HEADROOM + (isAligned ? 0 : 1) });
    const [out, into] = [new Sad(), new Sad()];
    const make = (sad: Sad, kinds: readonly number[]) =>
      kinds.map((one, k) => {
        const given = KINDS[one]!;
        const config = saConfig({ ...given, spi: 3 + k });
        const startAfter = { hi: 0, lo: start };
        const sa = new SecurityAssociation(config, engine, { random: seededBytes(7), startAfter });
        sad.add(sa);
        return sa;
      });
    this.sent = make(out, [kind, other]);
    this.got = make(into, isCrossed ? [other, kind] : [kind, other]);
    for (const sa of this.sent) sa.pathMtu = pathMtu;
    for (const { window } of this.got) if (start > 0) window.commit(0, start);
    this.#encapsulator = new Encapsulator(out, engine, CAPACITY, seededBytes(9));
    this.#decapsulator = new Decapsulator(into, engine, CAPACITY);
  }

  /** All that can be seen of it after each end. */
  carry({ packets, trouble }: Run['batches'][number]): unknown {
    const { batch } = this;
    batch.clear();
    for (const [packet, sa] of packets) batch.sa[batch.push(packet)] = sa;
    for (const { kind, at } of trouble) if (kind === 'dropped') batch.drop(at % batch.count, 9);
    this.#encapsulator.run(batch);
    const after = [this.#look(), this.sent.map(countersOf)];

    const wire = Array.from({ length: batch.count }, (_, i) => i)
      .filter((i) => batch.verdict[i] === 0)
      .map((i) => batch.copy(i));
    for (const { kind, at, bit } of trouble) disturb(wire, kind, at, bit);
    batch.clear();
    for (const packet of wire) batch.push(packet);
    for (const { kind, at } of trouble) if (kind === 'dropped') batch.drop(at % CAPACITY, 9);
    this.#decapsulator.run(batch);
    const { spi, seqHi, seqLo, isEsp } = batch;
    const notes = wire.map((_, i) => (isEsp[i] === 1 ? [spi[i], seqHi[i], seqLo[i], batch.sa[i]] : isEsp[i]));
    return [after, this.#look(), notes, this.got.map(countersOf)];
  }

  #look(): unknown {
    const { batch } = this;
    return Array.from({ length: batch.count }, (_, i) => [batch.verdict[i], toHex(batch.view(i))]);
  }
}

function countersOf({ sequence, window, life, stats, gone }: SecurityAssociation) {
  const { topHi, topLo, lost, late } = window;
  return [sequence.hi, sequence.lo, topHi, topLo, lost, late, life.packets, life.bytes, { ...stats }, gone];
}

function disturb(wire: Uint8Array[], kind: string, at: number, bit: number): void {
  if (wire.length === 0) return;
  const i = at % wire.length;
  const packet = wire[i]!;
  if (kind === 'lost') wire.splice(i, 1);
  else if (kind === 'twice' && wire.length < CAPACITY) wire.push(packet.slice());
  else if (kind === 'swapped') wire.reverse();
  else if (kind === 'bit') packet[(bit >>> 3) % packet.length]! ^= 1 << (bit & 7);
  else if (kind === 'cut') wire[i] = packet.subarray(0, bit % packet.length);
  else if (kind === 'ce' && packet[0] === 0x45) {
    packet[1]! |= 3;
    ipv4.fillChecksum(packet, 0);
  }
}

describe('a run of usual packets', () => {
  it('is sent and received as packet by packet, to the byte and the counter', () => {
    fc.assert(
      fc.property(arbitraryRun, (run) => {
        const [quick, plain] = [new Ends(run, true), new Ends(run, false)];
        for (const batch of run.batches) expect(quick.carry(batch)).toEqual(plain.carry(batch));
      }),
      { numRuns: runs(200) },
    );
  });

  it('is one at all: whole batches of usual packets are', () => {
    const engine = new NodeEngine();
    const sad = new Sad();
    const sa = new SecurityAssociation(saConfig(), engine, {
      random: seededBytes(1),
      startAfter: { hi: 0, lo: 2000 },
    });
    const index = sad.add(sa);
    const jobs: JobTable = new Jobs(CAPACITY);
    const batch = new Batch({ capacity: CAPACITY });
    const fill = () => {
      batch.clear();
      for (let i = 0; i < CAPACITY; i++) batch.sa[batch.push(ipv4Packet(64, { dontFragment: true }))] = index;
    };
    fill();
    expect([frameRun(batch, jobs, 0, sad), jobs.count, sa.sequence.lo]).toEqual([
      CAPACITY,
      CAPACITY,
      2000 + CAPACITY,
    ]);
    engine.seal(batch.slab, jobs);
    sa.window.commit(0, 2000);
    jobs.count = 0;
    const pending = new Pending();
    pending.fit(1);
    expect(admitRun(batch, jobs, pending, 0, CAPACITY, sad, () => false)).toBe(CAPACITY);
    expect([jobs.count, pending.count(index), batch.seqLo[CAPACITY - 1]]).toEqual([
      CAPACITY,
      CAPACITY,
      2000 + CAPACITY,
    ]);
  });
});
