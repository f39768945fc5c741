/**
 * The decision about packets that leave pods: which way, with which policy and which SA. As Cilium from 1.18 does
 * it on the device, and the kernel's xfrm after that:
 *
 *  1. the packet is whole and its header sound             else IpInHdrErrors
 *  2. whose is the destination?                            a pod here: deliver it
 *  3. the hop limit allows another hop                     else IpInHdrErrors
 *  4. not another node's pod, not from a pod, or no key    leave in the clear, unless strict mode forbids it
 *     in an overlay from 1.18 on, all to another node's pod goes on, and is asked about as VXLAN
 *  5. the peer has a node id: mark the packet              else Cilium's drop 197
 *  6. a policy has the mark                                else, and where it blocks, XfrmOutPolBlock
 *  7. an SA fits the policy's template                     else XfrmOutNoStates
 *     and is not for receiving alone                       else XfrmOutStateDirError
 *
 * Stricter than Linux in one point: a marked packet that no policy matches is dropped even where the default
 * policy that Cilium installs for it is missing. It never leaves in the clear.
 * @module
 */
import type { OverlayMode } from '../cilium/agent-plan.ts';
import { IDENTITY, identityOf, type Peer } from '../cilium/ipcache.ts';
import { DROP } from '../ipsec/drop.ts';
import { decrementHopLimit } from '../ipsec/hop-limit.ts';
import type { Sad } from '../ipsec/sad.ts';
import type { Spd } from '../ipsec/spd.ts';
import { inPrefix, type Prefix } from '../wire/address.ts';
import { addressLen, dstAt, mayBeCut, parse, srcAt } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { type Batch, ON } from '../wire/packet.ts';
import * as udp from '../wire/udp.ts';
import { DECISION, UNDECIDED } from './decisions.ts';
import { FlowMemo } from './flow-memo.ts';
import type { NodeOptions } from './node.ts';
import type { RouteTable } from './routes.ts';
import { SaChoice } from './sa-choice.ts';

/** An IPv6 header with UDP behind it. */
const OUTER_LEN = ipv6.HEADER_LEN + udp.HEADER_LEN;

export class Interceptor {
  /** Longest packet that leaves in the clear and may not be cut. */
  mtu: number;

  readonly #routes: RouteTable;
  readonly #spd: Spd;
  readonly #sad: Sad;
  readonly #choice: SaChoice;
  readonly #strict: Prefix | undefined;
  readonly #memo = new FlowMemo();
  readonly #strictAllowsNodes: boolean;
  /** How the overlay is built; undefined in native routing. */
  overlayMode: OverlayMode | undefined;
  /** Whether packets are encrypted whatever their source is. */
  anySource = false;
  /** Longest packet of a pod that fits into the overlay and ESP, as Cilium reckons. */
  overlayMtu = 0;
  readonly #outer = new Uint8Array(OUTER_LEN);

  constructor(
    routes: RouteTable,
    spd: Spd,
    sad: Sad,
    {
      outside,
      strict,
      strictAllowsNodes = false,
    }: Pick<NodeOptions, 'outside' | 'strict' | 'strictAllowsNodes'>,
  ) {
    this.#routes = routes;
    this.#spd = spd;
    this.#sad = sad;
    this.#choice = new SaChoice(sad);
    this.mtu = outside.mtu;
    this.#strict = strict;
    this.#strictAllowsNodes = strictAllowsNodes;
  }

  /** Decides about every packet of a batch: where it goes, by which mark and SA, and takes one hop. */
  run(batch: Batch): void {
    this.#memo.clear();
    for (let i = 0; i < batch.count; i++)
      batch.decision[i] = batch.next[i] === ON ? this.#decide(batch, i) : UNDECIDED;
  }

  /** Returns the decision. */
  #decide(batch: Batch, i: number): number {
    // 1.
    const isSound = parse(batch, i);
    const known = isSound ? this.#memo.find(batch, i) : -1;
    if (known >= 0) return this.#repeat(batch, i, known);
    forget(batch, i);
    batch.from[i] = batch.to[i] = -1;
    if (!isSound) return drop(batch, i, DROP['ip-header']);
    const decision = this.#ask(batch, i);
    const isByAddress = decision !== DECISION.encrypt || (this.#spd.byAddress('out') && this.#sad.byAddress);
    if (decision !== DECISION.drop && isByAddress) this.#memo.keep(batch, i);
    return decision;
  }

  /** Decides as about packet `known`, which has the same addresses. Returns the decision. */
  #repeat(batch: Batch, i: number, known: number): number {
    batch.from[i] = batch.from[known]!;
    batch.to[i] = batch.to[known]!;
    if (!decrementHopLimit(batch.slab, batch.offset[i]!)) {
      forget(batch, i);
      return drop(batch, i, DROP['hop-limit']);
    }
    batch.next[i] = batch.next[known]!;
    batch.mark[i] = batch.mark[known]!;
    batch.sa[i] = batch.sa[known]!;
    batch.policy[i] = batch.policy[known]!;
    batch.vni[i] = batch.vni[known]!;
    const decision = batch.decision[known]!;
    if (decision === DECISION['same-node'] || this.#fits(batch, i, decision === DECISION.encrypt))
      return decision;
    // As of the first of a flow: its sender is told what the overlay takes, not the SA.
    batch.mark[i] = 0;
    batch.sa[i] = batch.policy[i] = -1;
    return drop(batch, i, DROP['too-big']);
  }

