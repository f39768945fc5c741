/**
 * The packets that a receiver opens together.
 * @module
 */
import type { Engine } from '../crypto/engine.ts';
import { Decapsulator } from '../ipsec/decapsulate.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { type Batch, LentBatch, ON, PASS } from '../wire/packet.ts';
import type { Aggregate } from './aggregate.ts';
import type { EspStream } from './esp-stream.ts';
import { Carrier } from './find-esp.ts';
import type { StreamTable } from './stream-table.ts';

const NOTHING = new Uint8Array(0);
/** Bytes that are made room for at first. */
const COPIES = 1 << 16;

/** The ends of packets that no source has an SA for, and what is known of the receiver. */
export interface Stranger {
  readonly src: string;
  readonly dst: string;
  /** Its kernel has the SA, and the text does not show the key. */
  readonly isHidden: boolean;
  /** Its text says which SAs it has. */
  readonly isTold: boolean;
  /** Any source has SAs that end there. */
  readonly hasSas: boolean;
}

/** Packets that wait together, and what an event needs to know of each. */
export class EspLane {
  batch: Batch;
  readonly #decapsulator: Decapsulator;
  readonly isLent: boolean;
  /** Differs from that of every other batch of any lane. */
  number = 0;
  /** Packets of the batch that have been opened. */
  ran = 0;
  readonly stream: (EspStream | undefined)[];
  readonly frame: Float64Array;
  readonly seconds: Float64Array;
  readonly nanoseconds: Uint32Array;
  readonly hasTime: Uint8Array;
  readonly carrier: Carrier[];
  readonly src: string[];
  /** Where the packet lay in the slab before it was opened. */
  readonly from: Uint32Array;
  /** The packet as it came: `wire[i][ipAt..ipEnd)`; ESP in it. */
  readonly wire: Uint8Array[];
  readonly ipAt: Uint32Array;
  readonly ipEnd: Uint32Array;
  readonly espAt: Uint32Array;
  readonly espEnd: Uint32Array;
  /** Had anything of its stream authenticated, it included? */
  readonly isProven: Uint8Array;
  /** Payloads of IP-TFS: what became of them. */
  readonly iptfs: (Aggregate | undefined)[];
  readonly openedBy: (SaConfig | undefined)[];
  /** The SA that it is opened with, and where there is none, what is known instead. */
  readonly sa: (SecurityAssociation | undefined)[];
  readonly stranger: (Stranger | undefined)[];
  /** Bytes that are about to be overwritten, of packets that may be tried again. */
  #copies = new Uint8Array(0);
  #copied = 0;

  constructor(batch: Batch, streams: StreamTable<EspStream>, engine: Engine, ports: readonly number[]) {
    const { capacity } = batch;
    this.batch = batch;
    this.isLent = batch instanceof LentBatch;
    this.#decapsulator = new Decapsulator(streams, engine, capacity, ports);
    this.stream = new Array<EspStream | undefined>(capacity).fill(undefined);
    this.frame = new Float64Array(capacity);
    this.seconds = new Float64Array(capacity);
    this.nanoseconds = new Uint32Array(capacity);
    this.hasTime = new Uint8Array(capacity);
    this.carrier = new Array<Carrier>(capacity).fill(Carrier.NONE);
    this.src = new Array<string>(capacity).fill('');
    this.from = new Uint32Array(capacity);
    this.wire = new Array<Uint8Array>(capacity).fill(NOTHING);
    this.ipAt = new Uint32Array(capacity);
    this.ipEnd = new Uint32Array(capacity);
    this.espAt = new Uint32Array(capacity);
    this.espEnd = new Uint32Array(capacity);
    this.isProven = new Uint8Array(capacity);
    this.iptfs = new Array<Aggregate | undefined>(capacity).fill(undefined);
    this.openedBy = new Array<SaConfig | undefined>(capacity).fill(undefined);
    this.sa = new Array<SecurityAssociation | undefined>(capacity).fill(undefined);
    this.stranger = new Array<Stranger | undefined>(capacity).fill(undefined);
  }

  /** Keeps the bytes of packet `i`, which will be overwritten. */
  keepWire(i: number): void {
    const at = this.ipAt[i]!;
    const end = this.ipEnd[i]!;
    const to = this.#copied;
    if (to + end - at > this.#copies.length) {
      // What was kept before stays where it is, in the array that it is in.
      this.#copies = new Uint8Array(Math.max(COPIES, 2 * this.#copies.length, end - at));
      this.#copied = 0;
      this.keepWire(i);
      return;
    }
    this.#copies.set(this.wire[i]!.subarray(at, end), to);
    this.wire[i] = this.#copies;
    this.ipAt[i] = to;
    this.ipEnd[i] = to + end - at;
    this.espAt[i] = this.espAt[i]! - at + to;
    this.espEnd[i] = this.espEnd[i]! - at + to;
    this.#copied = to + end - at;
  }

  /** Puts packet `i` back into the batch as it came. */
  restore(i: number): void {
    const { batch } = this;
    const from = this.from[i]!;
    batch.slab.set(this.wire[i]!.subarray(this.ipAt[i]!, this.ipEnd[i]!), from);
    batch.offset[i] = from;
    batch.length[i] = this.ipEnd[i]! - this.ipAt[i]!;
    batch.verdict[i] = PASS;
    batch.next[i] = ON;
  }

  /** Opens packets `from` to `to - 1`. */
  open(from: number, to: number): void {
    this.#decapsulator.run(this.batch, from, to);
  }

  clear(): void {
    // The arrays that frames lay in may be large.
    this.wire.fill(NOTHING, 0, this.batch.count);
    this.batch.clear();
    this.ran = 0;
    this.#copied = 0;
  }
}
