/**
 * Drops by peer: looks on at a node and writes down what it drops with the node at the other end. The kernel has
 * one figure for the whole node.
 * @module
 */
import { DROP, dropRow } from '../ipsec/drop.ts';
import type { Node, NodeObserver } from '../node/node.ts';
import { addressLen, dstAt, srcAt } from '../wire/ip.ts';
import type { Batch } from '../wire/packet.ts';
import type { DropEvent } from './watcher.ts';

/** Drops of one kind at one node. */
export interface PeerDrop {
  readonly node: string;
  /** The node at the other end; null where it is not known. */
  readonly peer: string | null;
  readonly direction: 'in' | 'out';
  readonly reason: string;
  /** Row of `/proc/net/xfrm_stat`, or who else counts it. */
  readonly counter: string;
  count: number;
  /** ms since the start of the run: the first and the last of them. */
  readonly first: number;
  last: number;
}

export class PeerDrops implements NodeObserver {
  readonly drops: PeerDrop[] = [];
  readonly #now: () => number;
  readonly #ownerOf: (b: Uint8Array, at: number, len: number) => string | undefined;
  readonly #onDrop: (drop: DropEvent) => void;
  readonly #byKey = new Map<string, PeerDrop>();
  readonly #from: (string | undefined)[];

  /**
   * @param capacity packets in the largest batch
   * @param ownerOf the node that has an address, or whose pod has it
   * @param onDrop told of every single one
   */
  constructor(
    capacity: number,
    now: () => number,
    ownerOf: (b: Uint8Array, at: number, len: number) => string | undefined,
    onDrop: (drop: DropEvent) => void = () => {},
  ) {
    this.#from = new Array(capacity).fill(undefined);
    this.#now = now;
    this.#ownerOf = ownerOf;
    this.#onDrop = onDrop;
  }

  leaving({ name, routes }: Node, batch: Batch): void {
    for (let i = 0; i < batch.count; i++)
      if (batch.verdict[i] !== 0) {
        const peer = routes.peerOf(batch, i);
        const to =
          peer?.name ?? (batch.verdict[i] === DROP.unencrypted ? this.#receiver(batch, i) : undefined);
        this.#count(name, to, 'out', batch.verdict[i]!, peer?.keyId ?? 0);
      }
  }

  /** Whose address packet `i` goes to, also where the node that drops it does not know. */
  #receiver({ slab, offset }: Batch, i: number): string | undefined {
    const at = offset[i]!;
    return this.#ownerOf(slab, dstAt(slab, at), addressLen(slab, at));
  }

  admitted(_: Node, batch: Batch): void {
    for (let i = 0; i < batch.count; i++) {
      const at = batch.offset[i]!;
      this.#from[i] = this.#ownerOf(batch.slab, srcAt(batch.slab, at), addressLen(batch.slab, at));
    }
  }

  decrypted({ name }: Node, batch: Batch): void {
    for (let i = 0; i < batch.count; i++)
      if (batch.verdict[i] !== 0) {
        const spi = batch.isEsp[i] === 1 ? batch.spi[i]! : 0;
        this.#count(name, this.#from[i], 'in', batch.verdict[i]!, spi);
      }
  }

  #count(
    node: string,
    peer: string | undefined,
    direction: 'in' | 'out',
    verdict: number,
    keyId: number,
  ): void {
    const row = dropRow(verdict);
    if (!row) return; // taken, not dropped
    const at = this.#now();
    const key = `${direction} ${verdict} ${peer}`;
    let drop = this.#byKey.get(key);
    if (!drop) {
      const { reason } = row;
      const counter = row.counter ?? row.elsewhere;
      drop = { node, peer: peer ?? null, direction, reason, counter, count: 0, first: at, last: at };
      this.#byKey.set(key, drop);
      this.drops.push(drop);
    }
    drop.count++;
    drop.last = at;
    this.#onDrop({ node, peer, direction, keyId, row });
  }
}
