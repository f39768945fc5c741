/**
 * What is known of one ESP packet of a capture: the event that a receiver hands to its sinks.
 * @module
 */
import { isAuthenticated } from '../crypto/suite.ts';
import { DROP, DROPS, type DropReason } from '../ipsec/drop.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { PASS } from '../wire/packet.ts';
import type { Aggregate } from './aggregate.ts';
import type { Basis } from './basis.ts';
import type { EspLane } from './esp-lane.ts';
import type { EspStream } from './esp-stream.ts';
import type { Carrier } from './find-esp.ts';

/** Drops of packets that had been opened by then: by code. */
const OPENED_DROPS = new Uint8Array(DROPS.length + 1);
for (const reason of [
  ...(['bad-padding', 'dummy', 'not-ip', 'inner-short', 'inner-header', 'inner-truncated'] as const),
  ...(['selector-mismatch', 'iptfs-short', 'iptfs-header', 'iptfs-block'] as const),
] satisfies DropReason[])
  OPENED_DROPS[DROP[reason]] = 1;

/** One ESP packet of the capture. The object is used again: copy what you keep. */
export class EspEvent {
  /** What the receiver makes of it: {@link PASS} or the row of the drop table. */
  verdict = PASS;
  /**
   * It was not opened, and what the receiver does with it is not known: no SA of that receiver is known at all, or its
   * own is not, and those at hand have opened nothing of the stream yet. {@link verdict} then says what failed here.
   */
  isUnopened = false;
  /** Whether the receiver's own kernel text says which SA it has. */
  basis: Exclude<Basis, 'seen'> = 'assumed';
  /** The SA that opened it, where that is not the receiver's own. */
  openedBy: SaConfig | undefined;
  /**
   * The verdict under {@link sa}. It is another than {@link verdict} only where the receiver's text has no SA for the
   * packet, and others do.
   */
  tried = PASS;
  /** The SAs of the ESP packets that it came out of directly, the outermost first. */
  around: readonly SaConfig[] = [];
  // The rest is read where it lies: most sinks ask for little of it.
  #lane!: EspLane;
  #i = 0;

  /** @internal */
  place(lane: EspLane, i: number): void {
    this.#lane = lane;
    this.#i = i;
    this.tried = lane.batch.verdict[i]!;
  }

  /** 1-based number of the frame that completed the packet. */
  get frame(): number {
    return this.#lane.frame[this.#i]!;
  }

  get seconds(): number {
    return this.#lane.seconds[this.#i]!;
  }

  get nanoseconds(): number {
    return this.#lane.nanoseconds[this.#i]!;
  }

  get hasTime(): boolean {
    return this.#lane.hasTime[this.#i] === 1;
  }

  /** Addresses of the IP header around ESP. */
  get src(): string {
    return this.#lane.src[this.#i]!;
  }

  get dst(): string {
    return (this.stream ?? this.#lane.stranger[this.#i]!).dst;
  }

  /** False where the packet is too short for SPI and number. */
  get hasSpi(): boolean {
    return this.#lane.batch.isEsp[this.#i] === 1;
  }

  get spi(): number {
    return this.#lane.batch.spi[this.#i]!;
  }

  get seqHi(): number {
    return this.#lane.batch.seqHi[this.#i]!;
  }

  get seqLo(): number {
    return this.#lane.batch.seqLo[this.#i]!;
  }

  /** What carried the IP packet. */
  get carrier(): Carrier {
    return this.#lane.carrier[this.#i]!;
  }

  /** The SA that it was opened with, or was to be; `undefined` where its key is not at hand. */
  get sa(): SecurityAssociation | undefined {
    if (this.stream?.resolution.atReceiver === 'other-key') return undefined;
    return this.#lane.sa[this.#i];
  }

  /** `undefined` where there is no SA for it. */
  get stream(): EspStream | undefined {
    return this.#lane.stream[this.#i];
  }

  /** Did an SA open it, whatever became of it then? */
  get isOpened(): boolean {
    return this.tried === PASS || OPENED_DROPS[this.tried] === 1;
  }

  /** Does an ICV vouch for what was opened? */
  get authenticated(): boolean {
    return this.isOpened && isAuthenticated(this.sa!.suite);
  }

  /** The clear packet, `bytes[at..end)`, where {@link tried} is {@link PASS}. */
  get bytes(): Uint8Array {
    return this.#lane.batch.slab;
  }

  get at(): number {
    return this.#lane.batch.offset[this.#i]!;
  }

  get end(): number {
    return this.at + this.#lane.batch.length[this.#i]!;
  }

  /** In IP-TFS what is in it, and what came out; {@link at} and {@link end} are then those of the packet around ESP. */
  get aggregate(): Aggregate | undefined {
    return this.#lane.iptfs[this.#i];
  }

  /** Calls for each clear packet that came out, where {@link tried} is {@link PASS}: one, or any number in IP-TFS. */
  eachPacket(take: (bytes: Uint8Array, at: number, end: number) => void): void {
    const { aggregate } = this;
    if (!aggregate) take(this.bytes, this.at, this.end);
    else for (const packet of aggregate.inners) take(packet, 0, packet.length);
  }

  /** Where the text is, or was, in {@link bytes}, trailer included; clear where {@link isOpened}. */
  get textAt(): number {
    return this.#lane.from[this.#i]! + this.espAt - this.ipAt + (this.sa?.espLen ?? 0);
  }

  get textEnd(): number {
    return this.#lane.from[this.#i]! + this.espEnd - this.ipAt - (this.sa?.icvLen ?? 0);
  }

  /**
   * ESP as it was on the wire, `wire[espAt..espEnd)`, in the IP packet `wire[ipAt..ipEnd)`. Not where frames are opened in
   * place: only lengths are right then.
   */
  get wire(): Uint8Array {
    return this.#lane.wire[this.#i]!;
  }

  get ipAt(): number {
    return this.#lane.ipAt[this.#i]!;
  }

  get ipEnd(): number {
    return this.#lane.ipEnd[this.#i]!;
  }

  get espAt(): number {
    return this.#lane.espAt[this.#i]!;
  }

  get espEnd(): number {
    return this.#lane.espEnd[this.#i]!;
  }
}
