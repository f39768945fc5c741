/**
 * One ESP packet in one line for people, as tcpdump would say it, with the packet inside or why it was dropped.
 * @module
 */
import { safeText } from '../base/safe-text.ts';
import type { TextBuffer } from '../base/text-buffer.ts';
import { type FrameNames, numberOf, ONE_CAPTURE } from '../capture/frame-id.ts';
import { type Aggregate, aggregateText } from '../inspect/aggregate.ts';
import { putSeq } from '../inspect/decrypt-json.ts';
import { InnerPacket } from '../inspect/diagnose/inner.ts';
import type { EspEvent } from '../inspect/esp-event.ts';
import { dropText } from '../inspect/esp-words.ts';
import type { Names } from '../inspect/names.ts';
import { putPacketLine } from '../inspect/packet-line.ts';
import type { PacketTimes } from '../inspect/packet-time.ts';
import { DROP } from '../ipsec/drop.ts';
import { formatAddress } from '../wire/address.ts';
import { PASS } from '../wire/packet.ts';

/** How lines are written. */
export interface LineStyle {
  readonly times: PacketTimes;
  /** Of several captures. */
  readonly frames?: FrameNames;
  readonly names: Names;
}

/** What came out of ESP. */
const inner = new InnerPacket();

/**
 * Writes the line with its end: `1 2026-11-23T01:42:00.660059Z 10.244.1.1 (node-1) > 10.244.2.1 (node-2):
 * ESP(spi=0x00000003,seq=1) IP …`. Where there are several captures it begins with the file: `node-2.pcap:1`.
 */
export function putEspLine(
  out: TextBuffer,
  r: EspEvent,
  { times, frames = ONE_CAPTURE, names }: LineStyle,
): void {
  putFrame(out, r.frame, frames);
  out.text(' ');
  if (r.hasTime) {
    times.put(out, r.seconds, r.nanoseconds);
    out.text(' ');
  }
  putNode(out, r.src, names);
  out.text(' > ');
  putNode(out, r.dst, names);
  if (r.hasSpi) {
    out.text(': ESP(spi=0x');
    out.hex32(r.spi);
    out.text(',seq=');
    putSeq(out, r.seqHi, r.seqLo);
    out.text(')');
  } else out.text(': ESP(short)');
  // As tcpdump has it.
  if (!r.stream && r.isUnopened && r.verdict === DROP['no-state']) {
    out.text(', length ');
    out.decimal(r.espEnd - r.espAt);
    out.text('\n');
    return;
  }
  out.text(' ');
  if (r.verdict !== PASS) out.text(dropText(r));
  else {
    if (!r.authenticated) out.text('unauthenticated: ');
    if (r.aggregate) putAggregate(out, r.aggregate, names);
    else putInner(out, r.bytes, r.at, r.end, names);
  }
  out.text('\n');
}

function putNode(out: TextBuffer, address: string, names: Names): void {
  out.text(address);
  const node = names.node(address);
  if (node !== null) out.utf8(` (${safeText(node)})`);
}

/** What came out of a payload of IP-TFS: any number of packets. */
function putAggregate(out: TextBuffer, aggregate: Aggregate, names: Names): void {
  out.text(aggregateText(aggregate));
  for (const [k, inner] of aggregate.inners.entries()) {
    out.text(k === 0 ? ': ' : '; ');
    putInner(out, inner, 0, inner.length, names);
  }
}

/** The packet that ESP carried, and the one that this carried in VXLAN. */
function putInner(out: TextBuffer, bytes: Uint8Array, at: number, end: number, names: Names): void {
  const pod = names.hasPods
    ? (b: Uint8Array, srcAt: number, len: number) => {
        const name = names.pod(formatAddress(b, srcAt, len));
        return name === null ? null : safeText(name);
      }
    : undefined;
  if (inner.read(bytes, at, end) && inner.vxlan && inner.at !== at) {
    out.text('VXLAN ');
    out.decimal(inner.vxlan.vni);
    out.text(' ');
    putPacketLine(out, bytes, inner.at, inner.end, pod);
  } else putPacketLine(out, bytes, at, end, pod);
}

function putFrame(out: TextBuffer, id: number, names: FrameNames): void {
  if (names.areSeveral) {
    out.utf8(safeText(names.file(id)));
    out.text(':');
  }
  out.decimal(numberOf(id));
}