  /** Steps 2 to 7: asks the tables. Returns the decision. */
  #ask(batch: Batch, i: number): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    // 2.
    const route = this.#routes.note(batch, i);
    // Programs of the node itself are not simulated: none listens.
    if (route?.kind === 'self') return drop(batch, i, DROP['no-route']);
    // 3.
    if (!decrementHopLimit(slab, at)) return drop(batch, i, DROP['hop-limit']);
    if (route?.kind === 'pod') {
      batch.next[i] = route.pod;
      return DECISION['same-node'];
    }
    // 4.
    if (!route) return this.#leave(batch, i, DECISION['off-cluster']);
    if (route.kind === 'node') return this.#leave(batch, i, DECISION['to-node']);
    const { peer } = route;
    const from = this.#routes.at(batch.from[i]!);
    const isPod = from?.kind === 'pod' || from?.kind === 'remote';
    const mode = peer.tunnel ? this.overlayMode : undefined;
    if (mode) {
      // A host's packets bear the identity that hosts have for others.
      batch.vni[i] = from?.kind === 'self' ? IDENTITY.REMOTE_NODE : identityOf(from);
      if (!this.#fits(batch, i, true)) return drop(batch, i, DROP['too-big']);
    }
    // All that the overlay carries is encrypted when it goes around the packets, not in them.
    if (mode !== 'vxlan-in-esp' && !isPod && !this.anySource)
      return this.#leave(batch, i, from ? DECISION['from-host'] : DECISION['no-source']);
    if (!peer.encrypts) return this.#leave(batch, i, DECISION['no-key']);
    // 5.
    if (peer.nodeId === 0) return drop(batch, i, DROP['no-node-id']);
    const mark = peer.encryptMark;
    batch.mark[i] = mark;
    // 6. What is asked about is what will be encrypted.
    const isWrapped = mode === 'vxlan-in-esp';
    const header = isWrapped ? this.#outerOf(peer.tunnel!) : slab;
    const headerAt = isWrapped ? 0 : at;
    const place = this.#spd.find('out', header, headerAt, mark);
    batch.policy[i] = place;
    const policy = this.#spd.policies('out')[place];
    const template = policy?.templates[0];
    if (policy?.action !== 'allow' || !template) return drop(batch, i, DROP['out-policy-block']);
    // 7.
    const sa = this.#choice.choose(template, header, headerAt, mark);
    if (sa < 0) return drop(batch, i, DROP['out-no-state']);
    if (this.#sad.sas[sa]!.config.direction === 'in') return drop(batch, i, DROP['out-direction']);
    batch.sa[i] = sa;
    return DECISION.encrypt;
  }

  /**
   * Does the packet fit into the overlay, if it takes it, and into the path, if it leaves in the clear? What may be cut is cut
   * outside; what the overlay carries is cut there only if IPv4 carries it.
   */
  #fits(batch: Batch, i: number, isEncrypted: boolean): boolean {
    const len = batch.length[i]!;
    const isTooLong = batch.vni[i]! >= 0 && len > this.overlayMtu;
    if (!isTooLong && (isEncrypted || len <= this.mtu)) return true;
    if (!mayBeCut(batch.slab, batch.offset[i]!)) return false;
    return !isTooLong || this.#routes.peerOf(batch, i)?.tunnel?.dst.length !== ipv6.ADDRESS_LEN;
  }

  /** The header of a VXLAN packet between two nodes, as far as policies ask. */
  #outerOf({ src, dst }: NonNullable<Peer['tunnel']>): Uint8Array {
    const b = this.#outer;
    const isV4 = src.length === ipv4.ADDRESS_LEN;
    b.fill(0);
    b[0] = isV4 ? 0x45 : 0x60;
    if (isV4) {
      ipv4.setTotalLength(b, 0, OUTER_LEN);
      ipv4.setProtocol(b, 0, udp.PROTOCOL);
    } else {
      ipv6.setPayloadLength(b, 0, udp.HEADER_LEN);
      ipv6.setNextHeader(b, 0, udp.PROTOCOL);
    }
    b.set(src, isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    b.set(dst, isV4 ? ipv4.DST_AT : ipv6.DST_AT);
    return b;
  }

  #leave(batch: Batch, i: number, decision: number): number {
    const strict = this.#strict;
    if (strict) {
      const { slab } = batch;
      const at = batch.offset[i]!;
      const family = addressLen(slab, at);
      const isInside =
        inPrefix(strict, slab, srcAt(slab, at), family) && inPrefix(strict, slab, dstAt(slab, at), family);
      const isFree =
        decision === DECISION['from-host'] ||
        (decision === DECISION['to-node'] && (this.#strictAllowsNodes || this.overlayMode !== undefined));
      if (isInside && !isFree) return drop(batch, i, DROP.unencrypted);
    }
    return this.#fits(batch, i, false) ? decision : drop(batch, i, DROP['too-big']);
  }
}

function drop(batch: Batch, i: number, verdict: number): number {
  batch.drop(i, verdict);
  return DECISION.drop;
}

/** Of a packet about which nothing has been decided yet. */
function forget(batch: Batch, i: number): void {
  batch.mark[i] = 0;
  batch.sa[i] = batch.policy[i] = batch.vni[i] = -1;
}
