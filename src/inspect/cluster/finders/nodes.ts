/**
 * Nodes: boot ids, numbers of nodes in marks, what agents know of each other, policies, ipcache entries.
 * @module
 */
import { count, grouped } from '../../../base/count-text.ts';
import { BOOT_ID_LEN } from '../../../cilium/derive.ts';
import { formatPrefix } from '../../../wire/address.ts';
import type { Finding } from '../../diagnose/finding.ts';
import { type ClusterCase, clusterFinding, firstOf, namesOf } from '../case.ts';
import { PAIR } from '../pairs.ts';
import { RECEIVER, SENDER } from '../sa-table.ts';

/** Boot ids that nodes have not published, or published wrongly. */
export function* bootIds({ cluster, pairs }: ClusterCase): Generator<Finding> {
  const without = cluster.nodes.filter(({ cilium }) => cilium && cilium.bootId.length < BOOT_ID_LEN);
  // Cilium without per-tunnel keys has no boot ids at all.
  const isUsed = without.length < cluster.nodes.filter(({ cilium }) => cilium).length;
  if (isUsed) {
    yield* firstOf(
      without.map(({ name, cilium }) =>
        clusterFinding(
          'no-boot-id',
          `${name} has no boot id in its CiliumNode (spec.bootid): no node can make the keys of its tunnels, so that there is no SA with it.`,
          { node: name, count: 1, evidence: [cilium!.source] },
        ),
      ),
    );
  }
  const stale: Finding[] = [];
  for (const [node, { name, cilium, facts }] of cluster.nodes.entries()) {
    if (!cilium || !facts || facts.bootId.length < BOOT_ID_LEN || cilium.bootId.length < BOOT_ID_LEN)
      continue;
    if (facts.bootId === cilium.bootId) continue;
    // Where its keys differ from others' that says why, and is one finding.
    let differs = false;
    for (let other = 0; other < cluster.size; other++)
      differs ||= pairs.verdict(node, other) === PAIR.differ || pairs.verdict(other, node) === PAIR.differ;
    if (differs) continue;
    stale.push(
      clusterFinding(
        'stale-boot-id',
        `${name} was booted as ${facts.bootId}, and its CiliumNode still says ${cilium.bootId}: other nodes make its keys from that, and it makes them from its own.`,
        { node: name, count: 1, evidence: [facts.files.bootId ?? facts.source, cilium.source] },
      ),
    );
  }
  yield* firstOf(stale);
}

/** Marks that lead to another node than the node's own map says. */
export function* marks({ cluster }: ClusterCase): Generator<Finding> {
  const { table, addresses, nodes } = cluster.reader;
  const wrong = new Map<
    number,
    { count: number; first: number; side: typeof SENDER | typeof RECEIVER; unknown: number }
  >();
  for (let sa = 0; sa < table.size; sa++) {
    for (const side of [SENDER, RECEIVER] as const) {
      const facts = table.nodeOf(sa, side);
      const ids = facts < 0 ? undefined : nodes[facts]!.nodeIds;
      const mark = facts < 0 ? 0 : table.markIdOf(sa, side);
      if (!ids || mark === 0) continue;
      const peer = side === SENDER ? table.dstOf(sa) : table.srcOf(sa);
      const known = ids[peer] ?? 0;
      if (known === mark) continue;
      const one = wrong.get(facts);
      if (one) {
        one.count++;
        if (known === 0) one.unknown++;
      } else wrong.set(facts, { count: 1, first: sa, side, unknown: known === 0 ? 1 : 0 });
    }
  }
  yield* firstOf(
    [...wrong].map(([facts, { count: n, first, side, unknown }]) => {
      const name = cluster.nameOf(cluster.nodeOfFacts(facts));
      const mark = table.markIdOf(first, side);
      const peer = side === SENDER ? table.dstOf(first) : table.srcOf(first);
      const known = nodes[facts]!.nodeIds![peer] ?? 0;
      const says = known === 0 ? 'has no id for it' : `says 0x${known.toString(16)}`;
      return clusterFinding(
        'node-id-differs',
        `${name}: the marks of ${count(n, 'state')} name other node ids than its own map: a state of ${addresses.textOf(peer)} has 0x${mark.toString(16)}, and the map ${says}. ${unknown === n ? 'Such states are left of nodes that are gone, or of ids that were given anew' : 'Packets marked by the map find no state, or that of another node'}.`,
        {
          node: name,
          src: addresses.textOf(table.srcOf(first)),
          dst: addresses.textOf(table.dstOf(first)),
          spi: table.spiOf(first),
          count: n,
          evidence: [
            cluster.origin(facts, table.lineOf(first, side)),
            nodes[facts]!.files.nodeIds ?? '',
          ].filter(Boolean),
        },
      );
    }),
  );
}

