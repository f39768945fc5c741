/**
 * Reads the text of `ip xfrm state`, with or without `-s`, from one or several nodes.
 *
 * ```text
 * src 10.244.2.1 dst 10.244.1.1
 *         proto esp spi 0x00000003(3) reqid 1(0x00000001) mode tunnel
 *         replay-window 0 seq 0x00000000 flag esn (0x10000000)
 *         mark 0x3cb23e00/0xffffff00 output-mark 0xe00/0xf00
 *         aead rfc4106(gcm(aes)) 0x… (160 bits) 128
 *         anti-replay esn context:
 *          seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x1c
 *          replay_window 1024, bitmap-length 32
 *          00000000 …
 *         sel src 0.0.0.0/0 dst 0.0.0.0/0 uid 0
 * ```
 *
 * Lines that this does not know are passed over, because newer kernels print more of them. What must be there,
 * and what decides how packets are opened, is checked, and a state that cannot be used is an error: an SA that
 * went missing in silence would show up as unexplained drops.
 * @module
 */
import { fromHex } from '../base/bytes.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import { aead, authenc, type KeyMaterial } from '../crypto/suite.ts';
import type { Counted, Lifetime, Mark, SaConfig, SequenceHint } from '../ipsec/sa-config.ts';
import { type Address, parseAddress, parsePrefix } from '../wire/address.ts';
import { ESN_WINDOW } from './esn-window.ts';
import { checkEntries } from './sa-limit.ts';
import { parseMark, parseU32, unreadable, wordAfter, type XfrmLine, xfrmLines } from './xfrm-text.ts';

/** What `ip xfrm state nokeys` prints in place of a key. */
const HIDDEN = '<<Keys hidden>>';

const AS_PRINTED = 'Give the whole text of `ip -s xfrm state`, as it was printed.';

/** Linux has no wider one (`XFRMA_REPLAY_ESN_MAX`). */
const MAX_WINDOW = 4096;

/** A state whose keys the text does not show. */
export type KeylessSa = Omit<SaConfig, 'keys'>;

/**
 * Reads every ESP state of a text, in order. States of other protocols, and the empty ones that the kernel keeps
 * while it waits for a key exchange (SPI 0), are left out.
 * @param source file name, for {@link SaConfig.origin} and errors
 * @param note is told, in one line each, what was left out
 * @param keyless takes the states that `nokeys` printed without keys; left out, they are an error
 * @throws {InputError} when a state cannot be used; the message never holds a key
 */
export function parseXfrmState(
  text: string,
  source: string,
  note: (line: string) => void = () => {},
  keyless?: (sa: KeylessSa) => void,
): SaConfig[] {
  const found: SaConfig[] = [];
  let state: Draft | undefined;
  let count = 0;
  let sawState = false;
  let sawPolicy = false;
  let firstLine: number | undefined;

  const close = () => {
    if (state) {
      const config = finish(state, source, note, keyless);
      if (config) found.push(config);
    }
    state = undefined;
  };

  for (const line of xfrmLines(text, source)) {
    firstLine ??= line.number;
    const { words } = line;
    if (words[0] === 'src' && words[2] === 'dst') {
      close();
      // A policy begins like a state, but with prefixes.
      if (words[1]!.includes('/')) sawPolicy = true;
      else {
        checkEntries(++count, source, line.number);
        state = begin(line, source);
        sawState = true;
      }
      continue;
    }
    if (!state) continue;
    state.nested ??= line.indent > state.indent;
    // Where a state's lines are indented, one that is not belongs to something else: a prompt, a headline.
    if (state.nested && line.indent <= state.indent) close();
    else readLine(state, line, source, keyless !== undefined);
  }
  close();

  if (firstLine !== undefined && !sawState) {
    const what = sawPolicy ? 'this is the text of `ip xfrm policy`' : 'no line `src ADDRESS dst ADDRESS`';
    throw unreadable(source, firstLine, what, 'Give the text of `ip -s xfrm state`.');
  }
  return found;
}

interface Algorithm {
  readonly line: number;
  readonly name: string;
  readonly key: Uint8Array;
  readonly bits: number | undefined;
}

