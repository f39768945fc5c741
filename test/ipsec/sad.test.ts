import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { Sad } from '../../src/ipsec/sad.ts';
import { address, RANDOM, saConfig } from '../support/sa.ts';

const engine = new NodeEngine();

function sa(given: Partial<SaConfig>): SecurityAssociation {
  return new SecurityAssociation(saConfig(given), engine, RANDOM);
}

/** Looks up a packet to `dst`. */
function find(sad: Sad, dst: string, spi: number, mark = 0): number {
  const to = address(dst);
  return sad.lookup(to, 0, to.length, spi, mark);
}

describe('an SAD', () => {
  it('goes by destination and SPI, and not by the source', () => {
    const sad = new Sad();
    const first = sad.add(sa({ src: address('192.0.2.9') }));
    const other = sad.add(sa({ dst: address('192.0.2.3') }));
    expect(find(sad, '192.0.2.2', 3)).toBe(first);
    expect(find(sad, '192.0.2.2', 3)).toBe(first);
    expect(find(sad, '192.0.2.3', 3)).toBe(other);
    expect(find(sad, '192.0.2.2', 4)).toBe(-1);
    expect(find(sad, '192.0.2.4', 3)).toBe(-1);
    sad.remove(first);
    expect(find(sad, '192.0.2.2', 3)).toBe(-1);
  });

  it('keeps IPv4 and IPv6 apart', () => {
    const sad = new Sad();
    sad.add(sa({ src: address('::'), dst: address('::') }));
    expect(find(sad, '0.0.0.0', 3)).toBe(-1);
    expect(find(sad, '::', 3)).toBe(0);
    expect(sad.at(saConfig({ src: address('0.0.0.0'), dst: address('0.0.0.0') }))).toBe(-1);
  });

  it('refuses a second SA for the same packets, and says where the first came from', () => {
    const sad = new Sad();
    sad.add(sa({ origin: 'n1.txt:1' }));
    expect(() => sad.add(sa({ src: address('192.0.2.9') }))).toThrow(
      'an SA from 192.0.2.9 to 192.0.2.2 with SPI 0x3 is here already (n1.txt:1)',
    );
  });

  it('agrees with a plain list over thousands of additions, removals and look-ups', () => {
    const sad = new Sad();
    const list = new Map<string, number>();
    const next = xorshift32(7);
    const addressOf = (n: number) => (n % 2 ? `10.0.0.${n % 64}` : `fd00::${(n % 64).toString(16)}`);
    for (let i = 0; i < 3000; i++) {
      const n = next();
      const dst = addressOf((n >>> 9) * 2 + (n & 1));
      const src = addressOf(n & 1);
      const spi = 1 + ((n >>> 14) % 5);
      const key = `${dst} ${spi}`;
      const known = list.get(key);
      expect(find(sad, dst, spi)).toBe(known ?? -1);
      if (known === undefined) list.set(key, sad.add(sa({ src: address(src), dst: address(dst), spi })));
      else if (n & 0x10_0000) {
        sad.remove(known);
        list.delete(key);
      }
      expect(sad.size).toBe(list.size);
    }
    expect(sad.size).toBeGreaterThan(100);
  });
});

describe('an SAD that goes by the mark', () => {
  const marked = (value: number, mask: number, src = '192.0.2.1') =>
    sa({ src: address(src), mark: { value, mask } });

  it('compares only the bits of the mask, and not the source', () => {
    const sad = new Sad();
    const first = sad.add(marked(0x1234_0d00, 0xffff_0f00));
    const second = sad.add(marked(0xf234_0d00, 0xffff_0f00, '192.0.2.9'));
    expect(find(sad, '192.0.2.2', 3, 0x1234_3d07)).toBe(first);
    expect(find(sad, '192.0.2.2', 3, 0xf234_0d00)).toBe(second);
    expect(find(sad, '192.0.2.2', 3, 0)).toBe(-1);
  });

  it('takes the newest that fits, as Linux does', () => {
    const sad = new Sad();
    sad.add(marked(0x100, 0xf00));
    const newest = sad.add(marked(0x200, 0xf00));
    expect(find(sad, '192.0.2.2', 3, 0x200)).toBe(newest);
  });

  it('refuses an SA that some packet could not tell from another', () => {
    const sad = new Sad();
    sad.add(marked(0x1234_0d00, 0xffff_0f00));
    expect(() => sad.add(marked(0x0d00, 0xf00))).toThrow('is here already');
    expect(() => sad.add(sa({}))).toThrow('is here already');
    expect(sad.size).toBe(1);
  });
});

