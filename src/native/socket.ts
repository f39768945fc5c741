/**
 * What `native/src/{socket,udp,raw}.cc` export: the sockets of the outside links.
 *
 * `result` of a send is {@link SENT_WORDS} 32-bit words: packets given to the kernel, bytes of them, too big, met a
 * full queue (not taken), refused for good, last errno.
 * @module
 */
export interface SocketFunctions {
  /**
   * @param address 4 or 16 bytes
   * @param gro 1 lets the kernel merge datagrams on receipt
   * @param noDf 0 sets IPv4's DF on what fits
   */
  udpOpen(address: Uint8Array, port: number, mark: number, gro: number, noDf: number): number;
  udpSend(
    fd: number,
    slab: Uint8Array,
    tables: Uint8Array,
    count: number,
    next: number,
    port: number,
    mtu: number,
    segment: number,
    result: Uint8Array,
  ): number;
  /**
   * @param scratch {@link UDP_SCRATCH} bytes, zero at first; its words 4 and 5 are datagrams ignored, and bytes read
   * @param all 0 ignores keepalives and IKE
   */
  udpReceive(
    fd: number,
    slab: Uint8Array,
    tables: Uint8Array,
    headroom: number,
    address: Uint8Array,
    port: number,
    scratch: Uint8Array,
    all: number,
  ): number;
  rawOpen(address: Uint8Array, mark: number, headerIncluded: number): number;
  rawSend(
    fd: number,
    slab: Uint8Array,
    tables: Uint8Array,
    count: number,
    next: number,
    mtu: number,
    headerIncluded: number,
    result: Uint8Array,
  ): number;
  /** @param state {@link RAW_STATE} bytes, zero at first; its words 1 and 2 are packets ignored, and bytes read */
  rawReceive(
    fd: number,
    slab: Uint8Array,
    tables: Uint8Array,
    headroom: number,
    address: Uint8Array,
    coalesceMicros: number,
    state: Uint8Array,
  ): number;
}

export const SENT_WORDS = 6;
/** What the receiver remembers, and twice the largest run of datagrams. */
export const UDP_SCRATCH = 64 + 2 * 0x1_0000;
export const RAW_STATE = 12;
