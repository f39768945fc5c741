/**
 * Everything that `ip xfrm state|policy|count|monitor` and `/proc/net/xfrm_stat` print, as data: what `ip -j` does not
 * give. Each part of a text is recognised by itself, so that several may stand in one file.
 *
 * Nothing is needed from the text but what makes an entry: hidden keys stay hidden, algorithms and modes that esplane
 * cannot run are named all the same. For SAs to decrypt with, `xfrm-state.ts` is stricter.
 *
 * What is printed differently from version to version is passed over, not guessed.
 * @module
 */
import type { Mark } from '../ipsec/sa-config.ts';
import { checkEntries } from './sa-limit.ts';
import { parseMark, parseU32, unreadable, wordAfter, type XfrmLine, xfrmLines } from './xfrm-text.ts';

export interface XfrmAlgorithm {
  readonly type: 'aead' | 'auth' | 'auth-trunc' | 'enc' | 'comp';
  readonly name: string;
  /** Bits of key material, where it is printed whole. */
  readonly keyBits: number | null;
  readonly icvBits: number | null;
  /** Hexadecimal; only when it was asked for, and printed. */
  readonly key?: string;
}

/** A limit of null is `(INF)`, or `0(sec)` for times. */
export interface XfrmLifetime {
  readonly softBytes: string | null;
  readonly hardBytes: string | null;
  readonly softPackets: string | null;
  readonly hardPackets: string | null;
  readonly softAddSeconds: number | null;
  readonly hardAddSeconds: number | null;
  readonly softUseSeconds: number | null;
  readonly hardUseSeconds: number | null;
}

/** Counters of 64 bits are decimal text; times are as printed, in the zone of the host, and null for `-`. */
export interface XfrmUse {
  readonly bytes: string | null;
  readonly packets: string | null;
  readonly added: string | null;
  readonly used: string | null;
}

export interface XfrmSelector {
  readonly src: string;
  readonly dst: string;
  readonly proto: string | null;
  readonly sport: number | null;
  readonly dport: number | null;
  readonly dev: string | null;
  readonly uid: number | null;
}

export interface XfrmStateJson {
  readonly src: string;
  readonly dst: string;
  readonly proto: string | null;
  readonly spi: number | null;
  readonly reqid: number | null;
  readonly mode: string | null;
  readonly replayWindow: number | null;
  readonly flags: readonly string[];
  readonly mark: Mark | null;
  readonly outputMark: Mark | null;
  readonly algorithms: readonly XfrmAlgorithm[];
  readonly encap: {
    readonly type: string;
    readonly sport: number | null;
    readonly dport: number | null;
    readonly addr: string | null;
  } | null;
  /** Halves of the last numbers received and sent; high halves are 0 without ESN. */
  readonly antiReplay: {
    readonly esn: boolean;
    readonly seqHi: number;
    readonly seq: number;
    readonly oseqHi: number;
    readonly oseq: number;
    readonly window: number | null;
    /** Words of 32 bits, hexadecimal, as printed: the one with the latest numbers last. */
    readonly bitmap: readonly string[];
  } | null;
  readonly selector: XfrmSelector | null;
  readonly lifetime: XfrmLifetime | null;
  readonly use: XfrmUse | null;
  readonly stats: { readonly replayWindow: number; readonly replay: number; readonly failed: number } | null;
  readonly offload: {
    readonly dev: string | null;
    readonly dir: string | null;
    readonly mode: string | null;
  } | null;
  readonly ifId: number | null;
  readonly tfcPad: number | null;
  readonly direction: string | null;
  readonly lastUsed: string | null;
  readonly origin: string;
}

export interface XfrmTemplateJson {
  readonly src: string;
  readonly dst: string;
  readonly proto: string | null;
  /** Null where any will do. */
  readonly spi: number | null;
  readonly reqid: number | null;
  readonly mode: string | null;
  readonly level: 'required' | 'use';
}

