/**
 * Does a packet that came in comply with the inbound policies (Linux `__xfrm_policy_check`)? It must have come by
 * the SA that its policy asks for, and by none where the policy asks for none.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import { DROP } from '../ipsec/drop.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { Direction, Spd, Template } from '../ipsec/spd.ts';
import { PASS } from '../wire/packet.ts';

/**
 * Asks for one packet.
 * @param dir `in` for packets to the node itself, `fwd` for those to its pods
 * @param at where the (inner) IP header starts
 * @param mark what xfrm left on the packet
 * @param sa the tunnel it came by; `undefined` when it came in the clear
 * @returns PASS or the verdict
 */
export function checkPolicy(
  spd: Spd,
  dir: Exclude<Direction, 'out'>,
  slab: Uint8Array,
  at: number,
  mark: number,
  sa: SecurityAssociation | undefined,
): number {
  const isTunnelled = sa?.config.mode === 'tunnel';
  const policy = spd.lookup(dir, slab, at, mark);
  // Without a policy the default decides, but what came by a tunnel needs one in any case.
  if (!policy) return isTunnelled || spd.defaults[dir] === 'block' ? DROP['in-no-policy'] : PASS;
  if (policy.action === 'block') return DROP['in-policy-block'];
  let isUsed = false;
  for (let k = 0; k < policy.templates.length; k++) {
    const template = policy.templates[k]!;
    if (sa && !isUsed && fits(template, sa)) isUsed = true;
    else if (template.level === 'required') return DROP['in-template-mismatch'];
  }
  // A tunnel that no template has is as wrong as a missing one.
  return isTunnelled && !isUsed ? DROP['in-template-mismatch'] : PASS;
}

/** Linux xfrm_state_ok: of the addresses only the source is compared. */
function fits({ src, spi, reqid, mode }: Template, { config }: SecurityAssociation): boolean {
  if (mode !== config.mode) return false;
  if (spi !== undefined && spi !== config.spi) return false;
  if (reqid !== undefined && reqid !== config.reqid) return false;
  return src === undefined || mode !== 'tunnel' || equalBytes(src, config.src);
}
