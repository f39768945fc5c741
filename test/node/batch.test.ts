/** A batch gets the answers of one packet after the other, whatever is remembered of the packets before. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';
import { ends, type TwoNodes, type TwoNodesOptions, twoNodes } from '../support/two-nodes.ts';

const NODES: Readonly<Record<string, TwoNodesOptions>> = {
  'native routing': {},
  'strict mode': { strict: parsePrefix('10.244.0.0/16')! },
  'VXLAN in ESP': { mode: 'tunnel', identity: 41_234 },
  'ESP in VXLAN': { mode: 'tunnel', identity: 41_234, version: parseVersion('1.17') },
  'no SAs': { change: (plan) => ({ ...plan, sas: [] }) },
};
const DESTINATIONS = [
  'b1',
  'b1',
  'b1',
  'a2',
  '10.244.2.99',
  '203.0.113.7',
  '10.100.0.2',
  '192.168.0.2',
] as const;

const packet = fc
  .record({
    to: fc.constantFrom(...DESTINATIONS),
    from: fc.constantFrom('a1', 'a1', 'a1', '10.9.9.9'),
    isV6: fc.boolean(),
    length: fc.constantFrom(60, 1380, 1420, 1500, 1600),
    ttl: fc.constantFrom(64, 64, 64, 1, 2, 3),
    dontFragment: fc.boolean(),
    isDamaged: fc.constantFrom(false, false, false, true),
  })
  .map(({ to, from, isV6, length, ttl, dontFragment, isDamaged }) => {
    if (isV6 && from === 'a1' && !to.includes('.'))
      return ipv6Packet(length, { ...ends(from, to, 6), hopLimit: ttl });
    const bytes = ipv4Packet(length, { ...ends(from, to), ttl, dontFragment });
    if (isDamaged && to === 'b1') bytes[10]! ^= 1;
    return bytes;
  });

it.each(Object.entries(NODES))('says the same of packets by themselves: %s', (_, options) => {
  let delivered = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(packet, fc.integer({ min: 1, max: 4 })), { minLength: 10, maxLength: 16 }),
      (runs) => {
        const packets = runs.flatMap(([one, times]) => Array.from({ length: times }, () => one));
        const [together, alone] = [twoNodes(options), twoNodes(options)];
        together.send('a1', ...packets);
        for (const one of packets) alone.send('a1', one);
        expect(outcome(together)).toEqual(outcome(alone));
        delivered += together.got.b1.length;
      },
    ),
    { numRuns: 15 },
  );
  if (options.change === undefined) expect(delivered).toBeGreaterThan(0);
});

/** What arrived, in any order: fragments leave before the rest of their batch. */
function outcome({ got, nodes }: TwoNodes): unknown {
  const figures = nodes.map((node) => {
    const { sas, peerDrops, ...rest } = node.stats();
    const drops = peerDrops.map(({ peer, reason, count }) => `${peer} ${reason} ${count}`).sort();
    return { ...rest, drops, packets: sas.map(({ spi, packets }) => [spi, packets]) };
  });
  return [Object.values(got).map((packets) => packets.map((bytes) => toHex(bytes)).sort()), figures];
}
