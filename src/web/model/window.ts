/**
 * The lab's replay window: a sender and a receiver of the core, and between them a wire on which packets are lost,
 * held back, sent again and forged. Each packet is really sealed and really opened, so what becomes of it, and what
 * Linux would count, is the answer of `ipsec` and of the cipher.
 *
 * ```text
 *  Encapsulator ──► wire (every packet is kept) ──► Decapsulator ──► verdict, window, counters
 *  own numbers        │ lose, hold, replay                ▲
 *                     └─ forger, with another key ────────┘
 * ```
 * @module
 */
import { hex } from '../../base/bytes.ts';
import { seededBytes } from '../../base/rng.ts';
import { NobleEngine } from '../../crypto/noble.ts';
import { aead } from '../../crypto/suite.ts';
import { Decapsulator } from '../../ipsec/decapsulate.ts';
import { DROP, type DropRow, dropRow } from '../../ipsec/drop.ts';
import { Encapsulator } from '../../ipsec/encapsulate.ts';
import { SecurityAssociation } from '../../ipsec/sa.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { Sad } from '../../ipsec/sad.ts';
import { text, udpPacket } from '../../sim/traffic.ts';
import { parseAddress } from '../../wire/address.ts';
import { Batch, PASS } from '../../wire/packet.ts';
import { ADDS_UP, type WindowAction } from './window-actions.ts';

/** What Linux and Cilium are used with: none (Cilium to 1.16 without `+`), the RFC's least and its advice, Cilium's. */
export const SIZES = [0, 32, 64, 1024] as const;

export interface WindowSettings {
  readonly size: (typeof SIZES)[number];
  /** Extended numbers; Linux has none without a window. */
  readonly esn: boolean;
  /** Numbers 1 to this one were sent and received before. */
  readonly start: number;
}

/** A packet that was on the wire. */
export interface WirePacket {
  /** Its place among them, from 1: what `r` of an action names. */
  readonly id: number;
  /** The sender's number: all 64 bits of it with ESN. Exact up to 2^53. */
  readonly number: number;
  readonly isForged: boolean;
  /** From the outer IP header on. */
  readonly bytes: Uint8Array;
  fate: 'arrived' | 'lost' | 'held';
}

/** Something that came to the receiver, or that the sender could not send. */
export interface WindowEvent {
  /** The action that did it, from 0. */
  readonly action: number;
  readonly kind: 'sent' | 'late' | 'replayed' | 'forged' | 'lost' | 'held' | 'unsent' | 'nothing';
  /** Absent where no packet was made, or none is there. */
  readonly packet?: WirePacket;
  /** The number for which the receiver took it; below zero before the first 2^32. Only of what arrived. */
  readonly guess?: number;
  /** The window's highest number before and after. */
  readonly before: number;
  readonly after: number;
  /** Numbers that left the window unseen through it. */
  readonly lost: number;
  /** Absent for what was let through, and for what did not arrive. */
  readonly drop?: DropRow;
  /** It was let through, and had been let through before. */
  readonly isTwice: boolean;
}

/** `never` lies below number 1; `unknown` is where there is no window, which remembers nothing. */
export type Cell = 'never' | 'gone' | 'seen' | 'open' | 'ahead' | 'unknown';

export interface WindowRun {
  readonly settings: WindowSettings;
  readonly events: readonly WindowEvent[];
  readonly packets: readonly WirePacket[];
  /** The window's highest number; without a window, the highest that was let through. */
  readonly top: number;
  /** The sender's last number. */
  readonly sent: number;
  readonly accepted: number;
  /** Rows of `/proc/net/xfrm_stat`, less zeros. */
  readonly xfrm: Readonly<Record<string, number>>;
  /** `stats` of `ip -s xfrm state`. */
  readonly stats: { readonly replayWindow: number; readonly replay: number; readonly failed: number };
  /** Numbers that left the window unseen. */
  readonly lost: number;
  /** Packets that wait on the way. */
  readonly held: number;
  /** The SA, as a source of `ip xfrm` commands and of decryption secrets. */
  readonly config: SaConfig;
  cell(number: number): Cell;
}

