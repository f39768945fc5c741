/**
 * One state of `ip xfrm state`, from the words of its entry.
 * @module
 */
import { flagNames, STATE_FLAGS } from './flags.ts';
import { LifeReader, readFlags, readOffload, readSelector, readTime } from './read-parts.ts';
import { KEYWORDS, type NotRead, readMark, readU32, type Words, type Writable } from './words.ts';
import { hasNoKey } from './xfrm-state-write.ts';
import type { XfrmAlgorithm, XfrmAlgorithmType, XfrmAntiReplay, XfrmState } from './xfrm-tree.ts';

/**
 * Reads it to its end.
 * @param unread is told what is not known
 */
export function readState(words: Words, origin: string, unread: NotRead): XfrmState {
  const life = new LifeReader();
  const flags: string[] = [];
  const extraFlags: string[] = [];
  const algorithms: XfrmAlgorithm[] = [];
  const withoutKey = new Set<XfrmAlgorithm>();
  let replay: (Writable<XfrmAntiReplay> & { bitmap: string[] }) | null = null;
  const antiReplay = () => {
    replay ??= { esn: false, seqHi: 0, seq: 0, oseqHi: 0, oseq: 0, window: null, bitmap: [] };
    return replay;
  };
  const state: Writable<XfrmState> = {
    ...EMPTY,
    src: words.accept('src') ? (words.take() ?? '') : '',
    dst: words.accept('dst') ? (words.take() ?? '') : '',
    flags,
    extraFlags,
    algorithms,
    damaged: [],
    origin,
  };
  let bitmapLength: number | null = null;
  let bitmapLine = 0;
  for (let word = words.take(); word !== undefined; word = words.take()) {
    const line = words.takenFrom;
    const isOfStats = word === 'replay-window' && words.peek(1) === 'replay';
    if (ONCE.has(word) && !(word === 'seq' && replay === null)) words.once(isOfStats ? 'stats' : word);
    switch (word) {
      case 'proto':
        state.proto = words.take() ?? null;
        break;
      case 'spi':
        state.spi = words.u32(word);
        break;
      case 'reqid':
        state.reqid = words.u32(word);
        break;
      case 'mode':
        state.mode = words.take() ?? null;
        break;
      case 'replay-window':
        // Of the statistics: `replay-window 5 replay 6 failed 15`.
        if (isOfStats) state.stats = readStats(words);
        else state.replayWindow = words.u32(word);
        break;
      case 'seq':
        // Of the line `replay-window`: decimal digits behind 0x.
        if (state.antiReplay === null && replay === null) state.seq = words.value(word, readSeq);
        else antiReplay().seq = readCounter(words, word) ?? 0;
        break;
      case 'flag':
      case 'extra_flag':
        readFlags(words, word === 'flag' ? flags : extraFlags, extraFlags);
        break;
      case 'mark':
        state.mark = words.value(word, readMark);
        break;
      case 'output-mark':
        state.outputMark = words.value(word, readMark);
        break;
      case 'aead':
      case 'auth':
      case 'auth-trunc':
      case 'enc':
      case 'comp':
        algorithms.push(readAlgorithm(word, words, withoutKey));
        break;
      case 'encap':
        state.encap = readEncap(words);
        break;
      case 'coa':
        state.coa = words.take() ?? null;
        break;
      case 'lastused':
        state.lastUsed = readTime(words);
        break;
      case 'anti-replay':
        words.accept('esn');
        words.accept('context:');
        antiReplay();
        break;
      case 'seq-hi':
        antiReplay().seqHi = readCounter(words, word) ?? 0;
        break;
      case 'oseq-hi':
        antiReplay().oseqHi = readCounter(words, word) ?? 0;
        break;
      case 'oseq':
        antiReplay().oseq = readCounter(words, word) ?? 0;
        break;
      case 'replay_window':
        antiReplay().window = readCounter(words, word);
        break;
      case 'bitmap-length':
        bitmapLine = line;
        if (words.goesOn) bitmapLength = readCounter(words, word);
        else words.damage(word);
        break;
      case 'bitmap':
        antiReplay().bitmap.push((words.take() ?? '').replace(/^0x/, ''));
        break;
      case 'sel':
        state.selector = readSelector(words);
        break;
      case 'security':
        words.accept('context');
        state.secctx = words.take() ?? null;
        break;
      case 'crypto':
        state.offload = readOffload(words);
        break;
      case 'if_id':
        state.ifId = words.u32(word);
        break;
      case 'tfcpad':
        state.tfcPad = words.u32(word);
        break;
      case 'dir':
        state.direction = words.take() ?? null;
        break;
      case 'pcpu-num':
        state.pcpuNum = words.u32(word);
        break;
      case 'nat-keepalive-interval':
      case 'nat_keepalive_interval':
        state.natKeepalive = words.u32(word);
        break;
      case 'iptfs-opts':
        state.iptfs = readIptfs(words);
        break;
      case 'stats:':
        break;
      default:
        if (replay !== null && /^[0-9a-f]{8}$/.test(word)) antiReplay().bitmap.push(word);
        else if (!life.read(word, words)) unread(line, word, words);
    }
  }
  // The words of the window tell it again.
  if (bitmapLength !== null && bitmapLength !== antiReplay().bitmap.length)
    unread(bitmapLine, 'bitmap-length', words);
  if (replay !== null) antiReplay().esn = flagNames(flags, STATE_FLAGS).includes('esn');
  return {
    ...state,
    algorithms: emptyWhereTold(algorithms, withoutKey),
    antiReplay: replay,
    lifetime: life.lifetime,
    use: life.use,
    damaged: words.damaged.splice(0),
  };
}

