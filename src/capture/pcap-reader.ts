/**
 * Reads pcap (see `pcap.ts`): both byte orders, micro- and nanoseconds, and the modified form.
 *
 * Real files are sloppy, so the snap length and the check-sum bits beside the link type are not believed, and
 * a fraction of a second or more is carried over.
 * @module
 */
import { BIG, type ByteOrder, LITTLE } from './byte-order.ts';
import type { FrameInfo, FrameSink } from './frame.ts';
import * as pcap from './pcap.ts';
import { damage, MAX_RECORD, type RecordReader } from './record.ts';

const GIGA = 1_000_000_000;

/** The reader for a file that begins with the magic at `b[at]`, or `undefined` if that is not pcap's. */
export function pcapReader(
  source: string,
  sink: FrameSink,
  info: FrameInfo,
  b: Uint8Array,
  at: number,
): PcapReader | undefined {
  for (const order of [LITTLE, BIG]) {
    const magic = order.u32(b, at);
    if (magic === pcap.MAGIC_MICROSECONDS) return new PcapReader(source, sink, info, order, 1000);
    if (magic === pcap.MAGIC_NANOSECONDS) return new PcapReader(source, sink, info, order, 1);
    if (magic === pcap.MAGIC_MODIFIED)
      return new PcapReader(source, sink, info, order, 1000, pcap.MODIFIED_RECORD_HEADER_LEN);
  }
  return undefined;
}

class PcapReader implements RecordReader {
  readonly #source: string;
  readonly #sink: FrameSink;
  readonly #info: FrameInfo;
  readonly #order: ByteOrder;
  /** Nanoseconds in a unit of the second time field. */
  readonly #scale: number;
  /** Bytes in front of a frame. */
  readonly #headerLen: number;
  #hasHeader = false;
  #maxFrame = 0;

  /** @param info the object to hand out with each frame */
  constructor(
    source: string,
    sink: FrameSink,
    info: FrameInfo,
    order: ByteOrder,
    scale: number,
    headerLen = pcap.RECORD_HEADER_LEN,
  ) {
    this.#source = source;
    this.#sink = sink;
    this.#info = info;
    this.#order = order;
    this.#scale = scale;
    this.#headerLen = headerLen;
    info.hasTime = true;
  }

  record(b: Uint8Array, at: number, end: number, byte: number): number {
    return this.#hasHeader ? this.#frame(b, at, end, byte) : this.#header(b, at, end, byte);
  }

  #header(b: Uint8Array, at: number, end: number, byte: number): number {
    if (end - at < pcap.FILE_HEADER_LEN) return pcap.FILE_HEADER_LEN;
    const major = this.#order.u16(b, at + 4);
    if (major !== pcap.VERSION_MAJOR) {
      throw damage(
        this.#source,
        byte + 4,
        0,
        `pcap of version ${major}, only ${pcap.VERSION_MAJOR} is known`,
      );
    }
    const snapLength = this.#order.u32(b, at + 16);
    this.#maxFrame = Math.min(Math.max(snapLength, pcap.MAX_SNAP_LENGTH), MAX_RECORD);
    this.#info.linkType = this.#order.u32(b, at + 20) & 0xffff;
    this.#hasHeader = true;
    this.#sink.interface?.({ linkType: this.#info.linkType, snapLength });
    return pcap.FILE_HEADER_LEN;
  }

  #frame(b: Uint8Array, at: number, end: number, byte: number): number {
    const headerLen = this.#headerLen;
    if (end - at < headerLen) return headerLen;
    const order = this.#order;
    const info = this.#info;
    const captured = order.u32(b, at + 8);
    if (captured > this.#maxFrame) {
      const problem = `damaged record: a captured length of ${captured} bytes, where ${this.#maxFrame} is the most`;
      throw damage(this.#source, byte, info.number, problem);
    }
    const start = at + headerLen;
    const len = headerLen + captured;
    if (end - at < len) return len;
    const fraction = order.u32(b, at + 4) * this.#scale;
    const carried = fraction < GIGA ? 0 : Math.floor(fraction / GIGA);
    info.seconds = order.u32(b, at) + carried;
    info.nanoseconds = fraction - carried * GIGA;
    info.originalLength = order.u32(b, at + 12);
    info.byte = byte;
    info.number++;
    this.#sink.frame(b, start, start + captured, info);
    return len;
  }
}
