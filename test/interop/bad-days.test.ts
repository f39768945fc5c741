/**
 * Bad days of running nodes: floods of every kind from a peer, interfaces that go down and come back or vanish. The
 * node keeps running or stops with one clear line, its counters say what happened, and good traffic passes afterwards.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { needs, PYTHON, PYTHON_NEED, program } from '../support/needs.ts';
import { LIVE, makeNamespaces, must, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';

const FLOOD = fileURLToPath(new URL('./flood.py', import.meta.url));
const TCP_PEER = fileURLToPath(new URL('./tcp-peer.py', import.meta.url));
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const CLUSTER = fileURLToPath(new URL('../../pcaps/linux-6.1/native-v4', import.meta.url));
/** A clock for a process that is started with it in LD_PRELOAD. */
const CLOCK = `
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *t) {
  struct timespec m;
  static long long start;
  int result = syscall(SYS_clock_gettime, id, t);
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &m);
  long long ns = m.tv_sec * 1000000000LL + m.tv_nsec;
  if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) {
    if (ns / 333000000 % 2) t->tv_sec -= 3600;
  } else if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE) {
    if (!start) start = ns;
    ns = start + (ns - start) * 20;
    t->tv_sec = ns / 1000000000;
    t->tv_nsec = ns % 1000000000;
  }
  return result;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}
`;
/** A node that keeps what a flood brings would be far above this after a second. */
const MOST_MEMORY_KB = 400_000;