/** Nodes that an agent has not heard of. */
export function* unheard({ cluster }: ClusterCase): Generator<Finding> {
  const listed = cluster.nodes.filter(({ cilium }) => cilium);
  yield* firstOf(
    cluster.nodes.flatMap(({ name, facts }) => {
      const known = facts?.known;
      if (!known?.some((bits) => bits !== 0)) return [];
      const { names } = cluster.reader;
      const isKnown = (one: string) => {
        const id = names.get(one);
        return id !== undefined && ((known[id >>> 5] ?? 0) & (1 << (id & 31))) !== 0;
      };
      const lacks = listed.filter((node) => !isKnown(node.name)).map((node) => node.name);
      if (lacks.length === 0) return [];
      return [
        clusterFinding(
          'node-unheard',
          `The agent of ${name} does not know ${namesOf(lacks)}, of which Kubernetes has a CiliumNode: it makes no SAs with ${lacks.length === 1 ? 'it' : 'them'}.`,
          { node: name, count: lacks.length, evidence: [facts?.files.known ?? name] },
        ),
      ];
    }),
  );
}

/** Pod ranges of other nodes that no outbound policy selects. */
export function* policies({ cluster }: ClusterCase): Generator<Finding> {
  const listed = cluster.nodes.flatMap(({ name, cilium }) =>
    cilium && cilium.podCidrs.length > 0 ? [{ name, ranges: cilium.podCidrs }] : [],
  );
  const found: Finding[] = [];
  for (const { name, facts } of cluster.nodes) {
    const rows = facts?.policies;
    if (!rows) continue;
    const lacks: string[] = [];
    const nodes = new Set<string>();
    let ranges = 0;
    for (const peer of listed) {
      if (peer.name === name) continue;
      for (const range of peer.ranges) {
        ranges++;
        if (rows.covers(range)) continue;
        lacks.push(`${formatPrefix(range)} of ${peer.name}`);
        nodes.add(peer.name);
      }
    }
    if (lacks.length === 0) continue;
    const isAll = rows.count === 0;
    const fate = rows.blocksOthers
      ? 'packets to pods there that are marked for encryption are dropped (XfrmOutPolBlock), others leave in the clear'
      : 'packets to pods there leave in the clear';
    found.push(
      clusterFinding(
        'policy-missing',
        isAll
          ? `${name} has no outbound policy that leads to ESP: ${fate.replace('there ', 'of other nodes ')}.`
          : `${name}: no outbound policy selects ${namesOf(lacks)}${ranges > lacks.length ? `, ${grouped(lacks.length)} of ${grouped(ranges)} pod ranges of other nodes` : ''}: ${fate}.`,
        {
          node: name,
          count: lacks.length,
          ...(rows.blocksOthers && { counter: 'XfrmOutPolBlock' }),
          evidence: [facts.files.policies ?? facts.source],
        },
      ),
    );
  }
  yield* firstOf(found);
}

/** Entries of pods by which packets leave in the clear, or with a key that their node does not have. */
export function* ipcache({ cluster }: ClusterCase): Generator<Finding> {
  const clear: Finding[] = [];
  const other: Finding[] = [];
  for (const { name, facts } of cluster.nodes) {
    if (!facts?.ipcache) continue;
    const { endpoints, keyIds, counts, firstClear } = facts.ipcache;
    const { addresses } = cluster.reader;
    let entries = 0;
    const nodes: string[] = [];
    for (const [i, endpoint] of endpoints.entries()) {
      const [keyId, n] = [keyIds[i]!, counts[i]!];
      const peer = cluster.nodeOfAddress(endpoint);
      if (keyId === 0) {
        entries += n;
        nodes.push(peer < 0 ? addresses.textOf(endpoint) : cluster.nameOf(peer));
        continue;
      }
      const said = peer < 0 ? 0 : (cluster.nodes[peer]!.cilium?.keyId ?? 0);
      if (said === 0 || said === keyId) continue;
      other.push(
        clusterFinding(
          'ipcache-other-key',
          `${name}: ${entryCount(n)} of its ipcache for pods of ${cluster.nameOf(peer)} ${n === 1 ? 'has' : 'have'} key id ${keyId}, and the CiliumNode says ${said}: its agent has not heard of the change yet, or no more.`,
          { node: name, spi: keyId, count: n, evidence: [facts.files.ipcache ?? facts.source] },
        ),
      );
    }
    if (entries === 0) continue;
    clear.push(
      clusterFinding(
        'ipcache-no-key',
        `${name}: ${entryCount(entries)} of its ipcache for pods of ${namesOf(nodes)} ${entries === 1 ? 'has' : 'have'} no key (encryptkey=0), such as ${firstClear}: packets to them leave in the clear.${nodes.length < endpoints.length ? '' : ' No entry of a pod has one.'}`,
        { node: name, count: entries, evidence: [facts.files.ipcache ?? facts.source] },
      ),
    );
  }
  yield* firstOf(clear);
  yield* firstOf(other);
}

function entryCount(n: number): string {
  return `${grouped(n)} ${n === 1 ? 'entry' : 'entries'}`;
}
