/**
 * What is seen of running `esplane node`s from outside: metrics as Prometheus's own parser takes them and as figures that
 * equal the node's, and the status as cilium-dbg would print it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { XFRM_COUNTERS } from '../../src/observe/xfrm-counters.ts';
import { wiredNode } from '../support/cilium-cluster.ts';
import { esplane } from '../support/cli.ts';
import { needs, PROMTOOL, program } from '../support/needs.ts';
import { LIVE, makeNamespaces, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';
import { type Metrics, parseMetrics } from '../support/prometheus.ts';

const GCM = (id: number) =>
  `${id}+ rfc4106(gcm(aes)) ${id.toString(16).padStart(2, '0').repeat(16)}a1b2c3d4 128\n`;

needs([PROMTOOL, program('python3', 'python3'), ...LIVE], 'a running node, seen from outside', () => {
  let net: Namespaces;
  let folder: string;
  let nodes: NodeProcess[];
  const runDir = process.env['ESPLANE_RUN_DIR'];
  beforeEach(async () => {
    net = makeNamespaces();
    folder = mkdtempSync(join(tmpdir(), 'esplane-metrics-'));
    process.env['ESPLANE_RUN_DIR'] = folder;
    nodes = [];
    writeFileSync(join(folder, 'keys'), GCM(3));
    writeFileSync(join(folder, 'nodes.json'), JSON.stringify([wiredNode(1), wiredNode(2)]));
    for (const i of [1, 2]) nodes.push(await start(i));
  });
  afterEach(() => {
    for (const node of nodes) node.process.kill('SIGKILL');
    net.remove();
    rmSync(folder, { recursive: true, force: true });
    if (runDir === undefined) delete process.env['ESPLANE_RUN_DIR'];
    else process.env['ESPLANE_RUN_DIR'] = runDir;
  });

  function configure(i: number, more: object = {}): string {
    const file = join(folder, `${i}.yaml`);
    const config = {
      name: `node-${i}`,
      netns: i === 1 ? net.a : net.b,
      inside: { device: 'esp0', addresses: [`10.244.${i}.1/24`] },
      outside: { link: 'raw', address: `10.99.0.${i}` },
      keys: 'keys',
      nodes: 'nodes.json',
      'key-rotation-duration': '1h',
      'state-dir': `state-${i}`,
      metrics: i === 1 ? '127.0.0.1:0' : '[::1]:0',
      ...(i === 1 && { flows: '/dev/full' }),
      ...more,
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }
  const start = (i: number, more: object = {}) => NodeProcess.start(configure(i, more));
  const ping = (count: number) =>
    net.run('a', 'ping', '-c', `${count}`, '-i', '0.05', '-W', '2', '10.244.2.1');
  const scrape = async (node: NodeProcess): Promise<{ text: string; metrics: Metrics }> => {
    const response = await fetch(node.ready!.metrics!);
    expect([response.status, response.headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ]);
    const text = await response.text();
    return { text, metrics: parseMetrics(text) };
  };

  it('exposes what promtool has nothing to say about, and the figures of the node', async () => {
    const [one, two] = nodes as [NodeProcess, NodeProcess];
    ping(20);
    // A packet twice, so that there is a drop: what is captured on the wire goes in again.
    replay();
    await two.until(({ xfrm }) => (xfrm['XfrmInStateSeqError'] ?? 0) > 0);
    // Quiet now: the next report and the scrape after it say the same.
    const still = async (node: NodeProcess) => {
      const before = JSON.stringify(node.stats);
      await new Promise((resolve) => setTimeout(resolve, 600));
      return before === JSON.stringify(node.stats);
    };
    for (const node of [one, two]) {
      while (!(await still(node)));
      const { text, metrics } = await scrape(node);
      const lint = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
      expect([lint.status, lint.stdout, lint.stderr]).toEqual([0, '', '']);
      const { value } = metrics;
      const { sas, out, in: into, xfrm, keys, policies, peerDrops, agent, outside, inside } = node.stats!;
      for (const { direction, peer, src, dst, spi, packets, bytes, seqLo, late, lost } of sas) {
        expect(peer).toBe(node === one ? 'node-2' : 'node-1');
        const labels = { peer: peer!, direction: direction!, src, dst, spi: String(spi) };
        expect(value('esplane_sa_packets_total', labels)).toBe(packets);
        expect(value('esplane_sa_bytes_total', labels)).toBe(bytes);
        expect(value('esplane_sa_sequence_number', labels)).toBe(seqLo);
        expect(value('esplane_sa_lost_packets_total', labels)).toBe(direction === 'in' ? lost : undefined);
        if (direction === 'in')
          expect(value('esplane_sa_late_packets_total', { ...labels, outcome: 'accepted' })).toBe(late);
        expect(packets).toBeGreaterThanOrEqual(20);
      }
      for (const { counter, type, error } of XFRM_COUNTERS)
        expect(value('cilium_ipsec_xfrm_error', { type, error })).toBe(xfrm[counter] ?? 0);
      expect(value('cilium_ipsec_keys')).toBe(keys);
      for (const direction of ['in', 'out', 'fwd'] as const)
        expect(value('cilium_ipsec_xfrm_policies', { direction })).toBe(policies[direction]);
      expect(value('cilium_ipsec_xfrm_states', { direction: 'in' })).toBe(sas.length / 2);
      expect(value('esplane_pod_packets_total', { outcome: 'encrypted' })).toBe(out.encrypted);
      expect(value('esplane_network_received_packets_total', { kind: 'decrypted' })).toBe(into.decrypted);
      expect(value('esplane_link_packets_total', { link: 'outside', direction: 'sent' })).toBe(outside.sent);
      expect(value('esplane_link_bytes_total', { link: 'inside', direction: 'received' })).toBe(
        inside.receivedBytes,
      );
      for (const { peer, direction, reason, counter, count } of peerDrops)
        expect(
          value('esplane_drops_total', { peer: peer ?? '', direction, reason, counter: counter ?? '' }),
        ).toBe(count);
      expect(value('esplane_peers')).toBe(agent!.peers);
      expect(value('esplane_key_id', { use: 'sending' })).toBe(3);
      expect(text).not.toMatch(/[0-9a-f]{32}/);
    }
    expect(two.stats!.peerDrops).toContainEqual({
      peer: 'node-1',
      direction: 'in',
      reason: 'replay-seen',
      counter: 'XfrmInStateSeqError',
      count: 1,
    });
  }, 60_000);

  /** Puts the last ESP packet of a ping on the wire once more, as an attacker would. */
  function replay(): void {
    const code = `
import socket, subprocess, sys
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); tap.bind(("v", 0)); tap.settimeout(5)
ping = subprocess.Popen(["ping", "-c", "1", "10.244.2.1"], stdout=subprocess.DEVNULL)
while True:
    frame, (_, _, kind, _, _) = tap.recvfrom(2000)
    if kind == socket.PACKET_OUTGOING and frame[12:14] == b'\\x08\\x00' and frame[23] == 50: break
ping.wait(); tap.send(frame)`;
    net.run('a', 'python3', '-c', code);
  }

  it('prints the status of cilium-dbg, byte for byte', async () => {
    expect(esplane(['status'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: 'esplane: status: 2 nodes run here: node-1, node-2. Name one of them.\n',
    });
    expect(esplane(['status', 'node-1']).stdout).toContain('\nMax Seq. Number: N/A\n');
    ping(5);
    replay();
    await nodes[1]!.until(({ xfrm }) => (xfrm['XfrmInStateSeqError'] ?? 0) > 0);
    await nodes[0]!.until(({ sas }) =>
      sas.some(({ direction, seqLo }) => direction === 'out' && seqLo === 6),
    );
    const pad = (value: string | number) => String(value).padEnd(26);
    expect(esplane(['status', 'node-2']).stdout).toMatch(
      new RegExp(`\nErrors: ${pad(1)}\n\tXfrmInStateSeqError: ${pad(1)}\n$`),
    );
    await nodes[1]!.stop();
    expect(existsSync(join(folder, 'node-2.sock'))).toBe(false);
    const lines = (denominator: string) =>
      `Encryption: ${pad('IPsec')}\nDecryption interface(s): v\nKeys in use: ${pad(2)}\nMax Seq. Number: 0x6/${denominator}\nErrors: ${pad(0)}\n`;
    expect(esplane(['status']).stdout).toBe(lines('0xffffffffffffffff'));
    expect(esplane(['status', 'node-1', '--cilium', '1.18']).stdout).toBe(lines('0xffffffff'));
    expect(JSON.parse(esplane(['status', join(folder, 'node-1.sock'), '--json']).stdout)).toEqual({
      ipsec: { 'decrypt-interfaces': ['v'], 'keys-in-use': 2, 'max-seq-number': '0x6/0xffffffffffffffff' },
      mode: 'IPsec',
    });
    // A node that was killed is no node that runs.
    nodes[0]!.process.kill('SIGKILL');
    await once(nodes[0]!.process, 'close');
    expect(existsSync(join(folder, 'node-1.sock'))).toBe(true);
    expect(esplane(['status'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no esplane node runs here'),
    });
    // Started again it takes the place of what was left, and follows the version of its configuration.
    net.remove();
    net = makeNamespaces();
    nodes[0] = await start(1, { cilium: '1.19', 'state-dir': false });
    expect(esplane(['status']).stdout).toContain('\nMax Seq. Number: N/A\n');
  }, 60_000);

  it('shows a rotation, and files that cannot be used', async () => {
    const [one] = nodes as [NodeProcess];
    const value = async (name: string, labels?: Record<string, string>) =>
      (await scrape(one)).metrics.value(name, labels);
    const until = async (name: string, labels: Record<string, string> | undefined, want: number) => {
      for (let i = 0; (await value(name, labels)) !== want; i++) {
        if (i > 100) throw new Error(`${name} never becomes ${want}: ${one.errors}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const keys = { input: 'keys' };
    expect(await value('esplane_key_rotation_in_progress')).toBe(0);
    const readAt = (await value('esplane_input_last_good_timestamp_seconds', keys))!;
    expect(Math.abs(readAt - Date.now() / 1000)).toBeLessThan(60);
    writeFileSync(join(folder, 'keys'), '4+ rfc4106(gcm(aes)) nonsense 128\n');
    await until('esplane_input_good', keys, 0);
    expect(await value('esplane_input_failures_total', keys)).toBeGreaterThan(0);
    expect(await value('esplane_input_good', { input: 'nodes' })).toBe(1);
    expect(await value('esplane_input_last_good_timestamp_seconds', keys)).toBe(readAt);
    writeFileSync(join(folder, 'keys'), GCM(4));
    await until('esplane_key_rotation_in_progress', undefined, 1);
    expect(await value('esplane_input_good', keys)).toBe(1);
    expect(await value('esplane_key_id', { use: 'sending' })).toBe(4);
    // Four keys while one is replaced, as in Cilium.
    await until('cilium_ipsec_keys', undefined, 4);
    expect(await value('cilium_ipsec_xfrm_states', { direction: 'in' })).toBe(2);
    writeFileSync(join(folder, 'nodes.json'), '[');
    await until('esplane_input_good', { input: 'nodes' }, 0);
  }, 60_000);

  it('counts what is lost before anybody sees it: packets that were not read, flows that could not be written', async () => {
    const [one] = nodes as [NodeProcess];
    ping(3);
    one.process.kill('SIGSTOP');
    const flood =
      'import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor i in range(4000): s.sendto(b"x", ("10.244.2.1", 9))';
    net.run('a', 'python3', '-c', flood);
    one.process.kill('SIGCONT');
    await one.until(({ inside }) => inside.missed > 0);
    const { value } = (await scrape(one)).metrics;
    const [link] = JSON.parse(net.run('a', 'ip', '-s', '-j', 'link', 'show', 'esp0')) as [
      { stats64: { tx: { dropped: number } } },
    ];
    const { dropped } = link.stats64.tx;
    expect(one.stats!.inside.missed).toBe(dropped);
    expect(value('esplane_link_errors_total', { link: 'inside', error: 'missed' })).toBe(dropped);
    expect(value('esplane_flows_written_total')).toBe(0);
    expect(value('esplane_flows_lost_total', { source: 'observer_events_queue' })).toBeGreaterThan(0);
  }, 30_000);

  it('answers what a browser asks, and refuses the rest', async () => {
    const { metrics } = nodes[1]!.ready!;
    expect(metrics).toMatch(/^http:\/\/\[::1\]:\d+\/metrics$/);
    const home = await fetch(new URL('/', metrics));
    expect(await home.text()).toContain('<a href="/metrics">');
    expect((await fetch(`${metrics}?x=1`)).status).toBe(200);
    expect((await fetch(`${metrics}/nothing`)).status).toBe(404);
    const posted = await fetch(metrics!, { method: 'POST', body: 'x' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    const head = await fetch(metrics!, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('does not start where the port is taken, and makes nothing', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    await nodes[0]!.stop();
    const failed = esplane(['node', '--config', configure(1), '--metrics', `127.0.0.1:${port}`]);
    other.close();
    expect(failed).toMatchObject({ code: 2, stdout: '' });
    expect(failed.stderr).toBe(
      `esplane: metrics on 127.0.0.1:${port}: is taken. Choose another port, or end what listens there: ss -ltnp shows it.\n`,
    );
    expect(net.run('a', 'ip', '-o', 'link')).not.toContain('esp0');
    expect(existsSync(join(folder, 'node-1.sock'))).toBe(false);
  }, 30_000);

  it('ends under a scraper that keeps its connection', async () => {
    const url = new URL(nodes[0]!.ready!.metrics!);
    const nc = spawn('python3', [
      '-c',
      `import socket, time; s = socket.create_connection(("127.0.0.1", ${url.port})); s.send(b"GET /metrics HTTP/1.1\\r\\nHost: x\\r\\n\\r\\nGET"); print(len(s.recv(10)), flush=True); time.sleep(300)`,
    ]);
    await once(nc.stdout, 'data');
    // It would stay for longer than this test may take.
    await nodes[0]!.stop();
    expect(nc.exitCode).toBeNull();
    nc.kill();
  }, 30_000);
});
