/**
 * A node whose policies are for ports: what it sends and what it blocks, beside what a Linux kernel did with the same
 * policies.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseXfrmStat } from '../../src/sa-text/xfrm-stat.ts';
import { CASES, CASES_NEED, needs, PYTHON, PYTHON_NEED } from '../support/needs.ts';
import { LIVE, makeNamespaces, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';

const CASE = `${CASES}texts/01-policy-ports-node`;
const TCP_PEER = fileURLToPath(new URL('./tcp-peer.py', import.meta.url));
/** One SYN: the next would be sent after a second. */
const SYN =
  'import socket, sys; s = socket.socket(); s.settimeout(0.5); s.connect(("10.244.2.1", int(sys.argv[1])))';
/** What is for a pod is forwarded; in the kernel's run the address was its own, so its texts have no such policy. */
const forwarded = (number: 1 | 2) => `src 10.244.${3 - number}.0/24 dst 10.244.${number}.0/24
	dir fwd priority 100 ptype main
	tmpl src 192.0.2.${3 - number} dst 192.0.2.${number}
		proto esp reqid 1 mode tunnel
`;
const PEER_POLICIES = `src 10.244.2.0/24 dst 10.244.1.0/24
	dir out priority 100 ptype main
	tmpl src 192.0.2.2 dst 192.0.2.1
		proto esp spi 0xc88b7653 reqid 1 mode tunnel
`;

needs([CASES_NEED, PYTHON_NEED, ...LIVE], 'policies for ports', () => {
  let net: Namespaces;
  let folder: string;
  const nodes: NodeProcess[] = [];
  beforeEach(() => {
    net = makeNamespaces();
    folder = mkdtempSync(join(tmpdir(), 'esplane-ports-'));
  });
  afterEach(() => {
    for (const node of nodes.splice(0)) node.process.kill('SIGKILL');
    net.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(number: 1 | 2, policy: string): Promise<NodeProcess> {
    const where = number === 1 ? 'a' : 'b';
    net.run(where, 'ip', 'addr', 'add', `192.0.2.${number}/24`, 'dev', 'v');
    const config = join(folder, `node-${number}.yaml`);
    writeFileSync(
      config,
      JSON.stringify({
        name: `n${number}`,
        netns: net[where],
        inside: { device: 'esp0', addresses: [`10.244.${number}.1/24`] },
        outside: { link: 'udp', address: `192.0.2.${number}` },
        xfrm: { state: ['state'], policy: [policy] },
        pods: [`10.244.${number}.0/24`],
      }),
    );
    const node = await NodeProcess.start(config);
    nodes.push(node);
    return node;
  }

  it.each(['tunnel-first', 'block-first'])(
    'case texts 01: %s: pings and other ports pass, the blocked port is counted as the kernel did',
    async (order) => {
      copyFileSync(`${CASE}/state`, join(folder, 'state'));
      const own = readFileSync(`${CASE}/policy-${order}`, 'utf8');
      writeFileSync(join(folder, `policy-${order}`), `${own}${forwarded(1)}`);
      writeFileSync(join(folder, 'policy-peer'), `${PEER_POLICIES}${forwarded(2)}`);
      const one = await start(1, `policy-${order}`);
      const two = await start(2, 'policy-peer');
      net.run('a', 'ping', '-c', '3', '-i', '0.1', '-W', '3', '-I', '10.244.1.1', '10.244.2.1');
      const servers = ['7', '8'].map((port) =>
        spawn('ip', ['netns', 'exec', net.b, PYTHON, TCP_PEER, 'serve', port, '1'], { stdio: 'ignore' }),
      );
      try {
        while (!['7', '8'].every((port) => net.run('b', 'ss', '-Hltn').includes(`:${port} `)))
          await new Promise((resolve) => setTimeout(resolve, 20));
        net.run('a', PYTHON, TCP_PEER, 'send', '10.244.2.1', '8', '20000');
        expect(() => net.run('a', PYTHON, '-c', SYN, '7')).toThrow(/timed out/);
      } finally {
        for (const server of servers) server.kill();
      }
      const sent = await one.stop();
      const received = await two.stop();
      const kernel = parseXfrmStat(readFileSync(`${CASE}/kernel.xfrm_stat`, 'utf8'), 'kernel.xfrm_stat');
      const counted = Object.fromEntries([...kernel].filter(([, count]) => count > 0));
      expect(counted).toEqual({ XfrmOutPolBlock: 1 });
      expect([sent.xfrm, sent.out.drops]).toEqual([counted, { 'out-policy-block': 1 }]);
      expect([received.xfrm, received.in.decrypted]).toEqual([{}, sent.out.encrypted]);
    },
    30_000,
  );
});
