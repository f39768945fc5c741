/**
 * Times of packets for people: as ISO 8601 in UTC, in seconds since 1970, since the capture's first frame, or since the
 * line before.
 * @module
 */
import { type TextBuffer, textOf } from '../base/text-buffer.ts';

/** How times are written. */
export const TIME_FORMS = ['iso', 'epoch', 'relative', 'delta'] as const;
export type TimeForm = (typeof TIME_FORMS)[number];

/** A moment: seconds since 1970, below zero before, and 0 to 999,999,999 nanoseconds. */
export interface Moment {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** From one moment to another, both of which may be open. */
export interface Span {
  readonly since: Moment | undefined;
  readonly until: Moment | undefined;
}

/** Below 0 where `a` is the earlier one, 0 where both are the same. */
export function compareMoments(a: Moment, b: Moment): number {
  return a.seconds - b.seconds || a.nanoseconds - b.nanoseconds;
}

/** Does a frame lie in a span? One without a time lies in none that has an end. */
export function isInSpan(time: Moment & { readonly hasTime: boolean }, { since, until }: Span): boolean {
  if (!since && !until) return true;
  if (!time.hasTime) return false;
  return (!since || compareMoments(time, since) >= 0) && (!until || compareMoments(time, until) <= 0);
}

const GIGA = 1_000_000_000;
/** Seconds that a `Date` can hold. */
const MOST_SECONDS = 8_640_000_000_000;

/** Writes times in one form. */
export class PacketTimes {
  readonly #form: TimeForm;
  readonly #start: () => Moment | undefined;
  readonly #before = { seconds: 0, nanoseconds: 0, isSet: false };
  /** The last whole second as ISO text: packets come many to a second. */
  #second = Number.NaN;
  #iso = '';

  /** @param start the time of the capture's first frame, once that is known */
  constructor(form: TimeForm, start: () => Moment | undefined) {
    this.#form = form;
    this.#start = start;
  }

  /** Writes a time: with six decimals, or nine where it is finer than microseconds. */
  put(out: TextBuffer, seconds: number, nanoseconds: number): void {
    switch (this.#form) {
      case 'iso':
        this.#putIso(out, seconds, nanoseconds);
        return;
      case 'epoch':
        putTime(out, seconds, nanoseconds);
        return;
      case 'relative':
        putSince(out, this.#start(), seconds, nanoseconds);
        return;
      case 'delta': {
        const before = this.#before;
        putSince(out, before.isSet ? before : undefined, seconds, nanoseconds);
        before.seconds = seconds;
        before.nanoseconds = nanoseconds;
        before.isSet = true;
      }
    }
  }

  /** {@link put} as a string. */
  text({ seconds, nanoseconds }: Moment): string {
    return textOf((out) => this.put(out, seconds, nanoseconds));
  }

  #putIso(out: TextBuffer, seconds: number, nanoseconds: number): void {
    if (Math.abs(seconds) > MOST_SECONDS) {
      putTime(out, seconds, nanoseconds);
      return;
    }
    if (seconds !== this.#second) {
      this.#second = seconds;
      this.#iso = new Date(seconds * 1000).toISOString().slice(0, -5);
    }
    out.text(this.#iso);
    putFraction(out, nanoseconds);
    out.text('Z');
  }
}

/** Writes seconds since 1970, with six decimals, or nine where the time is finer than microseconds. */
export function putTime(out: TextBuffer, seconds: number, nanoseconds: number): void {
  if (seconds < 0) out.text(String(seconds));
  else out.decimal(seconds);
  putFraction(out, nanoseconds);
}

/** {@link putTime} as a string. */
export function timeText({ seconds, nanoseconds }: Moment): string {
  return textOf((out) => putTime(out, seconds, nanoseconds));
}

/** Reads seconds since 1970 with up to nine decimals, as {@link putTime} writes them; `undefined` where it is no such text. */
export function readTime(text: string): Moment | undefined {
  const [, seconds, fraction = ''] = /^(-?\d{1,13})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (seconds === undefined) return undefined;
  return { seconds: Number(seconds), nanoseconds: Number(fraction.padEnd(9, '0')) };
}

/** Writes the seconds from one moment to another, with a sign where it is the earlier one; 0 where there is none. */
function putSince(out: TextBuffer, from: Moment | undefined, seconds: number, nanoseconds: number): void {
  let whole = from ? seconds - from.seconds : 0;
  let rest = from ? nanoseconds - from.nanoseconds : 0;
  if (whole < 0 || (whole === 0 && rest < 0)) {
    out.text('-');
    whole = -whole;
    rest = -rest;
  }
  if (rest < 0) {
    whole--;
    rest += GIGA;
  }
  putTime(out, whole, rest);
}

function putFraction(out: TextBuffer, nanoseconds: number): void {
  out.text('.');
  if (nanoseconds % 1000 !== 0) out.digits(nanoseconds, 9);
  else out.digits(nanoseconds / 1000, 6);
}
