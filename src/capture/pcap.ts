/**
 * The pcap format (draft-ietf-opsawg-pcap): what its reader and its writer share.
 *
 * ```text
 * file header, 24 bytes                      then, for each frame, 16 bytes and the frame
 * +-------------------------------+          +-------------------------------+
 * | Magic: byte order, resolution |  0       | Seconds since 1970            |  0
 * +---------------+---------------+          +-------------------------------+
 * | Major: 2      | Minor: 4      |  4       | Micro- or nanoseconds         |  4
 * +---------------+---------------+          +-------------------------------+
 * | 0 (was: time zone)            |  8       | Captured length               |  8
 * +-------------------------------+          +-------------------------------+
 * | 0 (was: accuracy)             | 12       | Length on the wire            | 12
 * +-------------------------------+          +-------------------------------+
 * | Snap length                   | 16       | Frame                         | 16
 * +-------+-------+---------------+          | …                             |
 * | FCS,0 | 0     | Link type     | 20       +-------------------------------+
 * +-------+-------+---------------+
 * ```
 *
 * The modified form of Alexey Kuznetzov's patches to libpcap has another magic, microseconds, and eight more bytes in front of each
 * frame: interface, protocol and packet type.
 * @module
 */

export const MAGIC_MICROSECONDS = 0xa1b2_c3d4;
export const MAGIC_NANOSECONDS = 0xa1b2_3c4d;
export const MAGIC_MODIFIED = 0xa1b2_cd34;
export const VERSION_MAJOR = 2;
export const VERSION_MINOR = 4;
export const FILE_HEADER_LEN = 24;
export const RECORD_HEADER_LEN = 16;
export const MODIFIED_RECORD_HEADER_LEN = 24;
/** Largest snap length that libpcap writes for Ethernet; files with a smaller one may still hold such frames. */
export const MAX_SNAP_LENGTH = 262_144;
