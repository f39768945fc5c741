/**
 * Adding frames that are not authentic to a capture never changes the verdict of an authentic one.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { putU32 } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import type { FrameInfo } from '../../src/capture/frame.ts';
import { Forge, textOf } from '../../src/conform/forge.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import { Diagnoser } from '../../src/inspect/diagnose/diagnoser.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import { Explainer } from '../../src/inspect/explain/explain.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { type Line, lineOf } from '../support/decrypt.ts';
import { receiverWith } from '../support/receiver.ts';
import { address, ipv4Packet, SUITES, saConfig } from '../support/sa.ts';
import { IS_LONG, runs } from '../support/sample.ts';

const RUNS = Math.ceil(runs(150) / 50);
const EPOCH = 1n << 32n;
/** Without an ICV there is nothing that a forgery could fail by. */
const AUTHENTIC = SUITES.filter(({ suite }) => suite.icvLen > 0);

interface Frame {
  readonly bytes: Uint8Array;
  readonly isTrue: boolean;
}

const infoOf = (bytes: Uint8Array, number: number): FrameInfo => ({
  number,
  seconds: 1_700_000_000 + number,
  nanoseconds: 0,
  hasTime: true,
  interfaceId: 0,
  linkType: LINK_RAW,
  originalLength: bytes.length,
  byte: 0,
});

/** What `decrypt --json` says of each frame. */
function decrypt(frames: readonly Frame[], sas: readonly SaConfig[], inPlace: boolean): Line[] {
  return receive(frames, new Evidence({ listed: sas }), inPlace);
}

function receive(frames: readonly Frame[], evidence: Evidence, inPlace: boolean): Line[] {
  const lines: Line[] = [];
  const json = new PacketJson();
  const decryptor = receiverWith(evidence, {
    inPlace,
    onPacket: (event) => lines.push(lineOf(event, json)),
  });
  frames.forEach(({ bytes }, i) => {
    decryptor.frame(inPlace ? bytes.slice() : bytes, 0, bytes.length, infoOf(bytes, i + 1));
  });
  decryptor.flush();
  return lines;
}

/** What it says of the authentic frames, one after the other. */
function verdicts(frames: readonly Frame[], lines: readonly Line[]) {
  return lines
    .filter(({ frame }) => frames[frame - 1]!.isTrue)
    .map(({ seq, verdict, reason, counter, inner }) => ({ seq, verdict, reason, counter, inner }));
}

/**
 * The receiver's own text. Its states have a mark, as Cilium's have: without one a kernel takes packets of any source for
 * an SA's.
 */
function told(sas: readonly SaConfig[]): Evidence {
  const marked = sas.map((sa) => ({ ...sa, direction: 'in' as const, mark: { value: 0xd00, mask: 0xf00 } }));
  return new Evidence({ states: [{ file: 'n2.txt', sas: marked, keyless: [] }] });
}

function diagnose(frames: readonly Frame[], sas: readonly SaConfig[]) {
  const evidence = told(sas);
  const diagnoser = new Diagnoser(evidence);
  const receiver = receiverWith(evidence, { sinks: [diagnoser] });
  frames.forEach(({ bytes }, i) => {
    receiver.frame(bytes, 0, bytes.length, infoOf(bytes, i + 1));
  });
  return diagnoser.finish();
}

/** What `explain` says of the frame at index `at`. */
function explain(frames: readonly Frame[], sas: readonly SaConfig[], at: number) {
  const explainer = new Explainer({
    evidence: new Evidence({ listed: sas }),
    engine: new NodeEngine(),
    random: seededBytes(1),
  });
  frames.slice(0, at).forEach(({ bytes }, i) => {
    explainer.pass(bytes, 0, bytes.length, infoOf(bytes, i + 1));
  });
  const { bytes } = frames[at]!;
  const explanation = explainer.explain(bytes, 0, bytes.length, infoOf(bytes, at + 1));
  const found: unknown[] = [];
  JSON.stringify(explanation.packet, (_, value: unknown) => {
    if (typeof value === 'object' && value !== null && 'icvOk' in value && 'verdict' in value) {
      const { verdict, icvOk, reason, counter, sequence } = value as Record<string, unknown>;
      found.push({ verdict, icvOk, reason, counter, full: (sequence as { full: string } | null)?.full });
    }
    return value;
  });
  expect(found).toHaveLength(1);
  return found[0];
}

