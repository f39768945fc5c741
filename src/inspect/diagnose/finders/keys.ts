/**
 * ICV failures because the keys of both ends differ: which key the sender used, and why the receiver has another.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import { DROP } from '../../../ipsec/drop.ts';
import { formatAddress } from '../../../wire/address.ts';
import type { Evidence } from '../../evidence.ts';
import { type Case, countedAs, finding, keyIdOf, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';
import { type GuessKind, nameKey } from '../guesses.ts';
import { type Fit, type Stream, streamKey } from '../stream.ts';
import type { FindingCode } from '../table.ts';
import { type BothEnds, bothEnds, differentText, haveSameHash, originsOf, streamOf } from './hashes.ts';

const CODES: Readonly<Record<GuessKind, FindingCode>> = {
  former: 'wrong-key',
  'other-source': 'wrong-key',
  'stale-boot-id': 'stale-boot-id',
  'key-changed': 'key-changed',
  'other-id': 'key-changed',
  'not-per-tunnel': 'wrong-key',
  'esn-differs': 'esn-differs',
  'icv-length': 'icv-length-differs',
  'other-address': 'wrong-key',
};

export function* keys(c: Case): Generator<Finding> {
  const { streams, evidence } = c;
  let differing: Map<string, BothEnds> | undefined;
  for (const stream of streams) {
    if (stream.fate === 'gone') continue;
    for (const fit of stream.fits) yield explain(c, stream, fit);
    const early = stream.causes.get('in-the-clear');
    if (early) {
      const told = stream.possible.find(({ offloadedTo }) => offloadedTo !== undefined);
      yield finding(
        c,
        'not-encrypted-yet',
        `${streamName(stream, evidence)}: ${count(early.count, 'packet')} in the clear behind the IV, and where the ICV belongs there is none yet.${told ? ` The state says so, too: ${told.offloadedTo} encrypts them (${told.origin}).` : ''}`,
        {
          stream,
          tally: early,
          node: evidence.nameOf(stream.src),
          ...(told && { evidence: [told.origin] }),
        },
      );
    }
    const short = stream.causes.get('truncated');
    if (short && stream.ok === 0) {
      yield finding(
        c,
        'unknown-key',
        `${streamName(stream, evidence)}: ${count(short.count, 'packet')} ${stream.fate === 'unopened' ? 'not opened' : `dropped${countedAs(stream, PROTO_ERROR)}`}: too short for IV and ICV of ${suiteOf(stream)}, or no whole number of its blocks. The sender has another algorithm or ICV length, or they were cut off.`,
        {
          stream,
          tally: short,
          counter: PROTO_ERROR,
          ...(stream.fate === 'unopened' && { severity: 'warning' }),
        },
      );
    }
    const none = stream.causes.get('no-key');
    if (!none || !isUnknown(stream)) continue;
    differing ??= new Map(
      bothEnds(evidence).flatMap((ends) => (haveSameHash(ends) ? [] : [[streamOf(ends), ends]])),
    );
    const ends = differing.get(streamKey(stream.src, stream.dst, stream.spi));
    const hashes = ends ? ` ${capital(differentText(ends, evidence))}.` : '';
    yield finding(
      c,
      ends ? 'wrong-key' : 'unknown-key',
      `${streamName(stream, evidence)}: ${count(none.count, 'packet')} ${dropped(stream, none.count)}. Tried in vain: the key that counts${tried(stream)}.${hashes}`,
      {
        stream,
        tally: none,
        counter: PROTO_ERROR,
        ...(stream.fate === 'unopened' && !ends && { severity: 'warning' }),
        ...(ends && { evidence: originsOf(ends) }),
      },
    );
  }
}

/**
 * Did no key at hand open packets of a stream? What its receiver holds is at hand then: else they may open with that.
 */
export function isUnknown({ fate, causes, resolution }: Stream): boolean {
  return fate !== 'gone' && (causes.get('no-key')?.count ?? 0) > 0 && resolution.atReceiver !== 'other-key';
}

