import { describe, expect, it } from 'vitest';
import { hex, putU16 } from '../../src/base/bytes.ts';
import { xorshift32 } from '../../src/base/rng.ts';
import { Forge as AnyForge, textOf as espText } from '../../src/conform/forge.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { authenc } from '../../src/crypto/suite.ts';
import { Decapsulator } from '../../src/ipsec/decapsulate.ts';
import { dropRow } from '../../src/ipsec/drop.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { Sad } from '../../src/ipsec/sad.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { Batch, PASS } from '../../src/wire/packet.ts';
import { address, ipv4Packet, ipv6Packet, RANDOM, saConfig } from '../support/sa.ts';

/** A peer that builds what it likes. */
class Forge {
  readonly #forge: AnyForge;

  constructor(config: SaConfig) {
    this.#forge = new AnyForge(config, new NodeEngine());
  }

  /** @param text payload, padding, pad length, next header */
  packet(seq: number | bigint, text: Uint8Array): Uint8Array {
    return this.#forge.packet(BigInt(seq), text);
  }

  /** A packet as it should be. */
  good(seq: number | bigint, inner = ipv4Packet(64)): Uint8Array {
    return this.packet(seq, textOf(inner, 4));
  }
}

/** Payload with padding 1, 2, 3 … to four bytes, and its trailer. */
function textOf(payload: Uint8Array, next: number): Uint8Array {
  return espText(payload, next, 4);
}

function receiverOf(config: SaConfig): TunnelEnd {
  return new TunnelEnd(config, new NodeEngine(), RANDOM);
}

/** Everything a packet can move in an SA. */
function stateOf({ sa }: TunnelEnd): unknown {
  const { topHi, topLo, lost } = sa.window;
  return { topHi, topLo, lost, packets: sa.life.packets, bytes: sa.life.bytes };
}

