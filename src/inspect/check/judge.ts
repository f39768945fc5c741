/**
 * What a check found, put together: pairs of nodes and of pods, the verdict with its sentence, and what could not be judged.
 *
 * The verdict is of the packets that are asked for, and of all of these: a filter chooses them by their ends, their time
 * and their number, whether they are in ESP or in the clear. How much it left out is counted beside it.
 * @module
 */
import { count, grouped } from '../../base/count-text.ts';
import { isEncrypting } from '../../crypto/suite.ts';
import type { Case } from '../diagnose/case.ts';
import type { ClearFlow } from '../diagnose/clear.ts';
import { encryptionText } from '../diagnose/encryption.ts';
import { type ClearPods, nodeBehind } from '../diagnose/finders/clear-traffic.ts';
import { pairName, type Stream, streamKey } from '../diagnose/stream.ts';
import type { Names } from '../names.ts';
import { timeText } from '../packet-time.ts';
import type { PairChoice } from './choice.ts';
import type { ClearCount, Way } from './copies.ts';
import type {
  Beside,
  CheckedSa,
  CheckReport,
  CheckSummary,
  LeftOut,
  NodePair,
  PairVerdict,
  PodPair,
} from './report.ts';
import type { AskedFrames } from './span.ts';

/** Packets of a stream that no key opens, those of them that anyone can read, and of these the ones that are asked for. */
export interface Readable {
  packets: number;
  readable: number;
  asked: number;
}

/** What is counted beside the diagnosis. */
export interface Counted {
  /** By the names of both nodes. */
  readonly ways: ReadonlyMap<string, Way>;
  /** By the addresses of both pods. */
  readonly flows: ReadonlyMap<string, ClearCount>;
  /** By both ends and the SPI. */
  readonly readable: ReadonlyMap<string, Readable>;
}

/** What is asked for, and how it is called. */
export interface Asked {
  readonly names: Names;
  readonly choice: PairChoice;
  readonly frames: AskedFrames;
}

/** The report on what is asked for. */
export function judge(c: Case, counted: Counted, asked: Asked): CheckReport {
  const { choice, frames } = asked;
  const judge = new Judge(c, counted, asked);
  const report = judge.report();
  if (!choice.isOn && !frames.isOn) return report;
  const { summary } = report;
  const whole = new Judge(c, counted, undefined).report().summary;
  const unopened = judge.maybe.packets;
  const leftOut: LeftOut = {
    frames: frames.leftOut,
    esp: whole.esp - summary.esp - unopened,
    unopened,
    clear: whole.clear - summary.clear,
    open: whole.open - summary.open,
  };
  return { ...report, summary: { ...summary, summary: summary.summary + leftOutText(leftOut), leftOut } };
}

/** What is in the clear between two ends. */
interface Seen {
  esp: number;
  clear: number;
  atPod: number;
  copies: number;
  open: number;
}

interface PodSeen extends Seen {
  readonly src: string;
  readonly dst: string;
  readonly from: string;
  readonly to: string;
  first: number | null;
  last: number | null;
  firstTime: string | null;
  lastTime: string | null;
}

interface NodeSeen extends Seen {
  readonly from: string;
  readonly to: string;
  readonly known: boolean;
  readable: number;
  /** With the packets of each. */
  readonly streams: Map<Stream, number>;
}

const nothing = (): Seen => ({ esp: 0, clear: 0, atPod: 0, copies: 0, open: 0 });

/** Puts together what was counted: what is asked for, or all. */
class Judge {
  readonly #case: Case;
  readonly #counted: Counted;
  readonly #asked: Asked | undefined;
  readonly #nodes = new Map<string, NodeSeen>();
  readonly #pods = new Map<string, PodSeen>();
  /** Pairs of nodes between which a key opened a packet. */
  readonly #opened = new Set<string>();
  /** Flows that are counted. */
  readonly #done = new Set<ClearCount>();
  /** Packets of whole streams that no key opened. */
  #unopened = 0;
  /** And those that were opened unauthenticated: without an ICV. */
  #unauthenticated = 0;
  /** Those that may be of pods that are asked for, and of them the ones that anyone can read. */
  readonly maybe = { packets: 0, readable: 0 };
  /** Packets in the clear at the end of what was read: they are among the open ones. */
  late = 0;

