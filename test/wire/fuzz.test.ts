/**
 * Whatever bytes arrive: nothing throws but a WireError from `parse`, nothing reads outside `[at, end)`, nothing
 * runs without end. More runs: `ESPLANE_FUZZ_RUNS=100000 npx vitest run test/wire/fuzz.test.ts`.
 *
 * Reading outside shows because every input runs twice, amid different bytes, and must give the same answer.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { seededBytes } from '../../src/base/rng.ts';
import { ipAt } from '../../src/wire/carrier.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as esp from '../../src/wire/esp.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import { type FieldSpec, fieldNumber } from '../../src/wire/field.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as extensions from '../../src/wire/ipv6-extensions.ts';
import { Reassembler } from '../../src/wire/reassembly.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import * as vxlan from '../../src/wire/vxlan.ts';
import { ACK_V6, ESP_HEAD, ETH, PING, PING_V6, SYN, UDP, VXLAN_ARP } from './packets.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 500);
/** A run takes well under a millisecond: one that hangs is noticed. */
const TIMEOUT = 30_000 + RUNS * 20;

/** Bytes before every input, in both surroundings. */
const BEFORE = 16;
const AFTER = 96;

type Target = (b: Uint8Array, at: number, end: number) => unknown;

/** What the modules have in common. */
interface WireModule {
  readonly FIELDS: readonly FieldSpec[];
  check(b: Uint8Array, at?: number, end?: number): unknown;
  parse(b: Uint8Array, at?: number, end?: number): unknown;
}

/** `check`; when it passes, every accessor and the field map; and `parse`, which must agree with `check`. */
function wholeModule(module: WireModule): Target {
  const accessors = module.FIELDS.map((f) => Reflect.get(module, f.name) as unknown).filter(
    (f): f is (b: Uint8Array, at: number) => unknown => typeof f === 'function',
  );
  return (b, at, end) => {
    const fault = module.check(b, at, end);
    let header: unknown;
    try {
      header = module.parse(b, at, end);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      same(error.fault, fault);
    }
    expect(header === undefined).toBe(fault !== undefined);
    if (fault) return fault;
    return [header, accessors.map((f) => f(b, at)), module.FIELDS.map((f) => fieldNumber(f, b, at))];
  };
}

const TARGETS: Record<string, Target> = {
  ethernet: wholeModule(ethernet),
  'ethernet behind its tags': (b, at, end) =>
    ethernet.check(b, at, end) ?? [ethernet.etherType(b, at), ethernet.payloadAt(b, at)],
  'ethernet.lastTypeAt': (b, at, end) => ethernet.lastTypeAt(b, at, end),
  ipv4: wholeModule(ipv4),
  'ipv4 header of a cut packet': (b, at, end) =>
    ipv4.checkHeader(b, at, end) ?? [
      ipv4.checksumOk(b, at),
      ipv4.isFragment(b, at),
      ipv4.tos(b, at),
      ipv4.fragmentField(b, at),
    ],
  ipv6: wholeModule(ipv6),
  'ipv6 header of a cut packet': (b, at, end) => ipv6.checkHeader(b, at, end) ?? ipv6.trafficClass(b, at),
  'ipv6 walk': (b, at, end) => {
    const bad = ipv6.checkHeader(b, at, end);
    if (bad) return bad;
    const { walk } = extensions;
    const fault = walk.run(b, at, end);
    if (fault) return fault;
    for (const offset of [walk.at, walk.transportAt]) {
      expect(offset).toBeGreaterThanOrEqual(at + 40);
      expect(offset).toBeLessThanOrEqual(end);
    }
    expect(walk.transportAt).toBeLessThanOrEqual(walk.at);
    expect(b[walk.nextAt]).toBe(walk.protocol);
    if (walk.fragmentAt < 0) return { ...walk };
    expect(b[walk.fragmentNextAt]).toBe(extensions.FRAGMENT);
    return { ...walk, id: extensions.fragmentId(b, walk.fragmentAt) };
  },
  udp: wholeModule(udp),
  'udp header of a cut datagram': (b, at, end) => udp.checkHeader(b, at, end) ?? udp.length(b, at),
  tcp: wholeModule(tcp),
  'tcp options': (b, at, end) => tcp.check(b, at, end) ?? [...tcp.options(b, at)],
  icmp: wholeModule(icmp),
  vxlan: wholeModule(vxlan),
  esp: wholeModule(esp),
  'esp trailer': (b, at, end) => {
    const fault = esp.checkTrailer(b, at, end);
    if (fault) return fault;
    expect(esp.payloadEnd(b, end)).toBeGreaterThanOrEqual(at);
    return [esp.padLength(b, end), esp.nextHeader(b, end), esp.payloadEnd(b, end)];
  },
  'esp in udp': (b, at, end) => esp.classifyUdp(b, at, end),
  'link types': (b, at, end) => {
    const found = [0, 1, 12, 14, 101, 105, 108, 113, 228, 229, 276].map((type) => ipAt(type, b, at, end));
    for (const where of found) {
      if (where < 0) continue;
      expect(where).toBeLessThan(end);
      expect([4, 6]).toContain(b[where]! >>> 4);
    }
    return found;
  },
  'transport checksums': (b, at, end) => {
    const bad = b[at]! >>> 4 === 6 ? ipv6.check(b, at, end) : ipv4.check(b, at, end);
    if (bad) return bad;
    const from = b[at]! >>> 4 === 6 ? at + 40 : at + ipv4.headerLen(b, at);
    return [1, 6, 17, 58, 99].map((p) => checksum.transportOk(b, at, p, from, end));
  },
};

