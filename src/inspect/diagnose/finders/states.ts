/**
 * Packets for which the receiver has no SA: unknown SPIs, SAs that are gone, rotations out of step.
 * @module
 */
import { formatAddress } from '../../../wire/address.ts';
import { type Case, count, finding, keyIdOf, streamName } from '../case.ts';
import type { Evidence } from '../evidence.ts';
import type { Finding } from '../finding.ts';
import type { Stream } from '../stream.ts';

export function* states({ streams, evidence }: Case): Generator<Finding> {
  for (const stream of streams) {
    const tally = stream.causes.get('no-state');
    const isMissing = stream.fate === 'gone';
    if (!isMissing && (stream.fate !== 'known' || !tally)) continue;
    const frames = isMissing ? stream.all.frames : tally!.frames;
    const packets = count(isMissing ? stream.packets : tally!.count, 'packet');
    const where = streamName(stream, evidence);
    const receiver = evidence.nameOf(stream.dst);
    const here = otherIds(stream, streams, evidence);
    const known = stream.resolution.others[0];
    if (isMissing && here.length > 0) {
      yield finding(
        'rotation-out-of-step',
        `${where}: ${packets} dropped as XfrmInNoStates. ${evidence.nameOf(stream.src)} still sends with ${keyIdOf(stream.spi)}; the kernel of ${receiver} has only ${list(here)} of this tunnel.${proof(stream)}`,
        frames,
      );
    } else if (isMissing && known) {
      yield finding(
        'sa-gone',
        `${where}: ${packets} dropped as XfrmInNoStates. ${evidence.nameOf(stream.src)} sends with ${keyIdOf(stream.spi)}, of which the kernel of ${receiver} has no SA; ${known.who} ${known.who.includes(' and ') ? 'have' : 'has'} one.${proof(stream)}`,
        frames,
      );
    } else {
      const others = here.length > 0 ? `; of this tunnel ${list(here)} is known` : '';
      const isKeyId = stream.spi >= 1 && stream.spi <= 15;
      yield finding(
        'unknown-spi',
        `${where}: ${packets} dropped as XfrmInNoStates. ${isKeyId ? `The peer sends with key id ${stream.spi}, which nobody here has` : `The SPI is no key id of Cilium (1 to 15), and no source has an SA for it`}${others}.`,
        frames,
        stream.packets > 100 && isKeyId ? { severity: 'error' } : {},
      );
    }
  }
}

/** SPIs of the same tunnel that the receiver has an SA for, as far as sources or packets show. */
function otherIds(stream: Stream, streams: readonly Stream[], evidence: Evidence): number[] {
  const ids = new Set<number>();
  for (const { sa } of evidence.heldBy(stream.dst)) {
    if (formatAddress(sa.dst) === stream.dst && formatAddress(sa.src) === stream.src) ids.add(sa.spi);
  }
  for (const { src, dst, spi, ok, fate } of streams) {
    if (fate === 'known' && ok > 0 && src === stream.src && dst === stream.dst) ids.add(spi);
  }
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
