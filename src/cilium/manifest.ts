/**
 * Kubernetes objects out of a file: what `kubectl get … -o json` or `-o yaml` prints, and what people make of it.
 *
 * One object, a List, several YAML documents, or a JSON array of objects all yield a flat list. Errors say where
 * the text is damaged, but never show it: it may be a Secret.
 * @module
 */
import { InputError } from '../base/errors.ts';
import { isDeep, MAX_DEPTH, MAX_YAML, readYaml, yamlValue } from '../base/yaml-text.ts';

const REMEDY = 'Give the file as kubectl printed it.';

/**
 * Reads the objects in `text`, still unchecked.
 * @throws {InputError} when it is neither JSON nor YAML
 */
export function parseManifest(text: string, source: string): unknown[] {
  return documents(text, source)
    .flatMap((document) => (Array.isArray(document) ? document : [document]))
    .flatMap((object) => items(object) ?? [object])
    .filter((object) => object !== null && object !== undefined);
}

/** Does the text look like an object for Kubernetes, in YAML or JSON, rather than anything else? */
export function looksLikeManifest(text: string): boolean {
  return (
    /^\s*[{[]/.test(text) || /^(?:---|(?:apiVersion|kind|metadata|data|stringData|items)\s*:)/m.test(text)
  );
}

/** `kind` and name of an object, for errors; both may be missing. */
export function describeObject(object: unknown): string {
  const { kind, metadata } = (typeof object === 'object' && object !== null ? object : {}) as {
    kind?: unknown;
    metadata?: { name?: unknown } | null;
  };
  const words = [kind, metadata?.name].filter(
    (word) => typeof word === 'string' && /^[\w.-]{1,253}$/.test(word),
  );
  return words.length > 0 ? words.join(' ') : 'an object without kind and name';
}

function documents(text: string, source: string): unknown[] {
  if (/^\s*[{[]/.test(text)) {
    let json: unknown;
    try {
      json = JSON.parse(text); // much faster than YAML, which would read it too
    } catch {
      // Then as YAML: it may be flow style, and if not, YAML says which line is wrong.
    }
    if (json !== undefined) {
      if (!isDeep(json, false)) return [json];
      throw new InputError({ source }, `JSON that is nested more than ${MAX_DEPTH} levels deep`, REMEDY);
    }
  }
  const list = text.length > LONG_LIST && text.length <= MAX_YAML_LIST ? listItems(text) : undefined;
  if (!list) return yamlDocuments(text, source, () => 1);
  try {
    return list.flatMap(({ at, end }) => {
      const firstLine = () => text.slice(0, at).split('\n').length;
      return yamlDocuments(withoutManagedFields(text.slice(at, end)), source, firstLine);
    });
  } catch (error) {
    // An alias may be of an anchor in another item.
    if (text.length > MAX_YAML) throw error;
    return yamlDocuments(text, source, () => 1);
  }
}

/** @param firstLine the line of the file at which the text begins; asked for in errors only */
function yamlDocuments(text: string, source: string, firstLine: () => number): unknown[] {
  const { documents, lines, problem } = readYaml(text);
  if (problem) {
    const { at, code, detail, remedy } = problem;
    const line = firstLine() + lines.linePos(at).line - 1;
    // The limits say what they are; what the library says may hold a part of the text.
    const what = remedy === undefined ? `no JSON or YAML (${code})` : detail;
    throw new InputError({ source, line }, what, remedy ?? REMEDY);
  }
  return documents.map((document) => {
    const read = yamlValue(document);
    if ('value' in read) return read.value;
    if (read.code !== 'ALIAS') throw new InputError({ source }, read.detail, REMEDY);
    throw new InputError({ source }, 'no usable YAML: its aliases cannot be resolved', REMEDY);
  });
}

/** Characters from which a list in YAML is read item by item, which is three times as quick, … */
const LONG_LIST = 1 << 20;
/** … and up to which it is. */
export const MAX_YAML_LIST = 64 << 20;

/**
 * Where the items are in a list as kubectl and cilium-cli print it: `items:` at the beginning of a line, then each with `- ` at
 * the beginning of its first line, all else of it indented. So a list can be read that is too long for YAML as a whole.
 * @returns `undefined` where it is of another form
 */
function listItems(text: string): { readonly at: number; readonly end: number }[] | undefined {
  const head = /^items:[ \t]*\r?\n- /m.exec(text);
  if (!head || /^---/m.test(text.slice(1, head.index))) return undefined;
  const found: { at: number; end: number }[] = [];
  let at = head.index + head[0].length - 2;
  for (;;) {
    const next = text.indexOf('\n- ', at);
    const item = text.slice(at, next < 0 ? text.length : next + 1);
    // What follows the list begins a line; nothing in an item does.
    const after = item.search(/\n[^\s#]/);
    if (after < 0 || next < 0) found.push({ at, end: at + (after < 0 ? item.length : after + 1) });
    if (next < 0) return after >= 0 && /\n-/.test(item.slice(after)) ? undefined : found;
    if (after >= 0) return undefined;
    at = next + 1;
  }
}

/**
 * An item without the list of who wrote which of its fields: often the longer half of it, and of no use here. Its lines stay, but
 * empty.
 */
function withoutManagedFields(item: string): string {
  const found = /\n {4}managedFields:\r?\n/.exec(item);
  if (!found) return item;
  // The key that it is under is on the last line before it that is indented by two.
  let line = item.lastIndexOf('\n', found.index - 1);
  while (line >= 0 && item.startsWith('   ', line + 1)) line = item.lastIndexOf('\n', line - 1);
  if (!/^(?:- | {2})metadata:/.test(item.slice(line + 1, line + 20))) return item;
  const from = found.index + found[0].length - 1;
  const rest = item.slice(from).search(/\n(?! {4}[ -])/);
  const end = rest < 0 ? item.length : from + rest + 1;
  return (
    item.slice(0, found.index + 1) + item.slice(found.index + 1, end).replace(/[^\n]/g, '') + item.slice(end)
  );
}

function items(object: unknown): unknown[] | undefined {
  if (typeof object !== 'object' || object === null || !('items' in object)) return undefined;
  return Array.isArray(object.items) ? object.items : undefined;
}
