/**
 * `esplane xfrm --json`: the tree of a text as JSON, which `ip -j` does not give for xfrm.
 * @module
 */
import type { XfrmAlgorithm, XfrmEvent, XfrmPolicy, XfrmSeen, XfrmState, XfrmTree } from './xfrm-tree.ts';

/** A state as printed; `flags` holds the extra flags too. */
type AlgorithmJson = Omit<XfrmAlgorithm, 'line'>;
export type XfrmStateJson = Omit<XfrmState, 'extraFlags' | 'algorithms'> &
  XfrmSeen & { readonly algorithms: readonly AlgorithmJson[] };
export type XfrmEventJson = Omit<XfrmEvent, 'state'> & XfrmSeen & { readonly state: XfrmStateJson | null };

/** Several texts as one object. */
export interface XfrmJson {
  readonly states: readonly XfrmStateJson[];
  readonly policies: readonly (XfrmPolicy & XfrmSeen)[];
  readonly events: readonly XfrmEventJson[];
  readonly counts: Readonly<Record<string, number>>;
  readonly stat: Readonly<Record<string, number>>;
  /** Parts that are in no field, by `FILE:LINE`. */
  readonly unread: readonly { readonly origin: string; readonly word: string }[];
}

/** Joins what several texts hold. Keys are copied only when asked for. */
export function xfrmJson(trees: readonly XfrmTree[], { showKeys }: { readonly showKeys: boolean }): XfrmJson {
  const sum = (key: 'counts' | 'stat') => {
    const all: Record<string, number> = {};
    for (const tree of trees)
      for (const [name, n] of Object.entries(tree[key])) all[name] = (all[name] ?? 0) + n;
    return all;
  };
  const stateJson = ({ extraFlags, ...state }: XfrmState & XfrmSeen): XfrmStateJson => ({
    ...state,
    flags: [...state.flags, ...extraFlags],
    algorithms: state.algorithms.map((one) => algorithmJson(one, showKeys)),
  });
  return {
    states: trees.flatMap(({ states }) => states.map(stateJson)),
    policies: trees.flatMap(({ policies }) => policies),
    events: trees.flatMap(({ events }) =>
      events.map((event) => ({ ...event, state: event.state && stateJson(event.state) })),
    ),
    counts: sum('counts'),
    stat: sum('stat'),
    unread: trees.flatMap(({ source, unread }) =>
      unread.map(({ line, word }) => ({ origin: `${source}:${line}`, word })),
    ),
  };
}

function algorithmJson({ line: _, key, ...algorithm }: XfrmAlgorithm, showKeys: boolean): AlgorithmJson {
  return showKeys && key !== undefined ? { ...algorithm, key } : algorithm;
}
