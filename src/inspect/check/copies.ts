/**
 * Copies of encrypted packets, told without keys: a place that sees packets before they are encrypted, or after they were
 * decrypted, sees each of them in the clear beside an ESP packet of the same way that is longer by what ESP adds.
 *
 * One such pair proves nothing. But a place sees copies of all packets of a way or of none: where nearly every ESP packet
 * has one, they are copies, and what is in the clear beyond them is not; where hardly any has one, none is.
 *
 * Memory is bounded: ESP packets and packets in the clear wait for each other for {@link SOON}.
 * @module
 */
import type { InnerPacket } from '../diagnose/inner.ts';

/** Seconds between an ESP packet and its copy in the clear. */
const SOON = 0.01;
/** Seconds within which the same packet in the clear is the same on another interface. */
const SAME = 1;
/** Packets of one way that wait. */
const MOST_WAITING = 256;
/** What ESP adds to a packet, in bytes, from the shortest suite in IPv4 to the longest in UDP and VXLAN. */
const LEAST_ADDED = 20 + 8 + 8 + 2 + 8;
const MOST_ADDED = 40 + 8 + 8 + 16 + 17 + 32 + 70;
/** Shares of the ESP packets of a way that have a copy. */
const NEARLY_ALL = 0.95;
const HARDLY_ANY = 0.1;
/** Fewer pairs may be chance. */
const LEAST_PAIRS = 4;
const PRINTS = 1 << 16;

/** Packets in the clear from one pod to another. */
export interface ClearCount {
  /** The same packet on several interfaces counts once. */
  packets: number;
  /** Of them those that have an ESP packet beside them. */
  paired: number;
  /** Of both those that are asked for; `late` ones may yet get an ESP packet beside them: {@link Way.late}. */
  readonly asked: { packets: number; paired: number; late: number };
}

export function noneInTheClear(): ClearCount {
  return { packets: 0, paired: 0, asked: { packets: 0, paired: 0, late: 0 } };
}

/** One packet in the clear, however often it was seen. */
interface Group {
  readonly flow: ClearCount;
  readonly isAsked: boolean;
}

interface WaitingEsp {
  readonly length: number;
  readonly seconds: number;
}

interface WaitingClear extends WaitingEsp {
  readonly group: Group;
}

/** One direction between two nodes. */
export class Way {
  esp = 0;
  /** ESP packets that have a packet in the clear beside them. */
  paired = 0;
  readonly #esp: WaitingEsp[] = [];
  readonly #clear: WaitingClear[] = [];

  /** `copies`: what is paired is a copy; `none`: it is not; `open`: that cannot be told. */
  get verdict(): 'copies' | 'none' | 'open' {
    if (this.paired === 0) return 'none';
    const share = this.paired / this.esp;
    if (share >= NEARLY_ALL && this.paired >= LEAST_PAIRS) return 'copies';
    return share <= HARDLY_ANY && this.esp >= LEAST_PAIRS / HARDLY_ANY ? 'none' : 'open';
  }

  /** Takes an ESP packet. @param length of the IP packet around it */
  addEsp(length: number, seconds: number): void {
    this.esp++;
    const one = take(this.#clear, seconds, (clear) => isAround(length, clear.length));
    if (one) this.#pair(one.group);
    else push(this.#esp, { length, seconds });
  }

  /** @param length of the packet in the clear */
  addClear(group: Group, length: number, seconds: number): void {
    if (take(this.#esp, seconds, (esp) => isAround(esp.length, length))) this.#pair(group);
    else push(this.#clear, { length, seconds, group });
  }

  /**
   * Counts what still waits for an ESP packet that may follow, where reading ended at `seconds`. Of a place that has shown that it sees
   * no copies none will.
   */
  late(seconds: number): void {
    if (this.verdict === 'none' && this.esp >= LEAST_PAIRS / HARDLY_ANY) return;
    for (const { group, seconds: at } of this.#clear)
      if (group.isAsked && seconds - at <= SOON) group.flow.asked.late++;
  }

  #pair(group: Group): void {
    this.paired++;
    group.flow.paired++;
    if (group.isAsked) group.flow.asked.paired++;
  }
}

/** Tells the same packet on several interfaces. */
export class Groups {
  readonly #a = new Uint32Array(PRINTS);
  readonly #b = new Uint32Array(PRINTS);
  readonly #seconds = new Float64Array(PRINTS);
  readonly #group: (Group | undefined)[] = new Array(PRINTS);
  readonly #print = new Uint32Array(2);

  /** @returns the group of a packet that was not seen before; `undefined` for a copy */
  add(packet: InnerPacket, flow: ClearCount, seconds: number, isAsked: boolean): Group | undefined {
    packet.print(this.#print);
    const [a, b] = this.#print as unknown as [number, number];
    const at = a % PRINTS;
    const known = this.#group[at];
    const isSame = known?.flow === flow && this.#a[at] === a && this.#b[at] === b;
    if (isSame && Math.abs(seconds - this.#seconds[at]!) <= SAME) return undefined;
    const group = { flow, isAsked };
    this.#a[at] = a;
    this.#b[at] = b;
    this.#seconds[at] = seconds;
    this.#group[at] = group;
    flow.packets++;
    if (isAsked) flow.asked.packets++;
    return group;
  }
}

function isAround(esp: number, clear: number): boolean {
  const added = esp - clear;
  return added >= LEAST_ADDED && added <= MOST_ADDED;
}

/** The first that fits, taken out; those that have waited for too long go. */
function take<T extends WaitingEsp>(waiting: T[], seconds: number, fits: (one: T) => boolean): T | undefined {
  let old = 0;
  while (old < waiting.length && Math.abs(seconds - waiting[old]!.seconds) > SOON) old++;
  if (old > 0) waiting.splice(0, old);
  const at = waiting.findIndex(fits);
  return at < 0 ? undefined : waiting.splice(at, 1)[0];
}

function push<T>(waiting: T[], one: T): void {
  if (waiting.length >= MOST_WAITING) waiting.shift();
  waiting.push(one);
}
