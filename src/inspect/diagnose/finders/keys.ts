/**
 * ICV failures because the keys of both ends differ: which key the sender used, and why the receiver has another.
 * @module
 */
import { formatAddress } from '../../../wire/address.ts';
import { type Case, count, finding, keyIdOf, streamName } from '../case.ts';
import type { Evidence, HeldSa } from '../evidence.ts';
import type { Finding } from '../finding.ts';
import { type GuessKind, nameKey } from '../guesses.ts';
import type { Fit, Stream } from '../stream.ts';
import type { FindingCode } from '../table.ts';

const CODES: Readonly<Record<GuessKind, FindingCode>> = {
  'other-source': 'wrong-key',
  'stale-boot-id': 'stale-boot-id',
  'key-changed': 'key-changed',
  'other-id': 'key-changed',
  'not-per-tunnel': 'wrong-key',
  'esn-differs': 'esn-differs',
  'other-address': 'wrong-key',
};

export function* keys({ streams, evidence }: Case): Generator<Finding> {
  for (const stream of streams) {
    if (stream.fate === 'gone') continue;
    for (const fit of stream.fits) yield explain(stream, fit, evidence);
    const none = stream.causes.get('no-key');
    if (!none || none.count === 0) continue;
    yield finding(
      'unknown-key',
      `${streamName(stream, evidence)}: ${count(none.count, 'packet')} with a wrong ICV (XfrmInStateProtoError). Tried in vain: the key that counts${tried(stream)}.`,
      none.frames,
    );
  }
}

function tried({ guesses = [] }: Stream): string {
  const n = guesses.length;
  return n === 0
    ? '; there is no other key at hand'
    : ` and ${count(n, 'other key')} made from what is at hand`;
}

function explain(stream: Stream, { guess, tally }: Fit, evidence: Evidence): Finding {
  const where = `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} with a wrong ICV (XfrmInStateProtoError)`;
  const opens = `They open with ${guess.what}`;
  const receiver = evidence.nameOf(stream.dst);
  const held = stream.resolution.held[0];
  const heldKeys = held?.config?.keys;
  if (guess.kind === 'esn-differs') {
    return finding('esn-differs', `${where}. ${opens}.`, tally.frames);
  }
  if (!held || !heldKeys || !held.config) {
    // Nobody knows what the receiver has: the packets differ from what keys and nodes say now.
    const late =
      guess.kind === 'stale-boot-id'
        ? `, so ${evidence.nameOf(stream.src)} has not seen the other end's new boot id, or the list of nodes is old`
        : '';
    return finding(
      CODES[guess.kind],
      `${where} under the key that the sources give. ${opens}${late}.`,
      tally.frames,
    );
  }
  const name = nameKey(evidence, held.config);
  if (guess.kind === 'stale-boot-id') {
    const there =
      name?.kind === 'current'
        ? ', and the kernel of the receiver has the one with the current boot ids'
        : '';
    return finding(
      'stale-boot-id',
      `${where}. ${opens}: ${evidence.nameOf(stream.src)} is out of date${there}.`,
      tally.frames,
    );
  }
  if (name && name.kind !== 'current') {
    return finding(
      CODES[name.kind],
      `${where}. ${opens}; the kernel of ${receiver} holds ${name.what}.`,
      tally.frames,
    );
  }
  if (guess.kind !== 'other-source') {
    return finding(
      CODES[guess.kind],
      `${where}. ${opens}; the kernel of ${receiver} holds another one.`,
      tally.frames,
    );
  }
  const others = compareOthers(stream, held, evidence);
  if (others.same > 0) {
    return finding(
      'stale-boot-id',
      `${where}. ${opens}; the kernel of ${receiver} holds another one, which no boot id at hand gives. ${others.example} is right there, so its Secret is the same, and what differs is a boot id: the one of ${evidence.nameOf(stream.src)} that ${receiver} used is out of date.`,
      tally.frames,
    );
  }
  if (others.different > 0) {
    return finding(
      'key-changed',
      `${where}. ${opens}; the kernel of ${receiver} holds another one under the same ${keyIdOf(stream.spi)}, and so it is for ${count(others.different, 'other SA')} there, in both directions: the key itself differs.`,
      tally.frames,
    );
  }
  return finding(
    'wrong-key',
    `${where}. ${opens}; the kernel of ${receiver} holds another one.`,
    tally.frames,
  );
}

/** Are the other SAs that the receiver holds under this SPI what the other sources say? */
function compareOthers(stream: Stream, held: HeldSa, evidence: Evidence) {
  let same = 0;
  let different = 0;
  let example = '';
  for (const state of evidence.heldBy(stream.dst)) {
    if (state === held || !state.config || state.sa.spi !== stream.spi) continue;
    const src = formatAddress(state.sa.src);
    const dst = formatAddress(state.sa.dst);
    if (src === stream.src && dst === stream.dst) continue;
    const elsewhere = evidence.elsewhere(state);
    if (elsewhere.length === 0) continue;
    const { keys } = state.config;
    if (elsewhere.some(({ config }) => config.keys.equals(keys))) {
      same++;
      example = `The key of ${src} > ${dst} under the same ${keyIdOf(stream.spi)}`;
    } else different++;
  }
  return { same, different, example };
}
