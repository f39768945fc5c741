/**
 * Is it encrypted? Counts what went by between nodes and between pods, in ESP and in the clear, without keys; where there
 * are keys, what they open says more. What is a leak, and what only looks so, the diagnosis finds; this adds what can be
 * told without keys: copies of encrypted packets, and ESP that is readable without a key.
 * @module
 */
import type { FrameInfo } from '../../capture/frame.ts';
import { formatAddress } from '../../wire/address.ts';
import { type Case, count, grouped } from '../diagnose/case.ts';
import type { Diagnoser } from '../diagnose/diagnoser.ts';
import { encryptionText } from '../diagnose/encryption.ts';
import { clearPods, nodeBehind } from '../diagnose/finders/clear-traffic.ts';
import { InnerPacket } from '../diagnose/inner.ts';
import { isEncrypting, isReadable } from '../diagnose/plain.ts';
import { pairName, type Stream } from '../diagnose/stream.ts';
import { countOf } from '../diagnose/tally.ts';
import type { EspEvent } from '../esp-event.ts';
import type { Evidence } from '../evidence.ts';
import { type Carrier, tunnelName } from '../find-esp.ts';
import type { CaptureSink } from '../session.ts';
import { type ClearCount, Groups, Way } from './copies.ts';
import type {
  Beside,
  CheckedSa,
  CheckReport,
  CheckSummary,
  NodePair,
  PairVerdict,
  PodPair,
} from './report.ts';

/** Pairs of nodes, of pods, and streams that are told apart here. */
const MOST_PAIRS = 1 << 16;
const RECENT = 1 << 12;

/** Packets in the clear from one pod to another, as {@link Checker} counts them. */
interface Flow extends ClearCount {
  readonly way: Way;
}

/** Packets of a stream that no key opens, and those of them that anyone can read. */
interface Readable {
  readonly name: string;
  packets: number;
  readable: number;
}

export class Checker implements CaptureSink {
  readonly needsWire = true;
  readonly #evidence: Evidence;
  readonly #diagnoser: Diagnoser;
  readonly #ways = new Map<string, Way>();
  readonly #flows = new Map<string, Flow>();
  readonly #groups = new Groups();
  readonly #readable = new Map<string, Readable>();
  #last: Readable | undefined;
  readonly #inner = new InnerPacket();
  readonly #hashes = new Int32Array(RECENT);
  readonly #recent: (Flow | 'other' | undefined)[] = new Array(RECENT);

  /** @param diagnoser of the same session */
  constructor(evidence: Evidence, diagnoser: Diagnoser) {
    this.#evidence = evidence;
    this.#diagnoser = diagnoser;
  }

  /** That ESP packets come before the next frame does: copies are told by what is beside them. */
  begin(): void {}

  packet(event: EspEvent): void {
    const { src, dst, seconds, nanoseconds, ipAt, ipEnd } = event;
    this.#way(src, dst)?.addEsp(ipEnd - ipAt, seconds + nanoseconds / 1e9);
    if (event.isOpened || !event.hasSpi) return;
    const stream = this.#readableOf(`${src} ${dst} ${event.spi}`);
    if (!stream) return;
    stream.packets++;
    if (isReadable(event.wire, event.espAt, event.espEnd)) stream.readable++;
  }

