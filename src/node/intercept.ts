/**
 * The decision about packets that leave pods: which way, with which policy and which SA. As Cilium from 1.18 does
 * it on the device, and the kernel's xfrm after that:
 *
 *  1. the packet is whole and its header sound             else IpInHdrErrors
 *  2. whose is the destination?                            a pod here: deliver it
 *  3. the hop limit allows another hop                     else IpInHdrErrors
 *  4. not another node's pod, not from a pod, or no key    leave in the clear, unless strict mode forbids it
 *  5. the peer has a node id: mark the packet              else Cilium's drop 197
 *  6. a policy has the mark                                else, and where it blocks, XfrmOutPolBlock
 *  7. an SA fits the policy's template                     else XfrmOutNoStates
 *
 * Stricter than Linux in one point: a marked packet that no policy matches is dropped even where the default
 * policy that Cilium installs for it is missing. It never leaves in the clear.
 * @module
 */
import type { Peer } from '../cilium/ipcache.ts';
import { dropCode } from '../ipsec/drop.ts';
import { decrementHopLimit } from '../ipsec/hop-limit.ts';
import type { Sad } from '../ipsec/sad.ts';
import type { Policy, Spd } from '../ipsec/spd.ts';
import { inPrefix, type Prefix } from '../wire/address.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { type Batch, PASS } from '../wire/packet.ts';
import { decisionCode, UNDECIDED } from './decisions.ts';
import { FLOW_SLOTS, FlowMemo } from './flow-memo.ts';
import { addressLen, dstAt, ipLength, srcAt } from './ip.ts';
import type { RouteTable } from './routes.ts';
import { SaChoice } from './sa-choice.ts';

const ENCRYPT = decisionCode('encrypt');
const SAME_NODE = decisionCode('same-node');
const OFF_CLUSTER = decisionCode('off-cluster');
const TO_NODE = decisionCode('to-node');
const FROM_HOST = decisionCode('from-host');
const NO_KEY = decisionCode('no-key');
const DROP = decisionCode('drop');

const IP_HEADER = dropCode('ip-header');
const HOP_LIMIT = dropCode('hop-limit');
const NO_ROUTE = dropCode('no-route');
const TOO_BIG = dropCode('too-big');
const UNENCRYPTED = dropCode('unencrypted');
const NO_NODE_ID = dropCode('no-node-id');
const POLICY_BLOCK = dropCode('out-policy-block');
const NO_STATE = dropCode('out-no-state');

export interface InterceptOptions {
  /** Longest packet that leaves in the clear and may not be cut. */
  readonly mtu: number;
  /** Strict mode: what would leave in the clear between two addresses of this range is dropped. */
  readonly strict?: Prefix | undefined;
}

export class Interceptor {
  /** Longest packet that leaves in the clear and may not be cut. */
  mtu: number;
  /** Row of `DECISIONS` for each packet of the last batch, by its index. */
  readonly decision: Uint8Array;
  /** The pod here that it goes to; -1 for none. */
  readonly pod: Int32Array;
  /** The node whose pod it goes to, if it is one of another node. */
  readonly peer: (Peer | undefined)[];
  /** The policy that had its mark. */
  readonly policy: (Policy | undefined)[];

  readonly #routes: RouteTable;
  readonly #spd: Spd;
  readonly #choice: SaChoice;
  readonly #strict: Prefix | undefined;
  /** The flows of this batch that are to be encrypted, and by slot what was found for them. */
  readonly #memo = new FlowMemo();
  readonly #memoMark = new Uint32Array(FLOW_SLOTS);
  readonly #memoSa = new Int32Array(FLOW_SLOTS);
  readonly #memoPeer: (Peer | undefined)[] = new Array(FLOW_SLOTS).fill(undefined);
  readonly #memoPolicy: (Policy | undefined)[] = new Array(FLOW_SLOTS).fill(undefined);

  /** @param capacity packets in the largest batch */
  constructor(routes: RouteTable, spd: Spd, sad: Sad, capacity: number, { mtu, strict }: InterceptOptions) {
    this.#routes = routes;
    this.#spd = spd;
    this.#choice = new SaChoice(sad);
    this.mtu = mtu;
    this.#strict = strict;
    this.decision = new Uint8Array(capacity);
    this.pod = new Int32Array(capacity);
    this.peer = new Array(capacity).fill(undefined);
    this.policy = new Array(capacity).fill(undefined);
  }

