import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sysdumpOfScenario } from '../../scripts/sysdump/from-scenario.ts';
import { sysdump } from '../../scripts/sysdump/layout.ts';
import { parseNodes } from '../../src/cilium/nodes.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { gather, type NodeTexts } from '../../src/inspect/files/gather.ts';
import { memoryFile } from '../../src/inspect/files/walk.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { readStates } from '../../src/sa-text/xfrm-sas.ts';
import { parseScenario } from '../../src/sim/scenario.ts';

/** A cluster of 1000 nodes takes most of a minute, and says nothing else. */
const EXAMPLES = readdirSync('examples')
  .map((name) => name.replace('.yaml', ''))
  .filter((name) => name !== 'rotation-1000');

it.each(EXAMPLES)('of %s a sysdump can be made, and is understood', async (name) => {
  const scenario = parseScenario(readFileSync(`examples/${name}.yaml`, 'utf8'), name);
  const cluster = sysdumpOfScenario(scenario, new NodeEngine());
  const nodes: NodeTexts[] = [];
  const { texts } = await gather([memoryFile('s.zip', sysdump(cluster))], {
    onNode: (node) => void nodes.push(node),
    onDamage: (error) => {
      throw error;
    },
  });
  expect(nodes.length).toBe(cluster.nodes.length);
  const [ciliumNodes] = texts.get('nodes')!;
  expect(parseNodes(ciliumNodes!.text, name)).toHaveLength(cluster.ciliumNodes.length);
  for (const { texts: own } of nodes) {
    const states = own['xfrm-state']!.text;
    const { keyless, omitted } = readStates(states, name);
    expect(keyless.length).toBe([...states.matchAll(/^src /gm)].length);
    expect(omitted).toEqual([]);
    expect(readPolicies(own['xfrm-policy']!.text, name).omitted).toEqual([]);
  }
});