describe('what Linux would count', () => {
  const config = saConfig({ esn: false, replayWindow: 64 });
  const forge = new Forge(config);
  const cut = (b: Uint8Array, len: number) => {
    const short = b.slice(0, len);
    putU16(short, 2, len);
    return short;
  };
  const flip = (b: Uint8Array, at: number) => {
    const bad = b.slice();
    bad[at]! ^= 1;
    return bad;
  };
  const cases = [
    { name: 'seven bytes after the outer header', packet: cut(forge.good(9), 27), reason: 'header-error' },
    { name: 'a SPI that nobody has', packet: flip(forge.good(9), 23), reason: 'no-state' },
    { name: 'number 0', packet: forge.good(0), reason: 'replay-zero' },
    { name: 'cut off in the IV', packet: cut(forge.good(9), 32), reason: 'too-short' },
    { name: 'cut off in the ICV', packet: cut(forge.good(9), 50), reason: 'too-short' },
    { name: 'cut off in the trailer', packet: cut(forge.good(9), 53), reason: 'bad-icv' },
    {
      name: 'an authentic text of one byte',
      packet: forge.packet(9, Uint8Array.of(4)),
      reason: 'bad-padding',
    },
    { name: 'a flipped bit of ciphertext', packet: flip(forge.good(9), 40), reason: 'bad-icv' },
    {
      name: 'no payload at all',
      packet: forge.packet(9, textOf(new Uint8Array(0), 4)),
      reason: 'bad-padding',
    },
    {
      name: 'a pad length beyond the packet',
      packet: forge.packet(9, Uint8Array.from([...ipv4Packet(62), 0xff, 4])),
      reason: 'bad-padding',
    },
    { name: 'a dummy packet', packet: forge.packet(9, textOf(ipv4Packet(64), 59)), reason: 'dummy' },
  ] as const;

  it.each(cases)('$name: $reason, and nothing moves', ({ packet, reason }) => {
    const receiver = receiverOf(config);
    expect(receiver.decapsulate(forge.good(5)).verdict).toBe('ok');
    const before = stateOf(receiver);
    expect(receiver.decapsulate(packet)).toMatchObject({ verdict: 'drop', reason });
    expect(stateOf(receiver)).toEqual(before);
  });

  const inner = [
    { name: 'next header 41 around IPv4', text: textOf(ipv4Packet(64), 41), reason: 'inner-header' },
    { name: 'ICMP where IP should be (the McGrew draft)', text: textOf(ipv4Packet(64), 1), reason: 'not-ip' },
    {
      name: 'an inner packet shorter than its header',
      text: textOf(ipv4Packet(64).slice(0, 12), 4),
      reason: 'inner-short',
    },
    {
      name: 'an inner packet that says it is longer',
      text: textOf(ipv4Packet(64).slice(0, 40), 4),
      reason: 'inner-truncated',
    },
    {
      name: 'an inner header length of 4 bytes',
      text: textOf(Uint8Array.from([0x41, ...ipv4Packet(64).slice(1)]), 4),
      reason: 'inner-header',
    },
  ] as const;

  it.each(inner)('$name: $reason, after the window has moved', ({ text, reason }) => {
    const receiver = receiverOf(config);
    expect(receiver.decapsulate(forge.packet(9, text))).toMatchObject({ verdict: 'drop', reason });
    expect(receiver.sa.window.topLo).toBe(9);
    expect(receiver.sa.life.packets).toBe(1);
  });

  /** An inner IPv4 packet of `len` bytes whose header says that header and packet are this long. */
  const inner4 = (len: number, says: { header?: number; total?: number }) => {
    const b = ipv4Packet(Math.max(len, 20)).slice(0, len);
    if (says.header !== undefined) b[0] = 0x40 | (says.header / 4);
    if (says.total !== undefined) putU16(b, 2, says.total);
    return textOf(b, 4);
  };
  /** An inner IPv6 packet of `len` bytes whose header says that so many bytes follow it. */
  const inner6 = (len: number, payload: number) => {
    const b = ipv6Packet(Math.max(len, 40)).slice(0, len);
    putU16(b, 4, payload);
    return textOf(b, 41);
  };

  it.each([
    { name: '19 bytes of IPv4', text: inner4(19, {}), reason: 'inner-short' },
    { name: 'a header alone', text: inner4(20, {}), len: 20 },
    {
      name: 'a header that says it is longer than the payload',
      text: inner4(20, { header: 24 }),
      reason: 'inner-header',
    },
    { name: 'a header of options that fills the payload', text: inner4(24, { header: 24 }), len: 24 },
    { name: 'a total length below the header', text: inner4(40, { total: 19 }), reason: 'inner-header' },
    {
      name: 'a total length below a header with options',
      text: inner4(40, { header: 24, total: 23 }),
      reason: 'inner-header',
    },
    { name: 'a total length of the header alone', text: inner4(40, { header: 24, total: 24 }), len: 24 },
    {
      name: 'a total length of one byte more than there is',
      text: inner4(40, { total: 41 }),
      reason: 'inner-truncated',
    },
    { name: 'a total length of all there is', text: inner4(40, { total: 40 }), len: 40 },
    { name: 'IPv6 where IPv4 is announced', text: textOf(ipv6Packet(64), 4), reason: 'inner-header' },
    { name: '39 bytes of IPv6', text: inner6(39, 0), reason: 'inner-short' },
    { name: 'an IPv6 header alone', text: inner6(40, 0), len: 40 },
    {
      name: 'an IPv6 payload of one byte more than there is',
      text: inner6(60, 21),
      reason: 'inner-truncated',
    },
    { name: 'an IPv6 payload of all there is', text: inner6(60, 20), len: 60 },
  ])('lengths inside, to the byte: $name', ({ text, reason, len }) => {
    const outcome = receiverOf(config).decapsulate(forge.packet(9, text));
    if (reason !== undefined) expect(outcome).toMatchObject({ verdict: 'drop', reason });
    else expect(outcome.verdict === 'ok' && outcome.packet.length).toBe(len);
  });

  it('the next header decides the IP version, and a selector for all of the other one covers it', () => {
    const any4 = { address: address('0.0.0.0'), bits: 0 };
    const packet = forge.packet(9, textOf(ipv6Packet(64), 41));
    const receiver = receiverOf({ ...config, selector: { src: any4, dst: any4 } });
    expect(receiver.decapsulate(packet)).toEqual({ verdict: 'ok', packet: ipv6Packet(64) });
    const narrow = receiverOf({ ...config, selector: { src: any4, dst: { ...any4, bits: 1 } } });
    expect(narrow.decapsulate(packet)).toMatchObject({ reason: 'selector-mismatch' });
  });

  it('addresses outside the selector', () => {
    const receiver = receiverOf({
      ...config,
      selector: {
        src: { address: address('10.9.0.0'), bits: 16 },
        dst: { address: address('0.0.0.0'), bits: 0 },
      },
    });
    expect(receiver.decapsulate(forge.good(1))).toMatchObject({ reason: 'selector-mismatch' });
  });

  it.each([
    ['its protocol', { proto: 17 }, true],
    ['its protocol and ports', { proto: 17, sport: 0x1234, dport: 80 }, true],
    ['another protocol', { proto: 6, dport: 80 }, false],
    ['another port', { proto: 17, dport: 81 }, false],
  ])('a selector of %s, in tunnel and transport mode', (_, upper, isOk) => {
    const any = { address: address('0.0.0.0'), bits: 0 };
    const udp = hex('1234005000080000');
    const inner = new Uint8Array([...ipv4Packet(20), ...udp]);
    ipv4.setTotalLength(inner, 0, 28);
    inner[9] = 17;
    ipv4.fillChecksum(inner, 0);
    for (const mode of ['tunnel', 'transport'] as const) {
      const made = { ...config, mode };
      const text = mode === 'tunnel' ? textOf(inner, 4) : textOf(udp, 17);
      const receiver = receiverOf({ ...made, selector: { src: any, dst: any, ...upper } });
      const outcome = receiver.decapsulate(new AnyForge(made, new NodeEngine()).packet(1n, text));
      expect(outcome, mode).toMatchObject(isOk ? { verdict: 'ok' } : { reason: 'selector-mismatch' });
    }
  });

  it('the statistics say that a packet cut off in its blocks failed the check, as a shorter one did not', () => {
    const keys = authenc('hmac(sha256)', new Uint8Array(32), 'cbc(aes)', new Uint8Array(16), 128);
    const cbc = { ...config, keys };
    const packet = new AnyForge(cbc, new NodeEngine()).packet(1n, espText(ipv4Packet(60), 4, 16));
    const receiver = receiverOf(cbc);
    const failed = [20 + 8 + 16 + 16 + 5, 20 + 8 + 16 + 16, 20 + 8 + 16 + 15].map((len) => {
      expect(receiver.decapsulate(cut(packet, len))).toMatchObject({ reason: 'too-short' });
      return receiver.sa.stats.failed;
    });
    expect(failed).toEqual([1, 2, 2]);
  });

  it('an SA that is being deleted', () => {
    const receiver = receiverOf(config);
    receiver.sa.valid = false;
    expect(receiver.decapsulate(forge.good(1))).toMatchObject({ reason: 'state-invalid' });
  });

  it('an SA that is for sending alone, before all else', () => {
    const receiver = receiverOf({ ...config, direction: 'out', encap: { sport: 4500, dport: 4500 } });
    expect(receiver.decapsulate(forge.good(0))).toMatchObject({
      reason: 'in-direction',
      counter: 'XfrmInStateDirError',
    });
  });

  it('plain ESP for an SA that expects UDP', () => {
    const receiver = receiverOf({ ...config, encap: { sport: 4500, dport: 4500 } });
    expect(receiver.decapsulate(forge.good(1))).toMatchObject({
      reason: 'encap-mismatch',
      counter: 'XfrmInStateMismatch',
    });
  });

  it('ESP in UDP for an SA that expects none', () => {
    const inUdp = new AnyForge(config, new NodeEngine()).packet(1n, textOf(ipv4Packet(64), 4), {
      inUdp: true,
    });
    expect(receiverOf(config).decapsulate(inUdp)).toMatchObject({
      reason: 'encap-mismatch',
      counter: 'XfrmInStateMismatch',
    });
  });

  it('more packets than the hard limit, and then there is no SA any more', () => {
    const receiver = receiverOf({ ...config, lifetime: { hardPackets: 2 } });
    const got = [1, 2, 3, 4].map((seq) => {
      const outcome = receiver.decapsulate(forge.good(seq));
      return outcome.verdict === 'ok' ? 'ok' : outcome.counter;
    });
    expect(got).toEqual(['ok', 'ok', 'XfrmInStateExpired', 'XfrmInNoStates']);
  });

  it('a capture with a snap length says nothing about the packet', () => {
    const receiver = receiverOf(config);
    expect(receiver.decapsulate(forge.good(1).slice(0, 60))).toMatchObject({
      reason: 'not-captured',
      counter: null,
    });
  });
});

