/**
 * Flows as `hubble observe -o compact --print-node-name` prints them, and behind the summary what Hubble does not say:
 * that the packet is encrypted, and of drops by xfrm the counter, the peer, SPI and sequence number.
 *
 * ```text
 * TIME [NODE]: SOURCE (IDENTITY) -> DESTINATION (IDENTITY) TYPE VERDICT (SUMMARY; encrypted)
 * ```
 * @module
 */
import { safeText } from '../base/safe-text.ts';
import { type DropReason, dropRowOf } from '../ipsec/drop.ts';
import {
  type Flow,
  type FlowEndpoint,
  type FlowL4,
  type FlowLine,
  type LostLine,
  RESERVED,
} from './hubble.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The line, without its end. Names in it are made safe for a terminal. */
export function compactLine(line: FlowLine | LostLine): string {
  return safeText(lineText(line));
}

function lineText(line: FlowLine | LostLine): string {
  if ('lost_events' in line) {
    const { source, num_events_lost } = line.lost_events;
    return `EVENTS LOST: ${source} CPU(0) ${num_events_lost}`;
  }
  const { flow } = line;
  const { IP, l4, source, destination, is_reply } = flow;
  const [sport, dport] = portsOf(l4);
  const src = `${hostOf(IP?.source, source, sport)} ${identityText(source)}`;
  const dst = `${hostOf(IP?.destination, destination, dport)} ${identityText(destination)}`;
  const ends =
    is_reply === undefined ? `${src} <> ${dst}` : is_reply ? `${dst} <- ${src}` : `${src} -> ${dst}`;
  return `${timeOf(flow.time)} [${flow.node_name}]: ${ends} ${typeOf(flow)} ${flow.verdict} (${summaryOf(flow)})`;
}

/** Go's `time.StampMilli`, UTC: `Jan  1 00:20:34.567`. */
function timeOf(time: string): string {
  const day = String(Number(time.slice(8, 10))).padStart(2, ' ');
  const millis = time[19] === '.' ? time.slice(20, 23) : '000';
  return `${MONTHS[Number(time.slice(5, 7)) - 1]} ${day} ${time.slice(11, 19)}.${millis}`;
}

function portsOf(l4: FlowL4 | undefined): readonly [number, number] {
  const ports = l4?.TCP ?? l4?.UDP ?? l4?.SCTP;
  return [ports?.source_port ?? 0, ports?.destination_port ?? 0];
}

function hostOf(address: string | undefined, { namespace, pod_name }: FlowEndpoint, port: number): string {
  if (address === undefined) return '';
  const host = pod_name === undefined ? address : namespace ? `${namespace}/${pod_name}` : pod_name;
  if (port === 0) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function identityText({ identity = 0 }: FlowEndpoint): string {
  return `(${RESERVED[identity] ?? `ID:${identity}`})`;
}

/** The observation point, or why it was dropped. */
function typeOf({ trace_observation_point, extensions }: Flow): string {
  if (trace_observation_point !== undefined)
    return trace_observation_point.toLowerCase().replaceAll('_', '-');
  const { reason } = extensions!.value.esplane;
  const row = dropRowOf(reason as DropReason);
  // Of what Cilium cannot see Hubble has no text.
  return row.cilium?.text ?? (row.counter ? `${row.counter} ${row.reason}` : row.reason);
}

function summaryOf({ Summary, IP, verdict, extensions }: Flow): string {
  const parts = Summary === undefined ? [] : [Summary];
  if (IP?.encrypted) parts.push('encrypted');
  if (verdict === 'DROPPED') {
    const { peer, spi, seq } = extensions!.value.esplane;
    const known = [
      peer !== undefined && `peer ${peer}`,
      spi !== undefined && `SPI ${spi}`,
      seq !== undefined && `seq ${seq}`,
    ].filter((part) => part !== false);
    if (known.length > 0) parts.push(known.join(', '));
  }
  return parts.join('; ');
}
