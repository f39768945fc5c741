import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type PolicyName, PolicyNames } from '../../src/ipsec/policy-names.ts';
import type { Policy } from '../../src/ipsec/spd.ts';

const prefix = fc.record({
  // Few of them, so that names meet; more bits than the prefix has tell policies apart too.
  address: fc.tuple(fc.constant(10), fc.nat(1), fc.constant(0), fc.nat(1)).map((b) => Uint8Array.from(b)),
  bits: fc.constantFrom(0, 16, 32),
});
const name: fc.Arbitrary<PolicyName> = fc.record({
  selector: fc.record(
    {
      src: prefix,
      dst: prefix,
      proto: fc.constantFrom(6, 17),
      sport: fc.nat(1),
      dport: fc.nat(1),
    },
    { requiredKeys: ['src', 'dst'] },
  ),
  mark: fc.option(fc.record({ value: fc.nat(1), mask: fc.nat(1) }), { nil: undefined }),
}) as fc.Arbitrary<PolicyName>;

/** As Linux compares them. */
function textOf({ selector: { src, dst, proto, sport, dport }, mark }: PolicyName): string {
  const both = [src, dst].map(({ address, bits }) => `${address}/${bits}`);
  return [...both, proto, sport, dport, mark?.value ?? 0, mark?.mask ?? 0].join(' ');
}

it('keeps one policy for each selector and mark, as a map of texts does', () => {
  const step = fc.record({ pick: fc.nat(), isRemoved: fc.boolean() });
  fc.assert(
    // A few names only, so that steps meet.
    fc.property(
      fc.array(name, { minLength: 1, maxLength: 20 }),
      fc.array(step, { maxLength: 200 }),
      (few, steps) => {
        const names = new PolicyNames();
        const known = new Map<string, Policy>();
        for (const { pick, isRemoved } of steps) {
          const one = { name: few[pick % few.length]!, isRemoved };
          expect(names.get(one.name)).toBe(known.get(textOf(one.name)));
          if (one.isRemoved) {
            names.delete(one.name);
            known.delete(textOf(one.name));
          } else {
            const policy: Policy = { ...one.name, dir: 'out', action: 'allow', priority: 0, templates: [] };
            names.set(policy);
            known.set(textOf(policy), policy);
          }
        }
        for (const policy of known.values()) expect(names.get(policy)).toBe(policy);
      },
    ),
  );
});

const A: PolicyName = {
  selector: {
    src: { address: Uint8Array.of(10, 0, 0, 0), bits: 16 },
    dst: { address: Uint8Array.of(10, 1, 0, 0), bits: 16 },
  },
  mark: { value: 1, mask: 1 },
};
const policyOf = (one: PolicyName): Policy => ({
  ...one,
  dir: 'out',
  action: 'allow',
  priority: 0,
  templates: [],
});

it.each([
  ['the value of the mark', { ...A, mark: { value: 3, mask: 1 } }],
  ['the mask of the mark', { ...A, mark: { value: 1, mask: 3 } }],
  ['the source', { ...A, selector: { ...A.selector, src: { ...A.selector.dst } } }],
  ['the length of the source', { ...A, selector: { ...A.selector, src: { ...A.selector.src, bits: 24 } } }],
  ['the destination', { ...A, selector: { ...A.selector, dst: { ...A.selector.src } } }],
  ['the protocol', { ...A, selector: { ...A.selector, proto: 6 } }],
  ['the source port', { ...A, selector: { ...A.selector, sport: 0 } }],
  ['the destination port', { ...A, selector: { ...A.selector, dport: 0 } }],
])('tells policies apart by %s', (_, other) => {
  const names = new PolicyNames();
  names.set(policyOf(A));
  expect(names.get(other)).toBeUndefined();
  names.set(policyOf(other));
  expect([names.get(A), names.get(other)]).toEqual([policyOf(A), policyOf(other)]);
});

it('puts a policy in the place of its namesake, and removes it with one call', () => {
  const names = new PolicyNames();
  names.set(policyOf(A));
  const second = policyOf(A);
  names.set(second);
  expect(names.get(A)).toBe(second);
  names.delete(A);
  expect(names.get(A)).toBeUndefined();
});