/** Real packets from each layer on, as seeds: most mutations of them get past the first checks. */
const SEEDS = [PING, PING_V6, UDP, SYN, ACK_V6, VXLAN_ARP, ESP_HEAD].flatMap((frame) => {
  const upper = ETH + (frame[12] === 0x86 ? 40 : 20);
  return [frame, frame.subarray(ETH), frame.subarray(upper), frame.subarray(upper + 8)];
});

/** A chain of extension headers with sane lengths. */
const chain = fc
  .array(fc.tuple(fc.constantFrom(0, 43, 44, 51, 60, 135, 139, 140, 50, 17, 59), fc.nat(2), fc.nat(255)), {
    maxLength: 20,
  })
  .map((headers) => {
    const b = [...PING_V6.subarray(ETH, ETH + 40)];
    let nextAt = 6;
    for (const [kind, words, fill] of headers) {
      b[nextAt] = kind;
      nextAt = b.length;
      b.push(17, words, ...new Array<number>(6).fill(fill), ...new Array<number>(words * 8).fill(fill));
    }
    const packet = Uint8Array.from(b);
    ipv6.setPayloadLength(packet, 0, packet.length - 40);
    return packet;
  });

/** A seed with some bytes changed and the end cut off or garbage put on. */
const mutated = fc
  .record({
    seed: fc.oneof(fc.constantFrom(...SEEDS), chain),
    changes: fc.array(fc.tuple(fc.nat(255), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x45, 0x81, 0xff))), {
      maxLength: 6,
    }),
    cut: fc.oneof(fc.constant(0), fc.nat(80)),
  })
  .map(({ seed, changes, cut }) => {
    const b = seed.slice(0, Math.max(0, seed.length - cut));
    for (const [at, v] of changes) if (b.length > 0) b[at % b.length] = v;
    return b;
  });

const anything = fc.oneof(fc.uint8Array({ maxLength: 120 }), mutated, mutated);

/** The same bytes at the same place in two different surroundings. */
function surroundings(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const zeros = new Uint8Array(BEFORE + bytes.length + AFTER);
  const noise = zeros.slice();
  seededBytes(bytes.length + 1)(noise);
  zeros.set(bytes, BEFORE);
  noise.set(bytes, BEFORE);
  return [zeros, noise];
}

/** `toEqual`, many times quicker while all is well. */
function same(got: unknown, want: unknown): void {
  if (!isDeepStrictEqual(got, want)) expect(got).toEqual(want);
}

