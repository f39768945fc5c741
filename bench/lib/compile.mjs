/**
 * Programs in C that a benchmark needs: each is compiled when it is first asked for, and goes with the process.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CannotRun } from './cannot-run.mjs';
import { atExit } from './undo.mjs';

const made = new Map();
let folder;

/**
 * Compiles `bench/native/NAME.c` for this CPU.
 * @param options what the compiler is told beside: where headers and libraries are
 * @returns the path of the program
 * @throws {CannotRun} without a compiler
 * @throws {Error} with what the compiler said
 */
export function compile(name, options = []) {
  const there = made.get(name);
  if (there) return there;
  if (!folder) {
    folder = mkdtempSync(join(tmpdir(), 'esplane-bench-c-'));
    atExit(() => rmSync(folder, { recursive: true, force: true }));
  }
  const source = fileURLToPath(new URL(`../native/${name}.c`, import.meta.url));
  const program = join(folder, name);
  const command = ['-O3', '-march=native', '-Wno-deprecated-declarations', '-o', program, source, ...options];
  const { error, status, stderr } = spawnSync('cc', command, { encoding: 'utf8' });
  if (error) throw new CannotRun('no C compiler: apt-get install gcc libc6-dev');
  if (status !== 0) throw new Error(`cc ${name}.c: ${stderr.trim().split('\n')[0]}`);
  made.set(name, program);
  return program;
}
