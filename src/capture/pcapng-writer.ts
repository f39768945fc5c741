/**
 * Writes pcapng (see `pcapng.ts`), little-endian, times in nanoseconds. The same calls give the same bytes on
 * every machine: nothing about host or clock is written unless the caller says it.
 * @module
 */
import { EsplaneError } from '../base/errors.ts';
import { putU16le, putU32le } from './byte-order.ts';
import type { CaptureInterface, CaptureSection, FrameMeta, FrameSink } from './frame.ts';
import { type Option, optionsLength, putOptions, textOption } from './options.ts';
import { Output, type WriteBytes } from './output.ts';
import * as pcapng from './pcapng.ts';
import { putNanoseconds, TSRESOL_NANOSECONDS } from './time-unit.ts';

const NO_OPTIONS: readonly Option[] = [];

/**
 * A pcapng file. Call {@link flush} at its end.
 *
 * As a sink it writes what a reader gives: `captureReader(name, new PcapngWriter(write))` converts.
 *
 * @example
 * ```ts
 * const file = new PcapngWriter(write);
 * const wire = file.interface({ linkType: 1, snapLength: 0, name: 'eth0' });
 * file.secrets(SECRETS_TYPE_ESP, csv); // before the first frame that needs them
 * file.comment('the first of its SA');
 * file.frame(b, 0, b.length, { seconds, nanoseconds, interfaceId: wire, originalLength: b.length });
 * file.flush();
 * ```
 */
export class PcapngWriter implements FrameSink {
  readonly #out: Output;
  #hasSection = false;
  #interfaces = 0;
  /** Comments on the next frame. */
  #comments: Option[] = [];

  constructor(write: WriteBytes) {
    this.#out = new Output(write);
  }

  /** Starts a section. Without this call the file has one, written by `esplane`. */
  section({ hardware, os, application = 'esplane', comments = [] }: CaptureSection): void {
    const options = [
      ...comments.map((text) => textOption(pcapng.OPT_COMMENT, text)),
      ...textOptions([pcapng.SECTION_HARDWARE, hardware], [pcapng.SECTION_OS, os]),
      textOption(pcapng.SECTION_APPLICATION, application),
    ];
    const at = this.#block(pcapng.BLOCK_SECTION, 16, options);
    const b = this.#out.b;
    putU32le(b, at, pcapng.SECTION_MAGIC);
    putU16le(b, at + 4, pcapng.SECTION_VERSION_MAJOR);
    putU16le(b, at + 6, 0);
    b.fill(0xff, at + 8, at + 16); // section length: not known while it is written
    this.#hasSection = true;
    this.#interfaces = 0;
  }

  /** Describes an interface. Returns its id in this section, for {@link FrameMeta.interfaceId}. */
  interface({
    linkType,
    snapLength,
    name,
    description,
    hardware,
    os,
    comments = [],
  }: CaptureInterface): number {
    this.#start();
    const options = [
      ...comments.map((text) => textOption(pcapng.OPT_COMMENT, text)),
      ...textOptions([pcapng.IF_NAME, name], [pcapng.IF_DESCRIPTION, description]),
      { code: pcapng.IF_TSRESOL, value: Uint8Array.of(TSRESOL_NANOSECONDS) },
      ...textOptions([pcapng.IF_OS, os], [pcapng.IF_HARDWARE, hardware]),
    ];
    const at = this.#block(pcapng.BLOCK_INTERFACE, 8, options);
    putU16le(this.#out.b, at, linkType);
    putU16le(this.#out.b, at + 2, 0);
    putU32le(this.#out.b, at + 4, snapLength);
    return this.#interfaces++;
  }

  /** Keeps a comment for the frame that is written next. */
  comment(text: string): void {
    this.#comments.push(textOption(pcapng.OPT_COMMENT, text));
  }

  /**
   * Writes `b[at..end)` with the comments kept for it. Times outside 1970 to 2554 do not fit; the nearest that
   * does is written, and 1970 for a frame without time.
   * @throws {EsplaneError} `ERR_CAPTURE` no such interface
   */
  frame(b: Uint8Array, at: number, end: number, meta: FrameMeta): void {
    if (meta.interfaceId >= this.#interfaces) {
      throw new EsplaneError('ERR_CAPTURE', `pcapng: interface ${meta.interfaceId} has not been described`);
    }
    const len = end - at;
    const options = this.#comments.length > 0 ? this.#comments : NO_OPTIONS;
    const to = this.#block(pcapng.BLOCK_ENHANCED_PACKET, 20 + pcapng.padded(len), options);
    const out = this.#out.b;
    putU32le(out, to, meta.interfaceId);
    putNanoseconds(out, to + 4, meta.seconds, meta.nanoseconds);
    putU32le(out, to + 12, len);
    putU32le(out, to + 16, meta.originalLength);
    out.set(b.subarray(at, end), to + 20);
    for (let i = to + 20 + len; i < to + 20 + pcapng.padded(len); i++) out[i] = 0;
    if (this.#comments.length > 0) this.#comments = [];
  }

  /** Writes a Decryption Secrets Block: **keys in the file**. It counts for the frames after it. */
  secrets(secretsType: number, data: Uint8Array): void {
    this.#start();
    const at = this.#block(pcapng.BLOCK_SECRETS, 8 + pcapng.padded(data.length), NO_OPTIONS);
    const b = this.#out.b;
    putU32le(b, at, secretsType);
    putU32le(b, at + 4, data.length);
    b.set(data, at + 8);
    b.fill(0, at + 8 + data.length, at + 8 + pcapng.padded(data.length));
  }

  /** Hands everything written so far to the file. */
  flush(): void {
    this.#start(); // even a file without frames is a pcapng file
    this.#out.flush();
  }

  #start(): void {
    if (!this.#hasSection) this.section({});
  }

  /** Writes all of a block but its body. Returns where the body is. */
  #block(type: number, bodyLen: number, options: readonly Option[]): number {
    const len = pcapng.BLOCK_OVERHEAD + bodyLen + optionsLength(options);
    const at = this.#out.reserve(len);
    const b = this.#out.b;
    putU32le(b, at, type);
    putU32le(b, at + 4, len);
    putOptions(b, at + 8 + bodyLen, options);
    putU32le(b, at + len - 4, len);
    return at + 8;
  }
}

function textOptions(...texts: readonly (readonly [code: number, text: string | undefined])[]): Option[] {
  return texts.flatMap(([code, text]) => (text === undefined ? [] : [textOption(code, text)]));
}
