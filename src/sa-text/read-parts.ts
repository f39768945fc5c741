/**
 * What states and policies have in common: selectors, flags, limits and use, offload.
 * @module
 */
import { KEYWORDS, type Words } from './words.ts';
import type { XfrmLifetime, XfrmOffload, XfrmSelector, XfrmUse } from './xfrm-tree.ts';

/** Reads `src P dst P [proto …] [sport …] …`, from its first word on. */
export function readSelector(words: Words): XfrmSelector {
  const sel = {
    src: '',
    dst: '',
    proto: null as string | null,
    sport: null as number | null,
    dport: null as number | null,
    type: null as number | null,
    code: null as number | null,
    key: null as number | null,
    dev: null as string | null,
    uid: null as number | null,
  };
  for (;;) {
    const name = words.next;
    switch (name) {
      case 'src':
      case 'dst':
        // The second pair is that of something else.
        if (sel[name] !== '') return sel;
        words.take();
        sel[name] = words.take() ?? '';
        break;
      case 'proto':
      case 'dev':
        if (sel[name] !== null) return sel;
        words.take();
        sel[name] = words.take() ?? null;
        break;
      case 'sport':
      case 'dport':
      case 'type':
      case 'code':
      case 'key':
      case 'uid':
        words.take();
        sel[name] = words.u32(name);
        break;
      default:
        return sel;
    }
  }
}

/** The name of a flag, or a number. */
const FLAG = /^(?:[a-z][a-z0-9_-]*|[0-9a-f]{1,8})$/;

/** Names after `flag` or `extra_flag`, which iproute2 glues to the flag before it; bits without a name in hexadecimal. */
export function readFlags(words: Words, flags: string[], extraFlags: string[]): void {
  let to = flags;
  for (;;) {
    const word = KEYWORDS.has(words.next ?? '') ? undefined : words.takeIf(FLAG);
    if (word === undefined) break;
    const glued = /^(.*)extra_flag$/.exec(word);
    const name = glued ? glued[1]! : word;
    if (name !== '') to.push(name);
    if (glued) to = extraFlags;
  }
  // The same flags as a mask of bits.
  words.takeIf(/^\(0x[0-9a-f]+\)$/i);
}

/** `dev DEV dir DIR [mode packet]`, in any order. */
export function readOffload(words: Words): XfrmOffload {
  const offload = { dev: null as string | null, dir: null as string | null, mode: null as string | null };
  words.accept('offload');
  words.accept('parameters:');
  while (words.goesOn) {
    const name = words.next;
    if (name !== 'dev' && name !== 'dir' && name !== 'mode') break;
    words.take();
    offload[name] = words.take()?.replace(/,$/, '') ?? null;
  }
  return offload;
}

/** What `-s` prints of limits and use, as it is read. */
export class LifeReader {
  lifetime: XfrmLifetime | null = null;
  use: XfrmUse | null = null;

  /**
   * Reads what begins with `word`.
   * @returns false where the word begins no limit and no use
   */
  read(word: string, words: Words): boolean {
    switch (word) {
      case 'lifetime': {
        // No other word becomes a field's name: it may be a key.
        const which = words.takeIf(/^(config|current):$/);
        if (which === undefined) return false;
        words.once(`lifetime ${which}`);
        if (which === 'config:') this.lifetime ??= { ...NO_LIMITS };
        else this.use ??= { bytes: null, packets: null, added: null, used: null };
        return true;
      }
      case 'limit:': {
        const [soft, hard] = readPair(words);
        const unit = soft?.unit;
        if (!hard || soft!.unit !== hard.unit || (unit !== 'bytes' && unit !== 'packets'))
          return damage(word, words);
        words.once(`limit of ${unit}`);
        const limits =
          unit === 'bytes'
            ? { softBytes: soft!.value, hardBytes: hard.value }
            : { softPackets: soft!.value, hardPackets: hard.value };
        this.lifetime = { ...(this.lifetime ?? NO_LIMITS), ...limits };
        return true;
      }
      case 'expire': {
        const kind = words.takeIf(/^(add|use):$/);
        const [soft, hard] = readPair(words);
        if (kind === undefined || !soft || !hard) return damage(word, words);
        words.once(`expire ${kind}`);
        const seconds = [Number(soft.value) || null, Number(hard.value) || null] as const;
        const limits =
          kind === 'add:'
            ? { softAddSeconds: seconds[0], hardAddSeconds: seconds[1] }
            : { softUseSeconds: seconds[0], hardUseSeconds: seconds[1] };
        this.lifetime = { ...(this.lifetime ?? NO_LIMITS), ...limits };
        return true;
      }
      case 'add': {
        words.once('add');
        const added = readTime(words);
        const used = words.accept('use') ? readTime(words) : null;
        this.use = { bytes: null, packets: null, ...this.use, added, used };
        return true;
      }
      default: {
        // `8064(bytes), 96(packets)`.
        const [, bytes] = /^(\d{1,20})\(bytes\),$/.exec(word) ?? [];
        const [, packets] = /^(\d{1,20})\(packets\)$/.exec(words.next ?? '') ?? [];
        if (bytes === undefined || packets === undefined) return false;
        words.take();
        words.once('bytes and packets');
        this.use = { added: null, used: null, ...this.use, bytes, packets };
        return true;
      }
    }
  }
}

/** Notes that a field cannot be read, and passes over the rest of its line. */
function damage(name: string, words: Words): true {
  words.damage(name);
  words.rest();
  return true;
}

/** `2026-11-25 19:31:55`; null for `-`. */
export function readTime(words: Words): string | null {
  const day = words.take();
  if (day === undefined || day === '-') return null;
  const time = words.takeIf(/^\d\d:\d\d:\d\d$/);
  return time === undefined ? day : `${day} ${time}`;
}

const NO_LIMITS: XfrmLifetime = {
  softBytes: null,
  hardBytes: null,
  softPackets: null,
  hardPackets: null,
  softAddSeconds: null,
  hardAddSeconds: null,
  softUseSeconds: null,
  hardUseSeconds: null,
};

interface Limit {
  readonly value: string | null;
  readonly unit: string;
}

/** `soft (INF)(bytes), hard 1000(bytes)`. */
function readPair(words: Words): [soft?: Limit, hard?: Limit] {
  const one = (name: string): Limit | undefined => {
    if (!words.accept(name)) return undefined;
    const [, value, unit] = /^(\(INF\)|\d{1,20})\((bytes|packets|sec)\),?$/.exec(words.next ?? '') ?? [];
    if (value === undefined) return undefined;
    words.take();
    return { value: value === '(INF)' ? null : value, unit: unit! };
  };
  const soft = one('soft');
  const hard = soft && one('hard');
  return hard ? [soft, hard] : soft ? [soft] : [];
}
