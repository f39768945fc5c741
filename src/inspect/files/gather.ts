/**
 * Everything that files, folders and archives hold, by kind: what an operator gives without saying what it is. Of a
 * sysdump the texts of each node are handed over as soon as they are together, so that not all of them are in memory.
 * @module
 */
import { joined } from '../../base/byte-stream.ts';
import { decodeText, TextPieces } from '../../base/decode-text.ts';
import { InputError } from '../../base/errors.ts';
import { LongLines } from '../../base/lines.ts';
import { isCapture } from '../../capture/format.ts';
import type { NamedText } from '../../sa-text/sa-texts.ts';
import { parseHexDump } from '../hex-dump.ts';
import type { Kind, TextKind } from './kinds.ts';
import { isBinary, isHex, otherContainerOf, recogniseText } from './recognise.ts';
import { collectedOf, commandOutput, FAILED, type NodeTextKind, placeOf } from './sysdump.ts';
import { Budget, type Crc32, type Entry, type FileBytes, type Inflate, walk } from './walk.ts';

/** What one node of a sysdump says. */
export interface NodeTexts {
  /** The folder or archive that they come from, for people. */
  readonly source: string;
  /** The Cilium pod that collected them, where its name is told. */
  readonly pod?: string;
  /** By kind; absent what was not collected. An empty text says that there is nothing, as with no states. */
  readonly texts: Readonly<Partial<Record<NodeTextKind, NamedText>>>;
}

/** A capture, or a packet. */
export interface Subject {
  readonly kind: 'capture' | 'packet';
  readonly name: string;
  /** Where it is a file of its own. */
  readonly file?: FileBytes;
  /** Its bytes, as often as wanted. @throws {InputError} when they cannot be read */
  chunks(): AsyncGenerator<Uint8Array>;
}

/** What came of one file, or of one node's. */
export interface Taken {
  readonly name: string;
  /** None: it is of no use here. */
  readonly kinds: readonly Kind[];
  /** Why there are none, where that can be said. */
  readonly why?: string;
}

export interface Gathered {
  readonly subjects: readonly Subject[];
  /** Texts that are of no node's collection. */
  readonly texts: ReadonlyMap<TextKind, readonly NamedText[]>;
  readonly taken: readonly Taken[];
  /** Files of collections that are of no use here. */
  readonly beside: number;
}

export interface GatherOptions {
  /** Limits, where not the usual ones. */
  readonly budget?: Budget;
  /**
   * Is told what a node says when the next node's begins. Where an archive has the files of several nodes in turns, a node
   * comes more than once. The answer `true` says that its texts are of no more use.
   */
  readonly onNode: (node: NodeTexts) => unknown;
  /** Takes Hubble's flows line by line: they may be gigabytes. Where it is left out, they are not read. */
  readonly onFlow?: (line: string, source: string) => void;
  /** Is told of archives that are damaged or beyond a limit, and of texts that cannot be read. The rest is used. */
  readonly onDamage: (error: InputError) => void;
  /** As in {@link WalkOptions}. */
  readonly crc32?: Crc32;
  /** See {@link WalkOptions}. */
  readonly inflate?: Inflate;
  readonly release?: (bytes: Uint8Array) => void;
}

/** Bytes by which a text is recognised; the rest is read when it is of a kind. */
const BEGINNING = 64 << 10;

/**
 * Goes through everything.
 * @throws {InputError} a file cannot be read, or all together are beyond a limit
 */
export async function gather(
  files: AsyncIterable<FileBytes> | Iterable<FileBytes>,
  options: GatherOptions,
): Promise<Gathered> {
  const gatherer = new Gatherer(options);
  for await (const file of files) await gatherer.file(file);
  return gatherer.end();
}

class Gatherer {
  readonly #options: GatherOptions;
  readonly #budget: Budget;
  readonly #subjects: Subject[] = [];
  readonly #texts = new Map<TextKind, NamedText[]>();
  readonly #taken: Taken[] = [];
  #beside = 0;
  /** When the sysdump was made that is read; others are not. */
  #collectedAt: string | undefined;
  /** Where the parts of that sysdump are: a second copy is not read. */
  readonly #places = new Map<string, string>();
  /** What was said of other sysdumps, and of copies. */
  readonly #told = new Set<string>();
  /** The node whose texts come. */
  #node:
    | {
        readonly key: string;
        readonly pod: string | undefined;
        readonly texts: Partial<Record<NodeTextKind, NamedText>>;
        readonly bytes: Uint8Array[];
      }
    | undefined;

