/**
 * Packets for which the receiver has no SA: unknown SPIs, SAs that are gone, rotations out of step.
 * @module
 */
import { count, grouped } from '../../../base/count-text.ts';
import { MAX_KEY_ID } from '../../../cilium/keys.ts';
import { formatAddress } from '../../../wire/address.ts';
import type { Evidence } from '../../evidence.ts';
import { type Case, countedAs, finding, keyIdOf, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';
import type { Stream } from '../stream.ts';
import { framesOf } from '../tally.ts';

const NO_STATE = 'XfrmInNoStates';

/** An SA that came too late need not be brought back. */
const LATE =
  'Nothing, where the receiver had yet to hear of a node that joined. Where this lasts for minutes, look at why its agent hears late (API server, kvstore).';

const FLOOD =
  'Find out who sends them: so many streams are made up, or come from a sender that takes a new SPI for every packet.';

export function* states(c: Case): Generator<Finding> {
  const { streams, between, strange: further, closed, evidence } = c;
  /** SPIs that are no key ids, by their ends: many of them are one trouble. */
  const strange = new Map<string, Stream[]>();
  for (const stream of streams) {
    const isMissing = stream.fate === 'gone';
    if (!isMissing && !(stream.fate === 'known' && stream.causes.has('no-state'))) continue;
    const known = stream.resolution.others[0];
    if (!known && !isKeyId(stream.spi)) {
      const ends = `${stream.src} ${stream.dst}`;
      const group = strange.get(ends);
      if (group) group.push(stream);
      else strange.set(ends, [stream]);
      continue;
    }
    const tally = isMissing ? stream.all : stream.tally('no-state');
    const about = { stream, tally, counter: NO_STATE };
    const what = `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} dropped${countedAs(stream, NO_STATE)}.`;
    const [sender, receiver] = [evidence.nameOf(stream.src), evidence.nameOf(stream.dst)];
    const here = otherIds(stream, between(stream.src, stream.dst), evidence);
    const id = keyIdOf(stream.spi);
    if (isMissing && here.length > 0) {
      yield finding(
        c,
        'rotation-out-of-step',
        `${what} ${sender} sends with ${id}; the kernel of ${receiver} has only ${list(here)} of this tunnel.${proof(stream)}`,
        about,
      );
    } else if (isMissing && known) {
      const who = `${known.who} ${known.who.includes(' and ') ? 'have' : 'has'} one`;
      yield finding(
        c,
        'sa-gone',
        `${what} ${sender} sends with ${id}, for which the kernel of ${receiver} has no SA; ${who}${stream.ok > 0 ? `, and ${count(stream.ok, 'packet')} ${stream.ok === 1 ? 'opens' : 'open'} with it` : ''}.`,
        about,
      );
    } else if (!isMissing && stream.ok > 0 && here.length > 0) {
      yield finding(
        c,
        'rotation-out-of-step',
        `${what} ${sender} sent with ${id} while ${receiver} had only ${list(here)} of this tunnel; ${receiver} had an SA for it by frame ${c.names.text(stream.firstOkFrame)}.`,
        about,
      );
    } else if (stream.resolution.former.length > 0) {
      yield finding(
        c,
        'sa-gone',
        `${what} ${sender} sends with ${id}, for which ${receiver} had an SA and then removed it.`,
        about,
      );
    } else if (!isMissing && stream.ok > 0) {
      yield finding(
        c,
        'sa-gone',
        `${what} ${sender} sent with ${id} before ${receiver} had an SA for it, which it had by frame ${c.names.text(stream.firstOkFrame)}.`,
        { ...about, remedy: LATE },
      );
    } else {
      const others = here.length > 0 ? `; of this tunnel there is ${list(here)}` : '';
      yield finding(
        c,
        'unknown-spi',
        `${what} ${sender} sends with ${id}, and no source at hand has an SA for it${others}.`,
        about,
      );
    }
  }
  for (const group of strange.values()) {
    const [first] = group;
    const packets = group.reduce((sum, stream) => sum + stream.packets, 0);
    const spis = group.slice(0, 4).map(({ spi }) => `0x${spi.toString(16)}`);
    yield finding(
      c,
      'unknown-spi',
      `${evidence.nameOf(first!.src)} > ${evidence.nameOf(first!.dst)}: ${count(packets, 'packet')} dropped${countedAs(first!, NO_STATE)}. SPI ${spis.join(', ')}${group.length > 4 ? ' and others' : ''}: no key id of Cilium (1 to 15), and no source has an SA for it.`,
      { stream: first!, count: packets, frames: framesOf(group.map(({ all }) => all)), counter: NO_STATE },
    );
  }
  for (const [streams, what] of [
    [further, 'without an SA'],
    [closed, 'with an SA that opened no packet'],
  ] as const) {
    const { count: n, isMore } = streams.streams;
    if (n === 0) continue;
    yield finding(
      c,
      what === 'without an SA' ? 'unknown-spi' : 'unknown-key',
      `${isMore ? 'More than ' : ''}${grouped(n)} further streams ${what}, ${count(streams.tally.count, 'packet')}: too many to be told apart. Their packets are in the counters of receivers that sources name.`,
      { tally: streams.tally, remedy: FLOOD },
    );
  }
}

function isKeyId(spi: number): boolean {
  return spi >= 1 && spi <= MAX_KEY_ID;
}

/** SPIs of the same tunnel that the receiver has an SA for, as far as sources or packets show. */
function otherIds(stream: Stream, same: readonly Stream[], evidence: Evidence): number[] {
  const ids = new Set<number>();
  for (const { sa } of evidence.heldBy(stream.dst)) {
    if (formatAddress(sa.dst) === stream.dst && formatAddress(sa.src) === stream.src) ids.add(sa.spi);
  }
  for (const { spi, ok, fate } of same) if (fate === 'known' && ok > 0) ids.add(spi);
  ids.delete(stream.spi);
  return [...ids].sort((a, b) => a - b);
}

function list(ids: readonly number[]): string {
  return ids.map(keyIdOf).join(' and ');
}

/** Are the packets what they say they are? */
function proof({ ok, resolution }: Stream): string {
  const who = resolution.others[0]?.who;
  return ok > 0 && who
    ? ` ${count(ok, 'packet')} ${ok === 1 ? 'opens' : 'open'} with the key from ${who}.`
    : '';
}
