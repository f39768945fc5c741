/**
 * Sends what is longer than the path takes and may be cut, in fragments.
 * @module
 */
import { DROP } from '../ipsec/drop.ts';
import { fragment } from '../ipsec/fragment.ts';
import type { Link } from '../link/link.ts';
import { mayBeCut } from '../wire/ip.ts';
import { Batch, NOWHERE, ON } from '../wire/packet.ts';

/** Fragments sent in one go. */
const FRAGMENTS = 64;

export interface CutStats {
  /** Packets that left in fragments, and these. */
  cut: number;
  fragments: number;
}

export class TooBig {
  readonly stats: CutStats = { cut: 0, fragments: 0 };
  /** Longest packet that leaves whole, in bytes; at most the link's MTU. */
  #mtu: number;
  #fragments: Batch;
  #room: number;
  #id: number;

  /**
   * @param mtu of the link outside
   * @param firstId of IPv6 fragments, chosen at random
   */
  constructor(mtu: number, firstId: number) {
    this.#mtu = this.#room = mtu;
    this.#id = firstId;
    this.#fragments = new Batch({ capacity: FRAGMENTS, maxPacket: mtu });
  }

  get mtu(): number {
    return this.#mtu;
  }

  set mtu(mtu: number) {
    this.#mtu = mtu;
    if (mtu <= this.#room) return;
    this.#room = mtu;
    this.#fragments = new Batch({ capacity: FRAGMENTS, maxPacket: mtu });
  }

  /**
   * Sends the packets of a batch that go on, are longer than {@link mtu} and may be cut, in fragments. They go nowhere
   * then, also where the link is full: then the packet is refused as a whole. One that cannot be cut
   * into pieces so short is dropped as too big.
   * @returns how many packets left that way
   */
  cut(batch: Batch, outside: Link): number {
    let packets = 0;
    for (let i = 0; i < batch.count; i++) {
      if (batch.next[i] !== ON || batch.length[i]! <= this.mtu) continue;
      const at = batch.offset[i]!;
      // Also what is of IPv6: the node sends it itself.
      if (batch.slab[at]! >>> 4 === 4 && !mayBeCut(batch.slab, at)) continue;
      this.#id = (this.#id + 1) >>> 0;
      const made = this.#send(batch, i, outside);
      if (made < 0) {
        batch.drop(i, batch.sa[i]! >= 0 ? DROP['out-too-big'] : DROP['too-big']);
        continue;
      }
      batch.next[i] = NOWHERE;
      if (made === 0) continue;
      this.stats.cut++;
      this.stats.fragments += made;
      packets++;
    }
    return packets;
  }

  /** Returns how many fragments left; 0 when the link did not take all of them, -1 when there can be none. */
  #send(batch: Batch, i: number, outside: Link): number {
    const out = this.#fragments;
    let made = 0;
    let from = 0;
    do {
      out.clear();
      from = fragment(batch, i, this.mtu, this.#id, out, from);
      if (from < 0) return -1;
      if (outside.send(out) < out.count) return 0;
      made += out.count;
    } while (from > 0);
    return made;
  }
}
