/**
 * Runs tshark with a table of SAs of ours as its own.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';

export interface Dissection {
  /** One row a frame that tshark shows, one column a field. */
  readonly rows: readonly (readonly string[])[];
  /** What tshark said on standard error, such as lines of the table that it does not take. */
  readonly said: string;
}

/**
 * Decrypts a capture, integrity checked, and prints fields.
 * @param table the text of an `esp_sa` file
 */
export function dissect(
  capture: string,
  table: string,
  fields: readonly string[],
  args: readonly string[] = [],
): Dissection {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-tshark-'));
  try {
    mkdirSync(join(folder, 'wireshark'));
    writeFileSync(join(folder, 'wireshark', 'esp_sa'), table);
    const run = spawnSync(
      'tshark',
      [
        ...['-n', '-r', capture, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])],
        ...['-o', 'esp.enable_encryption_decode:TRUE', '-o', 'esp.enable_authentication_check:TRUE'],
        ...args,
      ],
      { env: { ...process.env, XDG_CONFIG_HOME: folder }, encoding: 'utf8', maxBuffer: 2 ** 26 },
    );
    expect(run.status, run.stderr).toBe(0);
    const lines = run.stdout.split('\n').slice(0, -1);
    return { rows: lines.map((line) => line.split('\t')), said: run.stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
