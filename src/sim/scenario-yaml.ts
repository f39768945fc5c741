/**
 * A YAML text whose values know their lines, so that an error can name the place. No schema, no meaning.
 * @module
 */
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { InputError } from '../base/errors.ts';

/** Where a value is: keys of mappings, places in lists. */
export type YamlPath = readonly (string | number)[];

/** How often one anchor may be used: enough for people, too few for a file that grows without end. */
const MOST_ALIASES = 100;

export class YamlText {
  readonly source: string;
  /** The whole as plain values. */
  readonly value: unknown;
  readonly #document: Document;
  readonly #lines = new LineCounter();

  /** @throws {InputError} when it is no YAML, or a key stands in it twice */
  constructor(text: string, source: string) {
    this.source = source;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const [error] = this.#document.errors;
    if (error?.code === 'MULTIPLE_DOCS')
      throw this.#failAt(error.pos[0], 'a second document begins', 'Give a file of its own to each.');
    if (error) {
      const problem = error.message.split('\n')[0]!.replace(/\.$/, '');
      throw this.#failAt(error.pos[0], `not YAML: ${problem}`, 'Correct the line.');
    }
    try {
      this.value = this.#document.toJS({ maxAliasCount: MOST_ALIASES });
    } catch (error) {
      // What the parser says of aliases, and no more, comes as this.
      if (!(error instanceof ReferenceError)) throw error;
      const { at, name } = this.#firstAlias();
      throw this.#failAt(
        at,
        `*${name} stands for nothing, or for too much`,
        `Write &${name} before it, and use it ${MOST_ALIASES} times at most.`,
      );
    }
  }

  /** The line of a value, or that of the nearest thing around it that is there. 1-based. */
  lineOf(path: YamlPath): number {
    let node = this.#document.contents as Node | null;
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

  /** The first alias without an anchor, or else the first. */
  #firstAlias(): { at: number; name: string } {
    let first: { at: number; name: string } | undefined;
    const document = this.#document;
    visit(document, {
      Alias(_, node) {
        const found = { at: node.range?.[0] ?? 0, name: node.source };
        first ??= found;
        if (node.resolve(document)) return undefined;
        first = found;
        return visit.BREAK;
      },
    });
    return first ?? { at: 0, name: '' };
  }

  #failAt(at: number, problem: string, remedy: string): InputError {
    return new InputError({ source: this.source, line: this.#lines.linePos(at).line }, problem, remedy);
  }

  /** An error about a value. */
  fail(path: YamlPath, problem: string, remedy: string): InputError {
    return new InputError({ source: this.source, line: this.lineOf(path) }, problem, remedy);
  }
}
