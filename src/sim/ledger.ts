/**
 * The books of a run: every packet that a host sends is written down, and what arrives is compared with it.
 *
 * Routers take hops off a packet, so TTL (or hop limit) is compared by how many hops the way has, and everything
 * else byte for byte.
 * @module
 */
import { toHex } from '../base/bytes.ts';
import { transportOk } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';

/** What an arriving packet turned out to be. */
export type Arrival =
  /** The packet that was sent, but for the hops. */
  | 'identical'
  /** Not what was sent, and its own checksum says so: a host drops it. */
  | 'damaged'
  /** Not what was sent, and the receiver could not know. */
  | 'altered';

interface Entry {
  readonly to: string;
  readonly ttl: number;
  readonly hops: number;
  readonly isProtected: boolean;
  sent: number;
  arrived: number;
}

export class Ledger {
  sent = 0;
  /** Of these, between pods of different nodes: to be encrypted. */
  sentProtected = 0;
  arrived = 0;
  /** Packets that were to be encrypted, and arrived identical. */
  arrivedProtected = 0;
  readonly arrivals: Record<Arrival, number> = { identical: 0, damaged: 0, altered: 0 };
  /** Packets that arrived more often than they were sent, though they were encrypted. */
  repeated = 0;
  readonly #entries = new Map<string, Entry>();

  /**
   * Writes down a packet that a host sends.
   * @param hops routers on the way
   * @param isProtected to be encrypted on the way
   */
  send(packet: Uint8Array, to: string, hops: number, isProtected: boolean): void {
    this.sent++;
    if (isProtected) this.sentProtected++;
    const key = keyOf(packet);
    const entry = this.#entries.get(key);
    if (entry) entry.sent++;
    else this.#entries.set(key, { to, ttl: ttlOf(packet), hops, isProtected, sent: 1, arrived: 0 });
  }

  /** Compares a packet that arrived at a host. */
  arrive(packet: Uint8Array, at: string): Arrival {
    this.arrived++;
    const arrival = this.#compare(packet, at);
    this.arrivals[arrival]++;
    return arrival;
  }

  #compare(packet: Uint8Array, at: string): Arrival {
    const entry = this.#entries.get(keyOf(packet));
    const isHeaderOk = packet[0]! >>> 4 === 6 || ipv4.checksumOk(packet);
    if (entry && entry.to === at && isHeaderOk && ttlOf(packet) === entry.ttl - entry.hops) {
      entry.arrived++;
      if (entry.isProtected) this.arrivedProtected++;
      if (entry.isProtected && entry.arrived > entry.sent) this.repeated++;
      return 'identical';
    }
    return isHeaderOk && isTransportOk(packet) ? 'altered' : 'damaged';
  }
}

/** TTL or hop limit. */
export function ttlOf(packet: Uint8Array): number {
  return packet[0]! >>> 4 === 6 ? ipv6.hopLimit(packet) : ipv4.ttl(packet);
}

/** The packet without what routers change. */
function keyOf(packet: Uint8Array): string {
  const copy = packet.slice();
  if (copy[0]! >>> 4 === 6) ipv6.setHopLimit(copy, 0, 0);
  else {
    ipv4.setTtl(copy, 0, 0);
    copy.fill(0, 10, 12);
  }
  return toHex(copy);
}

function isTransportOk(packet: Uint8Array): boolean {
  const isV6 = packet[0]! >>> 4 === 6;
  if (isV6 ? ipv6.check(packet) : ipv4.check(packet)) return false;
  const protocol = isV6 ? ipv6.nextHeader(packet) : ipv4.protocol(packet);
  return transportOk(packet, 0, protocol, isV6 ? ipv6.HEADER_LEN : ipv4.headerLen(packet), packet.length);
}