describe('where Linux surprises', () => {
  it('takes number 2^64 - n while the window is young: the high half is inferred below zero, and wraps', () => {
    const config = saConfig({ replayWindow: 64 });
    const forge = new Forge(config);
    const receiver = new BatchReceiver(config, 8, [0, 1]);
    const far = forge.good(2n ** 64n - 3n);
    const altered = far.slice();
    altered[60]! ^= 1;
    const young = [forge.good(2 ** 32 - 3), altered, forge.good(7), far, far, forge.good(8)];
    expect(receiver.take(young)).toEqual(['bad-icv', 'bad-icv', 'ok', 'ok', 'replay-seen', 'ok']);
    // It is no number that is ahead.
    expect([receiver.sa.window.topHi, receiver.sa.window.topLo]).toEqual([0, 8]);
    expect([...receiver.seqHi.slice(0, young.length)]).toEqual([0, 0, 0, 0xffff_ffff, 0, 0]);
  });

  it.each([
    { version: 4, options: 0, least: 20 },
    { version: 4, options: 8, least: 28 },
    { version: 6, options: 0, least: 40 },
  ])(
    'lets ESP in UDP pass by that is shorter than $least bytes, the IPv$version header and $options bytes of options',
    ({ version, options, least }) => {
      const ends = version === 4 ? {} : { src: address('2001:db8::1'), dst: address('2001:db8::2') };
      const forge = new AnyForge(
        saConfig({ encap: { sport: 4500, dport: 4500 }, ...ends }),
        new NodeEngine(),
      );
      const datagram = (len: number) =>
        forge.outer(new Uint8Array(len).fill(0xab), { options: new Uint8Array(options).fill(1) });
      const engine = new NodeEngine();
      const decapsulator = new Decapsulator(new Sad(), engine, 2);
      const batch = new Batch({ capacity: 2 });
      batch.push(datagram(least - 1));
      batch.push(datagram(least));
      decapsulator.run(batch);
      expect([...batch.isEsp]).toEqual([0, 1]);
      expect(batch.verdict[0]).toBe(PASS);
      expect(dropRow(batch.verdict[1]!)?.reason).toBe('no-state');
    },
  );
});

