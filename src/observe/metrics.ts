/**
 * All metric families of a node, in the order in which they are exposed. Tables and figures only; `prometheus.ts` makes
 * the text.
 *
 * Labels name peers, SAs and rows of fixed tables, so the number of series grows with the cluster and not with its
 * traffic. Keys are nowhere among them.
 * @module
 */
import { CILIUM_FAMILIES } from './cilium-metrics.ts';
import type { Family } from './family.ts';
import { NODE_FAMILIES } from './node-metrics.ts';
import { SA_FAMILIES } from './sa-metrics.ts';

export const FAMILIES: readonly Family[] = [...CILIUM_FAMILIES, ...SA_FAMILIES, ...NODE_FAMILIES];
