/**
 * Sources that do not agree: kernels, keys and nodes, tables. Where packets already show it, the other finders say so.
 * @module
 */
import { formatAddress } from '../../../wire/address.ts';
import { type Case, finding, ofState, stateName, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';
import { streamKey } from '../stream.ts';
import { type BothEnds, bothEnds, differentText, haveSameHash, originsOf, streamOf } from './hashes.ts';
import { isUnknown } from './keys.ts';

/** SAs of which it is said that both ends hold the same key. */
const MOST_AGREEING = 20;

export function* contradictions(c: Case): Generator<Finding> {
  const { evidence, streams } = c;
  const told = new Set<string>();
  const unknown = new Set<string>();
  for (const stream of streams) {
    const { held, others } = stream.resolution;
    const candidates = stream.resolution.candidates.filter(
      (one) => !stream.resolution.otherWay.includes(one),
    );
    const name = streamKey(stream.src, stream.dst, stream.spi);
    if (stream.fits.length > 0) told.add(name);
    if (isUnknown(stream)) unknown.add(name);
    const [first] = candidates;
    if (!first || candidates.length < 2 || candidates.every(({ keys }) => keys.equals(first.keys))) continue;
    told.add(name);
    const sources =
      held.length > 0
        ? held.map(({ config, file }) => ({ config: config!, who: file })).filter(({ config }) => config)
        : others;
    const winner = sources.find(({ config }) => stream.winner && config.keys.equals(stream.winner));
    const losers = sources.filter(({ config }) => !winner?.config.keys.equals(config.keys));
    const names = (some: typeof sources) => [...new Set(some.map(({ who }) => who))].join(' and ');
    const found = {
      stream,
      tally: stream.all,
      frames: stream.all.frames.slice(0, 5),
      evidence: [...new Set(sources.map(({ who }) => who))],
    };
    const where = `${streamName(stream, evidence)}: ${names(sources)}`;
    if (winner && losers.every(({ config }) => config.keys.equalsButIcv(winner.config.keys))) {
      const lengths = [...new Set(sources.map(({ config }) => config.keys.suite.icvLen * 8))];
      yield finding(
        c,
        'icv-length-differs',
        `${where} give the same key and ICVs of ${lengths.join(' and ')} bits. The packets have ${winner.config.keys.suite.icvLen * 8}, as ${winner.who} says; a receiver that does as ${names(losers)} says drops them.`,
        found,
      );
      continue;
    }
    yield finding(
      c,
      'contradicting-keys',
      `${where} give different keys. ${
        winner
          ? `The packets open with that of ${winner.who}, so it counts; that of ${names(losers)} does not fit.`
          : 'None of them opens the packets.'
      }`,
      found,
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
  yield* byHashes(c, told, unknown);
  const pairs = new Set<string>();
  for (const state of evidence.states) {
    const { sa, holder, file } = state;
    const name = `${formatAddress(sa.src)} ${formatAddress(sa.dst)} ${sa.spi}`;
    if (holder === undefined || told.has(name)) continue;
    for (const { config: other, who } of evidence.elsewhere(state)) {
      const what =
        evidence.holdsKey(state, other.keys) === false
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

/**
 * Where cilium-bugtool has put hashes in the place of keys: does the other end have the same?
 * @param told what packets show, by source, destination and SPI
 * @param unknown streams that no key at hand opens: what is said of them says this, too
 */
function* byHashes(c: Case, told: Set<string>, unknown: ReadonlySet<string>): Generator<Finding> {
  const { evidence } = c;
  const agreeing: BothEnds[] = [];
  for (const ends of bothEnds(evidence)) {
    const [{ sa }] = ends;
    if (haveSameHash(ends)) {
      agreeing.push(ends);
      continue;
    }
    const place = streamOf(ends);
    if (told.has(place)) continue;
    told.add(place);
    if (unknown.has(place)) continue;
    yield finding(c, 'wrong-key', `${stateName(sa)}: ${differentText(ends, evidence)}.`, {
      ...ofState(sa, evidence),
      basis: 'told',
      evidence: originsOf(ends),
    });
  }
  for (const ends of agreeing.slice(0, MOST_AGREEING)) {
    const [one, other] = ends;
    yield finding(
      c,
      'same-key',
      `${stateName(one.sa)}: the kernels of ${evidence.nameOf(one.holder!)} and ${evidence.nameOf(other.holder!)} hold the same key: their texts have the same hash in its place.`,
      { ...ofState(one.sa, evidence), evidence: originsOf(ends) },
    );
  }
}
