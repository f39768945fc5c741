/**
 * Two running `esplane node`s and full-size packets between their pods, by every way that Cilium has: native routing, VXLAN
 * in ESP, ESP in VXLAN. What the TUN devices take is what Cilium gives pods; TCP uses all of it, and every byte arrives.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADDON, needs, program, ROOT } from '../support/needs.ts';
import { makeNamespaces, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';

const PYTHON = '/usr/bin/python3';
const TCP_PEER = fileURLToPath(new URL('./tcp-peer.py', import.meta.url));
const KEY = `3+ rfc4106(gcm(aes)) ${'0123456789abcdef'.repeat(2)}a1b2c3d4 128\n`;
const BYTES = 2_000_000;
const PORT = 5003;

interface Way {
  readonly link: 'raw' | 'udp' | 'packet';
  readonly mode: 'native' | 'tunnel' | 'eni';
  readonly cilium: string;
  /** IP version between the nodes. */
  readonly family: 4 | 6;
  /** What Cilium gives pods of 1500 bytes (`pkg/mtu`). */
  readonly mtu: number;
}

needs([ADDON, ROOT, program('ip', 'iproute2')], 'full-size packets on real links', () => {
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

  async function start({ link, mode, cilium, family }: Way, more: object = {}) {
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
            ? { pool: Object.fromEntries([1, 2, 9].map((k) => [`10.244.${i}.${k}`, { resource: 'eni-0' }])) }
            : { podCIDRs: [`10.244.${i}.0/24`, `fd00:10:244:${i}::/64`] },
        ...(mode === 'eni' && { eni: { 'vpc-id': 'vpc-0' } }),
      },
    }));
    writeFileSync(join(folder, 'keys'), KEY);
    writeFileSync(join(folder, 'nodes.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    for (const i of [1, 2]) {
      const file = join(folder, `${i}.yaml`);
      const addresses = [`10.244.${i}.1/24`, ...(mode === 'eni' ? [] : [`fd00:10:244:${i}::1/64`])];
      writeFileSync(
        file,
        JSON.stringify({
          name: `node-${i}`,
          netns: i === 1 ? net.a : net.b,
          inside: { device: 'esp0', addresses, ...more },
          outside: { link, address: outer(i, family) },
          keys: 'keys',
          nodes: 'nodes.json',
          mode,
          cilium,
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
      const [one, two] = await start(way, { mtu: 1500 });
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
});
