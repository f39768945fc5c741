/**
 * The network between nodes: a switch that knows which addresses are behind which port. Those who can do harm on
 * the way are here, too: {@link Underlay.onFrame} sees every frame and may change it, {@link Underlay.inject} sends
 * one that no node sent.
 * @module
 */
import type { Link } from '../link/link.ts';
import { deliver, type Outlet } from '../node/deliver.ts';
import { RouteTable } from '../node/routes.ts';
import type { Prefix } from '../wire/address.ts';
import { addressLen, dstAt } from '../wire/ip.ts';
import { Batch, NOWHERE, ON } from '../wire/packet.ts';

export class Underlay {
  /** Frames for an address that no node has: damaged on the way. */
  nowhere = 0;
  /** Frames that {@link inject} sent. */
  injected = 0;
  /** Called with every frame, before it goes on: `b[at..end)`, which may be changed. */
  onFrame: ((b: Uint8Array, at: number, end: number, to: string) => void) | undefined;
  /** Asked about every frame that has a port to go to: may it pass? The caller counts those that may not. */
  passes: ((from: string | undefined, to: string, length: number) => boolean) | undefined;
  readonly #ports: Outlet[] = [];
  /** Which port has an address: as a pod of that number. */
  readonly #owners = new RouteTable();

  /** Frames that a port's link did not take. */
  get refused(): number {
    return this.#ports.reduce((sum, port) => sum + port.refused, 0);
  }

  /** Adds a port: the switch's end of a link, and the addresses behind it. */
  connect(name: string, link: Link, prefixes: readonly Prefix[]): void {
    const pod = this.#ports.length;
    this.#ports.push({ name, link, delivered: 0, refused: 0, offered: 0 });
    for (const prefix of prefixes) this.#owners.set(prefix, { kind: 'pod', pod });
    link.receive((batch) => this.#forward(batch, name));
  }

  /** Sends a frame as if it had come from somewhere. */
  inject(frame: Uint8Array): void {
    const batch = new Batch({ capacity: 1, maxPacket: frame.length });
    batch.push(frame);
    this.injected++;
    this.#forward(batch, undefined);
  }

  #forward(batch: Batch, from: string | undefined): void {
    for (let i = 0; i < batch.count; i++) {
      const port = batch.next[i] === ON ? this.#portOf(batch, i) : NOWHERE;
      batch.next[i] = port;
      if (port < 0) this.nowhere++;
      else if (this.passes?.(from, this.#ports[port]!.name, batch.length[i]!) === false)
        batch.next[i] = NOWHERE;
      else {
        const at = batch.offset[i]!;
        this.onFrame?.(batch.slab, at, at + batch.length[i]!, this.#ports[port]!.name);
      }
    }
    deliver(batch, this.#ports);
  }

  /** As a switch it looks at addresses alone: that a header is damaged is for the receiver to find. */
  #portOf(batch: Batch, i: number): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    const version = slab[at]! >>> 4;
    const len = addressLen(slab, at);
    if ((version !== 4 && version !== 6) || batch.length[i]! < dstAt(slab, at) - at + len) return NOWHERE;
    const owner = this.#owners.lookup(slab, dstAt(slab, at), len);
    return owner?.kind === 'pod' ? owner.pod : NOWHERE;
  }
}