  constructor(c: Case, counted: Counted, asked: Asked | undefined) {
    this.#case = c;
    this.#counted = counted;
    this.#asked = asked;
  }

  report(): CheckReport {
    const { streams, clear, evidence } = this.#case;
    const choice = this.#asked?.choice;
    for (const stream of streams) {
      const { src, dst } = stream;
      if (stream.ok + stream.unauthenticated > 0) this.#opened.add(this.#pairName(src, dst));
      const { packets, ok, unauthenticated } = this.#asked ? stream.asked : stream;
      if (choice && !choice.hasNodes(src, dst)) {
        if (!choice.mayCarry(src, dst)) continue;
        this.maybe.packets += packets - ok;
        if (stream.ok + stream.unauthenticated === 0) this.maybe.readable += this.#readableOf(stream);
        continue;
      }
      this.#unopened += packets - ok - unauthenticated;
      this.#unauthenticated += unauthenticated;
      if (packets > 0) this.#add(this.#pair(src, dst), stream, packets, this.#readableOf(stream));
    }
    for (const pair of clear.carriedBy.values()) {
      const { src, dst, from, to, stream } = pair;
      if (evidence.knows(src) || evidence.knows(dst) || evidence.isSameNode(from, to)) continue;
      const packets = this.#asked ? pair.asked : pair.packets;
      if (packets === 0 || choice?.hasPods(src, dst, [from, to]) === false) continue;
      this.#pod(src, dst, from, to).esp += packets;
      if (choice && !choice.hasNodes(stream.src, stream.dst))
        this.#add(this.#pair(from, to), stream, packets, isPlain(stream) ? packets : 0);
    }
    for (const one of this.#case.clearPods())
      if (choice?.hasPods(one.flow.src, one.flow.dst, [one.from, one.to]) !== false) this.#clear(one);
    const nodes = [...this.#nodes.values()].map(nodeReport);
    const pods = [...this.#pods.values()].map((pod) => this.#podReport(pod));
    const byClear = (a: Seen, b: Seen) => b.clear - a.clear || b.open - a.open || b.esp - a.esp;
    return {
      summary: this.#summary(nodes, pods),
      nodes: nodes.sort(byClear),
      pods: pods.sort(byClear),
    };
  }

  #pairName(from: string, to: string): string {
    const { evidence } = this.#case;
    return pairName(evidence.nameOf(from), evidence.nameOf(to));
  }

  #add(pair: NodeSeen, stream: Stream, packets: number, readable: number): void {
    pair.esp += packets;
    pair.readable += readable;
    pair.streams.set(stream, (pair.streams.get(stream) ?? 0) + packets);
  }

  #pair(from: string, to: string): NodeSeen {
    const { evidence } = this.#case;
    const key = this.#pairName(from, to);
    let pair = this.#nodes.get(key);
    if (!pair) {
      pair = {
        from: evidence.nameOf(from),
        to: evidence.nameOf(to),
        known: evidence.nodeNameOf(from) !== undefined && evidence.nodeNameOf(to) !== undefined,
        readable: 0,
        streams: new Map(),
        ...nothing(),
      };
      this.#nodes.set(key, pair);
    }
    return pair;
  }

