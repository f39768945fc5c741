/**
 * Runs the built `esplane` command, as a user does.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export { tempFolder } from './temp-folder.ts';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `esplane ARGS` and waits for its end. */
export function esplane(args: readonly string[], input?: string | Uint8Array, cwd?: string): CliResult {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...(input !== undefined && { input }),
    ...(cwd !== undefined && { cwd }),
  });
  return { code: status, stdout, stderr };
}

/** Is there an unfinished part of an output file, under the name that it is kept by or the one while it is written? */
export function hasPart(file: string): boolean {
  const folder = dirname(file);
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some(
    (name) => name.startsWith(`${basename(file)}.`) && name.endsWith('.partial'),
  );
}