describe('an SAD that goes by marks of several masks', () => {
  it('answers, and refuses, as one that asks every SA', () => {
    const next = xorshift32(11);
    const pick = <T>(list: readonly T[]): T => list[next() % list.length]!;
    const sad = new Sad();
    const MASKS = [0xffff0f00, 0xffffff00, 0xf00];
    const value = () => (((next() % 6) << 16) | pick([0xd00, 0xe00, 0x3e00, 0x4e00])) >>> 0;
    const fits = (config: SaConfig, mark: number) =>
      !config.mark || ((mark ^ config.mark.value) & config.mark.mask) === 0;
    let refused = 0;
    for (let n = 0; n < 600; n++) {
      const one = sa({
        dst: address(pick(['192.0.2.2', '192.0.2.3'])),
        mark: { value: value(), mask: pick(MASKS) },
      });
      const twin = sad.sas.some((other) => {
        if (other?.config.dst.join() !== one.config.dst.join()) return false;
        const shared = other.config.mark!.mask & one.config.mark!.mask;
        return ((other.config.mark!.value ^ one.config.mark!.value) & shared) === 0;
      });
      if (twin) {
        expect(() => sad.add(one)).toThrow(expect.objectContaining({ code: 'ERR_SA_EXISTS' }));
        refused++;
        sad.remove(next() % sad.sas.length);
      } else sad.add(one);
      const mark = value();
      const dst = pick(['192.0.2.2', '192.0.2.3']);
      const want = sad.sas.findIndex(
        (other) =>
          other !== undefined && other.config.dst.join() === address(dst).join() && fits(other.config, mark),
      );
      expect(find(sad, dst, 3, mark)).toBe(want);
    }
    expect(refused).toBeGreaterThan(20);
  });
});

describe('an SAD that grows and shrinks', () => {
  /** Would a packet find both? The obvious question, bit by bit for marks. */
  function collide(a: SaConfig, b: SaConfig): boolean {
    if (a.spi !== b.spi || a.dst.join() !== b.dst.join()) return false;
    for (let bit = 0; bit < 32; bit++) {
      const counts = (mask = 0) => (mask >>> bit) & 1;
      if (!counts(a.mark?.mask) || !counts(b.mark?.mask)) continue;
      if (((a.mark!.value >>> bit) & 1) !== ((b.mark!.value >>> bit) & 1)) return false;
    }
    return true;
  }

  const arbitraryConfig = fc.record({
    src: fc.constantFrom('192.0.2.1', '0.0.0.0', '192.0.2.9'),
    dst: fc.constantFrom('192.0.2.2', '192.0.2.3'),
    spi: fc.integer({ min: 1, max: 3 }),
    mark: fc.option(
      fc.record({
        // Bits outside the mask count for nothing.
        value: fc.constantFrom(0, 1, 2, 3, 0x8000_0001, 0xffff_0000),
        mask: fc.constantFrom(0, 1, 3, 0x8000_0000, 0x8000_0003, 0xffff_ffff),
      }),
      { nil: undefined },
    ),
  });
  const arbitraryStep = fc.oneof(
    { weight: 3, arbitrary: fc.record({ add: arbitraryConfig }) },
    { weight: 1, arbitrary: fc.record({ remove: fc.nat({ max: 40 }) }) },
    { weight: 1, arbitrary: fc.record({ replace: fc.nat({ max: 40 }) }) },
  );

  it('refuses what a comparison with every SA refuses', () => {
    let refused = 0;
    let found = 0;
    fc.assert(
      fc.property(fc.array(arbitraryStep, { minLength: 20, maxLength: 150 }), (steps) => {
        const sad = new Sad();
        const list: (SecurityAssociation | undefined)[] = [];
        for (const step of steps) {
          if ('add' in step) {
            const { src, dst, mark, spi } = step.add;
            const one = sa({ src: address(src), dst: address(dst), spi, ...(mark && { mark }) });
            const want = list.flatMap((other, i) => (other && collide(other.config, one.config) ? [i] : []));
            expect([...sad.twins(one.config)].sort((a, b) => a - b)).toEqual(want);
            if (want.length > 0) {
              expect(() => sad.add(one)).toThrow(expect.objectContaining({ code: 'ERR_SA_EXISTS' }));
              refused++;
            } else list[sad.add(one)] = one;
            const at = sad.at(one.config);
            expect(at < 0 || want.includes(at) || list[at] === one).toBe(true);
          } else if ('remove' in step) {
            sad.remove(step.remove);
            list[step.remove] = undefined;
          } else if (list[step.replace]) {
            const before = sad.age(step.replace);
            const one = sa({ ...list[step.replace]!.config, origin: 'another' });
            sad.replace(step.replace, one);
            list[step.replace] = one;
            expect(sad.age(step.replace)).toBe(before);
          }
          expect(sad.size).toBe(list.filter((one) => one).length);
        }
        for (const [i, one] of list.entries()) {
          if (!one) continue;
          const { dst, spi, mark } = one.config;
          expect(sad.at(one.config)).toBe(i);
          expect(sad.lookup(dst, 0, 4, spi, (mark?.value ?? 0) >>> 0)).toBe(i);
          found++;
        }
      }),
      { numRuns: 60, seed: 5 },
    );
    expect(refused).toBeGreaterThan(200);
    expect(found).toBeGreaterThan(100);
  });

  it('finds every one of thousands, of which one destination and SPI has most, while half of them go', () => {
    const sad = new Sad();
    const made = sa({});
    const many = Array.from({ length: 5000 }, (_, i): SecurityAssociation => {
      const config = {
        ...made.config,
        spi: i % 10 === 0 ? 7 : 3,
        mark: { value: (i << 12) | 0xd00, mask: 0xffff_ff00 },
      };
      return Object.assign(Object.create(made), { config });
    });
    const indices = many.map((one) => sad.add(one));
    const where = (i: number) => sad.at(many[i]!.config);
    expect(many.map((_, i) => where(i))).toEqual(indices);
    for (let i = 0; i < many.length; i += 2) sad.remove(indices[i]!);
    expect(sad.size).toBe(2500);
    expect(many.map((_, i) => where(i))).toEqual(indices.map((at, i) => (i % 2 === 0 ? -1 : at)));
    const again = many.filter((_, i) => i % 2 === 0).map((one) => sad.add(one));
    expect(new Set([...again, ...indices.filter((_, i) => i % 2 === 1)]).size).toBe(5000);
    expect(sad.sas.length).toBe(5000);
  });

  it('gives SAs ages in the order in which they come, or that were set aside', () => {
    const sad = new Sad();
    const first = sad.add(sa({ spi: 1 }));
    const aside = sad.reserve(2);
    sad.add(sa({ spi: 2 }), aside + 1);
    sad.add(sa({ spi: 3 }), aside);
    const lowest = sad.reserve(2);
    const early = sad.add(sa({ spi: 4 }), lowest + 1);
    const ages = [first, 1, 2, early].map((index) => sad.age(index));
    expect(ages).toEqual([1, 3, 2, lowest + 1]);
    sad.replace(first, sa({ spi: 1 }), sad.reserve(1));
    expect(sad.age(first)).toBeGreaterThan(sad.age(early));
  });
});