/** A state as far as it is read. */
interface Draft {
  readonly line: number;
  readonly indent: number;
  readonly src: Address;
  readonly dst: Address;
  /** Are its lines indented more than its first one? Unknown before the second line. */
  nested?: boolean;
  proto?: string;
  spi?: number;
  reqid?: number;
  mode?: SaConfig['mode'];
  window?: number;
  /** Window of the context: where there is one, the kernel goes by it and prints 0 in the line above. */
  contextWindow?: number;
  flags: string[];
  mark?: Mark;
  outputMark?: Mark;
  aead?: Algorithm;
  auth?: Algorithm;
  enc?: Algorithm;
  encap?: { readonly sport: number; readonly dport: number };
  sequence?: SequenceHint;
  counted?: Counted;
  /** The text says so in place of a key. */
  hidden?: boolean;
  selector?: NonNullable<SaConfig['selector']>;
  readonly lifetime: Lifetime;
  direction?: 'in' | 'out';
}

function begin(line: XfrmLine, source: string): Draft {
  const src = parseAddress(line.words[1]!);
  const dst = parseAddress(line.words[3] ?? '');
  if (!src || !dst || src.length !== dst.length) {
    throw unreadable(
      source,
      line.number,
      'a state begins with two addresses of one family, `src ADDRESS dst ADDRESS`',
      AS_PRINTED,
    );
  }
  return { line: line.number, indent: line.indent, src, dst, flags: [], lifetime: {} };
}

function readLine(state: Draft, line: XfrmLine, source: string, allowHidden: boolean): void {
  const { words, text } = line;
  // Of other protocols nothing is wanted, not even that it can be read.
  if (state.proto !== undefined && state.proto !== 'esp') return;

  const need = <T>(value: T | undefined, what: string): T => {
    if (value === undefined) throw unreadable(source, line.number, `cannot read ${what}`, AS_PRINTED);
    return value;
  };

  if (allowHidden && text.includes(HIDDEN)) {
    state.hidden = true;
    return;
  }
  switch (words[0]) {
    case 'proto': {
      state.proto = need(words[1], 'the protocol');
      if (state.proto !== 'esp') return;
      state.spi = need(parseU32(wordAfter(words, 'spi')), 'the SPI');
      state.reqid = need(parseU32(wordAfter(words, 'reqid')), 'the reqid');
      state.mode = mode(need(wordAfter(words, 'mode'), 'the mode'), line.number, source);
      return;
    }
    case 'replay-window':
      // Of the statistics: `replay-window 5 replay 6 failed 15`.
      if (words[2] === 'replay') {
        state.counted = need(readCounted(words), 'the statistics');
        return;
      }
      state.window = need(parseWindow(words[1]), 'the replay window');
      state.flags = readFlags(text);
      return;
    case 'mark':
    case 'output-mark':
      if (words.includes('mark')) state.mark = need(parseMark(wordAfter(words, 'mark')), 'the mark');
      if (words.includes('output-mark')) {
        state.outputMark = need(parseMark(wordAfter(words, 'output-mark')), 'the output-mark');
      }
      return;
    case 'aead':
      state.aead = readAlgorithm(line, source);
      return;
    case 'auth':
    case 'auth-trunc':
      state.auth = readAlgorithm(line, source);
      return;
    case 'enc':
      state.enc = readAlgorithm(line, source);
      return;
    case 'encap': {
      const type = need(wordAfter(words, 'type'), 'the encapsulation');
      if (type !== 'espinudp') {
        throw unreadable(
          source,
          line.number,
          `encapsulation ${plainWord(type)}; esplane has espinudp only`,
          'Remove this state from the text.',
        );
      }
      state.encap = {
        sport: need(parsePort(wordAfter(words, 'sport')), 'the source port'),
        dport: need(parsePort(wordAfter(words, 'dport')), 'the destination port'),
      };
      return;
    }
    case 'anti-replay':
      if (words[1] === 'context:') state.sequence = need(readCounters(text), 'the anti-replay context');
      return;
    case 'seq-hi':
      state.sequence = need(readCounters(text), 'the anti-replay context');
      return;
    case 'replay_window':
      state.contextWindow = need(parseWindow(words[1]?.replace(/,$/, '')), 'the replay window');
      return;
    case 'sel':
      state.selector = need(readSelector(words), 'the selector');
      return;
    case 'limit:':
      Object.assign(state.lifetime, need(readLimits(text), 'the limits'));
      return;
    case 'dir':
      if (words[1] === 'in' || words[1] === 'out') state.direction = words[1];
      return;
  }
}