  constructor(options: GatherOptions) {
    this.#options = options;
    this.#budget = options.budget ?? new Budget();
  }

  async file(file: FileBytes): Promise<void> {
    const isUsed = (path: readonly string[]) => {
      if (placeOf(split(path)) !== 'beside') return true;
      this.#beside++;
      return false;
    };
    const wants = (path: readonly string[]) => isUsed(path) && this.#isOfOne(path);
    if (!wants([file.name])) return;
    const { onDamage, crc32, inflate, release } = this.#options;
    const options = {
      budget: this.#budget,
      wants,
      onDamage,
      ...(crc32 && { crc32 }),
      ...(inflate && { inflate }),
      ...(release && { release }),
    };
    for await (const entry of walk(file, options)) {
      try {
        await this.#entry(entry, file);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        onDamage(error);
      }
    }
  }

  /**
   * Is it of the sysdump that came first, and of the first copy of that? What two clusters say, or one at two times, does not
   * fit together.
   */
  #isOfOne(path: readonly string[]): boolean {
    const collected = collectedOf(split(path));
    if (!collected) return true;
    const { at, part, place } = collected;
    this.#collectedAt ??= at;
    const isOther = at !== this.#collectedAt;
    const first = isOther ? undefined : (this.#places.get(part) ?? place);
    if (first === place) {
      this.#places.set(part, place);
      return true;
    }
    // The sysdump's own name: of its parts there are many.
    const source = isOther ? `${path[0]}` : place;
    const said = isOther ? at : '';
    if (!this.#told.has(said)) {
      const problem = isOther
        ? `a sysdump of ${timeText(at)}, beside that of ${timeText(this.#collectedAt)}: it is not used`
        : `the same as ${first}: it is not used`;
      this.#options.onDamage(new InputError({ source }, problem, 'Give one sysdump at a time.'));
    }
    this.#told.add(said);
    return false;
  }

  async end(): Promise<Gathered> {
    this.#endNode();
    return { subjects: this.#subjects, texts: this.#texts, taken: this.#taken, beside: this.#beside };
  }

  async #entry(entry: Entry, file: FileBytes): Promise<void> {
    const { name, head } = entry;
    const place = placeOf(split(entry.path));
    if (place === 'beside') return;
    if (place) {
      if (this.#node?.key !== place.node) {
        this.#endNode();
        this.#node = { key: place.node, pod: place.pod, texts: {}, bytes: [] };
      }
      const bytes = await entry.bytes();
      this.#node.bytes.push(bytes);
      const output = outputText(name, place.kind, bytes);
      if (output) this.#node.texts[place.kind] ??= output;
      return;
    }
    if (isCapture(head)) {
      this.#subjects.push({
        kind: 'capture',
        name,
        ...(entry.file && { file }),
        chunks: () => again(file, entry.path, this.#options.crc32),
      });
      this.#take(name, ['capture']);
      return;
    }
    if (head.length === 0) return this.#take(name, [], 'it is empty');
    const packed = otherContainerOf(head);
    if (packed) return this.#take(name, [], `it is packed with ${packed}: unpack it first`);
    if (isBinary(head)) return this.#take(name, []);
    await this.#text(entry);
  }

  /** A text is read as far as it takes to know that it is of no use. */
  async #text(entry: Entry): Promise<void> {
    const { name } = entry;
    const { held } = this.#budget.limits;
    const parts: Uint8Array[] = [];
    let length = 0;
    let pieces: TextPieces | undefined;
    let flows: LongLines | undefined;
    for await (const chunk of entry.chunks()) {
      if (flows) {
        flows.feed(chunk);
        continue;
      }
      length += chunk.length;
      if (length > held) return this.#take(name, [], 'it is longer than any text that is read here');
      if (pieces) {
        pieces.add(chunk);
        continue;
      }
      parts.push(chunk.slice());
      if (length < BEGINNING) continue;
      const first = joined(parts);
      const beginning = decodeText(first);
      const [kind] = kindsOf(beginning.slice(0, beginning.lastIndexOf('\n') + 1));
      if (kind === 'flows') {
        flows = this.#flows(name);
        if (!flows) return;
        flows.feed(first);
        continue;
      }
      if (kind === undefined && !mayBeList(beginning)) return this.#take(name, []);
      pieces = new TextPieces(first);
    }
    if (flows) return flows.end();
    const text = pieces?.end() ?? decodeText(joined(parts));
    const kinds = kindsOf(text);
    if (kinds.includes('flows')) {
      const all = this.#flows(name);
      all?.feed(new TextEncoder().encode(text));
      return all?.end();
    }
    this.#take(name, kinds);
    for (const kind of kinds) {
      if (kind === 'packet') this.#packet(name, text);
      else if (kind !== 'capture') {
        this.#texts.set(kind, [...(this.#texts.get(kind) ?? []), { source: name, text }]);
      }
    }
  }

  /** What takes the lines of flows, where they are wanted. */
  #flows(name: string): LongLines | undefined {
    const { onFlow } = this.#options;
    this.#take(name, ['flows']);
    return onFlow && new LongLines((line) => onFlow(line, name));
  }

  #packet(name: string, text: string): void {
    const bytes = parseHexDump(text, name);
    this.#subjects.push({
      kind: 'packet',
      name,
      async *chunks() {
        yield bytes;
      },
    });
  }

  #take(name: string, kinds: readonly Kind[], why?: string): void {
    this.#taken.push({ name, kinds, ...(why !== undefined && { why }) });
  }

  #endNode(): void {
    if (!this.#node) return;
    const { key, pod, texts, bytes } = this.#node;
    this.#node = undefined;
    const { onNode, release } = this.#options;
    const isDone = onNode({ source: key, ...(pod !== undefined && { pod }), texts }) === true;
    if (isDone && release) for (const one of bytes) release(one);
  }
}

