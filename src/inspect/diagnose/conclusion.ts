/**
 * What can be said of a capture as a whole: that nothing is wrong only where every ESP packet was judged by what the
 * receivers' own kernels hold; and else as far as what is it known by, or that nothing could be checked, and what to give.
 * @module
 */
import { count, grouped } from '../../base/count-text.ts';
import { DROP } from '../../ipsec/drop.ts';
import type { Case } from './case.ts';
import type { Conclusion, Finding, ReceiverReport } from './finding.ts';
import type { Stream } from './stream.ts';
import { countOf } from './tally.ts';

/** Nodes and sources that a sentence names. */
const MOST_NAMES = 3;

/** @param findings those that are no notes */
export function conclude(c: Case, findings: readonly Finding[]): Conclusion {
  const { receivers, streams } = c;
  const packets =
    streams.reduce((sum, stream) => sum + stream.packets, 0) +
    countOf([c.strange.tally, c.closed.tally, ...c.headerErrors.values()]) +
    c.nested;
  const judged = receivers.reduce((sum, receiver) => sum + receiver.judged, 0);
  const unread = [...c.notRead].map(([what, n]) => `${count(n, 'frame')} of ${what}`);
  const others =
    unread.length > 0
      ? `Whether ${list(unread)} ${unread.length > 1 ? 'hold' : 'holds'} ESP was not looked into.`
      : '';
  const isAll = judged === packets && others === '';
  const isTold = isAll && receivers.every(({ basis }) => basis === 'told');
  const basis = isTold && packets > 0 ? 'told' : 'assumed';
  const say = (code: Conclusion['code'], ...sentences: string[]): Conclusion => ({
    code,
    basis,
    packets,
    judged,
    summary: sentences.filter((sentence) => sentence !== '').join(' '),
  });
  if (packets === 0) {
    const none =
      c.frames > 0
        ? 'No ESP packet was found in this capture.'
        : 'There is no frame: only the texts were checked.';
    return say(findings.length > 0 ? 'findings' : 'no-esp', none, others);
  }
  if (judged === 0)
    return say(
      findings.length > 0 ? 'findings' : 'unchecked',
      'Nothing could be checked.',
      ...wanted(c),
      others,
    );
  const left = packets - judged;
  const rest =
    left > 0 ? [`${count(left, 'ESP packet')} could not be checked.`, ...wanted(c), others] : [others];
  if (findings.length > 0) return say('findings', ...rest, isTold ? '' : proviso(c));
  const what = !isAll
    ? `nothing is wrong with ${grouped(judged)} of ${count(packets, 'ESP packet')}`
    : 'nothing is wrong in this capture';
  if (isTold) return say('clean', 'Nothing is wrong in this capture.', aboutPolicies(streams));
  const sources = sourcesOfAssumed(c);
  const sentence =
    sources.length === 0
      ? `N${what.slice(1)}.`
      : `As far as ${list(sources)} ${sources.length > 1 || sources[0]!.includes(' and ') ? 'tell' : 'tells'}, ${what}.`;
  return say(isAll ? 'clean' : 'partial', sentence, ...rest, proviso(c));
}

function aboutPolicies(streams: readonly Stream[]): string {
  const ok = streams.reduce((sum, stream) => sum + stream.ok + stream.unauthenticated, 0);
  const ruled = streams.reduce((sum, stream) => sum + stream.ruled, 0);
  if (ruled === 0) return 'Inbound policies were not judged.';
  return ruled === ok
    ? 'Inbound policies let all packets pass.'
    : `Inbound policies were judged for ${grouped(ruled)} of ${count(ok, 'packet')}.`;
}

/** What the table of counters is headed by: they are told where all receivers told what SAs they have. */
export function countersHead(receivers: readonly ReceiverReport[]): string {
  const isTold = receivers.every(({ basis, judged }) => basis === 'told' || judged === 0);
  return isTold
    ? 'What the receiving kernels count'
    : 'What the receiving kernels would count, as far as is known';
}

