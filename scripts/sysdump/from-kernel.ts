/**
 * Sysdumps of `pcaps/diagnose`: two nodes whose Linux kernels have the SAs that Cilium gives them, one trouble each. States,
 * policies and counters are the kernels' own texts. The namespaces were new, so that their counters began with 0: that is
 * the first reading. What only an agent knows (node ids, ipcache) is not there.
 * @module
 */
import { readFileSync } from 'node:fs';
import { type CiliumNode, parseNodes } from '../../src/cilium/nodes.ts';
import { formatVersion } from '../../src/cilium/version.ts';
import { encryptionStatus, statusText } from '../../src/observe/status.ts';
import { readStates } from '../../src/sa-text/xfrm-sas.ts';
import { parseXfrmStat } from '../../src/sa-text/xfrm-stat.ts';
import { ciliumNodeObject, nodeListText } from './agent-texts.ts';
import { statText } from './iproute2.ts';
import { commandsOf, type SysdumpCluster } from './layout.ts';

/** Names of the captures. */
export const TROUBLES = [
  'counter-reset',
  'key-changed',
  'mtu-hole',
  'one-way',
  'reordered',
  'rotation-out-of-step',
  'sa-gone',
  'stale-boot-id',
  'too-big',
  'two-senders',
] as const;

const PODS = [
  { name: 'p1', node: 'node-1', ip: '10.244.1.10' },
  { name: 'p2', node: 'node-2', ip: '10.244.2.20' },
];

/** Of the sysdumps in `pcaps/diagnose`. */
const MINOR = 18;

/**
 * @param folder `pcaps/diagnose`
 * @param minor whose bugtool collects
 */
export function sysdumpOfTrouble(folder: string, trouble: string, minor = MINOR): SysdumpCluster {
  const read = (name: string) => readFileSync(`${folder}/${name}`, 'utf8');
  const version = { minor };
  const published = parseNodes(read('nodes.json'), 'nodes.json');
  const kernels = published.map((node, i) => {
    const name = `${trouble}.n${i + 1}`;
    const states = read(`${name}.xfrm_state.txt`);
    const { sas } = readStates(states, name);
    return { node, states, sas, policies: read(`${name}.xfrm_policy.txt`), stat: read(`${name}.xfrm_stat`) };
  });
  // An agent publishes the newest key that it has installed.
  const nodes: CiliumNode[] = kernels.map(({ node, sas }) => ({
    ...node,
    keyId: Math.max(...sas.map(({ spi }) => spi)),
  }));
  return {
    nodes: kernels.map(({ node, states, sas, policies, stat }) => {
      const figures = {
        keys: new Set(sas.map(({ keys }) => Buffer.concat([keys.key(), keys.salt()]).toString('hex'))).size,
        xfrm: Object.fromEntries(parseXfrmStat(stat, node.name)),
        sas: sas.map(({ reqid, sequence }) => ({
          direction: 'out' as const,
          reqid,
          seqLo: sequence?.oseq ?? 0,
        })),
      };
      const outputs = {
        hostname: `${node.name}\n`,
        bootId: `${node.bootId}\n`,
        states,
        policies: { short: policies },
        stat: statText({}),
        statLater: stat,
        encryptStatus: statusText(encryptionStatus(figures, ['eth0'], version)),
        nodeList: nodeListText(nodes.map((one) => ({ ...one, isLocal: one.name === node.name }))),
      };
      return { name: node.name, commands: commandsOf(outputs, minor) };
    }),
    ciliumNodes: nodes.map(ciliumNodeObject),
    version: `v${formatVersion(version)}.0`,
    config: { 'enable-ipsec': 'true', 'ipsec-key-file': '/etc/ipsec/keys', 'routing-mode': 'native' },
    pods: PODS,
  };
}