/** The authentic side: one SA, and the numbers of its packets in the order in which they come. */
const streams = fc
  .record({
    keys: fc.constantFrom(...AUTHENTIC),
    esn: fc.boolean(),
    replayWindow: fc.constantFrom(32, 33, 64, 1000, 1024, 4096),
    isV6: fc.boolean(),
    inUdp: fc.boolean(),
    epoch: fc.nat(3),
    hint: fc.constantFrom('none', 'exact', 'old', 'zero'),
    from: fc.oneof(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: -12, max: -1 }),
      fc.nat(2 ** 32 - 100),
    ),
    steps: fc.array(fc.integer({ min: -40, max: 60 }), { minLength: 1, maxLength: 16 }),
    anySource: fc.boolean(),
  })
  .map(({ from, epoch, hint, steps, isV6, inUdp, anySource, ...given }) => {
    const hi = given.esn ? BigInt(epoch) : 0n;
    const start = hi * EPOCH + BigInt(from < 0 ? 2 ** 32 + from : from);
    const numbers = [start];
    for (const step of steps) {
      // Mostly forward, sometimes late, sometimes twice.
      const next = numbers.at(-1)! + BigInt(step > 20 ? 1 : step);
      const isThere = next > 0n && (given.esn || next < EPOCH);
      if (isThere) numbers.push(next);
    }
    const seqHi = { none: 0, exact: Number(hi), old: Math.max(0, Number(hi) - 1), zero: 0 }[hint];
    const config = saConfig({
      ...given,
      ...(isV6 && { src: address('2001:db8::1'), dst: address('2001:db8::2') }),
      ...(inUdp && { encap: { sport: 4500, dport: 4500 } }),
      ...(given.esn && hint !== 'none' && { sequence: { seqHi, seq: 77, oseqHi: 0, oseq: 0 } }),
    });
    const any = new Uint8Array(config.src.length);
    return { config, sas: [anySource ? { ...config, src: any } : config], numbers };
  });

const kinds = ['random', 'flipped', 'epoch', 'truncated', 'spi', 'source', 'bare'] as const;
const forgeries = fc.array(
  fc.record({
    kind: fc.constantFrom(...kinds),
    /** Frames of this kind in a row. */
    count: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 4 }) },
      { weight: 1, arbitrary: fc.constant(40) },
    ),
    where: fc.nat(),
    seed: fc.nat(),
  }),
  { minLength: 1, maxLength: 5 },
);

const inner = ipv4Packet(60);

function forge(
  peer: Forge,
  numbers: readonly bigint[],
  kind: (typeof kinds)[number],
  seed: number,
): Uint8Array | undefined {
  const { config } = peer;
  const { suite } = config.keys;
  const random = seededBytes(seed);
  const number = numbers[seed % numbers.length]!;
  const text = textOf(inner, 4, suite.align);
  const whole = peer.packet(number, text, { inUdp: config.encap !== undefined });
  const espLen = 8 + suite.ivLen + text.length + suite.icvLen;
  const body = whole.slice(whole.length - espLen);
  const noise = (len: number) => {
    const b = new Uint8Array(len);
    random(b);
    return b;
  };
  switch (kind) {
    case 'random': {
      const b = noise(espLen);
      putU32(b, 0, config.spi);
      // Sometimes with a number that is due.
      if (seed % 2 === 0) putU32(b, 4, Number(number % EPOCH));
      return peer.outer(b);
    }
    case 'flipped':
      // Behind the SPI; the last bytes are the ICV.
      body[4 + (seed % (espLen - 4))]! ^= 1 << (seed % 8);
      return peer.outer(body);
    case 'epoch': {
      const old = number - BigInt(1 + (seed % 3)) * EPOCH + BigInt(seed % 7);
      return config.esn && old > 0n ? peer.packet(old, text) : undefined;
    }
    case 'truncated':
      return peer.outer(body.subarray(0, 8 + (seed % (espLen - 8))));
    case 'spi':
      putU32(body, 0, 0x1000 + seed);
      return peer.outer(body);
    case 'source': {
      const src = config.src.slice();
      src[src.length - 1] = 77 + (seed % 100);
      return peer.outer(body, { src });
    }
    case 'bare': {
      // Without its ICV right and another one behind.
      const longer = new Uint8Array(espLen + 16);
      longer.set(body);
      return peer.outer(longer);
    }
  }
}

/** A capture, clean and with forgeries. */
const captures = fc.tuple(streams, forgeries).map(([{ config, sas, numbers }, given]) => {
  const peer = new Forge(config, new NodeEngine());
  const text = textOf(inner, 4, config.keys.suite.align);
  const clean: Frame[] = numbers.map((number) => ({ bytes: peer.packet(number, text), isTrue: true }));
  const mixed = [...clean];
  for (const { kind, count, where, seed } of given) {
    const at = where % (mixed.length + 1);
    for (let i = 0; i < count; i++) {
      const bytes = forge(peer, numbers, kind, seed + i);
      if (bytes) mixed.splice(at, 0, { bytes, isTrue: false });
    }
  }
  return { sas, clean, mixed };
});