  other(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void {
    const packet = this.#inner;
    if (!packet.read(b, at, end, tunnelName(carrier)) || packet.isFirstHop) return;
    const flow = this.#flowOf(packet);
    if (!flow) return;
    const seconds = info.seconds + info.nanoseconds / 1e9;
    const group = this.#groups.add(packet, flow, seconds);
    if (group) flow.way.addClear(group, packet.end - packet.at, seconds);
  }

  fragment(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    const packet = this.#inner;
    if (!packet.read(b, at, end) || packet.isFirstHop) return;
    const flow = this.#flowOf(packet);
    if (flow) this.#groups.add(packet, flow, info.seconds + info.nanoseconds / 1e9);
  }

  /** Call once, after the last frame, and instead of the diagnoser's own end. */
  finish(): CheckReport {
    return new Judge(this.#diagnoser.finishCase(), this.#ways, this.#flows, this.#readable).report();
  }

  #way(src: string, dst: string): Way | undefined {
    const key = pairName(this.#evidence.nameOf(src), this.#evidence.nameOf(dst));
    let way = this.#ways.get(key);
    if (!way && this.#ways.size < MOST_PAIRS) {
      way = new Way();
      this.#ways.set(key, way);
    }
    return way;
  }

  #readableOf(name: string): Readable | undefined {
    if (this.#last?.name === name) return this.#last;
    let one = this.#readable.get(name);
    if (!one) {
      if (this.#readable.size >= MOST_PAIRS) return undefined;
      one = { name, packets: 0, readable: 0 };
      this.#readable.set(name, one);
    }
    this.#last = one;
    return one;
  }

  /** The flow of a packet between pods whose nodes differ, by the lists of nodes. */
  #flowOf(packet: InnerPacket): Flow | undefined {
    const hash = packet.pair();
    const at = hash & (RECENT - 1);
    let flow = this.#hashes[at] === hash ? this.#recent[at] : undefined;
    if (flow === undefined) {
      flow = this.#newFlow(packet) ?? 'other';
      this.#hashes[at] = hash;
      this.#recent[at] = flow;
    }
    return flow === 'other' ? undefined : flow;
  }

  #newFlow({ b, srcAt, dstAt, addressLen }: InnerPacket): Flow | undefined {
    const evidence = this.#evidence;
    const src = formatAddress(b, srcAt, addressLen);
    const dst = formatAddress(b, dstAt, addressLen);
    const key = pairName(src, dst);
    const known = this.#flows.get(key);
    if (known) return known;
    if (this.#flows.size >= MOST_PAIRS || evidence.knows(src) || evidence.knows(dst)) return undefined;
    const from = evidence.nodeOfPod(b.subarray(srcAt, srcAt + addressLen));
    const to = evidence.nodeOfPod(b.subarray(dstAt, dstAt + addressLen));
    if (from === undefined || to === undefined || evidence.isSameNode(from, to)) return undefined;
    const way = this.#way(from, to);
    if (!way) return undefined;
    const flow = { way, packets: 0, paired: 0 };
    this.#flows.set(key, flow);
    return flow;
  }
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
}

interface NodeSeen extends Seen {
  readonly from: string;
  readonly to: string;
  readonly known: boolean;
  readable: number;
  readonly streams: Stream[];
}

const nothing = (): Seen => ({ esp: 0, clear: 0, atPod: 0, copies: 0, open: 0 });

/** Puts together what was counted. */
class Judge {
  readonly #case: Case;
  readonly #ways: ReadonlyMap<string, Way>;
  readonly #flows: ReadonlyMap<string, Flow>;
  readonly #readable: ReadonlyMap<string, Readable>;
  readonly #nodes = new Map<string, NodeSeen>();
  readonly #pods = new Map<string, PodSeen>();

  constructor(
    c: Case,
    ways: ReadonlyMap<string, Way>,
    flows: ReadonlyMap<string, Flow>,
    readable: ReadonlyMap<string, Readable>,
  ) {
    this.#case = c;
    this.#ways = ways;
    this.#flows = flows;
    this.#readable = readable;
  }

  report(): CheckReport {
    const { streams, clear, evidence } = this.#case;
    for (const stream of streams) {
      const pair = this.#pair(stream.src, stream.dst);
      pair.esp += stream.packets;
      pair.readable += this.#readableOf(stream);
      pair.streams.push(stream);
    }
    for (const { src, dst, from, to, packets } of clear.carriedBy.values()) {
      if (evidence.knows(src) || evidence.knows(dst) || evidence.isSameNode(from, to)) continue;
      this.#pod(src, dst, from, to).esp += packets;
    }
    for (const one of clearPods(this.#case)) this.#clear(one);
    const nodes = [...this.#nodes.values()].map((pair) => this.#nodeReport(pair));
    const pods = [...this.#pods.values()].map(podReport);
    const byClear = (a: Seen, b: Seen) => b.clear - a.clear || b.open - a.open || b.esp - a.esp;
    return {
      summary: this.#summary(nodes, pods),
      nodes: nodes.sort(byClear),
      pods: pods.sort(byClear),
    };
  }

  #pair(from: string, to: string): NodeSeen {
    const { evidence } = this.#case;
    const key = pairName(evidence.nameOf(from), evidence.nameOf(to));
    let pair = this.#nodes.get(key);
    if (!pair) {
      pair = {
        from: evidence.nameOf(from),
        to: evidence.nameOf(to),
        known: evidence.nodeNameOf(from) !== undefined && evidence.nodeNameOf(to) !== undefined,
        readable: 0,
        streams: [],
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
        ...nothing(),
      };
      this.#pods.set(key, pod);
    }
    return pod;
  }

  #clear({ flow, from, to, isAtPod }: ReturnType<typeof clearPods>[number]): void {
    const { evidence } = this.#case;
    const node = this.#pair(from, to);
    const pod = this.#pod(flow.src, flow.dst, from, to);
    const add = (kind: 'clear' | 'atPod' | 'copies' | 'open', n: number) => {
      node[kind] += n;
      pod[kind] += n;
    };
    add('atPod', flow.unsent.count + (isAtPod ? flow.tally.count : 0));
    if (isAtPod || flow.tally.count === 0) return;
    pod.first ??= flow.tally.first || null;
    pod.last = flow.tally.last || pod.last;
    const seen = this.#flows.get(pairName(flow.src, flow.dst));
    const isOpened = node.streams.some(({ ok, unauthenticated }) => ok + unauthenticated > 0);
    // What keys open tells copies for certain; and what the lists of nodes do not place, is counted there alone.
    if (isOpened || !seen) {
      add('clear', flow.tally.count);
      return;
    }
    const verdict = this.#ways.get(pairName(evidence.nameOf(from), evidence.nameOf(to)))?.verdict;
    const paired = Math.min(seen.paired, seen.packets);
    if (verdict === 'copies') {
      add('copies', paired);
      add('clear', seen.packets - paired);
    } else if (verdict === 'open') {
      add('open', paired);
      add('clear', seen.packets - paired);
    } else add('clear', seen.packets);
    // Several kinds of packets of one pair are one flow there.
    seen.packets = 0;
    seen.paired = 0;
  }

  /** Packets of a stream that anyone can read. */
  #readableOf({ src, dst, spi, packets, ok, unauthenticated, possible }: Stream): number {
    const opened = ok + unauthenticated;
    const suite = possible[0]?.keys.suite;
    if (opened > 0 && suite && !isEncrypting(suite)) return packets;
    const seen = this.#readable.get(`${src} ${dst} ${spi}`);
    // One packet that happens to look so, or was made to, does not speak for the others.
    return seen && 2 * seen.readable >= seen.packets ? seen.readable : 0;
  }

  #nodeReport(pair: NodeSeen): NodePair {
    const { streams, ...seen } = pair;
    const bySpi = new Map<number, CheckedSa>();
    for (const stream of streams) {
      const known = bySpi.get(stream.spi);
      const sa = saOf(stream);
      bySpi.set(stream.spi, {
        ...(known?.suite != null ? known : sa),
        packets: (known?.packets ?? 0) + stream.packets,
      });
    }
    const sas = [...bySpi.values()].sort((a, b) => b.packets - a.packets);
    return { ...seen, verdict: verdictOf(seen, seen.readable), sas };
  }

  #beside(): Beside {
    const { clear, evidence, streams } = this.#case;
    const beside = { sameNode: 0, host: 0, outside: 0, unknown: 0 };
    const between = new Set(clearPods(this.#case).map(({ flow }) => flow));
    const ends = new Set(streams.flatMap(({ src, dst }) => [src, dst]));
    const hasNodes = this.#hasNodes;
    const isNode = (address: string) => evidence.knows(address) || ends.has(address);
    for (const flow of clear.flows.values()) {
      const n = flow.tally.count + flow.unsent.count;
      if (between.has(flow) || n === 0) continue;
      if (isNode(flow.src) || isNode(flow.dst)) beside.host += n;
      else {
        const [from, to] = [nodeBehind(this.#case, flow.src), nodeBehind(this.#case, flow.dst)];
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
    const further = countOf([c.strange.tally, c.closed.tally]);
    const esp = sum(nodes, 'esp') + further;
    const clear = sum(nodes, 'clear');
    const open = sum(nodes, 'open');
    const atPod = sum(nodes, 'atPod');
    const copies = sum(nodes, 'copies');
    const readable = nodes.reduce((n, one) => n + one.readable, 0);
    const opened = sum(pods, 'esp');
    const doubts = doubtsOf();
    const verdict =
      clear + readable > 0 ? 'not-encrypted' : esp === 0 || doubts.length > 0 ? 'not-judged' : 'encrypted';
    const inClear =
      beside.sameNode + beside.host + beside.outside + beside.unknown + clear + copies + open + atPod;
    // Then nothing shows that it could have held others.
    const isEspAlone = esp > 0 && inClear === 0;
    const isAssumed = copies > 0 || isEspAlone || !this.#hasNodes;
    const unopened =
      c.streams.reduce((n, one) => n + one.packets - one.ok - one.unauthenticated, 0) + further;
    return {
      verdict,
      basis: verdict === 'not-encrypted' || !isAssumed ? 'seen' : 'assumed',
      summary: sentence(),
      frames: c.frames,
      esp,
      clear,
      readable,
      open,
      beside,
      unknown: [...doubts, ...unknownOf()],
    };

    /** Why nothing can be said, although nothing is wrong. */
    function doubtsOf(): string[] {
      return [
        ...(beside.unknown > 0
          ? [
              `Whether ${count(beside.unknown, 'packet')} in the clear ${beside.unknown === 1 ? 'is' : 'are'} between pods is not known: give CiliumNodes (kubectl get ciliumnodes -o json).`,
            ]
          : []),
        ...(open > 0
          ? [
              `${count(open, 'packet')} in the clear may be copies of ESP packets beside them, from before encryption or after decryption, or not: give keys, or capture what leaves the node alone (tcpdump -Q out on its network device).`,
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
      const silent = c.evidence.cluster.nodes.filter(({ name }) => !names.has(name));
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
      if (esp > 0 && opened === 0)
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
      if (further > 0) said.push(`${count(further, 'ESP packet')} of too many streams are counted together.`);
      for (const [what, n] of c.notRead)
        said.push(`${count(n, 'frame')} of ${what} ${n === 1 ? 'was' : 'were'} not looked into.`);
      if (c.incomplete > 0) said.push(`Of ${count(c.incomplete, 'packet')} fragments are missing.`);
      return said;
    }

    function sentence(): string {
      const leaks = pods.filter((pod) => pod.clear > 0);
      if (clear > 0) {
        const [first] = leaks;
        const more = leaks.length - 1;
        const where = first
          ? ` (${first.src} on ${first.from} > ${first.dst} on ${first.to}${more > 0 ? `, and ${count(more, 'more pair')}` : ''})`
          : '';
        return `Not encrypted: ${count(clear, 'packet')} between pods of different nodes ${clear === 1 ? 'was' : 'were'} in the clear${where}; ${grouped(esp)} in ESP.`;
      }
      if (readable > 0)
        return `Not encrypted: ${grouped(readable)} of ${count(esp, 'ESP packet')} can be read without a key: their suite does not encrypt (NULL, GMAC), or they were taken before the network card that encrypts them.`;
      if (esp === 0 || doubts.length > 0) {
        const none =
          esp === 0
            ? 'no ESP packet was seen'
            : `${count(esp, 'packet')} ${esp === 1 ? 'was' : 'were'} in ESP`;
        return `Not judged: ${none}.${doubts.length > 0 ? ` ${doubts[0]}` : ''}`;
      }
      const so = isEspAlone ? 'Encrypted, if the capture was to show packets in the clear' : 'Encrypted';
      if (opened > 0) return `${so}: ${encryptionText({ esp: opened, clear, unopened })}.`;
      return `${so}: all of ${count(esp, 'packet')} between nodes ${esp === 1 ? 'was' : 'were'} in ESP, and none between pods of different nodes in the clear.`;
    }
  }
}

/** Names that a sentence holds. */
const MOST_NAMED = 3;

function podReport(pod: PodSeen): PodPair {
  return { ...pod, verdict: verdictOf(pod, 0) };
}

function verdictOf({ esp, clear, open }: Seen, readable: number): PairVerdict {
  if (clear + readable > 0) return esp - readable > 0 ? 'mixed' : 'clear';
  return esp > 0 && open === 0 ? 'encrypted' : 'open';
}

function saOf(stream: Stream): CheckedSa {
  const { spi, packets, possible, resolution, ok } = stream;
  const { suite } = possible[0]?.keys ?? {};
  const basis = ok > 0 ? 'seen' : resolution.atReceiver === 'held' ? 'told' : 'assumed';
  return {
    spi,
    packets,
    suite: suite?.name ?? null,
    keyBits: suite ? suite.keyLen * 8 : null,
    basis: suite ? basis : null,
  };
}

/** Multicast, broadcast, link-local and loopback addresses are no pods'. */
function isNoPod(address: string): boolean {
  return /^(?:22[4-9]|23\d|25[0-5]|127|0)\.|^169\.254\.|^ff|^fe[89ab]|^::1?$/i.test(address);
}
