/**
 * Pairs of nodes that have one trouble, put together by the nodes that have it: a thousand nodes have a million pairs, and
 * the trouble is most often that of one node.
 * @module
 */

/** Nodes that have a trouble with others. */
export interface Group {
  /** One node, or several that have none with each other. */
  readonly nodes: readonly number[];
  /** The others. */
  readonly peers: readonly number[];
  /** Pairs in the order `[from, to]`, the first ones. */
  readonly shown: readonly (readonly [number, number])[];
  /** How many there are, each way counted. */
  readonly count: number;
}

const MOST_SHOWN = 64;

/**
 * Groups pairs by nodes, those with most trouble first.
 * @param size number of nodes
 * @param has is this one of the pairs?
 * @param agrees do the nodes of a pair go together, as they hold the same keys? Left out, each node is its own group.
 */
export function groupPairs(
  size: number,
  has: (from: number, to: number) => boolean,
  agrees?: (from: number, to: number) => boolean,
): Group[] {
  const degree = new Int32Array(size);
  const matrix = new Uint8Array(size * size);
  let left = 0;
  for (let from = 0; from < size; from++) {
    for (let to = 0; to < size; to++) {
      if (from === to || !has(from, to)) continue;
      matrix[from * size + to] = 1;
      left++;
      degree[from]!++;
      degree[to]!++;
    }
  }
  if (left === 0) return [];
  const groups: Group[] = [];
  const take = (nodes: readonly number[], isInside: (node: number) => boolean) => {
    const peers = new Set<number>();
    const shown: (readonly [number, number])[] = [];
    let count = 0;
    for (const node of nodes) {
      for (let other = 0; other < size; other++) {
        if (isInside(other)) continue;
        for (const [from, to] of [
          [node, other],
          [other, node],
        ] as const) {
          if (matrix[from * size + to] === 0) continue;
          matrix[from * size + to] = 0;
          degree[from]!--;
          degree[to]!--;
          count++;
          peers.add(other);
          if (shown.length < MOST_SHOWN) shown.push([from, to]);
        }
      }
    }
    left -= count;
    if (count > 0) groups.push({ nodes, peers: [...peers], shown, count });
  };
  if (agrees) {
    const parts = componentsOf(size, agrees);
    // The largest part is what the others differ from.
    for (const part of parts.slice(0, -1)) {
      if (left === 0) break;
      if (!part.some((node) => degree[node]! > 0)) continue;
      const inside = new Set(part);
      take(part, (node) => inside.has(node));
    }
  }
  while (left > 0) {
    let worst = 0;
    for (let node = 1; node < size; node++) if (degree[node]! > degree[worst]!) worst = node;
    take([worst], (node) => node === worst);
  }
  return groups.sort((a, b) => b.count - a.count);
}

/** Nodes that hang together, the largest part last. */
function componentsOf(size: number, agrees: (from: number, to: number) => boolean): number[][] {
  const parent = Int32Array.from({ length: size }, (_, i) => i);
  const root = (node: number): number => {
    let at = node;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!;
      at = parent[at]!;
    }
    return at;
  };
  for (let from = 0; from < size; from++) {
    for (let to = from + 1; to < size; to++) {
      if (agrees(from, to) && agrees(to, from)) parent[root(from)] = root(to);
    }
  }
  const parts = new Map<number, number[]>();
  for (let node = 0; node < size; node++) {
    const part = parts.get(root(node));
    if (part) part.push(node);
    else parts.set(root(node), [node]);
  }
  return [...parts.values()].sort((a, b) => a.length - b.length);
}
