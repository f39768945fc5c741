/**
 * A small file that unpacks to a large one.
 * @module
 */
/** A frame of zstd that repeats one byte, in blocks of 128 KiB. */
export function zstdBomb(blocks: number): Uint8Array {
  const frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
  for (let i = 0; i < blocks; i++) {
    const word = (0x20000 << 3) | 2 | (i === blocks - 1 ? 1 : 0);
    frame.push(word & 255, (word >> 8) & 255, word >> 16, 0x41);
  }
  return Uint8Array.from(frame);
}
