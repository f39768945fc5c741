/**
 * gzip and zstd, unpacked as a stream: captures come packed, and archives with many texts do.
 *
 * gzip is not left to the platform: browsers, and Node from 24 on, end at the first member of several, and `cat a.gz b.gz`,
 * bgzip and pigz write several. No platform has zstd in Node 20 and in browsers; its frames are taken apart here, so that a
 * library unpacks one block at a time, and no frame claims more memory than the `zstd` command would give it. The checksum
 * of zstd, which files seldom have, is not looked at.
 * @module
 */
import { Decompress } from 'fzstd';
import {
  Z_BUF_ERROR,
  Z_NO_FLUSH,
  Z_OK,
  Z_STREAM_END,
  ZStream,
  zlibInflate,
  zlibInflateInit2,
  zlibInflateReset,
} from 'pako';
import { ByteStream, joined } from '../base/byte-stream.ts';
import { toHex } from '../base/bytes.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import { type Compression, ZSTD_MAGIC } from './compression.ts';

/** Largest window of a zstd frame, in bytes: that of `zstd -d` without `--long`. */
const MAX_WINDOW = 128 << 20;
/** Bytes of a chunk that comes out of gzip. */
const MOST_AT_ONCE = 64 << 10;
/** zlib's windowBits: a window of 32 KiB, and 16 for gzip's header and no other. */
const GZIP_ONLY = 15 + 16;
/** Frames that hold no data, by the last 28 bits of their first word. */
const SKIPPABLE = /^5.2a4d18$/;

/**
 * Unpacks a file. What comes before a damage is handed out before the error is thrown. An error of `packed` passes.
 * @param source the file's name, for errors
 * @throws {InputError} it is damaged or cut off, or takes too much memory
 */
export async function* decompress(
  packed: AsyncIterable<Uint8Array>,
  compression: Compression,
  source: string,
): AsyncGenerator<Uint8Array> {
  try {
    yield* compression === 'gzip' ? gunzip(packed, source) : unzstd(packed, source);
  } catch (error) {
    if (error instanceof EsplaneError) throw error;
    throw damaged(compression, source, error);
  }
}

function damaged(compression: Compression, source: string, cause?: unknown): InputError {
  return new InputError(
    { source },
    `the ${compression} data is damaged or cut off`,
    'Copy the file again, or unpack it yourself.',
    cause === undefined ? {} : { cause },
  );
}

/** RFC 1952: members one after another, each with its checksum and length, which the library compares. */
async function* gunzip(packed: AsyncIterable<Uint8Array>, source: string): AsyncGenerator<Uint8Array> {
  const stream = new ZStream();
  zlibInflateInit2(stream, GZIP_ONLY);
  const output = new Uint8Array(MOST_AT_ONCE);
  let status: number = Z_OK;
  for await (const chunk of packed) {
    stream.input = chunk;
    stream.next_in = 0;
    stream.avail_in = chunk.length;
    // A full output may be followed by more without further input.
    for (let isFull = false; stream.avail_in > 0 || isFull; ) {
      if (status === Z_STREAM_END) {
        // Zeros fill the last block of a tape.
        if (stream.input[stream.next_in] === 0) {
          stream.next_in++;
          stream.avail_in--;
          continue;
        }
        zlibInflateReset(stream);
      }
      stream.output = output;
      stream.next_out = 0;
      stream.avail_out = output.length;
      status = zlibInflate(stream, Z_NO_FLUSH);
      if (stream.next_out > 0) yield output.subarray(0, stream.next_out);
      if (status !== Z_OK && status !== Z_STREAM_END && status !== Z_BUF_ERROR) throw damaged('gzip', source);
      isFull = stream.avail_out === 0 && status !== Z_STREAM_END;
    }
  }
  if (status !== Z_STREAM_END) throw damaged('gzip', source);
}

/** RFC 8878: frames, each with a header, blocks, and perhaps a checksum. */
async function* unzstd(packed: AsyncIterable<Uint8Array>, source: string): AsyncGenerator<Uint8Array> {
  const input = new ByteStream(packed);
  const take = async (length: number): Promise<Uint8Array> => {
    const bytes = await input.take(length);
    if (bytes.length < length) throw damaged('zstd', source);
    return bytes;
  };
  try {
    while ((await input.head(1)).length > 0) {
      const magic = await take(4);
      if (SKIPPABLE.test(toHex(magic))) {
        const size = littleEndian(await take(4));
        if ((await input.skip(size)) < size) throw damaged('zstd', source);
      } else if (toHex(magic) === ZSTD_MAGIC) yield* frame(magic, take, source);
      else throw damaged('zstd', source);
    }
  } finally {
    // The reader stopped early.
    await input.close();
  }
}

/** Takes so many bytes. */
type Take = (length: number) => Promise<Uint8Array>;

async function* frame(magic: Uint8Array, take: Take, source: string): AsyncGenerator<Uint8Array> {
  const { bytes, window, hasChecksum } = await readHeader(take);
  if (window > MAX_WINDOW) {
    throw new InputError(
      { source },
      'unpacking this zstd data takes more than 128 MiB of memory',
      'Unpack it yourself: zstd -d --long=31.',
    );
  }
  const output: Uint8Array[] = [];
  const decoder = new Decompress((chunk) => void output.push(chunk));
  decoder.push(joined([magic, bytes]), false);
  for (let isLast = false; !isLast; ) {
    const head = await take(3);
    const word = littleEndian(head);
    isLast = (word & 1) === 1;
    // A block that repeats one byte says how often.
    const body = await take(((word >> 1) & 3) === 1 ? 1 : word >> 3);
    const checksum = await take(isLast && hasChecksum ? 4 : 0);
    decoder.push(joined([head, body, checksum]), isLast);
    for (const chunk of output.splice(0)) if (chunk.length > 0) yield chunk;
  }
}

/** Bytes of a frame's header behind the magic number, and what they say. */
async function readHeader(
  take: Take,
): Promise<{ readonly bytes: Uint8Array; readonly window: number; readonly hasChecksum: boolean }> {
  const descriptor = await take(1);
  const flags = descriptor[0]!;
  const isSingle = (flags & 0x20) !== 0;
  const windowByte = await take(isSingle ? 0 : 1);
  const dictionary = await take([0, 1, 2, 4][flags & 3]!);
  const size = await take([isSingle ? 1 : 0, 2, 4, 8][flags >> 6]!);
  const exponent = windowByte[0] ?? 0;
  const base = 2 ** (10 + (exponent >> 3));
  return {
    bytes: joined([descriptor, windowByte, dictionary, size]),
    // A frame of a single segment is its own window.
    window: isSingle ? littleEndian(size) : base + (base / 8) * (exponent & 7),
    hasChecksum: (flags & 4) !== 0,
  };
}

function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}
