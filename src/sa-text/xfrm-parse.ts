/**
 * Reads every text of `ip xfrm` and `/proc/net/xfrm_stat` into one tree. Each part of a text is recognised by itself, so
 * several may stand in one file, with prompts and headlines between them.
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
 * First come entries: a line `src A dst B`, or one that names an event, and the lines that belong to it. Within an entry
 * words are read, not lines: pasted texts lose their indentation and their line ends. A word that is not known, and what
 * follows it in its line, goes into {@link XfrmTree.unread}.
 * @module
 */
import { InputError } from '../base/errors.ts';
import { type TextLine, textLines } from './lines.ts';
import { readSelector } from './read-parts.ts';
import { readPolicy } from './read-policy.ts';
import { readState } from './read-state.ts';
import { checkEntries } from './sa-limit.ts';
import { type NotRead, Words, type Writable } from './words.ts';
import type {
  Unread,
  XfrmEvent,
  XfrmPolicy,
  XfrmSeen,
  XfrmSelector,
  XfrmState,
  XfrmStateId,
  XfrmTree,
} from './xfrm-tree.ts';

/** Events that name a state or a policy in their own line, and those that have a form of their own. */
const EVENT =
  /^(Deleted|Updated|Expired|Flushed|Async event|acquire|Mapping change|report|Default policies|Unknown message)\b/i;
/** What `-ts` and `all-nsid` put before an entry. */
const STAMP = /^\[(?:nsid (\S+)|(\d{4}-\d\d-\d\dT[\d:.]+))\]\s*/;
/** What `-t` puts on a line of its own. */
const TIMESTAMP = /^Timestamp: (.+)$/;

/** Words that begin a line of an entry and hardly one of anything else. */
const PARTS: ReadonlySet<string> = new Set(
  (
    'src proto replay-window auth auth-trunc aead enc comp encap anti-replay seq-hi replay_window lifetime limit: sel tmpl ' +
    'output-mark if_id tfcpad extra_flag lastused coa stats: iptfs-opts pcpu-num'
  ).split(' '),
);

/** Words of one entry: the state with the widest window has 300. */
const MOST_WORDS = 10_000;
/** Parts that are not understood and are kept; more of them are as good. */
const MOST_UNREAD = 10_000;

interface Entry {
  readonly head: TextLine;
  readonly text: string;
  readonly event: string | undefined;
  readonly seen: XfrmSeen;
  /** Of the whole entry, from the first word after the event. */
  readonly words: Words;
  /** Are its lines indented more than its first one? Unknown before the second line. */
  isNested: boolean | undefined;
}

export interface ParseOptions {
  /** Number of the first line, where the text is part of a longer one. */
  readonly firstLine?: number;
  /** May it be of no kind at all? */
  readonly mayBeNothing?: boolean;
}

/**
 * Reads a text of any of these kinds, or of several.
 * @param source file name, for origins and errors
 * @throws {InputError} when nothing in it is of any kind, or it is too long
 */
export function parseXfrm(text: string, source: string, options: ParseOptions = {}): XfrmTree {
  const { firstLine = 1, mayBeNothing = false } = options;
  const parser = new Parser(source);
  for (const line of textLines(text, source, firstLine)) parser.line(line);
  return parser.end(mayBeNothing);
}

class Parser {
  readonly #source: string;
  readonly #states: (XfrmState & XfrmSeen)[] = [];
  readonly #policies: (XfrmPolicy & XfrmSeen)[] = [];
  readonly #events: (XfrmEvent & XfrmSeen)[] = [];
  readonly #counts: Record<string, number> = {};
  readonly #stat: Record<string, number> = {};
  readonly #unread: Unread[] = [];
  readonly #passed: number[] = [];
  #entry: Entry | undefined;
  #entries = 0;
  #firstLine: number | undefined;
  #isKnown = false;
  /** From a line `Timestamp:` before the entry. */
  #time: string | undefined;

  constructor(source: string) {
    this.#source = source;
  }

