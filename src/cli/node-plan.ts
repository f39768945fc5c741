/**
 * What a configured node is to hold, where that is not up to an agent: from `ip xfrm` text.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { AgentPlan } from '../cilium/agent-plan.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { overlayPort } from '../node/overlay.ts';
import { staticPlan } from '../node/static-plan.ts';
import { omissionLine } from '../sa-text/omission.ts';
import { readPolicies, type TextPolicy, toTemplates } from '../sa-text/to-policy.ts';
import { parseXfrm } from '../sa-text/xfrm-parse.ts';
import { parseXfrmState } from '../sa-text/xfrm-sas.ts';
import type { XfrmPolicy, XfrmState } from '../sa-text/xfrm-tree.ts';
import { type Prefix, parseAddress, parsePrefix } from '../wire/address.ts';
import { PORT_ESP, HEADER_LEN as UDP_HEADER } from '../wire/udp.ts';
import { INPUT, type InputFiles } from './input-files.ts';
import type { NodeConfig } from './node-config.ts';
import { policyNotHonoured, stateNotHonoured } from './not-honoured.ts';

export interface LoadedPlan {
  readonly plan: AgentPlan;
  /** Prefixes of the pods here. */
  readonly pods: readonly Prefix[];
}

/**
 * Plans a node from the text of `ip xfrm` that a configuration names.
 * @param warn called with one line for each state that is left out, and for what of a state or policy is not done
 * @throws {InputError} naming file and line, also for a policy that a node cannot honour
 */
export async function loadStaticPlan(
  config: NodeConfig,
  files: InputFiles,
  warn: (line: string) => void,
): Promise<LoadedPlan> {
  const local = parseAddress(config.outside.address);
  if (!local)
    throw new InputError({ source: 'outside.address' }, 'no IP address', 'Write it like 192.168.0.1.');
  const { state, policy } = config.xfrm!;
  const states: SaConfig[] = [];
  for (const file of state) {
    const text = await files.read(file, INPUT.xfrm);
    const sas = parseXfrmState(text, file, warn);
    const usable = sayStates(parseXfrm(text, file).states, warn);
    for (const one of sas) if (usable.has(one.origin)) states.push(one);
  }
  const policies: Policy[] = [];
  for (const file of policy) {
    const text = await files.read(file, INPUT.xfrm);
    const read = readPolicies(text, file);
    checkPolicies(parseXfrm(text, file).policies, warn);
    // Without one of them packets could leave in the clear.
    const [bad] = read.omitted;
    if (bad !== undefined)
      throw new InputError(
        { source: 'xfrm.policy' },
        omissionLine(bad),
        'Correct it, or take it out of the text.',
      );
    // A kernel prints the newest policy first, and asks the oldest of one priority first.
    for (const one of read.policies.toReversed()) if (!one.socket) policies.push(toPolicy(one));
  }
  return completePlan(config, staticPlan({ states, policies, local: [local] }), []);
}

/** Says what is not done of states. @returns the origins of those that may be used */
function sayStates(states: readonly XfrmState[], warn: (line: string) => void): Set<string> {
  const usable = new Set<string>();
  for (const state of states) {
    const { reason, notes } = stateNotHonoured(state);
    if (reason !== null) warn(`${state.origin}: the state is left out: ${reason}`);
    else usable.add(state.origin);
    if (reason === null) for (const note of notes) warn(`${state.origin}: the state ${note}`);
  }
  return usable;
}

/**
 * Says what is not done of policies.
 * @throws {InputError} for one that must not be used: without it packets could leave in the clear
 */
function checkPolicies(policies: readonly XfrmPolicy[], warn: (line: string) => void): void {
  for (const policy of policies) {
    if (policy.socket) {
      warn(`${policy.origin}: the policy is left out: it belongs to one socket`);
      continue;
    }
    const { reason, notes } = policyNotHonoured(policy);
    if (reason !== null) throw refused(policy.origin, reason);
    for (const note of notes) warn(`${policy.origin}: the policy ${note}`);
  }
}

function refused(origin: string, what: string): InputError {
  return new InputError(
    { source: origin },
    `the policy ${what}, which esplane node does not have`,
    'Take it out of the text.',
  );
}

/**
 * What the configuration adds to a plan.
 * @param cidrs the pods here, if the configuration does not say
 */
export function completePlan(config: NodeConfig, plan: AgentPlan, cidrs: readonly Prefix[]): LoadedPlan {
  const pods = config.pods.flatMap((text) => parsePrefix(text) ?? []);
  // Cilium itself has no UDP encapsulation; over a UDP link every SA has, unless VXLAN carries ESP there.
  const port = outsidePort(config, plan);
  const encapsulates = config.outside.link === 'udp' && plan.overlay !== 'esp-in-vxlan';
  return {
    plan: {
      ...plan,
      ...(encapsulates &&
        plan.mtuReserve !== undefined && { mtuReserve: plan.mtuReserve + udpReserve(config) }),
      sas: encapsulates ? plan.sas.map((sa) => encapsulated(sa, port)) : plan.sas,
    },
    pods: pods.length > 0 ? pods : cidrs,
  };
}

const made = new WeakMap<SaConfig, SaConfig>();

/** The same SA with UDP encapsulation: the same object each time, which tells the data plane that nothing changed. */
function encapsulated(sa: SaConfig, port: number): SaConfig {
  if (sa.encap) return sa;
  let one = made.get(sa);
  if (one?.encap?.sport !== port) {
    one = { ...sa, encap: { sport: port, dport: port } };
    made.set(sa, one);
  }
  return one;
}

/** What Cilium keeps back is enough for UDP too over IPv4, where ESP takes 20 bytes less than it reckons with. */
function udpReserve({ outside: { address } }: NodeConfig): number {
  return address.includes(':') ? UDP_HEADER : 0;
}

/** The port of a UDP link: that of ESP in UDP, or of the overlay. */
export function outsidePort({ outside }: NodeConfig, { overlay, tunnelProtocol }: AgentPlan): number {
  return outside.port ?? (overlay === 'esp-in-vxlan' ? overlayPort(tunnelProtocol === 'geneve') : PORT_ESP);
}

/** @throws {InputError} for a policy that asks for what a node does not have: without it packets could leave in the clear */
function toPolicy(policy: TextPolicy): Policy {
  const { direction, selector, action, priority, mark, origin } = policy;
  const templates = toTemplates(policy.templates);
  if (typeof templates === 'string') throw refused(origin, templates);
  if (direction === 'out' && templates.some(({ mode }) => mode === 'iptfs'))
    throw refused(origin, 'asks to send in IP-TFS');
  return { dir: direction, selector, action, priority, ...(mark && { mark }), templates };
}
