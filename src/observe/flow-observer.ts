/**
 * Looks on at a node and writes down what it does with packets, as Cilium's programs do at their observation points:
 *
 * | packet | flows |
 * |---|---|
 * | from a pod, to another here | (from-endpoint), to-endpoint |
 * | from a pod, leaving | (from-endpoint), to-stack or to-overlay, to-network |
 * | from the node itself, leaving | (from-host), to-network |
 * | from outside, to a pod | (from-network or from-overlay), to-endpoint |
 * | dropped | (from-…), a drop |
 *
 * Those in brackets only where all are wanted. `encrypted` is set as in Cilium: at to-network for what leaves as ESP, at
 * from-network and from-overlay for ESP that comes; never for what has been decrypted.
 *
 * Other than in Cilium the flow of an encrypted packet is that of the packet inside: esplane knows it.
 * @module
 */
import { IDENTITY, identityOf, type Route } from '../cilium/ipcache.ts';
import { dropRow } from '../ipsec/drop.ts';
import { EspPlace } from '../ipsec/esp-place.ts';
import { ARRIVED, UNDECIDED } from '../node/decisions.ts';
import type { Node, NodeObserver } from '../node/node.ts';
import { overlayLength } from '../node/overlay.ts';
import { addressLen, dstAt, srcAt } from '../wire/ip.ts';
import { type Batch, HELD, ON } from '../wire/packet.ts';
import { copy, mark, readPacket } from './flow-packet.ts';
import type { FlowRecorder } from './flow-recorder.ts';
import { AT, DIRECTION, FlowRows, HAS, POINT, REASON, ROW } from './flow-rows.ts';

export class FlowObserver implements NodeObserver {
  readonly #recorder: FlowRecorder;
  readonly #place = new EspPlace();
  /** By index in the batch: what is known so far. Of packets that leave, and of those that come. */
  readonly #out: FlowRows;
  readonly #in: FlowRows;
  /** Where each packet that came started before it was decrypted. */
  readonly #cameAt: Uint32Array;

  /** @param capacity packets in the largest batch of the node */
  constructor(recorder: FlowRecorder, capacity: number) {
    this.#recorder = recorder;
    this.#out = new FlowRows(capacity);
    this.#in = new FlowRows(capacity);
    this.#cameAt = new Uint32Array(capacity);
  }

