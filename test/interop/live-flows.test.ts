/**
 * Two running `esplane node`s that print flows: what hubble observe would say, of real packets in namespaces.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { FlowLine } from '../../src/observe/hubble.ts';
import { wiredNode } from '../support/cilium-cluster.ts';
import { asHubble } from '../support/hubble.ts';
import { needs } from '../support/needs.ts';
import { LIVE, makeNamespaces, type Namespaces } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';

const KEY = `3+ rfc4106(gcm(aes)) ${'03'.repeat(16)}a1b2c3d4 128\n`;
const PINGS = 5;

needs(LIVE, 'flows of real packets', () => {
  let net: Namespaces;
  let folder: string;
  const nodes: NodeProcess[] = [];
  beforeEach(() => {
    net = makeNamespaces();
    folder = mkdtempSync(join(tmpdir(), 'esplane-flows-'));
  });
  afterEach(() => {
    for (const node of nodes.splice(0)) node.process.kill('SIGKILL');
    net.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(more: (i: number) => object, key = (_: number) => KEY): Promise<void> {
    writeFileSync(join(folder, 'nodes.json'), JSON.stringify([wiredNode(1), wiredNode(2)]));
    for (const i of [1, 2]) {
      writeFileSync(join(folder, `keys-${i}`), key(i));
      const config = {
        name: `node-${i}`,
        netns: i === 1 ? net.a : net.b,
        inside: { device: 'esp0', addresses: [`10.244.${i}.1/24`] },
        outside: { link: 'raw', address: `10.99.0.${i}` },
        keys: `keys-${i}`,
        nodes: 'nodes.json',
        ...more(i),
      };
      writeFileSync(join(folder, `${i}.yaml`), JSON.stringify(config));
      nodes.push(await NodeProcess.start(join(folder, `${i}.yaml`)));
    }
  }

  /** The lines of a node, each as Hubble reads it. */
  function flowsOf(i: number) {
    const text = readFileSync(join(folder, `flows-${i}`), 'utf8');
    expect(text === '' || text.endsWith('}\n')).toBe(true);
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        expect(asHubble(line)).toEqual(JSON.parse(line));
        return (JSON.parse(line) as FlowLine).flow;
      });
  }
  const file = (i: number) => ({ flows: { file: `flows-${i}`, 'to-ip': '10.244.0.0/16' } });
  const ping = (...more: string[]) =>
    net.run('a', 'ping', '-c', String(PINGS), '-i', '0.05', '-W', '2', ...more, '10.244.2.1');

  it.each([
    ['native routing', {}, 'TO_STACK'],
    ['VXLAN in ESP', { mode: 'tunnel' }, 'TO_OVERLAY'],
  ])(
    'tells the way of a ping and of its answer: %s',
    async (_, mode, first) => {
      await start((i) => ({ ...file(i), ...mode }));
      ping();
      const stats = [await nodes[0]!.stop(), await nodes[1]!.stop()];
      for (const i of [1, 2]) {
        const flows = flowsOf(i).filter(({ l4 }) => l4?.ICMPv4);
        const at = (point: string) => flows.filter((flow) => flow.trace_observation_point === point);
        const isSender = i === 1;
        for (const point of [first, 'TO_NETWORK', 'TO_ENDPOINT']) {
          const seen = at(point);
          expect([i, point, seen.length]).toEqual([i, point, PINGS]);
          // One's request is the other's, and so with the answers: egress is what the sender asks.
          const isReply = (point === 'TO_ENDPOINT') === isSender;
          for (const flow of seen) {
            expect(flow.is_reply).toBe(isReply);
            expect(flow.traffic_direction).toBe(isSender ? 'EGRESS' : 'INGRESS');
            expect(flow.Summary).toBe(isReply ? 'ICMPv4 EchoReply' : 'ICMPv4 EchoRequest');
            expect(flow.IP?.encrypted ?? false).toBe(point === 'TO_NETWORK');
            expect(flow.node_name).toBe(`node-${i}`);
          }
        }
        const numbers = at('TO_NETWORK').map(({ extensions }) => extensions!.value.esplane);
        expect(numbers.map(({ seq }) => seq)).toEqual(
          numbers.map((_one, k) => String(Number(numbers[0]!.seq) + k)),
        );
        expect(numbers[0]).toMatchObject({ peer: `node-${3 - i}`, spi: 3 });
        expect(at('TO_NETWORK')[0]!.tunnel?.protocol).toBe('mode' in mode ? 'VXLAN' : undefined);
        // Nothing else was sent to pods, and nothing was lost.
        expect(flowsOf(i).filter(({ IP }) => IP?.encrypted).length).toBeLessThanOrEqual(
          stats[i - 1]!.out.encrypted,
        );
      }
    },
    30_000,
  );

  it('tells of drops which counter, peer and packet it was, as text', async () => {
    await start(
      (i) => ({ flows: { file: `flows-${i}`, format: 'compact', verdict: 'DROPPED' } }),
      (i) => KEY.replace('0303', i === 1 ? '0303' : '0404'),
    );
    expect(() => ping()).toThrow();
    const [, into] = [await nodes[0]!.stop(), await nodes[1]!.stop()];
    const lines = readFileSync(join(folder, 'flows-2'), 'utf8').split('\n').slice(0, -1);
    expect(lines.length).toBe(into.xfrm.XfrmInStateProtoError);
    expect(lines.length).toBeGreaterThanOrEqual(PINGS);
    for (const line of lines)
      expect(line).toMatch(
        /^\w{3} [ \d]\d [\d:]{8}\.\d{3} \[node-2\]: 10\.99\.0\.1 \(remote-node\) <> 10\.99\.0\.2 \(host\) XfrmInStateProtoError bad-icv DROPPED \(IPv4; peer node-1, SPI 3, seq \d+\)$/,
      );
    expect(readFileSync(join(folder, 'flows-1'), 'utf8')).toBe('');
  }, 30_000);
});
