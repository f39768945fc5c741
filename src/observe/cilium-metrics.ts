/**
 * The metrics of a Cilium agent's IPsec (`pkg/datapath/linux/ipsec/xfrm_collector.go`): the same names, labels,
 * types and help texts, so that dashboards and alerts made for Cilium work. All are gauges there, the errors too, and
 * errors that never came are shown as 0.
 * @module
 */
import { by, type Family } from './family.ts';
import { XFRM_COUNTERS } from './xfrm-counters.ts';

export const CILIUM_FAMILIES: readonly Family[] = [
  {
    name: 'cilium_ipsec_xfrm_error',
    help: 'Total number of xfrm errors',
    samples: ({ stats }) =>
      XFRM_COUNTERS.map(({ counter, type, error }) => [{ type, error }, stats.xfrm[counter] ?? 0]),
  },
  {
    name: 'cilium_ipsec_keys',
    help: 'Number of IPsec keys in use',
    samples: ({ stats }) => stats.keys,
  },
  {
    name: 'cilium_ipsec_xfrm_states',
    help: 'Number of XFRM states',
    samples: ({ stats: { sas } }) => {
      const count = (direction: 'in' | 'out') => sas.filter((sa) => sa.direction === direction).length;
      return by('direction', { in: count('in'), out: count('out') });
    },
  },
  {
    name: 'cilium_ipsec_xfrm_policies',
    help: 'Number of XFRM policies',
    samples: ({ stats }) => by('direction', stats.policies),
  },
];
