/**
 * The rows of `/proc/net/xfrm_stat` that Cilium knows, in the kernel's order, with the labels that its metric
 * `cilium_ipsec_xfrm_error` has for them. The forward and acquire errors are `inbound` there, and no_buffer, header and
 * some others have no outbound twin.
 * @module
 */
export interface XfrmCounter {
  readonly counter: string;
  readonly type: 'inbound' | 'outbound';
  readonly error: string;
}

const inbound = (counter: string, error: string): XfrmCounter => ({ counter, type: 'inbound', error });
const outbound = (counter: string, error: string): XfrmCounter => ({ counter, type: 'outbound', error });

export const XFRM_COUNTERS: readonly XfrmCounter[] = [
  inbound('XfrmInError', 'other'),
  inbound('XfrmInBufferError', 'no_buffer'),
  inbound('XfrmInHdrError', 'header'),
  inbound('XfrmInNoStates', 'no_state'),
  inbound('XfrmInStateProtoError', 'state_protocol'),
  inbound('XfrmInStateModeError', 'state_mode'),
  inbound('XfrmInStateSeqError', 'state_sequence'),
  inbound('XfrmInStateExpired', 'state_expired'),
  inbound('XfrmInStateMismatch', 'state_mismatched'),
  inbound('XfrmInStateInvalid', 'state_invalid'),
  inbound('XfrmInTmplMismatch', 'template_mismatched'),
  inbound('XfrmInNoPols', 'no_policy'),
  inbound('XfrmInPolBlock', 'policy_blocked'),
  inbound('XfrmInPolError', 'policy'),
  outbound('XfrmOutError', 'other'),
  outbound('XfrmOutBundleGenError', 'bundle_generation'),
  outbound('XfrmOutBundleCheckError', 'bundle_check'),
  outbound('XfrmOutNoStates', 'no_state'),
  outbound('XfrmOutStateProtoError', 'state_protocol'),
  outbound('XfrmOutStateModeError', 'state_mode'),
  outbound('XfrmOutStateSeqError', 'state_sequence'),
  outbound('XfrmOutStateExpired', 'state_expired'),
  outbound('XfrmOutPolBlock', 'policy_blocked'),
  outbound('XfrmOutPolDead', 'policy_dead'),
  outbound('XfrmOutPolError', 'policy'),
  inbound('XfrmFwdHdrError', 'forward_header'),
  outbound('XfrmOutStateInvalid', 'state_invalid'),
  inbound('XfrmAcquireError', 'acquire'),
];
