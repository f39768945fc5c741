/**
 * The one interface to ciphers: a table of jobs over a slab, sealed or opened in one call.
 *
 * A job is a row: which key, nonce, AAD, where the text lies in the slab and how long it is, how long the ICV
 * is. Nonce and AAD have tables of their own, because neither lies in the packet as the cipher wants it: the
 * nonce is salt ‖ IV, and under ESN the AAD is SPI ‖ high ‖ low although only SPI ‖ low is on the wire.
 *
 * ```text
 *            espAt        ivAt      textAt                 textAt + textLen
 *  … outer | SPI seq(lo) | IV     | payload pad len next | ICV            |
 * ```
 *
 * What each kind of suite takes from where:
 *
 * | cipher | authenticated | encrypted in place | IV |
 * |---|---|---|---|
 * | `aes-gcm`, `aes-ccm`, `chacha20-poly1305` | AAD row, then ciphertext | text | nonce row |
 * | `aes-gmac` (RFC 4543) | AAD row, then IV and text in the slab | nothing | nonce row |
 * | all others, with a MAC | slab from SPI to the end of the text, then the high half (AAD row 4..8) under ESN | text, but for `null` | in the slab before the text; `aes-ctr`: nonce row |
 *
 * `aes-ccm` has a salt of three bytes, and its nonce is the last 11 bytes of the row (RFC 4309 §4).
 *
 * Every backend works on the same table, so the conformance suite holds them to the same answers.
 * @module
 */
import type { KeyMaterial } from './suite.ts';

/** Bytes of a row in the nonce table: salt (4, or 0 and 3) and IV (8). */
export const NONCE_LEN = 12;
/** Bytes reserved for a row in the AAD table: SPI, and sequence number in 4 or, with ESN, 8 bytes. */
export const AAD_LEN = 12;

/** Job verdict: sealed, or opened with a good ICV. */
export const JOB_OK = 0;
/**
 * Job verdict: the ICV is wrong, or the key cannot serve the row, in either direction: nobody gave out this
 * handle, `icvLen` is not the suite's, header or text do not lie in the slab, a text in blocks is empty or not whole
 * blocks. What lies in the slab for this job, text and ICV, is then undefined: after `seal` it may be in the clear.
 */
export const JOB_BAD_ICV = 1;

/**
 * The columns of a {@link JobTable}, each with where it begins, for a row: the first six in words, of {@link JobTable.cells},
 * of which nonce and AAD have three a row; the last three in bytes, of {@link JobTable.tables}.
 */
export const JOB = {
  TEXT_AT: 0,
  TEXT_LEN: 1,
  KEY: 2,
  TAG: 3,
  NONCE: 4,
  AAD: 7,
  AAD_LEN: 40,
  ICV_LEN: 41,
  VERDICT: 42,
} as const;
const ROW_BYTES = 43;

/** What all rows of one SA have in common. Words are in network order (`netWord` in `base/bytes.ts`). */
export interface JobTemplate {
  /** Key handle, from {@link Engine.addKey}. */
  readonly key: number;
  readonly netSpi: number;
  /** Does the number in the AAD have 64 bits? */
  readonly esn: boolean;
  /** Bytes of ICV right after the text: the suite's. */
  readonly icvLen: number;
  /** First word of the nonce, where there is one. */
  readonly netSalt: number;
}

