/**
 * The metrics of a Cilium agent's IPsec (`pkg/datapath/linux/ipsec/xfrm_collector.go`): the same names, labels and
 * types, so that dashboards and alerts made for Cilium work. All are gauges there, the errors too, and errors that never
 * came are shown as 0.
 * @module
 */
import { by, type Family } from './family.ts';
import { XFRM_COUNTERS } from './xfrm-counters.ts';

export const CILIUM_FAMILIES: readonly Family[] = [
  {
    name: 'cilium_ipsec_xfrm_error',
    help: 'Packets dropped, by the error that the kernel would count (/proc/net/xfrm_stat).',
    samples: ({ stats }) =>
      XFRM_COUNTERS.map(({ counter, type, error }) => [{ type, error }, stats.xfrm[counter] ?? 0]),
  },
  {
    name: 'cilium_ipsec_keys',
    help: 'Different keys in use over all SAs.',
    samples: ({ stats }) => stats.keys,
  },
  {
    name: 'cilium_ipsec_xfrm_states',
    help: 'SAs (XFRM states), by direction.',
    samples: ({ stats: { sas } }) => {
      const count = (direction: 'in' | 'out') => sas.filter((sa) => sa.direction === direction).length;
      return by('direction', { in: count('in'), out: count('out') });
    },
  },
  {
    name: 'cilium_ipsec_xfrm_policies',
    help: 'Policies (XFRM policies), by direction.',
    samples: ({ stats }) => by('direction', stats.policies),
  },
];