const U32 = 2 ** 32;
/** Of the lab alone: the page shows it, and it protects nothing. */
const KEY = '6c61622d6f6e6c793a206e6f2073656372657421';
const FORGER_KEY = '666f726765723a20616e6f74686572206b657921';
const IV_SALT = hex('00c0ffee00c0ffee');
const CAPACITY = 64;
/** Of UDP payload: the packets are about the window, not about their text. */
const PAYLOAD = 32;

/**
 * Runs a list of actions. The same list gives the same bytes.
 * @param old a run that may be of a part of the list: it is gone on with then, and is the result
 * @throws {RangeError} for settings that Linux refuses: ESN without a window, a start that is no number of the SA
 */
export function runWindow(
  settings: WindowSettings,
  actions: readonly WindowAction[],
  old?: WindowRun,
): WindowRun {
  const lab = old instanceof WindowLab && old.goesOn(settings, actions) ? old : new WindowLab(settings);
  lab.goOn(actions);
  return lab;
}

class WindowLab implements WindowRun {
  readonly settings: WindowSettings;
  readonly events: WindowEvent[] = [];
  readonly packets: WirePacket[] = [];
  readonly xfrm: Record<string, number> = {};
  readonly config: SaConfig;
  accepted = 0;
  sent: number;

  readonly #engine = new NobleEngine();
  readonly #batch = new Batch({ capacity: CAPACITY, maxPacket: 256 });
  readonly #out = new Sad();
  readonly #into = new Sad();
  readonly #sender: Encapsulator;
  readonly #receiver: Decapsulator;
  readonly #sa: SecurityAssociation;
  readonly #waiting: WirePacket[] = [];
  readonly #acceptedIds = new Set<number>();
  #done: readonly WindowAction[] = [];
  /** Highest number let through, for where there is no window. */
  #highest: number;

  constructor(settings: WindowSettings) {
    const { size, esn, start } = settings;
    if (!Number.isInteger(start) || start < 0 || start >= (esn ? 2 ** 48 : U32))
      throw new RangeError(`replay window: ${start} is no number of an SA ${esn ? 'with' : 'without'} ESN`);
    this.settings = settings;
    this.config = {
      src: parseAddress('192.0.2.1')!,
      dst: parseAddress('192.0.2.2')!,
      spi: 3,
      mode: 'tunnel',
      keys: aead('rfc4106(gcm(aes))', hex(KEY), 128),
      esn,
      replayWindow: size,
      reqid: 1,
      flags: [],
      origin: 'lab',
    };
    const random = seededBytes(1);
    this.#sender = new Encapsulator(this.#out, this.#engine, CAPACITY, random);
    this.#receiver = new Decapsulator(this.#into, this.#engine, CAPACITY);
    this.#sa = new SecurityAssociation(this.config, this.#engine, { random });
    this.#into.add(this.#sa);
    this.#out.add(this.#senderAfter(start));
    this.sent = start;
    this.#highest = start;
    // All before the start was received: those that the window still remembers.
    if (size > 0 && start > 0) {
      const first = Math.max(1, start - size + 1);
      this.#sa.window.startBefore(...halves(first));
      for (let n = first; n <= start; n++) this.#sa.window.commit(...halves(n));
    }
  }

  get top(): number {
    const { window } = this.#sa;
    return window.size === 0 ? this.#highest : numberOf(window.topHi, window.topLo);
  }

  get stats(): WindowRun['stats'] {
    return this.#sa.stats;
  }

  get lost(): number {
    return this.#sa.window.lost;
  }

  get held(): number {
    return this.#waiting.length;
  }

