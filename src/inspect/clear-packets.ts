/**
 * Decrypted packets in a pcapng file: raw IP packets, each with a comment that says where it comes from.
 * @module
 */
import { type FrameNames, ONE_CAPTURE } from '../capture/frame-id.ts';
import type { PcapngWriter } from '../capture/pcapng-writer.ts';
import { LINK_RAW } from '../wire/link-type.ts';
import { seqText } from './decrypt-json.ts';
import type { EspEvent } from './esp-event.ts';
import { carrierText } from './find-esp.ts';

/** Describes the interface that decrypted packets are on. Returns its id. */
export function clearInterface(writer: PcapngWriter): number {
  return writer.interface({ linkType: LINK_RAW, snapLength: 0, name: 'decrypted' });
}

/**
 * Writes what was decrypted, as raw IP packets with comments that say where they come from: one packet, or any number of them in
 * IP-TFS.
 */
export function putClear(
  writer: PcapngWriter,
  interfaceId: number,
  r: EspEvent,
  names: FrameNames = ONE_CAPTURE,
): void {
  const carriers = carrierText(r.carrier);
  const carrier = carriers === '' ? '' : `, in ${carriers}`;
  const unauthenticated = r.authenticated ? '' : ', unauthenticated: no ICV was checked';
  const comment = `frame ${names.text(r.frame)}: ${r.src} > ${r.dst} ESP spi 0x${r.spi.toString(16)} seq ${seqText(r.seqHi, r.seqLo)}${carrier}${unauthenticated}`;
  r.eachPacket((bytes, at, end) => {
    writer.comment(comment);
    writer.frame(bytes, at, end, {
      seconds: r.seconds,
      nanoseconds: r.nanoseconds,
      interfaceId,
      originalLength: end - at,
    });
  });
}
