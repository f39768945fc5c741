/**
 * Rows become flows as Hubble prints them: `hubble observe -o jsonpb`, one line a flow.
 *
 * As `protojson` has it, fields that are 0, false or empty are left out. Hubble reads such lines with `protojson`
 * (`hubble observe --input-file`), which refuses fields that it does not know: what only esplane knows is in
 * `extensions`.
 * @module
 */
import { toHex } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import { IDENTITY } from '../cilium/ipcache.ts';
import { dropRow } from '../ipsec/drop.ts';
import { formatAddress } from '../wire/address.ts';
import * as icmp from '../wire/icmp.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { SCTP } from './flow-packet.ts';
import type { FlowBatch } from './flow-recorder.ts';
import { AT, FlowRows, HAS, POINT, ROW } from './flow-rows.ts';
import { summaryOf } from './flow-summary.ts';
import {
  DIRECTIONS,
  type EsplaneFacts,
  EVENT_DROP,
  EVENT_TRACE,
  type Flow,
  type FlowEndpoint,
  type FlowIp,
  type FlowL4,
  type FlowLine,
  type FlowTcpFlags,
  type LostLine,
  POINTS,
  RESERVED,
  TCP_FLAGS,
  TRACE_REASONS,
} from './hubble.ts';

/** A pod behind an address. */
export interface PodName {
  readonly namespace: string;
  readonly pod: string;
  readonly identity: number;
}

export interface FlowReaderOptions {
  /** For the part of uuids that tells runs apart. */
  readonly random: RandomBytes;
  /** The owner of an address, where it is known. */
  readonly podOf?: ((address: string) => PodName | undefined) | undefined;
  readonly clusterName?: string;
}

const RUN_BYTES = 9;

/** Reads the batches of one recorder, in order. */
export class FlowReader {
  readonly #podOf: ((address: string) => PodName | undefined) | undefined;
  readonly #clusterName: string;
  readonly #run: string;
  readonly #names: string[] = [''];
  #number = 0;

  constructor({ random, podOf, clusterName = 'default' }: FlowReaderOptions) {
    this.#podOf = podOf;
    this.#clusterName = clusterName;
    const b = new Uint8Array(RUN_BYTES);
    random(b);
    this.#run = toHex(b);
  }

  /** The flows of a batch, each when it is asked for; last, how many were lost. */
  *read(batch: FlowBatch): Generator<FlowLine | LostLine> {
    for (const name of batch.names) this.#names.push(name);
    const rows = FlowRows.of(batch.rows);
    for (let row = 0; row < rows.count; row++) yield this.#line(rows, row * ROW);
    if (batch.lost === 0) return;
    // Only a full recorder loses any.
    const last = (rows.count - 1) * ROW;
    yield {
      lost_events: { source: 'HUBBLE_RING_BUFFER', num_events_lost: String(batch.lost) },
      node_name: this.#names[rows.view.getUint16(last + AT.NODE)]!,
      time: timeText(rows.view.getFloat64(last + AT.TIME)),
    };
  }

