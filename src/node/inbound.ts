/**
 * What a node does with frames from outside, around decryption. As Cilium's program on the device and the kernel
 * behind it:
 *
 *  1. the packet is whole and its header sound              else IpInHdrErrors
 *  2. whose is the destination? a pod here: it came in the clear, go on with 6
 *  3. this node itself: fragments are put together, others are marked with the node id of their source
 *     (ESP from a source without one: Cilium's drop 197)
 *  4. (decapsulation: the SA by destination, SPI and mark; of ESP inside transport-mode ESP the inner one, too)
 *  5. what is not ESP was for the node itself               nobody listens: no route
 *  6. the inbound policy allows it                          else XfrmInNoPols, XfrmInTmplMismatch, XfrmInPolBlock
 *  7. a pod here has the destination                        else XfrmFwdHdrError
 *  8. the hop limit allows another hop                      else IpInHdrErrors
 *
 * {@link Inbound.admit} is steps 1 to 3, {@link Inbound.open} step 4, {@link Inbound.route} steps 5 to 8.
 * @module
 */
import type { OverlayMode } from '../cilium/agent-plan.ts';
import { IDENTITY } from '../cilium/ipcache.ts';
import type { Decapsulator } from '../ipsec/decapsulate.ts';
import { DROP } from '../ipsec/drop.ts';
import { EspPlace } from '../ipsec/esp-place.ts';
import { decrementHopLimit } from '../ipsec/hop-limit.ts';
import { checkPolicy } from '../ipsec/policy-check.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Sad } from '../ipsec/sad.ts';
import type { Spd } from '../ipsec/spd.ts';
import { parse, WHOLE } from '../wire/ip.ts';
import { type Batch, HELD, ON, PASS } from '../wire/packet.ts';
import { Reassembler } from '../wire/reassembly.ts';
import { ARRIVED, UNDECIDED } from './decisions.ts';
import { FlowMemo } from './flow-memo.ts';
import { NO_VXLAN, type Overlay } from './overlay.ts';
import type { RouteTable } from './routes.ts';

/** Linux XFRM_MAX_DEPTH: ESP in more ESP than that is given up. */
const MAX_DEPTH = 6;

export class Inbound {
  readonly reassembler = new Reassembler();

  readonly #routes: RouteTable;
  readonly #spd: Spd;
  readonly #sad: Sad;
  readonly #overlay: Overlay;
  readonly #place = new EspPlace();
  readonly #takeWhole: (packet: Uint8Array) => void;
  /** Of the pass at hand: outer flows to this node, then inner flows to pods. */
  readonly #memo = new FlowMemo();
  /** The time of the batch at hand, ms. Passed to every packet it would be a new object each time. */
  #now = 0;
  /** Of packets of the batch at hand: the SAs around the one that they came by, the outermost first. */
  readonly #around = new Map<number, SaConfig[]>();
  /** Whether ESP from a source that is no known node goes on to the SAs. */
  anySource = false;
  /** How the overlay is built; undefined in native routing, where nothing is taken out of VXLAN. */
  overlayMode: OverlayMode | undefined;

  /**
   * @param takeWhole gets each packet that its last fragment has completed
   */
  constructor(
    routes: RouteTable,
    spd: Spd,
    sad: Sad,
    overlay: Overlay,
    takeWhole: (packet: Uint8Array) => void,
  ) {
    this.#routes = routes;
    this.#spd = spd;
    this.#sad = sad;
    this.#overlay = overlay;
    this.#takeWhole = takeWhole;
  }

  /**
   * Steps 1 to 3 for every packet. Those that go on are for the decapsulator, with their marks; fragments wait.
   * @param now ms, from any epoch: fragments do not wait for ever
   */
  admit(batch: Batch, now: number): void {
    if (this.reassembler.pending > 0) this.reassembler.expire(now);
    this.#now = now;
    this.#memo.clear();
    for (let i = 0; i < batch.count; i++)
      batch.decision[i] = batch.next[i] === ON ? this.#admit(batch, i) : UNDECIDED;
  }

