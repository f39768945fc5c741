/**
 * An obvious sender in IP-TFS (RFC 9347 §2.2): inner packets one behind the other, cut into payloads.
 * @module
 */
import { putU16 } from '../../src/base/bytes.ts';

export interface SentPayload {
  readonly bytes: Uint8Array;
  /** Which of the inner packets are whole once this has come, and all before it. */
  readonly ends: readonly number[];
}

export interface SenderOptions {
  /** Bytes of the next payload behind its header. */
  readonly size: () => number;
  /** Fill the rest of a payload with padding, rather than begin a packet in it? */
  readonly pads?: () => boolean;
  /** Send a payload of padding alone in between? */
  readonly idles?: () => boolean;
  /** Sub-type 1, with congestion control. */
  readonly congestion?: boolean;
}

/** The payloads that carry these packets. */
export function payloadsOf(
  packets: readonly Uint8Array[],
  { size, pads = () => false, idles = () => false, congestion = false }: SenderOptions,
): SentPayload[] {
  const headerLen = congestion ? 24 : 4;
  const sent: SentPayload[] = [];
  let k = 0;
  let done = 0;
  while (k < packets.length) {
    const room = Math.max(1, size());
    const bytes = new Uint8Array(headerLen + room);
    bytes[0] = congestion ? 1 : 0;
    if (sent.length > 0 && idles()) {
      sent.push({ bytes, ends: [] });
      continue;
    }
    putU16(bytes, 2, done > 0 ? packets[k]!.length - done : 0);
    const ends: number[] = [];
    let at = headerLen;
    while (at < bytes.length && k < packets.length) {
      // A pause between two packets only: what comes in between would be taken for the rest of the first.
      if (done === 0 && at > headerLen && pads()) break;
      const piece = packets[k]!.subarray(done, done + bytes.length - at);
      bytes.set(piece, at);
      at += piece.length;
      done += piece.length;
      if (done < packets[k]!.length) continue;
      ends.push(k++);
      done = 0;
    }
    sent.push({ bytes, ends });
  }
  return sent;
}

/** An order of `count` payloads in which none comes more than `window` numbers early. The first comes first. */
export function withinWindow(count: number, window: number, below: (n: number) => number): number[] {
  const left = Array.from({ length: count }, (_, i) => i);
  const order = left.splice(0, 1);
  while (left.length > 0) {
    const reach = left.filter((n) => n - left[0]! <= window);
    order.push(...left.splice(left.indexOf(reach[below(reach.length)]!), 1));
  }
  return order;
}
