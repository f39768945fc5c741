/**
 * Agents that rotate over running nodes, each told of the others' key ids late: what the two orders do to the packets.
 */
import { expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { seededBytes, xorshift32 } from '../../src/base/rng.ts';
import { Agent, type AgentOptions } from '../../src/cilium/agent.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { Node } from '../../src/node/node.ts';
import { GCM, ip, nodesFrom } from '../support/cilium-cluster.ts';
import { batchOf, received } from '../support/frames.ts';
import { ipv4Packet } from '../support/sa.ts';
import { podNode } from '../support/two-nodes.ts';

const KEY = (id: number) => `${id}+ ${GCM.replace('4443', `${id.toString(16)}a43`)}`;

/** Two nodes under steady traffic both ways, a packet each ms; the key is rotated 14, 15, 1, 2. */
function rotate(options: Partial<AgentOptions>) {
  const clock = new VirtualClock(1_000_000);
  const start = clock.now();
  const list = nodesFrom(podNode(1, { encryption: { key: 14 } }), podNode(2, { encryption: { key: 14 } }));
  const uplinks = memoryPair(clock, { mtu: 1500, delay: 0.1 });
  const links = [uplinks.a, uplinks.b];
  const nodes: Node[] = [];
  const agents: Agent[] = list.map((local, i) => {
    const agent: Agent = new Agent({
      local,
      mode: 'tunnel',
      random: xorshift32(i + 1),
      ...options,
      onEvent: ({ kind }) => {
        nodes[i]?.applyPlan(agent.plan);
        // The other hears of it 30 or 70 ms later.
        const told = agent.node;
        if (kind === 'advertise') clock.after([30, 70][i]!, () => agents[1 - i]!.setNode(told, clock.now()));
      },
    });
    agent.setNodes(list, start);
    return agent;
  });
  const pods = agents.map((agent, i) => {
    nodes[i] = new Node({
      name: `node-${i + 1}`,
      plan: agent.plan,
      outside: links[i]!,
      engine: new NodeEngine(),
      clock,
      random: seededBytes(i + 1),
    });
    const { a, b } = memoryPair(clock, { mtu: 1500 });
    nodes[i].addPod('pod', [ip(`10.244.${i + 1}.10`)], a, 300 + i);
    return { link: b, got: received(b) };
  });
  // Keys reach the nodes at different times, as Secrets do.
  [14, 15, 1, 2].forEach((id, n) => {
    for (const [i, agent] of agents.entries()) {
      clock.after(n === 0 ? 0 : n * 1000 + i * 200, () => {
        agent.loadKeys(KEY(id), 'keys', clock.now());
        clock.after(150, () => agent.advance(clock.now()));
      });
    }
  });
  const sent = 3500;
  for (let k = 0; k < sent; k++) {
    clock.after(500 + k, () => {
      pods[0]!.link.send(batchOf([ipv4Packet(100, { src: ip('10.244.1.10'), dst: ip('10.244.2.10') })]));
      pods[1]!.link.send(batchOf([ipv4Packet(100, { src: ip('10.244.2.10'), dst: ip('10.244.1.10') })]));
    });
  }
  clock.run();
  const stats = nodes.map((node) => node.stats());
  return {
    lost: pods.map(({ got }) => sent - got.length),
    encrypted: stats.map(({ out }) => out.encrypted),
    xfrm: stats.map(({ xfrm }) => xfrm),
    keys: agents.map((agent) => [agent.sending, agent.peers()[0]!.keyId]),
    sent,
  };
}

it('install-first: three rotations, over 15 to 1, lose nothing', () => {
  const { lost, encrypted, xfrm, keys, sent } = rotate({ installTime: 100 });
  expect(lost).toEqual([0, 0]);
  expect(encrypted).toEqual([sent, sent]);
  expect(xfrm).toEqual([{}, {}]);
  expect(keys).toEqual([
    [2, 2],
    [2, 2],
  ]);
});

it('advertise-first: the peer uses a key whose SAs are not there yet, and finds XfrmInNoStates', () => {
  const { lost, xfrm } = rotate({ order: 'advertise-first', installTime: 100 });
  const noStates = xfrm.map((counters) => counters['XfrmInNoStates'] ?? 0);
  expect(Math.max(...noStates)).toBeGreaterThan(0);
  // Every packet that is missing is counted there.
  expect([lost[0], lost[1]]).toEqual([noStates[0], noStates[1]]);
});
