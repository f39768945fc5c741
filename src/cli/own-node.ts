/**
 * The CiliumNode of this node as a file, for its peers: as it is in the list, with the key id that it has now.
 * @module
 */
import { lstatSync } from 'node:fs';
import { InputError } from '../base/errors.ts';
import { parseManifest } from '../cilium/manifest.ts';
import { INPUT, type InputFiles } from './input-files.ts';
import { PRIVATE, writeWhole } from './output-file.ts';

/** The permission bits that let others read. */
const READERS = 0o044;

/** A Kubernetes object, as far as is needed here. */
interface RawNode {
  readonly metadata?: { readonly name?: unknown } | null;
  readonly spec?: Readonly<Record<string, unknown>> | null;
}

/** Finds a node's object among the texts of a list. They have been parsed before. */
export function findRawNode(texts: readonly string[], name: string): RawNode | undefined {
  for (const text of texts) {
    if (!text.includes(name)) continue;
    const objects = parseManifest(text, name) as RawNode[];
    const found = objects.find((object) => object.metadata?.name === name);
    if (found) return found;
  }
  return undefined;
}

/**
 * Refuses a file that holds anything but this node: it would be lost.
 * @throws {InputError}
 */
export async function checkPublishFile(file: string, name: string, files: InputFiles): Promise<void> {
  if (!(await files.exists(file))) return;
  const text = await files.read(file, INPUT.nodes);
  const others = text.trim() === '' ? [] : (parseManifest(text, file) as RawNode[]);
  if (others.every((object) => object.metadata?.name === name)) return;
  throw new InputError(
    { source: file },
    `it holds more than node ${name}, and would be overwritten`,
    'Publish into a file of its own.',
  );
}

/**
 * The file's text.
 * @param bootId in place of the one that the list has
 */
export function ownNodeText(raw: RawNode, keyId: number, bootId?: string): string {
  const spec = {
    ...raw.spec,
    encryption: { key: keyId },
    ...(bootId !== undefined && { bootid: bootId }),
  };
  return `${JSON.stringify({ apiVersion: 'cilium.io/v2', kind: 'CiliumNode', ...raw, spec }, undefined, 2)}\n`;
}

/**
 * Writes the file, for peers to read. Permission to read it stays as the owner has set it; a new file is for its owner
 * alone. A link in its place is replaced, not followed: peers' folders are written by several users.
 * @throws {EsplaneError} `ERR_OUTPUT`
 */
export function writeOwnNode(file: string, text: string): void {
  const before = lstatSync(file, { throwIfNoEntry: false });
  const readers = before?.isFile() ? before.mode & READERS : 0;
  writeWhole(file, text, { mode: PRIVATE | readers, follows: false });
}
