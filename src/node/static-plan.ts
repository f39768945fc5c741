/**
 * A node from what its kernel would hold: states and policies, as `ip xfrm` prints and takes them, and no agent.
 *
 * Where an outbound policy leads to a tunnel, its destination is routed there; the marks that states and policies ask
 * for are put on packets by destination and source, as the program that installed them would have done.
 * @module
 */
import type { AgentPlan } from '../cilium/agent-plan.ts';
import type { Peer, Route } from '../cilium/ipcache.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { type Address, formatAddress, type Prefix, singlePrefix } from '../wire/address.ts';

export interface StaticState {
  readonly states: readonly SaConfig[];
  readonly policies: readonly Policy[];
  /** This node's own outer addresses. */
  readonly local: readonly Address[];
}

/** Node id of peers without a number; any but 0, which means that a peer has none. */
const NO_ID = 1;

/** Plans a node. States for other nodes (in a text of several) are harmless. */
export function staticPlan({ states, policies, local }: StaticState): AgentPlan {
  const own = new Set(local.map((address) => formatAddress(address)));
  const routes: { prefix: Prefix; route: Route }[] = [];
  const peers = new Set<string>();
  for (const { dir, action, selector, mark, templates } of policies) {
    const dst = templates.find(({ mode }) => mode === 'tunnel')?.dst;
    if (dir !== 'out' || action !== 'allow' || !dst) continue;
    const name = formatAddress(dst);
    const peer = peerOf(name, mark?.value ?? 0, decryptMarkFrom(dst, states));
    if (!peers.has(name)) {
      peers.add(name);
      routes.push({ prefix: singlePrefix(dst), route: { kind: 'node', peer } });
    }
    routes.push({ prefix: selector.dst, route: { kind: 'remote', peer } });
  }
  for (const { src } of states) {
    const name = formatAddress(src);
    if (own.has(name) || peers.has(name)) continue;
    peers.add(name);
    routes.push({
      prefix: singlePrefix(src),
      route: { kind: 'node', peer: peerOf(name, 0, decryptMarkFrom(src, states)) },
    });
  }
  for (const address of local) routes.push({ prefix: singlePrefix(address), route: { kind: 'self' } });
  // Text from before iproute2 6.10 does not say it.
  const sas = states.map(
    (state): SaConfig => ({ direction: own.has(formatAddress(state.src)) ? 'out' : 'in', ...state }),
  );
  return { routes, policies, sas, anySource: true };
}

function peerOf(name: string, encryptMark: number, decryptMark: number): Peer {
  return { name, nodeId: NO_ID, encrypts: true, keyId: 0, encryptMark, decryptMark };
}

/** The mark that the states from a source ask for: 0 when they ask for none. */
function decryptMarkFrom(src: Address, states: readonly SaConfig[]): number {
  const name = formatAddress(src);
  return states.find((state) => formatAddress(state.src) === name && state.mark)?.mark?.value ?? 0;
}
