/**
 * The network of the tunnel benchmark: two namespaces joined by a veth pair. Names carry the process id; what a killed
 * run left behind is removed by the next.
 * @module
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

const FOLDER = '/run/netns';

/** Runs a program and returns what it printed; throws with what it said. */
export function must(program, ...args) {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}: ${error.stderr || error.message}`);
  }
}

/** 192.168.9.1 in `a` and .2 in `b`, on `v`. */
export function makeNetwork() {
  if (existsSync(FOLDER)) {
    for (const name of readdirSync(FOLDER)) {
      const pid = /^esb-[ab]-(\d+)$/.exec(name)?.[1];
      if (pid && !existsSync(`/proc/${pid}`)) spawnSync('ip', ['netns', 'delete', name]);
    }
  }
  const names = [`esb-a-${process.pid}`, `esb-b-${process.pid}`];
  const children = new Set();
  const remove = () => {
    for (const child of children) child.kill('SIGKILL');
    for (const name of names) {
      for (const pid of (spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout ?? '').split(
        '\n',
      ))
        if (pid) spawnSync('kill', ['-9', pid]);
      spawnSync('ip', ['netns', 'delete', name]);
    }
  };
  process.once('exit', remove);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  for (const name of names) must('ip', 'netns', 'add', name);
  must('ip', 'link', 'add', 'v', 'netns', names[0], 'type', 'veth', 'peer', 'name', 'v', 'netns', names[1]);
  names.forEach((name, i) => {
    must('ip', '-n', name, 'link', 'set', 'lo', 'up');
    must('ip', '-n', name, 'addr', 'add', `192.168.9.${i + 1}/24`, 'dev', 'v');
    must('ip', '-n', name, 'link', 'set', 'v', 'up');
  });
  return {
    names,
    outer: ['192.168.9.1', '192.168.9.2'],
    /** Runs a program in namespace 0 or 1. */
    run: (where, ...command) => must('ip', 'netns', 'exec', names[where], ...command),
    /** Starts one, and ends it with the benchmark at the latest. */
    start(where, command, options = {}) {
      const child = spawn('ip', ['netns', 'exec', names[where], ...command], { stdio: 'ignore', ...options });
      children.add(child);
      child.once('close', () => children.delete(child));
      return child;
    },
    remove() {
      process.off('exit', remove);
      remove();
    },
  };
}

/** Waits until `ready` says so, asking ten times a second. */
export async function until(ready, ms, what) {
  for (const end = Date.now() + ms; ; ) {
    if (ready()) return;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
