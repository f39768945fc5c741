/**
 * Runs `ip` from iproute2 for what is set up once: addresses, MTU, routes.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { SystemError } from './system-error.ts';

/**
 * Runs `ip ARGS` in the network namespace of the calling thread.
 * @returns what it printed
 * @throws {SystemError} with the line that it printed when it fails
 */
export function ip(...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' });
  if (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    throw new SystemError(code, 'ip', 'Install it: apt-get install iproute2.');
  }
  if (status === 0) return stdout;
  throw new SystemError(`failed (${stderr.trim()})`, `ip ${args.join(' ')}`, 'Run it by hand to see more.');
}
