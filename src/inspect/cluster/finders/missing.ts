/**
 * States that one end has and the other lacks, and rotations: under way, or out of step.
 * @module
 */
import { count, grouped } from '../../../base/count-text.ts';
import { BOOT_ID_LEN } from '../../../cilium/derive.ts';
import type { Finding } from '../../diagnose/finding.ts';
import { type ClusterCase, clusterFinding, firstOf, keyIds, namesOf } from '../case.ts';
import { type Group, groupPairs } from '../groups.ts';
import { idsOf, PAIR, type PairVerdict } from '../pairs.ts';
import { RECEIVER, SENDER } from '../sa-table.ts';

export function* missing(c: ClusterCase): Generator<Finding> {
  const { cluster, pairs } = c;
  // A node without a boot id has no states at all, and that is a finding of its own.
  const canHave = (node: number) => {
    const { cilium } = cluster.nodes[node]!;
    return !cilium || cilium.bootId.length >= BOOT_ID_LEN || cluster.nodes[node]!.facts!.states > 0;
  };
  const groupsOf = (...verdicts: PairVerdict[]) =>
    groupPairs(
      pairs.size,
      (from, to) => verdicts.includes(pairs.verdict(from, to)) && canHave(from) && canHave(to),
    );
  yield* firstOf(groupsOf(PAIR.outOfStep).map((group) => outOfStep(c, group)));
  yield* firstOf(groupsOf(PAIR.noReceiver, PAIR.noSender, PAIR.neither).map((group) => gone(c, group)));
  yield* rotation(c);
}

/** `node-2`, or both nodes of a single pair. */
function whoOf({ cluster }: ClusterCase, { nodes, peers, count: n, shown }: Group): string {
  const [node] = nodes;
  if (n === 1) return `${cluster.nameOf(shown[0]![0])} > ${cluster.nameOf(shown[0]![1])}`;
  if (peers.length === 1) return `${cluster.nameOf(node!)} and ${cluster.nameOf(peers[0]!)}`;
  return `${cluster.nameOf(node!)} and ${count(peers.length, 'other node')} (${namesOf(peers.map((peer) => cluster.nameOf(peer)))})`;
}

function outOfStep(c: ClusterCase, group: Group): Finding {
  const { cluster, pairs } = c;
  const [first] = group.shown;
  const [from, to] = first!;
  const tunnel = pairs.tunnel(from, to);
  const [out, into] = [pairs.outIds[tunnel]!, pairs.inIds[tunnel]!];
  const lacks = out & ~into;
  const more = group.count > 1 ? ` So it is in ${grouped(group.count)} directions.` : '';
  return clusterFinding(
    'rotation-out-of-step',
    `${whoOf(c, group)}: ${cluster.nameOf(from)} has states to send with ${keyIds(idsOf(out))}, and ${cluster.nameOf(to)} receives with ${keyIds(idsOf(into))}: what is sent with ${keyIds(idsOf(lacks))} is dropped (XfrmInNoStates).${more}`,
    {
      node: cluster.nameOf(behind(c, from, to)),
      ...tunnelOf(c, tunnel),
      ...(idsOf(lacks).length === 1 && idsOf(lacks)[0]! > 0 && { spi: idsOf(lacks)[0]! }),
      count: group.count,
      counter: 'XfrmInNoStates',
      evidence: filesOf(c, from, to),
    },
  );
}

/** The node that has the older key id, where Kubernetes or the states tell. */
function behind({ cluster }: ClusterCase, from: number, to: number): number {
  const [a, b] = [cluster.nodes[from]!.cilium?.keyId ?? 0, cluster.nodes[to]!.cilium?.keyId ?? 0];
  return a > 0 && b > 0 && a < b ? from : to;
}

function gone(c: ClusterCase, group: Group): Finding {
  const { cluster, pairs } = c;
  const [first] = group.shown;
  const [from, to] = first!;
  const tunnel = pairs.tunnel(from, to);
  const verdict = pairs.verdict(from, to);
  const [sender, receiver] = [cluster.nameOf(from), cluster.nameOf(to)];
  const node = group.nodes[0]!;
  const name = cluster.nameOf(node);
  const more = group.count > 1 ? ` So it is in ${grouped(group.count)} directions.` : '';
  const isEmpty = cluster.nodes[node]!.facts?.states === 0;
  const what = isEmpty
    ? `${name} has no states at all: nothing from ${count(group.peers.length, 'other node')} (${namesOf(group.peers.map((peer) => cluster.nameOf(peer)))}) can be decrypted there, and nothing to them encrypted.`
    : verdict === PAIR.noReceiver
      ? `${sender} sends with ${keyIds(idsOf(pairs.outIds[tunnel]!))}, and ${receiver} has no state to receive it: it is dropped there (XfrmInNoStates).`
      : verdict === PAIR.noSender
        ? `${receiver} has a state to receive with, and ${sender} has none to send with: its packets for pods there are dropped (XfrmOutPolBlock, XfrmOutNoStates) or leave in the clear.`
        : `neither ${sender} nor ${receiver} has a state for packets from the one to the other.`;
  return clusterFinding('sa-gone', isEmpty ? what : `${whoOf(c, group)}: ${what}${more}`, {
    node: isEmpty ? name : verdict === PAIR.noSender ? sender : receiver,
    ...tunnelOf(c, tunnel),
    ...(tunnel >= 0 && oneId(pairs.outIds[tunnel]! || pairs.inIds[tunnel]!)),
    count: group.count,
    ...(verdict === PAIR.noReceiver && { counter: 'XfrmInNoStates' }),
    evidence: filesOf(c, from, to),
  });
}

