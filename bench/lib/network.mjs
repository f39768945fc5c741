/**
 * The network of one contender: two namespaces joined by a veth pair, and the programs that run in them. Names carry
 * the process id; what a killed run left behind is removed by the next.
 * @module
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit } from './undo.mjs';

const FOLDER = '/run/netns';
/** ms for a program to end after SIGTERM, before it is killed. */
const PATIENCE = 5000;

let made = 0;

/** Runs a program and returns what it printed; throws with what it said. */
export function must(program, ...args) {
  return run(program, args, 60_000);
}

function run(program, args, timeout) {
  return new Promise((resolve, reject) => {
    execFile(program, args, { encoding: 'utf8', maxBuffer: 2 ** 28, timeout }, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else {
        const said = error.killed
          ? `not within ${timeout} ms`
          : stderr || saidAsJson(stdout) || error.message;
        reject(new Error(`${program} ${args.join(' ')}: ${said.trim()}`));
      }
    });
  });
}

/** iperf3 -J puts its error into its output. */
function saidAsJson(stdout) {
  return /"error":\s*"([^"]*)"/.exec(stdout)?.[1];
}

/** 192.168.9.1 in the first and .2 in the second, on `v`. */
export async function makePair() {
  if (made === 0) removeStale();
  const names = ['a', 'b'].map((end) => `esb-${process.pid}-${made}${end}`);
  made++;
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  const children = new Set();
  const removeRest = () => {
    for (const child of children) child.kill('SIGKILL');
    for (const name of names) removeNamespace(name);
    rmSync(folder, { recursive: true, force: true });
  };
  const forget = atExit(removeRest);
  for (const name of names) await must('ip', 'netns', 'add', name);
  const [a, b] = names;
  await must('ip', 'link', 'add', 'v', 'netns', a, 'type', 'veth', 'peer', 'name', 'v', 'netns', b);
  for (const [i, name] of names.entries()) {
    await must('ip', '-n', name, 'link', 'set', 'lo', 'up');
    await must('ip', '-n', name, 'addr', 'add', `192.168.9.${i + 1}/24`, 'dev', 'v');
    await must('ip', '-n', name, 'link', 'set', 'v', 'up');
  }
  const start = (command, options = {}) => {
    const child = spawn(command[0], command.slice(1), { stdio: 'ignore', ...options });
    children.add(child);
    child.once('close', () => children.delete(child));
    child.once('error', () => children.delete(child));
    return child;
  };
  const inside = (where, command) => ['ip', 'netns', 'exec', names[where], ...command];
  return {
    names,
    /** The addresses on the wire. */
    outer: ['192.168.9.1', '192.168.9.2'],
    /** For files of this contender alone; goes with the pair. */
    folder,
    /** Starts a program outside the namespaces; it ends with the pair at the latest. */
    start,
    /** Starts one in namespace 0 or 1. */
    startIn: (where, command, options) => start(inside(where, command), options),
    /** The processes that were started and have not ended, and all that they started. */
    pids: () => withDescendants([...children].map(({ pid }) => pid)),
    /** Runs one there to its end and returns what it printed. */
    runIn: (where, ...command) => run('ip', inside(where, command).slice(1), 60_000),
    /** Ends the programs in good order, and removes everything. */
    async close() {
      const open = [...children];
      for (const child of open) child.kill('SIGTERM');
      await Promise.race([Promise.all(open.map(ended)), sleep(PATIENCE)]);
      removeRest();
      forget();
    },
  };
}

function withDescendants(pids) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // it has ended
    }
  }
  // It grows while it is walked.
  const all = [...pids];
  for (const pid of all) all.push(...(children.get(pid) ?? []));
  return all;
}

/** Resolves when a child is gone. */
export function ended(child) {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('close', resolve);
  });
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until `ready` says so, asking twenty times a second. */
export async function until(ready, ms, what) {
  for (const end = Date.now() + ms; ; ) {
    if (await ready()) return;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(50);
  }
}

function removeNamespace(name) {
  const inside = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout ?? '';
  for (const pid of inside.split('\n')) {
    try {
      if (pid) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // it has just ended
    }
  }
  spawnSync('ip', ['netns', 'delete', name]);
}

function removeStale() {
  if (!existsSync(FOLDER)) return;
  for (const name of readdirSync(FOLDER)) {
    const pid = /^esb-(\d+)-\d+[ab]$/.exec(name)?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) removeNamespace(name);
  }
}
