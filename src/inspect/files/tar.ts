/**
 * The files in a tar archive, read as a stream: USTAR, with the long names of PAX (Go, cilium-bugtool) and of GNU tar.
 *
 * Why no library: those that read streams and run in browsers are built on Web Streams, and the best kept one
 * (modern-tar 0.8.6) loses entries that came before a damage, and hangs when an entry is passed over whose bytes it
 * has read ahead. What is needed here is a page.
 * @module
 */
import type { ByteStream } from '../../base/byte-stream.ts';
import { count } from '../../base/count-text.ts';
import { InputError } from '../../base/errors.ts';

const BLOCK = 512;
/** Bytes of the attributes of one entry. */
const MOST_ATTRIBUTES = 1 << 20;
const decoder = new TextDecoder();

export interface TarFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Its bytes. What is not taken when the next file is asked for is passed over. */
  readonly bytes: AsyncGenerator<Uint8Array>;
}

/**
 * Goes through the regular files of an archive. The bytes of one must be taken before the next file is asked for.
 * @param source the archive's name, for errors
 * @throws {InputError} it is damaged or cut off; {@link TarFile.bytes} throws it, too
 */
export async function* tarFiles(input: ByteStream, source: string): AsyncGenerator<TarFile> {
  /** The same one each time it is met: the reader of a file may know it already. */
  let damage: InputError | undefined;
  let whole = 0;
  const damaged = (why: string) => {
    damage ??= new InputError(
      { source },
      `the tar archive is damaged or cut off: ${why}${wholeText(whole)}`,
      'Copy the file again.',
    );
    return damage;
  };
  /** Of the next file. */
  let attributes: Attributes = {};
  for (;;) {
    const block = await input.take(BLOCK);
    if (block.length < BLOCK) throw damaged('its end is missing');
    if (block.every((byte) => byte === 0)) return;
    const header = readHeader(block);
    if (!header) throw damaged('what should be the header of a file is none');
    const { type } = header;
    if (type === 'x' || type === 'L') {
      if (header.size > MOST_ATTRIBUTES) throw damaged('the name of a file is too long');
      const bytes = await input.take(padded(header.size));
      if (bytes.length < header.size) throw damaged('its end is missing');
      const text = decoder.decode(bytes.subarray(0, header.size));
      attributes = {
        ...attributes,
        ...(type === 'x' ? readPax(text) : { path: text.replace(/\0.*$/s, '') }),
      };
      continue;
    }
    const isFile = type === '0' || type === '7' || type === '\0';
    // Links, folders and devices may state a size, and have no bytes.
    const hasBytes = isFile || !/[1-6]/.test(type);
    const { path: name = header.name, size: stated = header.size } = attributes;
    const size = hasBytes ? stated : 0;
    attributes = {};
    let left = size;
    async function* bytes(): AsyncGenerator<Uint8Array> {
      for await (const chunk of input.upTo(left)) {
        left -= chunk.length;
        yield chunk;
      }
      if (left > 0) throw damaged(`${name} is not whole`);
    }
    if (isFile && !name.endsWith('/')) yield { name, size, bytes: bytes() };
    const rest = left + padded(size) - size;
    if ((await input.skip(rest)) < rest) throw damaged(`${name} is not whole`);
    if (isFile) whole++;
  }
}

/** What of a damaged archive is used. @param files before the damage */
export function wholeText(files: number): string {
  return files === 0
    ? ''
    : `; ${count(files, 'file')} before that ${files === 1 ? 'is' : 'are'} whole and used`;
}

interface Attributes {
  readonly path?: string;
  readonly size?: number;
}

/** Bytes up to the next block. */
function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

/** Name, size and type; `undefined` where the checksum is wrong. */
function readHeader(
  block: Uint8Array,
): { readonly name: string; readonly size: number; readonly type: string } | undefined {
  let sum = 0;
  for (const [i, byte] of block.entries()) sum += i >= 148 && i < 156 ? 32 : byte;
  const size = number(block.subarray(124, 136));
  if (number(block.subarray(148, 156)) !== sum || size === undefined) return undefined;
  const name = text(block.subarray(0, 100));
  // GNU tar has something else in the place of the prefix, and a blank in the magic word.
  const prefix = text(block.subarray(257, 263)) === 'ustar' ? text(block.subarray(345, 500)) : '';
  return { name: prefix === '' ? name : `${prefix}/${name}`, size, type: String.fromCharCode(block[156]!) };
}

function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  return decoder.decode(end < 0 ? field : field.subarray(0, end));
}

/** Octal digits, or GNU's binary number, which the first bit marks. */
function number(field: Uint8Array): number | undefined {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    const value = field.reduce((sum, byte, i) => sum * 256 + (i === 0 ? byte & 0x7f : byte), 0);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = text(field).trim();
  return /^[0-7]{0,21}$/.test(digits) ? Number.parseInt(digits || '0', 8) : undefined;
}

/** Records `LENGTH KEY=VALUE`, each with its line end. Lengths are of bytes, but no value that counts here has others. */
function readPax(records: string): Attributes {
  const path = /(?:^|\n)\d{1,7} path=([^\n]*)/.exec(records)?.[1];
  const size = /(?:^|\n)\d{1,7} size=(\d{1,15})\n/.exec(records)?.[1];
  return { ...(path !== undefined && { path }), ...(size !== undefined && { size: Number(size) }) };
}
