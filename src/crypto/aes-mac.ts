/**
 * MACs of AES: XCBC (RFC 3566, 4434) and CMAC (RFC 4493, 4494). Both are the last block of CBC without an IV, where the last
 * block of the message is XORed with a key of its own: one for a whole block, another for one that had to be padded. They
 * differ in how these keys are made.
 * @module
 */
import type { KeyedMac } from './encrypt-then-mac.ts';

const BLOCK = 16;

/** AES in CBC with an IV of zeros, over whole blocks. */
export type ZeroCbc = (text: Uint8Array) => Uint8Array;

interface Keys {
  readonly cbc: ZeroCbc;
  readonly whole: Uint8Array;
  readonly padded: Uint8Array;
}

/** One of the two, with its key. */
export class AesMac implements KeyedMac {
  readonly #keys: Keys;

  /** @param cbcOf makes a cipher of a key of 16, 24 or 32 bytes; it keeps a copy, for the key it is given is wiped */
  constructor(kind: 'aes-xcbc' | 'aes-cmac', key: Uint8Array, cbcOf: (key: Uint8Array) => ZeroCbc) {
    this.#keys = kind === 'aes-xcbc' ? xcbcKeys(key, cbcOf) : cmacKeys(key, cbcOf);
  }

  tag(covered: Uint8Array, high: Uint8Array | undefined): Uint8Array {
    const { cbc, whole, padded } = this.#keys;
    const length = covered.length + (high?.length ?? 0);
    const message = new Uint8Array(Math.max(1, Math.ceil(length / BLOCK)) * BLOCK);
    message.set(covered);
    if (high) message.set(high, covered.length);
    const isWhole = length === message.length;
    if (!isWhole) message[length] = 0x80;
    const own = isWhole ? whole : padded;
    const last = message.length - BLOCK;
    for (let i = 0; i < BLOCK; i++) message[last + i]! ^= own[i]!;
    return cbc(message).slice(last);
  }

  wipe(): void {
    this.#keys.whole.fill(0);
    this.#keys.padded.fill(0);
  }
}

/** RFC 3566 §4: all three keys are encrypted constants. */
function xcbcKeys(key: Uint8Array, cbcOf: (key: Uint8Array) => ZeroCbc): Keys {
  const derive = cbcOf(key);
  const constant = (byte: number) => derive(new Uint8Array(BLOCK).fill(byte)).slice();
  const own = constant(1);
  const cbc = cbcOf(own);
  own.fill(0);
  return { cbc, whole: constant(2), padded: constant(3) };
}

/** RFC 4493 §2.3: an encrypted zero, doubled once and twice in GF(2^128). */
function cmacKeys(key: Uint8Array, cbcOf: (key: Uint8Array) => ZeroCbc): Keys {
  const cbc = cbcOf(key);
  const whole = doubled(cbc(new Uint8Array(BLOCK)));
  return { cbc, whole, padded: doubled(whole) };
}

function doubled(block: Uint8Array): Uint8Array {
  const out = block.map((byte, i) => (byte << 1) | ((block[i + 1] ?? 0) >>> 7));
  if (block[0]! & 0x80) out[BLOCK - 1]! ^= 0x87;
  return out;
}
