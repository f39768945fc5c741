/**
 * What `native/src/packet.cc` exports: AF_PACKET with a ring.
 * @module
 */
/** Sockets and ring of one link, in the addon. */
export interface RingHandle {
  readonly ring: unique symbol;
}

export interface PacketFunctions {
  /** @returns a ring, or `-errno` */
  packetOpen(device: string, address: Uint8Array, mark: number): RingHandle | number;
  packetFd(ring: RingHandle): number;
  packetClose(ring: RingHandle): number;
  /** @param mac 6 bytes */
  packetNeighbour(ring: RingHandle, address: Uint8Array, mac: Uint8Array): number;
  /** Lets the kernel ask who has an address. */
  packetProvoke(address: Uint8Array): number;
  /**
   * @param result as in `native/socket.ts`
   * @param unknown 17 bytes: 1 and an address when a next hop is not known, or was learnt long ago
   */
  packetSend(
    ring: RingHandle,
    slab: Uint8Array,
    tables: Uint8Array,
    count: number,
    mtu: number,
    result: Uint8Array,
    unknown: Uint8Array,
  ): number;
  /** @param state 8 bytes, two 32-bit words: packets ignored, bytes read */
  packetReceive(
    ring: RingHandle,
    slab: Uint8Array,
    tables: Uint8Array,
    headroom: number,
    state: Uint8Array,
  ): number;
}
