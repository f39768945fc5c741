/**
 * YAML within limits: the time a text takes grows with its length and no faster, and so does its memory. No schema, no
 * meaning.
 *
 * The library's own parser compares each key of a mapping with all others, and recurses as deep as the text nests. Here
 * keys are compared by a hash, and nesting, tokens and aliases are counted while the text is read.
 * @module
 */
import {
  Composer,
  type Document,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  visit,
} from 'yaml';
import { InputError } from './errors.ts';

/** Where a value is: keys of mappings, places in lists. */
export type YamlPath = readonly (string | number)[];

/** Longest YAML text, in characters. JSON is read by another parser, and may be longer. */
export const MAX_YAML = 8 << 20;
/**
 * Most tokens: values, and the signs and blanks between them, of which a line of 17 characters has about eight. Each
 * takes up to 350 bytes.
 */
export const MAX_YAML_TOKENS = 4_000_000;
/** Deepest nesting of mappings and lists. */
export const MAX_DEPTH = 100;
/** Most anchors and aliases together: the library looks for the anchor of an alias among all of them. */
const MAX_ANCHORS = 2_000;
/** How often one anchor may be used: enough for people, too few for a file that grows without end. */
export const MAX_ALIASES = 100;

/** Why a text is no usable YAML, and where. Texts of the file are in `detail` alone: they may be secret. */
export interface YamlProblem {
  /** Offset in the text, in characters. */
  readonly at: number;
  /** Stable word for the kind: a code of the library, or `DUPLICATE_KEY`, `TOO_DEEP`, `TOO_LONG`, `ALIAS`. */
  readonly code: string;
  readonly detail: string;
  readonly remedy?: string;
}

/** What was read of a text. */
export interface YamlRead {
  readonly documents: readonly Document[];
  readonly lines: LineCounter;
  /** The first thing that is wrong. */
  readonly problem: YamlProblem | undefined;
}

/** Reads all documents of a text. Throws nothing. */
export function readYaml(text: string): YamlRead {
  const lines = new LineCounter();
  const documents: Document[] = [];
  const wrong = (problem: YamlProblem): YamlRead => ({ documents, lines, problem });
  lines.addNewLine(0);
  if (text.length > MAX_YAML) {
    return wrong({
      at: 0,
      code: 'TOO_LONG',
      detail: 'more than 8 MiB of YAML',
      remedy: 'Give it as JSON (kubectl -o json), which may be longer.',
    });
  }
  const composer = new Composer({ uniqueKeys: false, logLevel: 'silent', prettyErrors: false });
  const parser = new Parser(lines.addNewLine);
  let tokens = 0;
  let anchors = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
    if (parser.stack.length > 2 * MAX_DEPTH) return wrong(tooDeep(parser.offset));
    // The text of a block may begin with the same signs; few files have 2,000 blocks that do.
    if ((lexeme.startsWith('&') || lexeme.startsWith('*')) && ++anchors > MAX_ANCHORS) {
      return wrong({
        at: parser.offset,
        code: 'TOO_LONG',
        detail: 'more than 2,000 anchors and aliases',
        remedy: 'Write the values out.',
      });
    }
    if (++tokens > MAX_YAML_TOKENS) {
      return wrong({
        at: parser.offset,
        code: 'TOO_LONG',
        detail: 'more than 4,000,000 words and signs of YAML',
        remedy: 'Give it as JSON (kubectl -o json), which may have more.',
      });
    }
  }
  for (const token of parser.end()) documents.push(...composer.next(token));
  documents.push(...composer.end(true, text.length));
  for (const document of documents) {
    const [error] = document.errors;
    if (error) {
      const detail = error.message.split('\n', 1)[0]!.replace(/\.$/, '');
      return wrong({ at: error.pos[0], code: error.code, detail });
    }
    const problem = checkNode(document.contents as Node | null, 0);
    if (problem) return wrong(problem);
  }
  return { documents, lines, problem: undefined };
}

/**
 * A document as plain values.
 * @returns them, or what is wrong with its aliases
 */
export function yamlValue(document: Document): { readonly value: unknown } | YamlProblem {
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    // What the parser says of aliases, and no more, comes as this.
    if (!(error instanceof ReferenceError)) throw error;
    const { at, name } = firstAlias(document);
    return {
      at,
      code: 'ALIAS',
      detail: `*${name} stands for nothing, or for too much`,
      remedy: `Write &${name} before it, and use it ${MAX_ALIASES} times at most.`,
    };
  }
  // Aliases of aliases nest deeper than the text does.
  return isDeep(value, true) ? tooDeep(0) : { value };
}

/**
 * Do objects and lists nest deeper than {@link MAX_DEPTH}?
 * @param isShared one object may be there several times, as aliases make it: it is looked at once
 */
