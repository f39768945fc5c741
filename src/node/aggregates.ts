/**
 * What SAs in IP-TFS bring to a node (RFC 9347): many packets in one, and one over many. A payload gives its slot up, and what
 * comes out waits here until the rest of the batch is done.
 * @module
 */
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { Sad } from '../ipsec/sad.ts';
import { parse } from '../wire/ip.ts';
import { AGGREGATE, type Batch, NOWHERE, PASS } from '../wire/packet.ts';
import { ARRIVED } from './decisions.ts';

/** A packet that came out, and by which SA. */
interface Inner {
  readonly packet: Uint8Array;
  readonly sa: number;
  readonly mark: number;
}

export class Aggregates {
  readonly #counted: (code: number, sa: SecurityAssociation) => void;
  readonly #sad: Sad;
  #inners: Inner[] = [];
  /** SAs in which payloads wait for an earlier one, by index, and the mark of what came last. */
  readonly #waiting = new Map<number, { readonly sa: SecurityAssociation; readonly mark: number }>();

  /** @param counted gets the rows of the drop table that are counted beside the verdicts of payloads */
  constructor(sad: Sad, counted: (code: number, sa: SecurityAssociation) => void) {
    this.#sad = sad;
    this.#counted = counted;
  }

  /** When {@link expire} has something to do, in ms; infinite while nothing waits. */
  get due(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { sa } of this.#waiting.values()) due = Math.min(due, sa.iptfs.due);
    return due;
  }

  /** How many packets wait to be loaded. */
  get count(): number {
    return this.#inners.length;
  }

  /** Takes out what the payloads of a batch hold. @param now ms, from any epoch */
  takeOut(batch: Batch, now: number): void {
    if (this.#waiting.size > 0) this.expire(now);
    const { slab, offset, length, next, l4, sa: sas, seqHi, seqLo, mark } = batch;
    for (let i = 0; i < batch.count; i++) {
      if (next[i] !== AGGREGATE) continue;
      const sa = this.#sad.sas[sas[i]!]!;
      next[i] = NOWHERE;
      const end = offset[i]! + length[i]!;
      const taken = sa.iptfs.take(seqHi[i]!, seqLo[i]!, slab, l4[i]!, end, now);
      if (taken.verdict !== PASS) batch.drop(i, taken.verdict);
      this.#keep(taken.inners, taken.counted, sa, sas[i]!, mark[i]!);
    }
  }

  /** Takes out what has waited long enough. */
  expire(now: number): void {
    for (const [index, { sa, mark }] of this.#waiting) {
      if (this.#sad.sas[index] !== sa) {
        this.#waiting.delete(index);
        continue;
      }
      const { inners, counted } = sa.iptfs.expire(now);
      this.#keep(inners, counted, sa, index, mark);
    }
  }

  #keep(
    inners: readonly Uint8Array[],
    counted: readonly number[],
    sa: SecurityAssociation,
    index: number,
    mark: number,
  ): void {
    for (const packet of inners) this.#inners.push({ packet, sa: index, mark });
    for (const code of counted) this.#counted(code, sa);
    if (sa.iptfs.due < Number.POSITIVE_INFINITY) this.#waiting.set(index, { sa, mark });
    else this.#waiting.delete(index);
  }

  /** Fills an empty batch with packets that wait, as if its SA had brought each by itself. */
  load(batch: Batch): void {
    const taken = this.#inners.splice(0, batch.capacity);
    for (const { packet, sa, mark } of taken) {
      const i = batch.push(packet);
      if (i < 0) continue;
      batch.isEsp[i] = 1;
      batch.sa[i] = sa;
      batch.mark[i] = mark;
      batch.vni[i] = -1;
      batch.from[i] = batch.to[i] = -1;
      batch.decision[i] = ARRIVED.FOR_NODE;
      parse(batch, i);
    }
  }
}
