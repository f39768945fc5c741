/**
 * What the receiving kernels count of the streams of a capture, where that is known.
 *
 * A packet that does not open here is not dropped there: the key at hand may be the wrong one. So a stream counts by its
 * verdicts where the receiver's own text is at hand, or where something in it authenticated; that there is no SA for a
 * stream counts where the sources have been right about others of that receiver.
 * @module
 */
import { DROP, dropRow } from '../../ipsec/drop.ts';
import type { Basis } from '../basis.ts';
import type { Evidence } from '../evidence.ts';
import { OTHER_RECEIVERS } from './case.ts';
import type { ReceiverReport } from './finding.ts';
import type { FurtherStreams } from './further.ts';
import { POLICY_DROPS, type Stream } from './stream.ts';
import type { Tally } from './tally.ts';

export interface Received {
  readonly evidence: Evidence;
  readonly streams: readonly Stream[];
  /** Streams that are not told apart: without an SA, and with one that opened nothing. */
  readonly strange: FurtherStreams;
  readonly closed: FurtherStreams;
  /** Packets without SPI, by destination. */
  readonly headerErrors: ReadonlyMap<string, Tally>;
}

/** Decides what could not be decided while packets came. @param between the streams between two ends */
export function settle(
  { evidence, streams }: Received,
  between: ReadonlyMap<string, readonly Stream[]>,
): void {
  const rightAbout = openedAt(evidence, streams);
  for (const same of between.values()) {
    const held = same.filter(({ ok, resolution }) => ok > 0 && resolution.atReceiver === 'held');
    for (const stream of same) {
      const { candidates, former, atReceiver } = stream.resolution;
      if (atReceiver === 'missing') stream.fate = isRetired(stream, held) ? 'retired' : 'gone';
      // A kernel that says itself that it checks no ICV takes them all the same.
      else if (stream.ok === 0 && stream.unauthenticated > 0 && atReceiver !== 'held')
        stream.fate = 'unauthenticated';
      else if (stream.ok === 0 && stream.countOf('in-the-clear') > 0) stream.fate = 'unencrypted';
      else if (atReceiver === 'hidden') stream.fate = 'unread';
      else if (atReceiver === 'other-key')
        stream.fate = stream.verdicts.get(DROP['key-hidden']) === stream.packets ? 'unread' : 'known';
      else if (atReceiver === 'held' || stream.ok > 0) stream.fate = 'known';
      else if (candidates.length > 0) stream.fate = 'unopened';
      else if (!evidence.knows(stream.dst)) stream.fate = 'foreign';
      else {
        const isRight = former.length > 0 || rightAbout.has(evidence.nameOf(stream.dst));
        stream.fate = isRight ? 'known' : 'unopened';
      }
    }
  }
}

/** The counters of each node that packets went to. */
export function receiverReports({
  evidence,
  streams,
  strange,
  closed,
  headerErrors,
}: Received): ReceiverReport[] {
  const rightAbout = openedAt(evidence, streams);
  const byNode = new Map<string, Receiver>();
  const of = (address: string) => {
    const name = evidence.nameOf(address);
    let receiver = byNode.get(name);
    if (!receiver) {
      receiver = new Receiver(address, evidence.nodeNameOf(address) ?? null);
      byNode.set(name, receiver);
    }
    return receiver;
  };
  for (const stream of streams) {
    const receiver = of(stream.dst);
    receiver.packets += stream.packets;
    if (!stream.isCounted) continue;
    if (stream.fate === 'gone') receiver.add(DROP['no-state'], stream.packets, stream.basis);
    else
      for (const [verdict, n] of stream.verdicts)
        if (verdict !== DROP['key-hidden']) receiver.add(verdict, n, basisOf(stream, verdict));
    if (stream.fate !== 'gone') for (const [code, n] of stream.beside) receiver.addBeside(code, n);
  }
  for (const further of [strange, closed]) {
    for (const [dst, counted] of further.verdicts) {
      const basis = evidence.heldBy(dst).length > 0 ? 'told' : 'assumed';
      const isKnown = basis === 'told' || (further === strange && rightAbout.has(evidence.nameOf(dst)));
      for (const [verdict, n] of counted) {
        of(dst).packets += n;
        if (isKnown) of(dst).add(verdict, n, basis);
      }
    }
  }
  for (const [dst, { count }] of headerErrors) {
    if (dst === OTHER_RECEIVERS) continue;
    const receiver = of(dst);
    receiver.packets += count;
    // They need no SA to be counted, but a node that takes ESP.
    const basis = evidence.heldBy(dst).length > 0 ? 'told' : 'assumed';
    if (basis === 'told' || evidence.knows(dst)) receiver.add(DROP['header-error'], count, basis);
  }
  return [...byNode.values()].map((receiver) => receiver.report());
}

/** How it is known that the receiver counts packets of a stream so. */
function basisOf({ basis, isRulingAssumed }: Stream, verdict: number): Basis {
  if (verdict === DROP['timed-out']) return 'assumed';
  const isRuling = POLICY_DROPS.some((reason) => DROP[reason] === verdict);
  return isRuling && isRulingAssumed ? 'assumed' : basis;
}

/** Names of nodes at which something authenticated. */
function openedAt(evidence: Evidence, streams: readonly Stream[]): Set<string> {
  return new Set(streams.filter(({ ok }) => ok > 0).map(({ dst }) => evidence.nameOf(dst)));
}

class Receiver {
  packets = 0;
  readonly #address: string;
  readonly #node: string | null;
  readonly #counters = new Map<string, number>();
  #judged = 0;
  #isAssumed = false;

  constructor(address: string, node: string | null) {
    this.#address = address;
    this.#node = node;
  }

  add(verdict: number, n: number, basis: Basis): void {
    this.#judged += n;
    if (basis === 'assumed') this.#isAssumed = true;
    this.addBeside(verdict, n);
  }

  /** Counts what no packet by itself is dropped for. */
  addBeside(verdict: number, n: number): void {
    const counter = dropRow(verdict)?.counter;
    if (counter) this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + n);
  }

  report(): ReceiverReport {
    return {
      address: this.#address,
      node: this.#node,
      basis: this.#judged > 0 && !this.#isAssumed ? 'told' : 'assumed',
      packets: this.packets,
      judged: this.#judged,
      counters: Object.fromEntries([...this.#counters].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }
}

/**
 * The receiver's text does not have this SA, but was it there when its packets came? Texts are taken afterwards. Where
 * the sender went on to an SA that the receiver has, and never came back, the old one was deleted when its time was over.
 * @param held streams between the same ends whose SA the receiver has
 */
function isRetired(stream: Stream, held: readonly Stream[]): boolean {
  return held.some(
    (next) => next !== stream && next.firstFrame > stream.firstFrame && next.lastFrame > stream.lastFrame,
  );
}
