/**
 * Writes pcap (see `pcap.ts`), little-endian: one link type, and nothing but frames.
 * @module
 */
import { EsplaneError } from '../base/errors.ts';
import { putU16le, putU32le } from './byte-order.ts';
import type { CaptureInterface, FrameMeta, FrameSink } from './frame.ts';
import { Output, type WriteBytes } from './output.ts';
import * as pcap from './pcap.ts';

export interface PcapWriterOptions {
  /** `LINKTYPE_` number of all frames. */
  readonly linkType: number;
  /** `us` cuts times off to microseconds, for programs that read nothing else. */
  readonly resolution?: 'us' | 'ns';
}

/**
 * A pcap file. Call {@link flush} at its end.
 *
 * As a sink it takes what a reader gives, and drops what pcap cannot hold: names, comments, secrets.
 */
export class PcapWriter implements FrameSink {
  readonly #out: Output;
  readonly #linkType: number;
  readonly #perUnit: number;

  constructor(write: WriteBytes, { linkType, resolution = 'ns' }: PcapWriterOptions) {
    this.#out = new Output(write);
    this.#linkType = linkType;
    this.#perUnit = resolution === 'us' ? 1000 : 1;
    const at = this.#out.reserve(pcap.FILE_HEADER_LEN);
    const b = this.#out.b;
    putU32le(b, at, resolution === 'us' ? pcap.MAGIC_MICROSECONDS : pcap.MAGIC_NANOSECONDS);
    putU16le(b, at + 4, pcap.VERSION_MAJOR);
    putU16le(b, at + 6, pcap.VERSION_MINOR);
    b.fill(0, at + 8, at + 16);
    putU32le(b, at + 16, pcap.MAX_SNAP_LENGTH);
    putU32le(b, at + 20, linkType);
  }

  /**
   * Checks that the frames of an interface may go into this file.
   * @throws {EsplaneError} `ERR_CAPTURE` another link type
   */
  interface({ linkType }: CaptureInterface): void {
    if (linkType === this.#linkType) return;
    throw new EsplaneError(
      'ERR_CAPTURE',
      `a pcap file of link type ${this.#linkType} cannot hold frames of type ${linkType}: write pcapng`,
    );
  }

  /**
   * Writes `b[at..end)`, of which no more than the snap length. Seconds outside 1970 to 2106 do not fit; the
   * nearest that does is written.
   */
  frame(b: Uint8Array, at: number, end: number, meta: FrameMeta): void {
    const len = Math.min(end - at, pcap.MAX_SNAP_LENGTH);
    const to = this.#out.reserve(pcap.RECORD_HEADER_LEN + len);
    const out = this.#out.b;
    putU32le(out, to, Math.min(Math.max(meta.seconds, 0), 0xffff_ffff));
    putU32le(out, to + 4, Math.floor(meta.nanoseconds / this.#perUnit));
    putU32le(out, to + 8, len);
    putU32le(out, to + 12, meta.originalLength);
    out.set(b.subarray(at, at + len), to + pcap.RECORD_HEADER_LEN);
  }

  /** Hands everything written so far to the file. */
  flush(): void {
    this.#out.flush();
  }
}