describe('what is inside', () => {
  const config = saConfig();
  const forge = new Forge(config);

  it('TFC padding after the inner packet is cut off', () => {
    const packet = ipv4Packet(50);
    const padded = Uint8Array.from([...packet, ...new Uint8Array(100)]);
    expect(receiverOf(config).decapsulate(forge.packet(1, textOf(padded, 4)))).toEqual({
      verdict: 'ok',
      packet,
    });
  });

  it('padding of any content and length is taken', () => {
    const packet = ipv4Packet(50);
    const text = Uint8Array.from([...packet, ...new Uint8Array(200).fill(0xa5), 200, 4]);
    expect(receiverOf(config).decapsulate(forge.packet(1, text))).toEqual({ verdict: 'ok', packet });
  });

  it('congestion met on the way is passed on to an ECN-capable packet', () => {
    const sent = forge.good(1, ipv4Packet(64, { tos: 2 }));
    ipv4.setTos(sent, 0, 3);
    const outcome = receiverOf(config).decapsulate(sent);
    expect(outcome.verdict === 'ok' && ipv4.ecn(outcome.packet)).toBe(3);
    expect(outcome.verdict === 'ok' && ipv4.checksumOk(outcome.packet)).toBe(true);
  });
});

/** A receiver that takes whole batches. */
class BatchReceiver {
  readonly sad = new Sad();
  readonly sa: SecurityAssociation;
  readonly #decapsulator: Decapsulator;
  readonly #batch: Batch;
  readonly #capacity: number;

  constructor(config: SaConfig, capacity: number, start: readonly [number, number]) {
    const engine = new NodeEngine();
    this.sa = new SecurityAssociation(config, engine, RANDOM);
    this.sa.window.startBefore(start[0], start[1]);
    this.sad.add(this.sa);
    this.#capacity = capacity;
    this.#batch = new Batch({ capacity });
    this.#decapsulator = new Decapsulator(this.sad, engine, capacity);
  }

  /** High halves of the last batch. */
  get seqHi(): Uint32Array {
    return this.#batch.seqHi;
  }