export function isDeep(value: unknown, isShared: boolean): boolean {
  const heights = isShared ? new Map<object, number>() : undefined;
  const height = (part: unknown, depth: number): number => {
    if (typeof part !== 'object' || part === null) return 0;
    const known = heights?.get(part);
    if (known !== undefined) return known;
    // No deeper: the answer is known, and the stack has an end.
    if (depth > MAX_DEPTH) return 1;
    let most = 0;
    if (Array.isArray(part)) for (const one of part) most = Math.max(most, height(one, depth + 1));
    else
      for (const key in part) {
        most = Math.max(most, height((part as Record<string, unknown>)[key], depth + 1));
      }
    heights?.set(part, most + 1);
    return most + 1;
  };
  return height(value, 0) > MAX_DEPTH;
}

function tooDeep(at: number): YamlProblem {
  return {
    at,
    code: 'TOO_DEEP',
    detail: `nested more than ${MAX_DEPTH} levels deep`,
    remedy: 'Check that this is the right file.',
  };
}

/** The first key that its mapping has already, or the first value that is too deep. */
function checkNode(node: Node | null, depth: number): YamlProblem | undefined {
  if (depth >= MAX_DEPTH && (isSeq(node) || isMap(node))) return tooDeep(node.range?.[0] ?? 0);
  if (isSeq(node)) {
    for (const item of node.items) {
      const problem = checkNode(item as Node | null, depth + 1);
      if (problem) return problem;
    }
  } else if (isMap(node)) {
    const keys = new Set<string>();
    for (const { key, value } of node.items) {
      if (isScalar(key)) {
        const name = String(key.value);
        if (keys.has(name)) {
          return {
            at: key.range?.[0] ?? 0,
            code: 'DUPLICATE_KEY',
            detail: `the key ${name} stands here twice`,
          };
        }
        keys.add(name);
      } else {
        const problem = checkNode(key as Node | null, depth + 1);
        if (problem) return problem;
      }
      const problem = checkNode(value as Node | null, depth + 1);
      if (problem) return problem;
    }
  }
  return undefined;
}

/** The first alias without an anchor, or else the first. */
function firstAlias(document: Document): { at: number; name: string } {
  const anchors = new Set<string>();
  let first: { at: number; name: string } | undefined;
  let missing: { at: number; name: string } | undefined;
  visit(document, {
    Node(_, node) {
      const { anchor } = node as { anchor?: string };
      if (anchor !== undefined) anchors.add(anchor);
    },
    Alias(_, node) {
      const found = { at: node.range?.[0] ?? 0, name: node.source };
      first ??= found;
      if (anchors.has(node.source)) return undefined;
      missing = found;
      return visit.BREAK;
    },
  });
  return missing ?? first ?? { at: 0, name: '' };
}

/** One document whose values know their lines, so that an error can name the place. */
export class YamlText {
  readonly source: string;
  /** The whole as plain values. */
  readonly value: unknown;
  readonly #document: Document | undefined;
  readonly #lines: LineCounter;

  /** @throws {InputError} when it is no YAML, beyond a limit, or a key stands in it twice */
  constructor(text: string, source: string) {
    this.source = source;
    const { documents, lines, problem } = readYaml(text);
    this.#lines = lines;
    const [first, second] = documents;
    this.#document = first;
    if (second)
      throw this.#failAt(
        second.range?.[0] ?? 0,
        'a second document begins',
        'Give a file of its own to each.',
      );
    if (problem) {
      throw this.#failAt(problem.at, `not YAML: ${problem.detail}`, problem.remedy ?? 'Correct the line.');
    }
    const read = first ? yamlValue(first) : { value: null };
    if (!('value' in read)) throw this.#failAt(read.at, read.detail, read.remedy ?? 'Correct the line.');
    this.value = read.value;
  }

  /** The line of a value, or that of the nearest thing around it that is there. 1-based. */
  lineOf(path: YamlPath): number {
    let node = (this.#document?.contents ?? null) as Node | null;
    let at = node?.range?.[0] ?? 0;
    for (const step of path) {
      let next: Node | null | undefined;
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
        if (!pair) break;
        at = (pair.key as Node).range?.[0] ?? at;
        next = pair.value as Node | null;
      } else if (isSeq(node)) {
        next = node.items[Number(step)] as Node | undefined;
        at = next?.range?.[0] ?? at;
      }
      if (!next) break;
      node = next;
    }
    return this.#lines.linePos(at).line;
  }

  /** An error about a value. */
  fail(path: YamlPath, problem: string, remedy: string): InputError {
    return new InputError({ source: this.source, line: this.lineOf(path) }, problem, remedy);
  }

  #failAt(at: number, problem: string, remedy: string): InputError {
    return new InputError({ source: this.source, line: this.#lines.linePos(at).line }, problem, remedy);
  }
}
