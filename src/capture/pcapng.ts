/**
 * The pcapng format (draft-ietf-opsawg-pcapng): what its reader and its writer share.
 *
 * A file is blocks; a block is options at its end, in the byte order of its section.
 *
 * ```text
 *  block                                      option
 * +-------------------------------+          +---------------+---------------+
 * | Type                          |  0       | Code          | Length        |
 * +-------------------------------+          +---------------+---------------+
 * | Total length, a multiple of 4 |  4       | Value, padded to 32 bits      |
 * +-------------------------------+          | …                             |
 * | Body, then options            |  8       +---------------+---------------+
 * | …                             |          | 0: the end    | 0             |
 * +-------------------------------+          +---------------+---------------+
 * | Total length again            |
 * +-------------------------------+
 * ```
 *
 * Bodies, each offset from the start of the block:
 *
 * ```text
 * section header         8 magic, 12 major, 14 minor, 16 section length (64 bits), 24 options
 * interface description  8 link type, 10 zero, 12 snap length, 16 options
 * enhanced packet        8 interface, 12 ticks high, 16 ticks low, 20 captured, 24 on the wire, 28 frame, options
 * packet (obsolete)      the same, but 8 interface (16 bits), 10 drops (16 bits)
 * simple packet          8 on the wire, 12 frame
 * decryption secrets     8 type of secrets, 12 length, 16 secrets, options
 * ```
 * @module
 */

/** Reads the same in both byte orders, so a section can be found before its order is known. */
export const BLOCK_SECTION = 0x0a0d_0d0a;
export const BLOCK_INTERFACE = 1;
/** Obsolete: written by old programs only. */
export const BLOCK_PACKET = 2;
export const BLOCK_SIMPLE_PACKET = 3;
export const BLOCK_ENHANCED_PACKET = 6;
export const BLOCK_SECRETS = 10;

/** Type and length before, length behind. */
export const BLOCK_OVERHEAD = 12;

/** Byte order magic of a section. */
export const SECTION_MAGIC = 0x1a2b_3c4d;
export const SECTION_VERSION_MAJOR = 1;

/** Option code: the end of a list of options, which may be left out. */
export const OPT_END = 0;
export const OPT_COMMENT = 1;
export const SECTION_HARDWARE = 2;
export const SECTION_OS = 3;
export const SECTION_APPLICATION = 4;
export const IF_NAME = 2;
export const IF_DESCRIPTION = 3;
export const IF_TSRESOL = 9;
export const IF_OS = 12;
export const IF_TSOFFSET = 14;
export const IF_HARDWARE = 15;

/** "ESPS": the secrets are Wireshark's esp_sa table as CSV. */
export const SECRETS_TYPE_ESP = 0x4553_5053;

/** `len` and its padding to 32 bits. For lengths below 2^31. */
export function padded(len: number): number {
  return (len + 3) & ~3;
}
