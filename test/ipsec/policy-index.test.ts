import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PolicyIndex } from '../../src/ipsec/policy-index.ts';
import { type Policy, Spd } from '../../src/ipsec/spd.ts';
import { inPrefix, parseAddress, parsePrefix } from '../../src/wire/address.ts';
import { udp4, udp6 } from '../support/datagram.ts';

/** The obvious walk: every policy in its order. All packets are UDP from port 5000 to port 7000. */
function linear(spd: Spd, packet: Uint8Array, mark: number): Policy | undefined {
  const len = packet[0]! >>> 4 === 4 ? 4 : 16;
  const srcAt = len === 4 ? 12 : 8;
  return spd
    .policies('out')
    .find(
      ({ mark: want, selector: { src, dst, proto, sport, dport } }) =>
        (!want || ((mark & want.mask) ^ want.value) === 0) &&
        inPrefix(src, packet, srcAt, len) &&
        inPrefix(dst, packet, srcAt + len, len) &&
        [undefined, 17].includes(proto) &&
        [undefined, 5000].includes(sport) &&
        [undefined, 7000].includes(dport),
    );
}

const byte = fc.constantFrom(0, 1, 128);
const host4 = fc.tuple(byte, byte).map(([a, b]) => `10.${a}.${b}.1`);
const host6 = fc.tuple(byte, byte).map(([a, b]) => `fd00:${a.toString(16)}::${b.toString(16)}`);
const prefix4 = fc.tuple(host4, fc.constantFrom(0, 8, 13, 16, 23, 24, 32)).map(([a, bits]) => `${a}/${bits}`);
const prefix6 = fc
  .tuple(host6, fc.constantFrom(0, 16, 31, 32, 33, 64, 127, 128))
  .map(([a, bits]) => `${a}/${bits}`);
const markValue = fc.constantFrom(0, 0x1_3e00, 0x1_3e55, 0x8000_0e00);
const policy = fc
  .record({
    prefixes: fc.oneof(fc.tuple(prefix4, prefix4), fc.tuple(prefix6, prefix6)),
    priority: fc.nat(3),
    mark: fc.oneof(
      fc.constant(undefined),
      fc.constant(undefined),
      fc.record({ value: markValue, mask: fc.constantFrom(0, 0xf00, 0xffff_ff00, 0xffff_ffff) }),
    ),
    upper: fc.constantFrom({}, {}, { proto: 17 }, { proto: 6 }, { dport: 7000 }, { sport: 1 }),
  })
  .map(
    ({ prefixes: [src, dst], priority, mark, upper }): Policy => ({
      dir: 'out',
      action: 'allow',
      templates: [],
      priority,
      selector: { src: parsePrefix(src)!, dst: parsePrefix(dst)!, ...upper },
      ...(mark && { mark }),
    }),
  );
const packet = fc.oneof(
  fc.tuple(host4, host4).map(([src, dst]) => udp4(40, { src: parseAddress(src)!, dst: parseAddress(dst)! })),
  fc.tuple(host6, host6).map(([src, dst]) => udp6(60, { src: parseAddress(src)!, dst: parseAddress(dst)! })),
);

describe('Spd.lookup', () => {
  it('finds what a walk over all policies finds, while policies come and go', () => {
    let found = 0;
    let stepped = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(policy, fc.nat(3)), { minLength: 1, maxLength: 60 }),
        fc.array(fc.tuple(packet, markValue), { minLength: 1, maxLength: 20 }),
        (changes, packets) => {
          const spd = new Spd();
          changes.forEach(([one, removes], k) => {
            spd.set(one);
            if (removes === 0) spd.remove(changes[k >> 1]![0]);
            const [bytes, mark] = packets[k % packets.length]!;
            expect(spd.lookup('out', bytes, 0, mark)).toBe(linear(spd, bytes, mark));
          });
          for (const [bytes, mark] of packets) {
            const want = linear(spd, bytes, mark);
            expect(spd.lookup('out', bytes, 0, mark)).toBe(want);
            if (want) found++;
          }
          // Made ready in steps and taken over by another, it answers the same.
          let steps = 0;
          for (const _ of spd.prepare()) steps++;
          const other = new Spd();
          other.set(changes[0]![0]);
          other.adopt(spd);
          expect(other.byAddress('out')).toBe(
            other
              .policies('out')
              .every(({ selector: { proto, sport, dport } }) => !(proto ?? sport ?? dport)),
          );
          for (const [bytes, mark] of packets)
            expect(other.lookup('out', bytes, 0, mark)).toBe(linear(other, bytes, mark));
          stepped += steps;
        },
      ),
      { numRuns: 300 },
    );
    expect(stepped).toBeGreaterThan(300);
    expect(found, 'not only misses').toBeGreaterThan(150);
  });
});

describe('PolicyIndex', () => {
  const to = (dst: string, upper = {}, mask?: number): Policy => ({
    dir: 'out',
    action: 'allow',
    templates: [],
    priority: 0,
    selector: { src: parsePrefix('0.0.0.0/0')!, dst: parsePrefix(dst)!, ...upper },
    ...(mask !== undefined && { mark: { value: 0, mask } }),
  });
  const packetTo = (dst: string) => udp4(40, { dst: parseAddress(dst)! });

  /** The places that a packet is compared with. */
  function chain(index: PolicyIndex, shape: number, dst: string): number[] {
    const places: number[] = [];
    for (let k = index.head(shape, 1e6, 0, packetTo(dst), 12, 4); k >= 0; k = index.next(k)) places.push(k);
    return places;
  }

  it('keeps policies of the same bits together, in their order', () => {
    const index = PolicyIndex.of([
      to('10.0.0.0/8', { proto: 6 }),
      to('10.0.0.0/8', { dport: 1 }),
      to('10.0.0.0/8'),
    ]);
    expect(index.shapes(4)).toBe(1);
    expect(index.shapes(16)).toBe(0);
    expect(chain(index, 0, '10.9.9.9')).toEqual([0, 1, 2]);
  });

  it('has a shape for each mask and prefix length, which ends the look-up where a better place is known', () => {
    const index = PolicyIndex.of([
      to('10.0.0.0/8'),
      to('11.0.0.0/8'),
      to('10.0.0.0/16'),
      to('10.0.0.0/8', {}, 0xf00),
      { ...to('10.0.0.0/8'), selector: { src: parsePrefix('10.0.0.0/8')!, dst: parsePrefix('10.0.0.0/8')! } },
    ]);
    expect(index.shapes(4)).toBe(4);
    const head = (before: number) => index.head(1, before, 0, packetTo('10.0.9.9'), 12, 4);
    expect([head(1), head(2), head(3)]).toEqual([-2, 2, 2]);
  });

  it.each([24, 32])('compares a packet with few of many policies of length %i', (bits) => {
    const index = PolicyIndex.of(Array.from({ length: 100 }, (_, k) => to(`10.0.${k}.0/${bits}`)));
    for (let k = 0; k < 100; k++) {
      const places = chain(index, 0, `10.0.${k}.0`);
      expect(places).toContain(k);
      expect(places.length).toBeLessThan(8);
    }
  });

  it('is made in steps of 32 policies', () => {
    const steps = new PolicyIndex().fill(Array.from({ length: 100 }, (_, k) => to(`10.0.${k}.0/24`)));
    expect([...steps]).toHaveLength(8);
  });
});
