/**
 * Two running `esplane node`s of a cluster of 1000 in tunnel mode, both families: 7,992 SAs each, which a rotation makes
 * anew while packets move. Nothing may be lost, and packets may not wait for long.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ADDON, needs, program, ROOT } from '../support/needs.ts';
import { makeNamespaces, must, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';

const NODES = 1000;
const IDS = [14, 15, 1, 2] as const;
/** Each way at once: 20 Mbit/s. */
const PACKETS_A_SECOND = 2500;
const PAYLOAD = 1000;
/** iperf3 goes on for so long; what is measured fits into it. */
const SECONDS = 150;
/** Seconds between two reports: each prints 7,992 SAs, and the machine is to have time for packets. */
const STATS_EVERY = 5;
/** Seconds of pings without a rotation, before each. */
const CALM = 6;
/** So many times as long as without a rotation one ping of a hundred may take in one. */
const LONGEST_P99 = 2;
/** ms. A collection of V8 takes as long, and a rotation cannot do without: below it calm pings are no measure of that. */
const LEAST_CALM = 0.75;
const PING_EVERY = 0.005;
/** Room in iperf3's socket for what comes while it has no processor. */
const SOCKET_ROOM = 4 << 20;
const LIMITS = ['/proc/sys/net/core/rmem_max', '/proc/sys/net/core/wmem_max'] as const;

const keyLine = (id: number) =>
  `${id}+ rfc4106(gcm(aes)) ${id.toString(16).padStart(2, '0').repeat(16)}a1b2c3d4 128\n`;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Node `i` of the cluster; the first two have their wire. */
function ciliumNode(i: number, key: number) {
  const [hi, lo] = [i >> 8, i & 0xff];
  const hex = i.toString(16);
  const isHere = i <= 2;
  return {
    kind: 'CiliumNode',
    metadata: { name: `node-${i}` },
    spec: {
      addresses: [
        { type: 'InternalIP', ip: isHere ? `10.99.0.${i}` : `192.168.${hi}.${lo}` },
        { type: 'InternalIP', ip: `fd07::${hex}` },
        { type: 'CiliumInternalIP', ip: isHere ? `10.244.${i}.254` : `10.${100 + hi}.${lo}.1` },
        { type: 'CiliumInternalIP', ip: `fd00:10:${hex}::1` },
      ],
      bootid: `3f2a6c1e-8d4b-4e57-9a30-${hex.padStart(12, '0')}`,
      encryption: { key },
      ipam: { podCIDRs: [isHere ? `10.244.${i}.0/24` : `10.${100 + hi}.${lo}.0/24`, `fd00:10:${hex}::/64`] },
    },
  };
}

