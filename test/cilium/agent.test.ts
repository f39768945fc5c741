import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { mixSeed, xorshift32 } from '../../src/base/rng.ts';
import { Agent, type AgentEvent, type AgentOptions } from '../../src/cilium/agent.ts';
import { planAgent } from '../../src/cilium/agent-plan.ts';
import type { CiliumNode } from '../../src/cilium/nodes.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { formatAddress, formatPrefix, parsePrefix } from '../../src/wire/address.ts';
import { GCM, index, keysFrom, nodesFrom } from '../support/cilium-cluster.ts';
import { podNode } from '../support/two-nodes.ts';

const NODES = nodesFrom(podNode(1), podNode(2), podNode(3));
const KEY = (id: number) => `${id}+ ${GCM.replace('4443', `5${(id % 10).toString()}43`)}`;
const MINUTE = 60_000;

function start(options: Partial<AgentOptions> = {}, nodes: readonly CiliumNode[] = NODES) {
  const events: AgentEvent[] = [];
  const agent = new Agent({
    local: nodes[0]!,
    random: xorshift32(1),
    onEvent: (event) => events.push(event),
    ...options,
  });
  return {
    agent,
    events,
    kinds: () => events.splice(0).map(({ kind }) => kind),
    /** `->address:spi` of every SA, sorted. */
    sas: () => agent.plan.sas.map(index).sort(),
  };
}

const with_ = (node: CiliumNode, change: Partial<CiliumNode>): CiliumNode => ({ ...node, ...change });

describe('an agent that starts', () => {
  it.each(['native', 'tunnel', 'eni'] as const)('holds what a plan of its files says: %s', (mode) => {
    const { agent, sas } = start({ mode });
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const ids = new Map(agent.peers().map(({ name, nodeId }) => [name, nodeId]));
    const planned = planAgent(NODES[0]!, keysFrom(KEY(3)), NODES, ids, { mode });
    expect(sas()).toEqual(planned.sas.map(index).sort());
    const keyOf = (plan: typeof planned) =>
      plan.sas
        .map((sa) => `${index(sa)} ${toHex(sa.keys.key())} ${sa.mark?.value} ${sa.outputMark?.value}`)
        .sort();
    expect(keyOf(agent.plan)).toEqual(keyOf(planned));
    expect(agent.plan.policies).toEqual(planned.policies);
    expect(agent.plan.routes).toEqual(planned.routes);
    expect(agent.plan.overlay).toBe(planned.overlay);
  });

  it('refuses to run without a boot id', () => {
    expect(() => start({ local: with_(NODES[0]!, { bootId: '' }) })).toThrow(
      expect.objectContaining({ code: 'ERR_BOOT_ID' }),
    );
  });

  it('has neither SAs nor a key to advertise before keys come, and says so when they are bad', () => {
    const { agent, events } = start();
    agent.setNodes(NODES, 0);
    expect(agent.loadKeys('nonsense', 'keys', 0)).toBe(false);
    expect([agent.node.keyId, agent.sending, agent.plan.sas]).toEqual([0, 0, []]);
    expect(events.at(-1)).toMatchObject({
      kind: 'warning',
      text: expect.stringContaining('there is no key'),
    });
  });
});