needs([PYTHON_NEED, program('gcc', 'gcc'), ...LIVE], 'bad days', () => {
  let net: Namespaces;
  let folder: string;
  const nodes: NodeProcess[] = [];
  beforeEach(() => {
    net = makeNamespaces();
    folder = mkdtempSync(join(tmpdir(), 'esplane-bad-'));
  });
  afterEach(() => {
    for (const node of nodes.splice(0)) node.process.kill('SIGKILL');
    net.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Starts node-1 in namespace a and node-2 in b. */
  async function start(
    link: string,
    environment: NodeJS.ProcessEnv = {},
  ): Promise<[NodeProcess, NodeProcess]> {
    writeFileSync(join(folder, 'keys'), readFileSync(join(CLUSTER, 'keys')));
    const cluster = readFileSync(join(CLUSTER, 'ciliumnodes.json'), 'utf8').replaceAll(
      '192.168.7.',
      '10.99.0.',
    );
    writeFileSync(join(folder, 'nodes.json'), cluster);
    for (const [i, netns] of [net.a, net.b].entries()) {
      const config = join(folder, `${i}.yaml`);
      writeFileSync(
        config,
        JSON.stringify({
          name: `node-${i + 1}`,
          netns,
          inside: { device: 'esp0', addresses: [`10.244.${i + 1}.1/24`] },
          outside: { link, address: `10.99.0.${i + 1}` },
          keys: 'keys',
          nodes: 'nodes.json',
        }),
      );
      nodes.push(await NodeProcess.start(config, environment));
    }
    return nodes as [NodeProcess, NodeProcess];
  }

  const ping = () => net.run('a', 'ping', '-c', '3', '-i', '0.1', '-W', '3', '10.244.2.1');
  /** The longest packet that fits passes whole, and one more byte is told of. */
  const longest = (mtu: number) => {
    const sized = (len: number) =>
      net.run('a', 'ping', '-c', '1', '-W', '3', '-M', 'do', '-s', String(len - 28), '10.244.2.1');
    sized(mtu);
    expect(() => sized(mtu + 1)).toThrow();
  };
  const mtuOf = (device: string) =>
    Number(/mtu (\d+)/.exec(net.run('a', 'ip', 'link', 'show', 'dev', device))![1]);
  /** Full-size TCP, from a to b. */
  async function transfer(): Promise<void> {
    const server = spawn('ip', ['netns', 'exec', net.b, PYTHON, TCP_PEER, 'serve', '5003', '1']);
    try {
      while (!net.run('b', 'ss', '-Hltn').includes(':5003'))
        await new Promise((resolve) => setTimeout(resolve, 20));
      net.run('a', PYTHON, TCP_PEER, 'send', '10.244.2.1', '5003', '500000');
    } finally {
      server.kill();
    }
  }
  /** Waits until a node has said something on standard error. */
  async function said(node: NodeProcess, what: string): Promise<void> {
    const end = Date.now() + 5000;
    while (!node.errors.includes(what)) {
      if (Date.now() > end) throw new Error(`it never said "${what}", but: ${node.errors}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  const memory = (node: NodeProcess) =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${node.process.pid}/status`, 'utf8'))![1]);

  describe.each(['raw', 'packet', 'udp'])('over %s', (link) => {
    it('counts floods of bad packets, keeps its memory, and carries good ones afterwards', async () => {
      const [first, second] = await start(link);
      ping();
      const protocol = link === 'udp' ? '17' : '50';
      const sent: Record<string, number> = {};
      for (const kind of ['spi', 'garbage', 'short', 'fragments'])
        sent[kind] = Number(net.run('b', PYTHON, FLOOD, kind, '10.99.0.2', '10.99.0.1', '0.7', protocol));
      // What the flood left in the kernel's queue goes first.
      await new Promise((resolve) => setTimeout(resolve, 700));
      ping();
      expect(memory(first)).toBeLessThan(MOST_MEMORY_KB);
      const stats = await first.stop();
      await second.stop();
      const { drops } = stats.in;
      // At full rate the kernel's queue may overflow: what arrived is counted, and a good part of it arrived.
      for (const [kind, reason] of [
        ['spi', 'no-state'],
        ['garbage', 'bad-icv'],
        ['short', 'header-error'],
      ] as const) {
        // Over UDP a few bytes are a keepalive, or nothing: the link keeps them back.
        const counted = link === 'udp' && kind === 'short' ? stats.outside.ignored : drops[reason];
        expect(counted, reason).toBeGreaterThan(sent[kind]! / 50);
        expect(counted, reason).toBeLessThanOrEqual(sent[kind]!);
      }
      expect(stats.in.decrypted).toBe(6);
      expect(stats.xfrm).toMatchObject({
        XfrmInNoStates: drops['no-state'],
        ...(link !== 'udp' && { XfrmInHdrError: drops['header-error'] }),
      });
      expect(stats.xfrm['XfrmInStateProtoError']).toBeGreaterThanOrEqual(drops['bad-icv']!);
      if (link === 'packet') {
        // Here the node puts fragments together itself: most give way to newer ones, none stays for ever.
        expect(stats.in.fragments).toBeGreaterThan(sent['fragments']! / 50);
        expect(stats.reassembly.completed).toBe(0);
      }
    }, 60_000);

    it('goes on when the wire goes down and comes back, and when its MTU changes', async () => {
      const [first, second] = await start(link);
      ping();
      net.run('a', 'ip', 'link', 'set', 'v', 'down');
      expect(() => ping()).toThrow();
      net.run('a', 'ip', 'link', 'set', 'v', 'up');
      ping();
      const inside = [];
      for (const mtu of [1300, 1600]) {
        for (const where of ['a', 'b'] as const) net.run(where, 'ip', 'link', 'set', 'v', 'mtu', String(mtu));
        for (const node of [first, second]) await said(node, ` to ${mtu}, inside it is`);
        inside.push(mtuOf('esp0'));
        longest(inside.at(-1)!);
        await transfer();
      }
      // TCP found its way at once, because the device's MTU followed; a host that keeps the old one gets an answer.
      expect(inside[0]).toBeLessThan(1300);
      expect(inside[1]! - inside[0]!).toBe(300);
      const stats = await first.stop();
      await second.stop();
      expect([stats.outside.tooBig, stats.inside.ignored]).toEqual([0, 0]);
    }, 60_000);

    it('carries what is longer than before when the MTU of its TUN is raised by hand', async () => {
      const [first, second] = await start(link);
      for (const where of ['a', 'b'] as const) net.run(where, 'ip', 'link', 'set', 'esp0', 'mtu', '9000');
      net.run('a', 'ping', '-c', '2', '-i', '0.1', '-W', '3', '-M', 'dont', '-s', '8000', '10.244.2.1');
      await transfer();
      const stats = await first.stop();
      expect((await second.stop()).inside.ignored).toBe(0);
      expect(stats.inside.ignored).toBe(0);
    }, 60_000);
  });

  it.each(['raw', 'udp'])(
    'over %s waits when the outside interface is deleted, says so, and goes on when it is back',
    async (link) => {
      const [first, second] = await start(link);
      ping();
      const before = (await first.until(({ out }) => out.encrypted >= 3)).outside.failed;
      net.run('a', 'ip', 'link', 'delete', 'v');
      for (const node of [first, second]) await said(node, 'is gone: nothing leaves until it is back');
      expect(() => ping()).toThrow();
      // At least these three: the host itself has something to say now and then.
      await first.until(({ outside }) => outside.failed >= before + 3);
      net.join();
      for (const node of [first, second]) await said(node, 'is there again');
      ping();
      const stats = await first.stop();
      await second.stop();
      expect(stats.in.decrypted).toBe(6);
      expect(first.errors.trim().split('\n')).toHaveLength(2);
      for (const where of ['a', 'b'] as const)
        expect(net.run(where, 'ip', '-o', 'link')).not.toContain('esp0');
    },
    30_000,
  );

  it('lets fragments expire and its chores go on while the clock is set back and forth', async () => {
    // Three times a second the time of day jumps by an hour; the time since the start runs twenty times as fast, so that
    // the 30 seconds of a fragment are over soon.
    const source = join(folder, 'clock.c');
    const library = join(folder, 'clock.so');
    writeFileSync(source, CLOCK);
    must('gcc', '-shared', '-fPIC', '-O1', '-o', library, source);
    const [first, second] = await start('packet', { LD_PRELOAD: library });
    ping();
    net.run('b', PYTHON, FLOOD, 'fragments', '10.99.0.2', '10.99.0.1', '0.05', '50');
    const { reassembly } = await first.until(
      ({ in: { fragments }, reassembly: { timedOut, evicted } }) =>
        fragments > 100 && timedOut + evicted === fragments,
    );
    expect(reassembly.timedOut).toBeGreaterThan(0);
    ping();
    await first.until(({ in: { decrypted } }) => decrypted === 6);
    await first.stop();
    await second.stop();
    expect(first.errors + second.errors).toBe('');
  }, 30_000);

  it('ends with one line when the outside interface is gone for good', async () => {
    const [first] = await start('packet');
    const closed = once(first.process, 'close');
    net.run('a', 'ip', 'link', 'delete', 'v');
    expect((await closed)[0]).toBe(2);
    expect(first.errors.trim()).toMatch(/^esplane: node-1: receive on packet v 10\.99\.0\.1: ENODEV\. .*$/);
    expect(net.run('a', 'ip', '-o', 'link')).not.toContain('esp0');
  }, 30_000);

  it.each(['raw', 'packet', 'udp'])(
    'over %s ends with one line when its TUN is deleted under traffic',
    async (link) => {
      const [first, second] = await start(link);
      ping();
      const pinging = spawn('ip', ['netns', 'exec', net.a, 'ping', '-i', '0.01', '10.244.2.1']);
      const closed = once(first.process, 'close');
      net.run('a', 'ip', 'link', 'delete', 'esp0');
      expect((await closed)[0]).toBe(2);
      pinging.kill('SIGKILL');
      expect(first.errors.trim()).toBe(
        'esplane: node-1: read from esp0: EBADFD. The interface was deleted: start again.',
      );
      await second.stop();
      for (const where of ['a', 'b'] as const)
        expect(net.run(where, 'ip', '-o', 'link')).not.toContain('esp0');
    },
    30_000,
  );

  describe('what this host does not allow', () => {
    const CLI = join(PROJECT, 'dist/cli/main.js');
    /** Runs `esplane node` in namespace a, behind other commands. */
    function refused(link: string, before: readonly string[], main = CLI): string {
      writeFileSync(
        join(folder, 'refused.yaml'),
        JSON.stringify({
          name: 'node-1',
          inside: { device: 'esp0' },
          outside: { link, address: '10.99.0.1' },
          keys: join(CLUSTER, 'keys'),
          nodes: join(folder, 'nodes.json'),
          'state-dir': join(folder, 'state'),
        }),
      );
      const cluster = readFileSync(join(CLUSTER, 'ciliumnodes.json'), 'utf8');
      writeFileSync(join(folder, 'nodes.json'), cluster.replaceAll('192.168.7.', '10.99.0.'));
      chmodSync(folder, 0o755);
      const node = [process.execPath, main, 'node', '--config', join(folder, 'refused.yaml')];
      const run = spawnSync('ip', ['netns', 'exec', net.a, ...before, ...node], {
        encoding: 'utf8',
        timeout: 20_000,
      });
      expect(run.status, run.stderr).toBe(2);
      expect(net.run('a', 'ip', '-o', 'link')).not.toContain('esp0');
      const line = run.stderr.trim();
      expect(line.split('\n')).toHaveLength(1);
      return line;
    }
    const AS_NOBODY = ['setpriv', '--reuid=65534', '--clear-groups'];

    it.each([
      ['raw', /open raw 10\.99\.0\.1: EPERM\. Run as root, or with CAP_NET_RAW\./],
      ['packet', /open packet v 10\.99\.0\.1: EPERM\. Run as root, or with CAP_NET_RAW\./],
      ['udp', /make the TUN device esp0: EPERM\. Run as root, or with CAP_NET_ADMIN\./],
    ])('%s without capabilities', (link, why) => {
      expect(refused(link, AS_NOBODY)).toMatch(why);
    });

    it('no TUN device node', () => {
      const hide = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
      expect(refused('udp', hide)).toMatch(/make the TUN device esp0: ENOENT\. .*modprobe tun/);
    });

    it('no addon', () => {
      const copy = join(folder, 'without');
      mkdirSync(copy);
      cpSync(join(PROJECT, 'dist'), join(copy, 'dist'), { recursive: true });
      cpSync(join(PROJECT, 'package.json'), join(copy, 'package.json'));
      symlinkSync(join(PROJECT, 'node_modules'), join(copy, 'node_modules'));
      expect(refused('raw', [], join(copy, 'dist/cli/main.js'))).toMatch(
        /the native addon is not there: it was not built\. apt-get install .*npm run build:addon/,
      );
    });
  });
});
