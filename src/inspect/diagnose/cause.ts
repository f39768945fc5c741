/**
 * Looks closer at one dropped packet: the verdict says what the kernel saw, this says what it was. Everything is tried,
 * not guessed at: the packet is opened again under other high halves and other keys, and compared with the packet that
 * had its number.
 * @module
 */
import { u32 } from '../../base/bytes.ts';
import type { KeyMaterial } from '../../crypto/suite.ts';
import { type DropReason, dropRow } from '../../ipsec/drop.ts';
import { SecurityAssociation } from '../../ipsec/sa.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { ESN_WINDOW } from '../../sa-text/esn-window.ts';
import { parseAddress } from '../../wire/address.ts';
import * as esp from '../../wire/esp.ts';
import type { Trials } from '../contenders.ts';
import type { EspEvent } from '../esp-event.ts';
import type { Evidence } from '../evidence.ts';
import { isPowerFrom, TrialBudget } from '../trial-budget.ts';
import { guessesFor } from './guesses.ts';
import { isInTheClear } from './plain.ts';
import { fingerprint, type SeenNumbers } from './seen.ts';
import type { Cause, Fit, Stream } from './stream.ts';
import { Tally } from './tally.ts';

/** Packets of one stream that all guesses are tried on; then the 64th, the 128th, the 256th and so on, if none opens. */
const TRIED = 8;
const TRIED_AGAIN = 64;
/** Guesses that are tried in vain: on the first two packets of each stream, and on all others together. */
const FIRST_TRIED = 2;
const FIRST_GUESSES = 1 << 14;
const MOST_GUESSES = 1 << 14;
/** High halves below the expected one that are tried on a packet under ESN. */
const EPOCHS = 4;

/** An IV that differs in more bits than these was not damaged on the way. */
const DAMAGED_BITS = 8;

const ODD_INSIDE: ReadonlySet<DropReason> = new Set<DropReason>([
  ...(['dummy', 'bad-padding', 'not-ip', 'inner-short', 'inner-header', 'inner-truncated'] as const),
  ...(['iptfs-short', 'iptfs-header', 'iptfs-block'] as const),
  ...(['selector-mismatch', 'expired', 'encap-mismatch', 'in-direction', 'not-captured'] as const),
]);

/** Where ESP lies in the packet at hand. */
export type EspBytes = Pick<EspEvent, 'wire' | 'espAt' | 'espEnd'>;

/** Of what a copy has in common with its original, and no other packet: IV, first text, ICV. */
export function printOf({ wire: b, espAt: at, espEnd: end }: EspBytes): number {
  const h = fingerprint(b, at + esp.HEADER_LEN, Math.min(end, at + 24));
  return fingerprint(b, Math.max(at + esp.HEADER_LEN, end - 12), end, h ^ (end - at));
}

export class CauseFinder {
  readonly #evidence: Evidence;
  readonly #trials: Trials;
  readonly #seen: SeenNumbers;
  readonly #budget = new TrialBudget(FIRST_GUESSES, MOST_GUESSES);

  constructor(evidence: Evidence, trials: Trials, seen: SeenNumbers) {
    this.#evidence = evidence;
    this.#trials = trials;
    this.#seen = seen;
  }

  /** Finds the cause, and counts it in the stream. */
  look(stream: Stream, event: EspEvent): void {
    const { reason } = dropRow(event.tried)!;
    const { frame } = event;
    if (ODD_INSIDE.has(reason)) {
      stream.tally(reason as Cause).add(frame);
      return;
    }
    switch (reason) {
      case 'no-state':
        stream.tally('no-state').add(frame);
        stream.read(event.seqLo, this.#isNew(stream, event));
        return;
      case 'replay-zero':
        stream.tally('zero').add(frame);
        return;
      case 'replay-seen':
        stream.duplicates++;
        this.#numberTaken(stream, event);
        return;
      case 'replay-stale':
        this.#leftOfWindow(stream, event, event.seqHi);
        return;
      case 'too-short':
        if (!this.#closed(stream, event)) stream.tally('truncated').add(frame);
        return;
      default:
        this.#badIcv(stream, event);
    }
  }

  #newSa(config: SaConfig): SecurityAssociation {
    const { engine, random } = this.#trials;
    return new SecurityAssociation(config, engine, { random });
  }

  #opens(sas: readonly SecurityAssociation[], { wire, espAt, espEnd }: EspBytes, hi: number) {
    return sas.find((sa) => this.#trials.opens(sa, wire, espAt, espEnd, hi));
  }

  /** The number was accepted before. */
  #numberTaken(stream: Stream, event: EspEvent): void {
    const { seqHi: hi, seqLo: lo, frame } = event;
    const original = this.#seen.get(stream.id, hi, lo);
    if (!original || original.print === printOf(event)) {
      this.#count(stream, 'replayed', frame, original?.frame);
    } else if (this.#opens(sasOf(event), event, hi)) {
      this.#markSender(stream, event, hi, lo, frame);
      this.#count(stream, 'same-number', frame, original.frame);
    } else if (this.#isStranger(stream, event, hi, lo)) {
      const fit = this.#fit(stream, event, hi);
      if (fit) fit.tally.add(frame);
      stream.tally(fit ? 'other-key' : 'no-key').add(frame);
    } else this.#altered(stream, event, frame, original);
  }

