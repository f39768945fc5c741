/**
 * The JSON line of `esplane decrypt --json`: a contract that others rely on.
 * @module
 */
import { type TextBuffer, textOf } from '../base/text-buffer.ts';
import { type FrameNames, numberOf, ONE_CAPTURE } from '../capture/frame-id.ts';
import { dropRow } from '../ipsec/drop.ts';
import { PASS } from '../wire/packet.ts';
import type { EspEvent } from './esp-event.ts';
import { verdictName } from './esp-words.ts';
import type { OverlayFinder } from './overlay.ts';
import { putTime } from './packet-time.ts';

/**
 * Writes one ESP packet as a JSON object on one line, with the line's end: by hand, field by field, because it runs
 * for every packet, and nothing in it needs escaping. Where there are several captures `file` names that of the frame.
 */
export function putDecryptJson(
  out: TextBuffer,
  r: EspEvent,
  overlays: OverlayFinder,
  names: FrameNames = ONE_CAPTURE,
): void {
  const row = dropRow(r.verdict);
  const ok = r.verdict === PASS;
  out.text('{"frame":');
  out.decimal(numberOf(r.frame));
  if (names.areSeveral) out.utf8(`,"file":${JSON.stringify(names.file(r.frame))}`);
  if (r.hasTime) {
    out.text(',"time":"');
    putTime(out, r.seconds, r.nanoseconds);
    out.text('","src":"');
  } else out.text(',"time":null,"src":"');
  out.text(r.src);
  out.text('","dst":"');
  out.text(r.dst);
  if (r.hasSpi) {
    out.text('","spi":');
    out.decimal(r.spi);
    out.text(',"seq":"');
    putSeq(out, r.seqHi, r.seqLo);
    out.text('"');
  } else out.text('","spi":null,"seq":null');
  if (!ok) {
    const counter = r.isUnopened ? null : row?.counter;
    out.text(`,"verdict":"${verdictName(r)}","reason":${quoted(row?.reason)},"counter":${quoted(counter)}`);
    out.text(',"inner":null,"overlay":null');
  } else {
    out.text(',"verdict":"ok","reason":null,"counter":null,');
    if (!r.authenticated) out.text('"authenticated":false,');
    out.text('"inner":"');
    out.hex(r.bytes, r.at, r.end);
    const vxlan = overlays.find(r.bytes, r.at, r.end);
    if (vxlan) {
      out.text('","overlay":{"vni":');
      out.decimal(vxlan.vni);
      out.text(',"frame":"');
      out.hex(r.bytes, vxlan.frameAt, vxlan.frameEnd);
      out.text('"}');
    } else out.text('","overlay":null');
  }
  const { carrier } = r;
  if (carrier.vni < 0) out.text(',"carrier":null');
  else {
    out.text(',"carrier":{"vni":');
    out.decimal(carrier.vni);
    out.text('}');
  }
  // VXLAN alone was all there was before the others had names, and says all by its VNI.
  if (carrier.depth > 1 || (carrier.depth === 1 && carrier.kind !== 'vxlan'))
    out.text(`,"carriers":${JSON.stringify(carrier.kinds())}`);
  out.text(',"basis":"');
  out.text(r.basis);
  if (r.openedBy) out.text(`","openedBy":${JSON.stringify(r.openedBy.origin)}}\n`);
  else out.text('","openedBy":null}\n');
}

/** Writes a 64-bit number in decimal. */
export function putSeq(out: TextBuffer, hi: number, lo: number): void {
  if (hi < 0x20_0000) out.decimal(hi * 2 ** 32 + lo);
  else out.text(String((BigInt(hi) << 32n) | BigInt(lo)));
}

/** {@link putSeq} as a string. */
export function seqText(hi: number, lo: number): string {
  return textOf((out) => putSeq(out, hi, lo));
}

function quoted(text: string | null | undefined): string {
  return text ? `"${text}"` : 'null';
}