/** What to give, so that more can be judged. */
function wanted({ streams, evidence, strange, closed, nested }: Case): string[] {
  if (!evidence.hasSas) {
    if (evidence.isUnusable)
      return [
        'No security association in the given texts can be used; what was left out, and why, is named above.',
      ];
    return ['No security associations are given: give --keys with --nodes, or --xfrm-state, or --esp-sa.'];
  }
  const of = (isOne: (stream: Stream) => boolean) =>
    names(streams.filter(isOne).map(({ dst }) => evidence.nameOf(dst)));
  const said: string[] = [];
  const hidden = of(({ fate, verdicts }) => fate === 'unread' || verdicts.has(DROP['key-hidden']));
  if (hidden !== '')
    said.push(
      `The text of ${hidden} shows no keys: run \`ip -s xfrm state\` as root without \`nokeys\`, or give --keys and --nodes.`,
    );
  const unchecked = streams.reduce((sum, { unauthenticated }) => sum + unauthenticated, 0);
  if (unchecked > 0)
    said.push(
      `${count(unchecked, 'packet')} ${unchecked === 1 ? 'was' : 'were'} opened unauthenticated: no ICV was checked, and any may be forged. Give the integrity key too.`,
    );
  if (nested > 0)
    said.push(
      `${count(nested, 'packet')} of ESP ${nested === 1 ? 'lies' : 'lie'} in ESP, and no source has an SA for ${nested === 1 ? 'it' : 'them'}.`,
    );
  const early = of(({ fate }) => fate === 'unencrypted');
  if (early !== '')
    said.push(`The packets to ${early} were taken before they were encrypted: capture at the receiver.`);
  const elsewhere = of(({ fate, fits }) => fate === 'unopened' && fits.length > 0);
  if (elsewhere !== '')
    said.push(
      `Packets to ${elsewhere} open with another key than the sources give: give \`ip -s xfrm state\` of that node to see which one it has.`,
    );
  const closedAt = of(
    ({ fate, fits, resolution }) =>
      fate === 'unopened' && fits.length === 0 && resolution.candidates.length > 0,
  );
  if (closedAt !== '' || closed.streams.count > 0)
    said.push(
      `No key at hand opens the packets to ${closedAt || 'these nodes'}: give \`ip -s xfrm state\` of that node, or the keys and nodes of the time of the capture.`,
    );
  const strangers = of(
    ({ fate, resolution }) =>
      fate === 'foreign' ||
      (resolution.candidates.length === 0 && (fate === 'unopened' || fate === 'retired')),
  );
  if (strangers !== '' || strange.streams.count > 0)
    said.push(
      `No source has an SA for packets to ${strangers || 'these nodes'}: give \`ip -s xfrm state\` of that node, or its keys and nodes.`,
    );
  return said;
}

/** What is said of a receiver holds if it has the SAs that others say. */
function proviso({ receivers, evidence }: Case): string {
  const assumed = names(
    receivers
      .filter(
        ({ basis, judged, address }) =>
          basis === 'assumed' && judged > 0 && evidence.heldBy(address).length === 0,
      )
      .map(({ node, address }) => node ?? address),
  );
  if (assumed === '') return '';
  const isOne = !assumed.includes(',') && !assumed.includes(' and ');
  return isOne
    ? `${assumed}'s own state was not given: if its counter rises, give \`ip -s xfrm state\` of ${assumed}.`
    : `The own states of ${assumed} were not given: if a counter there rises, give \`ip -s xfrm state\` of that node.`;
}

/** Who says what SAs the receivers have whose own texts are not at hand. */
function sourcesOfAssumed({ streams }: Case): string[] {
  const sources = new Set<string>();
  for (const { basis, isCounted, resolution } of streams) {
    if (basis !== 'assumed' || !isCounted) continue;
    for (const { who } of resolution.others) sources.add(who.replace(/:\d+$/, ''));
  }
  return [...sources];
}

function names(all: readonly string[]): string {
  return list([...new Set(all)]);
}

function list(words: readonly string[]): string {
  const shown = words.slice(0, MOST_NAMES);
  const left = words.length - shown.length;
  if (left > 0) return `${shown.join(', ')} and ${grouped(left)} more`;
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}` : (shown[0] ?? '');
}