  #admit(batch: Batch, i: number): number {
    batch.mark[i] = 0;
    batch.sa[i] = batch.vni[i] = -1;
    // 1.
    if (!parse(batch, i)) {
      batch.from[i] = batch.to[i] = -1;
      batch.drop(i, DROP['ip-header']);
      return ARRIVED.FOR_NODE;
    }
    const isWhole = batch.fragment[i] === WHOLE;
    const known = isWhole ? this.#memo.find(batch, i) : -1;
    if (known >= 0) {
      batch.mark[i] = batch.mark[known]!;
      batch.from[i] = batch.from[known]!;
      batch.to[i] = batch.to[known]!;
      return ARRIVED.FOR_NODE;
    }
    // 2.
    const route = this.#routes.note(batch, i);
    if (route?.kind === 'pod') {
      this.#forward(batch, i, undefined);
      return ARRIVED.CLEAR;
    }
    if (route?.kind !== 'self') {
      batch.drop(i, DROP['no-route']);
      return ARRIVED.CLEAR;
    }
    // 3.
    const { slab } = batch;
    const at = batch.offset[i]!;
    const end = at + batch.length[i]!;
    if (!isWhole) {
      batch.next[i] = HELD;
      const whole = this.reassembler.add(slab, at, end, this.#now);
      if (whole) this.#takeWhole(whole);
      return ARRIVED.FOR_NODE;
    }
    if (this.overlayMode && this.#place.find(slab, at, end) === 'other') {
      const vni = this.#overlay.unwrap(batch, i);
      if (vni !== NO_VXLAN) return this.#admitInner(batch, i, vni);
    }
    return this.#mark(batch, i);
  }

