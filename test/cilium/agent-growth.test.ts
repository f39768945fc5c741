import { expect, it } from 'vitest';
import { Agent } from '../../src/cilium/agent.ts';
import type { CiliumNode } from '../../src/cilium/nodes.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { GCM, keysFrom, nodeObject, nodesFrom } from '../support/cilium-cluster.ts';
import { growth } from '../support/growth.ts';

/** Quadratic is 4. */
const LIMIT = 2.6;
const KEYS = keysFrom(`3+ ${GCM}`);

/** Node 1 and others, each with addresses of its own. */
function cluster(n: number): CiliumNode[] {
  const others = Array.from({ length: n }, (_, i) => {
    const [a, b] = [(i >> 8) + 1, i & 0xff];
    return {
      ...nodeObject(2),
      metadata: { name: `other-${i}` },
      spec: {
        addresses: [
          { type: 'InternalIP', ip: `172.16.${a}.${b}` },
          { type: 'CiliumInternalIP', ip: `10.${a}.${b}.1` },
        ],
        bootid: '3f2a6c1e-8d4b-4e57-9a30-5b7c9d1e2f42',
        encryption: { key: 3 },
        ipam: { podCIDRs: [`10.${a}.${b}.0/24`] },
      },
    };
  });
  return nodesFrom(nodeObject(1), ...others);
}

function agentOf([local]: readonly CiliumNode[]): Agent {
  let last = 0;
  return new Agent({ local: local!, version: parseVersion('1.18'), mode: 'native', random: () => ++last });
}

it.each<[string, (nodes: readonly CiliumNode[]) => void]>([
  [
    'a new list, its keys and the plan',
    (nodes) => {
      const agent = agentOf(nodes);
      agent.setKeys(KEYS, 0);
      agent.setNodes(nodes, 0);
      expect(agent.plan.sas.length).toBeGreaterThanOrEqual(2 * (nodes.length - 1));
    },
  ],
  [
    'a list in which every node was rebooted, and one that lacks them all',
    (nodes) => {
      const agent = agentOf(nodes);
      agent.setNodes(nodes, 0);
      const [local, ...others] = nodes;
      agent.setNodes(
        [local!, ...others.map((node) => ({ ...node, bootId: node.bootId.replace(/2$/, '9') }))],
        1,
      );
      agent.setNodes([local!], 2);
      expect(agent.peerCount).toBe(0);
    },
  ],
])('the time of the agent grows as its list does: %s', (_, run) => {
  expect(growth(cluster, run, 2048, LIMIT)).toBeLessThanOrEqual(LIMIT);
});
