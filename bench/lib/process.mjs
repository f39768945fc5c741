/**
 * Runs a program, and says how long it took and how much memory it held at most.
 * @module
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * @returns seconds of wall time and MiB of the highest resident set (`VmHWM`, asked for while it runs)
 * @throws when the program fails: a failed run has no figure
 */
export async function measure(command, args) {
  const startedAt = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  let peak = 0;
  const watch = setInterval(() => {
    try {
      const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
      peak = Math.max(peak, Number(kib ?? 0) / 1024);
    } catch {
      // it has just ended
    }
  }, 10);
  const [code] = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (...ended) => resolve(ended));
  });
  clearInterval(watch);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${errors}`);
  return { seconds: (performance.now() - startedAt) / 1000, peakMiB: peak };
}
