/** What the decryptor looks into, explain shows: one parser reads both. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex } from '../../../src/base/bytes.ts';
import { NodeEngine } from '../../../src/crypto/node.ts';
import { Evidence } from '../../../src/inspect/evidence.ts';
import { explainBytes } from '../../../src/inspect/explain/explain.ts';
import { type Explanation, untiled, walkFields } from '../../../src/inspect/explain/tree.ts';
import { TunnelEnd } from '../../../src/ipsec/tunnel-end.ts';
import { CARRIED, ESP_PACKET, ip } from '../../support/carried.ts';
import { address, ipv4Packet, RANDOM, saConfig } from '../../support/sa.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 1000);
const OPTIONS = { engine: new NodeEngine(), random: RANDOM.random };

function layersOf({ packet }: Explanation): string[] {
  return packet.layers.map(({ id }) => id);
}

describe('explain shows the way to ESP', () => {
  it.each(CARRIED.map((one) => [one.name, one] as const))(
    '%s',
    (_name, { frame, linkType, carriers = [] }) => {
      const explanation = explainBytes(frame, linkType, OPTIONS);
      expect(untiled(explanation.packet)).toBeUndefined();
      expect(explanation.stops).toEqual([]);
      const layers = layersOf(explanation);
      expect(layers.filter((id) => id === 'esp')).toHaveLength(1);
      // IP in IP has no header of its own, nor has Teredo as a rule.
      const shown = carriers.filter((kind) => !/^\din\d$|teredo/.test(kind));
      expect(layers).toEqual(expect.arrayContaining(shown));
      const spi = [...walkFields(explanation.packet)].find(({ field }) => field.id === 'esp.spi');
      expect(spi?.field.value).toBe(0x12345678);
    },
  );

  it('opens ESP behind AH, whose header stays where it is', () => {
    const config = saConfig({ src: address('10.0.0.1'), dst: address('10.0.0.2') });
    const sent = new TunnelEnd(config, new NodeEngine(), RANDOM).encapsulate(ipv4Packet(60));
    if (sent.verdict !== 'ok') throw new Error(sent.reason);
    const ah = hex(`32 04 0000 00000007 00000001 ${'aa'.repeat(12)}`);
    const packet = ip(51, Uint8Array.from([...ah, ...sent.packet.subarray(20)]));
    const explanation = explainBytes(packet, 101, {
      ...OPTIONS,
      evidence: new Evidence({ listed: [config] }),
    });
    expect(untiled(explanation.packet)).toBeUndefined();
    expect(layersOf(explanation)).toEqual(['ip', 'ah', 'esp']);
    expect(explanation.packet.layers[2]!.security?.icvOk).toBe(true);
  });

  it('says what it does not look into', () => {
    const explanation = explainBytes(ip(108, hex('04000000')), 101, OPTIONS);
    expect(explanation.packet.layers.map(({ label }) => label)).toEqual(['IPv4', 'IPComp']);
  });

  it('cut off anywhere, or changed: every byte once', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CARRIED),
        fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 4 }),
        fc.nat(400),
        ({ frame, linkType }, changes, cut) => {
          const b = frame.slice(0, cut);
          for (const [at, value] of changes) if (at < b.length) b[at] = value;
          expect(untiled(explainBytes(b, linkType, OPTIONS).packet)).toBeUndefined();
        },
      ),
      { numRuns: RUNS },
    );
  });

  it('of many headers in one another it shows a bounded number', () => {
    let packet: Uint8Array = ESP_PACKET;
    for (let i = 0; i < 1000; i++) packet = ip(47, Uint8Array.from([...hex('0000 0800'), ...packet]));
    const explanation = explainBytes(packet, 101, OPTIONS);
    expect(untiled(explanation.packet)).toBeUndefined();
    expect(explanation.packet.layers.length).toBeLessThan(60);
  });
});
