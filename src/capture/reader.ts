/**
 * Reads captures as a stream: tells formats apart, and cuts the chunks of a file into records.
 *
 * A record that lies whole in a chunk is read where it lies. One that is split between chunks is put together
 * in a buffer of the reader's own, which then holds that one record and nothing else.
 * @module
 */
import { toHex, u32 } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import { NETWORK_MONITOR } from './format.ts';
import type { FrameInfo, FrameSink } from './frame.ts';
import { pcapReader } from './pcap-reader.ts';
import { BLOCK_SECTION } from './pcapng.ts';
import { PcapngReader } from './pcapng-reader.ts';
import { damage, type LeftOut, type RecordReader } from './record.ts';
import { SNOOP_MAGIC, SnoopReader } from './snoop-reader.ts';

/** A parser that is fed. Everything before damaged bytes reaches the sink before the error is thrown. */
export interface CaptureReader {
  /** What the sink has not been told, so far; `undefined` when it has been told everything. */
  readonly leftOut: LeftOut | undefined;
  /**
   * Takes the next bytes of the file, and hands what they complete to the sink. The sink does not keep the chunk
   * afterwards.
   * @throws {InputError} not a capture, or a damaged one; every later call throws it again
   */
  feed(chunk: Uint8Array): void;
  /**
   * Says that the file ends here.
   * @throws {InputError} nothing was fed, or the file ends in the middle of a record
   */
  end(): void;
}

/**
 * A reader for one file: pcap, pcapng or snoop.
 * @param source the file's name, for errors
 * @example
 * ```ts
 * const reader = captureReader('wire.pcap', { frame: (b, at, end, info) => console.log(info.number, end - at) });
 * reader.feed(bytes);
 * reader.end();
 * ```
 */
export function captureReader(source: string, sink: FrameSink): CaptureReader {
  return new Reader(source, sink);
}

/** Enough to tell formats apart. */
const MAGIC_LEN = 4;

/** What a capture is often packed in, by the first bytes of the file. */
const PACKED = [
  { name: 'gzip', magic: '1f8b', remedy: 'gunzip -k' },
  { name: 'zstd', magic: '28b52ffd', remedy: 'zstd -d' },
  { name: 'lz4', magic: '04224d18', remedy: 'lz4 -d' },
  { name: 'xz', magic: 'fd377a58', remedy: 'xz -dk' },
  { name: 'bzip2', magic: '425a68', remedy: 'bunzip2 -k' },
] as const;

class Reader implements CaptureReader {
  readonly #source: string;
  readonly #sink: FrameSink;
  readonly #info: FrameInfo = {
    number: 0,
    seconds: 0,
    nanoseconds: 0,
    hasTime: false,
    linkType: 0,
    interfaceId: 0,
    originalLength: 0,
    byte: 0,
  };
  /** Undefined until the format is known. */
  #records: RecordReader | undefined;
  /** Where the next record starts in the file. */
  #byte = 0;
  /** The beginning of that record, from earlier chunks, … */
  #carry: Uint8Array = new Uint8Array(0);
  /** … how much of it there is, … */
  #held = 0;
  /** … and how much there must be for another try. */
  #needed = MAGIC_LEN;
  #failure: unknown;

  constructor(source: string, sink: FrameSink) {
    this.#source = source;
    this.#sink = sink;
  }

  get leftOut(): LeftOut | undefined {
    return this.#records?.leftOut;
  }

  feed(chunk: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#read(chunk);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#held > 0 || this.#byte === 0) throw this.#cutOff();
  }

  #read(chunk: Uint8Array): void {
    let at = 0;
    while (this.#held > 0) {
      // Only what the record lacks: the ones after it are read in the chunk.
      at = this.#keep(chunk, at, Math.min(chunk.length, at + this.#needed - this.#held));
      if (this.#held < this.#needed) return;
      const len = this.#record(this.#carry, 0, this.#held);
      if (len > this.#held) {
        this.#needed = len;
        continue;
      }
      this.#held = 0;
      this.#byte += len;
      this.#sink.release?.();
    }
    while (at < chunk.length) {
      const len = this.#record(chunk, at, chunk.length);
      if (len > chunk.length - at) {
        this.#needed = len;
        this.#keep(chunk, at, chunk.length);
        break;
      }
      at += len;
      this.#byte += len;
    }
    this.#sink.release?.();
  }

  #record(b: Uint8Array, at: number, end: number): number {
    if (!this.#records) {
      if (end - at < MAGIC_LEN) return MAGIC_LEN;
      this.#records = this.#detect(b, at);
    }
    return this.#records.record(b, at, end, this.#byte);
  }

  /** Appends `chunk[at..end)` to the carry, which grows with what arrives, not with what a length claims. */
  #keep(chunk: Uint8Array, at: number, end: number): number {
    const len = this.#held + end - at;
    if (len > this.#carry.length) {
      const grown = new Uint8Array(Math.max(len, 2 * this.#carry.length));
      grown.set(this.#carry.subarray(0, this.#held));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(at, end), this.#held);
    this.#held = len;
    return end;
  }

  #detect(b: Uint8Array, at: number): RecordReader {
    if (u32(b, at) === BLOCK_SECTION) return new PcapngReader(this.#source, this.#sink, this.#info);
    if (u32(b, at) === SNOOP_MAGIC) return new SnoopReader(this.#source, this.#sink, this.#info);
    const reader = pcapReader(this.#source, this.#sink, this.#info, b, at);
    if (reader) return reader;
    const place = { source: this.#source, byte: 0 };
    const magic = toHex(b, at, at + MAGIC_LEN);
    const packed = PACKED.find((p) => magic.startsWith(p.magic));
    if (packed) {
      const { name, remedy } = packed;
      throw new InputError(place, `this is ${name}, not a capture`, `Unpack it first: ${remedy} FILE.`);
    }
    if (NETWORK_MONITOR.includes(u32(b, at)))
      throw new InputError(
        place,
        'this is a capture of Network Monitor',
        'Convert it: editcap FILE NEW.pcapng.',
      );
    throw new InputError(
      place,
      `neither pcap nor pcapng: it begins with ${magic}`,
      'Give a capture of tcpdump or Wireshark; editcap converts other formats.',
    );
  }

  #cutOff(): InputError {
    const place = { source: this.#source, byte: this.#byte + this.#held };
    if (place.byte === 0) return new InputError(place, 'the file is empty', 'Give a pcap or pcapng file.');
    if (!this.#records) {
      return new InputError(place, 'too short for a capture', 'Give a pcap or pcapng file.');
    }
    const what = `the capture is cut off in the middle of what starts at byte ${this.#byte}`;
    return damage(this.#source, place.byte, this.#info.number, what);
  }
}
