/**
 * Runs a program, and says how long it took and how much memory it held at most, or how many of its lines are right.
 * @module
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/**
 * @returns seconds of wall time and MiB of the highest resident set (`VmHWM`, asked for while it runs)
 * @throws when the program fails: a failed run has no figure
 */
export async function measure(command, ...args) {
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

/**
 * Counts the lines of a program's output that `isGood` accepts.
 * @throws when the program fails
 */
export async function countLines([command, ...args], isGood) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const closed = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  let good = 0;
  for await (const line of createInterface({ input: child.stdout })) if (isGood(line)) good++;
  const code = await closed;
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  return good;
}
