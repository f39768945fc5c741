/**
 * Two running `esplane node`s and full-size packets between their pods, by every way that Cilium has: native routing, VXLAN
 * in ESP, ESP in VXLAN. What the TUN devices take is what Cilium gives pods; TCP uses all of it, and every byte arrives.
 * Of ESP in VXLAN also what tcpdump sees between them, and what becomes of datagrams that are no VXLAN.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { esplane } from '../support/cli.ts';
import { needs, PYTHON, PYTHON_NEED, program } from '../support/needs.ts';
import { LIVE, makeNamespaces, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';
import { address, ipv4Packet } from '../support/sa.ts';
import { dissect } from '../support/tshark.ts';

const TCP_PEER = fileURLToPath(new URL('./tcp-peer.py', import.meta.url));
const KEY = `3+ rfc4106(gcm(aes)) ${'0123456789abcdef'.repeat(2)}a1b2c3d4 128\n`;
const BYTES = 2_000_000;
const PORT = 5003;
/** Of the pods of node-1 and node-2. */
const IDENTITIES = [41_234, 52_345] as const;

interface Way {
  readonly link: 'raw' | 'udp' | 'packet';
  readonly mode: 'native' | 'tunnel' | 'eni';
  readonly cilium: string;
  readonly protocol?: 'geneve';
  /** IP version between the nodes. */
  readonly family: 4 | 6;
  /** What Cilium gives pods of 1500 bytes (`pkg/mtu`). */
  readonly mtu: number;
}