  #pod(src: string, dst: string, from: string, to: string): PodSeen {
    const { evidence } = this.#case;
    const key = pairName(src, dst);
    let pod = this.#pods.get(key);
    if (!pod) {
      pod = {
        src,
        dst,
        from: evidence.nameOf(from),
        to: evidence.nameOf(to),
        first: null,
        last: null,
        firstTime: null,
        lastTime: null,
        ...nothing(),
      };
      this.#pods.set(key, pod);
    }
    return pod;
  }

  #clear({ flow, from, to, isAtPod }: ClearPods): void {
    const { tally, unsent } = this.#talliesOf(flow);
    const atPod = unsent.count + (isAtPod ? tally.count : 0);
    if (tally.count + atPod === 0) return;
    const key = this.#pairName(from, to);
    const node = this.#pair(from, to);
    const pod = this.#pod(flow.src, flow.dst, from, to);
    const add = (kind: 'clear' | 'atPod' | 'copies' | 'open', n: number) => {
      node[kind] += n;
      pod[kind] += n;
    };
    add('atPod', atPod);
    if (isAtPod || tally.count === 0) return;
    if (pod.first === null && tally.first > 0) {
      const time = this.#case.times.of(tally.first);
      pod.first = tally.first;
      pod.firstTime = time ? timeText(time) : null;
    }
    if (tally.last > 0) {
      pod.last = tally.last;
      pod.lastTime = tally.lastTime.isKnown ? timeText(tally.lastTime) : null;
    }
    const seen = this.#counted.flows.get(pairName(flow.src, flow.dst));
    // What keys open tells copies for certain; and what the lists of nodes do not place, is counted there alone.
    if (this.#opened.has(key) || !seen) {
      const late = Math.min(this.#asked && seen && !this.#done.has(seen) ? seen.asked.late : 0, tally.count);
      if (seen) this.#done.add(seen);
      this.late += late;
      add('open', late);
      add('clear', tally.count - late);
      return;
    }
    // Several kinds of packets of one pair are one flow there.
    if (this.#done.has(seen)) return;
    this.#done.add(seen);
    const { packets, paired: beside } = this.#asked ? seen.asked : seen;
    const verdict = this.#counted.ways.get(key)?.verdict ?? 'none';
    const paired = verdict === 'none' ? 0 : Math.min(beside, packets);
    if (verdict !== 'none') add(verdict, paired);
    const late = Math.min(this.#asked ? seen.asked.late : 0, packets - paired);
    this.late += late;
    add('open', late);
    add('clear', packets - paired - late);
  }

  #talliesOf(flow: ClearFlow): ClearFlow['asked'] {
    return this.#asked ? flow.asked : flow;
  }

  /** Packets of a stream that anyone can read. */
  #readableOf(stream: Stream): number {
    if (isPlain(stream)) return (this.#asked ? stream.asked : stream).packets;
    const seen = this.#counted.readable.get(streamKey(stream.src, stream.dst, stream.spi));
    // One packet that happens to look so, or was made to, does not speak for the others.
    if (!seen || 2 * seen.readable < seen.packets) return 0;
    return this.#asked ? seen.asked : seen.readable;
  }

  #podReport(pod: PodSeen): PodPair {
    const name = (address: string) => this.#asked?.names.pod(address) ?? null;
    return {
      ...pod,
      srcPod: name(pod.src),
      dstPod: name(pod.dst),
      verdict: verdictOf(pod, 0),
      fitting: null,
    };
  }

  #beside(): Beside {
    const { clear, evidence, streams } = this.#case;
    const beside = { sameNode: 0, host: 0, outside: 0, unknown: 0 };
    const between = new Set(this.#case.clearPods().map(({ flow }) => flow));
    const ends = new Set(streams.flatMap(({ src, dst }) => [src, dst]));
    const hasNodes = this.#hasNodes;
    const isNode = (address: string) => evidence.knows(address) || ends.has(address);
    const nodeOf = (address: string) => (isNode(address) ? address : nodeBehind(this.#case, address));
    for (const flow of clear.flows.values()) {
      const { tally, unsent } = this.#talliesOf(flow);
      const n = tally.count + unsent.count;
      if (between.has(flow) || n === 0) continue;
      const [from, to] = [nodeOf(flow.src), nodeOf(flow.dst)];
      const nodes = [from, to].filter((node) => node !== undefined);
      if (this.#asked?.choice.hasPods(flow.src, flow.dst, nodes) === false) continue;
      if (isNode(flow.src) || isNode(flow.dst)) beside.host += n;
      else {
        if (from !== undefined && to !== undefined) beside.sameNode += n;
        else if (hasNodes || isNoPod(flow.src) || isNoPod(flow.dst)) beside.outside += n;
        else beside.unknown += n;
      }
    }
    return beside;
  }

  /** Is it told which addresses are pods'? */
  get #hasNodes(): boolean {
    const { evidence } = this.#case;
    return evidence.hasPodRanges;
  }

  #summary(nodes: readonly NodePair[], pods: readonly PodPair[]): CheckSummary {
    const c = this.#case;
    const sum = (all: readonly Seen[], kind: keyof Seen) => all.reduce((n, one) => n + one[kind], 0);
    const beside = this.#beside();
    const untold = [c.strange, c.closed].reduce(
      (n, { asked, tally }) => n + (this.#asked ? asked : tally.count),
      0,
    );
    const choice = this.#asked?.choice;
    // Whose the others are cannot be told.
    const further = choice?.isOn ? 0 : untold;
    const esp = sum(nodes, 'esp') + further;
    const clear = sum(nodes, 'clear');
    const open = sum(nodes, 'open');
    const atPod = sum(nodes, 'atPod');
    const copies = sum(nodes, 'copies');
    const readable = nodes.reduce((n, one) => n + one.readable, 0);
    const opened = sum(pods, 'esp');
    const { maybe, late } = this;
    const scope = [choice?.isOn ? 'of the pairs asked for' : '', this.#asked?.frames.text ?? '']
      .filter((part) => part !== '')
      .join(', ');
    const doubts = doubtsOf();
    const verdict =
      clear + readable > 0 ? 'not-encrypted' : esp === 0 || doubts.length > 0 ? 'not-judged' : 'encrypted';
    // Then nothing shows that the capture could have held others.
    const isEspAlone = esp > 0 && !hasClear(c);
    const isAssumed = copies > 0 || isEspAlone || !this.#hasNodes;
    const unopened = this.#unopened + maybe.packets + further;
    const unauthenticated = this.#unauthenticated;
    return {
      verdict,
      basis: verdict === 'not-encrypted' || !isAssumed ? 'seen' : 'assumed',
      summary: sentence(),
      frames: this.#asked?.frames.isOn ? this.#asked.frames.count : c.frames,
      esp,
      clear,
      readable,
      open,
      beside,
      leftOut: null,
      hidden: null,
      hubble: [],
      unknown: [...doubts, ...unknownOf()],
    };

    /** Why nothing can be said, although nothing is wrong. */
    function doubtsOf(): string[] {
      return [
        ...(esp === 0 && maybe.packets > 0
          ? [
              `${count(maybe.packets, 'ESP packet')} that no key opened and checked may be of these pairs${maybe.readable > 0 ? `, and ${grouped(maybe.readable)} of them can be read without a key` : ''}: give keys, or ask by --node.`,
            ]
          : []),
        ...(beside.unknown > 0
          ? [
              `Whether ${count(beside.unknown, 'packet')} in the clear ${beside.unknown === 1 ? 'is' : 'are'} between pods is not known: give CiliumNodes (kubectl get ciliumnodes -o json).`,
            ]
          : []),
        ...(late > 0
          ? [
              `${count(late, 'packet')} in the clear came within 10 ms of the last frame that was read: whether ESP packets follow that carry ${late === 1 ? 'it' : 'them'} is not known. Ask for more frames with -c.`,
            ]
          : []),
        ...(open > late
          ? [
              `${count(open - late, 'packet')} in the clear may be copies of ESP packets beside them, from before encryption or after decryption, or not: give keys, or capture what leaves the node alone (tcpdump -Q out on its network device).`,
            ]
          : []),
        ...(atPod > 0 && esp === 0
          ? [
              `${count(atPod, 'packet')} between pods of different nodes ${atPod === 1 ? 'was' : 'were'} taken where the pods are, before they would be encrypted: capture between the nodes.`,
            ]
          : []),
        ...(c.clear.further > 0
          ? [
              `${count(c.clear.further, 'packet')} in the clear, of too many pairs of addresses, could not be told apart: filter by the pod ranges.`,
            ]
          : []),
      ];
    }

    function unknownOf(): string[] {
      const said: string[] = [];
      const names = new Set(nodes.flatMap(({ from, to }) => [from, to]));
      const silent = c.evidence.cluster.nodes.filter(
        ({ name }) => !names.has(name) && choice?.wantsNode(name) !== false,
      );
      const oneWay = nodes.filter(
        ({ from, to }) => !nodes.some((back) => back.from === to && back.to === from),
      );
      if (esp + clear + open + atPod === 0)
        said.push('No packet between pods of different nodes was seen, in ESP or in the clear.');
      if (!c.evidence.hasPodRanges && beside.unknown === 0 && esp > 0)
        said.push("Which addresses are pods' is not told: all but the ends of ESP are taken for pods.");
      if (isEspAlone)
        said.push(
          'The capture holds ESP alone. Whether its filter let packets in the clear through it does not say.',
        );
      if (unauthenticated > 0)
        said.push(
          `${count(unauthenticated, 'ESP packet')} ${unauthenticated === 1 ? 'was' : 'were'} opened unauthenticated: no ICV was checked, and any may be forged.`,
        );
      else if (esp > 0 && opened === 0)
        said.push(
          'No key opened a packet: which pods are behind ESP, and whether the packets are good, is not known.',
        );
      if (copies > 0)
        said.push(
          `${count(copies, 'packet')} in the clear, each beside an ESP packet that fits, ${copies === 1 ? 'is' : 'are'} taken for the same before encryption or after decryption; keys would prove it.`,
        );
      if (atPod > 0 && esp > 0)
        said.push(
          `${count(atPod, 'packet')} ${atPod === 1 ? 'was' : 'were'} seen as pods send or get them: whether these were encrypted is not shown here.`,
        );
      if (oneWay.length > 0 && oneWay.length <= MOST_NAMED)
        said.push(
          `One direction alone was seen: ${oneWay.map(({ from, to }) => `${from} > ${to}`).join(', ')}.`,
        );
      else if (oneWay.length > 0)
        said.push(`Of ${grouped(oneWay.length)} pairs of nodes one direction alone was seen.`);
      if (silent.length > 0) {
        const some = silent.slice(0, MOST_NAMED).map(({ name }) => name);
        const more = silent.length - some.length;
        said.push(
          `No packet of ${some.join(', ')}${more > 0 ? ` and ${grouped(more)} other nodes` : ''} was seen.`,
        );
      }
      const stranger = nodes.filter(({ known }) => !known);
      if (c.evidence.hasPodRanges && stranger.length > 0)
        said.push(
          `${count(
            stranger.reduce((n, one) => n + one.esp, 0),
            'ESP packet',
          )} ${stranger.length === 1 ? 'has an end' : 'have ends'} that no CiliumNode has.`,
        );
      if (untold > 0)
        said.push(
          `${count(untold, 'ESP packet')} of too many streams are ${further > 0 ? 'counted together' : 'not told apart, and left out'}.`,
        );
      for (const [what, n] of c.notRead)
        said.push(`${count(n, 'frame')} of ${what} ${n === 1 ? 'was' : 'were'} not looked into.`);
      if (c.incomplete > 0) said.push(`Of ${count(c.incomplete, 'packet')} fragments are missing.`);
      return said;
    }

    function sentence(): string {
      const of = scope === '' ? '' : `, ${scope}`;
      const leaks = pods.filter((pod) => pod.clear > 0);
      if (clear > 0) {
        const [first] = leaks;
        const more = leaks.length - 1;
        const where = first
          ? ` (${first.src} on ${first.from} > ${first.dst} on ${first.to}${more > 0 ? `, and ${count(more, 'more pair')}` : ''})`
          : '';
        return `Not encrypted${of}: ${count(clear, 'packet')} between pods of different nodes ${clear === 1 ? 'was' : 'were'} in the clear${where}; ${grouped(esp)} in ESP${maybe.packets > 0 ? `, and ${count(maybe.packets, 'ESP packet')} may be of these pairs` : ''}.`;
      }
      if (readable > 0)
        return `Not encrypted${of}: ${grouped(readable)} of ${count(esp, 'ESP packet')} can be read without a key: their suite does not encrypt (NULL, GMAC), or they were taken before the network card that encrypts them.`;
      if (esp === 0 || doubts.length > 0) {
        const none =
          esp === 0
            ? maybe.packets > 0
              ? 'no ESP packet is known to be of these pairs'
              : 'no ESP packet was seen'
            : `${count(esp, 'packet')} ${esp === 1 ? 'was' : 'were'} in ESP`;
        return `Not judged${of}: ${none}.${doubts.length > 0 ? ` ${doubts[0]}` : ''}`;
      }
      const so = `Encrypted${of}${isEspAlone ? ', if the capture was to show packets in the clear' : ''}`;
      if (opened > 0) return `${so}: ${encryptionText({ esp: opened, clear, unopened, unauthenticated })}.`;
      return `${so}: all of ${count(esp, 'packet')} between nodes ${esp === 1 ? 'was' : 'were'} in ESP, and none between pods of different nodes in the clear.`;
    }
  }
}

/** Names that a sentence holds. */
const MOST_NAMED = 3;

function nodeReport({ streams, ...seen }: NodeSeen): NodePair {
  const bySpi = new Map<number, CheckedSa>();
  for (const [stream, packets] of streams) {
    const known = bySpi.get(stream.spi);
    bySpi.set(stream.spi, {
      ...(known?.suite != null ? known : saOf(stream)),
      packets: (known?.packets ?? 0) + packets,
    });
  }
  const sas = [...bySpi.values()].sort((a, b) => b.packets - a.packets);
  return { ...seen, verdict: verdictOf(seen, seen.readable), fitting: null, sas };
}

/** Was it opened, with a suite that does not encrypt? */
function isPlain({ ok, unauthenticated, possible }: Stream): boolean {
  const suite = possible[0]?.keys.suite;
  return ok + unauthenticated > 0 && suite !== undefined && !isEncrypting(suite);
}

/** Did the capture show a packet in the clear, of whatever kind? */
function hasClear({ clear }: Case): boolean {
  if (clear.twice.count + clear.further > 0) return true;
  for (const { tally, unsent } of clear.flows.values()) if (tally.count + unsent.count > 0) return true;
  return false;
}

/** What follows the sentence where a filter left something out. */
function leftOutText({ esp, clear, open }: LeftOut): string {
  const parts = [
    clear > 0 ? `${count(clear, 'packet')} in the clear between pods of different nodes` : '',
    open > 0 ? `${count(open, 'packet')} in the clear that may be copies` : '',
    esp > 0 ? `${grouped(esp)} in ESP` : '',
  ].filter((part) => part !== '');
  return parts.length > 0 ? ` Left out: ${parts.join(', ')}.` : '';
}

function verdictOf({ esp, clear, open }: Seen, readable: number): PairVerdict {
  if (clear + readable > 0) return esp - readable > 0 ? 'mixed' : 'clear';
  return esp > 0 && open === 0 ? 'encrypted' : 'open';
}

function saOf({ spi, possible, resolution, ok }: Stream): Omit<CheckedSa, 'packets'> {
  const { suite } = possible[0]?.keys ?? {};
  const basis = ok > 0 ? 'seen' : resolution.atReceiver === 'held' ? 'told' : 'assumed';
  return {
    spi,
    suite: suite?.name ?? null,
    keyBits: suite ? suite.keyLen * 8 : null,
    basis: suite ? basis : null,
  };
}

/** Multicast, broadcast, link-local and loopback addresses are no pods'. */
function isNoPod(address: string): boolean {
  return /^(?:22[4-9]|23\d|25[0-5]|127|0)\.|^169\.254\.|^ff|^fe[89ab]|^::1?$/i.test(address);
}
