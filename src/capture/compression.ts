/**
 * Whether a file is packed, and what is in it. What unpacks it is handed in: a program that starts often loads it only
 * for a file that is packed.
 * @module
 */
import { ByteStream } from '../base/byte-stream.ts';
import { toHex } from '../base/bytes.ts';

export type Compression = 'gzip' | 'zstd';

/** `decompress` of `decompress.ts`. */
export type Decompress = (
  packed: AsyncIterable<Uint8Array>,
  compression: Compression,
  source: string,
) => AsyncGenerator<Uint8Array>;

/** The first bytes of a zstd frame that holds data (RFC 8878 §3.1.1), in hexadecimal. */
export const ZSTD_MAGIC = '28b52ffd';

/** What a file is packed in, by its first bytes. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const magic = toHex(head, 0, Math.min(4, head.length));
  if (magic.startsWith('1f8b')) return 'gzip';
  return magic === ZSTD_MAGIC ? 'zstd' : undefined;
}

/** Bytes that {@link compressionOf} needs. */
const HEAD = 4;

/**
 * What a file holds: unpacked where its first bytes say that it is packed, else as it is. Chunks of `bytes` may be
 * overwritten when the next one is asked for, and so may those that come out.
 * @param source the file's name, for errors
 * @throws {InputError} it is damaged or cut off, or takes too much memory
 */
export async function* unpacked(
  bytes: AsyncIterable<Uint8Array>,
  source: string,
  load: () => Decompress | Promise<Decompress>,
): AsyncGenerator<Uint8Array> {
  const stream = new ByteStream(bytes);
  try {
    const compression = compressionOf(await stream.head(HEAD));
    if (compression === undefined) yield* stream.all();
    else yield* (await load())(stream.all(), compression, source);
  } finally {
    await stream.close();
  }
}
