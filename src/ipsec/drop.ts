/**
 * Why a packet was dropped. One row a reason: what Linux would count, the rule that was broken, where to look.
 * Verdicts, metrics, `decrypt`, `diagnose` and the lab read this one table.
 *
 * `counter` is the row of `/proc/net/xfrm_stat`. It is null for the few drops that happen outside xfrm: the
 * kernel's IP layer drops a decrypted packet whose own header is wrong, and Cilium's eBPF programs drop before
 * xfrm sees the packet. `elsewhere` then says who counts it.
 * @module
 */
import { PASS } from '../wire/packet.ts';

/** One of Cilium's drop reasons: `pkg/monitor/api/drop.go`, and `flow.DropReason` of Hubble's API. */
export interface CiliumDrop {
  /** Positive, as in events and metrics; eBPF has it negative. */
  readonly code: number;
  /** Of `flow.DropReason`. */
  readonly name: string;
  /** As `cilium-dbg monitor` and `hubble observe` print it. */
  readonly text: string;
}

/** The counter of a drop: a row of `/proc/net/xfrm_stat`, or what counts it outside. */
type Counter =
  | { readonly counter: `Xfrm${'In' | 'Out' | 'Fwd'}${string}`; readonly elsewhere?: undefined }
  | { readonly counter: null; readonly elsewhere: string };

type DropSpec = Counter & {
  /** The first kernel with this counter, where that is later than 6.1. */
  readonly since?: string;
  /** The same drop as Cilium's own programs report it, where they drop for this reason. */
  readonly cilium?: CiliumDrop;
  /** The rule: an RFC section, or the kernel function that enforces it. */
  readonly rule: string;
  /** What to look at first. */
  readonly look: string;
};

