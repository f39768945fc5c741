/**
 * The JSON line of `esplane decrypt --json`: a contract that others rely on (design.md).
 * @module
 */
import { toHex } from '../base/bytes.ts';
import { dropRow } from '../ipsec/drop.ts';
import { PASS } from '../wire/packet.ts';
import type { EspRecord } from './decrypt.ts';
import type { OverlayFinder } from './overlay.ts';

/** Writes `b[at..end)` as hexadecimal text. */
export type Hex = (b: Uint8Array, at: number, end: number) => string;

/**
 * One ESP packet as a JSON object on one line, with the line's end. Written by hand, field by field: it runs for
 * every packet, and nothing in it needs escaping.
 */
export function decryptJson(r: EspRecord, overlays: OverlayFinder, hex: Hex = toHex): string {
  const row = dropRow(r.verdict);
  const ok = r.verdict === PASS;
  const vxlan = ok ? overlays.find(r.bytes, r.at, r.end) : undefined;
  return (
    `{"frame":${r.frame},"time":${r.hasTime ? `"${timeText(r.seconds, r.nanoseconds)}"` : 'null'},` +
    `"src":"${r.src}","dst":"${r.dst}",` +
    `"spi":${r.hasSpi ? r.spi : 'null'},"seq":${r.hasSpi ? `"${seqText(r.seqHi, r.seqLo)}"` : 'null'},` +
    `"verdict":"${ok ? 'ok' : 'drop'}","reason":${row ? `"${row.reason}"` : 'null'},` +
    `"counter":${row?.counter ? `"${row.counter}"` : 'null'},` +
    `"inner":${ok ? `"${hex(r.bytes, r.at, r.end)}"` : 'null'},` +
    `"overlay":${vxlan ? `{"vni":${vxlan.vni},"frame":"${hex(r.bytes, vxlan.frameAt, vxlan.frameEnd)}"}` : 'null'},` +
    `"carrier":${r.carrierVni < 0 ? 'null' : `{"vni":${r.carrierVni}}`}}\n`
  );
}

/** Seconds with six decimals, or nine where the capture is finer than microseconds. */
export function timeText(seconds: number, nanoseconds: number): string {
  const isFine = nanoseconds % 1000 !== 0;
  const fraction = isFine
    ? String(nanoseconds).padStart(9, '0')
    : String(nanoseconds / 1000).padStart(6, '0');
  return `${seconds}.${fraction}`;
}

/** A 64-bit number in decimal. */
export function seqText(hi: number, lo: number): string {
  return hi < 0x20_0000 ? String(hi * 2 ** 32 + lo) : String((BigInt(hi) << 32n) | BigInt(lo));
}
