import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex, u32 } from '../../src/base/bytes.ts';
import type { Engine } from '../../src/crypto/engine.ts';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { type Outcome, TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { transportOk } from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { address, counting, ipv4Packet, ipv6Packet, RANDOM, SUITES, saConfig } from '../support/sa.ts';

const V6_ENDS = { src: address('2001:db8::1'), dst: address('2001:db8::2') };
const ENCAP = { encap: { sport: 4500, dport: 4500 } };

/** Two ends of one SA: what the first sends the second receives. */
function pair(config: SaConfig, engines: [Engine, Engine] = [new NodeEngine(), new NobleEngine()]) {
  return {
    sender: new TunnelEnd(config, engines[0], RANDOM),
    receiver: new TunnelEnd(config, engines[1], RANDOM),
  };
}

function packetOf(outcome: Outcome): Uint8Array {
  if (outcome.verdict !== 'ok') throw new Error(`dropped: ${outcome.reason}`);
  return outcome.packet;
}

describe('what one end encapsulates the other decapsulates', () => {
  const modes: {
    name: string;
    given: Partial<SaConfig>;
    inner: typeof ipv4Packet | typeof ipv6Packet;
    outerLen: number;
  }[] = [
    { name: 'tunnel 4in4', given: {}, inner: ipv4Packet, outerLen: 20 },
    { name: 'tunnel 6in4', given: {}, inner: ipv6Packet, outerLen: 20 },
    { name: 'tunnel 4in6', given: V6_ENDS, inner: ipv4Packet, outerLen: 40 },
    { name: 'tunnel 6in6', given: V6_ENDS, inner: ipv6Packet, outerLen: 40 },
    { name: 'tunnel 4in4 in UDP', given: ENCAP, inner: ipv4Packet, outerLen: 28 },
    { name: 'tunnel 6in6 in UDP', given: { ...V6_ENDS, ...ENCAP }, inner: ipv6Packet, outerLen: 48 },
    { name: 'transport v4', given: { mode: 'transport' }, inner: ipv4Packet, outerLen: 0 },
    { name: 'transport v4 in UDP', given: { mode: 'transport', ...ENCAP }, inner: ipv4Packet, outerLen: 8 },
    { name: 'transport v6', given: { mode: 'transport', ...V6_ENDS }, inner: ipv6Packet, outerLen: 0 },
    {
      name: 'transport v6 in UDP',
      given: { mode: 'transport', ...V6_ENDS, ...ENCAP },
      inner: ipv6Packet,
      outerLen: 8,
    },
  ];

  for (const keys of SUITES) {
    const { suite } = keys;
    describe(`${suite.name}, ${suite.keyLen * 8} bit, ICV ${suite.icvLen * 8}`, () => {
      it.each(modes)('$name', ({ given, inner, outerLen }) => {
        for (const esn of [false, true]) {
          const { sender, receiver } = pair(saConfig({ keys, esn, replayWindow: 64, ...given }));
          const { src, dst } = sender.sa.config;
          for (const len of [81, 82, 83, 84, 85, 576, 1400, 9001]) {
            const packet = given.mode === 'transport' ? inner(len, { src, dst }) : inner(len);
            const before = toHex(packet);
            const sent = packetOf(sender.encapsulate(packet));
            expect(toHex(packet), 'the input is not changed').toBe(before);

            if (given.encap && sent[0]! >>> 4 === 6)
              expect(transportOk(sent, 0, 17, 40, sent.length)).toBe(true);
            // RFC 4303 §2.4: the least padding that aligns, and never more.
            const clear = given.mode === 'transport' ? (packet[0]! >>> 4 === 4 ? 20 : 40) : 0;
            const text = Math.ceil((len - clear + 2) / suite.align) * suite.align;
            expect(sent.length).toBe(outerLen + clear + 8 + suite.ivLen + text + suite.icvLen);
            expect(toHex(packetOf(receiver.decapsulate(sent)))).toBe(toHex(packet));
          }
        }
      });
    });
  }
});

describe('an ESP packet on the wire', () => {
  it('has SPI, a first number of 1, and an IV that the number is XORed into', () => {
    const ivSalt = counting(8, 0x10);
    const sender = new TunnelEnd(saConfig(), new NobleEngine(), { ...RANDOM, ivSalt });
    for (const seq of [1, 2, 3]) {
      const sent = packetOf(sender.encapsulate(ipv4Packet(100)));
      expect(ipv4.checksumOk(sent)).toBe(true);
      expect(ipv4.protocol(sent)).toBe(50);
      expect(ipv4.totalLength(sent)).toBe(sent.length);
      expect(u32(sent, 20)).toBe(3);
      expect(u32(sent, 24)).toBe(seq);
      expect(u32(sent, 28)).toBe(u32(ivSalt, 0));
      expect(u32(sent, 32) ^ u32(ivSalt, 4)).toBe(seq);
    }
  });

  it('carries the high half in the IV and in the AAD when the low half wraps', () => {
    const config = saConfig({ replayWindow: 64 });
    const ivSalt = new Uint8Array(8);
    const startAfter = { hi: 0, lo: 0xffff_fffe };
    const sender = new TunnelEnd(config, new NodeEngine(), { ...RANDOM, ivSalt, startAfter });
    const receiver = new TunnelEnd(config, new NobleEngine(), RANDOM);
    receiver.sa.window.startBefore(0, 0xffff_ffff);
    const ivs = [0, 1, 2].map(() => {
      const sent = packetOf(sender.encapsulate(ipv4Packet(100)));
      expect(receiver.decapsulate(sent).verdict).toBe('ok');
      return [u32(sent, 24), u32(sent, 28), u32(sent, 32)];
    });
    expect(ivs).toEqual([
      [0xffff_ffff, 0, 0xffff_ffff],
      [0, 1, 0],
      [1, 1, 1],
    ]);
    expect([receiver.sa.window.topHi, receiver.sa.window.topLo]).toEqual([1, 1]);
  });

  it('has unforeseeable IVs under CBC', () => {
    const sender = new TunnelEnd(
      saConfig({ keys: SUITES.find((k) => k.suite.cipher === 'aes-cbc')! }),
      new NodeEngine(),
      RANDOM,
    );
    const ivs = new Set<string>();
    for (let i = 0; i < 600; i++)
      ivs.add(
        packetOf(sender.encapsulate(ipv4Packet(64)))
          .subarray(28, 44)
          .join(),
      );
    expect(ivs.size, 'across several refills of the pool').toBe(600);
  });

  // encap-rules.json, topic padding.
  it.each([
    { inner: 1446, packet: 1500 },
    { inner: 148, packet: 20 + 184 },
  ])('of $inner bytes with AES-GCM-16 is $packet bytes long', ({ inner, packet }) => {
    const sender = new TunnelEnd(saConfig(), new NodeEngine(), RANDOM);
    expect(packetOf(sender.encapsulate(ipv4Packet(inner)))).toHaveLength(packet);
  });
});

describe('transport mode in IPv6', () => {
  // encap-rules.json, topic ipv6_ext: what routers need stays clear, the rest goes inside.
  const HOP_BY_HOP = [0, 0, 1, 4, 0, 0, 0, 0];
  const ROUTING = [0, 0, 4, 0, 0, 0, 0, 0];
  const DESTINATION = [0, 0, 1, 4, 0, 0, 0, 0];
  const chain = (headers: [number, number[]][], upper: number): Uint8Array =>
    Uint8Array.from(headers.flatMap(([, bytes], i) => [headers[i + 1]?.[0] ?? upper, ...bytes.slice(1)]));

  it.each([
    { name: 'hop-by-hop stays clear', headers: [[0, HOP_BY_HOP]], clear: 48 },
    {
      name: 'hop-by-hop and routing stay clear',
      headers: [
        [0, HOP_BY_HOP],
        [43, ROUTING],
      ],
      clear: 56,
    },
    {
      name: 'destination options before routing stay clear',
      headers: [
        [60, DESTINATION],
        [43, ROUTING],
      ],
      clear: 56,
    },
    {
      name: 'destination options at the end go inside',
      headers: [
        [0, HOP_BY_HOP],
        [60, DESTINATION],
      ],
      clear: 48,
    },
  ] as { name: string; headers: [number, number[]][]; clear: number }[])('$name', ({ headers, clear }) => {
    const { sender, receiver } = pair(saConfig({ mode: 'transport', ...V6_ENDS }));
    const extensions = chain(headers, 17);
    const payload = Uint8Array.from([...extensions, ...counting(50)]);
    const packet = ipv6Packet(40 + payload.length, { ...V6_ENDS, nextHeader: headers[0]![0] }, payload);
    const sent = packetOf(sender.encapsulate(packet));
    expect(u32(sent, clear), 'the SPI').toBe(3);
    expect(toHex(packetOf(receiver.decapsulate(sent)))).toBe(toHex(packet));
  });
});

describe('a window that only follows what verified', () => {
  it('any altered bit of ESP is refused and changes nothing', () => {
    const { sender, receiver } = pair(saConfig(), [new NodeEngine(), new NodeEngine()]);
    const good = packetOf(sender.encapsulate(ipv4Packet(100)));
    fc.assert(
      fc.property(fc.integer({ min: 20 * 8, max: good.length * 8 - 1 }), (bit) => {
        const bad = good.slice();
        bad[bit >>> 3] = bad[bit >>> 3]! ^ (0x80 >>> (bit & 7));
        const outcome = receiver.decapsulate(bad);
        expect(outcome.verdict).toBe('drop');
        expect([receiver.sa.window.topHi, receiver.sa.window.topLo, receiver.sa.life.packets]).toEqual([
          0, 0, 0,
        ]);
      }),
      { numRuns: 300 },
    );
    expect(receiver.decapsulate(good).verdict).toBe('ok');
  });
});
