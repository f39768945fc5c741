/**
 * Reads snoop, which Solaris and illumos write (RFC 1761). All numbers are big-endian.
 *
 * ```text
 * file header, 16 bytes                      then, for each frame, 24 bytes, the frame and padding
 * +-------------------------------+          +-------------------------------+
 * | "snoop", three zeros          |  0       | Length on the wire            |  0
 * |                               |          | Captured length               |  4
 * +-------------------------------+          | Length of the record          |  8
 * | Version: 2                    |  8       | Frames dropped so far         | 12
 * +-------------------------------+          | Seconds since 1970            | 16
 * | Data link                     | 12       | Microseconds                  | 20
 * +-------------------------------+          +-------------------------------+
 * ```
 * @module
 */
import { u32 } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import type { FrameInfo, FrameSink } from './frame.ts';
import { damage, MAX_RECORD, type RecordReader } from './record.ts';

/** The first four bytes, "snoo". */
export const SNOOP_MAGIC = 0x736e_6f6f;

const FILE_HEADER_LEN = 16;
const RECORD_HEADER_LEN = 24;
const VERSION = 2;
/** RFC 1761's numbers of IEEE 802.3 and of Ethernet, which have the same frames. */
const ETHERNET = [0, 4];
/** As a `LINKTYPE_`. */
const LINK_ETHERNET = 1;

export class SnoopReader implements RecordReader {
  readonly #source: string;
  readonly #sink: FrameSink;
  readonly #info: FrameInfo;
  #hasHeader = false;

  /** @param info the object to hand out with each frame */
  constructor(source: string, sink: FrameSink, info: FrameInfo) {
    this.#source = source;
    this.#sink = sink;
    this.#info = info;
    info.hasTime = true;
    info.linkType = LINK_ETHERNET;
  }

  record(b: Uint8Array, at: number, end: number, byte: number): number {
    return this.#hasHeader ? this.#frame(b, at, end, byte) : this.#header(b, at, end);
  }

  #header(b: Uint8Array, at: number, end: number): number {
    if (end - at < FILE_HEADER_LEN) return FILE_HEADER_LEN;
    const version = u32(b, at + 8);
    const link = u32(b, at + 12);
    if (u32(b, at + 4) !== 0x7000_0000 || version !== VERSION) throw this.#notRead(`of version ${version}`);
    if (!ETHERNET.includes(link)) throw this.#notRead(`of data link ${link}, which is no Ethernet`);
    this.#hasHeader = true;
    this.#sink.interface?.({ linkType: LINK_ETHERNET, snapLength: 0 });
    return FILE_HEADER_LEN;
  }

  #notRead(what: string): InputError {
    return new InputError(
      { source: this.#source, byte: 8 },
      `snoop ${what}: not read`,
      'Convert it: editcap FILE NEW.pcapng.',
    );
  }

  #frame(b: Uint8Array, at: number, end: number, byte: number): number {
    if (end - at < RECORD_HEADER_LEN) return RECORD_HEADER_LEN;
    const info = this.#info;
    const captured = u32(b, at + 4);
    const len = u32(b, at + 8);
    if (len > MAX_RECORD || len < RECORD_HEADER_LEN + captured) {
      const problem = `damaged record: ${len} bytes with a frame of ${captured}`;
      throw damage(this.#source, byte, info.number, problem);
    }
    if (end - at < len) return len;
    const micros = u32(b, at + 20);
    info.seconds = u32(b, at + 16) + Math.floor(micros / 1e6);
    info.nanoseconds = (micros % 1e6) * 1000;
    info.originalLength = u32(b, at);
    info.byte = byte;
    info.number++;
    this.#sink.frame(b, at + RECORD_HEADER_LEN, at + RECORD_HEADER_LEN + captured, info);
    return len;
  }
}