  /** Verdicts as reasons, in order. */
  take(packets: readonly Uint8Array[]): string[] {
    const got: string[] = [];
    for (let at = 0; at < packets.length; at += this.#capacity) {
      this.#batch.clear();
      for (const packet of packets.slice(at, at + this.#capacity)) this.#batch.push(packet);
      this.#decapsulator.run(this.#batch);
      for (let i = 0; i < this.#batch.count; i++) {
        const verdict = this.#batch.verdict[i]!;
        got.push(verdict === PASS ? 'ok' : dropRow(verdict)!.reason);
      }
    }
    return got;
  }
}

describe('a batch', () => {
  // The batch opens all packets at once and moves the window afterwards; one packet at a time is the obvious way.
  it.each([
    { esn: true, window: 64, start: 0xffff_ff80, jumps: false },
    { esn: true, window: 64, start: 1, jumps: true },
    { esn: true, window: 1024, start: 0xffff_fe00, jumps: true },
    { esn: false, window: 64, start: 1, jumps: true },
    { esn: false, window: 0, start: 1, jumps: false },
    { esn: true, window: 32, start: 5, jumps: true, lifetime: { hardPackets: 300 } },
  ])(
    'gives what one packet after the other gives: $esn $window from $start',
    ({ esn, window, start, jumps, lifetime }) => {
      const config = saConfig({ esn, replayWindow: window, ...(lifetime && { lifetime }) });
      const forge = new Forge(config);
      const next = xorshift32(start + window);
      const packets: Uint8Array[] = [];
      let top = start;
      for (let i = 0; i < 600; i++) {
        const draw = next() % 100;
        let seq = top + (next() % 3);
        if (draw < 20)
          seq = top - (next() % (window + 20)); // late, or below the window
        else if (draw < 30 && packets.length > 0) {
          packets.push(packets[next() % packets.length]!); // a replay
          continue;
        } else if (draw < 33 && jumps) seq = top + (next() % (esn ? 0x7000_0000 : 5000));
        else if (draw < 35 && esn) seq = Math.max(0, top - 2 ** 32 + (next() % 200)); // another epoch's low half
        if (seq < 0) seq = 0;
        if (!esn) seq = Math.min(seq, 2 ** 32 - 1);
        top = Math.max(top, seq);
        const packet = forge.good(seq);
        if (draw > 95) packet[50]! ^= 4;
        packets.push(packet);
      }
      const first = [Math.floor(start / 2 ** 32), start % 2 ** 32] as const;
      const one = new BatchReceiver(config, 1, first);
      const expected = one.take(packets);
      for (const capacity of [2, 7, 64, 256]) {
        const many = new BatchReceiver(config, capacity, first);
        expect(many.take(packets), `batches of ${capacity}`).toEqual(expected);
        expect(many.sa.stats).toEqual(one.sa.stats);
        expect([many.sa.window.topHi, many.sa.window.topLo, many.sa.life.packets]).toEqual([
          one.sa.window.topHi,
          one.sa.window.topLo,
          one.sa.life.packets,
        ]);
      }
      expect(new Set(expected).size, 'the walk saw more than one verdict').toBeGreaterThan(1);
    },
  );

  it('with one bad packet leaves the others alone', () => {
    const config = saConfig();
    const forge = new Forge(config);
    const packets = [1, 2, 3, 4].map((seq) => forge.good(seq));
    packets[1]![60]! ^= 1;
    expect(new BatchReceiver(config, 4, [0, 1]).take(packets)).toEqual(['ok', 'bad-icv', 'ok', 'ok']);
  });

  it('calls a copy that was cut off a replay, as one packet after the other would', () => {
    const config = saConfig();
    const packet = new Forge(config).good(35);
    const copy = packet.slice(0, 20 + 8 + 8 + 15);
    putU16(copy, 2, copy.length);
    const cases = [copy, packet, copy];
    expect(new BatchReceiver(config, 3, [0, 1]).take(cases)).toEqual(['too-short', 'ok', 'replay-seen']);
  });

  it('goes over the last number there is as one packet after the other does', () => {
    const config = saConfig({ replayWindow: 32 });
    const forge = new Forge(config);
    const end = 2n ** 64n;
    const numbers = [end - 9n, end - 2n, end + 3n, end - 1n, end + 40n, end - 1n, end + 41n, end + 3n];
    const packets = numbers.map((seq) => forge.good(BigInt.asUintN(64, seq)));
    const top = [0xffff_ffff, 0xffff_fff0] as const;
    const one = new BatchReceiver(config, 1, top).take(packets);
    expect(one).toEqual(['ok', 'ok', 'ok', 'ok', 'ok', 'bad-icv', 'ok', 'bad-icv']);
    for (const capacity of [2, 3, 8]) {
      expect(new BatchReceiver(config, capacity, top).take(packets), `${capacity}`).toEqual(one);
    }
  });

  it('of eight copies passes one', () => {
    const config = saConfig();
    const packet = new Forge(config).good(35);
    const got = new BatchReceiver(config, 8, [0, 1]).take(Array.from({ length: 8 }, () => packet));
    expect(got).toEqual(['ok', ...Array.from({ length: 7 }, () => 'replay-seen')]);
  });

  it('leaves packets that are not ESP, and packets that were dropped before, as they are', () => {
    const engine = new NodeEngine();
    const decapsulator = new Decapsulator(new Sad(), engine, 3);
    const batch = new Batch({ capacity: 3 });
    const clear = ipv4Packet(60);
    batch.push(clear);
    batch.push(clear);
    batch.push(hex('00'));
    batch.drop(1, 7);
    decapsulator.run(batch);
    expect([...batch.isEsp]).toEqual([0, 0, 0]);
    expect([...batch.verdict]).toEqual([PASS, 7, PASS]);
    expect(batch.copy(0)).toEqual(clear);
  });
});