export interface XfrmPolicyJson {
  readonly selector: XfrmSelector;
  readonly direction: string | null;
  /** It belongs to one socket. */
  readonly socket: boolean;
  readonly action: 'allow' | 'block';
  readonly index: number | null;
  readonly priority: number;
  readonly ptype: string | null;
  readonly flags: readonly string[];
  readonly mark: Mark | null;
  readonly ifId: number | null;
  readonly lifetime: XfrmLifetime | null;
  readonly use: XfrmUse | null;
  readonly templates: readonly XfrmTemplateJson[];
  readonly origin: string;
}

/** One message of `ip xfrm monitor` that says what happened; entries without such a word are states and policies. */
export interface XfrmEventJson {
  /** `deleted`, `updated`, `expired`, `flushed`, `acquire`, `async`, … */
  readonly event: string;
  /** The line as printed, without keys: there are none in it. */
  readonly text: string;
  readonly state: XfrmStateJson | null;
  readonly policy: XfrmPolicyJson | null;
  readonly origin: string;
}

export interface XfrmJson {
  readonly states: readonly XfrmStateJson[];
  readonly policies: readonly XfrmPolicyJson[];
  readonly events: readonly XfrmEventJson[];
  /** Of `ip xfrm state count` and `policy count`, by the words printed: `SAD count`, `SPD IN`. */
  readonly counts: Readonly<Record<string, number>>;
  /** Of `/proc/net/xfrm_stat`; several are added up. */
  readonly stat: Readonly<Record<string, number>>;
}

const EVENT = /^(Deleted|Updated|Expired|Flushed|Async event|acquire|Mapping|report|Unknown message)\b/i;

/** Lines of one entry, its first line among them. */
interface Entry {
  readonly head: XfrmLine;
  /** Words of the first line, from `src` on. */
  readonly words: readonly string[];
  readonly event: string | undefined;
  readonly lines: XfrmLine[];
}

/**
 * Reads a text of any of these kinds, or of several.
 * @param source file name, for origins and errors
 * @throws {InputError} when nothing in it is of any kind
 */
export function parseXfrm(text: string, source: string, showKeys = false): XfrmJson {
  const states: XfrmStateJson[] = [];
  const policies: XfrmPolicyJson[] = [];
  const events: XfrmEventJson[] = [];
  const counts: Record<string, number> = {};
  const stat: Record<string, number> = {};
  let entry: Entry | undefined;
  let first: number | undefined;
  let known = false;

  const close = () => {
    if (!entry) return;
    const origin = `${source}:${entry.head.number}`;
    const isPolicy = entry.words[1]?.includes('/') === true;
    const isState = !isPolicy && entry.words.length >= 4;
    const state = isState ? readState(entry, origin, showKeys) : null;
    const policy = isPolicy ? readPolicy(entry, origin) : null;
    if (entry.event !== undefined) {
      events.push({ event: entry.event, text: entry.head.text, state, policy, origin });
    } else if (state) states.push(state);
    else if (policy) policies.push(policy);
    checkEntries(states.length + policies.length + events.length, source, entry.head.number);
    entry = undefined;
  };

  for (const line of xfrmLines(text, source)) {
    first ??= line.number;
    const { words } = line;
    const [, name, value] = /^(Xfrm\w+)\s+(\d+)$/.exec(line.text) ?? [];
    const event = EVENT.exec(line.text)?.[1]?.toLowerCase().split(' ')[0];
    const at = event === undefined ? 0 : words.indexOf('src');
    if (name !== undefined) {
      close();
      stat[name] = (stat[name] ?? 0) + Number(value);
    } else if (words[0] === 'SAD' || words[0] === 'SPD') {
      close();
      readCounts(line, counts);
    } else if (event !== undefined || (words[0] === 'src' && words[2] === 'dst' && words.length >= 4)) {
      // `src A dst B reqid …` below `Async event` belongs to it.
      if (entry?.event === 'async' && event === undefined) {
        entry.lines.push(line);
        continue;
      }
      close();
      entry = { head: line, words: at < 0 ? [] : words.slice(at), event, lines: [] };
    } else if (entry) {
      if (line.indent > entry.head.indent || entry.head.indent > 0) entry.lines.push(line);
      else {
        close();
        continue;
      }
    } else continue;
    known = true;
  }
  close();
  if (first !== undefined && !known) {
    throw unreadable(
      source,
      first,
      'neither `ip xfrm` text nor /proc/net/xfrm_stat',
      'Give the output of ip xfrm state, policy, count or monitor, or the file /proc/net/xfrm_stat.',
    );
  }
  return { states, policies, events, counts, stat };
}