/** Fields that a state has once. `seq` is in two places. */
const ONCE: ReadonlySet<string> = new Set(
  (
    'proto spi reqid mode replay-window seq flag extra_flag mark output-mark aead auth auth-trunc enc comp encap coa ' +
    'lastused anti-replay seq-hi oseq-hi oseq replay_window sel security crypto if_id tfcpad dir pcpu-num ' +
    'nat-keepalive-interval nat_keepalive_interval iptfs-opts stats:'
  ).split(' '),
);

const EMPTY: Omit<XfrmState, 'src' | 'dst' | 'flags' | 'extraFlags' | 'algorithms' | 'damaged' | 'origin'> = {
  proto: null,
  spi: null,
  reqid: null,
  mode: null,
  replayWindow: null,
  seq: null,
  mark: null,
  outputMark: null,
  encap: null,
  coa: null,
  antiReplay: null,
  selector: null,
  lifetime: null,
  use: null,
  stats: null,
  offload: null,
  ifId: null,
  tfcPad: null,
  direction: null,
  pcpuNum: null,
  natKeepalive: null,
  iptfs: null,
  secctx: null,
  lastUsed: null,
};

/** What stands for a key: of ip itself, of cilium-bugtool, and of people. */
const HASH = /^\[hash:([0-9a-f]{64})\]$/i;

/**
 * An HMAC may have an empty key, for which ip prints nothing, as those do who take keys out of a text. It is told by the key
 * of the cipher, which is there in the first case (tried on Linux 6.1 with iproute2 6.1).
 */
