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
 * - What has no receiver is gone: a link keeps nothing for a receiver that comes later.
 * @module
 */
import type { Batch, ON } from '../wire/packet.ts';

/** Takes the frames of a batch, from slot 0 to count-1; all of them are to go on. */
export type Receiver = (batch: Batch) => void;

export interface Link {
  readonly name: string;
  /** What a frame starts with: an IP header, or an Ethernet header. */
  readonly medium: 'ip' | 'ethernet';
  /** Longest IP packet it carries, in bytes. An Ethernet header comes on top. */
  readonly mtu: number;
  /** Cuts packets above its MTU by itself, where their header allows it. */
  readonly cuts?: boolean;
  /**
   * Sends the packets of the batch whose {@link Batch.next} is `next`, in order.
   * @param next left out, {@link ON}: those that no port was chosen for
   * @returns how many of them were taken; the rest met a full queue, or a closed link, and may be sent again. A
   * frame that the link cannot carry is taken, dropped and counted: to send it again would not help
   */
  send(batch: Batch, next?: number): number;
  /** Installs the one receiver, in place of the one before, or removes it. */
  receive(handler: Receiver | undefined): void;
  /** Stops carrying: nothing is sent or received any more. */
  close(): void;
}

/** What a link over a descriptor has counted. */
export interface DeviceStats {
  /** Packets handed to the receiver, and bytes of them. */
  received: number;
  receivedBytes: number;
  /** Packets given to the kernel, and bytes of them. */
  sent: number;
  sentBytes: number;
  /** Packets longer than the link carries. */
  tooBig: number;
  /** Packets that met a full queue (EAGAIN, ENOBUFS): not taken. */
  full: number;
  /** Packets that the kernel refused for good (no route, device down), or that this link cannot carry. */
  failed: number;
  /** Frames received that are not for this link, are cut, or make no sense. */
  ignored: number;
  /** Packets for this link that the kernel dropped because they were not read fast enough, as of the last {@link DeviceLink.look}. */
  missed: number;
}

/** Counters at zero. */
export function deviceStats(): DeviceStats {
  return {
    received: 0,
    receivedBytes: 0,
    sent: 0,
    sentBytes: 0,
    tooBig: 0,
    full: 0,
    failed: 0,
    ignored: 0,
    missed: 0,
  };
}

/** A link over a device or socket of the host: its owner waits for its descriptors and pumps it. */
export interface DeviceLink extends Link {
  /** Descriptors that become readable when packets wait. */
  readonly fds: readonly number[];
  readonly stats: Readonly<DeviceStats>;
  /**
   * Reads what waits, without blocking, up to one batch, and hands it to the receiver.
   * @returns how many packets were read; 0 when nothing waits, or the link is closed
   * @throws {SystemError} when the device is gone for good
   */
  pump(): number;
  /** Asks the kernel for what it alone has counted. To be called before {@link stats} are reported. */
  look?(): void;
  /**
   * Takes over the MTU that its interface has now, where no other was chosen. To be called now and then.
   * @returns false while the interface is not there
   */
  follow?(): boolean;
}
