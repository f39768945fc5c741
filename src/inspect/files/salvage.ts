/**
 * Of a zip without its directory, as it is left when a copy broke off: a directory made of the headers that lie before
 * each entry, so that the entries that are whole are read as those of any zip.
 *
 * Programs that write a zip as it goes (Go's archive/zip, so cilium-cli) state the size of an entry behind it. Such an end is
 * taken for one where the size that it states is the distance to it. Entries of 4 GiB and more end the search.
 * @module
 */
import { joined } from '../../base/byte-stream.ts';
import type { FileBytes } from './walk.ts';

/** Bytes of a header before an entry, of its row in a directory, and of a directory's end, all without names. */
const LOCAL = 30;
const CENTRAL = 46;
const END_64 = 56;
const LOCATOR = 20;
const END = 22;
const DESCRIPTOR = 16;
/** Their signatures, little-endian. */
const LOCAL_SIGNATURE = 0x0403_4b50;
const CENTRAL_SIGNATURE = 0x0201_4b50;
const END_64_SIGNATURE = 0x0606_4b50;
const LOCATOR_SIGNATURE = 0x0706_4b50;
const END_SIGNATURE = 0x0605_4b50;
const DESCRIPTOR_SIGNATURE = 0x0807_4b50;
/** A flag: sizes are behind the entry. */
const STREAMED = 8;
/** In the place of a size or offset: it is in an extension. */
const ELSEWHERE = 0xffff_ffff;
/** The extension of a row that has its offset, and its length. */
const EXTENSION = 0x0001;
const EXTENSION_LENGTH = 12;
/** Bytes that are looked through at once. */
const CHUNK = 256 << 10;

const decoder = new TextDecoder();

export interface Salvaged {
  /** The zip up to its last whole entry, with a directory. */
  readonly file: FileBytes;
  readonly entries: number;
  /** The name of the entry that is not whole, where that is told. */
  readonly next?: string;
}

/**
 * Makes a directory.
 * @param most bytes of the directory
 * @returns `undefined` where no entry is whole
 * @throws {InputError} the file cannot be read
 */
export async function salvage(file: FileBytes, most: number): Promise<Salvaged | undefined> {
  const rows: Uint8Array[] = [];
  let length = 0;
  let at = 0;
  let next: string | undefined;
  while (length < most) {
    next = undefined;
    const local = await file.read(at, LOCAL);
    if (local.length < LOCAL || word(local, 0) !== LOCAL_SIGNATURE) break;
    const name = await file.read(at + LOCAL, half(local, 26));
    if (name.length < half(local, 26)) break;
    next = decoder.decode(name);
    const dataAt = at + LOCAL + name.length + half(local, 28);
    const sizes = await sizesOf(file, local, dataAt);
    if (!sizes || sizes.end > file.size) break;
    rows.push(rowOf(local, name, sizes.crcAndSizes, at));
    length += rows.at(-1)!.length;
    at = sizes.end;
  }
  const entries = rows.length;
  if (entries === 0) return undefined;
  const directory = joined([...rows, endOf(entries, at, length)]);
  return { file: withDirectory(file, at, directory), entries, ...(next !== undefined && { next }) };
}

/** A row of the directory. */
function rowOf(local: Uint8Array, name: Uint8Array, crcAndSizes: Uint8Array, at: number): Uint8Array {
  const row = new Uint8Array(CENTRAL + name.length + EXTENSION_LENGTH);
  const view = new DataView(row.buffer);
  view.setUint32(0, CENTRAL_SIGNATURE, true);
  // From the version that is needed to the date, both have the same.
  row.set(local.subarray(4, 14), 6);
  row.set(crcAndSizes, 16);
  view.setUint16(28, name.length, true);
  view.setUint16(30, EXTENSION_LENGTH, true);
  view.setUint32(42, ELSEWHERE, true);
  row.set(name, CENTRAL);
  view.setUint16(CENTRAL + name.length, EXTENSION, true);
  view.setUint16(CENTRAL + name.length + 2, 8, true);
  view.setBigUint64(CENTRAL + name.length + 4, BigInt(at), true);
  return row;
}

/** What comes behind the rows, with 64 bits for everything: how many they are, where they are, and where this is. */
function endOf(entries: number, at: number, length: number): Uint8Array {
  const end = new DataView(new ArrayBuffer(END_64 + LOCATOR + END));
  end.setUint32(0, END_64_SIGNATURE, true);
  end.setBigUint64(32, BigInt(entries), true);
  end.setBigUint64(40, BigInt(length), true);
  end.setBigUint64(48, BigInt(at), true);
  end.setUint32(END_64, LOCATOR_SIGNATURE, true);
  end.setBigUint64(END_64 + 8, BigInt(at + length), true);
  end.setUint32(END_64 + LOCATOR, END_SIGNATURE, true);
  end.setUint16(END_64 + LOCATOR + 10, 0xffff, true);
  end.setUint32(END_64 + LOCATOR + 16, ELSEWHERE, true);
  return new Uint8Array(end.buffer);
}

/** Where an entry ends, and the three words on it that a header or what follows the entry has; `undefined` where that is not told. */
async function sizesOf(
  file: FileBytes,
  local: Uint8Array,
  dataAt: number,
): Promise<{ readonly end: number; readonly crcAndSizes: Uint8Array } | undefined> {
  const packed = word(local, 18);
  if ((half(local, 6) & STREAMED) === 0)
    return packed === ELSEWHERE ? undefined : { end: dataAt + packed, crcAndSizes: local.subarray(14, 26) };
  for (let from = dataAt; from + DESCRIPTOR <= file.size; ) {
    const chunk = await file.read(from, CHUNK + DESCRIPTOR);
    const last = chunk.length - DESCRIPTOR;
    if (last < 0) return undefined;
    for (let i = chunk.indexOf(FIRST); i >= 0 && i <= last; i = chunk.indexOf(FIRST, i + 1)) {
      if (word(chunk, i) !== DESCRIPTOR_SIGNATURE || word(chunk, i + 8) !== from + i - dataAt) continue;
      return { end: from + i + DESCRIPTOR, crcAndSizes: chunk.slice(i + 4, i + DESCRIPTOR) };
    }
    from += last + 1;
  }
  return undefined;
}

/** The first byte of all signatures. */
const FIRST = 0x50;

/** A file up to a place, and a directory behind it. */
function withDirectory(file: FileBytes, end: number, directory: Uint8Array): FileBytes {
  return {
    name: file.name,
    size: end + directory.length,
    read: async (at, length) => {
      const before = at < end ? await file.read(at, Math.min(length, end - at)) : new Uint8Array(0);
      const from = Math.max(0, at - end);
      const behind = directory.subarray(from, Math.max(from, at + length - end));
      return behind.length === 0 ? before : joined([before, behind]);
    },
  };
}

function half(b: Uint8Array, at: number): number {
  return b[at]! | (b[at + 1]! << 8);
}

function word(b: Uint8Array, at: number): number {
  return (half(b, at) | (half(b, at + 2) << 16)) >>> 0;
}
