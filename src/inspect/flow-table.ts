/**
 * What was worked out for a flow: packets of one come again and again, and IPv6 addresses alone take longer to write than a
 * packet to decrypt.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import type { InnerPacket } from './diagnose/inner.ts';

/** Flows that are remembered. Those of an attacker make room for others, and nothing else. */
const SIZE = 1 << 12;
/** Words of a key: two addresses, ports and protocol. */
const WORDS = 10;

export class FlowTable<T> {
  readonly #keys = new Uint32Array(WORDS * SIZE);
  readonly #values: (T | undefined)[] = new Array(SIZE).fill(undefined);
  readonly #key = new Uint32Array(WORDS);

  /** What was put for the flow of a packet, if it is remembered. To be followed by {@link put} where not. */
  of(packet: InnerPacket): T | undefined {
    const { b, srcAt, dstAt, addressLen, ports, protocol } = packet;
    const key = this.#key;
    key[0] = u32(b, srcAt);
    key[1] = u32(b, dstAt);
    if (addressLen === 16) {
      for (let i = 1; i < 4; i++) {
        key[2 * i] = u32(b, srcAt + 4 * i);
        key[2 * i + 1] = u32(b, dstAt + 4 * i);
      }
    } else key.fill(0, 2, 8);
    key[8] = ports;
    // No protocol but one of TCP, UDP and SCTP has ports, and these may be without: fragments.
    key[9] = protocol | (ports < 0 ? 0x100 : 0) | (addressLen << 9);
    const at = WORDS * this.#slot();
    for (let i = 0; i < WORDS; i++) if (this.#keys[at + i] !== key[i]) return undefined;
    return this.#values[at / WORDS];
  }

  /** Remembers a value for the flow that {@link of} was asked for last. */
  put(value: T): T {
    const slot = this.#slot();
    this.#keys.set(this.#key, WORDS * slot);
    this.#values[slot] = value;
    return value;
  }

  #slot(): number {
    const key = this.#key;
    let hash = 0;
    for (let i = 0; i < WORDS; i++) hash = Math.imul(hash ^ key[i]!, 0x9e37_79b1);
    return hash >>> 20;
  }
}