/** Joins what several texts hold. */
export function joinXfrm(parts: readonly XfrmJson[]): XfrmJson {
  const sum = (key: 'counts' | 'stat') => {
    const all: Record<string, number> = {};
    for (const part of parts)
      for (const [name, n] of Object.entries(part[key])) all[name] = (all[name] ?? 0) + n;
    return all;
  };
  return {
    states: parts.flatMap((part) => part.states),
    policies: parts.flatMap((part) => part.policies),
    events: parts.flatMap((part) => part.events),
    counts: sum('counts'),
    stat: sum('stat'),
  };
}

function readState({ words: head, lines }: Entry, origin: string, showKeys: boolean): XfrmStateJson {
  const state = {
    src: head[1]!,
    dst: head[3]!,
    proto: null as string | null,
    spi: null as number | null,
    reqid: null as number | null,
    mode: null as string | null,
    replayWindow: null as number | null,
    flags: [] as string[],
    mark: null as Mark | null,
    outputMark: null as Mark | null,
    algorithms: [] as XfrmAlgorithm[],
    encap: null as XfrmStateJson['encap'],
    antiReplay: null as XfrmStateJson['antiReplay'],
    selector: null as XfrmSelector | null,
    ...readLife(lines),
    stats: null as XfrmStateJson['stats'],
    offload: null as XfrmStateJson['offload'],
    ifId: null as number | null,
    tfcPad: null as number | null,
    direction: null as string | null,
    lastUsed: null as string | null,
    origin,
  };
  for (const { words, text } of lines) {
    const after = (key: string) => wordAfter(words, key);
    switch (words[0]) {
      case 'proto':
        state.proto = words[1] ?? null;
        state.spi = parseU32(after('spi')) ?? null;
        state.reqid = parseU32(after('reqid')) ?? null;
        state.mode = after('mode') ?? null;
        break;
      case 'replay-window':
        if (words[2] === 'replay') {
          const [, window, replay, failed] =
            /^replay-window (\d+) replay (\d+) failed (\d+)/.exec(text) ?? [];
          state.stats = { replayWindow: Number(window), replay: Number(replay), failed: Number(failed) };
        } else {
          state.replayWindow = parseU32(words[1]) ?? null;
          state.flags = flagsOf(text);
        }
        break;
      case 'mark':
      case 'output-mark':
        state.mark = parseMark(after('mark')) ?? null;
        state.outputMark = parseMark(after('output-mark')) ?? null;
        break;
      case 'aead':
      case 'auth':
      case 'auth-trunc':
      case 'enc':
      case 'comp':
        state.algorithms.push(readAlgorithm(words[0], words, showKeys));
        break;
      case 'encap':
        state.encap = {
          type: after('type') ?? '',
          sport: parseU32(after('sport')) ?? null,
          dport: parseU32(after('dport')) ?? null,
          addr: after('addr') ?? null,
        };
        break;
      case 'anti-replay':
        // One state has one: a text may claim many, and each takes all its lines.
        if (words[1] === 'context:') state.antiReplay ??= readContext(lines, text, false);
        else
          state.antiReplay ??= readContext(
            lines,
            lines.find(({ words: w }) => w[0] === 'seq-hi')?.text ?? '',
            true,
          );
        break;
      case 'sel':
        state.selector = readSelector(words.slice(1));
        break;
      case 'crypto':
        state.offload = { dev: after('dev') ?? null, dir: after('dir') ?? null, mode: after('mode') ?? null };
        break;
      case 'if_id':
        state.ifId = parseU32(words[1]) ?? null;
        break;
      case 'tfcpad':
        state.tfcPad = parseU32(words[1]) ?? null;
        break;
      case 'dir':
        state.direction = words[1] ?? null;
        break;
      case 'lastused':
        state.lastUsed = text.slice('lastused'.length).trim();
        break;
    }
  }
  return state;
}

