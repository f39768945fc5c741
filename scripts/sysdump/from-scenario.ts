/**
 * Sysdumps of scenarios: the cluster runs in virtual time, and is collected at a moment of it. A node whose machine is off, or
 * that is not there, has no bugtool archive.
 * @module
 */
import { IDENTITY } from '../../src/cilium/ipcache.ts';
import { formatVersion, isAtLeast } from '../../src/cilium/version.ts';
import type { Engine } from '../../src/crypto/engine.ts';
import type { SecurityAssociation } from '../../src/ipsec/sa.ts';
import { encryptionStatus, statusText } from '../../src/observe/status.ts';
import { Cluster, identityOf, KEYS_READY } from '../../src/sim/cluster.ts';
import type { Member } from '../../src/sim/member.ts';
import type { Scenario } from '../../src/sim/scenario.ts';
import { formatAddress, formatPrefix, singlePrefix } from '../../src/wire/address.ts';
import { ciliumNodeObject, type IpcacheRow, ipcacheText, nodeIdsText, nodeListText } from './agent-texts.ts';
import { policyText, stateText, statText, type Times } from './iproute2.ts';
import { commandsOf, type SysdumpCluster, type SysdumpNode } from './layout.ts';

export interface CollectOptions {
  /** ms since the start of the run; by default the end of the scenario. */
  readonly at?: number | undefined;
  /** ms between the two readings of the counters. */
  readonly took?: number | undefined;
  readonly seed?: number | undefined;
  /** Whose bugtool collects; by default the scenario's Cilium. */
  readonly minor?: number | undefined;
}

/** ms between two looks at the machines: shorter than any of them is off. */
const LOOK = 50;
const SECOND = 1000;

type Counts = Readonly<Record<string, number>>;

/** Runs a scenario up to a moment, and collects what its nodes say. */
export function sysdumpOfScenario(
  scenario: Scenario,
  engine: Engine,
  options: CollectOptions = {},
): SysdumpCluster {
  const { at = scenario.duration, took = SECOND, minor = scenario.version.minor } = options;
  const cluster = new Cluster({ scenario, engine, seed: options.seed });
  const collector = new Collector(cluster, minor);
  collector.run(Math.max(0, at - took));
  const before = new Map(cluster.members.map((member) => [member.name, collector.counts(member)]));
  collector.run(at);
  const nodes = cluster.members
    .filter(({ isThere, isUp }) => isThere && isUp)
    .map((member) => collector.node(member, before.get(member.name) ?? {}));
  const { version, mode, family, strict, pods } = scenario;
  const there = new Set(cluster.members.filter(({ isThere }) => isThere));
  return {
    nodes,
    ciliumNodes: [...there]
      .filter(({ isDeleted }) => !isDeleted)
      .map(({ agent }) => ciliumNodeObject(agent.node)),
    version: `v${formatVersion({ patch: 0, ...version })}`,
    config: {
      'enable-ipsec': 'true',
      'enable-ipv4': String(family === 4),
      'enable-ipv6': String(family === 6),
      'ipsec-key-file': '/etc/ipsec/keys',
      ...(strict && {
        'enable-encryption-strict-mode': 'true',
        'encryption-strict-mode-cidr': formatPrefix(strict),
      }),
      ...(isAtLeast(version, 14)
        ? { 'routing-mode': mode }
        : { tunnel: mode === 'native' ? 'disabled' : 'vxlan' }),
    },
    pods: [...pods.values()]
      .filter(({ node }) => there.has(cluster.members[node]!))
      .map(({ name, node, address }) => ({
        name: name.replace('/', '-'),
        node: cluster.members[node]!.name,
        ip: formatAddress(address),
        identity: identityOf(scenario, name),
      })),
  };
}

class Collector {
  readonly #cluster: Cluster;
  readonly #minor: number;
  /** By what an SA keeps when its plan changes: its numbers. */
  readonly #times = new Map<object, Times>();
  /** What a node had counted when its machine went off: a kernel begins with 0 again. */
  readonly #gone = new Map<string, Counts>();

  constructor(cluster: Cluster, minor: number) {
    this.#cluster = cluster;
    this.#minor = minor;
    this.#note(cluster.clock.now() - KEYS_READY);
  }

