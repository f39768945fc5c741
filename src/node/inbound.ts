/**
 * What a node does with frames from outside, around decryption. As Cilium's program on the device and the kernel
 * behind it:
 *
 *  1. the packet is whole and its header sound              else IpInHdrErrors
 *  2. whose is the destination? a pod here: it came in the clear, go on with 6
 *  3. this node itself: fragments are put together, others are marked with the node id of their source
 *     (ESP from a source without one: Cilium's drop 197)
 *  4. (decapsulation: the SA by destination, SPI and mark)
 *  5. what is not ESP was for the node itself               nobody listens: no route
 *  6. the inbound policy allows it                          else XfrmInNoPols, XfrmInTmplMismatch, XfrmInPolBlock
 *  7. a pod here has the destination                        else XfrmFwdHdrError
 *  8. the hop limit allows another hop                      else IpInHdrErrors
 *
 * {@link Inbound.admit} is steps 1 to 3, {@link Inbound.route} steps 5 to 8.
 * @module
 */
import type { OverlayMode } from '../cilium/agent-plan.ts';
import { IDENTITY, identityOf } from '../cilium/ipcache.ts';
import { dropCode } from '../ipsec/drop.ts';
import { EspPlace } from '../ipsec/esp-place.ts';
import { decrementHopLimit } from '../ipsec/hop-limit.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { Sad } from '../ipsec/sad.ts';
import type { Spd } from '../ipsec/spd.ts';
import { type Batch, HELD, ON, PASS } from '../wire/packet.ts';
import { Reassembler } from '../wire/reassembly.ts';
import { FLOW_SLOTS, FlowMemo } from './flow-memo.ts';
import { addressLen, dstAt, ipLength, srcAt } from './ip.ts';
import { NO_VXLAN, type Overlay } from './overlay.ts';
import { checkPolicy } from './policy-check.ts';
import type { RouteTable } from './routes.ts';

const IP_HEADER = dropCode('ip-header');
const INNER_HEADER = dropCode('inner-header');
const HOP_LIMIT = dropCode('hop-limit');
const NO_ROUTE = dropCode('no-route');
const NO_POD = dropCode('no-pod');
const NO_NODE_ID = dropCode('no-node-id');
const BAD_VXLAN = dropCode('bad-vxlan');
const INVALID_IDENTITY = dropCode('invalid-identity');

/** What a packet from outside was. */
export const ARRIVED = {
  /** Dropped before it came here. */
  GONE: 0,
  /** For this node itself: ESP, most likely. */
  FOR_NODE: 1,
  /** For a pod, without IPsec. */
  CLEAR: 2,
  /** A piece that waits for the others. */
  FRAGMENT: 3,
} as const;

export class Inbound {
  /** One of {@link ARRIVED} for each packet of the last batch, by its index. */
  readonly arrived: Uint8Array;
  /** The identity of its sender: from the VNI, or else from the ipcache; 0 where it is not known. */
  readonly identity: Uint32Array;
  readonly reassembler = new Reassembler();

  readonly #routes: RouteTable;
  readonly #spd: Spd;
  readonly #sad: Sad;
  readonly #overlay: Overlay;
  readonly #place = new EspPlace();
  readonly #takeWhole: (packet: Uint8Array) => void;
  /** The outer flows of this batch, and by slot the marks of their sources. */
  readonly #outer = new FlowMemo();
  readonly #outerMark = new Uint32Array(FLOW_SLOTS);
  /** The inner flows of this batch that go to pods; by slot the SAs they came by, and where they go. */
  readonly #inner = new FlowMemo();
  readonly #innerSa: (SecurityAssociation | undefined)[] = new Array(FLOW_SLOTS).fill(undefined);
  /** The time of the batch at hand, ms. Passed to every packet it would be a new object each time. */
  #now = 0;
  readonly #innerMark = new Int32Array(FLOW_SLOTS);
  readonly #innerPod = new Int32Array(FLOW_SLOTS);
  readonly #innerIdentity = new Uint32Array(FLOW_SLOTS);
  /** Whether ESP from a source that is no known node goes on to the SAs. */
  anySource = false;
  /** How the overlay is built; undefined in native routing, where nothing is taken out of VXLAN. */
  overlayMode: OverlayMode | undefined;

