/**
 * Flows on their way from a node to their reader: rows of numbers in one buffer, so that to write one down
 * allocates nothing, and to hand many on is one copy.
 *
 * ```text
 *   0  f64  time, ms              24 u32  source identity        52 u32 length, bytes
 *   8  u16  node, by its name     28 u32  destination identity   56 16 B source address
 *  10  u16  peer, 0 for none      32 u32  SPI                    72 16 B destination address
 *  12  u8   point, POINT          36 u32  sequence number, high  88 16 B outer source address
 *  13  u8   verdict               40 u32  sequence number, low  104 16 B outer destination address
 *  14  u16  what is known, HAS    44 u32  VNI
 *  16  u8   protocol              48 u8   trace reason, REASON
 *  17  u8   TCP flags, ICMP type  49 u8   direction, DIRECTION
 *  18  u8   TCP NS, ICMP code
 *  20  u16  source port, 22 u16 destination port; ICMP echo: both the identifier
 * ```
 * @module
 */

/** Bytes of a row. */
export const ROW = 120;
const WORDS = ROW / 4;

export const AT = {
  TIME: 0,
  NODE: 8,
  PEER: 10,
  POINT: 12,
  VERDICT: 13,
  HAS: 14,
  PROTOCOL: 16,
  FLAGS: 17,
  CODE: 18,
  SPORT: 20,
  DPORT: 22,
  SRC_IDENTITY: 24,
  DST_IDENTITY: 28,
  SPI: 32,
  SEQ_HI: 36,
  SEQ_LO: 40,
  VNI: 44,
  REASON: 48,
  DIRECTION: 49,
  LENGTH: 52,
  SRC: 56,
  DST: 72,
  OUTER_SRC: 88,
  OUTER_DST: 104,
} as const;

/** The known facts about a packet, as bits. */
export const HAS = {
  /** Addresses. */
  IP: 1,
  IPV6: 2,
  /** A whole header of the transport layer, of the protocol that the row names. */
  L4: 4,
  ENCRYPTED: 8,
  /** Whether it is a reply, in {@link AT.REASON}. */
  REASON: 16,
  /** SPI and sequence number. */
  ESP: 32,
  /** Addresses of the packet that carries it. */
  OUTER: 64,
  OUTER_IPV6: 128,
  /** It goes in VXLAN. */
  TUNNEL: 256,
} as const;

/** Observation points as `cilium-dbg monitor` numbers them, and a drop. */
export const POINT = {
  TO_ENDPOINT: 0,
  TO_STACK: 3,
  TO_OVERLAY: 4,
  FROM_ENDPOINT: 5,
  FROM_HOST: 7,
  FROM_OVERLAY: 9,
  FROM_NETWORK: 10,
  TO_NETWORK: 11,
  DROP: 0xff,
} as const;

/** `flow.TraceReason`. */
export const REASON = { UNKNOWN: 0, NEW: 1, ESTABLISHED: 2, REPLY: 3, RELATED: 4 } as const;

/** `flow.TrafficDirection`. */
export const DIRECTION = { UNKNOWN: 0, INGRESS: 1, EGRESS: 2 } as const;

export class FlowRows {
  readonly capacity: number;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  count = 0;
  readonly #words: Int32Array;

  constructor(capacity: number, buffer: ArrayBuffer = new ArrayBuffer(capacity * ROW)) {
    this.capacity = capacity;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.#words = new Int32Array(buffer);
  }

  /** The rows that {@link take} gave. */
  static of(buffer: ArrayBuffer): FlowRows {
    const rows = new FlowRows(buffer.byteLength / ROW, buffer);
    rows.count = rows.capacity;
    return rows;
  }

  /** Makes a row empty. Returns where it starts. */
  blank(row: number): number {
    this.#words.fill(0, row * WORDS, (row + 1) * WORDS);
    return row * ROW;
  }

  /** Copies a row of others to the end. Returns where it starts, or -1 when this is full. */
  push(from: FlowRows, row: number): number {
    if (this.count === this.capacity) return -1;
    const to = this.count++;
    for (let k = 0; k < WORDS; k++) this.#words[to * WORDS + k] = from.#words[row * WORDS + k]!;
    return to * ROW;
  }

  /** All rows in a buffer of their own; none are left. */
  take(): ArrayBuffer {
    const buffer = this.bytes.slice(0, this.count * ROW).buffer;
    this.count = 0;
    return buffer;
  }
}
