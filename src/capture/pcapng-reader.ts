/**
 * Reads pcapng (see `pcapng.ts`): sections in both byte orders, each with its own interfaces.
 *
 * Handed to the sink are frames (enhanced, simple and obsolete packet blocks), their comments, what sections
 * and interfaces say about themselves, and decryption secrets. **Not handed on:** names (Name Resolution
 * Block), statistics, journal entries, blocks of unknown types, and options that are not text, such as a
 * frame's flags and hash.
 *
 * Memory does not grow with the file: interfaces of a section and comments of a block have limits.
 * @module
 */
import { BIG, type ByteOrder, LITTLE } from './byte-order.ts';
import type { FrameInfo, FrameSink } from './frame.ts';
import { OptionCursor } from './options.ts';
import * as pcapng from './pcapng.ts';
import { damage, type LeftOut, MAX_RECORD, type RecordReader } from './record.ts';
import { TimeUnit, TSRESOL_MICROSECONDS } from './time-unit.ts';

/** Interfaces that a section may describe. One takes about 300 bytes, and a merge of thousands of files has fewer. */
export const MAX_INTERFACES = 65_536;
/** Comments of one block that are handed on, … */
export const MAX_COMMENTS = 1000;
/** … and their bytes together. What is beyond is counted. */
export const MAX_COMMENT_BYTES = 1 << 20;

/** What frames need to know of their interface. */
interface Interface {
  readonly linkType: number;
  readonly snapLength: number;
  readonly unit: TimeUnit;
}

export class PcapngReader implements RecordReader {
  readonly #source: string;
  readonly #sink: FrameSink;
  readonly #info: FrameInfo;
  readonly #option = new OptionCursor();
  #order: ByteOrder = LITTLE;
  #interfaces: Interface[] = [];
  /** Comments of the current block, and their bytes. */
  #comments = 0;
  #commentBytes = 0;
  #leftOut = 0;
  #leftOutAt = 0;

  /** @param info the object to hand out with each frame */
  constructor(source: string, sink: FrameSink, info: FrameInfo) {
    this.#source = source;
    this.#sink = sink;
    this.#info = info;
  }

  get leftOut(): LeftOut | undefined {
    return this.#leftOut === 0 ? undefined : { comments: this.#leftOut, byte: this.#leftOutAt };
  }

