import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { authenc } from '../../src/crypto/suite.ts';
import { dropRow } from '../../src/ipsec/drop.ts';
import { Encapsulator } from '../../src/ipsec/encapsulate.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import { Sad } from '../../src/ipsec/sad.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { Batch, PASS } from '../../src/wire/packet.ts';
import { address, counting, ipv4Packet, ipv6Packet, RANDOM, saConfig } from '../support/sa.ts';

function senderOf(given: Parameters<typeof saConfig>[0], startAfter = { hi: 0, lo: 0 }): TunnelEnd {
  return new TunnelEnd(saConfig(given), new NodeEngine(), { ...RANDOM, startAfter });
}

describe('a sender that has no number left', () => {
  it('stops after 2^32-1 without ESN, and never wraps', () => {
    const sender = senderOf({ esn: false }, { hi: 0, lo: 0xffff_fffe });
    expect(sender.encapsulate(ipv4Packet(64)).verdict).toBe('ok');
    for (let i = 0; i < 3; i++) {
      expect(sender.encapsulate(ipv4Packet(64))).toEqual({
        verdict: 'drop',
        reason: 'out-sequence',
        counter: 'XfrmOutStateSeqError',
      });
    }
    expect([sender.sa.sequence.hi, sender.sa.sequence.lo, sender.sa.life.packets]).toEqual([
      0, 0xffff_ffff, 1,
    ]);
  });

  it('stops after 2^64-1 with ESN', () => {
    const sender = senderOf({ esn: true }, { hi: 0xffff_ffff, lo: 0xffff_fffe });
    expect(sender.encapsulate(ipv4Packet(64)).verdict).toBe('ok');
    expect(sender.encapsulate(ipv4Packet(64))).toMatchObject({ reason: 'out-sequence' });
  });
});

describe('a packet that cannot be sent uses no number', () => {
  const cases = [
    { name: 'no IP at all', packet: Uint8Array.of(0x11, 2, 3), reason: 'out-not-ip' },
    { name: 'nothing', packet: new Uint8Array(0), reason: 'out-not-ip' },
    { name: 'IPv4 cut off', packet: ipv4Packet(64).slice(0, 40), reason: 'out-not-ip' },
    { name: 'too long once it is encapsulated', packet: ipv4Packet(65_500), reason: 'out-too-big' },
  ] as const;

  it.each(cases)('$name: $reason', ({ packet, reason }) => {
    const sender = senderOf({});
    expect(sender.encapsulate(packet)).toMatchObject({ verdict: 'drop', reason });
    expect([sender.sa.sequence.lo, sender.sa.life.packets]).toEqual([0, 0]);
  });

  it('IPv6 through an SA for IPv4', () => {
    const any4 = { address: address('0.0.0.0'), bits: 0 };
    const sender = senderOf({ selector: { src: any4, dst: any4 } });
    expect(sender.encapsulate(ipv6Packet(64))).toMatchObject({
      reason: 'out-selector',
      counter: 'XfrmOutPolError',
    });
    expect(sender.sa.sequence.lo).toBe(0);
  });

  it('through an SA whose selector has other addresses', () => {
    const own = { address: address('10.0.1.0'), bits: 24 };
    const other = { address: address('10.77.0.0'), bits: 16 };
    const packet = ipv4Packet(64, { src: address('10.0.1.1'), dst: address('10.0.1.2') });
    expect(senderOf({ selector: { src: own, dst: own } }).encapsulate(packet).verdict).toBe('ok');
    for (const selector of [
      { src: other, dst: own },
      { src: own, dst: other },
    ]) {
      expect(senderOf({ selector }).encapsulate(packet)).toMatchObject({ reason: 'out-selector' });
    }
  });

  it('IPv6 in transport mode between IPv4 addresses', () => {
    expect(senderOf({ mode: 'transport' }).encapsulate(ipv6Packet(64))).toMatchObject({
      reason: 'out-not-ip',
    });
  });

  it('a fragment in transport mode, which is no whole packet', () => {
    const ends = { src: address('192.0.2.1'), dst: address('192.0.2.2') };
    const sender = senderOf({ mode: 'transport' });
    for (const piece of [{ moreFragments: true }, { fragmentOffset: 8 }]) {
      const packet = ipv4Packet(64, { ...ends, dontFragment: false, ...piece });
      expect(sender.encapsulate(packet)).toMatchObject({ reason: 'out-not-ip' });
    }
    const v6 = { src: address('2001:db8::1'), dst: address('2001:db8::2') };
    const fragment = ipv6Packet(
      64,
      { ...v6, nextHeader: 44 },
      Uint8Array.from([17, 0, 0, 1, 0, 0, 0, 9, ...new Uint8Array(16)]),
    );
    expect(senderOf({ mode: 'transport', ...v6 }).encapsulate(fragment)).toMatchObject({
      reason: 'out-not-ip',
    });
    expect(sender.sa.sequence.lo).toBe(0);
  });

  it('longer than an IP packet can be, with what ESP adds', () => {
    const sender = senderOf({});
    // 20 outer, 8 ESP, 8 IV, no padding, 2 trailer, 16 ICV. A byte more takes 3 of padding.
    const longest = sender.encapsulate(ipv4Packet(65_478));
    expect(longest.verdict === 'ok' && longest.packet.length).toBe(65_532);
    expect(sender.encapsulate(ipv4Packet(65_479))).toMatchObject({ reason: 'out-too-big' });
    expect(sender.sa.sequence.lo).toBe(1);
  });

  it('longer than the path takes', () => {
    const sender = senderOf({});
    sender.sa.pathMtu = 1500;
    expect(sender.encapsulate(ipv4Packet(1446)).verdict).toBe('ok');
    expect(sender.encapsulate(ipv4Packet(1447))).toMatchObject({ reason: 'out-too-big' });
    expect(sender.sa.sequence.lo).toBe(1);
  });

  it('after the hard limit', () => {
    const sender = senderOf({ lifetime: { hardBytes: 100 } });
    expect([1, 2, 3].map(() => sender.encapsulate(ipv4Packet(64)).verdict)).toEqual(['ok', 'ok', 'drop']);
    expect(sender.sa.sequence.lo).toBe(2);
  });

  it('through an SA that met its hard limit: it is gone', () => {
    const sender = senderOf({ lifetime: { hardPackets: 1 } });
    const got = [1, 2, 3].map(() => {
      const outcome = sender.encapsulate(ipv4Packet(64));
      return outcome.verdict === 'ok' ? 'ok' : outcome.counter;
    });
    expect(got).toEqual(['ok', 'XfrmOutStateExpired', 'XfrmOutNoStates']);
    expect(sender.sa.sequence.lo).toBe(1);
  });

  it('whose key the engine has forgotten is dropped, never in the clear', () => {
    const engine = new NodeEngine();
    const sender = new TunnelEnd(saConfig(), engine, RANDOM);
    engine.removeKey(sender.sa.key);
    expect(sender.encapsulate(ipv4Packet(64))).toMatchObject({
      reason: 'out-proto-error',
      counter: 'XfrmOutStateProtoError',
    });
  });

  it('without room in its slot, and it stays as it was', () => {
    const engine = new NodeEngine();
    const sad = new Sad();
    const sa = new SecurityAssociation(saConfig(), engine, RANDOM);
    const index = sad.add(sa);
    const packet = ipv4Packet(64);
    for (const room of [{ headroom: 8 }, { tailroom: 0, maxPacket: 64 }]) {
      const batch = new Batch({ capacity: 1, ...room });
      batch.sa[batch.push(packet)] = index;
      if ('tailroom' in room) batch.offset[0] = batch.slotSize - packet.length;
      if ('tailroom' in room) batch.slab.set(packet, batch.offset[0]!);
      new Encapsulator(sad, engine, 1, RANDOM.random).run(batch);
      expect(dropRow(batch.verdict[0]!)?.reason).toBe('out-proto-error');
      expect(toHex(batch.view(0))).toBe(toHex(packet));
    }
    expect(sa.sequence.lo).toBe(0);
  });
});