function oneId(bits: number): { spi: number } | undefined {
  const ids = idsOf(bits);
  return ids.length === 1 && ids[0]! > 0 ? { spi: ids[0]! } : undefined;
}

/** Two key ids at once: what comes before, in, and after a rotation. */
function* rotation(c: ClusterCase): Generator<Finding> {
  const { cluster, pairs } = c;
  let under = 0;
  let bits = 0;
  for (let from = 0; from < pairs.size; from++) {
    for (let to = 0; to < pairs.size; to++) {
      if (pairs.verdict(from, to) !== PAIR.rotation) continue;
      under++;
      const tunnel = pairs.tunnel(from, to);
      bits |= pairs.outIds[tunnel]! | pairs.inIds[tunnel]!;
    }
  }
  const ids = new Map<number, string[]>();
  for (const { cilium, name } of cluster.nodes) {
    if (!cilium || cilium.keyId === 0) continue;
    const same = ids.get(cilium.keyId);
    if (same) same.push(name);
    else ids.set(cilium.keyId, [name]);
  }
  const said = [...ids]
    .sort(([a], [b]) => a - b)
    .map(
      ([id, names]) =>
        `${count(names.length, 'node')} (${namesOf(names)}) ${names.length === 1 ? 'says' : 'say'} key id ${id}`,
    );
  const spread = ids.size > 1 ? ` Of the CiliumNodes ${said.join(', ')}.` : '';
  const oldest = under > 0 ? stuckFor(c) : undefined;
  if (oldest !== undefined) {
    yield clusterFinding(
      'rotation-stuck',
      `${grouped(under)} of ${count(pairs.size * (pairs.size - 1), 'pair')} of nodes hold ${keyIds(idsOf(bits))} at once, the newest of them for ${minutes(oldest)}: Cilium deletes the old one after 5 minutes.${spread}`,
      { count: under, evidence: cluster.reader.nodes.flatMap(({ stateFile }) => stateFile ?? []) },
    );
  } else if (under > 0) {
    yield clusterFinding(
      'rotation-under-way',
      `${grouped(under)} of ${count(pairs.size * (pairs.size - 1), 'pair')} of nodes hold ${keyIds(idsOf(bits))} at once, and the same keys at both ends: a key rotation is under way, or was minutes ago.${spread}`,
      { count: under, evidence: cluster.reader.nodes.flatMap(({ stateFile }) => stateFile ?? []) },
    );
  } else if (ids.size > 1 && pairs.counts().missing === 0) {
    yield clusterFinding('rotation-under-way', `Nodes say different key ids.${spread}`, {
      count: ids.size,
      evidence: sourcesOf(c),
      severity: 'info',
    });
  }
}

/** Seconds for which both keys have been there, where that is longer than a rotation takes. */
function stuckFor({ cluster, pairs }: ClusterCase): number | undefined {
  const { table, latest } = cluster.reader;
  let newest = 0;
  for (let sa = 0; sa < table.size; sa++) {
    const from = cluster.nodeOfAddress(table.srcOf(sa));
    const to = cluster.nodeOfAddress(table.dstOf(sa));
    if (from < 0 || to < 0 || pairs.verdict(from, to) !== PAIR.rotation) continue;
    for (const side of [SENDER, RECEIVER] as const) {
      if (table.nodeOf(sa, side) >= 0) newest = Math.max(newest, table.addedOf(sa, side));
    }
  }
  // No text is older than the last packet that it tells of.
  const age = latest - newest;
  return newest > 0 && age > STUCK ? age : undefined;
}

/** Seconds after which no old key should be left: 5 minutes, and time to hear of the new one. */
const STUCK = 1800;

function minutes(seconds: number): string {
  return seconds < 7200 ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds / 3600)} hours`;
}

function tunnelOf({ cluster }: ClusterCase, tunnel: number): { src: string; dst: string } | undefined {
  if (tunnel < 0) return undefined;
  const { table, addresses } = cluster.reader;
  return {
    src: addresses.textOf(table.tunnels.one.array[tunnel]!),
    dst: addresses.textOf(table.tunnels.other.array[tunnel]!),
  };
}

function filesOf({ cluster }: ClusterCase, ...nodes: readonly number[]): string[] {
  return nodes.flatMap((node) => cluster.nodes[node]!.facts?.stateFile ?? []);
}

function sourcesOf({ cluster }: ClusterCase): string[] {
  return cluster.nodes.flatMap(({ cilium }) => cilium?.source ?? []);
}
