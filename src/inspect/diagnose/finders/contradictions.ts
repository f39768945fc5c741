/**
 * Sources that do not agree: kernels, keys and nodes, tables. Where packets already show it, the other finders say so.
 * @module
 */
import { formatAddress } from '../../../wire/address.ts';
import { type Case, finding, ofState, stateName, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';

export function* contradictions(c: Case): Generator<Finding> {
  const { evidence, streams } = c;
  const told = new Set<string>();
  for (const stream of streams) {
    const { candidates, held, others } = stream.resolution;
    const name = `${stream.src} ${stream.dst} ${stream.spi}`;
    if (stream.fits.length > 0) told.add(name);
    const [first] = candidates;
    if (!first || candidates.length < 2 || candidates.every(({ keys }) => keys.equals(first.keys))) continue;
    told.add(name);
    const sources =
      held.length > 0
        ? held.map(({ config, file }) => ({ config: config!, who: file })).filter(({ config }) => config)
        : others;
    const winner = sources.find(({ config }) => stream.winner && config.keys.equals(stream.winner));
    const losers = sources.filter(({ config }) => !winner?.config.keys.equals(config.keys));
    yield finding(
      c,
      'contradicting-keys',
      `${streamName(stream, evidence)}: ${[...new Set(sources.map(({ who }) => who))].join(' and ')} give different keys. ${
        winner
          ? `The packets open with that of ${winner.who}, so it counts; that of ${[...new Set(losers.map(({ who }) => who))].join(' and ')} does not fit.`
          : 'None of them opens the packets.'
      }`,
      {
        stream,
        tally: stream.all,
        frames: stream.all.frames.slice(0, 5),
        evidence: [...new Set(sources.map(({ who }) => who))],
      },
    );
  }
  for (const key of evidence.old.keys) {
    const now = evidence.cluster.keys.find(({ id, scope }) => id === key.id && !scope);
    if (!now || key.scope || now.material.equals(key.material)) continue;
    const used = streams.filter(({ spi, fits }) => spi === key.id && fits.length > 0);
    if (used.length > 0) continue;
    yield finding(
      c,
      'contradicting-keys',
      `${key.source}:${key.line} and ${now.source}:${now.line} have different keys under id ${key.id}. The one given last counts; no packet opens with the other.`,
      { spi: key.id, count: 0, evidence: [key, now].map(({ source, line }) => `${source}:${line}`) },
    );
  }
  const pairs = new Set<string>();
  for (const state of evidence.states) {
    const { sa, config, holder, file } = state;
    const name = `${formatAddress(sa.src)} ${formatAddress(sa.dst)} ${sa.spi}`;
    if (holder === undefined || told.has(name)) continue;
    for (const { config: other, who } of evidence.elsewhere(state)) {
      const what =
        config && !config.keys.equals(other.keys)
          ? 'another key'
          : sa.esn !== other.esn
            ? 'another ESN setting'
            : '';
      if (what === '' || pairs.has(name)) continue;
      pairs.add(name);
      yield finding(
        c,
        'state-differs',
        `The kernel of ${evidence.nameOf(holder)} (${file}) holds ${what} for ${stateName(sa)} than ${who}. No packet of this capture went that way, or could show it.`,
        { ...ofState(sa, evidence), node: evidence.nameOf(holder) },
      );
    }
  }
}