needs(
  [PYTHON_NEED, program('tcpdump', 'tcpdump'), program('tshark', 'tshark'), ...LIVE],
  'full-size packets on real links',
  () => {
    let net: Namespaces;
    let folder: string;
    const nodes: NodeProcess[] = [];
    beforeEach(() => {
      net = makeNamespaces();
      folder = mkdtempSync(join(tmpdir(), 'esplane-overlay-'));
    });
    afterEach(() => {
      for (const node of nodes.splice(0)) node.process.kill('SIGKILL');
      net.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    const outer = (i: number, family: 4 | 6) => (family === 4 ? `10.99.0.${i}` : `fd99::${i}`);

    async function start(
      { link, mode, cilium, family, protocol }: Way,
      more: (i: 1 | 2) => object = () => ({}),
    ) {
      const items = [1, 2].map((i) => ({
        apiVersion: 'cilium.io/v2',
        kind: 'CiliumNode',
        metadata: { name: `node-${i}` },
        spec: {
          addresses: [
            { type: 'InternalIP', ip: outer(i, family) },
            { type: 'CiliumInternalIP', ip: `10.244.${i}.254` },
            { type: 'CiliumInternalIP', ip: `fd00:10:244:${i}::fe` },
          ],
          bootid: `3f2a6c1e-8d4b-4e57-9a30-5b7c9d1e2f4${i}`,
          encryption: { key: 3 },
          ipam:
            mode === 'eni'
              ? {
                  pool: Object.fromEntries([1, 2, 9].map((k) => [`10.244.${i}.${k}`, { resource: 'eni-0' }])),
                }
              : { podCIDRs: [`10.244.${i}.0/24`, `fd00:10:244:${i}::/64`] },
          ...(mode === 'eni' && { eni: { 'vpc-id': 'vpc-0' } }),
        },
      }));
      writeFileSync(join(folder, 'keys'), KEY);
      writeFileSync(join(folder, 'nodes.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
      for (const i of [1, 2] as const) {
        const file = join(folder, `${i}.yaml`);
        const addresses = [`10.244.${i}.1/24`, ...(mode === 'eni' ? [] : [`fd00:10:244:${i}::1/64`])];
        writeFileSync(
          file,
          JSON.stringify({
            name: `node-${i}`,
            netns: i === 1 ? net.a : net.b,
            inside: { device: 'esp0', addresses, ...more(i) },
            outside: { link, address: outer(i, family) },
            keys: 'keys',
            nodes: 'nodes.json',
            mode,
            cilium,
            ...(protocol && { 'tunnel-protocol': protocol }),
            // Nothing may leave in the clear.
            strict: '10.244.0.0/16',
          }),
        );
        nodes.push(await NodeProcess.start(file));
      }
      return nodes as [NodeProcess, NodeProcess];
    }

    const mtuOf = (where: 'a' | 'b') =>
      Number(/mtu (\d+)/.exec(net.run(where, 'ip', 'link', 'show', 'dev', 'esp0'))![1]);
    /** A ping of so many bytes that may not be cut. */
    const whole = (len: number, to = '10.244.2.1') => {
      const headers = to.includes(':') ? 48 : 28;
      return net.run('a', 'ping', '-c', '1', '-W', '3', '-M', 'do', '-s', String(len - headers), to);
    };

    /** Bytes from a to b, by TCP; the receiver's hash of them is compared. */
    async function transfer(to: string): Promise<void> {
      const server = spawn('ip', ['netns', 'exec', net.b, PYTHON, TCP_PEER, 'serve', String(PORT), '1']);
      try {
        while (!net.run('b', 'ss', '-Hltn').includes(`:${PORT}`))
          await new Promise((resolve) => setTimeout(resolve, 20));
        net.run('a', PYTHON, TCP_PEER, 'send', to, String(PORT), String(BYTES));
      } finally {
        server.kill();
      }
    }

    const V4 = { cilium: '1.18', family: 4 } as const;
    const WAYS: [string, Way][] = [
      ['native routing, raw', { ...V4, link: 'raw', mode: 'native', mtu: 1423 }],
      ['native routing, UDP', { ...V4, link: 'udp', mode: 'native', mtu: 1423 }],
      ['ENI, raw', { ...V4, link: 'raw', mode: 'eni', mtu: 1423 }],
      ['VXLAN in ESP, raw', { ...V4, link: 'raw', mode: 'tunnel', mtu: 1373 }],
      ['VXLAN in ESP, AF_PACKET', { ...V4, link: 'packet', mode: 'tunnel', mtu: 1373 }],
      ['VXLAN in ESP over IPv6, raw', { ...V4, family: 6, link: 'raw', mode: 'tunnel', mtu: 1353 }],
      // Cilium does not count UDP's 8 bytes, which it does not have.
      ['VXLAN in ESP over IPv6, UDP', { ...V4, family: 6, link: 'udp', mode: 'tunnel', mtu: 1345 }],
      ['ESP in VXLAN', { cilium: '1.17', family: 4, link: 'udp', mode: 'tunnel', mtu: 1373 }],
      ['ESP in VXLAN over IPv6', { cilium: '1.17', family: 6, link: 'udp', mode: 'tunnel', mtu: 1353 }],
      ['Geneve in ESP, raw', { ...V4, protocol: 'geneve', link: 'raw', mode: 'tunnel', mtu: 1373 }],
      [
        'ESP in Geneve',
        { cilium: '1.17', protocol: 'geneve', family: 4, link: 'udp', mode: 'tunnel', mtu: 1373 },
      ],
    ];

    it.each(WAYS)(
      'TCP passes at full size: %s',
      async (_, way) => {
        const [one, two] = await start(way);
        expect([mtuOf('a'), mtuOf('b')]).toEqual([way.mtu, way.mtu]);
        whole(way.mtu);
        expect(() => whole(way.mtu + 1)).toThrow();
        await transfer('10.244.2.1');
        // Without an overlay IPv6 pods need IPv6 between the nodes.
        if (way.mode === 'tunnel') {
          whole(way.mtu, 'fd00:10:244:2::1');
          await transfer('fd00:10:244:2::1');
        }
        const ends = [await one.stop(), await two.stop()] as const;
        for (const stats of ends) {
          const { out, in: into, xfrm, outside, inside } = stats;
          expect([out.drops, into.drops, xfrm, into.clear]).toEqual([{}, {}, {}, 0]);
          expect([out.refused, into.refused, outside.tooBig, inside.full]).toEqual([0, 0, 0, 0]);
        }
        // Nothing was lost between them: what one sent the other has.
        expect(ends[0].out.encrypted).toBeGreaterThan(BYTES / way.mtu);
        expect(ends.map(({ in: into }) => into.decrypted)).toEqual([
          ends[1].out.encrypted,
          ends[0].out.encrypted,
        ]);
      },
      60_000,
    );

    it.each([
      ['VXLAN in ESP', { ...V4, link: 'raw', mode: 'tunnel', mtu: 1373 }],
      ['ESP in VXLAN', { cilium: '1.17', family: 4, link: 'udp', mode: 'tunnel', mtu: 1373 }],
    ] as [string, Way][])(
      'tells pods that send more how long packets may be: %s',
      async (_, way) => {
        const [one, two] = await start(way, () => ({ mtu: 1500 }));
        expect(() => whole(1500)).toThrow();
        // The kernel has learned it from "fragmentation needed" and "packet too big".
        expect(net.run('a', 'ip', 'route', 'get', '10.244.2.1')).toContain(`mtu ${way.mtu}`);
        expect(() => whole(1500, 'fd00:10:244:2::1')).toThrow();
        expect(net.run('a', 'ip', 'route', 'get', 'fd00:10:244:2::1')).toContain(`mtu ${way.mtu}`);
        await transfer('10.244.2.1');
        await transfer('fd00:10:244:2::1');
        const stats = await one.stop();
        expect(stats.tooBig.icmpSent).toBeGreaterThanOrEqual(2);
        await two.stop();
      },
      60_000,
    );

    const OLD: Way = { cilium: '1.17', family: 4, link: 'udp', mode: 'tunnel', mtu: 1373 };

    it('ESP in VXLAN shows the identities of the senders, and ESP; and the keys open all of it', async () => {
      // The kernel would hand whole runs of datagrams over, and tcpdump would see each as one.
      for (const where of ['a', 'b'] as const) net.run(where, 'ip', 'link', 'set', 'v', 'gso_max_segs', '1');
      const file = join(folder, 'wire.pcap');
      const tcpdump = spawn('ip', [
        ...['netns', 'exec', net.b, 'tcpdump', '-i', 'v', '-w', file],
        // A ring of slots of this length, so that none is lost.
        ...['--immediate-mode', '-U', '-s', '2000', '-B', '32768', 'udp port 8472'],
      ]);
      const ended = once(tcpdump, 'close');
      await once(tcpdump.stderr, 'data');
      try {
        const [one, two] = await start(OLD, (i) => ({ identity: IDENTITIES[i - 1] }));
        whole(OLD.mtu);
        whole(OLD.mtu, 'fd00:10:244:2::1');
        await transfer('10.244.2.1');
        const ends = [await one.stop(), await two.stop()];
        const sent = ends.map(({ out }) => out.encrypted);
        const decrypted = () => {
          const cluster = ['--keys', join(folder, 'keys'), '--nodes', join(folder, 'nodes.json')];
          const { stdout } = esplane(['decrypt', file, '--json', ...cluster, '--cilium', OLD.cilium]);
          return stdout
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as Record<'src' | 'verdict' | 'carrier' | 'overlay', unknown>);
        };
        // tcpdump writes what it has seen a moment later.
        await expect.poll(() => decrypted().length, { timeout: 10_000 }).toBe(sent[0]! + sent[1]!);
        tcpdump.kill('SIGINT');
        await ended;
        for (const { src, verdict, carrier, overlay } of decrypted()) {
          const node = ['10.244.1.254', 'fd00:10:244:1::fe'].includes(String(src)) ? 0 : 1;
          expect([verdict, carrier, overlay]).toEqual(['ok', { vni: IDENTITIES[node] }, null]);
        }
        /** What tshark says of each frame: of the first header of a kind, or of the last. */
        const fields = (which: 'f' | 'l', ...names: string[]) =>
          dissect(file, '', names, ['-d', 'udp.port==8472,vxlan', '-E', `occurrence=${which}`]).rows;
        const outside = fields('f', 'ip.src', 'udp.dstport', 'vxlan.vni', 'esp.spi', 'ip.flags.df');
        expect(outside).toHaveLength(sent[0]! + sent[1]!);
        // Older releases say 0, newer ones False.
        expect(new Set(outside.map((row) => row.join(' ').replace('False', '0')))).toEqual(
          new Set([1, 2].map((i) => `10.99.0.${i} 8472 ${IDENTITIES[i - 1]} 0x00000003 0`)),
        );
        const inside = fields('l', 'eth.dst', 'frame.len');
        expect(new Set(inside.map(([to]) => to))).toEqual(
          new Set(['02:00:0a:63:00:01', '02:00:0a:63:00:02']),
        );
        expect(Math.max(...inside.map(([, len]) => Number(len)))).toBeLessThanOrEqual(1514);
      } finally {
        tcpdump.kill('SIGKILL');
      }
    }, 30_000);

    it('counts datagrams on the port that are no VXLAN, and what no peer may send', async () => {
      const [one, two] = await start(OLD);
      const frame = (type: string) => `020000000002020000000001${type}`;
      const espFrom = (src: string) =>
        frame('0800') +
        toHex(ipv4Packet(60, { protocol: 50, src: address(src), dst: address('10.244.2.254') }));
      const bad = [
        'ff', // a keepalive of NAT, to a port with ESP
        `${'00'.repeat(8)}${espFrom('10.244.1.254')}`, // IKE, to such a port: no flag
        '0800000000a1',
        `0c0000000000a100${espFrom('10.244.1.254')}`,
        `080000000000a100${frame('0806')}${'00'.repeat(28)}`,
      ];
      const SEND = `import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for text in sys.argv[1:]: s.sendto(bytes.fromhex(text), ("10.99.0.2", 8472))`;
      const asHost = `0800000000000100${espFrom('10.244.1.254')}`;
      const ofNobody = `080000000000a100${espFrom('10.244.9.254')}`;
      net.run('a', PYTHON, '-c', SEND, ...bad, asHost, ofNobody);
      whole(OLD.mtu);
      await one.stop();
      const { in: into, peerDrops, outside } = await two.stop();
      expect(into.drops).toEqual({ 'bad-vxlan': bad.length, 'invalid-identity': 1, 'no-node-id': 1 });
      expect(outside.ignored).toBe(0);
      // Node-1 by the address of the datagram, or of what is in it; the other by no node's.
      expect(peerDrops.map(({ peer, reason, count }) => [peer, reason, count])).toEqual([
        ['node-1', 'invalid-identity', 1],
        ['node-1', 'bad-vxlan', bad.length],
        [null, 'no-node-id', 1],
      ]);
    }, 30_000);
  },
);