function capital(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}`;
}

const PROTO_ERROR = 'XfrmInStateProtoError';

/** The window is asked before the key is. */
function dropped(stream: Stream, packets: number): string {
  if (stream.fate === 'unopened') return 'not opened';
  return (stream.verdicts.get(DROP['bad-icv']) ?? 0) >= packets
    ? `with a wrong ICV${countedAs(stream, PROTO_ERROR)}`
    : 'that begin to count again, with IVs of another counter and another key (XfrmInStateSeqError while the numbers were seen, then XfrmInStateProtoError)';
}

function tried({ guessed: n }: Stream): string {
  if (n === undefined)
    return '; other keys were not tried, as too many packets of other streams open with none';
  return n === 0
    ? '; there is no other key at hand'
    : ` and ${count(n, 'other key')} made from what is at hand`;
}

function suiteOf({ resolution }: Stream): string {
  return resolution.candidates[0]?.keys.suite.name ?? 'the SA';
}

function explain(c: Case, stream: Stream, { guess, tally }: Fit): Finding {
  const { evidence } = c;
  const failed =
    stream.fate === 'unopened' ? 'not opened' : `with a wrong ICV${countedAs(stream, PROTO_ERROR)}`;
  const where = `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} ${failed}`;
  const opens = `They open with ${guess.what}`;
  const [sender, receiver] = [evidence.nameOf(stream.src), evidence.nameOf(stream.dst)];
  const { held: states, atReceiver } = stream.resolution;
  const held = states[0]?.config;
  const isOther = atReceiver === 'other-key';
  const say = (code: FindingCode, more: string) =>
    finding(c, code, `${where}. ${opens}${more}.`, { stream, tally, counter: PROTO_ERROR });
  if (guess.kind === 'esn-differs' || guess.kind === 'icv-length') return say(CODES[guess.kind], '');
  if (guess.kind === 'former') {
    const why = `${receiver} has replaced it (a new boot id, or another key under the same id), and ${sender} has not`;
    return say('wrong-key', `: ${why}`);
  }
  if (!held && !isOther) {
    const why =
      guess.kind === 'stale-boot-id'
        ? `: ${sender} has not seen the other end's new boot id, or the list of nodes is older than the capture`
        : '';
    return say(CODES[guess.kind], `, and not with the one that the sources give${why}`);
  }
  // Which of the two is the one that should be?
  const { sa } = states[0]!;
  const theirs = guess.kind === 'other-source' ? nameKey(evidence, { ...sa, keys: guess.keys }) : guess;
  // A key that is known by its hash alone is none of those that follow from what is at hand.
  const ours = held && nameKey(evidence, held);
  if (ours && ours.kind !== 'current') {
    return say(CODES[ours.kind], `; the kernel of ${receiver} holds ${ours.what}`);
  }
  if (theirs && theirs.kind !== 'current' && theirs.kind !== 'other-source') {
    const which = guess.kind === 'other-source' ? `, which is ${theirs.what}` : '';
    return say(
      CODES[theirs.kind],
      `${which}: ${sender} is out of date${ours ? `, ${receiver} has the current one` : ''}`,
    );
  }
  const another = `; the kernel of ${receiver} holds another one${isOther ? `, by its hash (${sa.origin})` : ''}`;
  if (guess.kind !== 'other-source') return say(CODES[guess.kind], another);
  // No key at hand is the odd one: then it shows in the other SAs of the node that holds it.
  const odd = ours ? stream.src : stream.dst;
  const { same, different, example } = compareOthers(stream, odd, evidence);
  const name = evidence.nameOf(odd);
  if (same > 0) {
    const peer = odd === stream.dst ? sender : receiver;
    return say(
      'stale-boot-id',
      `${another}. ${example} is right on ${name}, so the Secret is the same there, and what differs is a boot id: the one of ${peer} that ${name} used is out of date, and it is none at hand`,
    );
  }
  if (different > 0) {
    return say(
      'key-changed',
      `${another}. On ${name} it is the same for ${count(different, 'other SA')} under ${keyIdOf(stream.spi)}, so the key itself differs`,
    );
  }
  return say('wrong-key', another);
}

/** Are the other SAs that a node holds under this SPI what the other sources say? */
function compareOthers(stream: Stream, node: string, evidence: Evidence) {
  let same = 0;
  let different = 0;
  let example = '';
  for (const state of evidence.heldBy(node)) {
    const src = formatAddress(state.sa.src);
    const dst = formatAddress(state.sa.dst);
    if (state.sa.spi !== stream.spi || (src === stream.src && dst === stream.dst)) continue;
    const agrees = evidence.elsewhere(state).map(({ config }) => evidence.holdsKey(state, config.keys));
    if (agrees.length === 0 || agrees.includes(undefined)) continue;
    if (agrees.includes(true)) {
      same++;
      example = `The key of ${src} > ${dst} under the same ${keyIdOf(stream.spi)}`;
    } else different++;
  }
  return { same, different, example };
}
