/**
 * A YAML text whose values know their lines, so that an error can name the place. No schema, no meaning.
 * @module
 */
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { InputError } from '../base/errors.ts';

/** Where a value is: keys of mappings, places in lists. */
export type YamlPath = readonly (string | number)[];

export class YamlText {
  readonly source: string;
  readonly #document: Document;
  readonly #lines = new LineCounter();

  /** @throws {InputError} when it is no YAML, or a key stands in it twice */
  constructor(text: string, source: string) {
    this.source = source;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const [error] = this.#document.errors;
    if (!error) return;
    const { line } = this.#lines.linePos(error.pos[0]);
    const problem = error.message.split('\n')[0]!.replace(/\.$/, '');
    throw new InputError({ source, line }, `not YAML: ${problem}`, 'Correct the line.');
  }

  /** The whole as plain values. */
  get value(): unknown {
    return this.#document.toJS({ maxAliasCount: 100 });
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

  /** An error about a value. */
  fail(path: YamlPath, problem: string, remedy: string): InputError {
    return new InputError({ source: this.source, line: this.lineOf(path) }, problem, remedy);
  }
}