  intercepted(node: Node, batch: Batch): void {
    for (let i = 0; i < batch.count; i++) {
      if (batch.decision[i] === UNDECIDED) continue;
      this.#describe(node, this.#out, batch, i);
      if (!this.#recorder.all) continue;
      const isHost = this.#out.view.getUint32(i * ROW + AT.SRC_IDENTITY) === IDENTITY.HOST;
      this.#recorder.add(this.#out, i, isHost ? POINT.FROM_HOST : POINT.FROM_ENDPOINT);
    }
  }

  leaving(node: Node, batch: Batch): void {
    const { view, bytes } = this.#out;
    const { dropsOnly } = this.#recorder;
    for (let i = 0; i < batch.count; i++) {
      if (batch.decision[i] === UNDECIDED) continue;
      const rowAt = i * ROW;
      const verdict = batch.verdict[i]!;
      view.setUint16(rowAt + AT.PEER, this.#recorder.nameOf(node.routes.peerOf(batch, i)?.name));
      if (dropRow(verdict)) {
        bytes[rowAt + AT.DIRECTION] = DIRECTION.EGRESS;
        const sa = node.sad.sas[batch.sa[i]!];
        if (sa) view.setUint32(rowAt + AT.SPI, sa.config.spi);
        this.#drop(this.#out, i, verdict);
        continue;
      }
      if (dropsOnly) continue;
      if (batch.next[i]! >= 0) {
        this.#track(this.#out, rowAt, DIRECTION.INGRESS);
        this.#recorder.add(this.#out, i, POINT.TO_ENDPOINT);
      } else if (batch.next[i] === ON) this.#leave(node, batch, i);
    }
  }

  admitted(node: Node, batch: Batch): void {
    const { view } = this.#in;
    for (let i = 0; i < batch.count; i++) {
      const at = batch.offset[i]!;
      this.#cameAt[i] = at;
      if (batch.decision[i] === UNDECIDED || batch.next[i] === HELD) continue;
      this.#describe(node, this.#in, batch, i);
      const rowAt = i * ROW;
      const isEsp = this.#findEsp(batch, i, at);
      const has = view.getUint16(rowAt + AT.HAS);
      if (has !== 0 && batch.decision[i] === ARRIVED.FOR_NODE) {
        const from = node.routes.at(batch.from[i]!);
        if (from?.kind === 'node') view.setUint16(rowAt + AT.PEER, this.#recorder.nameOf(from.peer.name));
      }
      if (isEsp) this.#esp(this.#in, rowAt, batch, at);
      if (!this.#recorder.all) continue;
      if (isEsp) mark(view, rowAt, HAS.ENCRYPTED);
      const isOverlay = node.inbound.overlayMode === 'esp-in-vxlan';
      this.#recorder.add(this.#in, i, isOverlay ? POINT.FROM_OVERLAY : POINT.FROM_NETWORK);
      if (isEsp) view.setUint16(rowAt + AT.HAS, view.getUint16(rowAt + AT.HAS) & ~HAS.ENCRYPTED);
    }
  }

  /** They were in none of the rows that {@link admitted} wrote. */
  takenOut(node: Node, batch: Batch): void {
    for (let i = 0; i < batch.count; i++) {
      this.#cameAt[i] = 0;
      this.#in.blank(i);
      const sa = node.sad.sas[batch.sa[i]!];
      const peer = sa && node.routes.lookup(sa.config.src, 0, sa.config.src.length);
      if (peer?.kind === 'node')
        this.#in.view.setUint16(i * ROW + AT.PEER, this.#recorder.nameOf(peer.peer.name));
    }
  }

  decrypted(node: Node, batch: Batch): void {
    const { view, bytes } = this.#in;
    const { dropsOnly } = this.#recorder;
    for (let i = 0; i < batch.count; i++) {
      if (batch.decision[i] === UNDECIDED || batch.next[i] === HELD) continue;
      const rowAt = i * ROW;
      // What is in the packet now is what was in it, and the row keeps how it came.
      if (batch.offset[i] !== this.#cameAt[i]) this.#describe(node, this.#in, batch, i, true);
      if (batch.isEsp[i] === 1) view.setUint32(rowAt + AT.SEQ_HI, batch.seqHi[i]!);
      const verdict = batch.verdict[i]!;
      if (dropRow(verdict)) {
        bytes[rowAt + AT.DIRECTION] = DIRECTION.INGRESS;
        this.#drop(this.#in, i, verdict);
        continue;
      }
      if (dropsOnly) continue;
      if (batch.next[i]! >= 0) {
        const vni = batch.vni[i]!;
        if (vni > 0) view.setUint32(rowAt + AT.SRC_IDENTITY, vni);
        this.#track(this.#in, rowAt, DIRECTION.INGRESS);
        this.#recorder.add(this.#in, i, POINT.TO_ENDPOINT);
      }
    }
  }

  answered(node: Node, batch: Batch): void {
    if (this.#recorder.dropsOnly) return;
    for (let i = 0; i < batch.count; i++) {
      this.#describe(node, this.#out, batch, i);
      this.#track(this.#out, i * ROW, DIRECTION.INGRESS);
      this.#recorder.add(this.#out, i, POINT.TO_ENDPOINT);
    }
  }

  /** A packet that leaves the node, as ESP or in the clear. */
  #leave(node: Node, batch: Batch, i: number): void {
    const rows = this.#out;
    const { view } = rows;
    const rowAt = i * ROW;
    const { interceptor, routes, sad } = node;
    const vni = batch.vni[i]!;
    const tunnel = vni < 0 ? undefined : routes.peerOf(batch, i)?.tunnel;
    this.#track(rows, rowAt, DIRECTION.EGRESS);
    if (view.getUint32(rowAt + AT.SRC_IDENTITY) !== IDENTITY.HOST)
      this.#recorder.add(rows, i, tunnel ? POINT.TO_OVERLAY : POINT.TO_STACK);
    const at = batch.offset[i]!;
    if (tunnel) {
      view.setUint32(rowAt + AT.VNI, vni);
      mark(view, rowAt, HAS.TUNNEL);
      this.#outer(rows, rowAt, batch, at);
    }
    const sa = sad.sas[batch.sa[i]!];
    if (sa) {
      mark(view, rowAt, HAS.ENCRYPTED);
      const espIp =
        tunnel && interceptor.overlayMode === 'esp-in-vxlan' ? at + overlayLength(tunnel.src.length) : at;
      if (this.#findEsp(batch, i, espIp)) {
        this.#esp(rows, rowAt, batch, at);
        const { hi, lo } = sa.sequence;
        // The SA may have gone on to the next 2^32 within this batch.
        view.setUint32(rowAt + AT.SEQ_HI, view.getUint32(rowAt + AT.SEQ_LO) > lo ? hi - 1 : hi);
      }
    }
    this.#recorder.add(rows, i, POINT.TO_NETWORK);
  }

  #drop(rows: FlowRows, row: number, verdict: number): void {
    rows.bytes[row * ROW + AT.VERDICT] = verdict;
    this.#recorder.add(rows, row, POINT.DROP);
  }

  /** Finds out what the packet is to its connection. @param own the direction of the one who spoke first */
  #track(rows: FlowRows, rowAt: number, own: number): void {
    const reason = this.#recorder.connections.see(rows, rowAt);
    const { bytes, view } = rows;
    bytes[rowAt + AT.REASON] = reason;
    if (reason === REASON.UNKNOWN) return;
    mark(view, rowAt, HAS.REASON);
    const isReply = reason === REASON.REPLY;
    bytes[rowAt + AT.DIRECTION] = isReply ? DIRECTION.INGRESS + DIRECTION.EGRESS - own : own;
  }

  /** Writes down packet `i` as it is now. @param isInner the row has been written, of the packet around it */
  #describe(node: Node, rows: FlowRows, batch: Batch, i: number, isInner = false): void {
    const { view, bytes } = rows;
    const rowAt = i * ROW;
    const before = isInner ? view.getUint16(rowAt + AT.HAS) & (HAS.ESP | HAS.OUTER | HAS.OUTER_IPV6) : 0;
    if (isInner) {
      bytes.fill(0, rowAt + AT.HAS, rowAt + AT.SPI);
      bytes.fill(0, rowAt + AT.SRC, rowAt + AT.OUTER_SRC);
    } else rows.blank(i);
    view.setUint16(rowAt + AT.NODE, this.#recorder.nameOf(node.name));
    readPacket(rows, rowAt, batch, i);
    const has = view.getUint16(rowAt + AT.HAS);
    view.setUint16(rowAt + AT.HAS, has | before);
    if ((has & HAS.IP) === 0) return;
    view.setUint32(rowAt + AT.SRC_IDENTITY, knownAs(node.routes.at(batch.from[i]!)));
    view.setUint32(rowAt + AT.DST_IDENTITY, knownAs(node.routes.at(batch.to[i]!)));
  }

  /** Is the packet whose IP header starts at `at` ESP, with SPI and number? */
  #findEsp(batch: Batch, i: number, at: number): boolean {
    const place = this.#place;
    const end = batch.offset[i]! + batch.length[i]!;
    return place.find(batch.slab, at, end) === 'esp' && place.espEnd - place.espAt >= 8;
  }

  /** Writes down SPI and number of what {@link #findEsp} found, and the addresses of the packet that carries it. */
  #esp(rows: FlowRows, rowAt: number, batch: Batch, outerAt: number): void {
    const { espAt } = this.#place;
    rows.view.setUint32(rowAt + AT.SPI, batch.words.getUint32(espAt));
    rows.view.setUint32(rowAt + AT.SEQ_LO, batch.words.getUint32(espAt + 4));
    mark(rows.view, rowAt, HAS.ESP);
    this.#outer(rows, rowAt, batch, outerAt);
  }

  #outer(rows: FlowRows, rowAt: number, { slab }: Batch, at: number): void {
    const len = addressLen(slab, at);
    copy(rows.bytes, rowAt + AT.OUTER_SRC, slab, srcAt(slab, at), len);
    copy(rows.bytes, rowAt + AT.OUTER_DST, slab, dstAt(slab, at), len);
    mark(rows.view, rowAt, len === 4 ? HAS.OUTER : HAS.OUTER | HAS.OUTER_IPV6);
  }
}

/** As the node knows an address: what it does not know at all is the world. */
function knownAs(route: Route | undefined): number {
  return route ? identityOf(route) : IDENTITY.WORLD;
}