  /** An old number, if the packet is authentic under `hi`. @returns false when it is not, and nothing is known */
  #leftOfWindow(stream: Stream, event: EspEvent, hi: number): boolean {
    const { seqLo: lo, frame } = event;
    const original = this.#seen.get(stream.id, hi, lo);
    if (original && original.print === printOf(event)) {
      stream.duplicates++;
      this.#count(stream, 'replayed', frame, original.frame);
      return true;
    }
    const sa = this.#opens(sasOf(event), event, hi);
    if (!sa) {
      if (event.seqHi === hi) {
        // Its ICV was not checked: altered, or made up.
        stream.tally(original ? 'altered' : 'no-key').add(frame);
        return true;
      }
      return false;
    }
    this.#markSender(stream, event, hi, lo, frame);
    stream.late++;
    stream.window = Math.max(stream.window, sa.config.replayWindow);
    if (original) this.#count(stream, 'same-number', frame, original.frame);
    else {
      const below = stream.arriveLate(hi, lo);
      stream.beyondWindow = Math.max(stream.beyondWindow, below - sa.config.replayWindow + 1);
      stream.tally('late').add(frame);
      this.#seen.put(stream.id, hi, lo, frame, printOf(event), event.espEnd - event.espAt);
    }
    return true;
  }

  #badIcv(stream: Stream, event: EspEvent): void {
    const { seqHi, seqLo: lo, frame } = event;
    const sas = sasOf(event);
    // Under ESN what is below the window, and what is far ahead of a young one, is taken for another 2^32.
    if (sas.some((sa) => sa.config.esn)) {
      for (let hi = seqHi - 1; hi >= 0 && hi >= seqHi - EPOCHS; hi--) {
        if (this.#leftOfWindow(stream, event, hi)) return;
      }
      const topHi = Math.max(0, Math.floor(stream.highest / 2 ** 32));
      const sa = this.#opens(sas, event, topHi);
      if (sa) {
        stream.tally('far-ahead').add(frame);
        return;
      }
    }
    // The same packet, but for what was altered?
    const sameNumber = this.#seen.get(stream.id, seqHi, lo);
    const original = sameNumber ?? this.#byIv(stream, event);
    if (original && stream.ok > 0) {
      const cause = this.#altered(stream, event, frame, original);
      if (cause === 'altered' && !sameNumber) stream.tally('number-altered').add(frame);
      return;
    }
    if (this.#closed(stream, event)) return;
    // It has nothing in common with a good packet; but where others of its stream open, the key is right.
    stream.tally(stream.ok > 0 ? 'altered' : 'no-key').add(frame);
    stream.damaged++;
  }

  /** Opens it with another key, or tells that it is not encrypted. @returns false where neither is so */
  #closed(stream: Stream, event: EspEvent): boolean {
    const { seqHi, seqLo, frame, wire, espAt, espEnd } = event;
    if (stream.ok === 0 && sasOf(event).some(({ suite }) => isInTheClear(wire, espAt, espEnd, suite))) {
      stream.tally('in-the-clear').add(frame);
      return true;
    }
    const fit = this.#fit(stream, event, seqHi);
    if (!fit) return false;
    fit.tally.add(frame);
    stream.tally('other-key').add(frame);
    stream.read(seqLo, this.#isNew(stream, event));
    return true;
  }

  #altered(
    stream: Stream,
    event: EspEvent,
    frame: number,
    original: { frame: number; length: number },
  ): 'altered' | 'truncated' {
    const cause = event.espEnd - event.espAt < original.length ? 'truncated' : 'altered';
    this.#count(stream, cause, frame, original.frame);
    return cause;
  }

  /** Is its IV of another counter than the sender's, and not just damaged? */
  #isStranger(
    stream: Stream,
    { wire: b, espAt: at, espEnd: end }: EspBytes,
    hi: number,
    lo: number,
  ): boolean {
    if (end - at < 16) return false;
    const number = stream.senders.numberOf(u32(b, at + 8), u32(b, at + 12));
    if (!number || this.#seen.get(stream.id, number.hi, number.lo)) return false;
    return bitsSet(number.hi ^ hi) + bitsSet(number.lo ^ lo) > DAMAGED_BITS;
  }

  /** The accepted packet that has this IV, where the IV tells the number. */
  #byIv(stream: Stream, event: EspEvent) {
    if (event.espEnd - event.espAt < 16) return undefined;
    const number = stream.senders.numberOf(
      u32(event.wire, event.espAt + 8),
      u32(event.wire, event.espAt + 12),
    );
    return number && this.#seen.get(stream.id, number.hi, number.lo);
  }

  /** A key other than the stream's that opens the packet: one that did before, or one of the guesses. */
  #fit(stream: Stream, event: EspEvent, seqHi: number): Fit | undefined {
    const highs = [...new Set([seqHi, 0])];
    // The receiver of the capture may have found what opens it, and its high half.
    const { openedBy } = event;
    const fits = (keys: KeyMaterial, esn: boolean, sa: () => SecurityAssociation) =>
      openedBy
        ? esn === openedBy.esn && keys.equals(openedBy.keys)
        : highs.some((hi) => this.#opens([sa()], event, hi));
    for (const fit of stream.fits) if (fits(fit.guess.keys, fit.guess.esn, () => fit.sa)) return fit;
    const failed = ++stream.unfitting;
    const isFirst = failed <= FIRST_TRIED;
    if (failed > TRIED && !isPowerFrom(TRIED_AGAIN, failed)) return undefined;
    if (!openedBy && !this.#budget.has(isFirst)) return undefined;
    const { src, dst, spi, resolution } = stream;
    // A key that opens nothing is none to vary.
    const stated = resolution.atReceiver === 'other-key' ? { ...resolution, candidates: [] } : resolution;
    const guesses = stream.guesses ?? guessesFor(this.#evidence, src, dst, spi, stated);
    stream.guesses = failed < TRIED ? guesses : undefined;
    stream.guessed = guesses.length;
    for (const guess of guesses) {
      if (!this.#evidence.canUse(guess.keys)) continue;
      const sa = this.#newSa(this.#configOf(stream, guess.keys, guess.esn));
      if (fits(guess.keys, guess.esn, () => sa)) {
        const fit: Fit = { guess, sa, tally: new Tally(stream.times) };
        stream.fits.push(fit);
        return fit;
      }
      this.#trials.engine.removeKey(sa.key);
    }
    if (!openedBy) this.#budget.spend(isFirst, guesses.length);
    return undefined;
  }

  #configOf({ src, dst, spi }: Stream, keys: KeyMaterial, esn: boolean): SaConfig {
    return {
      src: parseAddress(src)!,
      dst: parseAddress(dst)!,
      spi,
      mode: 'tunnel',
      keys,
      esn,
      replayWindow: esn ? ESN_WINDOW : 0,
      reqid: 0,
      flags: [],
      origin: 'a guess',
    };
  }

  /** Notes whose counter the number of an authentic packet is of. */
  #markSender(stream: Stream, event: EspEvent, hi: number, lo: number, frame: number): void {
    const { wire, espAt } = event;
    if (sasOf(event)[0]?.suite.saltLen === 4)
      stream.senders.add(u32(wire, espAt + 8), u32(wire, espAt + 12), hi, lo, frame);
  }

  /** Is the number of a packet that no key opens new? */
  #isNew(stream: Stream, event: EspEvent): boolean {
    const { seqLo, frame } = event;
    if (this.#seen.get(stream.id, 0, seqLo)) return false;
    this.#seen.put(stream.id, 0, seqLo, frame, printOf(event), event.espEnd - event.espAt);
    return true;
  }

  #count(stream: Stream, cause: Cause, frame: number, original: number | undefined): void {
    const tally = stream.tally(cause);
    if (original !== undefined) tally.also(original);
    tally.add(frame);
  }
}

/** The SAs that a packet's stream is opened with. */
function sasOf({ stream }: EspEvent): readonly SecurityAssociation[] {
  return stream ? stream.contenders.sas() : [];
}

function bitsSet(word: number): number {
  let count = 0;
  for (let left = word; left !== 0; left &= left - 1) count++;
  return count;
}