  /**
   * @param capacity packets in the largest batch
   * @param takeWhole gets each packet that its last fragment has completed
   */
  constructor(
    routes: RouteTable,
    spd: Spd,
    sad: Sad,
    overlay: Overlay,
    capacity: number,
    takeWhole: (packet: Uint8Array) => void,
  ) {
    this.#routes = routes;
    this.#spd = spd;
    this.#sad = sad;
    this.#overlay = overlay;
    this.#takeWhole = takeWhole;
    this.arrived = new Uint8Array(capacity);
    this.identity = new Uint32Array(capacity);
  }

  /**
   * Steps 1 to 3 for every packet. Those that go on are for the decapsulator, with their marks; fragments wait.
   * @param now ms, from any epoch: fragments do not wait for ever
   */
  admit(batch: Batch, now: number): void {
    if (this.reassembler.pending > 0) this.reassembler.expire(now);
    this.#now = now;
    this.#outer.clear();
    for (let i = 0; i < batch.count; i++) {
      this.identity[i] = 0;
      this.arrived[i] = batch.next[i] === ON ? this.#admit(batch, i) : ARRIVED.GONE;
    }
  }

  #admit(batch: Batch, i: number): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    batch.sa[i] = -1;
    batch.mark[i] = 0;
    // 1.
    const len = ipLength(slab, at, batch.length[i]!);
    if (len === 0) {
      batch.drop(i, IP_HEADER);
      return ARRIVED.FOR_NODE;
    }
    batch.length[i] = len;
    const known = this.#outer.find(slab, at);
    if (known >= 0 && !this.reassembler.isFragment(slab, at, at + len)) {
      batch.mark[i] = this.#outerMark[known]!;
      return ARRIVED.FOR_NODE;
    }
    const family = addressLen(slab, at);
    // 2.
    const route = this.#routes.lookup(slab, dstAt(slab, at), family);
    if (route?.kind === 'pod') {
      this.#forward(batch, i, undefined);
      return ARRIVED.CLEAR;
    }
    if (route?.kind !== 'self') {
      batch.drop(i, NO_ROUTE);
      return ARRIVED.CLEAR;
    }
    // 3.
    if (this.reassembler.isFragment(slab, at, at + len)) {
      batch.next[i] = HELD;
      const whole = this.reassembler.add(slab, at, at + len, this.#now);
      if (whole) this.#takeWhole(whole);
      return ARRIVED.FRAGMENT;
    }
    if (this.overlayMode && this.#place.find(slab, at, at + len) === 'other') {
      const vni = this.#overlay.unwrap(batch, i);
      if (vni !== NO_VXLAN) return this.#admitInner(batch, i, vni);
    }
    return this.#mark(batch, i, family);
  }

  /** What an overlay packet carried in the clear: a packet for a pod, or ESP (up to 1.17). */
  #admitInner(batch: Batch, i: number, vni: number): number {
    if (vni < 0) {
      batch.drop(i, BAD_VXLAN);
      return ARRIVED.FOR_NODE;
    }
    if (vni === IDENTITY.HOST) {
      batch.drop(i, INVALID_IDENTITY);
      return ARRIVED.CLEAR;
    }
    const { slab } = batch;
    const at = batch.offset[i]!;
    const len = ipLength(slab, at, batch.length[i]!);
    if (len === 0) {
      batch.drop(i, INNER_HEADER);
      return ARRIVED.CLEAR;
    }
    batch.length[i] = len;
    const family = addressLen(slab, at);
    // What it carries encrypted loses the VNI: its identity is in the ipcache.
    if (this.#routes.lookup(slab, dstAt(slab, at), family)?.kind === 'self')
      return this.#mark(batch, i, family, false);
    this.#forward(batch, i, undefined);
    this.identity[i] = vni;
    return ARRIVED.CLEAR;
  }

  /** The last of step 3. */
  #mark(batch: Batch, i: number, family: number, isOuter = true): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    const len = batch.length[i]!;
    const from = this.#routes.lookup(slab, srcAt(slab, at), family);
    const peer = from?.kind === 'node' && from.peer.nodeId !== 0 ? from.peer : undefined;
    if (peer) {
      batch.mark[i] = peer.decryptMark;
      if (isOuter && !this.overlayMode) this.#outerMark[this.#outer.keep(slab, at)] = peer.decryptMark;
    } else if (!this.anySource && this.#place.find(slab, at, at + len) === 'esp') batch.drop(i, NO_NODE_ID);
    return ARRIVED.FOR_NODE;
  }

