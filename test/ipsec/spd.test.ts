import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex, putU16 } from '../../src/base/bytes.ts';
import { xorshift32 } from '../../src/base/rng.ts';
import type { Selector } from '../../src/ipsec/selector.ts';
import { type Action, type Direction, type Policy, Spd } from '../../src/ipsec/spd.ts';
import { parseAddress, parsePrefix } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';

const AT = 32;

interface Packet {
  readonly src: string;
  readonly dst: string;
  readonly proto?: number;
  /** What follows the IP header and its extensions. */
  readonly upper?: string;
  /** IPv4: flags and offset. */
  readonly fragment?: { readonly more: boolean; readonly offset: number };
  /** IPv6: extension headers, and the number of the first. */
  readonly extensions?: { readonly first: number; readonly bytes: string };
}

/** The packet at AT in a slab of 0xa5, so that reading past its end shows. */
function packet({ src, dst, proto = 17, upper = '1f900035', fragment, extensions }: Packet): Uint8Array {
  const slab = new Uint8Array(256).fill(0xa5);
  const [from, to] = [parseAddress(src)!, parseAddress(dst)!];
  const middle = hex(extensions?.bytes ?? '');
  const body = hex(upper);
  const header = from.length === 4 ? 20 : 40;
  slab.set(middle, AT + header);
  slab.set(body, AT + header + middle.length);
  const len = middle.length + body.length;
  if (from.length === 4) {
    ipv4.emit(
      {
        tos: 0,
        totalLength: 20 + len,
        id: 1,
        dontFragment: false,
        moreFragments: fragment?.more ?? false,
        fragmentOffset: fragment?.offset ?? 0,
        ttl: 64,
        protocol: proto,
        src: from,
        dst: to,
        options: new Uint8Array(0),
      },
      slab,
      AT,
    );
  } else {
    const nextHeader = extensions?.first ?? proto;
    const fixed = { trafficClass: 0, flowLabel: 0, payloadLength: len, hopLimit: 64, src: from, dst: to };
    ipv6.emit({ ...fixed, nextHeader }, slab, AT);
  }
  return slab;
}

interface PolicySpec {
  readonly src?: string;
  readonly dst?: string;
  readonly dir?: Direction;
  readonly action?: Action;
  readonly priority?: number;
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly upper?: Omit<Selector, 'src' | 'dst'>;
}

function policy({ src = '0.0.0.0/0', dst = '0.0.0.0/0', upper = {}, ...rest }: PolicySpec): Policy {
  const selector = { src: parsePrefix(src)!, dst: parsePrefix(dst)!, ...upper };
  return { dir: 'out', action: 'allow', priority: 0, templates: [], selector, ...rest };
}

function spdOf(...policies: readonly Policy[]): Spd {
  const spd = new Spd();
  for (const p of policies) spd.set(p);
  return spd;
}

const PING = packet({ src: '10.1.0.1', dst: '10.2.0.1' });

