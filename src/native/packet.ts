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
  /** Readable when the kernel has news of next hops: {@link packetReceive} takes them. */
  packetEvents(ring: RingHandle): number;
  packetClose(ring: RingHandle): number;
  /** @param result as in `native/socket.ts`; packets whose next hop does not answer count as failed */
  packetSend(
    ring: RingHandle,
    slab: Uint8Array,
    tables: Uint8Array,
    count: number,
    next: number,
    mtu: number,
    result: Uint8Array,
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