  /** Decides about every packet that has passed so far: sets decision, verdict, mark and SA, and takes one hop. */
  run(batch: Batch): void {
    this.#memo.clear();
    for (let i = 0; i < batch.count; i++) {
      this.pod[i] = -1;
      this.peer[i] = undefined;
      this.policy[i] = undefined;
      if (batch.verdict[i] !== PASS) {
        this.decision[i] = UNDECIDED;
        continue;
      }
      batch.sa[i] = -1;
      batch.mark[i] = 0;
      this.decision[i] = this.#decide(batch, i);
    }
  }

  /** Steps 1 to 7. Returns the decision. */
  #decide(batch: Batch, i: number): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    // 1.
    const len = ipLength(slab, at, batch.length[i]!);
    if (len === 0) return drop(batch, i, IP_HEADER);
    batch.length[i] = len;
    const known = this.#memo.find(slab, at);
    if (known >= 0) {
      if (!decrementHopLimit(slab, at)) return drop(batch, i, HOP_LIMIT);
      this.peer[i] = this.#memoPeer[known];
      this.policy[i] = this.#memoPolicy[known];
      batch.mark[i] = this.#memoMark[known]!;
      batch.sa[i] = this.#memoSa[known]!;
      return ENCRYPT;
    }
    const family = addressLen(slab, at);
    // 2.
    const route = this.#routes.lookup(slab, dstAt(slab, at), family);
    // Programs of the node itself are not simulated: nobody listens.
    if (route?.kind === 'self') return drop(batch, i, NO_ROUTE);
    // 3.
    if (!decrementHopLimit(slab, at)) return drop(batch, i, HOP_LIMIT);
    if (route?.kind === 'pod') {
      this.pod[i] = route.pod;
      return SAME_NODE;
    }
    // 4.
    if (!route) return this.#leave(batch, i, OFF_CLUSTER);
    if (route.kind === 'node') return this.#leave(batch, i, TO_NODE);
    const { peer } = route;
    this.peer[i] = peer;
    const from = this.#routes.lookup(slab, srcAt(slab, at), family);
    if (from?.kind === 'self') return this.#leave(batch, i, FROM_HOST);
    if (!peer.encrypts) return this.#leave(batch, i, NO_KEY);
    // 5.
    if (peer.nodeId === 0) return drop(batch, i, NO_NODE_ID);
    const mark = peer.encryptMark;
    batch.mark[i] = mark;
    // 6.
    const policy = this.#spd.lookup('out', slab, at, mark);
    this.policy[i] = policy;
    const template = policy?.templates[0];
    if (policy?.action !== 'allow' || !template) return drop(batch, i, POLICY_BLOCK);
    // 7.
    const sa = this.#choice.choose(template, slab, at, mark);
    if (sa < 0) return drop(batch, i, NO_STATE);
    batch.sa[i] = sa;
    if (this.#spd.byAddress('out')) {
      const slot = this.#memo.keep(slab, at);
      this.#memoMark[slot] = mark;
      this.#memoSa[slot] = sa;
      this.#memoPeer[slot] = peer;
      this.#memoPolicy[slot] = policy;
    }
    return ENCRYPT;
  }

  #leave(batch: Batch, i: number, decision: number): number {
    const strict = this.#strict;
    if (strict) {
      const { slab } = batch;
      const at = batch.offset[i]!;
      const family = addressLen(slab, at);
      const isInside =
        inPrefix(strict, slab, srcAt(slab, at), family) && inPrefix(strict, slab, dstAt(slab, at), family);
      if (isInside && decision !== FROM_HOST) return drop(batch, i, UNENCRYPTED);
    }
    const isTooBig = batch.length[i]! > this.mtu && mustNotBeCut(batch.slab, batch.offset[i]!);
    return isTooBig ? drop(batch, i, TOO_BIG) : decision;
  }
}

/** A router cuts no IPv6 packet, and an IPv4 packet only without DF. */
function mustNotBeCut(b: Uint8Array, at: number): boolean {
  return b[at]! >>> 4 === 6 || (ipv4.fragmentField(b, at) & ipv4.DF) !== 0;
}

function drop(batch: Batch, i: number, verdict: number): number {
  batch.verdict[i] = verdict;
  return DROP;
}
