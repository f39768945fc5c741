/**
 * One ESP packet in one line for people, as tcpdump would say it, with the packet inside or why it was dropped.
 * @module
 */
import { safeText } from '../base/safe-text.ts';
import type { TextBuffer } from '../base/text-buffer.ts';
import { type FrameNames, numberOf, ONE_CAPTURE } from '../capture/frame-id.ts';
import { putSeq } from '../inspect/decrypt-json.ts';
import type { EspEvent } from '../inspect/esp-event.ts';
import { dropText } from '../inspect/esp-words.ts';
import { putPacketLine } from '../inspect/packet-line.ts';
import type { PacketTimes } from '../inspect/packet-time.ts';
import { dropCode } from '../ipsec/drop.ts';
import { PASS } from '../wire/packet.ts';

const NO_STATE = dropCode('no-state');

/**
 * Writes the line with its end: `1 2026-11-23T01:42:00.660059Z 10.244.1.1 > 10.244.2.1: ESP(spi=0x00000003,seq=1) IP …`. Where there
 * are several captures it begins with the file: `node-2.pcap:1`.
 */
export function putEspLine(
  out: TextBuffer,
  r: EspEvent,
  times: PacketTimes,
  names: FrameNames = ONE_CAPTURE,
): void {
  putFrame(out, r.frame, names);
  out.text(' ');
  if (r.hasTime) {
    times.put(out, r.seconds, r.nanoseconds);
    out.text(' ');
  }
  out.text(r.src);
  out.text(' > ');
  out.text(r.dst);
  if (r.hasSpi) {
    out.text(': ESP(spi=0x');
    out.hex32(r.spi);
    out.text(',seq=');
    putSeq(out, r.seqHi, r.seqLo);
    out.text(')');
  } else out.text(': ESP(short)');
  // As tcpdump has it.
  if (!r.stream && r.isUnopened && r.verdict === NO_STATE) {
    out.text(', length ');
    out.decimal(r.espEnd - r.espAt);
    out.text('\n');
    return;
  }
  out.text(' ');
  if (r.verdict !== PASS) out.text(dropText(r));
  else {
    if (!r.authenticated) out.text('unauthenticated: ');
    putPacketLine(out, r.bytes, r.at, r.end);
  }
  out.text('\n');
}

function putFrame(out: TextBuffer, id: number, names: FrameNames): void {
  if (names.areSeveral) {
    out.utf8(safeText(names.file(id)));
    out.text(':');
  }
  out.decimal(numberOf(id));
}