  line(line: TextLine): void {
    this.#firstLine ??= line.number;
    const stat = /^(Xfrm\w{1,40})\s+(\d{1,20})$/.exec(line.text);
    if (stat) {
      this.#close();
      add(this.#stat, stat[1]!, stat[2]);
      this.#isKnown = true;
      return;
    }
    if (line.words[0] === 'SAD' || line.words[0] === 'SPD') {
      this.#close();
      if (!readCounts(line, this.#counts)) this.#noteUnread(line.number, line.words[0]);
      this.#isKnown = true;
      return;
    }
    const time = TIMESTAMP.exec(line.text)?.[1];
    if (time !== undefined) {
      this.#close();
      this.#time = time;
      return;
    }
    if (this.#begins(line)) return;
    if (!this.#entry) {
      this.#pass(line);
      return;
    }
    const entry = this.#entry;
    entry.isNested ??= line.indent > entry.head.indent;
    // Where lines are indented, one that is not belongs to something else: a prompt, a headline.
    if (entry.isNested && line.indent <= entry.head.indent) {
      this.#close();
      this.#pass(line);
    } else {
      entry.words.add(line);
      if (entry.words.size > MOST_WORDS)
        throw new InputError(
          { source: this.#source, line: line.number },
          `a state or policy has more than ${MOST_WORDS} words`,
          'Give the output of ip xfrm, as it was printed.',
        );
    }
  }

  /** A line that belongs to no entry: a prompt or headline, or what has lost the line before it. */
  #pass({ number, words }: TextLine): void {
    const word = words[0]!;
    if (PARTS.has(word) || /^Xfrm\w/.test(word)) this.#noteUnread(number, word);
    else if (this.#passed.length < MOST_UNREAD) this.#passed.push(number);
  }

  #noteUnread(line: number, word: string): void {
    if (this.#unread.length < MOST_UNREAD) this.#unread.push({ line, word: plain(word) });
  }

  end(mayBeNothing: boolean): XfrmTree {
    this.#close();
    if (this.#firstLine !== undefined && !this.#isKnown && !mayBeNothing)
      throw new InputError(
        { source: this.#source, line: this.#firstLine },
        'neither `ip xfrm` text nor /proc/net/xfrm_stat',
        'Give the output of ip xfrm state, policy, count or monitor, or the file /proc/net/xfrm_stat.',
      );
    return {
      source: this.#source,
      states: this.#states,
      policies: this.#policies,
      events: this.#events,
      counts: this.#counts,
      stat: this.#stat,
      unread: this.#unread,
      passed: this.#passed,
    };
  }

  /** Is it the first line of an entry? */
  #begins(line: TextLine): boolean {
    let { text } = line;
    let seen: XfrmSeen = {};
    for (let stamp = STAMP.exec(text); stamp; stamp = STAMP.exec(text)) {
      seen = stamp[1] === undefined ? { ...seen, time: stamp[2]! } : { ...seen, nsid: stamp[1] };
      text = text.slice(stamp[0].length);
    }
    const named = EVENT.exec(text)?.[1];
    const rest = named === undefined ? text : text.slice(named.length).trimStart();
    const isPair = /^src\s+\S+\s+dst\s+\S/.test(rest);
    const event = named?.toLowerCase().split(' ')[0];
    if (named === undefined && !isPair) return false;
    if (named !== undefined && !isPair && !isEventLine(event!, rest)) return false;
    // `src A dst B reqid … protocol …` is the second line of an `Async event`.
    if (isPair && named === undefined && this.#entry?.event === 'async' && /\sprotocol\s/.test(rest))
      return false;
    this.#close();
    this.#isKnown = true;
    if (this.#time !== undefined) seen = { time: this.#time, ...seen };
    this.#time = undefined;
    const words = new Words();
    // The first line of the others is in their text.
    if (isPair || event === 'acquire' || event === 'report') words.add({ ...line, words: rest.split(/\s+/) });
    this.#entry = { head: line, text, event, seen, words, isNested: undefined };
    return true;
  }

  #close(): void {
    const entry = this.#entry;
    this.#entry = undefined;
    if (!entry) return;
    const { words, event, head, seen } = entry;
    checkEntries(++this.#entries, this.#source, head.number);
    const origin = `${this.#source}:${head.number}`;
    const unread: NotRead = (line, word, rest) => {
      this.#noteUnread(line, word);
      rest.rest();
    };
    if (event !== undefined) {
      this.#events.push({ ...readEvent(entry, event, origin, unread), ...seen });
      return;
    }
    // A policy begins like a state, but with prefixes.
    if (isPolicyHead(words)) this.#policies.push({ ...readPolicy(words, origin, unread), ...seen });
    else this.#states.push({ ...readState(words, origin, unread), ...seen });
  }
}

/** Prefixes make a policy. Where they are hidden, `dir` or `socket` right behind them does. */
function isPolicyHead(words: Words): boolean {
  return words.peek(1)?.includes('/') === true || words.peek(4) === 'dir' || words.peek(4) === 'socket';
}

/** Does an event without a pair of addresses go on as iproute2 prints it? Other texts have such words, too. */
function isEventLine(event: string, rest: string): boolean {
  switch (event) {
    case 'acquire':
    case 'report':
      return rest.startsWith('proto ');
    case 'flushed':
      return /^(state|policy)\b/.test(rest);
    case 'async':
      return rest.startsWith('(');
    case 'mapping':
      return rest.includes('->');
    case 'default':
      return rest === ':';
    default:
      return event === 'unknown';
  }
}

function readEvent({ words, text }: Entry, event: string, origin: string, unread: NotRead): XfrmEvent {
  const made = {
    event,
    text,
    state: null as XfrmState | null,
    policy: null as XfrmPolicy | null,
    id: null as XfrmStateId | null,
    selector: null as XfrmSelector | null,
    hard: null as boolean | null,
    mapping: null as XfrmEvent['mapping'],
    defaults: null as XfrmEvent['defaults'],
    origin,
  };
  const [, from, to] = /^Mapping change (\S+) -> (\S+)/i.exec(text) ?? [];
  if (from !== undefined && to !== undefined) made.mapping = { from, to };
  const other: NotRead = (line, word, rest) => {
    const hard = event === 'expired' && word === 'hard' ? rest.takeIf(/^[01]$/) : undefined;
    if (hard !== undefined) made.hard = hard === '1';
    else unread(line, word, rest);
  };
  if (words.next === 'src' && event !== 'async') {
    if (isPolicyHead(words)) made.policy = readPolicy(words, origin, other);
    else made.state = readState(words, origin, other);
    return made;
  }
  const id = { src: null, dst: null, proto: null, spi: null, reqid: null } as Writable<XfrmStateId>;
  for (let word = words.take(); word !== undefined; word = words.take()) {
    if (ID.has(word)) words.once(word.toLowerCase().replace('protocol', 'proto'));
    switch (word) {
      case 'src':
      case 'dst':
        id[word] = words.take() ?? null;
        break;
      case 'proto':
      case 'protocol':
        id.proto = words.take() ?? null;
        break;
      case 'spi':
      case 'SPI':
        id.spi = words.u32(word);
        break;
      case 'reqid':
        id.reqid = words.u32(word);
        break;
      case 'in:':
      case 'fwd:':
      case 'out:':
        made.defaults = { ...(made.defaults ?? NO_DEFAULTS), [word.slice(0, -1)]: words.take() ?? '' };
        break;
      case 'sel':
        made.selector = readSelector(words);
        break;
      case 'policy':
        made.policy = readPolicy(words, origin, unread);
        break;
      default:
        unread(words.takenFrom, word, words);
    }
  }
  for (const { line, field } of words.damaged.splice(0)) unread(line, field, words);
  if (Object.values(id).some((value) => value !== null)) made.id = id;
  return made;
}

const ID: ReadonlySet<string> = new Set(
  'src dst proto protocol spi SPI reqid sel policy in: fwd: out:'.split(' '),
);
const NO_DEFAULTS = { in: '', fwd: '', out: '' };

/** A word that a message may repeat: a name, and too short for a key. */
function plain(word: string): string {
  return /^[a-z][a-z_-]{0,23}:?$/i.test(word) ? word : '…';
}

function add(to: Record<string, number>, name: string, value: string | undefined): void {
  if (value !== undefined && /^\d+$/.test(value)) to[name] = (to[name] ?? 0) + Number(value);
}

/** The forms of a line of counts, white space apart. */
const COUNTS = [
  /^SAD count \d+(?: \(buckets count \d+ Max \d+\))?$/,
  /^SPD IN \d+ OUT \d+ FWD \d+(?: \(Sock: IN \d+ OUT \d+ FWD \d+\))?$/,
  /^SPD buckets: count \d+ Max \d+$/,
  /^SPD IPv[46] thresholds: local \d+ remote \d+$/,
];

/**
 * ` SAD count 3 (buckets count 8 Max 1048576)`, ` SPD IN  1 OUT 1 FWD 0 (Sock: IN 0 OUT 0 FWD 0)`.
 * @returns false where the line has another form: nothing of it counts
 */
function readCounts({ text, words }: TextLine, counts: Record<string, number>): boolean {
  if (!COUNTS.some((form) => form.test(text))) return false;
  if (words[0] === 'SAD') {
    const [, count, buckets, max] =
      /^SAD\s+count\s+(\d+)(?:\s+\(buckets count (\d+) Max (\d+)\))?/.exec(text) ?? [];
    add(counts, 'SAD count', count);
    add(counts, 'SAD buckets', buckets);
    add(counts, 'SAD max', max);
    return true;
  }
  const [, family] = /^SPD (IPv[46]) thresholds:/.exec(text) ?? [];
  const [main = '', second = ''] = text.split('(');
  const named = (part: string) =>
    part.replace(/(?:buckets:? )?count (\d+)/, 'buckets $1').replace('Max', 'max');
  for (const [name, part] of [
    [family === undefined ? 'SPD' : `SPD ${family}`, named(main)],
    [second.startsWith('Sock') ? 'SPD socket' : 'SPD', named(second)],
  ] as const) {
    for (const [, word, value] of part.matchAll(/\b(IN|OUT|FWD|buckets|max|local|remote)\s+(\d+)/g))
      add(counts, `${name} ${word}`, value);
  }
  return true;
}
