/**
 * What the kernel's text asks for and a node of esplane does not do. What could let a packet out that the kernel would hold
 * back is refused or left out; the rest is said.
 * @module
 */
import type { XfrmPolicy, XfrmState } from '../sa-text/xfrm-tree.ts';

/** What a node makes of a state or policy. */
export interface NotHonoured {
  /** Why it must not be used; null where it may be. */
  readonly reason: string | null;
  /** What is not done although it is used, to follow `the state ` or `the policy `. */
  readonly notes: readonly string[];
}

/** Of a state: reasons follow `the state is left out: `. */
export function stateNotHonoured(state: XfrmState): NotHonoured {
  const { ifId, selector, offload, pcpuNum, tfcPad, secctx, natKeepalive, coa } = state;
  const notes: string[] = [];
  if (offload) notes.push(`is offloaded to ${device(offload.dev)}: esplane node encrypts by itself`);
  if (pcpuNum !== null && pcpuNum > 0)
    notes.push(`belongs to CPU ${pcpuNum} (pcpu-num): esplane node sends as CPU 0, and only receives by it`);
  if (tfcPad !== null) notes.push('asks for TFC padding (tfcpad), which esplane node does not add');
  if (natKeepalive !== null) notes.push('asks for NAT keepalives, which esplane node does not send');
  if (secctx !== null) notes.push('has a security context, which esplane node does not look at');
  if (coa !== null) notes.push('has a care-of address (coa), which esplane node does not look at');
  const reason =
    ifId !== null && ifId !== 0
      ? 'it is for an xfrm interface (if_id), which esplane node does not have'
      : selector && selector.dev !== null
        ? 'it is for one device (sel … dev), which esplane node does not look at'
        : null;
  return { reason, notes };
}

/** Of a policy: reasons follow `the policy `. */
export function policyNotHonoured(policy: XfrmPolicy): NotHonoured {
  const { ifId, selector, offload, secctx, lifetime } = policy;
  const notes: string[] = [];
  if (offload) notes.push(`is offloaded to ${device(offload.dev)}: esplane node keeps it by itself`);
  if (lifetime && Object.values(lifetime).some((limit) => limit !== null))
    notes.push('has a limit, which esplane node does not keep');
  const reason =
    ifId !== null && ifId !== 0
      ? 'is for an xfrm interface (if_id)'
      : selector.dev !== null
        ? 'is for one device (dev)'
        : secctx !== null
          ? 'is for one security context'
          : null;
  return { reason, notes };
}

/** A name that a message may repeat. */
function device(name: string | null): string {
  return name !== null && /^[\w.@-]{1,15}$/.test(name) ? name : 'a device';
}
