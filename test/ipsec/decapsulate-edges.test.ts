/**
 * What a mutation tool found untested in `decapsulate.ts`: edges of a batch, the guess of the high half, statistics,
 * selectors, and that a batch is opened in one call.
 */
import { describe, expect, it } from 'vitest';
import { putU16 } from '../../src/base/bytes.ts';
import { Forge, textOf } from '../../src/conform/forge.ts';
import type { Engine } from '../../src/crypto/engine.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Decapsulator } from '../../src/ipsec/decapsulate.ts';
import { dropRow } from '../../src/ipsec/drop.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { Sad } from '../../src/ipsec/sad.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import type { Prefix } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { Batch, PASS } from '../../src/wire/packet.ts';
import { address, ipv4Packet, ipv6Packet, RANDOM, saConfig } from '../support/sa.ts';

const TEXT4 = textOf(ipv4Packet(64), 4, 4);
const TEXT6 = textOf(ipv6Packet(64), 41, 4);

/** A receiver of whole batches that counts how often its engine is called. */
class Receiver {
  readonly sa: SecurityAssociation;
  readonly batch: Batch;
  readonly decapsulator: Decapsulator;
  /** Jobs of each call. */
  readonly calls: number[] = [];

  constructor(config: SaConfig, capacity = 8, start: readonly [number, number] = [0, 1]) {
    const engine = new NodeEngine();
    const counting: Engine = {
      name: engine.name,
      addKey: (material) => engine.addKey(material),
      removeKey: (handle) => engine.removeKey(handle),
      seal: (slab, jobs) => engine.seal(slab, jobs),
      open: (slab, jobs) => {
        this.calls.push(jobs.count);
        engine.open(slab, jobs);
      },
    };
    this.sa = new SecurityAssociation(config, counting, RANDOM);
    this.sa.window.startBefore(start[0], start[1]);
    const sad = new Sad();
    sad.add(this.sa);
    this.batch = new Batch({ capacity });
    this.decapsulator = new Decapsulator(sad, counting, capacity);
  }

  take(...packets: readonly Uint8Array[]): string[] {
    this.batch.clear();
    for (const packet of packets) this.batch.push(packet);
    this.decapsulator.run(this.batch);
    return Array.from({ length: this.batch.count }, (_, i) => reasonOf(this.batch.verdict[i]!));
  }
}

function reasonOf(verdict: number): string {
  return verdict === PASS ? 'ok' : dropRow(verdict)!.reason;
}

function flipped(packet: Uint8Array): Uint8Array {
  const bad = packet.slice();
  bad[60]! ^= 1;
  return bad;
}

describe('a batch', () => {
  const config = saConfig({ replayWindow: 64 });
  const forge = new Forge(config, new NodeEngine());
  const good = (seq: bigint) => forge.packet(seq, TEXT4);

  it('leaves ESP that was dropped before as it is', () => {
    const receiver = new Receiver(config);
    receiver.batch.push(good(5n));
    receiver.batch.drop(0, 7);
    receiver.decapsulator.run(receiver.batch);
    expect([receiver.batch.verdict[0], receiver.batch.isEsp[0], receiver.calls]).toEqual([7, 0, []]);
    expect(receiver.take(good(5n))).toEqual(['ok']);
  });

  it('ends with its last packet, whatever lies in the next slot', () => {
    const receiver = new Receiver(config);
    receiver.batch.push(good(1n));
    receiver.batch.push(good(2n));
    expect(receiver.take(good(3n))).toEqual(['ok']);
    expect([receiver.calls, receiver.batch.isEsp[1]]).toEqual([[1], 0]);
  });

  it('takes each packet with its own mark', () => {
    const sad = new Sad();
    const engine = new NodeEngine();
    const marks = [0x1_0d00, 0x2_0d00, 0x3_0d00].map((value) => ({ value, mask: 0xffff_0f00 }));
    const sas = marks.map((mark) => new SecurityAssociation(saConfig({ mark }), engine, RANDOM));
    for (const sa of sas) sad.add(sa);
    const batch = new Batch({ capacity: 4 });
    for (const i of [2, 0, 1]) batch.mark[batch.push(good(BigInt(i + 1)))] = marks[i]!.value;
    new Decapsulator(sad, engine, 4).run(batch);
    expect(sas.map(({ window }) => window.topLo)).toEqual([1, 2, 3]);
  });

  it.each([
    { name: 'in order', esn: true, numbers: [2n, 3n, 4n, 5n, 6n] },
    { name: 'in order, without ESN', esn: false, numbers: [2n, 3n, 4n, 5n, 6n] },
    { name: 'out of order', esn: true, numbers: [60n, 30n, 80n, 50n, 81n] },
  ])('is opened in one call: $name', ({ esn, numbers }) => {
    const other = saConfig({ replayWindow: 64, esn });
    const maker = new Forge(other, new NodeEngine());
    const receiver = new Receiver(other);
    expect(receiver.take(...numbers.map((seq) => maker.packet(seq, TEXT4)))).toEqual(numbers.map(() => 'ok'));
    expect(receiver.calls).toEqual([numbers.length]);
  });

  it('without ESP calls no engine', () => {
    const receiver = new Receiver(config);
    expect([receiver.take(ipv4Packet(64)), receiver.calls]).toEqual([['ok'], []]);
  });

  // The highest number that waits decides what is inferred for the next, not the last one.
  it.each([
    { name: 'in one epoch', start: [0, 1], numbers: [0xc000_0000n, 0xbfff_fff0n, 0xbfff_ffb5n] },
    { name: 'over two', start: [0, 0xffff_ff00], numbers: [0x1_0000_0005n, 0xffff_fff0n, 0xffff_ffc0n] },
  ] as const)('infers from the highest number that waits: $name', ({ start, numbers }) => {
    const packets = numbers.map((seq) => good(seq));
    const one = new Receiver(config, 8, start);
    const expected = packets.flatMap((packet) => one.take(packet));
    expect(expected).toEqual(['ok', 'ok', 'bad-icv']);
    expect(new Receiver(config, 8, start).take(...packets)).toEqual(expected);
  });
});

