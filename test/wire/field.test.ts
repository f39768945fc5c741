import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import * as aggfrag from '../../src/wire/aggfrag.ts';
import * as esp from '../../src/wire/esp.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import { type FieldSpec, fieldNumber } from '../../src/wire/field.ts';
import * as geneve from '../../src/wire/geneve.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as extensions from '../../src/wire/ipv6-extensions.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import * as vxlan from '../../src/wire/vxlan.ts';

const MAPS: readonly [string, readonly FieldSpec[], number, object][] = [
  ['ethernet', ethernet.FIELDS, ethernet.HEADER_LEN, ethernet],
  ['ipv4', ipv4.FIELDS, ipv4.HEADER_LEN, ipv4],
  ['ipv6', ipv6.FIELDS, ipv6.HEADER_LEN, ipv6],
  // Its next header is the walk's business, and has no accessor.
  ['ipv6 fragment', extensions.FRAGMENT_FIELDS, extensions.FRAGMENT_LEN, extensions],
  ['udp', udp.FIELDS, udp.HEADER_LEN, udp],
  ['tcp', tcp.FIELDS, tcp.HEADER_LEN, tcp],
  ['icmp', icmp.FIELDS, icmp.HEADER_LEN, icmp],
  ['vxlan', vxlan.FIELDS, vxlan.HEADER_LEN, vxlan],
  ['geneve', geneve.FIELDS, geneve.HEADER_LEN, geneve],
  ['esp', esp.FIELDS, esp.HEADER_LEN, esp],
  ['aggfrag', aggfrag.FIELDS, aggfrag.HEADER_LEN, aggfrag],
  [
    'aggfrag with congestion control',
    [...aggfrag.FIELDS, ...aggfrag.CONGESTION_FIELDS],
    aggfrag.CONGESTION_HEADER_LEN,
    { ...aggfrag, delays: undefined },
  ],
];

/** Fields whose accessor gives bytes where the wire counts units of 8. */
const IN_EIGHTS = new Set(['fragmentOffset']);

/** Bits from the start of the header that a field covers: [first, first + width). */
function bitsOf(spec: FieldSpec): [from: number, to: number] {
  const [shift, width] = spec.bits ?? [0, spec.len * 8];
  const to = (spec.at + spec.len) * 8 - shift;
  return [to - width, to];
}

const TRAILER: (typeof MAPS)[number] = ['esp trailer', esp.TRAILER_FIELDS, esp.TRAILER_LEN, {}];

describe('field maps', () => {
  it.each([...MAPS, TRAILER])('%s: fields tile the header in wire order', (_name, fields, len) => {
    let end = 0;
    for (const spec of fields) {
      const [from, to] = bitsOf(spec);
      expect(from, spec.name).toBe(end);
      expect(to, spec.name).toBeGreaterThan(from);
      end = to;
    }
    expect(end).toBe(len * 8);
  });

  it.each(MAPS)('%s: names are unique and every field says what it is for', (_name, fields) => {
    expect(new Set(fields.map((f) => f.name)).size).toBe(fields.length);
    for (const spec of fields) expect(spec.about, spec.name).toMatch(/\.$/);
  });

  // The accessors are the quick version, the map is the obvious one.
  it.each(MAPS)('%s: accessors read what the map says', (_name, fields, len, module) => {
    const rand = xorshift32(len);
    let compared = 0;
    for (let round = 0; round < 200; round++) {
      const b = Uint8Array.from({ length: len + 3 }, () => rand() >>> 9);
      for (const spec of fields) {
        const accessor: unknown = Reflect.get(module, spec.name);
        if (typeof accessor !== 'function') continue;
        const want = fieldNumber(spec, b, 3) * (IN_EIGHTS.has(spec.name) ? 8 : 1);
        expect(Number(accessor(b, 3)), spec.name).toBe(want);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(0);
  });
});

describe('fieldNumber', () => {
  const b = Uint8Array.of(0xff, 0x12, 0x34, 0x56, 0x78, 0x9a);

  it('reads big-endian numbers up to 32 bits, unsigned', () => {
    expect(fieldNumber({ name: 'x', at: 1, len: 2, about: '' }, b)).toBe(0x1234);
    expect(fieldNumber({ name: 'x', at: 0, len: 4, about: '' }, b)).toBe(0xff123456);
  });

  it('cuts bits out', () => {
    expect(fieldNumber({ name: 'x', at: 0, len: 4, bits: [28, 4], about: '' }, b)).toBe(0xf);
    expect(fieldNumber({ name: 'x', at: 1, len: 2, bits: [4, 8], about: '' }, b)).toBe(0x23);
  });

  it('has no number for an address', () => {
    expect(fieldNumber({ name: 'x', at: 0, len: 6, about: '' }, b)).toBeNaN();
  });
});
