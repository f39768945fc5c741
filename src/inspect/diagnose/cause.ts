/**
 * Looks closer at one dropped packet: the verdict says what the kernel saw, this says what it was. Everything is tried,
 * not guessed at: the packet is opened again under other high halves and other keys, and compared with the packet that
 * had its number.
 * @module
 */
import { u32 } from '../../base/bytes.ts';
import type { RandomBytes } from '../../base/rng.ts';
import type { Engine } from '../../crypto/engine.ts';
import type { KeyMaterial } from '../../crypto/suite.ts';
import { type DropReason, dropRow } from '../../ipsec/drop.ts';
import { SecurityAssociation } from '../../ipsec/sa.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { ESN_WINDOW } from '../../sa-text/esn-window.ts';
import { parseAddress } from '../../wire/address.ts';
import * as esp from '../../wire/esp.ts';
import type { EspRecord } from '../decrypt.ts';
import type { Evidence } from '../evidence.ts';
import { Trial } from '../trial.ts';
import { guessesFor } from './guesses.ts';
import { isInTheClear } from './plain.ts';
import { fingerprint, type SeenNumbers } from './seen.ts';
import type { Cause, Fit, Stream } from './stream.ts';
import { Tally } from './tally.ts';

/** Packets of one stream that all guesses are tried on; if none of them opens, the key is not at hand. */
const TRIED = 8;
/** Guesses that are tried on packets of all streams together. */
const MOST_GUESSES = 1 << 17;
/** High halves below the expected one that are tried on a packet under ESN. */
const EPOCHS = 4;

/** An IV that differs in more bits than these was not damaged on the way. */
const DAMAGED_BITS = 8;

const ODD_INSIDE: ReadonlySet<DropReason> = new Set<DropReason>([
  ...(['dummy', 'bad-padding', 'not-ip', 'inner-short', 'inner-header', 'inner-truncated'] as const),
  ...(['selector-mismatch', 'expired', 'encap-mismatch', 'not-captured'] as const),
]);

/** Where ESP lies in the packet at hand. */
export interface EspBytes {
  readonly b: Uint8Array;
  readonly at: number;
  readonly end: number;
}

/** Of what a copy has in common with its original, and no other packet: IV, first text, ICV. */
export function printOf({ b, at, end }: EspBytes): number {
  const h = fingerprint(b, at + esp.HEADER_LEN, Math.min(end, at + 24));
  return fingerprint(b, Math.max(at + esp.HEADER_LEN, end - 12), end, h ^ (end - at));
}

export class CauseFinder {
  readonly #evidence: Evidence;
  readonly #engine: Engine;
  readonly #random: RandomBytes;
  readonly #trial: Trial;
  readonly #seen: SeenNumbers;
  #guessesLeft = MOST_GUESSES;

  constructor(evidence: Evidence, engine: Engine, random: RandomBytes, seen: SeenNumbers) {
    this.#evidence = evidence;
    this.#engine = engine;
    this.#random = random;
    this.#trial = new Trial(engine);
    this.#seen = seen;
  }