describe('Spd.lookup', () => {
  it('takes the lowest priority value, however narrow the others are', () => {
    const wide = policy({ dst: '10.0.0.0/8', priority: 5 });
    const narrow = policy({ dst: '10.2.0.1/32', priority: 6 });
    expect(spdOf(narrow, wide).lookup('out', PING, AT, 0)).toBe(wide);
    expect(spdOf(wide, narrow).lookup('out', PING, AT, 0)).toBe(wide);
  });

  // Tried on Linux 6.18: `ip xfrm policy add … action block priority 5` and `… action allow priority 5` over
  // overlapping prefixes, in both orders and both ways round: the one added first decides.
  it.each([
    ['10.2.0.0/24', '10.2.0.0/25'],
    ['10.2.0.1/32', '10.2.0.0/24'],
    ['10.2.0.0/24', '10.2.0.1/32'],
    ['10.0.0.0/8', '10.2.0.0/28'],
  ])('takes the oldest among equals: %s before %s', (first, second) => {
    const older = policy({ dst: first, action: 'block', priority: 5 });
    const newer = policy({ dst: second, priority: 5 });
    expect(spdOf(older, newer).lookup('out', PING, AT, 0)).toBe(older);
  });

  it('keeps directions apart, and has a default for each', () => {
    const p = policy({ dir: 'in' });
    const spd = new Spd({ out: 'block' });
    spd.set(p);
    expect(spd.lookup('in', PING, AT, 0)).toBe(p);
    expect(spd.lookup('out', PING, AT, 0)).toBeUndefined();
    expect(spd.lookup('fwd', PING, AT, 0)).toBeUndefined();
    expect(spd.defaults).toEqual({ in: 'allow', out: 'block', fwd: 'allow' });
  });

  it('compares marks under their mask: the policies of Cilium for one peer and its default drop', () => {
    const encrypt = policy({ dst: '10.2.0.0/24', mark: { value: 0x0cb9_3e00, mask: 0xffff_ff00 } });
    const drop = policy({ action: 'block', priority: 100, mark: { value: 0xe00, mask: 0xf00 } });
    const spd = spdOf(drop, encrypt);
    expect(spd.lookup('out', PING, AT, 0x0cb9_3e77)).toBe(encrypt);
    expect(spd.lookup('out', PING, AT, 0x0cb9_4e00), 'a key id without a policy').toBe(drop);
    expect(spd.lookup('out', PING, AT, 0xffff_0e00)).toBe(drop);
    expect(spd.lookup('out', PING, AT, 0x0cb9_3d00)).toBeUndefined();
    const high = policy({ mark: { value: 0x8000_0e00, mask: 0xffff_ff00 } });
    expect(spdOf(high).lookup('out', PING, AT, 0x8000_0e01), 'the sign bit is a bit like the others').toBe(
      high,
    );
  });

  it('asks for source and destination', () => {
    const p = policy({ src: '10.1.0.0/24', dst: '10.2.0.0/24' });
    const spd = spdOf(p);
    expect(spd.lookup('out', PING, AT, 0)).toBe(p);
    expect(spd.lookup('out', packet({ src: '10.2.0.1', dst: '10.1.0.1' }), AT, 0)).toBeUndefined();
    expect(spd.lookup('out', packet({ src: '10.1.1.1', dst: '10.2.0.1' }), AT, 0)).toBeUndefined();
  });

  it('keeps the two families apart, wildcards too', () => {
    const four = policy({});
    const six = policy({ src: '::/0', dst: '::/0' });
    const v6 = packet({ src: 'fd10:1::1', dst: 'fd10:2::1' });
    expect(spdOf(four, six).lookup('out', v6, AT, 0)).toBe(six);
    expect(spdOf(six, four).lookup('out', PING, AT, 0)).toBe(four);
    expect(spdOf(four).lookup('out', v6, AT, 0)).toBeUndefined();
    const subnet = policy({ src: 'fd10:1::/64', dst: 'fd10:2::/63' });
    expect(spdOf(subnet).lookup('out', v6, AT, 0)).toBe(subnet);
    expect(
      spdOf(subnet).lookup('out', packet({ src: 'fd10:1::1', dst: 'fd10:2:0:2::1' }), AT, 0),
    ).toBeUndefined();
  });

  const both = { src: '10.1.0.1', dst: '10.2.0.1' };
  const both6 = { src: 'fd10:1::1', dst: 'fd10:2::1' };
  const DNS = { proto: 17, sport: 8080, dport: 53 };
  it.each([
    { why: 'UDP ports', p: both, upper: DNS, hit: true },
    { why: 'TCP ports', p: { ...both, proto: 6 }, upper: { ...DNS, proto: 6 }, hit: true },
    { why: 'SCTP ports', p: { ...both, proto: 132 }, upper: { dport: 53 }, hit: true },
    { why: 'another protocol', p: { ...both, proto: 6 }, upper: DNS, hit: false },
    { why: 'another source port', p: both, upper: { sport: 8081 }, hit: false },
    { why: 'another destination port', p: both, upper: { dport: 54 }, hit: false },
    { why: 'ports, of any protocol', p: both, upper: { dport: 53 }, hit: true },
    { why: 'ports of a protocol without', p: { ...both, proto: 47 }, upper: { dport: 53 }, hit: false },
    {
      why: 'ICMP type and code',
      p: { ...both, proto: 1, upper: '0301' },
      upper: { proto: 1, sport: 3, dport: 1 },
      hit: true,
    },
    { why: 'another ICMP type', p: { ...both, proto: 1, upper: '0800' }, upper: { sport: 3 }, hit: false },
    {
      why: 'a GRE key',
      p: { ...both, proto: 47, upper: '200008000001002a' },
      upper: { proto: 47, sport: 1, dport: 42 },
      hit: true,
    },
    {
      why: 'a GRE key behind a checksum',
      p: { ...both, proto: 47, upper: 'a0000800ffff00000001002a' },
      upper: { proto: 47, sport: 1, dport: 42 },
      hit: true,
    },
    {
      why: 'another GRE key',
      p: { ...both, proto: 47, upper: '200008000001002b' },
      upper: { proto: 47, sport: 1, dport: 42 },
      hit: false,
    },
    {
      why: 'no GRE key as 0',
      p: { ...both, proto: 47, upper: '00000800' },
      upper: { sport: 0, dport: 0 },
      hit: true,
    },
    {
      why: 'a GRE key that is cut off',
      p: { ...both, proto: 47, upper: '2000080000' },
      upper: { sport: 0, dport: 0xa5a5 },
      hit: false,
    },
    {
      why: 'GRE without a key, whatever it carries',
      p: { ...both, proto: 47, upper: '000008000001002a' },
      upper: { sport: 0, dport: 0 },
      hit: true,
    },
    {
      why: 'a GRE key read beyond the end',
      p: { ...both, proto: 47, upper: '2000080000' },
      upper: { sport: 0x00a5, dport: 0xa5a5 },
      hit: false,
    },
    {
      why: 'a GRE header that is cut off',
      p: { ...both, proto: 47, upper: '000008' },
      upper: { sport: 0, dport: 0 },
      hit: false,
    },
    { why: 'a whole packet', p: { ...both, fragment: { more: false, offset: 0 } }, upper: DNS, hit: true },
    {
      why: 'the first fragment has no ports',
      p: { ...both, fragment: { more: true, offset: 0 } },
      upper: DNS,
      hit: false,
    },
    {
      why: 'a later fragment has none either',
      p: { ...both, fragment: { more: false, offset: 8 } },
      upper: DNS,
      hit: false,
    },
    {
      why: 'a fragment has a protocol',
      p: { ...both, fragment: { more: true, offset: 8 } },
      upper: { proto: 17 },
      hit: true,
    },
    {
      why: 'no port reads as port 0',
      p: { ...both, fragment: { more: true, offset: 8 } },
      upper: { sport: 0 },
      hit: false,
    },
    { why: 'ports that are cut off', p: { ...both, upper: '1f9000' }, upper: { sport: 8080 }, hit: false },
    { why: 'what lies behind the packet', p: { ...both, upper: '' }, upper: { sport: 0xa5a5 }, hit: false },
    { why: 'ICMP that is cut off', p: { ...both, proto: 1, upper: '08' }, upper: { sport: 8 }, hit: false },
    { why: 'IPv6 ports', p: both6, upper: DNS, hit: true },
    {
      why: 'ICMPv6 type',
      p: { ...both6, proto: 58, upper: '8000' },
      upper: { proto: 58, sport: 128, dport: 0 },
      hit: true,
    },
    {
      why: 'IPv6 ports behind options',
      p: { ...both6, extensions: { first: 0, bytes: '1100010400000000' } },
      upper: DNS,
      hit: true,
    },
    {
      why: 'a first IPv6 fragment has no ports',
      p: { ...both6, extensions: { first: 44, bytes: '1100000100000007' } },
      upper: DNS,
      hit: false,
    },
    {
      why: 'a lone IPv6 fragment has no ports, as in Linux',
      p: { ...both6, extensions: { first: 44, bytes: '1100000000000007' } },
      upper: DNS,
      hit: false,
    },
    {
      why: 'a later IPv6 fragment has a protocol',
      p: { ...both6, extensions: { first: 44, bytes: '1100000800000007' } },
      upper: { proto: 17 },
      hit: true,
    },
    {
      why: 'an IPv6 chain that runs out has no ports',
      p: { ...both6, upper: '', extensions: { first: 0, bytes: '11ff010400000000' } },
      upper: { sport: 0xa5a5 },
      hit: false,
    },
  ])('upper layer: $why', ({ p, upper, hit }) => {
    const [src, dst] = p.src.includes(':') ? ['::/0', '::/0'] : ['0.0.0.0/0', '0.0.0.0/0'];
    const want = policy({ src, dst, upper });
    expect(spdOf(want).lookup('out', packet(p), AT, 0)).toBe(hit ? want : undefined);
  });

  it('finds ports behind IPv4 options', () => {
    const slab = packet(both);
    slab.copyWithin(AT + 24, AT + 20, AT + 24);
    slab.fill(1, AT + 20, AT + 24);
    slab[AT] = 0x46;
    putU16(slab, AT + 2, 28);
    const want = policy({ upper: DNS });
    expect(spdOf(want).lookup('out', slab, AT, 0)).toBe(want);
  });

  it('reads each packet anew', () => {
    const want = policy({ upper: DNS });
    const spd = spdOf(want);
    expect(spd.lookup('out', packet(both), AT, 0)).toBe(want);
    expect(spd.lookup('out', packet({ ...both, upper: '' }), AT, 0)).toBeUndefined();
  });

  // The list kept in order, against a search through all of them.
  it('agrees with a plain search over random policies and packets', () => {
    const rand = xorshift32(0x5bd);
    const some = <T>(list: readonly T[]): T => list[rand() % list.length]!;
    const prefixes = [
      '0.0.0.0/0',
      '10.0.0.0/8',
      '10.1.0.0/16',
      '10.1.2.0/23',
      '10.1.2.3/32',
      '10.2.0.0/15',
      '10.1.2.0/31',
    ];
    const addresses = ['10.1.2.3', '10.1.2.1', '10.1.3.9', '10.2.0.1', '10.3.1.1', '10.200.0.1', '192.0.2.1'];
    const uppers: PolicySpec['upper'][] = [
      {},
      {},
      { proto: 17 },
      { proto: 6, dport: 53 },
      { sport: 8080 },
      { dport: 53 },
    ];
    const marks = [
      undefined,
      undefined,
      { value: 0xe00, mask: 0xf00 },
      { value: 0x1_3e00, mask: 0xffff_ff00 },
    ];
    const inside = (prefix: string, address: string) => {
      const [base, bits] = prefix.split('/') as [string, string];
      const word = (text: string) => text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
      const size = 2 ** (32 - Number(bits));
      return Math.floor(word(base) / size) === Math.floor(word(address) / size);
    };
    let hits = 0;
    for (let round = 0; round < 60; round++) {
      const spd = new Spd();
      const plain: { spec: PolicySpec & { src: string; dst: string }; age: number; policy: Policy }[] = [];
      for (let age = 0; age < 12; age++) {
        const mark = some(marks);
        const spec = {
          src: some(prefixes),
          dst: some(prefixes),
          priority: rand() % 4,
          upper: some(uppers)!,
          ...(mark && { mark }),
        };
        const key = (s: PolicySpec) => JSON.stringify([s.src, s.dst, s.upper, s.mark]);
        if (plain.some((p) => key(p.spec) === key(spec))) continue;
        const made = policy(spec);
        plain.push({ spec, age, policy: made });
        spd.set(made);
      }
      for (let i = 0; i < 40; i++) {
        const [src, dst, proto] = [some(addresses), some(addresses), some([17, 6, 47])];
        const mark = some([0, 0xe00, 0x1_3e00, 0x1_3e55, 0x2_3e00]);
        const matching = plain.filter(({ spec }) => {
          const {
            proto: wanted,
            sport,
            dport,
          } = spec.upper as { proto?: number; sport?: number; dport?: number };
          const ported = proto !== 47;
          return (
            inside(spec.src, src) &&
            inside(spec.dst, dst) &&
            (wanted === undefined || wanted === proto) &&
            (sport === undefined || ported) &&
            (dport === undefined || ported) &&
            (!spec.mark || (mark & spec.mark.mask) >>> 0 === spec.mark.value)
          );
        });
        matching.sort((a, b) => a.spec.priority! - b.spec.priority! || a.age - b.age);
        expect(spd.lookup('out', packet({ src, dst, proto }), AT, mark)).toBe(matching[0]?.policy);
        if (matching.length > 1) hits++;
      }
    }
    expect(hits, 'overlaps were met').toBeGreaterThan(500);
  });
});