describe('any bytes', () => {
  it.each(Object.entries(TARGETS))(
    '%s',
    (_name, target) => {
      fc.assert(
        fc.property(anything, (bytes) => {
          const end = BEFORE + bytes.length;
          const [zeros, noise] = surroundings(bytes);
          const [before, beforeNoise] = [zeros.slice(), noise.slice()];
          const answer = target(zeros, BEFORE, end);
          same(target(noise, BEFORE, end), answer);
          // Readers do not write.
          same([zeros, noise], [before, beforeNoise]);
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT,
  );
});

/** Fragments that mostly belong together, and overlap, contradict and repeat each other often. */
const fragment = fc
  .record({
    v6: fc.boolean(),
    id: fc.nat(1),
    at: fc.nat(3),
    len: fc.oneof({ weight: 9, arbitrary: fc.constant(8) }, fc.nat(30)),
    more: fc.boolean(),
    far: fc.oneof({ weight: 30, arbitrary: fc.constant(0) }, fc.nat(0x1fff)),
    ecn: fc.oneof({ weight: 15, arbitrary: fc.constantFrom(2, 3) }, fc.constant(0)),
  })
  .map(({ v6, id, at, len, more, far, ecn }) => {
    const offset = (far || at) * 8;
    if (!v6) {
      const b = new Uint8Array(20 + len).fill(id);
      const header = { ...ipv4.parse(PING, ETH), id, tos: ecn, dontFragment: false, moreFragments: more };
      ipv4.emit({ ...header, totalLength: b.length, fragmentOffset: offset }, b);
      return b;
    }
    const b = new Uint8Array(48 + len).fill(id);
    const header = { ...ipv6.parse(PING_V6, ETH), nextHeader: extensions.FRAGMENT, trafficClass: ecn };
    ipv6.emit({ ...header, payloadLength: b.length - 40 }, b);
    b.set([17, 0, offset >>> 8, (offset & 0xff) | (more ? 1 : 0), 0, 0, 0, id], 40);
    return b;
  });

describe('any fragments', () => {
  it(
    'stay in bounds, and what comes out is a good packet',
    () => {
      const maxBytes = 3000;
      const maxDatagrams = 4;
      let completed = 0;
      const input = fc.array(
        fc.tuple(
          fc.oneof({ weight: 9, arbitrary: fragment }, { weight: 1, arbitrary: mutated }),
          fc.nat(5000),
        ),
        { maxLength: 40 },
      );
      fc.assert(
        fc.property(input, (fragments) => {
          const one = new Reassembler({ maxBytes, maxDatagrams });
          const two = new Reassembler({ maxBytes, maxDatagrams });
          let now = 0;
          for (const [bytes, wait] of fragments) {
            now += wait;
            const end = BEFORE + bytes.length;
            const [zeros, noise] = surroundings(bytes);
            expect(one.isFragment(zeros, BEFORE, end)).toBe(two.isFragment(noise, BEFORE, end));
            const out = one.add(zeros, BEFORE, end, now);
            same(two.add(noise, BEFORE, end, now), out);
            expect(one.bytes).toBeLessThanOrEqual(maxBytes);
            expect(one.pending).toBeLessThanOrEqual(maxDatagrams);
            if (!out) continue;
            completed++;
            if (ipv6.checkHeader(out)) {
              expect(ipv4.check(out)).toBeUndefined();
              expect(ipv4.checksumOk(out)).toBe(true);
              expect([ipv4.isFragment(out), ipv4.totalLength(out)]).toEqual([false, out.length]);
            } else {
              expect(ipv6.check(out)).toBeUndefined();
              expect(ipv6.payloadLength(out)).toBe(out.length - 40);
            }
          }
          expect(two.stats).toEqual(one.stats);
          one.expire(now + 60_000);
          expect([one.pending, one.bytes]).toEqual([0, 0]);
        }),
        { numRuns: Math.ceil(RUNS / 4) },
      );
      expect(completed, 'some do come together').toBeGreaterThan(0);
    },
    TIMEOUT,
  );
});
