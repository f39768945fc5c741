/**
 * Folders that tests write into.
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A folder for one test file, removed after its tests. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
