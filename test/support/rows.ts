/**
 * Packets for cipher engines: lays them out in a slab of 0xa5 with a job table, as encapsulation would.
 * @module
 */
import { expect } from 'vitest';
import { equalBytes, putU32, toHex } from '../../src/base/bytes.ts';
import { AAD_LEN, type Engine, JobTable, NONCE_LEN } from '../../src/crypto/engine.ts';
import type { KeyMaterial, Suite } from '../../src/crypto/suite.ts';

/** What one row is made from. `head` is what lies in the slab before the text: SPI, sequence number, IV. */
export interface Packet {
  readonly suite: Suite;
  readonly key: number;
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
  readonly head: Uint8Array;
  readonly text: Uint8Array;
  /** For a packet that is already sealed. */
  readonly icv?: Uint8Array;
}

/** Sequence number of a packet; `hi` makes it an extended one. */
export interface Number64 {
  readonly hi?: number;
  readonly lo: number;
}

/** A packet of ESP under `material`: nonce and AAD as the RFCs of its suite say. */
export function espPacket(
  material: KeyMaterial,
  key: number,
  spi: number,
  { hi, lo }: Number64,
  iv: Uint8Array,
  text: Uint8Array,
  icv?: Uint8Array,
): Packet {
  const head = new Uint8Array(8 + iv.length);
  putU32(head, 0, spi);
  putU32(head, 4, lo);
  head.set(iv, 8);
  const aad = new Uint8Array(hi === undefined ? 8 : 12);
  putU32(aad, 0, spi);
  if (hi !== undefined) putU32(aad, 4, hi);
  putU32(aad, aad.length - 4, lo);
  const nonce = new Uint8Array(NONCE_LEN);
  const salt = material.salt();
  nonce.set(salt, 4 - salt.length);
  nonce.set(iv.subarray(0, 8), 4);
  return { suite: material.suite, key, nonce, aad, head, text, ...(icv && { icv }) };
}

/** Packets in a slab, with odd gaps between them so that nothing is aligned. */
export class Rows {
  readonly slab: Uint8Array;
  readonly jobs: JobTable;

  constructor(
    packets: readonly Packet[],
    buffer: (bytes: number) => ArrayBufferLike = (n) => new ArrayBuffer(n),
  ) {
    const gap = 13;
    let bytes = gap;
    for (const p of packets) bytes += p.head.length + p.text.length + p.suite.icvLen + gap;
    this.slab = new Uint8Array(buffer(bytes)).fill(0xa5);
    this.jobs = new JobTable(packets.length);
    this.jobs.verdict.fill(0xa5);
    let at = gap;
    packets.forEach((p, row) => {
      const textAt = at + p.head.length;
      this.slab.set(p.head, at);
      this.slab.set(p.text, textAt);
      if (p.icv) this.slab.set(p.icv, textAt + p.text.length);
      this.jobs.key[row] = p.key;
      this.jobs.nonce.set(p.nonce, row * NONCE_LEN);
      this.jobs.aad.fill(0xa5, row * AAD_LEN, (row + 1) * AAD_LEN);
      this.jobs.aad.set(p.aad, row * AAD_LEN);
      this.jobs.aadLen[row] = p.aad.length;
      this.jobs.textAt[row] = textAt;
      this.jobs.textLen[row] = p.text.length;
      this.jobs.icvLen[row] = p.suite.icvLen;
      at = textAt + p.text.length + p.suite.icvLen + gap;
    });
    this.jobs.count = packets.length;
  }

  /** The text of a row, as a view. */
  text(row: number): Uint8Array {
    const at = this.jobs.textAt[row]!;
    return this.slab.subarray(at, at + this.jobs.textLen[row]!);
  }

  /** The ICV of a row, as a view. */
  icv(row: number): Uint8Array {
    const at = this.jobs.textAt[row]! + this.jobs.textLen[row]!;
    return this.slab.subarray(at, at + this.jobs.icvLen[row]!);
  }

  /** The slab with text and ICV of every row blanked: what no engine may touch. */
  outside(): Uint8Array {
    const copy = this.slab.slice();
    for (let row = 0; row < this.jobs.count; row++) {
      const at = this.jobs.textAt[row]!;
      copy.fill(0, at, at + this.jobs.textLen[row]! + this.jobs.icvLen[row]!);
    }
    return copy;
  }

  seal(engine: Engine): this {
    engine.seal(this.slab, this.jobs);
    return this;
  }

  open(engine: Engine): this {
    engine.open(this.slab, this.jobs);
    return this;
  }

  verdicts(): number[] {
    return [...this.jobs.verdict.subarray(0, this.jobs.count)];
  }
}

/** Expects the same bytes; much quicker than `toEqual` on a whole slab. */
export function expectBytes(got: Uint8Array, want: Uint8Array, why = 'bytes'): void {
  if (!equalBytes(got, want)) expect(toHex(got), why).toBe(toHex(want));
}
