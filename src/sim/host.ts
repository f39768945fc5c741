/**
 * A host at the end of a link, a pod or a server: it sends, keeps the books of what it sent and got, and answers as
 * systems do: pings, UDP to the echo port (RFC 862), and TCP conversations it was told of.
 * @module
 */
import type { Clock } from '../base/clock.ts';
import type { Link } from '../link/link.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { Batch } from '../wire/packet.ts';
import * as udp from '../wire/udp.ts';
import type { Arrival, Ledger } from './ledger.ts';
import { type TcpEnd, upperAt } from './tcp-end.ts';
import { udpPacket } from './traffic.ts';

/** RFC 862. */
export const PORT_ECHO = 7;
/** How long TCP waits for an acknowledgement, ms. */
const RESEND_AFTER = 300;
/** Then it gives up. */
const MOST_RESENDS = 12;

export interface HostOptions {
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly link: Link;
  readonly clock: Clock;
  readonly ledger: Ledger;
  /** Where a destination is: its host, how many routers away, and whether the way is encrypted. */
  readonly way: (
    from: string,
    dst: string,
  ) => { readonly to: string; readonly hops: number; readonly isProtected: boolean };
}

export class Host {
  readonly name: string;
  readonly addresses: readonly Address[];
  /** While it is off it sends nothing. */
  isOn = true;
  /** Packets that the link did not take. */
  refused = 0;
  /** Sees everything that arrives, after it was compared. */
  onArrival: ((packet: Uint8Array, arrival: Arrival) => void) | undefined;
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  readonly #way: HostOptions['way'];
  #conversations: TcpEnd[] = [];

  constructor({ name, addresses, link, clock, ledger, way }: HostOptions) {
    this.name = name;
    this.addresses = addresses;
    this.#link = link;
    this.#clock = clock;
    this.#ledger = ledger;
    this.#way = way;
    link.receive((batch) => {
      for (let i = 0; i < batch.count; i++) this.#take(batch.copy(i));
    });
  }

  /** The longest packet that its link takes, in bytes. */
  get mtu(): number {
    return this.#link.mtu;
  }

  /** Its address in a family. */
  address(family: 4 | 6): Address {
    const address = this.addresses.find(({ length }) => length === (family === 4 ? 4 : 16));
    if (!address) throw new RangeError(`host ${this.name} has no IPv${family} address`);
    return address;
  }

  /** It is gone, and what it was in the middle of is forgotten. */
  stop(): void {
    this.isOn = false;
    this.#conversations = [];
  }

  /** Sends whole IP packets, in one batch. */
  send(...packets: readonly Uint8Array[]): void {
    if (packets.length === 0 || !this.isOn) return;
    const longest = packets.reduce((most, { length }) => Math.max(most, length), 0);
    const batch = new Batch({ capacity: packets.length, maxPacket: longest });
    for (const packet of packets) {
      const { to, hops, isProtected } = this.#way(this.name, destination(packet));
      this.#ledger.send(packet, to, hops, isProtected);
      batch.push(packet);
    }
    this.refused += packets.length - this.#link.send(batch);
  }

  /** Takes part in a TCP conversation, which the client's end opens. */
  join(end: TcpEnd, opens: boolean): void {
    const conversations = this.#conversations;
    conversations.push(end);
    if (opens) this.send(...end.open());
    this.#watch(end, 0, conversations);
  }

  #take(packet: Uint8Array): void {
    const arrival = this.#ledger.arrive(packet, this.name);
    this.onArrival?.(packet, arrival);
    if (arrival === 'identical') this.send(...this.#answer(packet));
  }

  #answer(packet: Uint8Array): Uint8Array[] {
    const isV6 = packet[0]! >>> 4 === 6;
    const [srcAt, len] = isV6 ? [ipv6.SRC_AT, ipv6.ADDRESS_LEN] : [ipv4.SRC_AT, ipv4.ADDRESS_LEN];
    const from = packet.slice(srcAt, srcAt + len);
    const to = packet.slice(srcAt + len, srcAt + 2 * len);

    const pingAt = upperAt(packet, isV6 ? icmp.PROTOCOL_V6 : icmp.PROTOCOL);
    if (pingAt >= 0 && icmp.type(packet, pingAt) === (isV6 ? icmp.V6_ECHO_REQUEST : icmp.ECHO_REQUEST)) {
      const { echoId: id, echoSeq: seq } = icmp.parse(packet, pingAt);
      const data = packet.subarray(pingAt + icmp.HEADER_LEN);
      return [icmp.echoPacket({ src: to, dst: from, reply: true, id, seq, data })];
    }
    const udpAt = upperAt(packet, udp.PROTOCOL);
    if (udpAt >= 0 && udp.dstPort(packet, udpAt) === PORT_ECHO) {
      const flow = { src: to, dst: from, srcPort: PORT_ECHO, dstPort: udp.srcPort(packet, udpAt) };
      return [udpPacket(flow, packet.subarray(udpAt + udp.HEADER_LEN))];
    }
    return this.#conversations.find((end) => end.isFor(packet))?.take(packet) ?? [];
  }

  /** Sends again what was not acknowledged in time, for as long as its conversations are those of now. */
  #watch(end: TcpEnd, tries: number, conversations: readonly TcpEnd[]): void {
    this.#clock.after(RESEND_AFTER, () => {
      if (end.isDone || tries >= MOST_RESENDS || conversations !== this.#conversations) return;
      this.send(...end.resend());
      this.#watch(end, tries + 1, conversations);
    });
  }
}

function destination(packet: Uint8Array): string {
  return packet[0]! >>> 4 === 6
    ? formatAddress(packet, ipv6.DST_AT, 16)
    : formatAddress(packet, ipv4.DST_AT, 4);
}