describe('a rotation', () => {
  it('has both keys, then the new one; sends the new one only to peers that advertise it', () => {
    const { agent, kinds, sas } = start({}, NODES);
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    kinds();
    const before = agent.plan.sas;
    agent.loadKeys(KEY(4), 'keys', 1000);
    expect(kinds()).toEqual(['install', 'advertise', 'send']);
    expect(agent.node.keyId).toBe(4);
    expect(sas()).toHaveLength(2 * before.length);
    // The old ones are the same objects: their counters go on.
    expect(before.every((sa) => agent.plan.sas.includes(sa))).toBe(true);
    expect(agent.peers().map(({ keyId }) => keyId)).toEqual([3, 3]);
    agent.setNode(with_(NODES[1]!, { keyId: 4 }), 2000);
    expect(agent.peers().map(({ keyId }) => keyId)).toEqual([4, 3]);
    expect(agent.peers()[0]!.encryptMark & 0xff00).toBe(0x4e00);
    kinds();
    agent.advance(6 * MINUTE);
    expect(kinds()).toEqual(['reclaim']);
    expect(sas().every((text) => text.endsWith(':4'))).toBe(true);
    expect(
      agent.plan.policies.every(({ templates }) =>
        templates.every(({ spi }) => spi === undefined || spi === 4),
      ),
    ).toBe(true);
  });

  // #44263: uniform in [0, a tenth of the rotation duration).
  it('waits by chance before a file that has changed, from 1.20 on, and never before the first key', () => {
    const older = start({ version: parseVersion('1.19') }).agent;
    older.loadKeys(KEY(3), 'keys', 0);
    expect(older.keysWait()).toBe(0);
    expect(start({ version: parseVersion('1.20') }).agent.keysWait()).toBe(0);
    const all = Array.from({ length: 50 }, (_, i) => {
      const { agent } = start({ version: parseVersion('1.20'), random: xorshift32(mixSeed(i, 7)) });
      agent.loadKeys(KEY(3), 'keys', 0);
      return agent.keysWait();
    });
    expect(Math.min(...all)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...all)).toBeLessThan(30_000);
    expect(Math.max(...all) - Math.min(...all)).toBeGreaterThan(10_000);
    const { agent } = start({ version: parseVersion('1.20'), keyRotationDuration: 0 });
    agent.loadKeys(KEY(3), 'keys', 0);
    expect(agent.keysWait()).toBe(0);
  });

  // #44701: states, then advertise, then the map.
  it('goes on with a rotation across a restart: the old id until the SAs are there', () => {
    const restarted = (version: string, activeKey: number, file: number) => {
      const { agent, events } = start({ version: parseVersion(version), activeKey, installTime: 500 });
      agent.setNodes(NODES, 0);
      agent.loadKeys(KEY(file), 'keys', 0);
      const before = [agent.node.keyId, agent.sending];
      agent.advance(500);
      const kinds = events.map(({ kind }) => kind).filter((kind) => !kind.startsWith('node'));
      return [before, kinds, [agent.node.keyId, agent.sending]];
    };
    const steps = ['install', 'advertise', 'send'];
    expect(restarted('1.20', 3, 4)).toEqual([[3, 3], steps, [4, 4]]);
    expect(restarted('1.20', 15, 1)).toEqual([[15, 15], steps, [1, 1]]);
    expect(restarted('1.20', 3, 3)).toEqual([[3, 3], steps, [3, 3]]);
    // No rotation: the file's key is as the first one.
    expect(restarted('1.20', 3, 7)).toEqual([[0, 0], steps, [7, 7]]);
    expect(restarted('1.19', 3, 4)).toEqual([[0, 0], steps, [4, 4]]);
  });

  it('wraps from 15 to 1', () => {
    const { agent } = start();
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(15), 'keys', 0);
    agent.setNode(with_(NODES[1]!, { keyId: 15 }), 0);
    expect(agent.peers()[0]!.keyId).toBe(15);
    agent.loadKeys(KEY(1), 'keys', 1);
    expect([agent.node.keyId, agent.peers()[0]!.keyId]).toEqual([1, 15]);
    agent.setNode(with_(NODES[1]!, { keyId: 1 }), 2);
    expect(agent.peers()[0]!.keyId).toBe(1);
  });

  it('advertise-first leaves a time in which peers are told of a key that has no SAs', () => {
    const { agent } = start({ order: 'advertise-first', installTime: 500 });
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    agent.advance(500);
    agent.loadKeys(KEY(4), 'keys', 1000);
    const has4 = () => agent.plan.sas.some(({ spi }) => spi === 4);
    expect([agent.node.keyId, agent.sending, has4()]).toEqual([4, 3, false]);
    agent.advance(agent.nextAt!);
    expect([agent.node.keyId, agent.sending, has4()]).toEqual([4, 4, true]);
  });

  it('keeps the old key when the file is bad, warns once, and takes the next good one', () => {
    const { agent, events, kinds } = start();
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const { plan } = agent;
    kinds();
    expect(agent.loadKeys('', 'keys', 1)).toBe(false);
    expect(agent.loadKeys('', 'keys', 2)).toBe(false);
    expect(events.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^keys not used, key 3 stays: .*the file is empty/),
    ]);
    expect(agent.loadKeys(KEY(3).replace('5343', '6643'), 'keys', 3)).toBe(false);
    expect(agent.keysProblem).toMatch(/id is still 3/);
    expect(agent.keysProblem).not.toMatch(/6643/);
    expect(agent.plan.sas).toEqual(plan.sas);
    expect(agent.loadKeys(KEY(4), 'keys', 4)).toBe(true);
    expect([agent.keysProblem, agent.node.keyId]).toEqual([undefined, 4]);
  });
});