describe('the high half of what is dropped', () => {
  const config = saConfig({ replayWindow: 64 });
  const forge = new Forge(config, new NodeEngine());

  it.each([
    { name: 'a replay', start: [5, 100], seq: 0x5_0000_0063n, reason: 'replay-seen', hi: 5 },
    {
      name: 'a replay in the last epoch',
      start: [0xffff_ffff, 100],
      seq: 0xffff_ffff_0000_0063n,
      reason: 'replay-seen',
      hi: 0xffff_ffff,
    },
    { name: 'below the first epoch', start: [0, 5], seq: 0xffff_ffff_ffff_fffdn, reason: 'bad-icv', hi: 0 },
    { name: 'of the next epoch', start: [0, 100], seq: 0x1_0000_0002n, reason: 'bad-icv', hi: 1 },
  ] as const)('$name', ({ start, seq, reason, hi }) => {
    const receiver = new Receiver(config, 8, start);
    const packet = forge.packet(seq, TEXT4);
    if (reason === 'replay-seen') receiver.take(packet);
    expect(receiver.take(reason === 'bad-icv' ? flipped(packet) : packet)).toEqual([reason]);
    expect(receiver.batch.seqHi[0]).toBe(hi);
  });
});

describe('the statistics of an SA', () => {
  it('tell what was wrong, and number 0 counts nowhere', () => {
    const config = saConfig({ esn: false, replayWindow: 64 });
    const forge = new Forge(config, new NodeEngine());
    const receiver = new Receiver(config, 1, [0, 100]);
    const packet = (seq: bigint) => forge.packet(seq, TEXT4);
    receiver.take(packet(99n));
    const seen = [
      [packet(99n), 'replay-seen', { replayWindow: 0, replay: 1, failed: 0 }],
      [packet(10n), 'replay-stale', { replayWindow: 1, replay: 1, failed: 0 }],
      [packet(0n), 'replay-zero', { replayWindow: 1, replay: 1, failed: 0 }],
      [flipped(packet(101n)), 'bad-icv', { replayWindow: 1, replay: 1, failed: 1 }],
    ] as const;
    for (const [bytes, reason, stats] of seen) {
      expect(receiver.take(bytes)).toEqual([reason]);
      expect(receiver.sa.stats).toEqual(stats);
    }
  });
});

