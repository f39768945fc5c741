/**
 * Two running `esplane node`s whose files change under traffic: keys replaced as kubelet replaces a Secret volume, and
 * peers that learn of it from each other's published CiliumNode.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { wiredNode } from '../support/cilium-cluster.ts';
import { needs, program } from '../support/needs.ts';
import { LIVE, makeNamespaces, must, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';

const WHERE = ['a', 'b'] as const;
const IDS = [14, 15, 1, 2] as const;
const SECONDS = 8;
/** Each way at once: 20 Mbit/s. */
const PACKETS_A_SECOND = 2500;
const PAYLOAD = 1000;
/**
 * Room in iperf3's socket for what comes while it has no processor, more than a second: on a busy machine its usual 200 KB
 * overflow in 50 ms, and that is no loss of the nodes.
 */
const SOCKET_ROOM = 4 << 20;
const LIMITS = ['/proc/sys/net/core/rmem_max', '/proc/sys/net/core/wmem_max'] as const;

const keyLine = (id: number) =>
  `${id}+ rfc4106(gcm(aes)) ${id.toString(16).padStart(2, '0').repeat(16)}a1b2c3d4 128\n`;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

needs([program('iperf3', 'iperf3'), ...LIVE], 'rotation on real links', () => {
  let net: Namespaces;
  let folder: string;
  const nodes: NodeProcess[] = [];
  const limits = new Map<string, string>();
  beforeAll(() => {
    for (const file of LIMITS) {
      const limit = readFileSync(file, 'utf8');
      if (Number(limit) >= SOCKET_ROOM) continue;
      limits.set(file, limit);
      writeFileSync(file, String(SOCKET_ROOM));
    }
  });
  afterAll(() => {
    for (const [file, limit] of limits) writeFileSync(file, limit);
  });
  beforeEach(() => {
    net = makeNamespaces();
    folder = mkdtempSync(join(tmpdir(), 'esplane-rotation-'));
  });
  afterEach(() => {
    for (const node of nodes.splice(0)) node.process.kill('SIGKILL');
    net.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const cilium = (i: number, key: number, address?: string) =>
    JSON.stringify(wiredNode(i, { key, ...(address && { address }) }));

  /** Puts a key into the volume of node `i`, as kubelet does: a new folder, and one rename. */
  function setKeys(i: number, text: string): void {
    const volume = join(folder, `secret-${i}`);
    mkdirSync(volume, { recursive: true });
    const made = mkdtempSync(join(volume, '..2026_'));
    writeFileSync(join(made, 'keys'), text);
    symlinkSync(made, join(volume, '..data_tmp'));
    renameSync(join(volume, '..data_tmp'), join(volume, '..data'));
    try {
      symlinkSync('..data/keys', join(volume, 'keys'));
    } catch {
      // there since the first time
    }
  }

  async function start(more: object, link = 'raw'): Promise<[NodeProcess, NodeProcess]> {
    for (const i of [1, 2]) writeFileSync(join(folder, `node-${i}.json`), cilium(i, IDS[0]));
    for (const i of [1, 2]) {
      setKeys(i, keyLine(IDS[0]));
      const config = {
        name: `node-${i}`,
        netns: i === 1 ? net.a : net.b,
        inside: { device: 'esp0', addresses: [`10.244.${i}.1/24`] },
        outside: { link, address: `10.99.0.${i}` },
        keys: `secret-${i}/keys`,
        nodes: ['node-1.json', 'node-2.json'],
        publish: `node-${i}.json`,
        ...more,
      };
      writeFileSync(join(folder, `${i}.yaml`), JSON.stringify(config));
      nodes.push(await NodeProcess.start(join(folder, `${i}.yaml`)));
    }
    return nodes as [NodeProcess, NodeProcess];
  }

  const published = (i: number) =>
    JSON.parse(readFileSync(join(folder, `node-${i}.json`), 'utf8')).spec.encryption.key as number;

  async function until(what: string, condition: () => boolean): Promise<void> {
    const end = Date.now() + 5000;
    while (!condition()) {
      if (Date.now() > end) throw new Error(`never: ${what}; ${nodes.map(({ errors }) => errors).join('|')}`);
      await sleep(20);
    }
  }
  const droppedBy = (where: 'a' | 'b', device: string): number => {
    const [link] = JSON.parse(must('ip', '-n', net[where], '-s', '-j', 'link', 'show', device));
    return link.stats64.tx.dropped + link.stats64.rx.dropped;
  };
  const ping = () => net.run('a', 'ping', '-c', '2', '-i', '0.1', '-W', '2', '10.244.2.1');

  it.each([
    ['native routing, raw ESP', 'raw', {}],
    ['VXLAN in ESP, over UDP', 'udp', { mode: 'tunnel' }],
  ])(
    'loses nothing when the key is rotated three times: %s',
    async (_, link, more) => {
      const [one, two] = await start(
        { 'key-rotation-duration': '1s', strict: '10.244.0.0/16', ...more },
        link,
      );
      ping();
      // A veth that comes up before its peer drops what IPv6 announces.
      const wireBefore = WHERE.map((where) => droppedBy(where, 'v'));
      const server = spawn('ip', ['netns', 'exec', net.b, 'iperf3', '-s', '-1'], { stdio: 'ignore' });
      await until('the server listens', () => net.run('b', 'ss', '-Hltn').includes(':5201'));
      const client = spawn(
        'ip',
        `netns exec ${net.a} iperf3 -c 10.244.2.1 -u -b ${8 * PAYLOAD * PACKETS_A_SECOND} -l ${PAYLOAD} -w ${SOCKET_ROOM} --bidir -t ${SECONDS} --json`.split(
          ' ',
        ),
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      let report = '';
      client.stdout!.on('data', (bytes: Buffer) => {
        report += bytes.toString();
      });
      const ended = once(client, 'close');
      try {
        await sleep(500);
        for (const id of IDS.slice(1)) {
          // The volumes of two nodes never change together.
          setKeys(1, keyLine(id));
          await sleep(400);
          setKeys(2, keyLine(id));
          await until(`both have key ${id}`, () => published(1) === id && published(2) === id);
          await sleep(1200);
        }
        await ended;
      } finally {
        client.kill('SIGKILL');
        server.kill('SIGKILL');
      }
      const { end } = JSON.parse(report) as {
        end: Record<'sum' | 'sum_bidir_reverse', { lost_packets: number; packets: number }>;
      };
      const sums = [end.sum, end.sum_bidir_reverse];
      for (const { packets } of sums) expect(packets).toBeGreaterThan(0.9 * SECONDS * PACKETS_A_SECOND);
      // Every place where a packet may be lost unseen: the queue of a TUN device, sockets (iperf3's, a node's own).
      const lost = WHERE.map((where, i) => ({
        tun: droppedBy(where, 'esp0'),
        wire: droppedBy(where, 'v') - wireBefore[i]!,
        sockets: Number(
          /UdpRcvbufErrors\s+(\d+)/.exec(net.run(where, 'nstat', '-asz', 'UdpRcvbufErrors'))![1],
        ),
      }));
      const nothing = { tun: 0, wire: 0, sockets: 0 };
      expect({ iperf3: sums.map(({ lost_packets }) => lost_packets), lost }).toEqual({
        iperf3: [0, 0],
        lost: [nothing, nothing],
      });
      for (const node of [one, two]) {
        const { out, in: into, xfrm, sas, inside, outside } = await node.stop();
        expect([out.drops, into.drops, xfrm, out.refused, into.refused]).toEqual([{}, {}, {}, 0, 0]);
        expect([inside.full, inside.ignored, outside.full, outside.ignored]).toEqual([0, 0, 0, 0]);
        // Ids that came and went are gone with their SAs; the last one was used.
        expect(node.errors).toMatch(/key 14: \d+ old SAs removed/);
        expect(node.errors).toMatch(/key 15: \d+ old SAs removed/);
        expect(sas.map(({ spi }) => spi)).not.toContain(14);
        expect(sas.filter(({ spi, packets }) => spi === 2 && packets > 0).length).toBeGreaterThan(1);
      }
    },
    40_000,
  );

  it('goes on with what it had when files cannot be used, and says so once', async () => {
    const [one] = await start({});
    const said = (text: string) => one.errors.split(text).length - 1;
    setKeys(1, '15+ rfc4106(gcm(aes)) nonsense 128\n');
    await until('bad keys', () => said('keys not used, key 14 stays') === 1);
    expect(one.errors).not.toContain('nonsense');
    const list = join(folder, 'node-2.json');
    const good = cilium(2, 14);
    writeFileSync(list, good.slice(0, 90));
    await until('half a list', () => said('node list not used, the last good one stays') === 1);
    ping();
    writeFileSync(list, `[${good},${cilium(3, 14, '10.99.0.2')}]`);
    await until('two with one address', () =>
      one.errors.includes('nodes node-2 and node-3 both have the address 10.99.0.2'),
    );
    ping();
    writeFileSync(list, cilium(3, 14, '10.99.0.3'));
    await until('a lost peer', () => one.errors.includes('node node-2 is not in the list any more'));
    ping();
    writeFileSync(list, good);
    setKeys(1, keyLine(14));
    await until('good again', () => said('keys: good again') === 1);
    expect(said('keys not used')).toBe(1);
    one.process.kill('SIGHUP');
    ping();
    expect((await one.stop()).out.drops).toEqual({});
  }, 30_000);
});
