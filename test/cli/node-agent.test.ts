import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EsplaneError } from '../../src/base/errors.ts';
import type { AgentPlan } from '../../src/cilium/agent-plan.ts';
import { InputFiles } from '../../src/cli/input-files.ts';
import { NodeAgent } from '../../src/cli/node-agent.ts';
import { parseNodeConfig } from '../../src/cli/node-config.ts';
import { formatPrefix } from '../../src/wire/address.ts';
import { GCM, nodeObject } from '../support/cilium-cluster.ts';

let folder: string;
let said: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'esplane-agent-'));
  said = [];
  write('keys', `3+ ${GCM}\n`);
  write('nodes.json', JSON.stringify([nodeObject(1), nodeObject(2)]));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
const turn = () => new Promise((resolve) => setImmediate(resolve));
const make = (more: object = {}) => {
  const config = {
    name: 'node-1',
    outside: { link: 'raw', address: '192.168.7.1' },
    keys: 'keys',
    nodes: 'nodes.json',
  };
  const text = JSON.stringify({ ...config, ...more });
  const say = (line: string) => said.push(line);
  const files = new InputFiles();
  return NodeAgent.open(parseNodeConfig(text, join(folder, 'node.yaml')), { files, say, now: 0 });
};

it('tells the peers of a key only after the data plane has said that it holds the plan', async () => {
  const agent = await make({ publish: 'me.json' });
  const key = () => JSON.parse(readFileSync(join(folder, 'me.json'), 'utf8')).spec.encryption.key as number;
  const plans: number[][] = [];
  const answers: (() => void)[] = [];
  agent.start({
    apply: ({ sas }) => {
      plans.push([...new Set(sas.map(({ spi }) => spi))]);
      return new Promise((resolve) => answers.push(resolve));
    },
    carried: async () => new Map(),
  });
  expect(key()).toBe(3);
  write('keys', `4+ ${GCM}\n`);
  await agent.reload(1000);
  expect(plans[0]).toEqual(expect.arrayContaining([3, 4]));
  // The SAs are to be there before the node sends with them: one plan for each.
  expect(plans).toHaveLength(2);
  answers[0]!();
  await turn();
  expect(key()).toBe(3);
  answers[1]!();
  await turn();
  expect(key()).toBe(4);
  await agent.reload(2000);
  expect(plans).toHaveLength(2);
});

it('tells once that the data plane cannot hold a plan, counts it, and publishes nothing of it', async () => {
  const agent = await make({ publish: 'me.json' });
  const key = () => JSON.parse(readFileSync(join(folder, 'me.json'), 'utf8')).spec.encryption.key as number;
  let isGood = false;
  agent.start({
    apply: async () => {
      if (!isGood) throw new EsplaneError('ERR_SUITE', 'no such suite');
    },
    carried: async () => new Map(),
  });
  write('keys', `4+ ${GCM}\n`);
  await agent.reload(1000);
  await turn();
  expect(said.filter((line) => line === 'node-1: the old plan stays: no such suite')).toHaveLength(1);
  expect([agent.report().planFailures, key()]).toEqual([2, 3]);
  isGood = true;
  write('nodes.json', JSON.stringify([nodeObject(1), nodeObject(2), nodeObject(3)]));
  await agent.reload(2000);
  await turn();
  expect(key()).toBe(4);
});

it('waits before keys that have changed, where the configuration says 1.20, but not at SIGHUP', async () => {
  const config = { cilium: '1.20', 'key-rotation-duration': '1h' };
  const agent = await make(config);
  agent.start({ apply: async () => {}, carried: async () => new Map() });
  write('keys', `4+ ${GCM.replace('4443', '5554')}\n`);
  await agent.reload(1000, false);
  expect(agent.report().currentKey).toBe(3);
  expect(said.at(-1)).toMatch(/keys: changed, read in [\d.]+ s \(by chance, at most 360 s\)/);
  await agent.advance(1001 + 360_000);
  expect(agent.report().currentKey).toBe(4);
  write('keys', `5+ ${GCM.replace('4443', '6665')}\n`);
  await agent.reload(400_000, true);
  expect(agent.report().currentKey).toBe(5);
  // Without a release there is none to go with.
  const other = await make({ 'key-rotation-duration': '1h' });
  write('keys', `6+ ${GCM}\n`);
  await other.reload(1000, false);
  expect(other.report().currentKey).toBe(6);
});