needs(
  [ADDON, ROOT, program('ip', 'iproute2'), program('iperf3', 'iperf3'), program('ping', 'iputils-ping')],
  'a rotation among 1000 nodes',
  () => {
    let net: Namespaces;
    let folder: string;
    const nodes: NodeProcess[] = [];
    const helpers: ChildProcess[] = [];
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
      folder = mkdtempSync(join(tmpdir(), 'esplane-rotation-1000-'));
    });
    afterEach(() => {
      for (const helper of helpers.splice(0)) helper.kill('SIGKILL');
      for (const node of nodes.splice(0)) node.process.kill('SIGKILL');
      net.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    const write = (file: string, text: string) => {
      writeFileSync(join(folder, `${file}.new`), text);
      renameSync(join(folder, `${file}.new`), join(folder, file));
    };
    const inA = (...command: string[]) => {
      const child = spawn('ip', ['netns', 'exec', net.a, ...command], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      helpers.push(child);
      let text = '';
      child.stdout!.on('data', (bytes: Buffer) => {
        text += bytes.toString();
      });
      return { child, ended: once(child, 'close').then(() => text) };
    };
    async function until(what: string, condition: () => boolean): Promise<void> {
      const end = Date.now() + 60_000;
      while (!condition()) {
        if (Date.now() > end)
          throw new Error(`never: ${what}; ${nodes.map(({ errors }) => errors).join('|')}`);
        await sleep(20);
      }
    }
    const published = (i: number) =>
      JSON.parse(readFileSync(join(folder, `node-${i}.json`), 'utf8')).spec.encryption.key as number;
    const droppedBy = (where: 'a' | 'b', device: string): number => {
      const [link] = JSON.parse(must('ip', '-n', net[where], '-s', '-j', 'link', 'show', device));
      return link.stats64.tx.dropped + link.stats64.rx.dropped;
    };
    /** Times of pings, ms, the shortest first. */
    const timesOf = (text: string) =>
      [...text.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms)).sort((a, b) => a - b);
    const quantile = (times: readonly number[], part: number) => times[Math.floor(times.length * part)]!;

    // What fails once may have met a busy host: two nodes, two loads and a ping share its processors.
    it('loses nothing in three rotations, and holds packets up for milliseconds', {
      retry: 2,
      timeout: 240_000,
    }, async () => {
      write(
        'others.json',
        JSON.stringify(Array.from({ length: NODES - 2 }, (_, k) => ciliumNode(k + 3, IDS[0]))),
      );
      for (const i of [1, 2]) write(`node-${i}.json`, JSON.stringify(ciliumNode(i, IDS[0])));
      for (const i of [1, 2]) {
        write(`keys-${i}`, keyLine(IDS[0]));
        write(
          `${i}.yaml`,
          JSON.stringify({
            name: `node-${i}`,
            netns: i === 1 ? net.a : net.b,
            inside: { device: 'esp0', addresses: [`10.244.${i}.1/24`], routes: false },
            outside: { link: 'udp', address: `10.99.0.${i}` },
            keys: `keys-${i}`,
            nodes: ['node-1.json', 'node-2.json', 'others.json'],
            publish: `node-${i}.json`,
            mode: 'tunnel',
            strict: '10.244.0.0/16',
            // Longer than the other node takes to plan and to make its SAs (some 13 s, on a busy host more): then the old key
            // is still there.
            'key-rotation-duration': '22s',
          }),
        );
        nodes.push(await NodeProcess.start(join(folder, `${i}.yaml`), {}, STATS_EVERY));
      }
      for (const i of [1, 2] as const)
        must('ip', '-n', i === 1 ? net.a : net.b, 'route', 'replace', `10.244.${3 - i}.0/24`, 'dev', 'esp0');
      expect(nodes.map(({ ready }) => ready!.sas)).toEqual([7992, 7992]);
      net.run('a', 'ping', '-c', '2', '-i', '0.1', '-W', '2', '10.244.2.1');
      const wireBefore = [droppedBy('a', 'v'), droppedBy('b', 'v')];
      helpers.push(spawn('ip', ['netns', 'exec', net.b, 'iperf3', '-s', '-1'], { stdio: 'ignore' }));
      await until('the server listens', () => net.run('b', 'ss', '-Hltn').includes(':5201'));
      const load = inA(
        ...`iperf3 -c 10.244.2.1 -u -b ${8 * PAYLOAD * PACKETS_A_SECOND} -l ${PAYLOAD} -w ${SOCKET_ROOM} --bidir -t ${SECONDS} --json`.split(
          ' ',
        ),
      );
      await sleep(500);
      const pings = ['ping', '-i', String(PING_EVERY), '10.244.2.1'];
      const calm: number[][] = [];
      const rotating: number[][] = [];
      const began = Date.now();
      for (const id of IDS.slice(1)) {
        calm.push(timesOf(await inA(...pings, '-w', String(CALM)).ended));
        const during = inA(...pings);
        // The Secrets of two nodes never change together.
        write('keys-1', keyLine(id));
        await sleep(400);
        write('keys-2', keyLine(id));
        await until(`both have key ${id}`, () => published(1) === id && published(2) === id);
        const before = IDS[IDS.indexOf(id) - 1];
        const gone = new RegExp(`key ${before}: \\d+ old SAs removed`);
        await until(`key ${before} is gone`, () => nodes.every(({ errors }) => gone.test(errors)));
        during.child.kill('SIGINT');
        rotating.push(timesOf(await during.ended));
      }
      const seconds = (Date.now() - began) / 1000;
      const told = (windows: readonly (readonly number[])[]) =>
        windows
          .map((times) => [0.5, 0.99, 1 - 1e-9].map((part) => quantile(times, part)).join(', '))
          .join('; ');
      process.stderr.write(
        `three rotations of 1000 nodes in ${seconds.toFixed(1)} s; ping p50, p99, longest, ms: without ${told(calm)}; with ${told(rotating)}\n`,
      );
      const { end } = JSON.parse(await load.ended) as {
        end: Record<'sum' | 'sum_bidir_reverse', { lost_packets: number; packets: number }>;
      };
      // All three fell into the load.
      expect(seconds).toBeLessThan(SECONDS);
      const sums = [end.sum, end.sum_bidir_reverse];
      for (const { packets } of sums) expect(packets).toBeGreaterThan(0.9 * SECONDS * PACKETS_A_SECOND);
      const lost = (['a', 'b'] as const).map((where, i) => ({
        tun: droppedBy(where, 'esp0'),
        wire: droppedBy(where, 'v') - wireBefore[i]!,
        sockets: Number(
          /UdpRcvbufErrors\s+(\d+)/.exec(net.run(where, 'nstat', '-asz', 'UdpRcvbufErrors'))![1],
        ),
      }));
      for (const node of nodes) {
        const { out, in: into, xfrm, sas } = await node.stop();
        expect([out.drops, into.drops, xfrm, out.refused, into.refused]).toEqual([{}, {}, {}, 0, 0]);
        expect(sas.length).toBe(7992);
        expect(sas.filter(({ spi, packets }) => spi === 2 && packets > 0).length).toBeGreaterThan(1);
      }
      // The middle one of three: what else runs on the host may disturb one.
      const p99 = (windows: readonly (readonly number[])[]) =>
        windows.map((times) => quantile(times, 0.99)).sort((a, b) => a - b)[1]!;
      expect(p99(rotating)).toBeLessThan(LONGEST_P99 * Math.max(p99(calm), LEAST_CALM));
      const nothing = { tun: 0, wire: 0, sockets: 0 };
      expect({ iperf3: sums.map(({ lost_packets }) => lost_packets), lost }).toEqual({
        iperf3: [0, 0],
        lost: [nothing, nothing],
      });
    });
  },
);