describe('what is kept about all SAs', () => {
  const ports = {
    src: { address: new Uint8Array(4), bits: 0 },
    dst: { address: new Uint8Array(4), bits: 0 },
  };
  const byPort = { selector: { ...ports, proto: 17, dport: 53 } };

  it('tells whether a selector asks for more than addresses, while there is one', () => {
    const sad = new Sad();
    expect(sad.byAddress).toBe(true);
    const plain = sad.add(sa({ spi: 1, selector: ports }));
    expect(sad.byAddress).toBe(true);
    const first = sad.add(sa({ spi: 2, ...byPort }));
    const second = sad.add(sa({ spi: 3, ...byPort }));
    expect(sad.byAddress).toBe(false);
    sad.remove(first);
    expect(sad.byAddress).toBe(false);
    sad.replace(second, sa({ spi: 3 }));
    expect(sad.byAddress).toBe(true);
    sad.replace(plain, sa({ spi: 1, ...byPort }));
    expect(sad.byAddress).toBe(false);
    sad.remove(plain);
    expect(sad.byAddress).toBe(true);
  });

  it('has a version that grows with every change, and with no look-up', () => {
    const sad = new Sad();
    const versions = [sad.version];
    const index = sad.add(sa({}));
    versions.push(sad.version);
    sad.replace(index, sa({}));
    versions.push(sad.version);
    find(sad, '192.0.2.2', 3);
    expect(sad.version).toBe(versions.at(-1));
    sad.remove(index);
    versions.push(sad.version);
    expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    expect(versions).toHaveLength(4);
  });

  it('has indices and ages of SAs, and none besides', () => {
    const sad = new Sad();
    expect([sad.size, sad.sas.length, sad.age(0)]).toEqual([0, 0, 0]);
    expect(sad.add(sa({}))).toBe(0);
    expect([sad.size, sad.age(0), sad.age(1)]).toEqual([1, 1, 0]);
  });
});

describe('an SAD that goes by the mark', () => {
  it('counts the masks in use', () => {
    const sad = new Sad();
    const masked = (spi: number, value: number, mask: number) => sad.add(sa({ spi, mark: { value, mask } }));
    const first = masked(3, 0x1200, 0xff00);
    const second = masked(4, 0x3400, 0xff00);
    const wide = masked(5, 0x12, 0xff);
    sad.remove(first);
    expect(find(sad, '192.0.2.2', 4, 0x3499)).toBe(second);
    sad.remove(second);
    expect(find(sad, '192.0.2.2', 4, 0x3499)).toBe(-1);
    expect(find(sad, '192.0.2.2', 5, 0x9912)).toBe(wide);
    const back = masked(4, 0x3400, 0xff00);
    expect(find(sad, '192.0.2.2', 4, 0x3499)).toBe(back);
  });
});