it('leaves a peer that cannot be used as it is, says so once, and follows the others', async () => {
  const agent = await make();
  agent.start({ apply: async () => {}, carried: async () => new Map() });
  const bad = nodeObject(2, { addresses: [{ type: 'InternalIP', ip: 'x' }] });
  const before = agent.plan.sas;
  write('nodes.json', JSON.stringify([nodeObject(1), bad, nodeObject(3)]));
  await agent.reload(1000);
  write('nodes.json', JSON.stringify([nodeObject(1), bad, nodeObject(3), nodeObject(4)]));
  await agent.reload(2000);
  expect(agent.report()).toMatchObject({ peers: 3, lingering: 0 });
  expect(before.every((sa) => agent.plan.sas.includes(sa))).toBe(true);
  expect(said.filter((line) => /a node is left out: .*node-2/.test(line))).toHaveLength(1);
  write(
    'nodes.json',
    JSON.stringify([nodeObject(1, { addresses: [{ type: 'InternalIP', ip: 'x' }] }), nodeObject(3)]),
  );
  await agent.reload(3000);
  expect(agent.report().nodes.good).toBe(false);
  expect(agent.report().peers).toBe(3);
});

it('reads once more when it is asked while it reads, however often', async () => {
  const agent = await make();
  const plans: AgentPlan[] = [];
  agent.start({
    apply: async (plan) => {
      plans.push(plan);
    },
    carried: async () => new Map(),
  });
  const under = agent.reload(1000);
  write('nodes.json', JSON.stringify([nodeObject(1), nodeObject(2), nodeObject(3)]));
  const rest = Array.from({ length: 100 }, () => agent.reload(1000));
  await Promise.all([under, ...rest]);
  expect(agent.agent.peerCount).toBe(2);
  expect(plans).toHaveLength(1);
});

it('keeps a peer that has traffic and is in the list no more, until it is quiet', async () => {
  const agent = await make();
  let packets = 0;
  agent.start({ apply: async () => {}, carried: async () => new Map([['192.168.7.2', packets]]) });
  await agent.lookAtTraffic(0);
  packets = 7;
  write('nodes.json', JSON.stringify([nodeObject(1)]));
  await agent.reload(1000);
  expect(agent.agent.lingering).toEqual(['node-2']);
  await agent.lookAtTraffic(5000);
  expect(agent.agent.peers()).toHaveLength(1);
  await agent.lookAtTraffic(10_000);
  expect(agent.agent.peers()).toEqual([]);
  expect(said.filter((line) => line.includes('node-2 is not in the list any more'))).toHaveLength(1);
});

it('asks the data plane once for all peers, and parses a file of nodes again only when it is another', async () => {
  write('other.json', JSON.stringify(Array.from({ length: 50 }, (_, i) => nodeObject(i + 10))));
  const agent = await make({ nodes: ['nodes.json', 'other.json'] });
  const asked: number[] = [];
  const plans: AgentPlan[] = [];
  agent.start({
    apply: async (plan) => {
      plans.push(plan);
    },
    carried: async () => {
      asked.push(1);
      return new Map();
    },
  });
  await agent.lookAtTraffic(0);
  expect(asked).toHaveLength(1);
  const before = agent.plan;
  write('nodes.json', JSON.stringify([nodeObject(1)]));
  await agent.reload(1000);
  expect(asked).toHaveLength(2);
  expect(plans).toHaveLength(1);
  // What stays is the same object: the data plane sees at once that nothing of it changed.
  const had = new Set(before.sas);
  expect(plans[0]!.sas.every((sa) => had.has(sa))).toBe(true);
  expect(plans[0]!.sas.length).toBeLessThan(before.sas.length);
});

it.each([
  ['cni-chaining-mode: aws-cni', /chained on another CNI/],
  ['enable-wireguard: "true"', /IPsec and WireGuard exclude each other/],
])('is refused at start: %s', async (line, why) => {
  write('cilium.yaml', `${line}\n`);
  await expect(make({ 'cilium-config': 'cilium.yaml' })).rejects.toThrow(why);
});

it('refuses to publish over a list of others, and says which node gets no SAs', async () => {
  await expect(make({ publish: 'nodes.json' })).rejects.toThrow(/more than node node-1/);
  write('nodes.json', JSON.stringify([nodeObject(1), nodeObject(2, { bootid: '' })]));
  await make();
  expect(said.join()).toMatch(/a node has no SAs: .*node-2/);
});

