/**
 * Every error this package throws.
 *
 * Throwing means that the program, its input or its host is wrong: a bad keys file, a capture that is not one,
 * a missing capability. A packet that must be dropped is not an error: the data plane gives it a verdict (see
 * `ipsec/drop.ts`).
 * @module
 */
import { safeText } from './safe-text.ts';

/** Longest part of a message that may come from a file, in characters. */
const MAX_TEXT = 1000;

/** Where reading a packet failed, precise enough to point at the byte in a hex dump. */
export interface Fault {
  /** Layer being read, e.g. `udp`. */
  readonly layer: string;
  /** Byte offset of the fault from the start of that layer. */
  readonly at: number;
  /** What is wrong, without the place: `header needs 8 bytes, has 3`. */
  readonly problem: string;
}

/** Base class. Match on {@link code}, never on the message. */
export class EsplaneError extends Error {
  override readonly name: string = 'EsplaneError';
  /** Stable identifier, `ERR_…`. Part of the public API: renaming one is a breaking change. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Bytes that cannot be what the caller said they are. */
export class WireError extends EsplaneError {
  override readonly name = 'WireError';
  readonly fault: Fault;

  constructor(fault: Fault) {
    super('ERR_WIRE', `${fault.layer}: ${fault.problem}, at byte ${fault.at} of the ${fault.layer} part`);
    this.fault = fault;
  }
}

/** Where in which input the trouble is. */
export interface Place {
  /** File name as the user gave it, `-` for standard input, or a short description. */
  readonly source: string;
  /** 1-based line of a text. */
  readonly line?: number;
  /** Byte offset from the start of a binary file. */
  readonly byte?: number;
}

/**
 * Input that cannot be used: one line that names the place, what is wrong and what to do. Never holds keys.
 * The command line prints it and exits with 2.
 */
export class InputError extends EsplaneError {
  override readonly name = 'InputError';
  readonly place: Place;
  /** As given. */
  readonly problem: string;
  readonly remedy: string;

  /**
   * Texts of a file may be part of all three: what a terminal would act on is escaped, and what is too long is cut.
   * @param problem what is wrong, lower case, no full stop
   * @param remedy what the reader can do, one imperative sentence
   */
  constructor(place: Place, problem: string, remedy: string, options?: ErrorOptions) {
    super('ERR_INPUT', `${shown(placeText(place))}: ${shown(problem)}. ${shown(remedy)}`, options);
    this.place = place;
    this.problem = problem;
    this.remedy = remedy;
  }
}

/** `file:12` for a line, `file at byte 0x1a2 (418)` for an offset. */
function placeText(place: Place): string {
  if (place.line !== undefined) return `${place.source}:${place.line}`;
  if (place.byte !== undefined) return `${place.source} at byte ${place.byte}`;
  return place.source;
}

function shown(text: string): string {
  return safeText(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
}
