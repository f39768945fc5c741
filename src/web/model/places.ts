/**
 * Where each field of an explained packet lies in the frame: what the hex grid and the field tree have in common.
 *
 * Fields of the packet inside ESP count in bytes of their own. Encryption keeps lengths, so what came out of a byte on
 * the wire stands at the same place; here all fields are counted in the frame.
 * @module
 */
import { fromHex, toHex } from '../../base/bytes.ts';
import type { Field, Packet, Protection } from '../../inspect/explain/tree.ts';

/** A field and its bytes in the frame. */
export interface Place {
  /** The field's id, for its address; its second appearance is `ip.ttl~2`. */
  readonly name: string;
  readonly field: Field;
  /** First byte in the frame. */
  readonly at: number;
  /** Behind the last byte. */
  readonly end: number;
  /** 0 for layers of the frame itself. */
  readonly depth: number;
  /** The place it stands in; `undefined` for layers of the frame. */
  readonly parent: Place | undefined;
  /** Does it stand in what came out of ESP? */
  readonly isInner: boolean;
}

/** Every field of the frame and of what is in it, depth first. */
export function placesOf(packet: Packet): Place[] {
  const places: Place[] = [];
  const seen = new Map<string, number>();
  const down = (fields: readonly Field[], base: number, parent: Place | undefined, isInner: boolean) => {
    for (const field of fields) {
      const count = (seen.get(field.id) ?? 0) + 1;
      seen.set(field.id, count);
      const place = {
        name: count === 1 ? field.id : `${field.id}~${count}`,
        field,
        at: base + field.at,
        end: base + field.end,
        depth: parent ? parent.depth + 1 : 0,
        parent,
        isInner,
      };
      places.push(place);
      down(field.children, base, place, isInner);
      if (field.inner && liesThere(field)) down(field.inner.layers, place.at, place, true);
    }
  };
  down(packet.layers, 0, undefined, false);
  return places;
}

/** Is the inner packet what came out of exactly these bytes? Not so in transport mode, and for fragments. */
function liesThere({ inner, at, end }: Field): boolean {
  return inner!.origin === 'decrypted' && inner!.bytes.length === 2 * (end - at);
}

/** The smallest field that has the byte; of fields that share it, what they stand in. */
export function placeAt(places: readonly Place[], at: number): Place | undefined {
  let found: Place | undefined;
  for (const place of places) {
    if (place.field.bits || at < place.at || at >= place.end) continue;
    if (!found || place.end - place.at <= found.end - found.at) found = place;
  }
  return found;
}

/** What ESP does for each byte of the frame. */
export function protectionOf(packet: Packet): Protection[] {
  const protection: Protection[] = new Array(packet.bytes.length / 2).fill('none');
  const down = (fields: readonly Field[]) => {
    for (const field of fields) {
      if (field.children.length === 0 || field.children[0]!.bits)
        protection.fill(field.protection, field.at, field.end);
      else down(field.children);
    }
  };
  down(packet.layers);
  return protection;
}

/** The frame with what is encrypted in the clear, where it could be opened. */
export function clearBytes(packet: Packet): Uint8Array {
  const bytes = fromHex(packet.bytes)!;
  for (const { field, at, isInner } of placesOf(packet)) {
    if (field.clear !== undefined && !isInner) bytes.set(fromHex(field.clear)!, at);
  }
  return bytes;
}

/** Two digits. */
export function byteText(b: Uint8Array, at: number): string {
  return toHex(b, at, at + 1);
}