const OVERLAY = { mode: 'tunnel', cilium: '1.17' };

it.each([
  [
    { ...OVERLAY, outside: { link: 'raw', address: '192.168.7.1' } },
    /outside\.link: .*ESP inside the overlay, and raw/,
  ],
  [
    { ...OVERLAY, outside: { link: 'udp', address: '192.168.7.1', port: 4500 } },
    /outside\.port: Cilium's overlay is on port 8472, not 4500/,
  ],
])('says which link carries ESP in VXLAN: %#', async (more, why) => {
  await expect(make(more)).rejects.toThrow(why);
  const agent = await make({ ...OVERLAY, outside: { link: 'udp', address: '192.168.7.1' } });
  expect(agent.plan.overlay).toBe('esp-in-vxlan');
});

it.each([
  [
    { 'enable-encryption-strict-mode-egress': 'true', 'encryption-strict-egress-cidr': '192.168.0.0/16' },
    /strict mode: node node-1 has its own address, 192.168.7.1, in the range/,
  ],
  [{ 'cni-chaining-mode': 'aws-cni' }, /cni-chaining-mode: chained on another CNI \(aws-cni\)/],
  [{ 'enable-wireguard': 'true' }, /enable-wireguard: IPsec and WireGuard exclude each other/],
])('is refused by what Cilium is told, whatever mode says: %j', async (data, why) => {
  write('cilium.json', JSON.stringify({ kind: 'ConfigMap', metadata: { name: 'cilium-config' }, data }));
  await expect(make({ 'cilium-config': 'cilium.json', mode: 'tunnel', cilium: '1.20' })).rejects.toThrow(why);
});

it('takes Geneve and an IPv6 underlay from Cilium’s settings, and from its own', async () => {
  const data = { 'tunnel-protocol': 'geneve', 'underlay-protocol': 'ipv6', 'encrypt-interface': 'eth0' };
  write('cilium.json', JSON.stringify({ kind: 'ConfigMap', metadata: { name: 'cilium-config' }, data }));
  const theirs = await make({ 'cilium-config': 'cilium.json' });
  expect(theirs.agent.context).toMatchObject({ mode: 'tunnel', tunnelProtocol: 'geneve', underlay: 'ipv6' });
  expect(said.some((line) => /^node-1: .*encrypt-interface: has no effect/.test(line))).toBe(true);
  const own = await make({ mode: 'tunnel', 'tunnel-protocol': 'geneve', 'underlay-protocol': 'ipv6' });
  expect(own.plan.tunnelProtocol).toBe('geneve');
  const udp = { link: 'udp', address: '192.168.7.1' };
  const old = { mode: 'tunnel', cilium: '1.17', 'tunnel-protocol': 'geneve' };
  await expect(make({ ...old, outside: { ...udp, port: 8472 } })).rejects.toThrow(/on port 6081, not 8472/);
});

it('takes pods of a cloud from the pools of the nodes, and follows them', async () => {
  const pooled = (i: number, ...pool: string[]) =>
    nodeObject(i, {
      ipam: { pool: Object.fromEntries(pool.map((address) => [address, { resource: 'eni-0' }])) },
      eni: { 'vpc-id': 'vpc-0' },
    });
  const list = (...nodes: object[]) => write('nodes.json', JSON.stringify(nodes));
  list(pooled(1, '10.0.7.10'), pooled(2, '10.0.7.11'));
  const agent = await make();
  agent.start({ apply: async () => {}, carried: async () => new Map() });
  const remote = () =>
    agent.plan.routes.flatMap(({ prefix, route }) => (route.kind === 'remote' ? [formatPrefix(prefix)] : []));
  expect(agent.agent.context.mode).toBe('eni');
  expect([agent.pods.map(formatPrefix), remote()]).toEqual([['10.0.7.10/32'], ['10.0.7.11/32']]);
  // An address that goes from one node to the other, and a new one.
  list(pooled(1, '10.0.7.10', '10.0.7.11'), pooled(2, '10.0.7.12'));
  await agent.reload(1000);
  expect([agent.pods.map(formatPrefix), remote()]).toEqual([
    ['10.0.7.10/32', '10.0.7.11/32'],
    ['10.0.7.12/32'],
  ]);
});
