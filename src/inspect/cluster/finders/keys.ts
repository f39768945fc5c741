/**
 * Ends that hold different keys, and which input of the key was out of date, as far as boot ids or the Secret tell.
 * @module
 */
import { count, grouped } from '../../../base/count-text.ts';
import { hashOfMaterial } from '../../../sa-text/state-rows.ts';
import type { Finding } from '../../diagnose/finding.ts';
import { nameHeldKey } from '../../diagnose/guesses.ts';
import type { FindingCode } from '../../diagnose/table.ts';
import { type About, type ClusterCase, clusterFinding, firstOf, keyIds, namesOf } from '../case.ts';
import { type Group, groupPairs } from '../groups.ts';
import { type Ends, PAIR } from '../pairs.ts';
import { RECEIVER, SENDER, type Side } from '../sa-table.ts';

/** SAs of one group whose keys are derived from everything at hand. */
const MOST_TRIED = 16;

export function* keys(c: ClusterCase): Generator<Finding> {
  const { cluster, pairs } = c;
  const { table } = cluster.reader;
  const byPair = new Map<number, Ends[]>();
  const pairOf = ({ sent }: Ends) =>
    cluster.nodeOfFacts(table.nodeOf(sent, SENDER)) * pairs.size + cluster.nodeOfAddress(table.dstOf(sent));
  for (const ends of pairs.differing) {
    const pair = pairOf(ends);
    const same = byPair.get(pair);
    if (same) same.push(ends);
    else byPair.set(pair, [ends]);
  }
  const groups = groupPairs(
    pairs.size,
    (from, to) => pairs.verdict(from, to) === PAIR.differ,
    (from, to) => isAgreeing(pairs.verdict(from, to)),
  );
  yield* firstOf(
    groups.map((group) => {
      const names = group.nodes.map((node) => cluster.nameOf(node));
      const peers = group.peers.map((node) => cluster.nameOf(node));
      const shown = group.shown.flatMap(([from, to]) => byPair.get(from * pairs.size + to) ?? []);
      const [first] = shown;
      const ids = [...new Set(shown.map(({ sent }) => table.spiOf(sent)))].sort((a, b) => a - b);
      const isOne = group.count === 1 && shown.length === 1;
      const where = first ? placeOf(c, first) : '';
      const who =
        peers.length === 1 && names.length === 1
          ? isOne
            ? `${cluster.nameOf(group.shown[0]![0])} > ${cluster.nameOf(group.shown[0]![1])}:`
            : `${names[0]} and ${peers[0]}`
          : `${namesOf(names)}`;
      const differ =
        peers.length === 1 && names.length === 1
          ? `${isOne ? 'both ends hold' : 'hold'} different keys for ${isOne ? where : keyIds(ids)}`
          : `${names.length > 1 ? 'hold' : 'holds'} other keys than ${count(peers.length, 'node')} (${namesOf(peers)}) for ${keyIds(ids)}, in ${grouped(group.count)} directions`;
      const proof =
        'The hashes in the place of the keys differ, so what one encrypts the other drops (XfrmInStateProtoError).';
      const cause = causeOf(c, group, shown);
      return clusterFinding(cause.code, [`${who} ${differ}.`, proof, cause.what].filter(Boolean).join(' '), {
        node: cause.node ?? (names.length === 1 ? names[0]! : null),
        ...(isOne && first && endsOf(c, first)),
        count: group.count,
        counter: 'XfrmInStateProtoError',
        evidence: first ? originsOf(c, first) : [],
        ...(cause.basis && { basis: cause.basis }),
      });
    }),
  );
  for (const [list, code, what] of [
    [pairs.esnDiffers, 'esn-differs', 'extended sequence numbers (ESN) at one end alone'],
    [pairs.icvDiffers, 'icv-length-differs', 'ICVs of different lengths'],
  ] as const) {
    yield* firstOf(
      list.map((ends) =>
        clusterFinding(code, `${placeOf(c, ends)}: the kernels hold the same key, with ${what}.`, {
          node: cluster.nameOf(cluster.nodeOfAddress(table.dstOf(ends.sent))),
          ...endsOf(c, ends),
          count: 1,
          counter: 'XfrmInStateProtoError',
          evidence: originsOf(c, ends),
        }),
      ),
    );
  }
  yield* ofSecret(c);
}

function isAgreeing(verdict: number): boolean {
  return verdict === PAIR.fine || verdict === PAIR.rotation;
}

interface Cause {
  readonly code: FindingCode;
  readonly what: string;
  readonly node?: string;
  readonly basis?: About['basis'];
}

/** Why the keys differ: what is wrong at one of the nodes of a group, or else at most of the others. */
function causeOf(c: ClusterCase, { nodes, peers }: Group, shown: readonly Ends[]): Cause {
  const { cluster } = c;
  const inside = new Set(nodes.map((node) => cluster.nameOf(node)));
  const tried = shown.slice(0, MOST_TRIED);
  const others: Cause[] = [];
  for (const ends of tried) {
    const causes = causesAt(c, ends);
    const own = causes.find(({ node }) => inside.has(node!));
    if (own) return own;
    // A peer may have a trouble of its own, which is that of another group.
    others.push(...causes.slice(0, 1));
  }
  const [other] = others;
  if (other && 2 * others.length >= tried.length) {
    if (peers.length === 1) return other;
    return { code: other.code, what: `So it is with ${other.node}, for one: ${other.what}` };
  }
  for (const node of nodes) {
    const { cilium, facts, name } = cluster.nodes[node]!;
    if (!cilium || !facts || facts.bootId === '' || facts.bootId === cilium.bootId) continue;
    return {
      code: 'stale-boot-id',
      node: name,
      what: `The boot id of ${name} is ${facts.bootId}, and its CiliumNode says ${cilium.bootId || 'none'}.`,
    };
  }
  return { code: 'wrong-key', what: '' };
}

