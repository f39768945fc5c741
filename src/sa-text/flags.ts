/**
 * Flags of states and policies: names, and the bits of them that an iproute2 without a name prints in hexadecimal
 * (include/uapi/linux/xfrm.h).
 * @module
 */

/** By bit, the lowest first. */
export const STATE_FLAGS: readonly string[] = [
  'noecn',
  'decap-dscp',
  'nopmtudisc',
  'wildrecv',
  'icmp',
  'af-unspec',
  'align4',
  'esn',
];
export const EXTRA_FLAGS: readonly string[] = ['dont-encap-dscp', 'oseq-may-wrap'];
export const POLICY_FLAGS: readonly string[] = ['localok', 'icmp', 'cpu-acquire'];

/** Every flag by its name; bits that have none are left out. */
export function flagNames(flags: readonly string[], names: readonly string[]): string[] {
  const mask = flagMask(flags, names);
  return names.filter((_, bit) => (mask & (1 << bit)) !== 0);
}

/** All flags as one number; names that are not known count as nothing. */
export function flagMask(flags: readonly string[], names: readonly string[]): number {
  let mask = 0;
  for (const flag of flags) {
    const bit = names.indexOf(flag);
    if (bit >= 0) mask |= 1 << bit;
    else if (isBits(flag)) mask |= Number.parseInt(flag, 16);
  }
  return mask;
}

/** Is it a number, where iproute2 has no name? */
export function isBits(flag: string): boolean {
  return /^[0-9a-f]{1,8}$/.test(flag);
}
