/**
 * What the readers of the single protocols write into: one packet's layers as they are found, from the first byte to
 * the last.
 *
 * A reader takes `[at, end)` and covers all of it, by layers of its own and by handing the rest on.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import type { Aggregate } from '../aggregate.ts';
import type { EspSecurity } from './security.ts';
import type { Field, Packet, Protection, Stop } from './tree.ts';

/** More layers than this are taken for an attack: what is left is not read. */
const MAX_LAYERS = 48;

/** A field without what can be filled in. */
export interface Given {
  readonly id: string;
  readonly label: string;
  readonly at: number;
  readonly end: number;
  readonly bits?: readonly [shift: number, width: number] | undefined;
  readonly value?: number | string | null;
  readonly text?: string;
  readonly meaning: string;
  readonly reference: string;
  readonly protection?: Protection;
  readonly problem?: string | undefined;
  readonly clear?: string;
  readonly inner?: Packet | undefined;
  readonly security?: EspSecurity | undefined;
  readonly children?: readonly Field[];
}

/** What an ESP packet turned out to be. */
export interface OpenedEsp {
  readonly security: EspSecurity;
  /** Bytes of IV and ICV, and what the suite does, where the SA is known. */
  readonly shape:
    | { readonly ivLen: number; readonly icvLen: number; readonly hides: boolean; readonly vouches: boolean }
    | undefined;
  /** The clear text, trailer included, where the ICV is right, or no ICV vouches for it. */
  readonly text: Uint8Array | undefined;
  /** The packet that the kernel hands up, where the verdict is good. */
  readonly delivered: Uint8Array | undefined;
  /** In IP-TFS, where it was taken: what the receiver made of the payload. */
  readonly aggregate: Aggregate | undefined;
}

/** What a walk is told from outside. */
export interface WalkOptions {
  /** UDP ports that carry ESP beside 4500. */
  readonly udpPorts: readonly number[];
  /** Known facts about the ESP packet at `b[espAt..espEnd)`. */
  readonly opened?: (b: Uint8Array, espAt: number, espEnd: number) => OpenedEsp | undefined;
  /** The packet that the fragment in this frame has completed. */
  readonly reassembled?: Uint8Array | undefined;
}

/** The IP packet around an upper layer. */
export interface IpContext {
  readonly ipAt: number;
  /** Is all of the upper layer here, so that its checksum can be tried? */
  readonly whole: boolean;
  /** Is it what an ICMP error sends back, which ends early by design? */
  readonly quoted: boolean;
}

/** The readers that others hand over to. */
export interface Readers {
  link(w: Walker, linkType: number, at: number, end: number): void;
  etherType(w: Walker, type: number, at: number, end: number, frameAt: number): void;
  /** `frameAt` is where the Ethernet frame around it starts, -1 without. */
  ip(w: Walker, at: number, end: number, frameAt: number, quoted?: boolean): void;
  protocol(w: Walker, protocol: number, at: number, end: number, ip: IpContext): void;
}

export class Walker {
  readonly b: Uint8Array;
  readonly origin: Packet['origin'];
  readonly next: Readers;
  readonly options: WalkOptions;
  /** Of everything in this packet, by what carried it. */
  readonly protection: Protection;
  /** Shared by the walks of one frame. */
  readonly stops: Stop[];
  readonly #layers: Field[] = [];

  constructor(
    b: Uint8Array,
    origin: Packet['origin'],
    next: Readers,
    options: WalkOptions,
    stops: Stop[],
    protection: Protection = 'none',
  ) {
    this.b = b;
    this.origin = origin;
    this.next = next;
    this.options = options;
    this.stops = stops;
    this.protection = protection;
  }

  /** A walk over other bytes that came out of this packet. */
  inside(b: Uint8Array, origin: Packet['origin'], protection: Protection = this.protection): Walker {
    return new Walker(b, origin, this.next, this.options, this.stops, protection);
  }

  field(given: Given): Field {
    const { value = null, text = '', protection = this.protection, children = [] } = given;
    const { id, label, at, end, bits, meaning, reference, problem, clear, inner, security } = given;
    // Most fields have none of the rest. Written out, because there are a hundred of them for each packet.
    if (!bits && problem === undefined && clear === undefined && !inner && !security)
      return { id, label, at, end, value, text, meaning, reference, protection, children };
    const field: { -readonly [K in keyof Field]?: Field[K] } = { id, label, at, end };
    if (bits) field.bits = bits;
    field.value = value;
    field.text = text;
    field.meaning = meaning;
    field.reference = reference;
    field.protection = protection;
    if (problem !== undefined) field.problem = problem;
    if (clear !== undefined) field.clear = clear;
    if (inner) field.inner = inner;
    if (security) field.security = security;
    field.children = children;
    return field as Field;
  }

  /** Adds a layer. One without bytes is left out. */
  layer(given: Given): void {
    if (given.end > given.at) this.#layers.push(this.field(given));
  }

  /** Adds bytes of a protocol that is not read here. */
  data(at: number, end: number, given: Partial<Given> = {}): void {
    this.layer({
      id: 'data',
      label: 'Data',
      meaning: 'Bytes of a protocol that is not taken apart here.',
      reference: '',
      text: bytesText(end - at),
      ...given,
      at,
      end,
    });
  }

  /** Notes that reading stopped. */
  stop(at: number, id: string, problem: string): void {
    this.stops.push({ origin: this.origin, at, id, problem });
  }

  /** Adds the bytes that cannot be read, and notes why. Where there are none left, only the note. */
  unreadable(at: number, end: number, id: string, problem: string): void {
    this.stop(at, id, problem);
    this.data(at, end, {
      id: 'data',
      label: 'Not read',
      meaning: 'Reading stopped before these bytes.',
      problem,
    });
  }

  /** Is this too deep to go on? Then the rest has been covered. */
  tooDeep(at: number, end: number): boolean {
    if (this.#layers.length < MAX_LAYERS) return false;
    this.unreadable(at, end, 'data', `more than ${MAX_LAYERS} layers`);
    return true;
  }

  packet(): Packet {
    return { origin: this.origin, bytes: toHex(this.b), layers: this.#layers };
  }
}

/** `1 byte`, `20 bytes`. */
export function bytesText(n: number): string {
  return n === 1 ? '1 byte' : `${n} bytes`;
}