  #line(rows: FlowRows, at: number): FlowLine {
    const flow = this.#flow(rows, at);
    return { flow, node_name: flow.node_name, time: flow.time };
  }

  #flow({ view, bytes }: FlowRows, at: number): Flow {
    const has = view.getUint16(at + AT.HAS);
    const u32 = (field: number) => view.getUint32(at + field);
    const point = bytes[at + AT.POINT]!;
    const isDrop = point === POINT.DROP;
    const dropped = isDrop ? dropRow(bytes[at + AT.VERDICT]!) : undefined;
    const code = dropped?.cilium?.code;
    const ip =
      (has & HAS.IP) === 0 ? undefined : ipOf(bytes, at + AT.SRC, has & HAS.IPV6, has & HAS.ENCRYPTED);
    const outer =
      (has & HAS.OUTER) === 0 ? undefined : ipOf(bytes, at + AT.OUTER_SRC, has & HAS.OUTER_IPV6, 0);
    const l4 = (has & HAS.L4) === 0 ? undefined : l4Of(view, bytes, at);
    const direction = bytes[at + AT.DIRECTION]!;
    const reason = bytes[at + AT.REASON]!;
    const vni = u32(AT.VNI);
    const summary = summaryOf(l4, ip?.ipVersion);
    const peer = this.#names[view.getUint16(at + AT.PEER)];
    const spi = u32(AT.SPI);
    const facts: EsplaneFacts = {
      ...(dropped && {
        reason: dropped.reason,
        counter: dropped.counter ?? dropped.elsewhere,
      }),
      ...(peer && { peer }),
      ...(spi !== 0 && { spi }),
      ...((has & HAS.ESP) !== 0 && { seq: seqText(u32(AT.SEQ_HI), u32(AT.SEQ_LO)) }),
      ...(outer && { outer: { source: outer.source, destination: outer.destination } }),
    };
    return {
      time: timeText(view.getFloat64(at + AT.TIME)),
      uuid: this.#uuid(),
      verdict: isDrop ? 'DROPPED' : 'FORWARDED',
      ...(code !== undefined && { drop_reason: code }),
      ...(ip && { IP: ip }),
      ...(l4 && { l4 }),
      ...((has & HAS.TUNNEL) !== 0 &&
        point === POINT.TO_NETWORK && {
          tunnel: { protocol: 'VXLAN', ...(outer && { IP: outer }), ...(vni !== 0 && { vni }) },
        }),
      source: this.#endpoint(ip?.source, u32(AT.SRC_IDENTITY)),
      destination: this.#endpoint(ip?.destination, u32(AT.DST_IDENTITY)),
      Type: 'L3_L4',
      node_name: this.#names[view.getUint16(at + AT.NODE)] ?? '',
      event_type: isDrop
        ? { type: EVENT_DROP, ...(code !== undefined && { sub_type: code }) }
        : { type: EVENT_TRACE, ...(point !== 0 && { sub_type: point }) },
      ...(direction !== 0 && { traffic_direction: DIRECTIONS[direction] as 'INGRESS' | 'EGRESS' }),
      ...(!isDrop && { trace_observation_point: POINTS[point]! }),
      ...(reason !== 0 && { trace_reason: TRACE_REASONS[reason]! }),
      ...(dropped?.cilium && { drop_reason_desc: dropped.cilium.name }),
      ...((has & HAS.REASON) !== 0 && { is_reply: TRACE_REASONS[reason] === 'REPLY' }),
      ...(summary !== undefined && { Summary: summary }),
      ...(Object.keys(facts).length > 0 && {
        extensions: { '@type': 'type.googleapis.com/google.protobuf.Struct', value: { esplane: facts } },
      }),
    };
  }

  #endpoint(address: string | undefined, known: number): FlowEndpoint {
    const pod = address === undefined ? undefined : this.#podOf?.(address);
    // Of a pod known by its node's range alone the name says more than the range's identity.
    const isRange = known === IDENTITY.UNKNOWN || known === IDENTITY.UNMANAGED;
    const identity = isRange && pod ? pod.identity : known;
    const reserved = RESERVED[identity];
    const labels =
      reserved === undefined
        ? pod && [`k8s:io.kubernetes.pod.namespace=${pod.namespace}`]
        : identity !== 0 && [`reserved:${reserved}`];
    return {
      ...(identity !== 0 && { identity }),
      ...(pod && { cluster_name: this.#clusterName, namespace: pod.namespace }),
      ...(labels && { labels }),
      ...(pod && { pod_name: pod.pod }),
    };
  }

  /** UUIDs of version 8 (RFC 9562 §5.8): the run by chance, and then the number of the flow. */
  #uuid(): string {
    const run = this.#run;
    const number = (this.#number++).toString(16).padStart(12, '0');
    return `${run.slice(0, 8)}-${run.slice(8, 12)}-8${run.slice(12, 15)}-8${run.slice(15, 18)}-${number}`;
  }
}

function ipOf(b: Uint8Array, at: number, isV6: number, isEncrypted: number): FlowIp {
  const len = isV6 === 0 ? 4 : 16;
  return {
    source: formatAddress(b, at, len),
    destination: formatAddress(b, at + 16, len),
    ipVersion: isV6 === 0 ? 'IPv4' : 'IPv6',
    ...(isEncrypted !== 0 && { encrypted: true }),
  };
}

function l4Of(view: DataView, bytes: Uint8Array, at: number): FlowL4 {
  const sport = view.getUint16(at + AT.SPORT);
  const dport = view.getUint16(at + AT.DPORT);
  const ports = {
    ...(sport !== 0 && { source_port: sport }),
    ...(dport !== 0 && { destination_port: dport }),
  };
  const first = bytes[at + AT.FLAGS]!;
  const second = bytes[at + AT.CODE]!;
  const typeCode = { ...(first !== 0 && { type: first }), ...(second !== 0 && { code: second }) };
  switch (bytes[at + AT.PROTOCOL]) {
    case tcp.PROTOCOL:
      return { TCP: { ...ports, flags: tcpFlags(first | (second << 8)) } };
    case udp.PROTOCOL:
      return { UDP: ports };
    case SCTP:
      return { SCTP: ports };
    case icmp.PROTOCOL:
      return { ICMPv4: typeCode };
    default:
      return { ICMPv6: typeCode };
  }
}

function tcpFlags(bits: number): FlowTcpFlags {
  const flags: { -readonly [name in keyof FlowTcpFlags]: true } = {};
  TCP_FLAGS.forEach((name, bit) => {
    if (bits & (1 << bit)) flags[name] = true;
  });
  return flags;
}

/** `google.protobuf.Timestamp`: 0, 3 or 6 digits after the second. */
function timeText(ms: number): string {
  const us = Math.round(ms * 1000);
  const seconds = Math.floor(us / 1e6);
  const rest = us - seconds * 1e6;
  const digits = String(rest).padStart(6, '0');
  const fraction = rest === 0 ? '' : `.${rest % 1000 === 0 ? digits.slice(0, 3) : digits}`;
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction}Z`;
}

function seqText(hi: number, lo: number): string {
  return hi === 0 ? String(lo) : String((BigInt(hi) << 32n) | BigInt(lo));
}