function emptyWhereTold(
  algorithms: XfrmAlgorithm[],
  withoutKey: ReadonlySet<XfrmAlgorithm>,
): XfrmAlgorithm[] {
  if (
    withoutKey.size === 0 ||
    !algorithms.some(({ type, key, keyHash }) => type === 'enc' && (key || keyHash))
  )
    return algorithms;
  return algorithms.map((one) =>
    withoutKey.has(one) && /^hmac\(/.test(one.name) ? { ...one, keyBits: 0, key: '' } : one,
  );
}

/**
 * `NAME KEY [(160 bits)] [ICV]`; an empty key is printed as `0x`, or not at all.
 * @param withoutKey takes it where nothing stands in the place of its key
 */
function readAlgorithm(type: XfrmAlgorithmType, words: Words, withoutKey: Set<XfrmAlgorithm>): XfrmAlgorithm {
  const line = words.takenFrom;
  const name = words.goesOn ? (words.take() ?? '') : '';
  let key: string | undefined;
  let keyHash: string | undefined;
  let bits: number | null = null;
  let icvBits: number | null = null;
  let isHidden = false;
  while (words.goesOn) {
    const word = words.next!;
    const [, digits] = /^0x((?:[0-9a-f]{2})*)$/i.exec(word) ?? [];
    const [, hash] = HASH.exec(word) ?? [];
    const [, count] = /^\((\d{1,6})$/.exec(word) ?? [];
    if (digits !== undefined && key === undefined) key = digits.toLowerCase();
    else if (hash !== undefined) keyHash = hash.toLowerCase();
    else if (count !== undefined) bits = Number(count);
    else if (/^\d{1,4}$/.test(word)) {
      if (icvBits !== null) words.damage(type);
      icvBits = Number(word);
    } else if (KEYWORDS.has(word)) break;
    // Every other form of a key that is hidden or cut off.
    else if (word !== 'bits)') isHidden = true;
    words.take();
  }
  if (icvBits !== null && (type === 'enc' || type === 'comp')) words.damage(type);
  // Compression has no key, the null algorithms have an empty one; neither is printed.
  const isEmpty = !isHidden && (hasNoKey(name) || type === 'comp');
  // A key that is not as long as the text says is cut off.
  if (key !== undefined && bits !== null && key.length * 4 !== bits) key = undefined;
  const isWhole = key !== undefined && !isHidden && (key !== '' || bits !== null || isEmpty);
  const algorithm: XfrmAlgorithm = {
    type,
    name,
    line,
    keyBits: bits ?? (isWhole ? key!.length * 4 : isEmpty ? 0 : null),
    icvBits: type === 'enc' || type === 'comp' ? null : icvBits,
    ...(isWhole && { key: key! }),
    ...(!isWhole && isEmpty && { key: '' }),
    ...(keyHash !== undefined && { keyHash }),
  };
  // `auth-trunc` has an ICV behind its key: without it the line is cut off.
  const isCut = type === 'auth-trunc' && icvBits === null;
  if (key === undefined && keyHash === undefined && bits === null && !isHidden && !isCut)
    withoutKey.add(algorithm);
  return algorithm;
}

function readEncap(words: Words): NonNullable<XfrmState['encap']> {
  const type = words.accept('type') ? (words.take() ?? '') : '';
  const sport = words.accept('sport') ? words.u32('sport') : null;
  const dport = words.accept('dport') ? words.u32('dport') : null;
  const addr = words.accept('addr') ? (words.take() ?? null) : null;
  return { type, sport, dport, addr };
}

function readStats(words: Words): NonNullable<XfrmState['stats']> {
  const replayWindow = words.u32('stats') ?? 0;
  const replay = words.accept('replay') ? (words.u32('stats') ?? 0) : 0;
  const failed = words.accept('failed') ? (words.u32('stats') ?? 0) : 0;
  return { replayWindow, replay, failed };
}

/** iproute2 prints it as `0x` and decimal digits. */
function readSeq(word: string | undefined): number | null {
  const [, digits] = /^0x(\d{8,10})$/.exec(word ?? '') ?? [];
  return digits === undefined ? null : Number(digits);
}

function readCounter(words: Words, name: string): number | null {
  return words.value(name, (word) => readU32(word?.replace(/,$/, '')));
}

function readIptfs(words: Words): Record<string, number | true> {
  const options: Record<string, number | true> = {};
  while (words.goesOn) {
    const name = words.take()!;
    const value = words.takeIf(/^\d+$/);
    options[name] = value === undefined ? true : Number(value);
  }
  return options;
}