function mode(word: string, line: number, source: string): SaConfig['mode'] {
  if (word === 'tunnel' || word === 'transport') return word;
  throw unreadable(
    source,
    line,
    `mode ${plainWord(word)}; esplane has tunnel and transport`,
    'Remove this state from the text.',
  );
}

/**
 * Names after `flag`, and after `extra_flag`, which iproute2 glues to the flag before it. `esn` has a field of its
 * own.
 */
function readFlags(text: string): string[] {
  const [, list = ''] = /\sflag\s+([^(]*)/.exec(text) ?? [];
  return list
    .replace('extra_flag', ' ')
    .split(/\s+/)
    .filter((name) => /^[a-z][a-z0-9-]*$/.test(name));
}

/** `aead NAME KEY [(160 bits)] ICV`, `auth-trunc NAME KEY [(256 bits)] ICV`, `enc NAME KEY`; an empty key is not printed. */
function readAlgorithm(line: XfrmLine, source: string): Algorithm {
  const { words, number } = line;
  const name = words[1] ?? '';
  // Errors further on repeat the name. A key in its place must not get there.
  if (!/^[a-z][a-z0-9_-]{1,15}(\([\w(),-]*\))?$/i.test(name)) {
    throw unreadable(source, number, 'cannot read the name of the algorithm', AS_PRINTED);
  }
  let at = 2;
  let key: Uint8Array | undefined = new Uint8Array(0);
  const word = words[at];
  if (word !== undefined && !/^\d+$/.test(word)) {
    if (!/^0x/i.test(word)) {
      throw unreadable(
        source,
        number,
        'the key is hidden',
        'Run `ip -s xfrm state` as root, without `nokeys`.',
      );
    }
    key = fromHex(word);
    at++;
    const [, bits] = /^\((\d+)$/.exec(words[at] ?? '') ?? [];
    if (bits !== undefined && words[at + 1] === 'bits)') {
      at += 2;
      if (key && key.length * 8 !== Number(bits)) key = undefined;
    }
  }
  if (!key) {
    throw unreadable(source, number, 'the key is cut off, or not hexadecimal', AS_PRINTED);
  }
  const bits = words[at] === undefined ? undefined : parseU32(words[at]);
  if (bits === undefined && (words[0] === 'aead' || words[0] === 'auth-trunc')) {
    throw unreadable(source, number, 'the length of the ICV is missing', AS_PRINTED);
  }
  return { line: number, name, key, bits };
}

/** Both forms: `seq 0x0, oseq 0xc3, bitmap …` and `seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0xc3`. */
function readCounters(text: string): SequenceHint | undefined {
  const counters = new Map<string, number>();
  for (const [, name = '', value] of text.matchAll(/\b(seq|seq-hi|oseq|oseq-hi) (\w+)/g)) {
    const parsed = parseU32(value);
    if (parsed === undefined) return undefined;
    counters.set(name, parsed);
  }
  const seq = counters.get('seq');
  const oseq = counters.get('oseq');
  if (seq === undefined || oseq === undefined) return undefined;
  return { seqHi: counters.get('seq-hi') ?? 0, seq, oseqHi: counters.get('oseq-hi') ?? 0, oseq };
}

function readCounted(words: readonly string[]): Counted | undefined {
  const replayWindow = parseU32(words[1]);
  const replay = parseU32(words[3]);
  const failed = parseU32(wordAfter(words, 'failed'));
  return replayWindow === undefined || replay === undefined || failed === undefined
    ? undefined
    : { replayWindow, replay, failed };
}

/** `sel src 0.0.0.0/0 dst 0.0.0.0/0 …`; ports and protocol, which Cilium never sets, are not looked at. */
function readSelector(words: readonly string[]): SaConfig['selector'] {
  const src = parsePrefix(wordAfter(words, 'src') ?? '');
  const dst = parsePrefix(wordAfter(words, 'dst') ?? '');
  return src && dst && src.address.length === dst.address.length ? { src, dst } : undefined;
}

/** `limit: soft (INF)(bytes), hard 1000(bytes)`: the limits that there are. */
function readLimits(text: string): Lifetime | undefined {
  const match =
    /^limit: soft (\(INF\)|\d+)\((bytes|packets)\), hard (\(INF\)|\d+)\((?:bytes|packets)\)$/.exec(text);
  if (!match) return undefined;
  const [, soft, unit, hard] = match;
  const softLimit = readLimit(soft);
  const hardLimit = readLimit(hard);
  return unit === 'bytes'
    ? {
        ...(softLimit !== undefined && { softBytes: softLimit }),
        ...(hardLimit !== undefined && { hardBytes: hardLimit }),
      }
    : {
        ...(softLimit !== undefined && { softPackets: softLimit }),
        ...(hardLimit !== undefined && { hardPackets: hardLimit }),
      };
}

/** What is beyond 2^53 no SA lives to see: as good as no limit, `(INF)`. */
function readLimit(digits: string | undefined): number | undefined {
  const limit = Number(digits);
  return Number.isSafeInteger(limit) ? limit : undefined;
}

function parseWindow(word: string | undefined): number | undefined {
  const window = parseU32(word);
  return window !== undefined && window <= MAX_WINDOW ? window : undefined;
}

function parsePort(word: string | undefined): number | undefined {
  const port = parseU32(word);
  return port !== undefined && port <= 0xffff ? port : undefined;
}

/** A word that an error may repeat: a name, and too short for a key. */
function plainWord(word: string): string {
  return /^[\w-]{1,16}$/.test(word) ? word : 'of an unknown kind';
}

function finish(
  state: Draft,
  source: string,
  note: (line: string) => void,
  keyless: ((sa: KeylessSa) => void) | undefined,
): SaConfig | undefined {
  const origin = `${source}:${state.line}`;
  if (state.proto === undefined) {
    throw unreadable(source, state.line, 'the state has no line `proto …`', AS_PRINTED);
  }
  if (state.proto !== 'esp') {
    note(`${origin}: a state of protocol ${plainWord(state.proto)} is left out`);
    return undefined;
  }
  const { src, dst, spi = 0, reqid = 0, mode = 'tunnel', lifetime } = state;
  const esn = state.flags.includes('esn');
  const window = state.contextWindow ?? state.window ?? 0;
  if (spi === 0) {
    note(`${origin}: a state without SPI, which waits for its key exchange, is left out`);
    return undefined;
  }
  const sa: KeylessSa = {
    src,
    dst,
    spi,
    mode,
    esn,
    replayWindow: esn && window === 0 ? ESN_WINDOW : window,
    reqid,
    // A state that takes both families (af-unspec and no selector given) prints no selector. One that is printed
    // decides the family of what is sent, whatever the flags say: tried on Linux 6.1.
    ...(state.selector && { selector: state.selector }),
    ...(state.mark && { mark: state.mark }),
    ...(state.outputMark && { outputMark: state.outputMark }),
    ...(state.encap && { encap: state.encap }),
    flags: state.flags.filter((flag) => flag !== 'esn'),
    ...(Object.keys(lifetime).length > 0 && { lifetime }),
    ...(state.sequence && { sequence: state.sequence }),
    ...(state.counted && { counted: state.counted }),
    ...(state.direction && { direction: state.direction }),
    origin,
  };
  if (state.hidden && keyless) {
    keyless(sa);
    return undefined;
  }
  return { ...sa, keys: readKeys(state, source) };
}

function readKeys(state: Draft, source: string): KeyMaterial {
  const { aead: combined, auth, enc } = state;
  const line = (combined ?? enc ?? auth)?.line ?? state.line;
  try {
    if (combined) return aead(combined.name, combined.key, combined.bits ?? 0);
    // Without `auth` Linux takes `digest_null`: no ICV at all.
    if (enc) {
      const { name, key, bits } = auth ?? { name: 'digest_null', key: new Uint8Array(0), bits: 0 };
      return authenc(name, key, enc.name, enc.key, bits);
    }
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    throw new InputError({ source, line }, error.message, 'Remove this state from the text, or correct it.', {
      cause: error,
    });
  }
  throw unreadable(
    source,
    line,
    'the state has no encryption algorithm (a line `aead …` or `enc …`)',
    'Give the whole text of `ip -s xfrm state`; remove a state whose key exchange was still going on.',
  );
}