  cell(number: number): Cell {
    const { window } = this.#sa;
    if (number < 1) return 'never';
    if (window.size === 0) return 'unknown';
    if (number > this.top) return 'ahead';
    if (number <= this.top - window.size) return 'gone';
    return window.check(...halves(number)) === DROP['replay-seen'] ? 'seen' : 'open';
  }

  /** Is what was done so far the beginning of this? */
  goesOn({ size, esn, start }: WindowSettings, actions: readonly WindowAction[]): boolean {
    const own = this.settings;
    if (own.size !== size || own.esn !== esn || own.start !== start) return false;
    const last = this.#done.length - 1;
    return this.#done.every(({ kind, count }, i) => {
      const next = actions[i];
      if (next?.kind !== kind) return false;
      return next.count === count || (i === last && ADDS_UP.includes(kind) && next.count > count);
    });
  }

  /** Does what of a list is not done yet. */
  goOn(actions: readonly WindowAction[]): void {
    actions.forEach(({ kind, count }, i) => {
      const done = this.#done[i]?.count ?? 0;
      if (count > done) this.#act({ kind, count: count - done }, i);
    });
    this.#done = actions;
  }

  #act({ kind, count }: WindowAction, action: number): void {
    switch (kind) {
      case 'send':
        this.#seal(count, action, (packet) => this.#arrive(packet, action, 'sent'));
        break;
      case 'lose':
        this.#seal(count, action, (packet) => this.#note(packet, action, 'lost'));
        break;
      case 'hold':
        this.#seal(count, action, (packet) => {
          this.#waiting.push(packet);
          this.#note(packet, action, 'held');
        });
        break;
      case 'deliver': {
        const late = this.#waiting.splice(0, count);
        for (const packet of late) this.#arrive(packet, action, 'late');
        // Once for an action, however many steps it is done in.
        if (this.events.at(-1)?.action !== action) this.#note(undefined, action, 'nothing');
        break;
      }
      case 'replay': {
        const packet = this.packets[count - 1];
        if (packet) this.#arrive(packet, action, 'replayed');
        else this.#note(undefined, action, 'nothing');
        break;
      }
      case 'forge':
        this.#forge(count, action);
        break;
      case 'jump':
        this.#skipTo(this.sent + count);
        break;
      case 'restart':
        this.#skipTo(0);
    }
  }

  /**
   * The sender seals `count` packets under its next numbers, and `each` says what becomes of one. Those for which there
   * is no number left are not sent: they come after the others, so a list done in parts tells the same story.
   */
  #seal(count: number, action: number, each: (packet: WirePacket) => void): void {
    const made: WirePacket[] = [];
    const drops: DropRow[] = [];
    const sa = this.#out.sas[0]!;
    for (let left = count; left > 0; left -= CAPACITY)
      drops.push(...this.#sealBatch(this.#sender, Math.min(left, CAPACITY), sa, made, false));
    made.forEach(each);
    for (const drop of drops) {
      this.#count(drop);
      const { top } = this;
      this.events.push({ action, kind: 'unsent', before: top, after: top, lost: 0, drop, isTwice: false });
    }
  }

  /** @returns why packets were not sent */
  #sealBatch(
    sender: Encapsulator,
    count: number,
    sa: SecurityAssociation,
    made: WirePacket[],
    isForged: boolean,
  ): DropRow[] {
    const batch = this.#batch;
    const drops: DropRow[] = [];
    batch.clear();
    for (let i = 0; i < count; i++) batch.sa[batch.push(INNER)] = 0;
    sender.run(batch);
    const passed = batch.verdict.subarray(0, count).filter((verdict) => verdict === PASS).length;
    for (let i = 0; i < count; i++) {
      const drop = dropRow(batch.verdict[i]!);
      if (drop) {
        drops.push(drop);
        continue;
      }
      // One SA gives out one number after the other, and has given out the last one of the batch.
      const number = numberOf(sa.sequence.hi, sa.sequence.lo) - (passed - 1 - i);
      const id = this.packets.length + 1;
      const packet: WirePacket = { id, number, isForged, bytes: batch.copy(i), fate: 'arrived' };
      this.packets.push(packet);
      made.push(packet);
      if (!isForged) this.sent = number;
    }
    return drops;
  }

  /** An attacker without the key sends what looks like the sender's packet of that number. */
  #forge(ahead: number, action: number): void {
    const number = this.sent + ahead;
    const [hi, lo] = halves(number - 1);
    const config = { ...this.config, keys: aead('rfc4106(gcm(aes))', hex(FORGER_KEY), 128) };
    const sad = new Sad();
    const forger = new Encapsulator(sad, this.#engine, CAPACITY, seededBytes(2));
    const startAfter = { hi: config.esn ? hi : 0, lo };
    const sa = new SecurityAssociation(config, this.#engine, { random: seededBytes(2), startAfter });
    sad.add(sa);
    const made: WirePacket[] = [];
    this.#sealBatch(forger, 1, sa, made, true);
    for (const packet of made) this.#arrive(packet, action, 'forged');
    if (made.length === 0) this.#note(undefined, action, 'nothing');
  }

  #arrive(packet: WirePacket, action: number, kind: WindowEvent['kind']): void {
    const { window } = this.#sa;
    const batch = this.#batch;
    const before = this.top;
    const lostBefore = window.lost;
    const lo = packet.number % U32;
    const guess = window.esn ? numberOf(window.inferHigh(lo), lo) : lo;
    batch.clear();
    batch.push(packet.bytes);
    this.#receiver.run(batch);
    packet.fate = 'arrived';
    const drop = dropRow(batch.verdict[0]!);
    let isTwice = false;
    if (drop) this.#count(drop);
    else {
      this.accepted++;
      isTwice = this.#acceptedIds.has(packet.id);
      this.#acceptedIds.add(packet.id);
      this.#highest = Math.max(this.#highest, packet.number);
    }
    this.events.push({
      action,
      kind,
      packet,
      guess,
      before,
      after: this.top,
      lost: window.lost - lostBefore,
      ...(drop && { drop }),
      isTwice,
    });
  }

  /** What happens without the receiver. */
  #note(packet: WirePacket | undefined, action: number, kind: WindowEvent['kind']): void {
    if (packet && (kind === 'lost' || kind === 'held')) packet.fate = kind;
    const { top } = this;
    this.events.push({
      action,
      kind,
      ...(packet && { packet }),
      before: top,
      after: top,
      lost: 0,
      isTwice: false,
    });
  }

  #count({ counter }: DropRow): void {
    if (counter !== null) this.xfrm[counter] = (this.xfrm[counter] ?? 0) + 1;
  }

  /** Under the same key the sender goes on after another number. */
  #skipTo(number: number): void {
    const last = this.settings.esn ? 2 ** 53 - U32 : U32 - 1;
    this.sent = Math.min(number, last);
    this.#engine.removeKey(this.#out.sas[0]!.key);
    this.#out.replace(0, this.#senderAfter(this.sent));
  }

  #senderAfter(number: number): SecurityAssociation {
    const [hi, lo] = halves(number);
    const options = { random: seededBytes(1), startAfter: { hi, lo }, ivSalt: IV_SALT };
    return new SecurityAssociation(this.config, this.#engine, options);
  }
}

/** What every packet carries: from one pod to another. */
const INNER = udpPacket(
  { src: parseAddress('10.0.1.10')!, dst: parseAddress('10.0.2.20')!, srcPort: 10_000, dstPort: 9 },
  text(PAYLOAD),
);

function halves(number: number): [hi: number, lo: number] {
  return [Math.floor(number / U32), number % U32];
}

/** A high half of 2^32-1 is the one before 0: see `ReplayWindow`. */
function numberOf(hi: number, lo: number): number {
  return (hi | 0) * U32 + lo;
}
