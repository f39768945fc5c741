/**
 * A packet of the page, as it was sent or with bits flipped, and all that the chapter of bytes shows of it.
 * @module
 */
import type { Explanation } from '../../inspect/explain/tree.ts';
import { explainPacket, type PagePacket } from '../packets/page-packet.ts';
import { type Fate, fateOf } from './fate.ts';
import { altered, type Flip, mend } from './flip.ts';
import { type Place, placesOf } from './places.ts';

/** A packet as it was sent. */
export interface Sent {
  readonly packet: PagePacket;
  readonly explanation: Explanation;
  readonly places: readonly Place[];
}

/** The same, as it arrives. */
export interface Arrived {
  readonly bytes: Uint8Array;
  readonly explanation: Explanation;
  readonly places: readonly Place[];
  /** Bytes that are not as they were sent: those flipped, and checksums mended. */
  readonly isChanged: (at: number) => boolean;
  readonly fate: Fate | undefined;
}

/** Explains a packet. */
export function send(packet: PagePacket): Sent {
  const explanation = explainPacket(packet);
  return { packet, explanation, places: placesOf(explanation.packet) };
}

/**
 * Flips bits on the way and sees what comes of it.
 * @param isMended whether checksums are put right after it
 */
export function arriveWith(sent: Sent, flips: readonly Flip[], isMended: boolean): Arrived {
  const { packet } = sent;
  const real = packet.shown.bytes;
  if (flips.length === 0) return { ...sent, bytes: real, isChanged: () => false, fate: undefined };
  const bytes = altered(real, flips);
  if (isMended) mend(sent.explanation.packet, bytes, flips);
  const explanation = explainPacket(packet, bytes);
  const security = explanation.packet.layers.find((layer) => layer.security)?.security;
  return {
    bytes,
    explanation,
    places: placesOf(explanation.packet),
    isChanged: (at) => bytes[at] !== real[at],
    fate: fateOf(packet, sent.places, bytes, flips, security),
  };
}
