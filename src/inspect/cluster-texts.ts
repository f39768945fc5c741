/**
 * Cilium's keys and nodes, each of several texts, put together: as one cluster, or as one that changed.
 * @module
 */
import { type CiliumKey, mergeKeys } from '../cilium/keys.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import { ClusterPlan, type PlanOptions } from '../cilium/plan.ts';
import { few, type Omission } from '../sa-text/omission.ts';
import type { PlanText } from '../sa-text/sa-texts.ts';
import { formatAddress } from '../wire/address.ts';
import type { ClusterText } from './evidence.ts';

/** What each text holds. */
export interface ClusterTexts {
  readonly keys: readonly (readonly CiliumKey[])[];
  readonly nodes: readonly (readonly CiliumNode[])[];
}

/**
 * The SAs of the cluster that all texts together describe.
 * @throws {InputError} when they contradict each other
 */
export function planOfTexts(texts: ClusterTexts, options: PlanOptions): PlanText {
  const keys = mergeKeys(...texts.keys);
  const nodes = texts.nodes.flat();
  const plan = new ClusterPlan(keys, nodes, options);
  return { plan, omitted: lacksOf(plan), warnings: missingKeys(keys, nodes) };
}

/** Of keys and nodes that are given twice the last one counts; the others are how it was before. */
export function historyOfTexts(texts: ClusterTexts): { now: ClusterText; old: ClusterText } {
  const keys = new Map<string, CiliumKey>();
  const nodes = new Map<string, CiliumNode>();
  const old: { keys: CiliumKey[]; nodes: CiliumNode[] } = { keys: [], nodes: [] };
  for (const key of texts.keys.flat()) {
    const slot = `${key.id} ${key.scope ? formatAddress(key.scope) : ''}`;
    const before = keys.get(slot);
    if (before && !before.material.equals(key.material)) old.keys.push(before);
    keys.set(slot, key);
  }
  for (const node of texts.nodes.flat()) {
    const before = nodes.get(node.name);
    if (before) old.nodes.push(before);
    nodes.set(node.name, node);
  }
  return { now: { keys: [...keys.values()], nodes: [...nodes.values()] }, old };
}

/** What texts say of a cluster as it is, and was, and what is odd about them. */
export interface ClusterEvidence {
  readonly now: ClusterText;
  readonly old: ClusterText;
  /** Absent without keys. */
  readonly plan: ClusterPlan | undefined;
  readonly omitted: readonly Omission[];
  readonly warnings: readonly string[];
}

export interface ClusterOptions extends PlanOptions {
  /** Boot ids that nodes say of themselves, by name. */
  readonly bootIds?: ((name: string) => OwnBootId | undefined) | undefined;
  /** Packets are to be opened: each text that does not count is named. A diagnosis tries them all, and says what it finds. */
  readonly needsKeys?: boolean | undefined;
}

/** The cluster that texts describe, which may contradict each other. */
export function clusterEvidence(texts: ClusterTexts, options: ClusterOptions): ClusterEvidence {
  const { bootIds = () => undefined, needsKeys } = options;
  const { now, old } = byOwnBootIds(historyOfTexts(texts), bootIds);
  const plan = now.keys.length > 0 ? new ClusterPlan(now.keys, now.nodes, options) : undefined;
  const warnings = [...missingKeys(now.keys, now.nodes), ...(needsKeys ? supersededBy(now, old) : [])];
  return { now, old, plan, omitted: lacksOf(plan), warnings };
}

/** What a node itself says of its boot id. */
export interface OwnBootId {
  readonly bootId: string;
  /** The file that says so. */
  readonly source: string;
}

/**
 * Of several lists that counts, for each node, which has the boot id that the node itself says. Where none has, that id is one
 * more that keys may be made of.
 * @param ownOf by name of a node; `undefined` where it is not told
 */
export function byOwnBootIds(
  { now, old }: { readonly now: ClusterText; readonly old: ClusterText },
  ownOf: (name: string) => OwnBootId | undefined,
): { now: ClusterText; old: ClusterText } {
  const others = new Map<string, CiliumNode[]>();
  for (const node of old.nodes) others.set(node.name, [...(others.get(node.name) ?? []), node]);
  const nodes = now.nodes.map((node) => {
    const own = ownOf(node.name);
    if (!own || own.bootId === node.bootId) return node;
    const before = others.get(node.name) ?? [];
    const found = before.find(({ bootId }) => bootId === own.bootId);
    const rest = before.filter((one) => one !== found);
    others.set(node.name, [...rest, found ? node : { ...node, ...own }]);
    return found ?? node;
  });
  return { now: { ...now, nodes }, old: { ...old, nodes: [...others.values()].flat() } };
}

/** What contradicts a later text, and therefore does not count: one line each, without keys. */
export function supersededBy(now: ClusterText, old: ClusterText): string[] {
  const keys = old.keys.map(({ id, source, line }) => {
    const last = now.keys.findLast((key) => key.id === id)!;
    return `key id ${id} is another key in ${source}:${line} and in ${last.source}:${last.line}: the last one counts`;
  });
  const nodes = old.nodes.flatMap(({ name, bootId, source }) => {
    const last = now.nodes.find((node) => node.name === name)!;
    return last.bootId === bootId
      ? []
      : [`node ${name} has another boot id in ${source} and in ${last.source}: the last one counts`];
  });
  return [...new Set([...keys, ...nodes])];
}

/** Nodes with which there are no SAs, or fewer, the first ones of many. */
export function lacksOf(plan: ClusterPlan | undefined): Omission[] {
  const lacks = (plan?.lacks ?? []).map(({ origin, why, remedy }) => ({ origin, why, remedy }));
  return few(lacks, lacks[0]?.origin ?? '');
}

/** Nodes that say they use a key which was not given. */
export function missingKeys(keys: readonly CiliumKey[], nodes: readonly CiliumNode[]): string[] {
  if (keys.length === 0) return [];
  const ids = new Set(keys.map((key) => key.id));
  const lacking = nodes.filter((node) => node.keyId > 0 && !ids.has(node.keyId));
  const [first] = lacking;
  if (!first) return [];
  const others = lacking.length > 1 ? ` and ${lacking.length - 1} more` : '';
  return [`node ${first.name}${others} uses key id ${first.keyId}, which is not among --keys`];
}