describe('lengths', () => {
  const config = saConfig();
  const forge = new Forge(config, new NodeEngine());
  /** A packet with so many bytes of text, cut off behind them. */
  const cut = (textLen: number) => {
    const short = forge.packet(9n, TEXT4).slice(0, 20 + 8 + 8 + textLen + 16);
    putU16(short, 2, short.length);
    return short;
  };

  it.each([
    [-1, 'too-short'],
    [0, 'bad-icv'],
    [1, 'bad-icv'],
  ])('%i bytes between IV and ICV: %s', (textLen, reason) => {
    expect(new Receiver(config).take(cut(textLen))).toEqual([reason]);
  });

  it('an authentic text of no bytes has no trailer', () => {
    expect(new Receiver(config).take(forge.packet(9n, new Uint8Array(0)))).toEqual(['bad-padding']);
  });

  it.each([
    ['a version that is not 4', 0x65, 20],
    ['a header longer than the payload, and a total length that agrees', 0x46, 24],
  ])('an inner header of %s', (_, first, total) => {
    const inner = ipv4Packet(20);
    inner[0] = first;
    putU16(inner, 2, total);
    expect(new Receiver(config).take(forge.packet(9n, textOf(inner, 4, 4)))).toEqual(['inner-header']);
  });
});

describe('a selector', () => {
  const prefix = (text: string, bits: number): Prefix => ({ address: address(text), bits });
  const any4 = prefix('0.0.0.0', 0);
  const any6 = prefix('::', 0);

  // Inside are 10.0.1.10 > 10.0.2.20 and fd00:1::10 > fd00:2::20.
  it.each([
    ['source', TEXT4, prefix('10.0.1.0', 24), any4, 'ok'],
    ['destination', TEXT4, any4, prefix('10.0.2.0', 24), 'ok'],
    ['both', TEXT4, prefix('10.0.1.0', 24), prefix('10.0.2.0', 24), 'ok'],
    ['another source', TEXT4, prefix('10.0.2.0', 24), any4, 'selector-mismatch'],
    ['another destination', TEXT4, any4, prefix('10.0.1.0', 24), 'selector-mismatch'],
    ['one of the two', TEXT4, prefix('10.0.1.0', 24), prefix('10.0.1.0', 24), 'selector-mismatch'],
    ['IPv6', TEXT6, prefix('fd00:1::', 32), prefix('fd00:2::', 32), 'ok'],
    ['another IPv6 destination', TEXT6, any6, prefix('fd00:1::', 32), 'selector-mismatch'],
    ['any IPv4 source and an IPv6 destination', TEXT6, any4, prefix('fd00:2::', 32), 'ok'],
    ['an IPv6 source and any IPv4 destination', TEXT6, prefix('fd00:1::', 32), any4, 'ok'],
  ] as const)('%s', (_, text, src, dst, reason) => {
    const config = saConfig({ selector: { src, dst } });
    expect(new Receiver(config).take(new Forge(config, new NodeEngine()).packet(1n, text))).toEqual([reason]);
  });
});

it('congestion met on an IPv6 path is passed on', () => {
  const config = saConfig({ src: address('2001:db8::1'), dst: address('2001:db8::2') });
  const inner = textOf(ipv4Packet(64, { tos: 2 }), 4, 4);
  const receiver = new TunnelEnd(config, new NodeEngine(), RANDOM);
  const outcome = receiver.decapsulate(new Forge(config, new NodeEngine()).packet(1n, inner, { tos: 3 }));
  expect(outcome.verdict === 'ok' && ipv4.ecn(outcome.packet)).toBe(3);
});

// Linux looks for an AH state first (XfrmInNoStates without one): what it carries is not ESP to anybody before.
it.each([
  {
    name: 'IPv4',
    ends: ['10.0.1.1', '10.0.2.1'],
    text: TEXT4,
    headerLen: 20,
    namedAt: 9,
    lengthAt: 2,
    isWhole: 1,
  },
  {
    name: 'IPv6',
    ends: ['2001:db8::1', '2001:db8::2'],
    text: TEXT6,
    headerLen: 40,
    namedAt: 6,
    lengthAt: 4,
    isWhole: 0,
  },
] as const)('opens no ESP behind an AH header that nothing checks: $name', (family) => {
  const { ends, text, headerLen, namedAt, lengthAt, isWhole } = family;
  const config = saConfig({ src: address(ends[0]), dst: address(ends[1]) });
  const bare = new Forge(config, new NodeEngine()).packet(1n, text);
  const packet = new Uint8Array([
    ...bare.subarray(0, headerLen),
    50,
    4,
    ...Array(22).fill(0),
    ...bare.subarray(headerLen),
  ]);
  packet[namedAt] = 51;
  putU16(packet, lengthAt, packet.length - (isWhole ? 0 : headerLen));
  if (isWhole) ipv4.fillChecksum(packet, 0);
  const receiver = new Receiver(config);
  expect(receiver.take(packet, bare)).toEqual(['ok', 'ok']);
  expect([receiver.batch.isEsp[0], receiver.batch.isEsp[1], receiver.calls]).toEqual([0, 1, [1]]);
});
