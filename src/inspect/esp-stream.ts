/**
 * One stream of a capture, as the receiver follows it.
 * @module
 */
import { isSameSa } from '../sa-text/sa-source.ts';
import { formatAddress } from '../wire/address.ts';
import type { Contenders } from './contenders.ts';
import type { Resolution } from './evidence.ts';

/** Packets under ESN that have to follow each other before the start of their stream is beyond doubt. */
const PROVEN = 256;
/** So many of them again after a packet that did not authenticate. */
const DOUBT = 32;

/** A stream of packets: one direction of one tunnel under one SPI. */
export class EspStream {
  readonly contenders: Contenders;
  readonly resolution: Resolution;
  readonly dst: string;
  /** It stands for every source that has not authenticated yet. */
  readonly isShared: boolean;
  /** Its place in the table. */
  index = -1;
  /** Packets that followed each other since the stream started. */
  followed = 0;
  /** The batch in which it started first, or 0. */
  firstBatch = 0;
  used = true;
  /** What authentic packets show of the dates of its SA: none came in its time; one did; the dates are of another clock. */
  dates: 'unseen' | 'seen' | 'other-clock' = 'unseen';
  /** What else may open its packets; made when it is first asked for. */
  others: Contenders | undefined;
  readonly hasOthers: boolean;
  /** Source of the last packet, and its text. */
  readonly #source: Uint8Array;
  #src = '';
  /** Once it is certain that stays so until a packet fails, and whether it has started does, too. */
  #isCertain = false;
  #hasStarted = false;

  constructor(contenders: Contenders, resolution: Resolution, dst: Uint8Array, isShared: boolean) {
    this.contenders = contenders;
    this.resolution = resolution;
    this.dst = formatAddress(dst);
    this.isShared = isShared;
    this.#source = new Uint8Array(dst.length);
    this.hasOthers =
      (resolution.atReceiver === 'held' || resolution.atReceiver === 'other-key') &&
      resolution.others.some(({ config }) => !resolution.candidates.some((one) => isSameSa(one, config)));
  }

  /** The text of a source that nearly always is the same. */
  srcOf(b: Uint8Array, at: number): string {
    const last = this.#source;
    let isLast = this.#src !== '';
    for (let k = 0; k < last.length && isLast; k++) isLast = last[k] === b[at + k];
    if (!isLast) {
      for (let k = 0; k < last.length; k++) last[k] = b[at + k]!;
      this.#src = formatAddress(last);
    }
    return this.#src;
  }

  /** Has a packet authenticated? */
  get isStarted(): boolean {
    return this.#isCertain ? this.#hasStarted : this.contenders.current.high.isStarted;
  }

  /** Is there nothing to try on its packets? */
  get isCertain(): boolean {
    if (this.#isCertain) return true;
    this.#isCertain = this.#judge();
    if (this.#isCertain) this.#hasStarted = !this.contenders.isUnchecked;
    return this.#isCertain;
  }

  #judge(): boolean {
    const { contenders } = this;
    // Nothing is tried with a key that opens nothing.
    if (this.resolution.atReceiver === 'other-key') return true;
    if (contenders.configs.length > 1) return false;
    if (contenders.isUnchecked) return true;
    return this.isStarted && (!contenders.current.sa.esn || this.followed >= PROVEN);
  }

  /** A packet did not authenticate: those after it are looked at again, for a while. */
  doubt(): void {
    if (!this.contenders.current.sa.esn) return;
    this.followed = PROVEN - DOUBT;
    this.#isCertain = false;
  }
}
