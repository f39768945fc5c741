/**
 * Network namespaces of the tests' own, joined by a veth pair. Names carry the process id: test files run side by
 * side, and what a killed run left is told from what is in use.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { ADDON, type Need, program, ROOT, TUN_DEVICE } from './needs.ts';

let made = 0;

/** Network namespaces, tried: a container may forbid them to root too. Makes one and deletes it. */
const NAMESPACES: Need = {
  what: 'the right to make network namespaces',
  there: () => {
    const name = `est-try-${process.pid}-${made++}`;
    const added = spawnSync('ip', ['netns', 'add', name]).status === 0;
    spawnSync('ip', ['netns', 'delete', name]);
    return added;
  },
  remedy: 'run the tests as root, outside a container or in a privileged one',
};

/** What every test with real links between namespaces has to ask for; its own programs stand before it. */
export const LIVE: readonly Need[] = [
  ADDON,
  ROOT,
  TUN_DEVICE,
  ...['ip', 'ss', 'tc'].map((name) => program(name, 'iproute2')),
  program('ping', 'iputils-ping'),
  NAMESPACES,
];

export interface Namespaces {
  /** Names, as `ip netns` has them. */
  readonly a: string;
  readonly b: string;
  /** Runs a program in one of them, and returns what it printed. @throws when it fails */
  run(where: 'a' | 'b', program: string, ...args: readonly string[]): string;
  /** Joins them by a new pair, after the old one was deleted. */
  join(): void;
  remove(): void;
}

/** Runs a program and returns what it printed. @throws {Error} with what it said when it fails */
export function must(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr || error?.message}`);
  return stdout;
}

/** 10.99.0.1 and fd99::1 on `v` in a, .2 and ::2 on `v` in b. */
export function makeNamespaces(): Namespaces {
  const id = `${process.pid}-${made++}`;
  const [a, b] = [`est-a-${id}`, `est-b-${id}`];
  const remove = () => {
    for (const name of [a, b]) spawnSync('ip', ['netns', 'delete', name]);
  };
  const join = () => {
    must('ip', 'link', 'add', 'v', 'netns', a, 'type', 'veth', 'peer', 'name', 'v', 'netns', b);
    [a, b].forEach((name, i) => {
      must('ip', '-n', name, 'addr', 'add', `10.99.0.${i + 1}/24`, 'dev', 'v');
      must('ip', '-n', name, 'addr', 'add', `fd99::${i + 1}/64`, 'dev', 'v', 'nodad');
      must('ip', '-n', name, 'link', 'set', 'v', 'up');
    });
    // Without asking for each other first: the first packets would wait for the answer.
    const macs = [a, b].map(
      (name) => /link\/ether (\S+)/.exec(must('ip', '-n', name, 'link', 'show', 'v'))![1]!,
    );
    [a, b].forEach((name, i) => {
      const other = 2 - i;
      for (const address of [`10.99.0.${other}`, `fd99::${other}`])
        must('ip', '-n', name, 'neigh', 'replace', address, 'lladdr', macs[1 - i]!, 'dev', 'v');
    });
  };
  try {
    for (const name of [a, b]) {
      must('ip', 'netns', 'add', name);
      must('ip', '-n', name, 'link', 'set', 'lo', 'up');
    }
    join();
  } catch (error) {
    remove();
    throw error;
  }
  return {
    a,
    b,
    run: (where, program, ...args) => must('ip', 'netns', 'exec', where === 'a' ? a : b, program, ...args),
    join,
    remove,
  };
}

/** Sleeps without giving up the thread. */
export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
