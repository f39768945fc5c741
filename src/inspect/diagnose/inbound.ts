/**
 * What the inbound policies of kernels say of packets that were decrypted, and of those that come in the clear.
 *
 * The judge is the one that nodes have (`ipsec/policy-check.ts`). A capture leaves open what it asks: whether the
 * receiver forwards a packet or takes it itself, its mark, and which xfrm interfaces and devices there are. Where that makes a
 * difference nothing is said, but for two things that are assumed: an address that no source calls the node's own is behind
 * it; and an xfrm interface is there if policies are for it.
 *
 * A text of `ip xfrm policy` does not say which node printed it: its templates do. It has the newest policy first.
 * @module
 */
import { complies } from '../../ipsec/policy-check.ts';
import type { Mark, SaConfig } from '../../ipsec/sa-config.ts';
import { isByAddress, SelectedPacket } from '../../ipsec/selector.ts';
import type { Policy } from '../../ipsec/spd.ts';
import { type TextPolicy, toTemplates } from '../../sa-text/to-policy.ts';
import { type Address, formatAddress, isAny } from '../../wire/address.ts';
import type { Evidence } from '../evidence.ts';
import { inOrder } from './policies.ts';

/** What the policies of a receiver do with a packet. */
export interface Ruling {
  /** PASS or the row of the drop table. */
  readonly verdict: number;
  /** Is it so only where an address that no source calls the node's own is behind it? */
  readonly isAssumed: boolean;
}

/** A packet that came out of ESP, or in the clear, by the headers that the receiver's stack sees. */
export interface Arrival {
  readonly b: Uint8Array;
  /** The IP header. */
  readonly at: number;
  readonly src: Address;
  readonly dst: Address;
  readonly isFragment: boolean;
  /** The SAs that it came by, the outermost first; none in the clear. */
  readonly path: readonly SaConfig[];
  /** The receiver. */
  readonly node: string;
}

type Way = 'in' | 'fwd';

/** A policy, as the judge takes it. */
interface Rule extends Pick<TextPolicy, 'selector' | 'mark' | 'dev'> {
  readonly ifId: number;
  /** `undefined` where it asks for what cannot be told from ESP alone: another protocol, another mode. */
  readonly policy: Pick<Policy, 'action' | 'templates'> | undefined;
}

/** Made when it is first asked: there may be thousands of nodes, and few in a capture. */
interface NodeText {
  readonly file: string;
  readonly policies: readonly TextPolicy[];
  node?: Node;
}

interface Node {
  /** In the order in which its kernel asks them. */
  readonly rules: Readonly<Record<Way, readonly Rule[]>>;
  /** Do all go by addresses alone, so that packets between two addresses have one answer? */
  readonly isByAddress: boolean;
  readonly ifIds: ReadonlySet<number>;
  readonly known: Map<string, Ruling | undefined>;
}

/** Answers that are kept for each node. */
const MOST_KNOWN = 1 << 14;
/** Not to be told. */
const UNKNOWN = -1;

export class InboundPolicies {
  readonly #evidence: Evidence;
  readonly #nodes = new Map<string, NodeText>();
  readonly #packet = new SelectedPacket();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
    const texts = new Map<string, TextPolicy[]>();
    for (const policy of evidence.policies) {
      const file = policy.origin.replace(/:\d+$/, '');
      const same = texts.get(file);
      if (same) same.push(policy);
      else texts.set(file, [policy]);
    }
    /** Nodes of several texts: which of them holds is not told. */
    const twice = new Set<string>();
    for (const [file, policies] of texts) {
      const names = this.#nodesOf(policies);
      if (names.size === 0) continue;
      const text: NodeText = { file, policies };
      for (const name of names) {
        if (this.#nodes.has(name)) twice.add(name);
        this.#nodes.set(name, text);
      }
    }
    for (const name of twice) this.#nodes.delete(name);
  }

  /** Are there none to ask? */
  get isEmpty(): boolean {
    return this.#nodes.size === 0;
  }

  /** The text of the policies of a node. */
  fileOf(address: string): string | undefined {
    return this.#nodes.get(this.#evidence.nameOf(address))?.file;
  }

  /** @returns `undefined` where it is not known */
  judge(packet: Arrival): Ruling | undefined {
    const text = this.#nodes.get(this.#evidence.nameOf(packet.node));
    if (!text) return undefined;
    text.node ??= nodeOf(text.policies);
    const { node } = text;
    if (!node.isByAddress) return this.#judge(node, packet);
    const { src, dst, path } = packet;
    const sas = path.map((sa) => `${sa.spi}/${sa.dst.join('.')}`).join(' ');
    const key = `${src.join('.')} ${dst.join('.')} ${packet.isFragment} ${sas}`;
    if (node.known.has(key)) return node.known.get(key);
    if (node.known.size >= MOST_KNOWN) node.known.clear();
    const ruling = this.#judge(node, packet);
    node.known.set(key, ruling);
    return ruling;
  }