describe('a batch', () => {
  it('takes several SAs, leaves clear packets clear, and numbers each SA by itself', () => {
    const engine = new NodeEngine();
    const sad = new Sad();
    const [a, b] = [3, 4].map((spi) => sad.add(new SecurityAssociation(saConfig({ spi }), engine, RANDOM)));
    const batch = new Batch({ capacity: 5 });
    const packet = ipv4Packet(64);
    for (const index of [a!, b!, -1, a!, b!]) batch.sa[batch.push(packet)] = index;
    new Encapsulator(sad, engine, 5, RANDOM.random).run(batch);
    expect([...batch.verdict]).toEqual([PASS, PASS, PASS, PASS, PASS]);
    const seen = [0, 1, 3, 4].map((i) => [batch.view(i)[23], batch.view(i)[27]]);
    expect(seen).toEqual([
      [3, 1],
      [4, 1],
      [3, 2],
      [4, 2],
    ]);
    expect(toHex(batch.view(2))).toBe(toHex(packet));
  });

  it('leaves alone what was dropped before, its SA notwithstanding', () => {
    const engine = new NodeEngine();
    const sad = new Sad();
    const sa = new SecurityAssociation(saConfig(), engine, RANDOM);
    const batch = new Batch({ capacity: 1 });
    batch.sa[batch.push(ipv4Packet(64))] = sad.add(sa);
    batch.drop(0, 1);
    new Encapsulator(sad, engine, 1, RANDOM.random).run(batch);
    expect([batch.verdict[0], toHex(batch.view(0)), sa.sequence.lo]).toEqual([1, toHex(ipv4Packet(64)), 0]);
  });

  it('has an IV of its own in each packet under CBC, of consecutive random bytes', () => {
    const keys = authenc('hmac(sha256)', counting(32), 'cbc(aes)', counting(16));
    let drawn = 0;
    const random = (into: Uint8Array) => {
      for (const k of into.keys()) into[k] = drawn++ % 251;
    };
    const sender = new TunnelEnd(saConfig({ keys }), new NodeEngine(), { random });
    const from = drawn;
    const ivs = Array.from({ length: 300 }, () => {
      const sent = sender.encapsulate(ipv4Packet(64));
      return sent.verdict === 'ok' ? [...sent.packet.subarray(28, 44)] : [];
    }).flat();
    expect(ivs).toEqual(Array.from({ length: 300 * 16 }, (_, k) => (from + k) % 251));
  });

  it('does not send what lies behind the IP packet', () => {
    const sender = senderOf({});
    const receiver = senderOf({});
    const packet = ipv4Packet(50);
    const sent = sender.encapsulate(Uint8Array.from([...packet, 0xa5, 0xa5, 0xa5]));
    expect(sent.verdict === 'ok' && receiver.decapsulate(sent.packet)).toEqual({ verdict: 'ok', packet });
  });
});