export class JobTable {
  readonly capacity: number;
  /**
   * All tables in one buffer, in the order textAt, textLen, key, tag, nonce, aad, aadLen, icvLen, verdict: the
   * native addon gets them as one (`native/src/cipher.cc`).
   */
  readonly tables: Uint8Array;
  /** The columns of 32 bits, nonces and AADs included, in one view: every further array costs its checks. */
  readonly cells: Int32Array;
  /** Key handle, from {@link Engine.addKey}. */
  readonly key: Int32Array;
  /** The caller's own number for this row, such as the packet's index in its batch. */
  readonly tag: Int32Array;
  /** {@link NONCE_LEN} bytes a row. */
  readonly nonce: Uint8Array;
  /** {@link AAD_LEN} bytes a row, of which {@link aadLen} count. */
  readonly aad: Uint8Array;
  /** 8, or 12 with ESN. AEAD suites take every length up to {@link AAD_LEN}, as public test vectors have them. */
  readonly aadLen: Uint8Array;
  readonly textAt: Uint32Array;
  readonly textLen: Uint32Array;
  /** Bytes of ICV right after the text: the suite's. */
  readonly icvLen: Uint8Array;
  /** {@link JOB_OK} or {@link JOB_BAD_ICV}, written by the engine. */
  readonly verdict: Uint8Array;
  /** Where columns begin, in {@link cells}, and the last two in {@link tables}: {@link JOB} for this capacity. */
  readonly at: Readonly<Record<'key' | 'tag' | 'nonce' | 'aad' | 'aadLen' | 'icvLen', number>>;
  /** Rows in use: 0 to count-1. */
  count = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.at = {
      ...{ key: JOB.KEY * capacity, tag: JOB.TAG * capacity, nonce: JOB.NONCE * capacity },
      ...{ aad: JOB.AAD * capacity, aadLen: JOB.AAD_LEN * capacity, icvLen: JOB.ICV_LEN * capacity },
    };
    const tables = new ArrayBuffer(capacity * ROW_BYTES);
    this.tables = new Uint8Array(tables);
    this.cells = new Int32Array(tables, 0, (capacity * JOB.AAD_LEN) / 4);
    const words = (column: number) => new Uint32Array(tables, capacity * column * 4, capacity);
    const bytes = (at: number, length: number) => new Uint8Array(tables, capacity * at, capacity * length);
    this.textAt = words(JOB.TEXT_AT);
    this.textLen = words(JOB.TEXT_LEN);
    this.key = new Int32Array(tables, capacity * JOB.KEY * 4, capacity);
    this.tag = new Int32Array(tables, capacity * JOB.TAG * 4, capacity);
    this.nonce = bytes(JOB.NONCE * 4, NONCE_LEN);
    this.aad = bytes(JOB.AAD * 4, AAD_LEN);
    this.aadLen = bytes(JOB.AAD_LEN, 1);
    this.icvLen = bytes(JOB.ICV_LEN, 1);
    this.verdict = bytes(JOB.VERDICT, 1);
  }

  /**
   * Adds a row for a text of ESP: where it lies, and its AAD: SPI ‖ number, under ESN SPI ‖ high ‖ low (RFC 4106 §5).
   * @param hi halves of the number as words in network order
   * @returns the row
   */
  addRow(of: JobTemplate, tag: number, textAt: number, textLen: number, hi: number, lo: number): number {
    const { capacity, cells, tables } = this;
    const row = this.count++;
    cells[row] = textAt;
    cells[capacity + row] = textLen;
    cells[JOB.KEY * capacity + row] = of.key;
    cells[JOB.TAG * capacity + row] = tag;
    const at = JOB.AAD * capacity + row * 3;
    cells[at] = of.netSpi;
    cells[at + 1] = of.esn ? hi : lo;
    cells[at + 2] = lo;
    tables[JOB.AAD_LEN * capacity + row] = of.esn ? 12 : 8;
    tables[JOB.ICV_LEN * capacity + row] = of.icvLen;
    return row;
  }

  /** Writes the nonce of a row: salt, then IV (RFC 4106 §4), as words in network order. */
  setNonce(row: number, salt: number, ivHi: number, ivLo: number): void {
    const { cells } = this;
    const at = this.capacity * JOB.NONCE + row * 3;
    cells[at] = salt;
    cells[at + 1] = ivHi;
    cells[at + 2] = ivLo;
  }
}

/** A cipher backend. One owner: an engine and its keys belong to one thread. */
export interface Engine {
  /** `noble` or `node`; `openssl` and `ipsec-mb` come with the addon. */
  readonly name: string;
  /**
   * Prepares a key. The engine copies what it needs: wiping the material later does not reach it.
   * @returns a handle for {@link JobTable.key}
   * @throws {EsplaneError} `ERR_SUITE` when this backend does not have the suite
   */
  addKey(material: KeyMaterial): number;
  /** Forgets a key and wipes its copy. The handle may be given out again. */
  removeKey(handle: number): void;
  /** Encrypts in place, writes the ICV after the text, and a verdict per row 0 to `jobs.count - 1`. Never throws. */
  seal(slab: Uint8Array, jobs: JobTable): void;
  /** Verifies the ICV (in constant time), decrypts in place, and writes a verdict per row. Never throws. */
  open(slab: Uint8Array, jobs: JobTable): void;
}