  /** Finds the cause, and counts it in the stream. */
  look(stream: Stream, record: EspRecord, packet: EspBytes): void {
    const { reason } = dropRow(record.verdict)!;
    const { frame } = record;
    if (ODD_INSIDE.has(reason)) {
      stream.tally(reason as Cause).add(frame);
      return;
    }
    switch (reason) {
      case 'no-state':
        stream.tally('no-state').add(frame);
        stream.read(record.seqLo, this.#isNew(stream, record, packet));
        return;
      case 'replay-zero':
        stream.tally('zero').add(frame);
        return;
      case 'replay-seen':
        stream.duplicates++;
        this.#numberTaken(stream, record, packet);
        return;
      case 'replay-stale':
        this.#leftOfWindow(stream, record, packet, record.seqHi);
        return;
      case 'too-short':
        if (!this.#closed(stream, record, packet)) stream.tally('truncated').add(frame);
        return;
      default:
        this.#badIcv(stream, record, packet);
    }
  }

  /** Of several keys the one that opens this packet. */
  opener(stream: Stream, packet: EspBytes, hi: number): KeyMaterial | undefined {
    return this.#opens(this.sasOf(stream), packet, hi)?.config.keys;
  }

  /** The SAs that the stream's packets are opened with. */
  sasOf(stream: Stream): SecurityAssociation[] {
    stream.sas ??= stream.resolution.candidates.map((config) => this.#newSa(config));
    return stream.sas;
  }

  #newSa(config: SaConfig): SecurityAssociation {
    return new SecurityAssociation(config, this.#engine, { random: this.#random });
  }

  #opens(sas: readonly SecurityAssociation[], { b, at, end }: EspBytes, hi: number) {
    return sas.find((sa) => this.#trial.opens(sa, b, at, end, hi));
  }

  /** The number was accepted before. */
  #numberTaken(stream: Stream, record: EspRecord, packet: EspBytes): void {
    const { seqHi: hi, seqLo: lo, frame } = record;
    const original = this.#seen.get(stream.id, hi, lo);
    if (!original || original.print === printOf(packet)) {
      this.#count(stream, 'replayed', frame, original?.frame);
    } else if (this.#opens(this.sasOf(stream), packet, hi)) {
      this.#markSender(stream, packet, hi, lo, frame);
      this.#count(stream, 'same-number', frame, original.frame);
    } else if (this.#isStranger(stream, packet, hi, lo)) {
      const fit = this.#fit(stream, packet, hi);
      if (fit) fit.tally.add(frame);
      stream.tally(fit ? 'other-key' : 'no-key').add(frame);
    } else this.#altered(stream, packet, frame, original);
  }

  /** An old number, if the packet is authentic under `hi`. @returns false when it is not, and nothing is known */
  #leftOfWindow(stream: Stream, record: EspRecord, packet: EspBytes, hi: number): boolean {
    const { seqLo: lo, frame } = record;
    const original = this.#seen.get(stream.id, hi, lo);
    if (original && original.print === printOf(packet)) {
      stream.duplicates++;
      this.#count(stream, 'replayed', frame, original.frame);
      return true;
    }
    const sa = this.#opens(this.sasOf(stream), packet, hi);
    if (!sa) {
      if (record.seqHi === hi) {
        // Nobody looked at its ICV: altered, or made up.
        stream.tally(original ? 'altered' : 'no-key').add(frame);
        return true;
      }
      return false;
    }
    this.#markSender(stream, packet, hi, lo, frame);
    stream.late++;
    stream.window = Math.max(stream.window, sa.config.replayWindow);
    if (original) this.#count(stream, 'same-number', frame, original.frame);
    else {
      const below = stream.arriveLate(hi, lo);
      stream.beyondWindow = Math.max(stream.beyondWindow, below - sa.config.replayWindow + 1);
      stream.tally('late').add(frame);
      this.#seen.put(stream.id, hi, lo, frame, printOf(packet), packet.end - packet.at);
    }
    return true;
  }

  #badIcv(stream: Stream, record: EspRecord, packet: EspBytes): void {
    const { seqHi, seqLo: lo, frame } = record;
    const sas = this.sasOf(stream);
    // Under ESN what is below the window, and what is far ahead of a young one, is taken for another 2^32.
    if (sas.some((sa) => sa.config.esn)) {
      for (let hi = seqHi - 1; hi >= 0 && hi >= seqHi - EPOCHS; hi--) {
        if (this.#leftOfWindow(stream, record, packet, hi)) return;
      }
      const topHi = Math.max(0, Math.floor(stream.highest / 2 ** 32));
      const sa = this.#opens(sas, packet, topHi);
      if (sa) {
        stream.tally('far-ahead').add(frame);
        return;
      }
    }
    // The same packet, but for what was altered?
    const sameNumber = this.#seen.get(stream.id, seqHi, lo);
    const original = sameNumber ?? this.#byIv(stream, packet);
    if (original && stream.ok > 0) {
      const cause = this.#altered(stream, packet, frame, original);
      if (cause === 'altered' && !sameNumber) stream.tally('number-altered').add(frame);
      return;
    }
    if (this.#closed(stream, record, packet)) return;
    // It has nothing in common with a good packet; but where others of its stream open, the key is right.
    stream.tally(stream.ok > 0 ? 'altered' : 'no-key').add(frame);
    stream.damaged++;
  }

  /** Opens it with another key, or tells that it is not encrypted. @returns false where neither is so */
  #closed(stream: Stream, record: EspRecord, packet: EspBytes): boolean {
    const { seqHi, seqLo, frame } = record;
    const { b, at, end } = packet;
    if (stream.ok === 0 && this.sasOf(stream).some(({ suite }) => isInTheClear(b, at, end, suite))) {
      stream.tally('in-the-clear').add(frame);
      return true;
    }
    const fit = this.#fit(stream, packet, seqHi);
    if (!fit) return false;
    fit.tally.add(frame);
    stream.tally('other-key').add(frame);
    stream.read(seqLo, this.#isNew(stream, record, packet));
    return true;
  }

  #altered(
    stream: Stream,
    packet: EspBytes,
    frame: number,
    original: { frame: number; length: number },
  ): 'altered' | 'truncated' {
    const cause = packet.end - packet.at < original.length ? 'truncated' : 'altered';
    this.#count(stream, cause, frame, original.frame);
    return cause;
  }

  /** Is its IV of another counter than the sender's, and not just damaged? */
  #isStranger(stream: Stream, { b, at, end }: EspBytes, hi: number, lo: number): boolean {
    if (end - at < 16) return false;
    const number = stream.senders.numberOf(u32(b, at + 8), u32(b, at + 12));
    if (!number || this.#seen.get(stream.id, number.hi, number.lo)) return false;
    return bitsSet(number.hi ^ hi) + bitsSet(number.lo ^ lo) > DAMAGED_BITS;
  }

  /** The accepted packet that has this IV, where the IV tells the number. */
  #byIv(stream: Stream, packet: EspBytes) {
    if (packet.end - packet.at < 16) return undefined;
    const number = stream.senders.numberOf(u32(packet.b, packet.at + 8), u32(packet.b, packet.at + 12));
    return number && this.#seen.get(stream.id, number.hi, number.lo);
  }