  /**
   * Steps 5 to 8, after decapsulation, for every packet that is left.
   */
  route(batch: Batch): void {
    this.#inner.clear();
    for (let i = 0; i < batch.count; i++) {
      if (batch.next[i] !== ON) continue;
      const sa = batch.isEsp[i] === 0 ? undefined : this.#sad.sas[batch.sa[i]!];
      // 5.
      if (sa) this.#forward(batch, i, sa);
      else batch.drop(i, NO_ROUTE);
    }
  }

  /** Steps 6 to 8. The packet goes to a pod, or is dropped. */
  #forward(batch: Batch, i: number, sa: SecurityAssociation | undefined): void {
    const refused = this.#toPod(batch, i, sa);
    if (refused !== PASS) batch.drop(i, refused);
  }

  /** Finds the pod of a packet. Returns the verdict. */
  #toPod(batch: Batch, i: number, sa: SecurityAssociation | undefined): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    if (sa) {
      // Decrypted packets are received anew, and with the mark that xfrm leaves on them.
      if (ipLength(slab, at, batch.length[i]!) === 0) return INNER_HEADER;
      const left = sa.config.outputMark;
      if (left) batch.mark[i] = ((batch.mark[i]! & ~left.mask) | left.value) >>> 0;
    }
    // As a signed word: above 2^31 it would be a new object wherever it is passed on.
    const mark = batch.mark[i]! | 0;
    if (sa && this.overlayMode) {
      const refused = this.#unwrapDecrypted(batch, i, mark, sa);
      if (refused !== NO_VXLAN) return refused;
    }
    const known = sa ? this.#inner.find(slab, at) : -1;
    if (known >= 0 && sa === this.#innerSa[known] && mark === this.#innerMark[known]) {
      if (!decrementHopLimit(slab, at)) return HOP_LIMIT;
      batch.next[i] = this.#innerPod[known]!;
      this.identity[i] = this.#innerIdentity[known]!;
      return PASS;
    }
    // 6.
    const refused = checkPolicy(this.#spd, 'fwd', slab, at, mark, sa);
    if (refused !== PASS) return refused;
    // 7.
    const route = this.#routes.lookup(slab, dstAt(slab, at), addressLen(slab, at));
    if (route?.kind !== 'pod') return NO_POD;
    // 8.
    if (!decrementHopLimit(slab, at)) return HOP_LIMIT;
    batch.next[i] = route.pod;
    this.identity[i] = identityOf(this.#routes.lookup(slab, srcAt(slab, at), addressLen(slab, at)));
    if (sa && this.#spd.byAddress('fwd')) {
      const slot = this.#inner.keep(slab, at);
      this.#innerSa[slot] = sa;
      this.#innerMark[slot] = mark;
      this.#innerPod[slot] = route.pod;
      this.#innerIdentity[slot] = this.identity[i]!;
    }
    return PASS;
  }

  /**
   * Takes a decrypted packet for this node out of VXLAN and hands it on: steps 6 to 8, with the policy for the node
   * itself, since it is the vxlan device that gets it.
   * @returns the verdict, or {@link NO_VXLAN}
   */
  #unwrapDecrypted(batch: Batch, i: number, mark: number, sa: SecurityAssociation): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    if (this.#routes.lookup(slab, dstAt(slab, at), addressLen(slab, at))?.kind !== 'self') return NO_VXLAN;
    const refused = checkPolicy(this.#spd, 'in', slab, at, mark, sa);
    const vni = refused === PASS ? this.#overlay.unwrap(batch, i) : NO_VXLAN;
    if (refused !== PASS) return refused;
    if (vni === NO_VXLAN) return NO_ROUTE;
    if (vni < 0) return BAD_VXLAN;
    if (vni === IDENTITY.HOST) return INVALID_IDENTITY;
    const inner = batch.offset[i]!;
    const len = ipLength(slab, inner, batch.length[i]!);
    if (len === 0) return INNER_HEADER;
    batch.length[i] = len;
    const route = this.#routes.lookup(slab, dstAt(slab, inner), addressLen(slab, inner));
    if (route?.kind !== 'pod') return NO_POD;
    if (!decrementHopLimit(slab, inner)) return HOP_LIMIT;
    batch.next[i] = route.pod;
    this.identity[i] = vni;
    return PASS;
  }
}
