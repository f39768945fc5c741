/**
 * Runs `ip` from iproute2 for what is set up once: addresses, MTU, routes.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { SystemError } from './system-error.ts';

/**
 * Runs `ip -j ARGS`.
 * @returns the objects that it printed; none when it printed nothing
 * @throws {SystemError} when it fails, or prints something else than a list
 */
export function ipJson<T>(...args: readonly string[]): T[] {
  const text = ip('-j', ...args);
  try {
    const list: unknown = text.trim() === '' ? [] : JSON.parse(text);
    if (Array.isArray(list)) return list as T[];
  } catch {}
  throw new SystemError(
    `prints no list in JSON (${text.trim().slice(0, 60)})`,
    `ip -j ${args.join(' ')}`,
    'iproute2 4.16 or later does: apt-get install iproute2.',
  );
}

/**
 * Runs `ip ARGS` in the network namespace of the calling thread.
 * @returns what it printed
 * @throws {SystemError} with the line that it printed when it fails
 */
export function ip(...args: readonly string[]): string {
  return run(args, '');
}

/**
 * Runs many commands in one process: what follows `ip` in each, one a line. Those behind one that fails run too.
 * @throws {SystemError} with what it printed when one fails
 */
export function ipBatch(lines: readonly string[]): void {
  if (lines.length > 0) run(['-force', '-batch', '-'], `${lines.join('\n')}\n`);
}

function run(args: readonly string[], input: string): string {
  const { status, stdout, stderr, error } = spawnSync('ip', args, { encoding: 'utf8', input });
  if (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    throw new SystemError(code, 'ip', 'Install it: apt-get install iproute2.');
  }
  if (status === 0) return stdout;
  throw new SystemError(`failed (${stderr.trim()})`, `ip ${args.join(' ')}`, 'Run it by hand to see more.');
}