  /** What an overlay packet carried in the clear: a packet for a pod, or ESP (up to 1.17). */
  #admitInner(batch: Batch, i: number, vni: number): number {
    if (vni < 0) {
      batch.drop(i, DROP['bad-vxlan']);
      return ARRIVED.FOR_NODE;
    }
    const isSound = parse(batch, i);
    const route = this.#routes.note(batch, i);
    if (vni === IDENTITY.HOST || !isSound) {
      batch.drop(i, vni === IDENTITY.HOST ? DROP['invalid-identity'] : DROP['inner-header']);
      return ARRIVED.CLEAR;
    }
    // What it carries encrypted loses the VNI: its identity is in the ipcache.
    if (route?.kind === 'self') return this.#mark(batch, i);
    batch.vni[i] = vni;
    this.#forward(batch, i, undefined);
    return ARRIVED.CLEAR;
  }

  /** The last of step 3. */
  #mark(batch: Batch, i: number): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    const from = this.#routes.at(batch.from[i]!);
    const peer = from?.kind === 'node' && from.peer.nodeId !== 0 ? from.peer : undefined;
    if (peer) {
      batch.mark[i] = peer.decryptMark;
      if (!this.overlayMode) this.#memo.keep(batch, i);
    } else if (!this.anySource && this.#place.find(slab, at, at + batch.length[i]!) === 'esp')
      batch.drop(i, DROP['no-node-id']);
    return ARRIVED.FOR_NODE;
  }

  /** Step 4. */
  open(batch: Batch, decapsulator: Decapsulator): void {
    if (this.#around.size > 0) this.#around.clear();
    if (!this.#sad.hasTransport) {
      decapsulator.run(batch);
      return;
    }
    // One after the other: what is inside may be for an SA that others in the batch come by.
    for (let i = 0; i < batch.count; i++) {
      decapsulator.run(batch, i, i + 1);
      while (this.#hasEspInside(batch, i)) {
        const around = this.#around.get(i) ?? [];
        this.#around.set(i, around);
        around.push(this.#sad.sas[batch.sa[i]!]!.config);
        if (around.length < MAX_DEPTH) decapsulator.run(batch, i, i + 1);
        else batch.drop(i, DROP['in-depth']);
      }
    }
  }

  /** What comes next came out of no frame of the last batch. */
  forget(): void {
    this.#around.clear();
  }

  /** Is what an SA of transport mode brought ESP again? Linux goes on with that at once (xfrm_input). */
  #hasEspInside(batch: Batch, i: number): boolean {
    if (batch.next[i] !== ON || batch.isEsp[i] === 0 || this.#sad.sas[batch.sa[i]!]?.isTunnel) return false;
    const at = batch.offset[i]!;
    return this.#place.find(batch.slab, at, at + batch.length[i]!) === 'esp';
  }

  /**
   * Steps 5 to 8, after decapsulation, for every packet that is left.
   */
  route(batch: Batch): void {
    this.#memo.clear();
    for (let i = 0; i < batch.count; i++) {
      if (batch.next[i] !== ON) continue;
      const sa = batch.isEsp[i] === 0 ? undefined : this.#sad.sas[batch.sa[i]!];
      // 5.
      if (sa) this.#forward(batch, i, sa);
      else batch.drop(i, DROP['no-route']);
    }
  }

  /** Steps 6 to 8. The packet goes to a pod, or is dropped. */
  #forward(batch: Batch, i: number, sa: SecurityAssociation | undefined): void {
    const refused = this.#toPod(batch, i, sa);
    if (refused === PASS) return;
    // Of the packet as it is now, for those who look on.
    this.#routes.note(batch, i);
    batch.drop(i, refused);
  }

  /** Finds the pod of a packet. Returns the verdict. */
  #toPod(batch: Batch, i: number, sa: SecurityAssociation | undefined): number {
    const { slab } = batch;
    let isUnwrapped = false;
    if (sa) {
      // Decrypted packets are received anew, and with the mark that xfrm leaves on them.
      if (!parse(batch, i)) return DROP['inner-header'];
      const left = sa.config.outputMark;
      if (left) batch.mark[i] = ((batch.mark[i]! & ~left.mask) | left.value) >>> 0;
      isUnwrapped = this.overlayMode !== undefined && this.#routes.goal(batch, i)?.kind === 'self';
      const refused = isUnwrapped ? this.#unwrapDecrypted(batch, i, sa) : PASS;
      if (refused !== PASS) return refused;
      // What came by more SAs is judged by itself.
      const known = this.#around.has(i) ? -1 : this.#memo.find(batch, i);
      if (known >= 0 && isAlike(batch, known, i)) {
        if (!decrementHopLimit(slab, batch.offset[i]!)) return DROP['hop-limit'];
        batch.from[i] = batch.from[known]!;
        batch.to[i] = batch.to[known]!;
        batch.next[i] = batch.next[known]!;
        return PASS;
      }
      this.#routes.note(batch, i);
    }
    const at = batch.offset[i]!;
    // 6. As a signed word: above 2^31 the mark would be a new object wherever it is passed on.
    const refused = isUnwrapped
      ? PASS
      : checkPolicy(this.#spd, 'fwd', slab, at, batch.mark[i]! | 0, sa?.config, this.#around.get(i));
    if (refused !== PASS) return refused;
    // 7.
    const route = this.#routes.at(batch.to[i]!);
    if (route?.kind !== 'pod') return DROP['no-pod'];
    // 8.
    if (!decrementHopLimit(slab, at)) return DROP['hop-limit'];
    batch.next[i] = route.pod;
    if (sa && !this.#around.has(i) && (isUnwrapped || this.#spd.byAddress('fwd'))) this.#memo.keep(batch, i);
    return PASS;
  }

  /**
   * Takes a decrypted packet for this node out of VXLAN, if the policy for the node itself allows it, since it is the vxlan
   * device that gets it. Returns the verdict.
   */
  #unwrapDecrypted(batch: Batch, i: number, sa: SecurityAssociation): number {
    const refused = checkPolicy(
      this.#spd,
      'in',
      batch.slab,
      batch.offset[i]!,
      batch.mark[i]! | 0,
      sa.config,
      this.#around.get(i),
    );
    if (refused !== PASS) return refused;
    const vni = this.#overlay.unwrap(batch, i);
    if (vni === NO_VXLAN) return DROP['no-route'];
    if (vni < 0) return DROP['bad-vxlan'];
    const isSound = parse(batch, i);
    if (vni === IDENTITY.HOST) return DROP['invalid-identity'];
    batch.vni[i] = vni;
    return isSound ? PASS : DROP['inner-header'];
  }
}

/** Did two packets of one flow come by one SA, with one mark and VNI? */
function isAlike({ sa, mark, vni }: Batch, known: number, i: number): boolean {
  return sa[known] === sa[i] && mark[known] === mark[i] && vni[known] === vni[i];
}
