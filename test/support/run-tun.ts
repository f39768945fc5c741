/**
 * `esplane run --tun` as a process of its own: real ESP between two namespaces.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ownerMark } from '../../src/cli/owner-mark.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Starts `esplane run --tun` and waits until both nodes run. */
export async function runTun(
  ...args: readonly string[]
): Promise<{ child: ChildProcess; netns: string[]; lines: unknown[] }> {
  const child = spawn(process.execPath, [MAIN, 'run', '--tun', '--json', ...args]);
  const lines: unknown[] = [];
  let rest = '';
  let errors = '';
  child.stderr.on('data', (bytes) => {
    errors += bytes;
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (bytes) => {
      const parts = (rest + bytes).split('\n');
      rest = parts.pop()!;
      lines.push(...parts.map((line) => JSON.parse(line)));
      if (lines.filter((line) => (line as { event: string }).event === 'ready').length === 2) resolve();
    });
    child.once('close', () => reject(new Error(errors)));
  });
  return { child, netns: [1, 2].map((i) => `esplane-${i}-${ownerMark(child.pid!)}`), lines };
}
