/**
 * What Hubble's API calls things: `flow.Flow` of `api/v1/flow/flow.proto` as far as esplane fills it, in the order of its
 * fields, with the names that `protojson` gives them; and the names that its printer has for them.
 * @module
 */

export interface FlowIp {
  readonly source: string;
  readonly destination: string;
  readonly ipVersion: 'IPv4' | 'IPv6';
  readonly encrypted?: true;
}

/** In the order of their bits, from the lowest: NS is in the byte before. */
export const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS'] as const;

export type FlowTcpFlags = Readonly<Partial<Record<(typeof TCP_FLAGS)[number], true>>>;

interface Ports {
  readonly source_port?: number;
  readonly destination_port?: number;
}

interface TypeCode {
  readonly type?: number;
  readonly code?: number;
}

/** Exactly one of them. */
export interface FlowL4 {
  readonly TCP?: Ports & { readonly flags: FlowTcpFlags };
  readonly UDP?: Ports;
  readonly ICMPv4?: TypeCode;
  readonly ICMPv6?: TypeCode;
  readonly SCTP?: Ports;
}

export interface FlowEndpoint {
  readonly identity?: number;
  readonly cluster_name?: string;
  readonly namespace?: string;
  readonly labels?: readonly string[];
  readonly pod_name?: string;
}

/** What Hubble has no field for: `google.protobuf.Any` is what its API offers for that. */
export interface FlowExtensions {
  readonly '@type': 'type.googleapis.com/google.protobuf.Struct';
  readonly value: { readonly esplane: EsplaneFacts };
}

export interface EsplaneFacts {
  /** Row of esplane's drop table. */
  readonly reason?: string;
  /** Row of `/proc/net/xfrm_stat`, or who else counts it. */
  readonly counter?: string;
  /** The node at the other end. */
  readonly peer?: string;
  readonly spi?: number;
  /** Decimal: 64 bits under ESN. */
  readonly seq?: string;
  /** The packet that carries the one that the flow is about. */
  readonly outer?: { readonly source: string; readonly destination: string };
}

export interface Flow {
  readonly time: string;
  readonly uuid: string;
  readonly verdict: 'FORWARDED' | 'DROPPED';
  readonly drop_reason?: number;
  readonly IP?: FlowIp;
  readonly l4?: FlowL4;
  readonly tunnel?: { readonly protocol: 'VXLAN'; readonly IP?: FlowIp; readonly vni?: number };
  readonly source: FlowEndpoint;
  readonly destination: FlowEndpoint;
  readonly Type: 'L3_L4';
  readonly node_name: string;
  readonly event_type: { readonly type: number; readonly sub_type?: number };
  readonly traffic_direction?: 'INGRESS' | 'EGRESS';
  readonly trace_observation_point?: string;
  readonly trace_reason?: string;
  readonly drop_reason_desc?: string;
  readonly is_reply?: boolean;
  readonly Summary?: string;
  readonly extensions?: FlowExtensions;
}

/** A line of `hubble observe -o jsonpb`: `observer.GetFlowsResponse`. */
export interface FlowLine {
  readonly flow: Flow;
  readonly node_name: string;
  readonly time: string;
}

export interface LostLine {
  readonly lost_events: {
    /** `flow.LostEventSource`: where flows waited to be printed, or where the printed ones waited to be written. */
    readonly source: 'HUBBLE_RING_BUFFER' | 'OBSERVER_EVENTS_QUEUE';
    readonly num_events_lost: string;
  };
  readonly node_name: string;
  readonly time: string;
}

export const EVENT_DROP = 1;
export const EVENT_TRACE = 4;

/** `flow.TraceObservationPoint`, by number; in texts for people they are in lower case, with hyphens. */
export const POINTS = words(
  'TO_ENDPOINT TO_PROXY TO_HOST TO_STACK TO_OVERLAY FROM_ENDPOINT FROM_PROXY FROM_HOST FROM_STACK FROM_OVERLAY',
  'FROM_NETWORK TO_NETWORK',
);

/** `flow.TraceReason`, by number. */
export const TRACE_REASONS = ['TRACE_REASON_UNKNOWN', 'NEW', 'ESTABLISHED', 'REPLY', 'RELATED'] as const;

/** `flow.TrafficDirection`, by number. */
export const DIRECTIONS = ['TRAFFIC_DIRECTION_UNKNOWN', 'INGRESS', 'EGRESS'] as const;

/** Identities that Cilium reserves, by number. */
export const RESERVED = words(
  'unknown host world unmanaged health init remote-node kube-apiserver ingress world-ipv4 world-ipv6',
);

/** The words of a list. */
export function words(...lines: readonly string[]): readonly string[] {
  return lines.join(' ').split(' ');
}
