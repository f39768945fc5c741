/**
 * The field map of a header: one table that codec, dissector and the lab's page share.
 *
 * Every `wire/` module has one, named `FIELDS`, in wire order. A test holds that it tiles the fixed header
 * without gap or overlap and agrees with the accessors.
 * @module
 */

/** One field of a fixed header. */
export interface FieldSpec {
  /** The field's name, which is also its accessor's. */
  readonly name: string;
  /** Byte offset from the start of the header. */
  readonly at: number;
  /** Bytes that the field lies in. */
  readonly len: number;
  /**
   * For a field that shares its bytes with others: bits below it in those bytes, read as one big-endian number,
   * and bits it has.
   */
  readonly bits?: readonly [shift: number, width: number];
  /** What the field is for, in one or two sentences. */
  readonly about: string;
}

/**
 * Reads a field as an unsigned number, from its map alone: what lies on the wire, without scaling.
 *
 * Slower than the field's accessor; it serves code that walks a map.
 * @param at where the header starts
 * @returns NaN when the field is wider than 32 bits, such as an address
 */
export function fieldNumber(spec: FieldSpec, b: Uint8Array, at = 0): number {
  if (spec.len > 4) return Number.NaN;
  let v = 0;
  for (let i = 0; i < spec.len; i++) v = v * 256 + b[at + spec.at + i]!;
  if (!spec.bits) return v;
  const [shift, width] = spec.bits;
  return Math.floor(v / 2 ** shift) % 2 ** width;
}