/** `20261129-101112` for people. */
function timeText(at: string): string {
  return at.replace(/(....)(..)(..)-(..)(..)(..)/, '$1-$2-$3 $4:$5:$6');
}

/** Characters at the end of an output in which it says that its command failed. */
const FAILURE = 4096;

/**
 * The output of a command. Gigabytes of states are read as bytes, and never become text.
 * @returns `undefined` where the command failed, and printed nothing of what it is to print: no states is not that there are none
 */
function outputText(source: string, kind: NodeTextKind, bytes: Uint8Array): NamedText | undefined {
  const end = decodeText(bytes.subarray(Math.max(0, bytes.length - FAILURE)));
  const hasFailed = end.includes(FAILED);
  if (hasFailed) {
    const text = commandOutput(decodeText(bytes));
    const expected = kind === 'xfrm-stat-later' ? 'xfrm-stat' : kind;
    return recogniseText(text).includes(expected) ? { source, text } : undefined;
  }
  let text: string | undefined;
  return {
    source,
    get text() {
      text ??= commandOutput(decodeText(bytes));
      return text;
    },
    ...(bytes[0] !== HASH_SIGN && { bytes }),
  };
}

/** Begins a headline of Markdown. */
const HASH_SIGN = 0x23;

/** A given file may be named with its folders. */
function split(path: readonly string[]): string[] {
  return path.flatMap((part) => part.split('/'));
}

function kindsOf(text: string): readonly Kind[] {
  const kinds = recogniseText(text);
  return kinds.length === 0 && isHex(text) ? ['packet'] : kinds;
}

/** Lists of cilium-cli say at their end what they are lists of. */
function mayBeList(beginning: string): boolean {
  const first = beginning.slice(0, 1000);
  return (
    /^\s*(?:---\s+)?apiVersion:/.test(first) ||
    (/^\s*[{[]/.test(first) && /"(?:apiVersion|items)"/.test(first))
  );
}

/** Goes to an entry again. */
async function* again(
  file: FileBytes,
  path: readonly string[],
  crc32: Crc32 | undefined,
): AsyncGenerator<Uint8Array> {
  const wanted = path.join('/');
  const options = {
    wants: (other: readonly string[]) =>
      wanted === other.join('/') || wanted.startsWith(`${other.join('/')}/`),
    onDamage: (error: InputError) => {
      throw error;
    },
    ...(crc32 && { crc32 }),
  };
  for await (const entry of walk(file, options)) {
    if (entry.name !== wanted) continue;
    yield* entry.chunks();
    return;
  }
  throw new InputError({ source: wanted }, 'is not there any more', 'Leave the files as they are meanwhile.');
}