/** By reason. A row's verdict code is its place here, from 1: append, never insert. */
const TABLE = {
  'header-error': {
    counter: 'XfrmInHdrError',
    rule: 'RFC 4303 §2; Linux xfrm_parse_spi',
    look: 'Fewer than eight bytes after the outer header: no SPI and sequence number. A cut-off packet, or not ESP.',
  },
  'no-state': {
    counter: 'XfrmInNoStates',
    rule: 'RFC 4303 §3.4.2',
    look: 'No SA has this destination, SPI and source or mark: a key rotation out of step, or an SA that is gone.',
  },
  'state-invalid': {
    counter: 'XfrmInStateInvalid',
    rule: 'Linux xfrm_input: state not valid',
    look: 'The SA is being deleted, or expired by time.',
  },
  'encap-mismatch': {
    counter: 'XfrmInStateMismatch',
    rule: 'RFC 3948; Linux xfrm_input: encap type',
    look: 'ESP in UDP came for an SA without UDP encapsulation, or plain ESP for one with it.',
  },
  'replay-zero': {
    counter: 'XfrmInStateSeqError',
    rule: 'RFC 4303 §3.3.3; Linux xfrm_replay_check',
    look: 'Sequence number 0 is never sent first: the sender does not count, or the packet was altered.',
  },
  'replay-stale': {
    counter: 'XfrmInStateSeqError',
    rule: 'RFC 4303 §3.4.3',
    look: 'Left of the window: reordering exceeds the window, or the sender restarted its counter.',
  },
  'replay-seen': {
    counter: 'XfrmInStateSeqError',
    rule: 'RFC 4303 §3.4.3',
    look: 'This number was accepted already: a path that duplicates, or a replay attack.',
  },
  expired: {
    counter: 'XfrmInStateExpired',
    rule: 'RFC 4301 §4.4.2.1; Linux xfrm_state_check_expire',
    look: 'The SA has carried as many packets or bytes as its hard limit allows.',
  },
  'too-short': {
    counter: 'XfrmInStateProtoError',
    rule: 'RFC 4303 §2; Linux esp_input',
    look: 'Too short for header, IV and ICV, or not a whole number of cipher blocks: cut off on the way.',
  },
  'bad-icv': {
    counter: 'XfrmInStateProtoError',
    rule: 'RFC 4303 §3.4.4',
    look: 'Keys differ (boot id, node id, key changed without a new id), the packet was altered, or under ESN its number lies below the window.',
  },
  'bad-padding': {
    counter: 'XfrmInStateProtoError',
    rule: 'RFC 4303 §2.4; Linux esp_remove_trailer',
    look: 'The ICV is good but the pad length leaves no payload: the sender builds wrong packets.',
  },
  dummy: {
    counter: 'XfrmInStateProtoError',
    rule: 'RFC 4303 §2.6; Linux esp_input_done2',
    look: 'A dummy packet (next header 59), sent to hide traffic. Linux counts it as an error.',
  },
  'not-ip': {
    counter: 'XfrmInStateModeError',
    rule: 'RFC 4303 §2.6; Linux xfrm_inner_mode_input',
    look: 'A tunnel SA carries something that is not IP: the next header is neither 4 nor 41.',
  },
  'inner-short': {
    counter: 'XfrmInStateModeError',
    rule: 'Linux xfrm_inner_mode_input: pskb_may_pull',
    look: 'The inner packet is shorter than an IP header.',
  },
  'inner-header': {
    counter: null,
    elsewhere: 'IpInHdrErrors (/proc/net/snmp)',
    rule: 'RFC 4301 §5.2.1; Linux ip_rcv',
    look: 'The inner IP header is damaged: wrong version, header length or total length.',
  },
  'inner-truncated': {
    counter: null,
    elsewhere: 'IpExtInTruncatedPkts (/proc/net/netstat)',
    rule: 'RFC 4301 §5.2.1; Linux ip_rcv',
    look: 'The inner IP packet says it is longer than what was decrypted.',
  },
  'selector-mismatch': {
    counter: 'XfrmInStateMismatch',
    rule: 'RFC 4301 §5.2 step 4; Linux __xfrm_policy_check',
    look: 'The inner packet (addresses, protocol, ports) lies outside the selector of the SA that carried it.',
  },
  'in-no-policy': {
    counter: 'XfrmInNoPols',
    rule: 'RFC 4301 §5.2; Linux __xfrm_policy_check',
    look: 'Decrypted well, but no inbound policy covers it.',
  },
  'in-template-mismatch': {
    counter: 'XfrmInTmplMismatch',
    rule: 'RFC 4301 §5.2 step 4; Linux __xfrm_policy_check',
    look: 'The inbound policy asks for another SA than the one it came by, or for one when it came in the clear.',
  },
  'in-policy-block': {
    counter: 'XfrmInPolBlock',
    rule: 'RFC 4301 §5.2',
    look: 'An inbound policy says discard.',
  },
  'out-policy-block': {
    counter: 'XfrmOutPolBlock',
    rule: 'RFC 4301 §5.1',
    look: 'An outbound policy says discard: with Cilium, a packet that would have left in the clear.',
  },
  'out-no-state': {
    counter: 'XfrmOutNoStates',
    rule: 'RFC 4301 §5.1; Linux xfrm_tmpl_resolve',
    look: 'A policy asks for encryption and no SA fits its template.',
  },
  'out-sequence': {
    counter: 'XfrmOutStateSeqError',
    rule: 'RFC 4303 §3.3.3',
    look: 'The SA has used up its sequence numbers (2^32-1 without ESN): rotate the key.',
  },
  'out-expired': {
    counter: 'XfrmOutStateExpired',
    rule: 'RFC 4301 §4.4.2.1',
    look: 'The SA has carried as many packets or bytes as its hard limit allows.',
  },
  'out-too-big': {
    counter: 'XfrmOutStateModeError',
    rule: 'RFC 4301 §8.2; Linux xfrm_outer_mode_output',
    look: 'Larger than the path allows and not to be fragmented: lower the MTU of the pods.',
  },
  'out-not-ip': {
    counter: 'XfrmOutStateModeError',
    rule: 'RFC 4301 §5.1.2; Linux xfrm_outer_mode_output',
    look: 'What should be encrypted is no whole IP packet of a version that the SA carries; in transport mode, a fragment.',
  },
  'out-proto-error': {
    counter: 'XfrmOutStateProtoError',
    rule: 'Linux esp_output',
    look: 'The ESP packet could not be built: no room in the slot, or the SA is in IP-TFS, in which esplane only receives.',
  },
  'no-node-id': {
    counter: null,
    elsewhere: 'cilium_drop_count_total reason 197',
    cilium: { code: 197, name: 'NO_NODE_ID', text: 'No node ID found' },
    rule: 'Cilium DROP_NO_NODE_ID (197)',
    look: 'The peer node is unknown here: new, deleted, or its address changed.',
  },
  unencrypted: {
    counter: null,
    elsewhere: 'cilium_drop_count_total reason 195',
    cilium: { code: 195, name: 'UNENCRYPTED_TRAFFIC', text: 'Traffic is unencrypted' },
    rule: 'Cilium DROP_UNENCRYPTED_TRAFFIC (195)',
    look: 'Strict mode: this packet between pods would have left in the clear.',
  },
  'not-captured': {
    counter: null,
    elsewhere: 'nobody: the receiver had the whole packet',
    rule: 'the capture holds fewer bytes than the IP header says',
    look: 'The capture was taken with a snap length: take it again with `tcpdump -s 0`.',
  },
  'ip-header': {
    counter: null,
    elsewhere: 'IpInHdrErrors (/proc/net/snmp)',
    rule: 'RFC 1122 §3.2.1; Linux ip_rcv',
    look: 'The IP header that a packet came with is damaged: version, length or checksum.',
  },
  'hop-limit': {
    counter: null,
    elsewhere: 'IpInHdrErrors (/proc/net/snmp)',
    cilium: { code: 196, name: 'TTL_EXCEEDED', text: 'TTL exceeded' },
    rule: 'RFC 1812 §5.3.1, RFC 8200 §3; Linux ip_forward',
    look: 'TTL or hop limit used up: a routing loop, or a sender that started too low.',
  },
  'no-pod': {
    counter: 'XfrmFwdHdrError',
    rule: 'Linux __xfrm_route_forward',
    look: 'Decrypted well, but no pod here has the inner destination: it was deleted.',
  },
  'no-route': {
    counter: null,
    elsewhere: 'IpExtInNoRoutes (/proc/net/netstat)',
    rule: 'RFC 1812 §5.2.7; Linux ip_route_input',
    look: 'Nobody on this node has the destination, or takes what it carries.',
  },
  'too-big': {
    counter: null,
    elsewhere: 'IpFragFails (/proc/net/snmp)',
    rule: 'RFC 1812 §5.2.6; Linux ip_forward',
    look: 'In the clear, larger than the link carries: lower the MTU of the pods.',
  },
  'out-selector': {
    counter: 'XfrmOutPolError',
    rule: 'RFC 4301 §4.4.2; Linux xfrm_state_find',
    look: 'The SA that the policy names does not cover this packet: compare its `sel` with the inner addresses.',
  },
  'invalid-identity': {
    counter: null,
    elsewhere: 'cilium_drop_count_total reason 171',
    cilium: { code: 171, name: 'INVALID_IDENTITY', text: 'Invalid identity' },
    rule: 'Cilium DROP_INVALID_IDENTITY (171)',
    look: 'The VNI of an overlay packet says that a host sent it (identity 1): hosts send as remote-node (6).',
  },
  'bad-vxlan': {
    counter: null,
    elsewhere: 'nobody: Linux 6.1 drops it unseen',
    rule: 'RFC 7348 §4.1; Linux vxlan_rcv',
    look: 'A UDP packet to port 8472 that is no VXLAN, is damaged, or carries no IP packet.',
  },
  'out-reserve': {
    counter: 'XfrmOutStateSeqError',
    rule: 'esplane: a sequence number is reserved on disk before it is used (docs/state-file.md)',
    look: 'The disk with the state directory did not store the next reserve in time: it is full, slow or gone.',
  },
  implausible: {
    counter: null,
    elsewhere: 'not known: nothing tells what the receiver did',
    rule: 'RFC 4303 §2.4: padding counts 1, 2, 3, …, and the payload is what the next header says',
    look: 'Opened without a check of its ICV, and no packet came out: the key is a wrong one, or the packet was altered.',
  },
  'key-hidden': {
    counter: null,
    elsewhere: 'not known: nothing tells what the receiver did',
    rule: 'esplane: a text of `ip xfrm state` may hide its keys',
    look: "The receiver's text has the SA and does not show its key, or its cipher is not here: run `ip -s xfrm state` as root, without `nokeys`; `esplane suites` says which ciphers are here.",
  },
  'iptfs-short': {
    counter: 'XfrmInBufferError',
    rule: 'RFC 9347 §6.1; Linux iptfs_input_ordered',
    look: 'An SA in IP-TFS carries a payload that is shorter than its AGGFRAG header: the sender is not in IP-TFS, or wrong.',
  },
  'iptfs-header': {
    counter: 'XfrmInHdrError',
    rule: 'RFC 9347 §6.1; Linux iptfs_input_ordered',
    look: 'An SA in IP-TFS carries a payload of an unknown sub-type, one with flags, or an IPv4 packet with an impossible length. A sender in tunnel mode does that.',
  },
  'iptfs-block': {
    counter: 'XfrmInBufferError',
    rule: 'RFC 9347 §6.1.3; Linux __input_process_payload',
    look: 'A data block in an IP-TFS payload is neither IPv4 nor IPv6 nor padding: none of its inner packets is delivered.',
  },
  'iptfs-abandoned': {
    counter: 'XfrmInIptfsError',
    since: 'Linux 6.14',
    rule: 'RFC 9347 §2.2.3; Linux iptfs_reassem_cont',
    look: 'The rest of an inner packet in fragments did not come: an outer packet was lost, or is beyond the reorder window. The other inner packets are delivered.',
  },
  'in-depth': {
    counter: 'XfrmInBufferError',
    rule: 'Linux xfrm_input: XFRM_MAX_DEPTH',
    look: 'ESP in transport mode inside ESP, more than six deep: the sender builds wrong packets.',
  },
  'in-direction': {
    counter: 'XfrmInStateDirError',
    since: 'Linux 6.10',
    rule: 'Linux xfrm_input: x->dir',
    look: 'The SA with this destination and SPI is for sending alone: on the receiver it must be `dir in`, or have no direction.',
  },
  'out-direction': {
    counter: 'XfrmOutStateDirError',
    since: 'Linux 6.10',
    rule: 'Linux xfrm_tmpl_resolve_one: x->dir; it counts XfrmOutPolError, too',
    look: 'The SA that the policy names is for receiving alone: on the sender it must be `dir out`, or have no direction.',
  },
  'timed-out': {
    counter: 'XfrmInNoStates',
    rule: 'RFC 4301 §4.4.2.1; Linux xfrm_timer_handler',
    look: 'The hard limit in seconds of the SA was over, by the dates of its text as a clock in UTC has them: the kernel has deleted it.',
  },
} as const satisfies Record<string, DropSpec>;

export type DropReason = keyof typeof TABLE;
export type DropRow = DropSpec & { readonly reason: DropReason };

const REASONS = Object.keys(TABLE) as DropReason[];

/** All rows, in the order of their codes. */
export const DROPS: readonly DropRow[] = REASONS.map((reason) => ({ reason, ...TABLE[reason] }));

/** The verdict code of each reason: what stands in `Batch.verdict`. */
export const DROP = Object.fromEntries(REASONS.map((reason, i) => [reason, i + 1])) as Readonly<
  Record<DropReason, number>
>;

/** The row behind a verdict code, or `undefined` for {@link PASS}. */
export function dropRow(verdict: number): DropRow | undefined {
  return verdict === PASS ? undefined : DROPS[verdict - 1];
}

/** The row of a reason. */
export function dropRowOf(reason: DropReason): DropRow {
  return DROPS[DROP[reason] - 1]!;
}
