/**
 * A packet as a tree of fields: plain data, the same for the command line, for JSON and for a web page.
 *
 * ```text
 *  Packet (bytes)                    layers tile the bytes
 *   ├─ Field eth                     fields tile their layer
 *   │   ├─ Field eth.dst
 *   │   …
 *   ├─ Field ip
 *   │   ├─ Field ip.version_len      shares a byte: its children tile the bits
 *   │   …
 *   └─ Field esp
 *       ├─ Field esp.contained_data ── inner: Packet (other bytes: what came out of ESP)
 *       …
 * ```
 *
 * Ranges count in the bytes of the packet that the field stands in. Nothing overlaps and nothing is left out: bytes
 * that cannot be read are fields too. {@link untiled} checks it.
 * @module
 */
import type { EspSecurity } from './security.ts';

/**
 * What ESP does for these bytes on the wire: vouches for them, hides them, both, or neither. `unknown` where only the
 * SA could say, and there is none. What is inside ESP inherits from what carried it.
 */
export type Protection = 'none' | 'authenticated' | 'encrypted' | 'both' | 'unknown';

/** A layer, a group of fields, or one field. */
export interface Field {
  /**
   * Stable name: Wireshark's, where it has one. The exception is `esp.seq`, its `esp.sequence`.
   */
  readonly id: string;
  readonly label: string;
  /** First byte, in the bytes of the packet. */
  readonly at: number;
  /** Behind the last byte. */
  readonly end: number;
  /** For a part of bytes that it shares: bits below it in `[at, end)`, read as one big-endian number, and bits it has. */
  readonly bits?: readonly [shift: number, width: number];
  /** As a program wants it: what is on the wire, unscaled; addresses as text. Null for layers, groups and bare bytes. */
  readonly value: number | string | null;
  /** The value for people. */
  readonly text: string;
  /** What the field is for, in a sentence or two. */
  readonly meaning: string;
  /** Where to read on: `RFC 4303 §2.2`. */
  readonly reference: string;
  readonly protection: Protection;
  /** What is wrong with it, or why reading stopped here. */
  readonly problem?: string;
  /** What the bytes were before encryption, in hexadecimal. */
  readonly clear?: string;
  /** The packet that came out of these bytes: decrypted, or put together from fragments. */
  readonly inner?: Packet;
  /** On an ESP layer: SA, window, nonce, verdict. */
  readonly security?: EspSecurity;
  /** Empty for one field. */
  readonly children: readonly Field[];
}

/** Bytes and what they mean. */
export interface Packet {
  readonly origin: 'frame' | 'reassembled' | 'decrypted';
  /** Hexadecimal. */
  readonly bytes: string;
  readonly layers: readonly Field[];
}

/** Where reading a packet stopped. */
export interface Stop {
  readonly origin: Packet['origin'];
  /** Byte in the packet. */
  readonly at: number;
  /** Id of the field that could not be read on. */
  readonly id: string;
  readonly problem: string;
}

/** Everything that there is to say about one frame. */
export interface Explanation {
  /** 1-based number in its capture; null for bytes without one. */
  readonly frame: number | null;
  /** Seconds since 1970; null where nothing says it. */
  readonly time: string | null;
  /** As a `LINKTYPE_` number. */
  readonly linkType: number;
  /** Bytes on the wire; more than there are here where the capture had a limit. */
  readonly originalLength: number;
  readonly packet: Packet;
  /** Every place where reading stopped, in this packet and those inside. */
  readonly stops: readonly Stop[];
}

/** Every field of a packet and of the packets in it, depth first, with the packet it stands in. */
export function* walkFields(packet: Packet): Generator<{ field: Field; packet: Packet; depth: number }> {
  function* down(fields: readonly Field[], depth: number): ReturnType<typeof walkFields> {
    for (const field of fields) {
      yield { field, packet, depth };
      yield* down(field.children, depth + 1);
      if (field.inner) {
        for (const found of walkFields(field.inner)) yield { ...found, depth: found.depth + depth + 1 };
      }
    }
  }
  yield* down(packet.layers, 0);
}

/**
 * Checks that the fields of a packet, and of all packets in it, tile its bytes: no gap, no overlap, no byte or bit
 * explained twice.
 * @returns what is wrong first, or `undefined`
 */
export function untiled(packet: Packet): string | undefined {
  return (
    gap(packet.layers, 0, packet.bytes.length / 2, packet.origin) ??
    firstOf(packet.layers, (layer) => untiledField(layer))
  );
}

function untiledField(field: Field): string | undefined {
  const { children, inner } = field;
  let wrong: string | undefined;
  if (children.some((child) => child.bits)) wrong = bitGap(field);
  else if (children.length > 0) wrong = gap(children, field.at, field.end, field.id);
  return wrong ?? firstOf(children, untiledField) ?? (inner && untiled(inner));
}

function gap(fields: readonly Field[], from: number, to: number, where: string): string | undefined {
  let at = from;
  for (const field of fields) {
    if (field.at !== at) return `${where}: ${field.id} starts at ${field.at}, not ${at}`;
    if (field.end <= field.at) return `${where}: ${field.id} is empty`;
    at = field.end;
  }
  return at === to ? undefined : `${where}: ends at ${at}, not ${to}`;
}

function bitGap({ id, at, end, children }: Field): string | undefined {
  let left = (end - at) * 8;
  for (const child of children) {
    const [shift, width] = child.bits ?? [0, 0];
    if (child.at !== at || child.end !== end) return `${id}: ${child.id} is of other bytes`;
    if (width === 0 || shift + width !== left) return `${id}: ${child.id} does not start at bit ${left}`;
    left = shift;
  }
  return left === 0 ? undefined : `${id}: ${left} bits are left`;
}

function firstOf(fields: readonly Field[], check: (field: Field) => string | undefined): string | undefined {
  for (const field of fields) {
    const wrong = check(field);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
