/**
 * Kubernetes objects out of a file: what `kubectl get … -o json` or `-o yaml` prints, and what people make of it.
 *
 * One object, a List, several YAML documents, or a JSON array of objects all yield a flat list. Errors say where
 * the text is damaged, but never show it: it may be a Secret.
 * @module
 */
import { type Document, parseAllDocuments } from 'yaml';
import { InputError } from '../base/errors.ts';

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
    try {
      return [JSON.parse(text)]; // much faster than YAML, which would read it too
    } catch {
      // Then as YAML: it may be flow style, and if not, YAML says which line is wrong.
    }
  }
  const parsed: readonly Document[] = parseAllDocuments(text, { logLevel: 'silent' });
  const [error] = parsed.flatMap((document) => document.errors);
  if (error) {
    const line = error.linePos?.[0].line;
    throw new InputError(
      { source, ...(line !== undefined && { line }) },
      `no JSON or YAML (${error.code})`,
      REMEDY,
    );
  }
  try {
    return parsed.map((document) => document.toJS());
  } catch {
    // Aliases that lead nowhere, or that would unfold without end.
    throw new InputError({ source }, 'no usable YAML: its aliases cannot be resolved', REMEDY);
  }
}

function items(object: unknown): unknown[] | undefined {
  if (typeof object !== 'object' || object === null || !('items' in object)) return undefined;
  return Array.isArray(object.items) ? object.items : undefined;
}
