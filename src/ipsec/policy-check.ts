/**
 * Does a packet that came in comply with the inbound policies (Linux `__xfrm_policy_check`)? It must have come by
 * the SAs that its policy asks for, and by none where the policy asks for none.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import { PASS } from '../wire/packet.ts';
import { DROP } from './drop.ts';
import type { SaConfig } from './sa-config.ts';
import type { Direction, Policy, Spd, Template } from './spd.ts';

/** What a template asks of an SA. */
export type UsedSa = Pick<SaConfig, 'mode' | 'spi' | 'reqid' | 'src'>;

/** Of one SA, filled anew for each packet. */
const BY_ONE: UsedSa[] = [];
const BY_NONE: readonly UsedSa[] = [];

/**
 * Asks for one packet.
 * @param dir `in` for packets to the node itself, `fwd` for those to its pods
 * @param at where the (inner) IP header starts
 * @param mark what xfrm left on the packet
 * @param sa the SA it came by; `undefined` when it came in the clear
 * @param around those around that one, the outermost first
 * @returns PASS or the verdict
 */
export function checkPolicy(
  spd: Spd,
  dir: Exclude<Direction, 'out'>,
  slab: Uint8Array,
  at: number,
  mark: number,
  sa: UsedSa | undefined,
  around?: readonly UsedSa[],
): number {
  if (sa) BY_ONE[0] = sa;
  const inner = sa ? BY_ONE : BY_NONE;
  const path = around ? [...around, ...inner] : inner;
  return complies(spd.lookup(dir, slab, at, mark), path, spd.defaults[dir] === 'block');
}

/**
 * Does what came by these SAs comply with a policy? The order of both counts: templates are asked from the last, SAs from the
 * first that the packet came by, and each template goes on behind the SA that the one before took.
 * @param policy the one that covers the packet, if there is one
 * @param path the SAs, the outermost first
 * @param blocks the default for packets that no policy covers
 * @returns PASS or the verdict
 */
export function complies(
  policy: Pick<Policy, 'action' | 'templates'> | undefined,
  path: readonly UsedSa[],
  blocks = false,
): number {
  // Without a policy the default decides, but what came by a tunnel needs one in any case.
  if (!policy) return blocks || hasTunnel(path, 0) ? DROP['in-no-policy'] : PASS;
  if (policy.action === 'block') return DROP['in-policy-block'];
  const { templates } = policy;
  let used = 0;
  for (let k = templates.length - 1; k >= 0; k--) {
    used = take(templates[k]!, path, used);
    if (used < 0) return DROP['in-template-mismatch'];
  }
  // A tunnel that no template has is as wrong as a missing one.
  return hasTunnel(path, used) ? DROP['in-template-mismatch'] : PASS;
}

/** Linux xfrm_policy_ok. @returns how many SAs are accounted for now; -1 where a required one is missing */
function take(template: Template, path: readonly UsedSa[], used: number): number {
  const { level, mode } = template;
  const otherwise = level === 'use' ? used : -1;
  if (level === 'use' && mode === 'transport') return used;
  for (let i = used; i < path.length; i++) {
    if (fits(template, path[i]!)) return i + 1;
    if (path[i]!.mode !== 'transport') break;
  }
  return otherwise;
}

/** Linux secpath_has_nontransport. */
function hasTunnel(path: readonly UsedSa[], from: number): boolean {
  for (let i = from; i < path.length; i++) if (path[i]!.mode !== 'transport') return true;
  return false;
}

/** Linux xfrm_state_ok: of the addresses only the source is compared. */
function fits({ src, spi, reqid, mode }: Template, sa: UsedSa): boolean {
  if (mode !== sa.mode) return false;
  if (spi !== undefined && spi !== sa.spi) return false;
  if (reqid !== undefined && reqid !== sa.reqid) return false;
  return src === undefined || mode === 'transport' || equalBytes(src, sa.src);
}