  /** A key other than the stream's that opens the packet: one that did before, or one of the guesses. */
  #fit(stream: Stream, packet: EspBytes, seqHi: number): Fit | undefined {
    const highs = [...new Set([seqHi, 0])];
    for (const fit of stream.fits) {
      if (highs.some((hi) => this.#opens([fit.sa], packet, hi))) return fit;
    }
    if (stream.triedInVain >= TRIED || this.#guessesLeft <= 0) return undefined;
    const { src, dst, spi, resolution } = stream;
    if (!stream.guesses) {
      stream.guesses = guessesFor(this.#evidence, src, dst, spi, resolution);
      stream.guessed = stream.guesses.length;
    }
    this.#guessesLeft -= stream.guesses.length;
    for (const guess of stream.guesses) {
      const sa = this.#newSa(this.#configOf(stream, guess.keys, guess.esn));
      if (highs.some((hi) => this.#opens([sa], packet, hi))) {
        const fit: Fit = { guess, sa, tally: new Tally() };
        stream.fits.push(fit);
        return fit;
      }
      this.#engine.removeKey(sa.key);
    }
    if (++stream.triedInVain === TRIED) stream.guesses = undefined;
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
  #markSender(stream: Stream, { b, at }: EspBytes, hi: number, lo: number, frame: number): void {
    if (this.sasOf(stream)[0]?.suite.saltLen === 4) {
      stream.senders.add(u32(b, at + 8), u32(b, at + 12), hi, lo, frame);
    }
  }

  /** Was the number of a packet that nobody opens not there before? */
  #isNew(stream: Stream, { seqLo, frame }: EspRecord, packet: EspBytes): boolean {
    if (this.#seen.get(stream.id, 0, seqLo)) return false;
    this.#seen.put(stream.id, 0, seqLo, frame, printOf(packet), packet.end - packet.at);
    return true;
  }

  #count(stream: Stream, cause: Cause, frame: number, original: number | undefined): void {
    const tally = stream.tally(cause);
    if (original !== undefined) tally.also(original);
    tally.add(frame);
  }
}

function bitsSet(word: number): number {
  let count = 0;
  for (let left = word; left !== 0; left &= left - 1) count++;
  return count;
}