describe('a packet that the cipher refuses', () => {
  it('is dropped, because it may still be in the clear; the others of its batch are not', () => {
    const engine = new NodeEngine();
    const sad = new Sad();
    const gone = new SecurityAssociation(saConfig({ spi: 1 }), engine, RANDOM);
    const [goneAt, hereAt] = [
      sad.add(gone),
      sad.add(new SecurityAssociation(saConfig({ spi: 2 }), engine, RANDOM)),
    ];
    const batch = new Batch();
    for (const index of [goneAt, hereAt, goneAt]) batch.sa[batch.push(ipv4Packet(100))] = index;
    engine.removeKey(gone.key);
    new Encapsulator(sad, engine, batch.capacity, RANDOM.random).run(batch);
    expect([0, 1, 2].map((i) => dropRow(batch.verdict[i]!)?.reason)).toEqual([
      'out-proto-error',
      undefined,
      'out-proto-error',
    ]);
  });
});

describe('a packet whose header says what cannot be', () => {
  const changed = (packet: Uint8Array, ...bytes: [at: number, value: number][]) => {
    for (const [at, value] of bytes) packet[at] = value;
    return packet;
  };

  it.each([
    ['IPv4 with a header of 16 bytes', changed(ipv4Packet(64), [0, 0x44])],
    ['IPv4 shorter than its header', changed(ipv4Packet(64), [2, 0], [3, 19])],
    ['IPv4 longer than what is here', changed(ipv4Packet(64), [3, 65])],
    ['IPv6 of 39 bytes', ipv6Packet(60).slice(0, 39)],
    ['IPv6 longer than what is here', changed(ipv6Packet(60), [5, 21])],
    ['version 5', changed(ipv4Packet(64), [0, 0x55])],
    ['version 15, with the length of IPv6', changed(ipv6Packet(60), [0, 0xf0])],
  ])('is none: %s', (_, packet) => {
    expect(senderOf({}).encapsulate(packet)).toMatchObject({ verdict: 'drop', reason: 'out-not-ip' });
  });

  it.each([
    ['IPv4 of its header alone', ipv4Packet(20)],
    ['IPv6 of its header alone', ipv6Packet(40)],
  ])('is one: %s', (_, packet) => {
    expect(senderOf({}).encapsulate(packet).verdict).toBe('ok');
  });
});

describe('a packet that the path does not take whole', () => {
  const v6 = { src: address('2001:db8::1'), dst: address('2001:db8::2') };
  const verdictOf = (given: Parameters<typeof saConfig>[0], packet: Uint8Array, pathMtu: number) => {
    const sender = senderOf(given);
    sender.sa.pathMtu = pathMtu;
    const outcome = sender.encapsulate(packet);
    return outcome.verdict === 'drop' ? outcome.reason : 'ok';
  };
  const df = ipv4Packet(1000, { dontFragment: true });

  it('leaves where it may be cut: IPv4 without DF, and what every IPv6 link carries in IPv6', () => {
    expect(verdictOf({}, ipv4Packet(1000, { dontFragment: false }), 500)).toBe('ok');
    expect(verdictOf(v6, ipv4Packet(1000, { dontFragment: false }), 500)).toBe('ok');
    expect(verdictOf(v6, ipv6Packet(1280), 1280)).toBe('ok');
  });

  it('is dropped where it may not', () => {
    const { reason } = { reason: verdictOf({}, df, 500) };
    expect(reason).toMatch(/too-big$/);
    expect(verdictOf(v6, df, 500)).toBe(reason);
    expect(verdictOf(v6, ipv6Packet(1281), 1280)).toBe(reason);
    expect(verdictOf({}, ipv6Packet(1000), 500)).toBe(reason);
  });

  it('leaves when it just fits', () => {
    const sealed = senderOf({}).encapsulate(df);
    if (sealed.verdict !== 'ok') throw new Error(sealed.reason);
    const { length } = sealed.packet;
    expect(verdictOf({}, df, length)).toBe('ok');
    expect(verdictOf({}, df, length - 1)).toMatch(/too-big$/);
  });
});
