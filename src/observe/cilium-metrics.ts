/**
 * The metrics of a Cilium agent's IPsec (`pkg/datapath/linux/ipsec/xfrm_collector.go`): the same names, labels and
 * types, so that dashboards and alerts made for Cilium work. All are gauges there, the errors too, and errors that never
 * came are shown as 0.
 * @module
 */
import { type Family, single } from './family.ts';
import { XFRM_COUNTERS } from './xfrm-counters.ts';

export const CILIUM_FAMILIES: readonly Family[] = [
  {
    name: 'cilium_ipsec_xfrm_error',
    type: 'gauge',
    help: 'Packets dropped, by the error that the kernel would count (/proc/net/xfrm_stat).',
    labels: ['type', 'error'],
    samples: ({ stats }) =>
      XFRM_COUNTERS.map(({ counter, type, error }) => [{ type, error }, stats.xfrm[counter] ?? 0]),
  },
  {
    name: 'cilium_ipsec_keys',
    type: 'gauge',
    help: 'Different keys in use over all SAs.',
    labels: [],
    samples: ({ stats }) => single(stats.keys),
  },
  {
    name: 'cilium_ipsec_xfrm_states',
    type: 'gauge',
    help: 'SAs (XFRM states), by direction.',
    labels: ['direction'],
    samples: ({ stats }) =>
      (['in', 'out'] as const).map((direction) => [
        { direction },
        stats.sas.filter((sa) => sa.direction === direction).length,
      ]),
  },
  {
    name: 'cilium_ipsec_xfrm_policies',
    type: 'gauge',
    help: 'Policies (XFRM policies), by direction.',
    labels: ['direction'],
    samples: ({ stats }) =>
      (['in', 'out', 'fwd'] as const).map((direction) => [{ direction }, stats.policies[direction]]),
  },
];
