/** `esplane run --tun`, `node` and `doctor` as their users run them. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { RunningStats } from '../../src/cli/running-node.ts';
import { esplane } from '../support/cli.ts';
import { needs, PYTHON, PYTHON_NEED } from '../support/needs.ts';
import { LIVE, makeNamespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';
import { runTun } from '../support/run-tun.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const TCP_PEER = fileURLToPath(new URL('../interop/tcp-peer.py', import.meta.url));

const namespaces = () =>
  existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith('esplane-')) : [];

needs([PYTHON_NEED, ...LIVE], 'esplane run --tun', () => {
  it.each(['udp', 'raw', 'packet'])(
    'carries pings and TCP over %s, counts them, and leaves nothing behind',
    async (link) => {
      const { child, netns, lines } = await runTun('--link', link);
      const [a, b] = netns as [string, string];
      const inside = (where: string, ...command: string[]) =>
        spawnSync('ip', ['netns', 'exec', where, ...command]);
      expect(inside(a, 'ping', '-c', '5', '-i', '0.1', '-W', '5', '10.244.2.1').status).toBe(0);
      const server = spawn('ip', ['netns', 'exec', b, PYTHON, TCP_PEER, 'serve', '5003', '1']);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const sent = inside(a, PYTHON, TCP_PEER, 'send', '10.244.2.1', '5003', '5000000');
      server.kill();
      expect(sent.status, String(sent.stderr)).toBe(0);
      child.kill('SIGINT');
      expect((await once(child, 'close'))[0]).toBe(0);
      const [first, second] = lines
        .filter((line) => (line as { event: string }).event === 'stopped')
        .map((line) => (line as { stats: RunningStats }).stats) as [RunningStats, RunningStats];
      expect(first.out.encrypted).toBe(second.in.decrypted);
      expect(second.out.encrypted).toBe(first.in.decrypted);
      expect(first.out.encrypted).toBeGreaterThan(5_000_000 / 1500);
      expect([first.xfrm, second.xfrm]).toEqual([{}, {}]);
      expect(namespaces().filter((name) => netns.includes(name))).toEqual([]);
    },
    60_000,
  );

  it('removes what a killed run left behind', async () => {
    const { child, netns } = await runTun();
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(namespaces()).toEqual(expect.arrayContaining(netns));
    const folders = () =>
      readdirSync(tmpdir()).filter((name) => name.startsWith(`esplane-run-${child.pid}-`));
    expect(folders()).toHaveLength(1);
    const next = spawnSync(process.execPath, [MAIN, 'run', '--tun', '--duration', '1'], { encoding: 'utf8' });
    expect(next.status).toBe(0);
    expect(next.stderr).toContain(`removed ${netns[0]}, which a killed run had left`);
    expect(namespaces().filter((name) => netns.includes(name))).toEqual([]);
    expect(folders()).toEqual([]);
  }, 60_000);
});

needs(LIVE, 'esplane node', () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  /** A configuration for node-1 of the shared captures' cluster, in namespace `netns`. */
  function config(netns: string, change: Record<string, unknown> = {}): string {
    const folder = mkdtempSync(join(tmpdir(), 'esplane-node-'));
    folders.push(folder);
    const from = fileURLToPath(new URL('../../pcaps/linux-6.1/native-v4', import.meta.url));
    writeFileSync(join(folder, 'keys'), readFileSync(join(from, 'keys')));
    writeFileSync(
      join(folder, 'nodes.json'),
      readFileSync(join(from, 'ciliumnodes.json'), 'utf8').replaceAll('192.168.7.', '10.99.0.'),
    );
    const file = join(folder, 'node.yaml');
    writeFileSync(
      file,
      JSON.stringify({
        name: 'node-1',
        netns,
        inside: { device: 'esp0' },
        outside: { link: 'raw', address: '10.99.0.1' },
        keys: 'keys',
        nodes: 'nodes.json',
        'state-dir': 'state',
        ...change,
      }),
    );
    return file;
  }

  it('runs, routes, reloads, and removes what it made', async () => {
    const net = makeNamespaces();
    try {
      const file = config(net.a);
      const node = await NodeProcess.start(file);
      expect(net.run('a', 'ip', 'route')).toContain('10.244.2.0/24 dev esp0');
      writeFileSync(join(file, '../keys'), '# a bad file');
      node.process.kill('SIGHUP');
      await new Promise((resolve) => setTimeout(resolve, 800));
      expect(node.errors).toMatch(/node-1: keys not used, key 3 stays: .*keys/);
      expect(node.stats!.sas.length).toBeGreaterThan(0);
      await node.stop();
      expect(net.run('a', 'ip', '-o', 'link')).not.toContain('esp0');
    } finally {
      net.remove();
    }
  }, 30_000);

  it('ends when nobody reads what it says, and leaves neither socket nor device', async () => {
    const net = makeNamespaces();
    try {
      const node = await NodeProcess.start(config(net.a));
      const socket = node.ready!.statusSocket!;
      expect(existsSync(socket)).toBe(true);
      const closed = once(node.process, 'close');
      node.process.stdout!.destroy();
      expect((await closed)[0]).toBe(0);
      expect(existsSync(socket)).toBe(false);
      expect(net.run('a', 'ip', '-o', 'link')).not.toContain('esp0');
    } finally {
      net.remove();
    }
  }, 30_000);

  it('ends with one line when its interface is deleted under it', async () => {
    const net = makeNamespaces();
    try {
      const node = await NodeProcess.start(config(net.a));
      const closed = once(node.process, 'close');
      net.run('a', 'ip', 'link', 'delete', 'esp0');
      expect((await closed)[0]).toBe(2);
      expect(node.errors.trim()).toBe(
        'esplane: node-1: read from esp0: EBADFD. The interface was deleted: start again.',
      );
    } finally {
      net.remove();
    }
  }, 30_000);

  it.each([
    [{ outside: { link: 'udp', address: '10.99.0.9' } }, /node node-1 has no address 10\.99\.0\.9/],
    [{ name: 'node-7' }, /no node is called node-7/],
    [{ netns: 'est-nowhere' }, /ENOENT.*ip netns add est-nowhere/],
    [{ inside: { device: 'v' } }, /make the TUN device v: (EINVAL|EBUSY)/],
  ])('refuses to start, in one line: %#', (change, why) => {
    const net = makeNamespaces();
    try {
      const { code: status, stderr } = esplane(['node', '--config', config(net.a, change)]);
      expect(stderr).toMatch(why);
      expect(stderr.trim().split('\n')).toHaveLength(1);
      expect(status).toBe(2);
    } finally {
      net.remove();
    }
  });

  it('checks a configuration without running it', () => {
    const { code: status, stdout } = esplane(['node', '--check', '--config', config('est-nowhere')]);
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(/node-1: \d+ SAs, \d+ policies, raw on 10\.99\.0\.1/),
    ]);
  });
});

describe('esplane doctor', () => {
  it('says for everything that is missing what to do', () => {
    const { code: status, stdout } = esplane(['doctor', '--json']);
    expect(status).toBe(0);
    const found = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { what: string; ok: boolean; remedy?: string });
    expect(found.map(({ what }) => what)).toEqual(
      expect.arrayContaining([
        'addon',
        'ipsec-mb',
        'TUN',
        'CAP_NET_ADMIN',
        'kernel ESP',
        'linux.uml',
        'tshark',
      ]),
    );
    for (const { ok, remedy } of found) if (!ok) expect(remedy).toMatch(/\w/);
  });

  it('needs no rights', () => {
    const asNobody = process.getuid?.() === 0 ? { uid: 65534 } : {};
    const { status, stdout } = spawnSync(process.execPath, [MAIN, 'doctor'], {
      encoding: 'utf8',
      ...asNobody,
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/missing +CAP_NET_RAW/);
  });
});