describe('nodes that come and go', () => {
  it('gives a new peer SAs of every key there is, and takes them back', () => {
    const { agent, events, sas } = start({}, NODES);
    agent.loadKeys(KEY(3), 'keys', 0);
    agent.loadKeys(KEY(4), 'keys', 1);
    agent.setNode(NODES[1]!, 2);
    expect(events.at(-1)).toMatchObject({ kind: 'node-added', node: 'node-2', removed: [] });
    expect(events.at(-1)!.added).toHaveLength(2 * 2 * 2); // keys, families, directions
    expect(sas()).toHaveLength(8);
    agent.deleteNode('node-2', 3);
    expect(events.at(-1)).toMatchObject({ kind: 'node-deleted', added: [] });
    expect(events.at(-1)!.removed).toHaveLength(8);
    expect([sas(), agent.peers()]).toEqual([[], []]);
    agent.deleteNode('node-2', 4);
    expect(events.at(-1)!.at).toBe(3);
  });

  it('replaces all SAs of a peer that was rebooted, and no others', () => {
    const { agent, events } = start();
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const before = [...agent.plan.sas];
    agent.setNode(with_(NODES[1]!, { bootId: '00000000-8d4b-4e57-9a30-5b7c9d1e2f40' }), 1);
    expect(events.at(-1)!.kind).toBe('node-rebooted');
    const now = agent.plan.sas;
    expect(now.map(index).sort()).toEqual(before.map(index).sort());
    for (const sa of before) {
      const isTheirs = [sa.src, sa.dst].some((address) => formatAddress(address).match(/244[.:]2[.:]/));
      expect(now.includes(sa)).toBe(!isTheirs);
    }
    const old = before.find((sa) => sa.direction === 'out')!;
    expect(now.find((sa) => index(sa) === index(old))!.keys.equals(old.keys)).toBe(false);
  });

  it('has a number but no SA for a peer without boot id, until it publishes one', () => {
    const { agent, sas, kinds } = start();
    agent.loadKeys(KEY(3), 'keys', 0);
    agent.setNode(with_(NODES[1]!, { bootId: '' }), 1);
    expect(sas()).toEqual([]);
    expect(agent.peers()[0]!.nodeId).toBeGreaterThan(0);
    kinds();
    agent.setNode(NODES[1]!, 2);
    expect(kinds()).toEqual(['node-updated']);
    expect(sas()).toHaveLength(4);
  });

  // In Cilium an update that lacks something is skipped, and the states stay.
  it.each([
    ['boot id', { bootId: '' }],
    ['IPv6 CiliumInternalIP', { ciliumAddresses: NODES[1]!.ciliumAddresses.slice(0, 1) }],
    ['IPv4 InternalIP', { nodeAddresses: NODES[1]!.nodeAddresses.slice(1) }],
  ])(
    'keeps the SAs of a peer that has no %s any more, says so once, and takes what else is new',
    (lack, change) => {
      const { agent, events } = start({ mode: 'tunnel' });
      agent.setNodes(NODES, 0);
      agent.loadKeys(KEY(3), 'keys', 0);
      const before = [...agent.plan.sas];
      events.length = 0;
      const lacking = with_(NODES[1]!, { ...change, keyId: 4 });
      for (const at of [1, 2]) agent.setNodes([NODES[0]!, lacking, NODES[2]!], at);
      expect(agent.plan.sas).toEqual(before);
      expect(agent.plan.sas.every((sa) => before.includes(sa))).toBe(true);
      expect(agent.heard().find(({ node }) => node.name === 'node-2')!.node.keyId).toBe(4);
      expect(events.filter(({ kind }) => kind === 'warning').map(({ text }) => text)).toEqual([
        `node node-2 has no ${lack} any more: its SAs stay as they are`,
      ]);
      agent.setNodes(NODES, 3);
      agent.setNode(lacking, 4);
      expect(events.filter(({ kind }) => kind === 'warning')).toHaveLength(2);
    },
  );

  it('gives a lost address to the node that has it now', () => {
    const { agent } = start();
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const [v4, v6] = NODES[1]!.ciliumAddresses;
    const heir = with_(NODES[2]!, { ciliumAddresses: [NODES[2]!.ciliumAddresses[0]!, v6!] });
    agent.setNodes([NODES[0]!, with_(NODES[1]!, { ciliumAddresses: [v4!] }), heir], 1);
    const owner = agent.heard().find(({ node }) => node.ciliumAddresses.includes(v6!));
    expect(owner!.node.name).toBe('node-3');
  });

  it('leaves one peer that cannot be used as it is, and follows the others', () => {
    const { agent, events, sas } = start();
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const before = sas().filter((text) => /244[.:]2[.:]/.test(text));
    const bad = podNode(2, { addresses: [{ type: 'CiliumInternalIP', ip: '10.244.2.300' }] });
    expect(agent.loadNodes(JSON.stringify([podNode(1), bad]), 'nodes.json', 1)).toBe(true);
    expect(agent.peers().map(({ name }) => name)).toEqual(['node-2']);
    expect(sas().filter((text) => /244[.:]2[.:]/.test(text))).toEqual(before);
    expect(events.some(({ kind, text }) => kind === 'warning' && /left out: .*node-2/.test(text))).toBe(true);
  });

  it('says nothing when nothing changed', () => {
    const { agent, kinds } = start();
    agent.setNodes(NODES, 0);
    kinds();
    agent.setNodes(nodesFrom(podNode(1), podNode(2), podNode(3)), 1);
    expect(kinds()).toEqual([]);
  });

  it('refuses a peer that claims the address of another, by name', () => {
    const { agent, sas } = start();
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const thief = with_(NODES[2]!, { name: 'thief' });
    const before = sas();
    expect(() => agent.setNode(thief, 1)).toThrow(/node-3 and thief both have the address/);
    expect(() =>
      agent.setNode(with_(thief, { ciliumAddresses: NODES[0]!.ciliumAddresses, nodeAddresses: [] }), 1),
    ).toThrow(/node-1 and thief/);
    expect(sas()).toEqual(before);
    agent.deleteNode('node-3', 2);
    agent.setNode(thief, 3);
    expect(sas()).toEqual(before);
  });

  it.each([
    ['half written', '{"items": [{"kind": "CiliumNode", "meta', /no JSON or YAML/],
    ['empty', '', /no CiliumNode/],
    ['without this node', JSON.stringify([podNode(2), podNode(3)]), /node-1, is not in the list/],
    [
      'with one address twice',
      JSON.stringify([podNode(1), podNode(2), { ...podNode(2), metadata: { name: 'node-9' } }]),
      /node-2 and node-9 both have the address/,
    ],
  ])('keeps the last good list when one is %s', (_, text, problem) => {
    const { agent, events } = start();
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const before = agent.plan.sas;
    expect(agent.loadNodes(text, 'nodes.json', 1)).toBe(false);
    expect(agent.nodesProblem).toMatch(problem);
    expect(events.at(-1)).toMatchObject({
      kind: 'warning',
      text: expect.stringContaining('the last good one stays'),
    });
    expect(agent.plan.sas).toEqual(before);
    expect(agent.loadNodes(JSON.stringify([podNode(1), podNode(2)]), 'nodes.json', 2)).toBe(true);
    expect([agent.nodesProblem, agent.peers().map(({ name }) => name)]).toEqual([undefined, ['node-2']]);
  });

  it('keeps a peer that a list lacks as long as it has traffic', () => {
    const { agent, events } = start();
    agent.setNodes(NODES, 0);
    let busy = true;
    const inUse = (name: string) => busy && name === 'node-2';
    agent.setNodes([NODES[0]!], 1, { inUse });
    expect(agent.peers().map(({ name }) => name)).toEqual(['node-2']);
    expect(agent.lingering).toEqual(['node-2']);
    expect(events.at(-1)).toMatchObject({ kind: 'warning', node: 'node-2' });
    busy = false;
    agent.setNodes([NODES[0]!], 2, { inUse });
    expect([agent.peers(), agent.lingering]).toEqual([[], []]);
  });

  it('lets addresses change hands within one list', () => {
    const { agent } = start();
    agent.setNodes(NODES, 0);
    const [a, b, c] = NODES as [CiliumNode, CiliumNode, CiliumNode];
    const swapped = [
      a,
      with_(b, { ciliumAddresses: c.ciliumAddresses }),
      with_(c, { ciliumAddresses: b.ciliumAddresses }),
    ];
    agent.setNodes(swapped, 1);
    const ids = agent.peers().map(({ nodeId }) => nodeId);
    expect(new Set(ids).size).toBe(2);
    expect(() => agent.setNodes(swapped, 2)).not.toThrow();
  });

  it('plans all anew when its own addresses change', () => {
    const { agent } = start();
    agent.setNodes(NODES, 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const [own] = nodesFrom(podNode(7));
    agent.setNode(with_(own!, { name: 'node-1' }), 1);
    expect(
      agent.plan.sas.filter(({ direction }) => direction === 'out').map(({ src }) => formatAddress(src)),
    ).toContain('10.244.7.1');
    expect(agent.plan.sas.some(({ src }) => formatAddress(src) === '10.244.1.1')).toBe(false);
  });
});

describe('the ipcache', () => {
  const remote = (agent: Agent) =>
    agent.plan.routes.flatMap(({ prefix, route }) =>
      route.kind === 'remote' ? [`${formatPrefix(prefix)} ${route.identity} ${route.peer.name}`] : [],
    );

  it('knows pods when it is told of them, and only of peers that it knows', () => {
    const { agent } = start({ podCidrEntries: false });
    const prefix = parsePrefix('10.244.2.20')!;
    agent.setIp({ prefix, identity: 41_234, node: 'node-2' }, 0);
    expect(remote(agent)).toEqual([]);
    agent.setNode(NODES[1]!, 1);
    expect(remote(agent)).toEqual(['10.244.2.20/32 41234 node-2']);
    agent.removeIp(prefix, 2);
    expect(remote(agent)).toEqual([]);
  });

  it('otherwise knows pod ranges too', () => {
    const { agent } = start();
    agent.setNode(NODES[1]!, 0);
    expect(remote(agent)).toEqual(['10.244.2.0/24 3 node-2', 'fd00:10:244:2::/64 3 node-2']);
  });
});