  record(b: Uint8Array, at: number, end: number, byte: number): number {
    // As many bytes as a section header needs to tell its byte order; no block is shorter.
    if (end - at < pcapng.BLOCK_OVERHEAD) return pcapng.BLOCK_OVERHEAD;
    const type = this.#order.u32(b, at);
    if (type === pcapng.BLOCK_SECTION) this.#order = this.#sectionOrder(b, at, byte);
    const len = this.#order.u32(b, at + 4);
    if (len < pcapng.BLOCK_OVERHEAD || len % 4 !== 0 || len > MAX_RECORD) {
      throw this.#damage(byte, `damaged block: a length of ${len} bytes`);
    }
    if (len > end - at) return len;
    const again = this.#order.u32(b, at + len - 4);
    if (again !== len) {
      throw this.#damage(
        byte,
        `damaged block: its length is ${len} bytes at its start and ${again} at its end`,
      );
    }
    this.#block(type, b, at, len, byte);
    return len;
  }

  #block(type: number, b: Uint8Array, at: number, len: number, byte: number): void {
    switch (type) {
      case pcapng.BLOCK_ENHANCED_PACKET:
      case pcapng.BLOCK_PACKET:
        this.#need(len, 32, 'packet', byte);
        this.#packet(type, b, at, len, byte);
        break;
      case pcapng.BLOCK_SIMPLE_PACKET:
        this.#need(len, 16, 'simple packet', byte);
        this.#simplePacket(b, at, len, byte);
        break;
      case pcapng.BLOCK_SECTION:
        this.#need(len, 28, 'section header', byte);
        this.#section(b, at, len, byte);
        break;
      case pcapng.BLOCK_INTERFACE:
        this.#need(len, 20, 'interface description', byte);
        this.#interface(b, at, len, byte);
        break;
      case pcapng.BLOCK_SECRETS:
        this.#need(len, 20, 'decryption secrets', byte);
        this.#secrets(b, at, len, byte);
        break;
    }
  }

  #packet(type: number, b: Uint8Array, at: number, len: number, byte: number): void {
    const order = this.#order;
    const id = type === pcapng.BLOCK_PACKET ? order.u16(b, at + 8) : order.u32(b, at + 8);
    const on = this.#interfaceOf(id, byte);
    const captured = order.u32(b, at + 20);
    if (captured > len - 32) {
      throw this.#damage(byte, `damaged block: a frame of ${captured} bytes in a block of ${len}`);
    }
    const start = at + 28;
    const end = start + captured;
    this.#startOptions(b, start + pcapng.padded(captured), at + len - 4);
    while (this.#nextOption(byte)) {
      if (this.#option.code === pcapng.OPT_COMMENT && this.#takesComment(byte)) {
        this.#sink.comment?.(this.#option.text());
      }
    }
    on.unit.put(this.#info, order.u32(b, at + 12), order.u32(b, at + 16));
    this.#info.hasTime = true;
    this.#info.originalLength = order.u32(b, at + 24);
    this.#deliver(b, start, end, id, on, byte);
  }

  #simplePacket(b: Uint8Array, at: number, len: number, byte: number): void {
    const on = this.#interfaceOf(0, byte);
    const original = this.#order.u32(b, at + 8);
    // The captured length is not in the block: it follows from the snap length, and from the room there is.
    const captured = Math.min(original, on.snapLength || original, len - 16);
    this.#info.seconds = 0;
    this.#info.nanoseconds = 0;
    this.#info.hasTime = false;
    this.#info.originalLength = original;
    this.#deliver(b, at + 12, at + 12 + captured, 0, on, byte);
  }

  #deliver(b: Uint8Array, at: number, end: number, id: number, on: Interface, byte: number): void {
    const info = this.#info;
    info.linkType = on.linkType;
    info.interfaceId = id;
    info.byte = byte;
    info.number++;
    this.#sink.frame(b, at, end, info);
  }

  #section(b: Uint8Array, at: number, len: number, byte: number): void {
    const major = this.#order.u16(b, at + 12);
    if (major !== pcapng.SECTION_VERSION_MAJOR) {
      const known = pcapng.SECTION_VERSION_MAJOR;
      throw this.#damage(byte + 12, `pcapng of version ${major}, only ${known} is known`);
    }
    this.#interfaces = [];
    const comments: string[] = [];
    let hardware: string | undefined;
    let os: string | undefined;
    let application: string | undefined;
    this.#startOptions(b, at + 24, at + len - 4);
    while (this.#nextOption(byte)) {
      if (this.#option.code === pcapng.OPT_COMMENT) {
        if (this.#takesComment(byte)) comments.push(this.#option.text());
      } else if (this.#option.code === pcapng.SECTION_HARDWARE) hardware = this.#option.text();
      else if (this.#option.code === pcapng.SECTION_OS) os = this.#option.text();
      else if (this.#option.code === pcapng.SECTION_APPLICATION) application = this.#option.text();
    }
    this.#sink.section?.({ hardware, os, application, comments });
  }

  #interface(b: Uint8Array, at: number, len: number, byte: number): void {
    if (this.#interfaces.length === MAX_INTERFACES) {
      throw this.#damage(byte, 'more than 65,536 interfaces in one section');
    }
    const linkType = this.#order.u16(b, at + 8);
    const snapLength = this.#order.u32(b, at + 12);
    let tsresol = TSRESOL_MICROSECONDS;
    let offset = 0;
    const comments: string[] = [];
    let name: string | undefined;
    let description: string | undefined;
    let hardware: string | undefined;
    let os: string | undefined;
    const option = this.#option;
    this.#startOptions(b, at + 16, at + len - 4);
    while (this.#nextOption(byte)) {
      if (option.code === pcapng.OPT_COMMENT) {
        if (this.#takesComment(byte)) comments.push(option.text());
      } else if (option.code === pcapng.IF_NAME) name = option.text();
      else if (option.code === pcapng.IF_DESCRIPTION) description = option.text();
      else if (option.code === pcapng.IF_HARDWARE) hardware = option.text();
      else if (option.code === pcapng.IF_OS) os = option.text();
      else if (option.code === pcapng.IF_TSRESOL) {
        this.#needValue('if_tsresol', 1, byte);
        tsresol = b[option.at]!;
      } else if (option.code === pcapng.IF_TSOFFSET) {
        this.#needValue('if_tsoffset', 8, byte);
        offset = this.#order.i64(b, option.at);
      }
    }
    this.#interfaces.push({ linkType, snapLength, unit: new TimeUnit(tsresol, offset) });
    this.#sink.interface?.({ linkType, snapLength, name, description, hardware, os, comments });
  }

  #secrets(b: Uint8Array, at: number, len: number, byte: number): void {
    const size = this.#order.u32(b, at + 12);
    if (size > len - 20) {
      throw this.#damage(byte, `damaged block: secrets of ${size} bytes in a block of ${len}`);
    }
    // A copy even where `b` is a Buffer, whose `slice` would be a view.
    const data = new Uint8Array(b.subarray(at + 16, at + 16 + size));
    this.#sink.secrets?.(this.#order.u32(b, at + 8), data);
  }

  #sectionOrder(b: Uint8Array, at: number, byte: number): ByteOrder {
    for (const order of [LITTLE, BIG]) if (order.u32(b, at + 8) === pcapng.SECTION_MAGIC) return order;
    throw this.#damage(byte + 8, 'damaged block: a section without byte order magic');
  }

  #interfaceOf(id: number, byte: number): Interface {
    const found = this.#interfaces[id];
    if (found) return found;
    const have = this.#interfaces.length;
    throw this.#damage(byte, `damaged block: a frame of interface ${id}, where ${have} have been described`);
  }

  #startOptions(b: Uint8Array, at: number, limit: number): void {
    this.#option.start(b, at, limit, this.#order);
    this.#comments = 0;
    this.#commentBytes = 0;
  }

  /** Is the current option, a comment, within the limits of its block? Counts it if not. */
  #takesComment(byte: number): boolean {
    this.#comments++;
    this.#commentBytes += this.#option.end - this.#option.at;
    if (this.#comments <= MAX_COMMENTS && this.#commentBytes <= MAX_COMMENT_BYTES) return true;
    if (this.#leftOut === 0) this.#leftOutAt = byte;
    this.#leftOut++;
    return false;
  }

  #nextOption(byte: number): boolean {
    if (this.#option.next()) return true;
    if (this.#option.overrun) {
      throw this.#damage(byte, `damaged block: option ${this.#option.code} runs past the end`);
    }
    return false;
  }

  #need(len: number, need: number, what: string, byte: number): void {
    if (len < need) throw this.#damage(byte, `damaged block: ${what} of ${len} bytes, ${need} is the least`);
  }

  #needValue(name: string, need: number, byte: number): void {
    const have = this.#option.end - this.#option.at;
    if (have !== need)
      throw this.#damage(byte, `damaged block: ${name} has ${have} bytes, ${need} are right`);
  }

  #damage(byte: number, problem: string): Error {
    return damage(this.#source, byte, this.#info.number, problem);
  }
}