  #judge(node: Node, packet: Arrival): Ruling | undefined {
    const { dst, path, node: receiver, isFragment } = packet;
    const last = path.at(-1);
    const address = formatAddress(dst);
    if (isMulticast(dst)) return undefined;
    // Transport mode leaves it at the address that ESP came to.
    const isOwn =
      last?.mode === 'transport' ||
      address === receiver ||
      (this.#evidence.knows(address) && this.#evidence.isSameNode(address, receiver));
    // Fragments for the node itself are reassembled first.
    if (isOwn) return isFragment ? undefined : known(this.#outcome(node, 'in', packet), false);
    if (this.#evidence.knows(address)) return known(this.#outcome(node, 'fwd', packet), false);
    const [here, behind] = [this.#outcome(node, 'in', packet), this.#outcome(node, 'fwd', packet)];
    return known(behind, here !== behind);
  }

  #outcome(node: Node, way: Way, packet: Arrival): number {
    const ifId = packet.path.at(-1)?.ifId ?? 0;
    const plain = this.#outcomeBy(node.rules[way], 0, packet);
    if (ifId === 0) return plain;
    const through = this.#outcomeBy(node.rules[way], ifId, packet);
    return through === plain || node.ifIds.has(ifId) ? through : UNKNOWN;
  }

  /** The one answer of the rules, for a packet through the xfrm interface with this `ifId`, 0 for none. */
  #outcomeBy(rules: readonly Rule[], ifId: number, { b, at, path }: Arrival): number {
    const packet = this.#packet.look(b, at);
    const [last] = path.slice(-1);
    let outcome: number | undefined;
    /** Adds what may be the answer. @returns false where there are two now */
    const add = (one: number) => {
      outcome ??= one;
      return outcome === one;
    };
    for (const { selector, mark, dev, policy, ...rule } of rules) {
      if (rule.ifId !== ifId || !packet.isIn(selector)) continue;
      const isMarked = hasMark(last, mark);
      if (isMarked === false) continue;
      if (!add(policy ? complies(policy, path) : UNKNOWN)) return UNKNOWN;
      if (isMarked && dev === undefined) return outcome!;
    }
    return add(complies(undefined, path)) ? outcome! : UNKNOWN;
  }

  /** The node that printed a text, by all its names; none where that is not told, or the text is not whole. */
  #nodesOf(policies: readonly TextPolicy[]): ReadonlySet<string> {
    const here = new Set<string>();
    const there = new Set<string>();
    const put = (names: Set<string>, address: Address) => {
      if (!isAny(address)) names.add(this.#evidence.nameOf(formatAddress(address)));
    };
    for (const { direction, templates, socket } of policies) {
      for (const { src, dst } of templates) {
        if (socket) continue;
        put(here, direction === 'out' ? src : dst);
        put(there, direction === 'out' ? dst : src);
      }
    }
    const directions = new Set(policies.map(({ direction }) => direction));
    const isOfSeveral = [...here].some((name) => there.has(name));
    return directions.size < 2 || isOfSeveral ? new Set() : here;
  }
}

function known(verdict: number, isAssumed: boolean): Ruling | undefined {
  return verdict === UNKNOWN ? undefined : { verdict, isAssumed };
}

function nodeOf(policies: readonly TextPolicy[]): Node {
  const rulesOf = (way: Way) =>
    inOrder(policies, way).map(({ selector, mark, dev, ifId = 0, action, templates }): Rule => {
      const plain = toTemplates(templates);
      const policy = typeof plain === 'string' ? undefined : { action, templates: plain };
      return { selector, ...(mark && { mark }), ...(dev !== undefined && { dev }), ifId, policy };
    });
  const rules = { in: rulesOf('in'), fwd: rulesOf('fwd') };
  const all = [...rules.in, ...rules.fwd];
  return {
    rules,
    isByAddress: all.every(({ selector }) => isByAddress(selector)),
    ifIds: new Set(all.map(({ ifId }) => ifId)),
    known: new Map(),
  };
}

/**
 * Has a packet the mark that a policy asks for? Of its mark those bits are known by which its SA was found, and those that the SA
 * sets.
 * @returns `undefined` where other bits decide
 */
function hasMark(sa: SaConfig | undefined, want: Mark | undefined): boolean | undefined {
  if (!want || want.mask === 0) return true;
  const { mark, outputMark } = sa ?? {};
  const found = mark ?? { value: 0, mask: 0 };
  const left = outputMark ?? { value: 0, mask: 0 };
  const mask = found.mask | left.mask;
  const value = (found.value & found.mask & ~left.mask) | (left.value & left.mask);
  if (((value ^ want.value) & want.mask & mask) !== 0) return false;
  return (want.mask & ~mask) === 0 ? true : undefined;
}

function isMulticast(address: Address): boolean {
  return address.length === 4 ? address[0]! >= 224 : address[0] === 0xff;
}
