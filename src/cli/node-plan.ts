/**
 * What a configured node is to hold: from Cilium's keys and nodes, or from `ip xfrm` text.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { type AgentPlan, planAgent } from '../cilium/agent-plan.ts';
import { mergeKeys } from '../cilium/keys.ts';
import { randomNodeIds } from '../cilium/node-ids.ts';
import { type CiliumNode, parseNodes } from '../cilium/nodes.ts';
import { readKeys } from '../cilium/secret.ts';
import { DEFAULT_VERSION, parseVersion } from '../cilium/version.ts';
import { parseXfrmPolicy, type XfrmPolicy } from '../inspect/xfrm-policy.ts';
import { parseXfrmState } from '../inspect/xfrm-state.ts';
import type { Policy } from '../ipsec/spd.ts';
import { staticPlan } from '../node/static-plan.ts';
import {
  type Address,
  formatAddress,
  isAny,
  type Prefix,
  parseAddress,
  parsePrefix,
} from '../wire/address.ts';
import { readText } from './files.ts';
import type { NodeConfig } from './node-config.ts';

export interface LoadedPlan {
  readonly plan: AgentPlan;
  /** Prefixes of the pods here. */
  readonly pods: readonly Prefix[];
}

/**
 * Reads all files that a configuration names.
 * @param ids node ids given out so far: peers keep theirs
 * @throws {InputError} naming file and line
 */
export function loadPlan(config: NodeConfig, ids: Map<string, number>): LoadedPlan {
  const local = parseAddress(config.outside.address);
  if (!local)
    throw new InputError({ source: 'outside.address' }, 'no IP address', 'Write it like 192.168.0.1.');
  const pods = config.pods.flatMap((text) => parsePrefix(text) ?? []);
  const { plan, cidrs } = config.xfrm ? fromXfrm(config, local) : fromCluster(config, local, ids);
  const { port, link } = config.outside;
  return {
    plan: {
      ...plan,
      // Cilium itself has no UDP encapsulation; over a UDP link every SA has.
      sas: plan.sas.map((sa) => (link === 'udp' ? { encap: { sport: port, dport: port }, ...sa } : sa)),
    },
    pods: pods.length > 0 ? pods : cidrs,
  };
}

interface Planned {
  readonly plan: AgentPlan;
  readonly cidrs: readonly Prefix[];
}

function fromCluster(config: NodeConfig, local: Address, ids: Map<string, number>): Planned {
  const version = config.cilium === undefined ? DEFAULT_VERSION : parseVersion(config.cilium);
  const keys = mergeKeys(...config.keys.map((file) => readKeys(readText(file), file, version)));
  const all = config.nodes.flatMap((file) => parseNodes(readText(file), file));
  const me = all.find(({ name }) => name === config.name);
  const source = config.nodes.join(', ');
  if (!me)
    throw new InputError({ source }, `no node is called ${config.name}`, 'Set name: to that of this node.');
  const has = (addresses: readonly Address[]) =>
    addresses.some((address) => formatAddress(address) === formatAddress(local));
  const byNode = has(me.nodeAddresses);
  if (!byNode && !has(me.ciliumAddresses)) {
    throw new InputError(
      { source },
      `node ${me.name} has no address ${formatAddress(local)}`,
      'Set outside.address to one of its addresses.',
    );
  }
  // Tunnels run between addresses of the kind that the outside link has.
  const nodes = all.map(
    (node): CiliumNode => ({
      ...node,
      ciliumAddresses: byNode ? node.nodeAddresses : node.ciliumAddresses,
      nodeAddresses: [],
    }),
  );
  const mine = nodes.find(({ name }) => name === me.name)!;
  for (const [name, id] of randomNodeIds(mine, nodes, random32)) if (!ids.has(name)) ids.set(name, id);
  return { plan: planAgent(mine, keys, nodes, ids, { version, mode: 'native' }), cidrs: me.podCidrs };
}

function fromXfrm(config: NodeConfig, local: Address): Planned {
  const { state, policy } = config.xfrm!;
  const states = state.flatMap((file) => parseXfrmState(readText(file), file));
  const policies = policy.flatMap((file) =>
    parseXfrmPolicy(readText(file), file).flatMap((one) => (one.socket ? [] : [toPolicy(one)])),
  );
  return { plan: staticPlan({ states, policies, local: [local] }), cidrs: [] };
}

function toPolicy({ direction, src, dst, action, priority, mark, templates }: XfrmPolicy): Policy {
  return {
    dir: direction,
    selector: { src, dst },
    action,
    priority,
    ...(mark && { mark }),
    templates: templates.map((template) => ({
      mode: template.mode === 'transport' ? 'transport' : 'tunnel',
      level: template.optional ? 'use' : 'required',
      ...(!isAny(template.src) && { src: template.src }),
      ...(!isAny(template.dst) && { dst: template.dst }),
      ...(template.spi !== undefined && { spi: template.spi }),
      ...(template.reqid !== 0 && { reqid: template.reqid }),
    })),
  };
}

function random32(): number {
  const bytes = new Uint8Array(4);
  secureBytes(bytes);
  return u32(bytes, 0);
}
