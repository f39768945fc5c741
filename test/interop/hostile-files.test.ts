/**
 * Whatever is put in place of a file that a running node reads, and whichever of its threads hangs: packets go on, one
 * warning says why, status tells it, and SIGTERM ends the node within five seconds.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { wiredNode } from '../support/cilium-cluster.ts';
import { MAIN } from '../support/cli.ts';
import { ADDON, type Need, needs, program, ROOT } from '../support/needs.ts';
import { makeNamespaces, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';

const STUCK = fileURLToPath(new URL('../support/stuck-node.mjs', import.meta.url));
const GCM = (id: number) =>
  `${id}+ rfc4106(gcm(aes)) ${id.toString(16).padStart(2, '0').repeat(16)}a1b2c3d4 128\n`;
/** Seconds to end in, and as many again for a host that is busy with other tests. */
const LONGEST_END = 10_000;
const FUSE: Need = {
  what: '/dev/fuse',
  there: existsSync('/dev/fuse'),
  remedy: 'modprobe fuse',
};

const NEEDS = [ADDON, ROOT, program('ip', 'iproute2'), program('ping', 'iputils-ping')];

needs(NEEDS, 'hostile files', () => {
  let net: Namespaces;
  let folder: string;
  const children: ChildProcess[] = [];
  const at = (name: string) => join(folder, name);
  beforeEach(() => {
    net = makeNamespaces();
    folder = mkdtempSync(join(tmpdir(), 'esplane-hostile-'));
    mkdirSync(at('secret'));
    writeFileSync(at('secret/keys'), GCM(3));
    writeFileSync(at('nodes.json'), JSON.stringify([wiredNode(1), wiredNode(2)]));
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    net.remove();
    spawnSync('umount', ['-l', at('secret')]);
    rmSync(folder, { recursive: true, force: true });
  });

  function configure(i: number): string {
    const file = at(`${i}.yaml`);
    writeFileSync(
      file,
      JSON.stringify({
        name: `node-${i}`,
        netns: i === 1 ? net.a : net.b,
        inside: { device: 'esp0', addresses: [`10.244.${i}.1/24`] },
        outside: { link: 'raw', address: `10.99.0.${i}` },
        // Node 2 has files of its own that stay.
        keys: i === 1 ? 'secret/keys' : 'keys',
        nodes: i === 1 ? 'nodes.json' : 'others.json',
        'state-dir': `state-${i}`,
      }),
    );
    return file;
  }

  async function startBoth(): Promise<{ node: NodeProcess; lines: () => string[] }> {
    writeFileSync(at('keys'), GCM(3));
    writeFileSync(at('others.json'), JSON.stringify([wiredNode(1), wiredNode(2)]));
    const other = await NodeProcess.start(configure(2));
    children.push(other.process);
    const node = await NodeProcess.start(configure(1));
    children.push(node.process);
    let text = '';
    node.process.stderr!.on('data', (bytes) => {
      text += bytes;
    });
    return { node, lines: () => text.split('\n').filter((line) => line !== '') };
  }

  /** Pings without a pause until told to end. @returns how many were lost */
  function pinging(): () => Promise<number> {
    const args = ['netns', 'exec', net.a, 'ping', '-i', '0.02', '-W', '3', '10.244.2.1'];
    const ping = spawn('ip', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    children.push(ping);
    let said = '';
    ping.stdout.on('data', (bytes) => {
      said += bytes;
    });
    return async () => {
      ping.kill('SIGINT');
      await once(ping, 'close');
      const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(said)!;
      expect(Number(sent)).toBeGreaterThan(50);
      // The last one may be on its way.
      return Math.max(0, Number(sent) - Number(received) - 1);
    };
  }

  async function until(what: string, holds: () => boolean): Promise<void> {
    const end = Date.now() + 20_000;
    while (!holds()) {
      if (Date.now() > end) throw new Error(`it never happened: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** @returns exit status or signal */
  async function terminate(child: ChildProcess): Promise<string | number | null> {
    const closed = once(child, 'close');
    const began = performance.now();
    child.kill('SIGTERM');
    const [code, signal] = (await closed) as [number | null, string | null];
    expect(performance.now() - began).toBeLessThan(LONGEST_END);
    return code ?? signal;
  }

  const status = (i: number) =>
    spawnSync(process.execPath, [MAIN, 'status', at(`node-${i}.sock`)], { encoding: 'utf8' });

  it('goes on under traffic whatever the keys file becomes, warns once of each, and ends with a FIFO in its place', async () => {
    const { node, lines } = await startBoth();
    const end = pinging();
    const keys = at('secret/keys');
    const text = (what: string) => {
      writeFileSync(at('other'), what);
      renameSync(at('other'), keys);
    };
    const map = Array.from({ length: 20_000 }, (_, i) => `  k${i}: v\n`).join('');
    const kinds: readonly (readonly [why: string, make: () => unknown])[] = [
      ['keys (Secret)', () => text(`kind: Secret\ndata:\n${map}`)],
      ['is a folder, and a node reads regular files only', () => mkdirSync(keys)],
      ['is a device, and a node reads regular files only', () => symlinkSync('/dev/zero', keys)],
      [
        'is larger than the 1 MiB that a keys file may have',
        () => {
          writeFileSync(keys, '');
          truncateSync(keys, 1e9);
        },
      ],
      ['no such file', () => {}],
      ['is a FIFO, and a node reads regular files only', () => spawnSync('mkfifo', [keys])],
    ];
    for (const [why, make] of kinds) {
      rmSync(keys, { recursive: true, force: true });
      make();
      await until(why, () => lines().some((line) => line.includes(why)));
      // What a thread does every two seconds it has done by then, and said nothing more.
      if (why === 'no such file') await new Promise((resolve) => setTimeout(resolve, 2500));
    }
    // No thread hangs: the one line is about something else.
    const kept = /^esplane: node-1: sequence numbers are kept in \S+\n$/;
    expect(status(1)).toMatchObject({ status: 0, stderr: expect.stringMatching(kept) });
    expect(await end()).toBe(0);
    for (const [why] of kinds) expect(lines().filter((line) => line.includes(why))).toHaveLength(1);
    expect(lines()).toHaveLength(kinds.length);
    // SIGHUP, to read a FIFO again, is not the end either.
    node.process.kill('SIGHUP');
    expect(await terminate(node.process)).toBe(0);
    expect(existsSync(at('node-1.sock'))).toBe(false);
  }, 90_000);

  it('takes a good key after them all', async () => {
    const { node, lines } = await startBoth();
    rmSync(at('secret/keys'));
    spawnSync('mkfifo', [at('secret/keys')]);
    await until('a warning', () => lines().length > 0);
    writeFileSync(at('new'), GCM(3) + GCM(4));
    renameSync(at('new'), at('secret/keys'));
    await node.until(({ agent }) => agent!.keyIds.includes(4) && agent!.keys.good);
    expect(lines().some((line) => line.endsWith('keys: good again'))).toBe(true);
    expect(await terminate(node.process)).toBe(0);
  }, 60_000);

  needs([FUSE], 'a mount that hangs', () => {
    it('warns, goes on with packets and with other files, and ends', async () => {
      const { node, lines } = await startBoth();
      const end = pinging();
      // A file system that never answers.
      const mount =
        'exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hung "$0"; sleep 1000';
      const server = spawn('sh', ['-c', mount, at('secret')], { stdio: 'ignore', detached: true });
      try {
        await until('a warning', () => lines().some((line) => line.includes('did not answer within 5 s')));
        writeFileSync(at('nodes.json'), JSON.stringify([wiredNode(1), wiredNode(2), wiredNode(3)]));
        await node.until(({ agent }) => agent!.peers === 2, 20_000);
        expect(lines().filter((line) => line.includes('did not answer'))).toHaveLength(1);
        expect(status(1).status).toBe(0);
        expect(await end()).toBe(0);
        expect(await terminate(node.process)).toBe('SIGKILL');
        expect(lines().at(-1)).toContain('hangs in the kernel');
        expect(existsSync(at('node-1.sock'))).toBe(false);
      } finally {
        process.kill(-server.pid!, 'SIGKILL');
      }
    }, 90_000);
  });

  it.each([
    ['computes without end', false, 'does not stop by itself, and is ended', 0],
    ['waits in the kernel', true, 'hangs in the kernel, and is left behind', 'SIGKILL'],
  ])(
    'tells of a data-plane thread that %s, and ends it',
    async (_, inKernel, why, code) => {
      writeFileSync(at('keys'), GCM(3));
      writeFileSync(at('others.json'), JSON.stringify([wiredNode(1), wiredNode(2)]));
      spawnSync('mkfifo', [at('fifo')]);
      const child = spawn(process.execPath, [STUCK, configure(2)], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ESPLANE_RUN_DIR: folder, ...(inKernel && { FIFO: at('fifo') }) },
      });
      children.push(child);
      let errors = '';
      child.stderr!.on('data', (bytes) => {
        errors += bytes;
      });
      const [ready] = (await once(child.stdout!, 'data')) as [Buffer];
      expect(ready.toString()).toBe('ready\n');
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const answer = status(2);
      expect(answer.stdout).toContain('Encryption: IPsec');
      expect(answer.stderr).toMatch(
        /^esplane: node-2: the data-plane thread has not answered for [1-9]\d*\.\d s: /,
      );
      expect(answer.status).toBe(1);
      expect(await terminate(child)).toBe(code);
      expect(errors).toContain(why);
      expect(existsSync(at('node-2.sock'))).toBe(false);
    },
    60_000,
  );
});