  /** Lets time pass. iproute2 prints whole seconds, so that SAs are looked at once in each. */
  run(until: number): void {
    const cluster = this.#cluster;
    while (cluster.now < until) {
      const second = Math.floor(cluster.now / SECOND + 1) * SECOND;
      cluster.runTo(Math.min(until, second, cluster.now + LOOK));
      for (const member of cluster.members)
        if (!member.isUp) this.#gone.set(member.name, member.node.stats().xfrm);
      this.#look();
    }
  }

  counts(member: Member): Counts {
    const gone = this.#gone.get(member.name) ?? {};
    const { xfrm } = member.node.stats();
    return Object.fromEntries(Object.entries(xfrm).map(([name, count]) => [name, count - (gone[name] ?? 0)]));
  }

  node(member: Member, before: Counts): SysdumpNode {
    const { agent, node, name } = member;
    const { version } = this.#cluster.scenario;
    const xfrm = this.counts(member);
    const stats = { ...node.stats(), xfrm };
    const sas = this.#sas(member);
    const policies = (['out', 'fwd', 'in'] as const).flatMap((dir) => node.spd.policies(dir));
    const policyTexts = (long: boolean) => policies.map((policy) => policyText(policy, long)).join('');
    const peers = agent.heard();
    const outputs = {
      hostname: `${name}\n`,
      bootId: `${agent.node.bootId}\n`,
      // The kernel lists the newest first.
      states: sas
        .map((sa) => stateText(sa, this.#timesOf(sa, this.#cluster.clock.now())))
        .reverse()
        .join(''),
      policies: { short: policyTexts(false), long: policyTexts(true) },
      stat: statText(before),
      statLater: statText(xfrm),
      encryptStatus: statusText(encryptionStatus(stats, ['eth0'], version)),
      nodeList: nodeListText([{ ...agent.node, isLocal: true }, ...peers.map((peer) => peer.node)]),
      nodeIds: nodeIdsText(peers),
      ipcache: ipcacheText(this.#ipcache(member), this.#minor),
    };
    return { name, commands: commandsOf(outputs, this.#minor) };
  }

  #timesOf({ sequence, life }: SecurityAssociation, second: number): Times {
    const { added = second, used } = this.#times.get(sequence) ?? {};
    return { added, used: used ?? (life.packets > 0 ? second : undefined) };
  }

  #sas(member: Member): SecurityAssociation[] {
    return member.node.sad.sas.flatMap((sa) => sa ?? []);
  }

  /** Notes which SAs there are, and which have carried packets, when a second has passed. */
  #look(): void {
    const now = this.#cluster.clock.now();
    if (now % SECOND === 0) this.#note(now - SECOND);
  }

  #note(second: number): void {
    for (const member of this.#cluster.members) {
      for (const sa of this.#sas(member)) this.#times.set(sa.sequence, this.#timesOf(sa, second));
    }
  }

  #ipcache(member: Member): IpcacheRow[] {
    const { scenario, members } = this.#cluster;
    const rows: IpcacheRow[] = [
      { prefix: scenario.family === 4 ? '0.0.0.0/0' : '::/0', identity: IDENTITY.WORLD, key: 0 },
    ];
    for (const [name, { node, address }] of scenario.pods) {
      if (members[node] !== member) continue;
      rows.push({
        prefix: formatPrefix(singlePrefix(address)),
        identity: identityOf(scenario, name),
        key: 0,
      });
    }
    const peers = new Map(member.agent.heard().map(({ node }) => [node.name, node]));
    for (const { prefix, route } of member.agent.plan.routes) {
      const text = formatPrefix(prefix);
      if (route.kind === 'self') rows.push({ prefix: text, identity: IDENTITY.HOST, key: 0 });
      if (route.kind === 'node') rows.push({ prefix: text, identity: IDENTITY.REMOTE_NODE, key: 0 });
      if (route.kind !== 'remote') continue;
      const node = peers.get(route.peer.name);
      const [endpoint] = node?.nodeAddresses ?? [];
      rows.push({
        prefix: text,
        identity: route.identity ?? IDENTITY.WORLD,
        key: node?.keyId ?? 0,
        endpoint: endpoint && formatAddress(endpoint),
      });
    }
    return rows;
  }
}
