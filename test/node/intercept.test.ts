import { describe, expect, it } from 'vitest';
import type { AgentPlan } from '../../src/cilium/agent-plan.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { DECISIONS } from '../../src/node/decisions.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { nodesFrom } from '../support/cilium-cluster.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';
import { ends, IDS, podNode, type TwoNodesOptions, twoNodes } from '../support/two-nodes.ts';

const ESP = 50;

/** Sends packets from `a1`. Returns what node-1 decided, counted, and what went over the wire. */
function decide(packet: Uint8Array | readonly Uint8Array[], options: TwoNodesOptions = {}) {
  const two = twoNodes(options);
  const packets = packet instanceof Uint8Array ? [packet] : packet;
  two.send('a1', ...packets);
  const { decisions, out, xfrm } = two.nodes[0].stats();
  return { decisions, out, xfrm, wire: two.wire, two };
}

const toB1 = () => ipv4Packet(100, ends('a1', 'b1'));
const withoutKey = nodesFrom(podNode(1), podNode(2, { encryption: { key: 0 } }));

describe('which way a packet of a pod goes', () => {
  it.each([
    ['to a pod of another node', 'encrypt', toB1(), {}],
    ['the same in IPv6', 'encrypt', ipv6Packet(100, ends('a1', 'b1', 6)), {}],
    [
      'a ping of a pod: ICMP is nothing special',
      'encrypt',
      ipv4Packet(100, { ...ends('a1', 'b1'), protocol: 1 }),
      {},
    ],
    ['to a pod of this node', 'same-node', ipv4Packet(100, ends('a1', 'a2')), {}],
    ['to a database outside', 'off-cluster', ipv4Packet(100, ends('a1', '198.51.100.7')), {}],
    ['to another node itself', 'to-node', ipv4Packet(100, ends('a1', '192.168.7.2')), {}],
    [
      "to another node's router address, inside its pod range",
      'to-node',
      ipv4Packet(100, ends('a1', '10.244.2.1')),
      {},
    ],
    ['from the node itself', 'from-host', ipv4Packet(100, ends('10.244.1.1', 'b1')), {}],
    ['from another node', 'from-host', ipv4Packet(100, ends('192.168.7.2', 'b1')), {}],
    ['from an address that nobody has', 'no-source', ipv4Packet(100, ends('198.51.100.7', 'b1')), {}],
    [
      'to a remote pod that the ipcache does not know yet',
      'off-cluster',
      toB1(),
      {
        change: (plan: AgentPlan) => ({
          ...plan,
          routes: plan.routes.filter(({ route }) => route.kind !== 'remote'),
        }),
      },
    ],
    ['to a node without a key', 'no-key', toB1(), { nodes: withoutKey }],
  ] as const)('%s: %s', (_, want, packet, options) => {
    const { decisions, wire, out } = decide(packet, options);
    expect(decisions).toEqual({ [want]: 1 });
    const way = DECISIONS.find(({ name }) => name === want)!.way;
    expect(out.drops).toEqual({});
    if (want === 'same-node') {
      expect(wire).toEqual([]);
      expect(out.local).toBe(1);
      return;
    }
    expect(wire).toHaveLength(1);
    const protocol = wire[0]![0]! >>> 4 === 4 ? wire[0]![9] : wire[0]![6];
    expect(protocol === ESP).toBe(way === 'encrypted');
    expect([out.encrypted, out.clear]).toEqual(way === 'encrypted' ? [1, 0] : [0, 1]);
  });

  const noPolicies = (plan: AgentPlan): AgentPlan => ({ ...plan, policies: [] });
  const noEncryptPolicies = (plan: AgentPlan): AgentPlan => ({
    ...plan,
    policies: plan.policies.filter((policy) => policy.dir !== 'out' || policy.action === 'block'),
  });
  const blocking = (plan: AgentPlan): AgentPlan => ({
    ...plan,
    policies: plan.policies.map((policy) => ({ ...policy, action: 'block' })),
  });
  const noSas = (plan: AgentPlan): AgentPlan => ({ ...plan, sas: [] });
  const otherTemplate =
    (change: object) =>
    (plan: AgentPlan): AgentPlan => ({
      ...plan,
      policies: plan.policies.map((policy) => ({
        ...policy,
        templates: policy.templates.map((template) => ({ ...template, ...change })),
      })),
    });
  const damaged = toB1();
  damaged[11]! ^= 1;
  const strict = parsePrefix('10.244.0.0/16')!;

  it.each([
    ['the peer has no node id', 'no-node-id', toB1(), { ids: [new Map(), IDS[1]] }],
    [
      'this node has no key yet',
      'out-policy-block',
      toB1(),
      { nodes: nodesFrom(podNode(1, { encryption: { key: 0 } }), podNode(2)) },
    ],
    [
      'the default policy blocks what no other has',
      'out-policy-block',
      toB1(),
      { change: noEncryptPolicies },
    ],
    ['a policy that blocks, whatever else it says', 'out-policy-block', toB1(), { change: blocking }],
    ['no policy at all', 'out-policy-block', toB1(), { change: noPolicies }],
    ['a policy and no SA', 'out-no-state', toB1(), { change: noSas }],
    ['a policy for another SPI', 'out-no-state', toB1(), { change: otherTemplate({ spi: 4 }) }],
    [
      'a policy for another source',
      'out-no-state',
      toB1(),
      { change: otherTemplate({ src: ends('a1', '10.244.1.9').dst }) },
    ],
    ['a policy for another reqid', 'out-no-state', toB1(), { change: otherTemplate({ reqid: 2 }) }],
    ['a policy for another mode', 'out-no-state', toB1(), { change: otherTemplate({ mode: 'transport' }) }],
    [
      'an optional policy and no SA',
      'out-no-state',
      toB1(),
      { change: (plan: AgentPlan) => noSas(otherTemplate({ level: 'use' })(plan)) },
    ],
    ['too long for the wire once encrypted', 'out-too-big', ipv4Packet(1450, ends('a1', 'b1')), {}],
    ['too long for the wire in the clear', 'too-big', ipv4Packet(1501, ends('a1', '198.51.100.7')), {}],
    ['to this node itself, where nobody listens', 'no-route', ipv4Packet(100, ends('a1', '10.244.1.1')), {}],
    ['a TTL of 1', 'hop-limit', ipv4Packet(100, { ...ends('a1', 'b1'), ttl: 1 }), {}],
    ['a hop limit of 0', 'hop-limit', ipv6Packet(100, { ...ends('a1', 'a2', 6), hopLimit: 0 }), {}],
    ['a header checksum that is wrong', 'ip-header', damaged, {}],
    ['cut off', 'ip-header', toB1().subarray(0, 99), {}],
    ['no IP', 'ip-header', Uint8Array.of(0x15, 1, 2, 3), {}],
    ['strict mode: no key', 'unencrypted', toB1(), { nodes: withoutKey, strict }],
  ] as const)('drops: %s: %s', (_, reason, packet, options) => {
    const { out, decisions, wire, two } = decide(packet, options as TwoNodesOptions);
    expect(out.drops).toEqual({ [reason]: 1 });
    expect(wire, 'nothing may leave').toEqual([]);
    expect(two.got.b1).toEqual([]);
    expect(out.packets).toBe(1);
    // What is too big is found after the decision.
    expect(decisions).toEqual({ [reason === 'out-too-big' ? 'encrypt' : 'drop']: 1 });
  });

  it('strict mode lets pass what is not between two pods', () => {
    const options = { strict, nodes: withoutKey };
    expect(decide(ipv4Packet(100, ends('a1', '198.51.100.7')), options).out.clear).toBe(1);
    expect(decide(ipv4Packet(100, ends('10.244.1.1', 'b1')), options).out.clear).toBe(1);
    expect(decide(ipv4Packet(100, ends('a1', 'a2')), options).out.local).toBe(1);
  });

  it('up to 1.17 a packet leaves in the clear while the own key is not loaded', () => {
    const nodes = nodesFrom(podNode(1, { encryption: { key: 0 } }), podNode(2));
    expect(decide(toB1(), { nodes, version: parseVersion('1.17') }).decisions).toEqual({ 'no-key': 1 });
  });

  it('finds an SA by a template that names no SPI', () => {
    const change = (plan: AgentPlan): AgentPlan => ({
      ...plan,
      policies: plan.policies.map((policy) => ({
        ...policy,
        templates: policy.templates.map(({ mode, level }) => ({ mode, level })),
      })),
    });
    const { out, two } = decide(toB1(), { change });
    expect(out.encrypted).toBe(1);
    expect(two.got.b1).toHaveLength(1);
  });

  it('takes no SA that is being deleted', () => {
    const two = twoNodes();
    for (const sa of two.nodes[0].sad.sas) if (sa) sa.valid = false;
    two.send('a1', toB1());
    expect(two.nodes[0].stats().out.drops).toEqual({ 'out-no-state': 1 });
    expect(two.wire).toEqual([]);
  });

  it('decides about each packet of a batch by itself, and sends in order', () => {
    const damagedOne = ipv4Packet(100, ends('a1', 'b1'));
    damagedOne[0] = 0x44;
    const { two, out, decisions, wire } = decide([
      ipv4Packet(100, { ...ends('a1', 'b1'), id: 1 }),
      ipv4Packet(101, { ...ends('a1', 'a2'), id: 2 }),
      damagedOne,
      ipv4Packet(102, { ...ends('a1', '198.51.100.7'), id: 3 }),
      ipv4Packet(103, { ...ends('a1', 'b1'), id: 4 }),
      ipv4Packet(104, { ...ends('a1', 'a1'), id: 5 }),
      ipv4Packet(105, { ...ends('a1', 'a2'), id: 6 }),
    ]);
    expect(decisions).toEqual({ encrypt: 2, 'same-node': 3, 'off-cluster': 1, drop: 1 });
    expect(out).toEqual({
      packets: 7,
      encrypted: 2,
      clear: 1,
      local: 3,
      refused: 0,
      drops: { 'ip-header': 1 },
    });
    expect(wire.map((frame) => frame[9])).toEqual([ESP, 17, ESP]);
    const ids = (frames: readonly Uint8Array[]) => frames.map((frame) => ipv4.id(frame));
    expect([ids(two.got.b1), ids(two.got.a2), ids(two.got.a1)]).toEqual([[1, 4], [2, 6], [5]]);
  });
});
