/**
 * What `native/src/tun.cc` exports: TUN devices, with super-packets split on the way in and merged on the way out.
 * @module
 */
export interface TunFunctions {
  /**
   * Makes or opens a device.
   * @param name at most 15 bytes; may hold `%d`; empty lets the kernel choose
   * @param flags 1 for virtio headers, 2 for several queues
   * @param nameOut 16 bytes: the name it got, ended by a zero
   */
  tunOpen(name: string, flags: number, nameOut: Uint8Array): number;
  /** Leaves checksums and TCP segmentation to us; with `uso` 1 UDP segmentation too. */
  tunOffload(fd: number, uso: number): number;
  /**
   * Reads into an empty batch until nothing waits or it is well filled.
   * @returns packets, or `-errno`; `-EMSGSIZE` when the next one is longer than a slot: it waits for a batch with longer ones
   * @param scratch of {@link TUN_SCRATCH} bytes, zero at first: what did not fit waits there. Its third 32-bit
   *   word is how many packets made no sense in this call, its fourth the bytes read
   * @param vnet not 0 when the device was opened with virtio headers
   */
  tunRead(
    fd: number,
    slab: Uint8Array,
    tables: Uint8Array,
    headroom: number,
    tailroom: number,
    scratch: Uint8Array,
    vnet: number,
  ): number;
  /**
   * Writes the packets of a batch whose {@link Batch.next} is `next`, TCP segments merged.
   * @param vnet 1 when the device was opened with virtio headers; 2 when it takes UDP datagrams in one piece, too
   * @param result 20 bytes, 32-bit words: packets written, met a full queue, failed, last errno, bytes written
   */
  tunWrite(
    fd: number,
    slab: Uint8Array,
    tables: Uint8Array,
    count: number,
    next: number,
    vnet: number,
    result: Uint8Array,
  ): number;
  /** What `tunRead` does with one packet, for tests: `header` is its virtio header, `from` payload already split. */
  tunSplit(
    header: Uint8Array,
    packet: Uint8Array,
    slab: Uint8Array,
    tables: Uint8Array,
    headroom: number,
    from: number,
  ): number;
  /**
   * The Internet checksum's sum over `bytes`, not complemented, as `tunRead` and `tunWrite` take it, for tests.
   * @param to where they are copied on the way; of the same length, or empty
   * @param plain 1 for the loop that runs on any CPU, 0 for the quickest that runs here
   */
  tunSum(bytes: Uint8Array, to: Uint8Array, plain: number): number;
}

/** The largest super-packet, its virtio header, and what the reader remembers. */
export const TUN_SCRATCH = 64 + 10 + 0x1_0000 + 256;