function readPolicy({ words: head, lines }: Entry, origin: string): XfrmPolicyJson {
  const policy = {
    selector: readSelector(head),
    direction: null as string | null,
    socket: false,
    action: 'allow' as XfrmPolicyJson['action'],
    index: null as number | null,
    priority: 0,
    ptype: null as string | null,
    flags: [] as string[],
    mark: null as Mark | null,
    ifId: null as number | null,
    ...readLife(lines),
    templates: [] as { -readonly [K in keyof XfrmTemplateJson]: XfrmTemplateJson[K] }[],
    origin,
  };
  for (const { words, text } of lines) {
    const after = (key: string) => wordAfter(words, key);
    const template = policy.templates.at(-1);
    switch (words[0]) {
      case 'dir':
      case 'socket':
        policy.direction = words[1] ?? null;
        policy.socket = words[0] === 'socket';
        policy.action = after('action') === 'block' ? 'block' : 'allow';
        policy.index = parseU32(after('index')) ?? null;
        policy.priority = parseU32(after('priority')) ?? 0;
        policy.ptype = after('ptype') ?? null;
        policy.flags = flagsOf(text);
        break;
      case 'mark':
        policy.mark = parseMark(words[1]) ?? null;
        break;
      case 'if_id':
        policy.ifId = parseU32(words[1]) ?? null;
        break;
      case 'tmpl':
        policy.templates.push({
          src: after('src') ?? '',
          dst: after('dst') ?? '',
          proto: null,
          spi: null,
          reqid: null,
          mode: null,
          level: 'required',
        });
        break;
      case 'proto':
        if (!template) break;
        template.proto = words[1] ?? null;
        // `-s` prints 0 where any will do.
        template.spi = parseU32(after('spi')) || null;
        template.reqid = parseU32(after('reqid')) ?? null;
        template.mode = after('mode') ?? null;
        break;
      case 'level':
        if (template && words[1] === 'use') template.level = 'use';
        break;
    }
  }
  return policy;
}

