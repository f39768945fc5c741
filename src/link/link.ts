/**
 * A link moves whole frames in batches. Everything that carries packets is one: a memory pipe, a TUN device, a
 * raw socket. Middleware wraps a link and is a link again, and none knows another.
 *
 * The contract, which `test/conformance/link.test.ts` holds every link to:
 *
 * - Batches are **borrowed** in both directions: valid during the call, copy what you keep.
 * - {@link Link.send} leaves the batch as it was. A receiver may change what it gets, in place: there is headroom
 *   and tailroom around every packet.
 * - A link never calls a receiver from within {@link Link.send}: what arrives, arrives later.
 * - Frames of one direction arrive in the order in which they were sent, unless the link is there to disturb it.
 * - What nobody receives is gone: a link keeps nothing for a receiver that comes later.
 * @module
 */
import type { Batch } from '../wire/packet.ts';

/** Takes the frames of a batch, from slot 0 to count-1; all of them have passed. */
export type Receiver = (batch: Batch) => void;

export interface Link {
  readonly name: string;
  /** What a frame starts with: an IP header, or an Ethernet header. */
  readonly medium: 'ip' | 'ethernet';
  /** Longest IP packet it carries, in bytes. An Ethernet header comes on top. */
  readonly mtu: number;
  /**
   * Sends the packets of the batch whose verdict is PASS, in order.
   * @returns how many of them were taken; the rest met a full queue, or a closed link, and may be sent again. A
   * frame that the link cannot carry is taken, dropped and counted: to send it again would not help
   */
  send(batch: Batch): number;
  /** Installs the one receiver, in place of the one before, or removes it. */
  receive(handler: Receiver | undefined): void;
  /** Stops carrying: nothing is sent or received any more. */
  close(): void;
}
