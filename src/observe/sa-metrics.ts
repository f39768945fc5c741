/**
 * What Cilium lacks: figures for each SA, and drops for each peer.
 *
 * An SA is named by its peer, direction, outer addresses and SPI. SAs that share all of these (states that only their
 * mark tells apart) share a series: counters add up, and of gauges the highest counts.
 * @module
 */
import type { SaReport } from '../node/stats.ts';
import { type Family, isCounter, type Labels, type Sample } from './family.ts';

const U32 = 2 ** 32;

/** What is asked of an SA; `undefined` where it has no such figure. */
type Figure = (sa: SaReport) => number | undefined;

/** Only an inbound SA with a window knows what is missing and what is late. */
const ofWindow =
  (figure: (sa: SaReport) => number): Figure =>
  (sa) =>
    sa.direction === 'in' && sa.window > 0 ? figure(sa) : undefined;

const sequenceOf = ({ seqHi, seqLo }: SaReport) => seqHi * U32 + seqLo;

export const SA_FAMILIES: readonly Family[] = [
  ofSa('packets_total', 'Packets carried.', ({ packets }) => packets),
  ofSa('bytes_total', 'Bytes of the inner packets carried.', ({ bytes }) => bytes),
  ofSa(
    'sequence_number',
    'Highest sequence number, sent or accepted, with the high half of extended numbers; exact up to 2^53.',
    sequenceOf,
  ),
  ofSa(
    'sequence_space_used_ratio',
    'Share of the sequence numbers that is used up: of 2^32, or of 2^64 with extended numbers. At 1 an SA stops.',
    (sa) => sequenceOf(sa) / (sa.esn ? U32 * U32 : U32),
  ),
  ofSa(
    'lost_packets_total',
    'Sequence numbers that left the replay window and never came (in).',
    ofWindow(({ lost }) => lost),
  ),
  {
    name: 'esplane_sa_late_packets_total',
    help: 'Packets that came after one with a higher number (in): accepted in the replay window, or dropped left of it. With extended numbers those left of it fail their ICV instead.',
    samples: ({ stats: { sas } }) => [
      ...sampled(
        sas,
        ofWindow(({ late }) => late),
        true,
        { outcome: 'accepted' },
      ),
      ...sampled(
        sas,
        ofWindow(({ replayWindow }) => replayWindow),
        true,
        { outcome: 'dropped' },
      ),
    ],
  },
  ofSa(
    'replayed_packets_total',
    'Packets dropped because their number had been accepted before (in).',
    ofWindow(({ replay }) => replay),
  ),
  ofSa('icv_failures_total', 'Packets dropped because their ICV was wrong (in).', (sa) =>
    sa.direction === 'in' ? sa.failed : undefined,
  ),
  {
    name: 'esplane_drops_total',
    help: 'Packets dropped, by the node at the other end (empty where nobody can tell), reason, and row of /proc/net/xfrm_stat (empty outside xfrm).',
    samples: ({ stats }) =>
      stats.peerDrops.map(({ peer, direction, reason, counter, count }) => [
        { peer: peer ?? '', direction, reason, counter: counter ?? '' },
        count,
      ]),
  },
];

function ofSa(of: string, help: string, figure: Figure): Family {
  const name = `esplane_sa_${of}`;
  return { name, help, samples: ({ stats }) => sampled(stats.sas, figure, isCounter({ name })) };
}

/** @param isSum are figures of SAs that share a series added up? @param more labels */
function sampled(sas: readonly SaReport[], figure: Figure, isSum: boolean, more?: Labels): Sample[] {
  return seriesOf(sas).flatMap(({ labels, members }): Sample[] => {
    const values = members.map(figure).filter((value) => value !== undefined);
    if (values.length === 0) return [];
    const value = values.reduce((a, b) => (isSum ? a + b : Math.max(a, b)));
    return [[more ? { ...labels, ...more } : labels, value]];
  });
}

/** SAs that share their labels. */
interface Series {
  readonly labels: Labels;
  readonly members: SaReport[];
}

/** All families of one scrape ask for the series of the same SAs. */
const SERIES = new WeakMap<readonly SaReport[], readonly Series[]>();

function seriesOf(sas: readonly SaReport[]): readonly Series[] {
  const known = SERIES.get(sas);
  if (known) return known;
  const byName = new Map<string, Series>();
  for (const sa of sas) {
    const { peer, direction, src, dst, spi } = sa;
    const name = `${peer ?? ''}\0${direction ?? ''}\0${src}\0${dst}\0${spi}`;
    const series = byName.get(name);
    if (series) series.members.push(sa);
    else {
      const labels = { peer: peer ?? '', direction: direction ?? '', src, dst, spi: String(spi) };
      byName.set(name, { labels, members: [sa] });
    }
  }
  const all = [...byName.values()];
  SERIES.set(sas, all);
  return all;
}