/** Names after `flag` and `extra_flag`, which iproute2 glues to the flag before it. */
function flagsOf(text: string): string[] {
  const [, list = ''] = /\sflag\s+([^(]*)/.exec(text) ?? [];
  return list
    .replace('extra_flag', ' ')
    .split(/\s+/)
    .filter((name) => /^[a-z][a-z0-9-]*$/.test(name));
}

/** The key itself is copied only when it was asked for. */
function readAlgorithm(
  type: XfrmAlgorithm['type'],
  words: readonly string[],
  showKeys: boolean,
): XfrmAlgorithm {
  const rest = words.slice(2).filter((word) => !/^\(\d+$|^bits\)$/.test(word));
  const [, bits] = words.map((word) => /^\((\d+)$/.exec(word)).find((found) => found !== null) ?? [];
  const digits = rest.find((word) => /^0x(?:[0-9a-f]{2})+$/i.test(word));
  // A key that is not as long as the text says is cut off.
  const isWhole = digits !== undefined && (bits === undefined || (digits.length - 2) * 4 === Number(bits));
  const key = isWhole ? digits : undefined;
  const icv =
    type === 'enc' || type === 'comp' ? undefined : rest.filter((word) => /^\d+$/.test(word)).at(-1);
  return {
    type,
    name: words[1] ?? '',
    keyBits: key === undefined ? null : (key.length - 2) * 4,
    icvBits: icv === undefined ? null : Number(icv),
    ...(showKeys && key !== undefined && { key: key.slice(2).toLowerCase() }),
  };
}

function readContext(lines: readonly XfrmLine[], text: string, esn: boolean): XfrmStateJson['antiReplay'] {
  const number = (name: string) => Number(new RegExp(`(?:^|[ ,])${name} (0x[0-9a-f]+)`).exec(text)?.[1] ?? 0);
  const [, bitmap] = /bitmap (0x[0-9a-f]+)/.exec(text) ?? [];
  const window = lines.find(({ words }) => words[0] === 'replay_window');
  const rows = lines.filter(({ words }) => words.every((word) => /^[0-9a-f]{8}$/.test(word)));
  return {
    esn,
    seqHi: number('seq-hi'),
    seq: number('seq'),
    oseqHi: number('oseq-hi'),
    oseq: number('oseq'),
    window: window ? (parseU32(window.words[1]?.replace(/,$/, '')) ?? null) : null,
    bitmap: bitmap === undefined ? rows.flatMap(({ words }) => words) : [bitmap.slice(2)],
  };
}

function readSelector(words: readonly string[]): XfrmSelector {
  const after = (key: string) => wordAfter(words, key);
  return {
    src: after('src') ?? '',
    dst: after('dst') ?? '',
    proto: after('proto') ?? null,
    sport: parseU32(after('sport')) ?? null,
    dport: parseU32(after('dport')) ?? null,
    dev: after('dev') ?? null,
    uid: parseU32(after('uid')) ?? null,
  };
}

/** `lifetime config` and `lifetime current`, which `-s` prints. */
function readLife(lines: readonly XfrmLine[]): { lifetime: XfrmLifetime | null; use: XfrmUse | null } {
  const joined = lines.map(({ text }) => text).join('\n');
  if (!joined.includes('lifetime config:')) return { lifetime: null, use: null };
  const limit = (unit: string) => {
    const [, soft, hard] =
      new RegExp(`limit: soft (\\S+?)\\(${unit}\\), hard (\\S+?)\\(${unit}\\)`).exec(joined) ?? [];
    const value = (text?: string) => (text !== undefined && /^\d+$/.test(text) ? text : null);
    return [value(soft), value(hard)] as const;
  };
  const seconds = (what: string) => {
    const [, soft, hard] =
      new RegExp(`expire ${what}: soft (\\d+)\\(sec\\), hard (\\d+)\\(sec\\)`).exec(joined) ?? [];
    return [Number(soft) || null, Number(hard) || null] as const;
  };
  const [softBytes, hardBytes] = limit('bytes');
  const [softPackets, hardPackets] = limit('packets');
  const [softAddSeconds, hardAddSeconds] = seconds('add');
  const [softUseSeconds, hardUseSeconds] = seconds('use');
  const [, bytes = null, packets = null] = /^(\d+)\(bytes\), (\d+)\(packets\)$/m.exec(joined) ?? [];
  const [, added = '-', used = '-'] =
    /^add (\S+(?: \d\d:\d\d:\d\d)?) use (\S+(?: \d\d:\d\d:\d\d)?)/m.exec(joined) ?? [];
  return {
    lifetime: {
      softBytes,
      hardBytes,
      softPackets,
      hardPackets,
      softAddSeconds,
      hardAddSeconds,
      softUseSeconds,
      hardUseSeconds,
    },
    use: { bytes, packets, added: added === '-' ? null : added, used: used === '-' ? null : used },
  };
}

/** ` SAD count 3 (buckets count 8 Max 1048576)`, ` SPD IN  1 OUT 1 FWD 0 (Sock: IN 0 OUT 0 FWD 0)`. */
function readCounts({ text, words }: XfrmLine, counts: Record<string, number>): void {
  const add = (name: string, value: string | undefined) => {
    if (value !== undefined && /^\d+$/.test(value)) counts[name] = (counts[name] ?? 0) + Number(value);
  };
  if (words[0] === 'SAD') {
    const [, count, buckets, max] =
      /^SAD\s+count\s+(\d+)(?:\s+\(buckets count (\d+) Max (\d+)\))?/.exec(text) ?? [];
    add('SAD count', count);
    add('SAD buckets', buckets);
    add('SAD max', max);
    return;
  }
  const [main = '', sockets = ''] = text.split('(');
  for (const [name, part] of [
    ['SPD', main],
    ['SPD socket', sockets.startsWith('Sock') ? sockets : ''],
    [
      'SPD',
      sockets.startsWith('buckets') ? sockets.replace(/count (\d+)/, 'buckets $1').replace('Max', 'max') : '',
    ],
  ] as const) {
    for (const [, word, value] of part.matchAll(/\b(IN|OUT|FWD|buckets|max)\s+(\d+)/g))
      add(`${name} ${word}`, value);
  }
}