describe('Spd.set and remove', () => {
  it('replaces the policy with the same selector and mark, which keeps its age', () => {
    const first = policy({ dst: '10.2.0.0/24', priority: 5 });
    const second = policy({ priority: 5 });
    const spd = spdOf(first, second);
    const update = policy({ dst: '10.2.0.0/24', priority: 5, action: 'block' });
    spd.set(update);
    expect(spd.policies('out')).toEqual([update, second]);
    expect(spd.lookup('out', PING, AT, 0)).toBe(update);
  });

  it('moves a policy whose priority changes', () => {
    const first = policy({ dst: '10.2.0.0/24', priority: 5 });
    const second = policy({ priority: 6 });
    const spd = spdOf(first, second);
    const update = policy({ dst: '10.2.0.0/24', priority: 7 });
    spd.set(update);
    expect(spd.policies('out')).toEqual([second, update]);
  });

  it('keeps policies apart that differ in anything of selector and mark', () => {
    const specs: PolicySpec[] = [
      {},
      { src: '10.0.0.0/8' },
      { src: '10.0.0.0/9' },
      { dst: '10.0.0.0/8' },
      { upper: { proto: 6 } },
      { upper: { sport: 1 } },
      { upper: { dport: 1 } },
      { mark: { value: 1, mask: 0xff } },
      { mark: { value: 2, mask: 0xff } },
      { mark: { value: 1, mask: 0xf } },
      { src: '::/0', dst: '::/0' },
    ];
    expect(spdOf(...specs.map(policy)).policies('out').length).toBe(specs.length);
    expect(spdOf(...specs.map(policy), ...specs.map(policy)).policies('out').length).toBe(specs.length);
    expect(
      spdOf(policy({}), policy({ mark: { value: 0, mask: 0 } })).policies('out').length,
      'any mark',
    ).toBe(1);
  });

  it('removes by selector and mark', () => {
    const p = policy({ dst: '10.2.0.0/24', priority: 5 });
    const spd = spdOf(p, policy({}));
    expect(spd.remove(policy({ dst: '10.2.0.0/25' }))).toBe(false);
    expect(spd.remove(policy({ dst: '10.2.0.0/24', dir: 'in' }))).toBe(false);
    expect(spd.remove({ dir: 'out', selector: p.selector })).toBe(true);
    expect(spd.policies('out').length).toBe(1);
    expect(spd.remove(p)).toBe(false);
  });

  it('goes by address alone while no policy asks for protocol or ports', () => {
    const plain = policy({ dst: '10.0.0.0/8' });
    const ported = policy({ upper: { dport: 53 } });
    const spd = spdOf(plain);
    expect(spd.byAddress('out')).toBe(true);
    spd.set(ported);
    expect([spd.byAddress('out'), spd.byAddress('in')]).toEqual([false, true]);
    spd.set(policy({ upper: { dport: 53 }, priority: 9 }));
    spd.set(plain);
    expect(spd.remove(plain)).toBe(true);
    expect(spd.byAddress('out')).toBe(false);
    expect(spd.remove(ported)).toBe(true);
    expect(spd.byAddress('out')).toBe(true);
  });

  it('stays in order whatever is added', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 20 }))),
        (adds) => {
          const spd = new Spd();
          for (const [priority, host] of adds) spd.set(policy({ dst: `10.0.0.${host}/32`, priority }));
          const priorities = spd.policies('out').map((p) => p.priority);
          expect(priorities).toEqual([...priorities].sort((a, b) => a - b));
          expect(priorities.length).toBe(new Set(adds.map(([, host]) => host)).size);
        },
      ),
    );
  });
});
