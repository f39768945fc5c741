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
  const step = fc.record({ name, isRemoved: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const names = new PolicyNames();
      const known = new Map<string, Policy>();
      for (const one of steps) {
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
    }),
  );
});