/** What is wrong with the keys of one SA, at each of its ends where something is. */
function causesAt(c: ClusterCase, ends: Ends): Cause[] {
  const sides = [SENDER, RECEIVER] as const;
  const [sent, received] = sides.map((side) => keyAt(c, ends, side));
  return sides.flatMap((side): Cause[] => {
    const [named, other] = side === SENDER ? [sent, received] : [received, sent];
    const facts = c.cluster.reader.table.nodeOf(side === SENDER ? ends.sent : ends.received, side);
    const node = c.cluster.nameOf(c.cluster.nodeOfFacts(facts));
    const isRight = other?.kind === 'current';
    if (!named)
      return isRight
        ? [
            {
              code: 'wrong-key',
              node,
              what: `The key of ${node} is none that follows from the Secret and the nodes at hand; the other end's is the current one. Earlier keys and nodes may name it.`,
            },
          ]
        : [];
    if (named.kind === 'current') return [];
    const code = named.kind === 'stale-boot-id' || named.kind === 'key-changed' ? named.kind : 'wrong-key';
    const right = isRight ? ` The other end's is ${other.what}.` : '';
    return [{ code, node, what: `The key of ${node} is that of ${named.what}, by its hash.${right}` }];
  });
}

/** Which of the keys that follow from the Secret does this side hold? */
function keyAt({ cluster }: ClusterCase, ends: Ends, side: Side) {
  const { evidence, reader } = cluster;
  if (evidence.cluster.keys.length + evidence.old.keys.length === 0) return undefined;
  const { table, addresses } = reader;
  const sa = side === SENDER ? ends.sent : ends.received;
  return nameHeldKey(
    evidence,
    addresses.textOf(table.srcOf(ends.sent)),
    addresses.textOf(table.dstOf(ends.sent)),
    table.spiOf(ends.sent),
    (material) => table.hasKey(sa, side, hashOfMaterial(material)),
  );
}

/** Differing SAs whose keys are derived to see whether the Secret is the cluster's. */
const MOST_OTHERS = 1000;

/** Keys that both ends hold, and that do not follow from the Secret and the nodes. */
function* ofSecret(c: ClusterCase): Generator<Finding> {
  const { cluster, pairs } = c;
  const { keys } = cluster.evidence.cluster;
  if (keys.length === 0) return;
  const { table, addresses } = cluster.reader;
  const isListed = ({ sent }: Ends) =>
    [table.srcOf(sent), table.dstOf(sent)].every(
      (address) => cluster.evidence.nodeOf(addresses.textOf(address)) !== undefined,
    );
  const known = pairs.sample.filter(isListed);
  const found = new Map<string, { count: number; first: Ends; what: string }>();
  for (const ends of known) {
    const named = keyAt(c, ends, SENDER);
    if (named?.kind === 'current') continue;
    const what = named
      ? `that of ${named.what.replace(/ (?:that|in place of|derived for) .*$/, '')}`
      : 'none that follows from the Secret and the nodes at hand';
    const name = named?.kind ?? 'none';
    const one = found.get(name);
    if (one) one.count++;
    else found.set(name, { count: 1, first: ends, what });
  }
  const others = pairs.differing.slice(0, MOST_OTHERS).filter(isListed);
  const fitsNone =
    (found.get('none')?.count ?? 0) === known.length &&
    !others.some((ends) => keyAt(c, ends, SENDER) ?? keyAt(c, ends, RECEIVER));
  const tried = known.length + others.length;
  if (fitsNone && tried > 0) {
    const sources = [...new Set(keys.map(({ source }) => source))];
    yield clusterFinding(
      'wrong-secret',
      `${namesOf(sources)} ${sources.length === 1 ? 'is' : 'are'} not the Secret of this cluster, or not of that time: no key of the ${count(tried, 'SA')} that it was tried on follows from it and the nodes.`,
      { count: tried, evidence: sources },
    );
    return;
  }
  for (const { count: n, first, what } of found.values()) {
    yield clusterFinding(
      'state-differs',
      `${grouped(n)} of ${count(known.length, 'SA')} whose ends agree ${n === 1 ? 'holds' : 'hold'} another key than the Secret yields: ${placeOf(c, first)} has ${what}.`,
      { ...endsOf(c, first), count: n, evidence: originsOf(c, first) },
    );
  }
}

/** `10.244.1.1 > 10.244.2.1, SPI 0x3` */
export function placeOf({ cluster }: ClusterCase, { sent }: Ends): string {
  const { table, addresses } = cluster.reader;
  return `${addresses.textOf(table.srcOf(sent))} > ${addresses.textOf(table.dstOf(sent))}, SPI 0x${table.spiOf(sent).toString(16)}`;
}

export function endsOf({ cluster }: ClusterCase, { sent }: Ends): { src: string; dst: string; spi: number } {
  const { table, addresses } = cluster.reader;
  return {
    src: addresses.textOf(table.srcOf(sent)),
    dst: addresses.textOf(table.dstOf(sent)),
    spi: table.spiOf(sent),
  };
}

/** Where the states of both ends are. */
export function originsOf({ cluster }: ClusterCase, { sent, received }: Ends): string[] {
  const { table } = cluster.reader;
  return (
    [
      [sent, SENDER],
      [received, RECEIVER],
    ] as const
  ).flatMap(([sa, side]) => {
    const facts = sa < 0 ? -1 : table.nodeOf(sa, side);
    return facts < 0 ? [] : [cluster.origin(facts, table.lineOf(sa, side))];
  });
}