describe('twenty packets of the fourth 2^32', () => {
  const config = saConfig();
  const peer = new Forge(config, new NodeEngine());
  const text = textOf(inner, 4, 4);
  const at = (epoch: number, lo: number) => peer.packet(BigInt(epoch) * EPOCH + BigInt(lo), text);
  const truth = Array.from({ length: 20 }, (_, i) => ({ bytes: at(3, 1000 + i), isTrue: true }));
  const noise = seededBytes(3);
  const forged = (n: number) =>
    Array.from({ length: n }, (_, i) => {
      const b = new Uint8Array(100);
      noise(b);
      putU32(b, 0, config.spi);
      putU32(b, 4, 2000 + i);
      return { bytes: peer.outer(b), isTrue: false };
    });
  const old = (epoch: number, lo: number) => ({ bytes: at(epoch, lo), isTrue: false });
  const cases: Record<string, readonly Frame[]> = {
    clean: truth,
    'three forgeries first': [...forged(3), ...truth],
    'four forgeries first': [...forged(4), ...truth],
    ...(IS_LONG && { 'two thousand forgeries first': [...forged(2000), ...truth] }),
    'forgeries among them, and behind': truth.flatMap((one) => [one, ...forged(5)]),
    'an old packet first': [old(0, 77), ...truth],
    'old packets of two epochs first': [old(1, 4_000_000_000), old(0, 5), old(2, 999), ...truth],
    'old packets among them': truth.flatMap((one, i) => [old(i % 3, 1000 + i), one]),
  };

  it.each(Object.keys(cases))('%s: they are opened, and nothing else', (name) => {
    const frames = cases[name]!;
    for (const seqHi of [0, 3]) {
      const sas = [saConfig({ sequence: { seqHi, seq: 0x3f0, oseqHi: 0, oseq: 0 } })];
      const lines = decrypt(frames, sas, false);
      expect(lines.filter(({ verdict }) => verdict === 'ok').map(({ frame }) => frame)).toEqual(
        frames.flatMap(({ isTrue }, i) => (isTrue ? [i + 1] : [])),
      );
      const { receivers } = diagnose(frames, sas);
      const others = frames.length - truth.length;
      expect(receivers[0]!.counters).toEqual(others > 0 ? { XfrmInStateProtoError: others } : {});
    }
  });

  it('an old packet long before them is opened, since nothing says yet that it is old', () => {
    const lines = decrypt([old(0, 77), ...forged(300), ...truth], [config], false);
    expect(lines.filter(({ verdict }) => verdict === 'ok')).toHaveLength(21);
  });
});

describe('frames that are not authentic change no verdict of those that are', { timeout: 180_000 }, () => {
  it('of decrypt', () => {
    fc.assert(
      fc.property(captures, fc.boolean(), ({ sas, clean, mixed }, inPlace) => {
        const expected = verdicts(clean, decrypt(clean, sas, false));
        expect(expected[0]).toMatchObject({ verdict: 'ok' });
        expect(verdicts(mixed, decrypt(mixed, sas, inPlace))).toEqual(expected);
      }),
      { numRuns: RUNS * 2, seed: 12 },
    );
  });

  it('of diagnose, whose counters are those of its frames', () => {
    fc.assert(
      fc.property(captures, ({ sas, mixed }) => {
        const counted: Record<string, number> = {};
        const lines = receive(mixed, told(sas), false);
        for (const { counter } of lines) if (counter) counted[counter] = (counted[counter] ?? 0) + 1;
        const { receivers, streams } = diagnose(mixed, sas);
        const sum: Record<string, number> = {};
        for (const { counters } of receivers) {
          for (const [row, n] of Object.entries(counters)) sum[row] = (sum[row] ?? 0) + n;
        }
        // Packets without an SA that end when the true ones begin may be those of an SA that is gone since.
        for (const rows of [sum, counted]) delete rows['XfrmInNoStates'];
        expect(sum).toEqual(counted);
        const accepted = streams.reduce((n, { ok }) => n + ok, 0);
        expect(accepted).toBe(lines.filter(({ verdict }) => verdict === 'ok').length);
      }),
      { numRuns: RUNS, seed: 13 },
    );
  });

  it('of explain', () => {
    fc.assert(
      fc.property(captures, fc.nat(), ({ sas, clean, mixed }, which) => {
        const at = which % clean.length;
        const place = mixed.indexOf(clean[at]!);
        expect(explain(mixed, sas, place)).toEqual(explain(clean, sas, at));
      }),
      { numRuns: RUNS, seed: 14 },
    );
  });
});
