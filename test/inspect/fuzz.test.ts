import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import { InnerPacket } from '../../src/inspect/diagnose/inner.ts';
import { packetLine } from '../../src/inspect/packet-line.ts';
import { EspPlace } from '../../src/ipsec/esp-place.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { LINK_ETHERNET, LINK_LINUX_SLL, LINK_LINUX_SLL2, LINK_RAW } from '../../src/wire/link-type.ts';
import { lineOf } from '../support/decrypt.ts';
import { receiverOf } from '../support/receiver.ts';
import { address, ipv4Packet, ipv6Packet, RANDOM, SUITES, saConfig } from '../support/sa.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 1000);

const CONFIGS = [
  saConfig(),
  saConfig({ spi: 4, esn: false, replayWindow: 64, mode: 'transport' }),
  saConfig({ spi: 5, encap: { sport: 4500, dport: 4500 } }),
  saConfig({ spi: 6, keys: SUITES.find((keys) => keys.suite.cipher === 'aes-cbc')! }),
  saConfig({ spi: 7, src: address('2001:db8::1'), dst: address('2001:db8::2') }),
];

/** Real packets to start from: a mutation of these gets further than random bytes do. */
const SEEDS = CONFIGS.flatMap((config) => {
  const end = new TunnelEnd(config, new NodeEngine(), RANDOM);
  const inner =
    config.mode === 'transport' ? ipv4Packet(80, { src: config.src, dst: config.dst }) : ipv6Packet(100);
  const sent = end.encapsulate(inner);
  return sent.verdict === 'ok' ? [sent.packet] : [];
}).concat([ipv4Packet(64), ipv6Packet(64), vxlan(ipv4Packet(60))]);

/** An IP packet in Ethernet in VXLAN in UDP in IPv4. */
function vxlan(inner: Uint8Array): Uint8Array {
  const frame = [...hex('0800000000a11200 ffffffffffff 020000000001 0800'), ...inner];
  const b = ipv4Packet(28 + frame.length);
  b.set(hex('be61 2118'), 20);
  b[24] = (8 + frame.length) >>> 8;
  b[25] = 8 + frame.length;
  b.set(frame, 28);
  return b;
}

/** Any bytes, or a real packet that was cut and changed in a few places. */
const packets = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc
    .tuple(
      fc.constantFrom(...SEEDS),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
      fc.option(fc.nat(200)),
    )
    .map(([seed, changes, cut]) => {
      const b = seed.slice(0, cut ?? seed.length);
      for (const [at, value] of changes) if (at < b.length) b[at] = value;
      return b;
    }),
);

it('any frames through decrypt: a verdict for each ESP packet, and lines that are JSON', () => {
  fc.assert(
    fc.property(
      fc.array(packets, { minLength: 1, maxLength: 5 }),
      fc.constantFrom(LINK_RAW, LINK_ETHERNET, LINK_LINUX_SLL, LINK_LINUX_SLL2),
      (frames, linkType) => {
        const json = new PacketJson();
        let listed = 0;
        const decryptor = receiverOf(CONFIGS, {
          onPacket: (event) => {
            const line = lineOf(event, json);
            expect(line.inner === null).toBe(line.verdict !== 'ok');
            listed++;
          },
        });
        frames.forEach((b, i) => {
          const meta = { seconds: 1, nanoseconds: 0, interfaceId: 0, originalLength: b.length };
          decryptor.frame(b, 0, b.length, { ...meta, number: i + 1, hasTime: true, linkType, byte: 0 });
        });
        decryptor.flush();
        expect(decryptor.totals.esp).toBe(listed);
        expect(decryptor.totals.frames).toBe(frames.length);
      },
    ),
    { numRuns: Math.ceil(RUNS / 4) },
  );
});

it('where ESP lies, overlays and the line for people never look past the end', () => {
  fc.assert(
    fc.property(packets, (packet) => {
      const seen = [0x00, 0xff].map((fill) => {
        const b = new Uint8Array(packet.length + 64).fill(fill);
        b.set(packet, 32);
        const place = new EspPlace();
        const kind = place.find(b, 32, 32 + packet.length);
        const inner = new InnerPacket();
        const found = [inner.read(b, 32, 32 + packet.length), inner.vxlan, inner.end, inner.ports];
        const where =
          kind === 'esp' ? [place.espAt, place.espEnd, place.protocolAt, place.udpAt, place.cut] : [];
        return JSON.stringify([kind, where, found, packetLine(b, 32, 32 + packet.length)]);
      });
      expect(seen[0]).toBe(seen[1]);
    }),
    { numRuns: RUNS },
  );
});

it('any bytes through one end of a tunnel, in both directions', () => {
  const ends = CONFIGS.map((config) => new TunnelEnd(config, new NodeEngine(), RANDOM));
  fc.assert(
    fc.property(packets, fc.constantFrom(...ends), (packet, end) => {
      const before = packet.slice();
      for (const outcome of [end.decapsulate(packet), end.encapsulate(packet)]) {
        expect(outcome.verdict === 'ok' ? outcome.packet.length > 0 : outcome.reason.length > 0).toBe(true);
      }
      expect(packet).toEqual(before);
    }),
    { numRuns: RUNS },
  );
});
