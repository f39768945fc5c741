/**
 * ESP decapsulation of whole batches: outer IP packets in, inner packets or verdicts out.
 *
 * The order is the kernel's (`xfrm_input`, `esp_input`), because the order decides what is counted:
 *
 *  1. SPI and sequence number are there        else XfrmInHdrError
 *  2. an SA has destination, SPI, mark/source  else XfrmInNoStates
 *  3. the SA is for receiving, valid, and       else XfrmInStateDirError, XfrmInStateInvalid,
 *     encapsulated alike                             XfrmInStateMismatch
 *  4. the window has not seen the number       else XfrmInStateSeqError
 *  5. the SA has not expired                   else XfrmInStateExpired
 *  6. the ICV is right                         else XfrmInStateProtoError
 *  7. padding leaves a payload, no dummy       else XfrmInStateProtoError
 *  8. the window moves (RFC 4303 §3.4.3: only now)
 *  9. the payload is IP                        else XfrmInStateModeError
 * 10. ECN is merged, TFC padding cut off, the inner header checked, and the selector   else XfrmInStateMismatch
 *
 * Steps 1 to 5 run for the whole batch, then the engine opens all of it in one call, then steps 7 to 10, each
 * packet asking the window once more. The answers are those of one packet after the other. Where an earlier
 * packet of the batch could change what a later one gets (under ESN, the guess of the high half), what is
 * pending is finished first.
 *
 * Runs of usual packets with one SA take the same steps in `decapsulate-run.ts`, where what they share is read once.
 *
 * What an SA in IP-TFS brings is many packets, or a piece of one: steps 9 and 10 are then left to `iptfs.ts`.
 *
 * In a capture a source may leave mode or UDP open (`SaConfig.unstated`): each packet then tells its own, and no step
 * refuses it for them. An SA whose ICV is not checked has instead that its text must look like one
 * (`plausible.ts`), before the window moves.
 * @module
 */
import { netWord } from '../base/bytes.ts';
import { type Engine, JOB_OK, JobTable } from '../crypto/engine.ts';
import * as aggfrag from '../wire/aggfrag.ts';
import * as esp from '../wire/esp.ts';
import { parse, trafficClass } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { AGGREGATE, type Batch, ON, PASS } from '../wire/packet.ts';
import { acceptRun, admitRun, Pending } from './decapsulate-run.ts';
import { DROP } from './drop.ts';
import { EspPlace } from './esp-place.ts';
import { countAll } from './lifetime.ts';
import { CE, ecnDecapsulate } from './outer-header.ts';
import { payloadLength } from './padding.ts';
import { isPlausible } from './plausible.ts';
import { isAbove } from './replay.ts';
import type { SecurityAssociation } from './sa.ts';
import { FLAG } from './sa-words.ts';
import type { SaLookup } from './sad.ts';
import { SelectedPacket } from './selector.ts';

export class Decapsulator {
  readonly #sad: SaLookup;
  readonly #engine: Engine;
  readonly #jobs: JobTable;
  readonly #place: EspPlace;
  readonly #packet = new SelectedPacket();
  readonly #pending = new Pending();
  readonly #isPort = (port: number): boolean => this.#place.isEncapPort(port);

  /**
   * @param capacity packets in the largest batch
   * @param ports UDP ports that carry ESP
   */
  constructor(sad: SaLookup, engine: Engine, capacity: number, ports?: readonly number[]) {
    this.#sad = sad;
    this.#engine = engine;
    this.#jobs = new JobTable(capacity);
    this.#place = new EspPlace(ports);
  }

  /**
   * Decapsulates every packet of the batch that is ESP and goes on. It then holds the inner packet
   * (tunnel mode) or the packet without ESP (transport mode), goes {@link AGGREGATE} (IP-TFS), or has a verdict. Packets that are not ESP stay
   * as they are, with `batch.isEsp` 0.
   * @param from only the packets from this one on
   * @param to only the packets before this one
   */
  run(batch: Batch, from = 0, to = batch.count): void {
    const jobs = this.#jobs;
    jobs.count = 0;
    this.#pending.fit(this.#sad.sas.length);
    for (let i = from; i < to; i++) {
      i = admitRun(batch, jobs, this.#pending, i, to, this.#sad, this.#isPort);
      if (i === to) break;
      batch.isEsp[i] = 0;
      if (batch.next[i] === ON) this.#admit(batch, i);
    }
    this.#finish(batch);
  }

  /** Steps 1 to 5: gives the packet a verdict or a job. */
  #admit(batch: Batch, i: number): void {
    const { slab, words, cells, capacity } = batch;
    const place = this.#place;
    const at = cells[i]!;
    if (place.find(slab, at, at + cells[capacity + i]!) !== 'esp') return;
    const { espAt, espEnd } = place;
    batch.isEsp[i] = 1;
    batch.seqHi[i] = 0;
    // 1.
    if (espEnd - espAt < esp.HEADER_LEN) {
      batch.isEsp[i] = 2;
      batch.drop(i, place.cut ? DROP['not-captured'] : DROP['header-error']);
      return;
    }
    const spi = words.getUint32(espAt);
    // Signed: above 2^31 an unsigned number would be boxed wherever it is passed on.
    const lo = words.getInt32(espAt + 4);
    batch.spi[i] = spi;
    batch.seqLo[i] = lo;
    if (place.cut) {
      batch.drop(i, DROP['not-captured']);
      return;
    }
    // 2.
    const mark = cells[2 * capacity + i]!;
    const index = this.#sad.lookup(slab, place.dstAt, place.addressLen, spi, mark);
    cells[3 * capacity + i] = index;
    const sa = index < 0 ? undefined : this.#sad.sas[index];
    if (!sa || sa.gone) {
      batch.drop(i, DROP['no-state']);
      return;
    }
    // 3.
    if (sa.has(FLAG.SENDS_ONLY)) {
      batch.drop(i, DROP['in-direction']);
      return;
    }
    if (!sa.valid) {
      batch.drop(i, DROP['state-invalid']);
      return;
    }
    if (sa.has(FLAG.ENCAP) !== place.udpAt >= 0 && !sa.has(FLAG.ENCAP_OPEN)) {
      batch.drop(i, DROP['encap-mismatch']);
      return;
    }
    const { window } = sa;
    const textAt = espAt + sa.espLen;
    const textLen = espEnd - textAt - sa.icvLen;
    const isWhole = textLen >= 0 && (sa.padMask <= 3 || (textLen > 0 && (textLen & sa.padMask) === 0));
    // 4.
    const pending = this.#pending;
    if (pending.count(index) > 0 && this.#dependsOnPending(sa, index, lo)) this.#finish(batch);
    const hi = window.inferHigh(lo);
    let seen = window.check(hi, lo);
    if (pending.count(index) > 0 && (seen !== PASS || !isWhole)) {
      // It will be dropped, but whether it was seen before, or is left of the window, is for the pending to say.
      this.#finish(batch);
      seen = window.check(hi, lo);
    }
    batch.inferred[i] = hi;
    batch.seqHi[i] = isBelowZero(sa, hi) ? 0 : hi;
    if (seen !== PASS) {
      countReplay(sa, seen);
      batch.drop(i, seen);
      return;
    }
    // 5.
    if (sa.has(FLAG.WATCHED) && sa.life.expired()) {
      // Linux deletes the SA then, at once but by a timer: what comes next finds none.
      sa.gone = true;
      batch.drop(i, DROP.expired);
      return;
    }
    // 6. (the lengths; the ICV itself in #finish, also for a text too short to hold a trailer)
    if (!isWhole) {
      // Linux looks at the HMAC before it finds that the blocks are not whole, and then the cut is what failed.
      if (textLen >= 0) sa.stats.failed++;
      batch.drop(i, DROP['too-short']);
      return;
    }
    const jobs = this.#jobs;
    const row = jobs.addRow(sa, i, textAt, textLen, hi === 0 ? 0 : netWord(hi), netWord(lo));
    // RFC 4303 §3.4.4.2: the IV is the packet's, whatever the number is.
    if (sa.has(FLAG.NONCE)) {
      const ivAt = espAt + esp.HEADER_LEN;
      jobs.setNonce(row, sa.netSalt, netWord(words.getInt32(ivAt)), netWord(words.getInt32(ivAt + 4)));
    }
    const isTop = pending.count(index) === 0 || isAbove(hi, lo, pending.hi(index), pending.lo(index));
    if (isTop) pending.add(index, 1, hi, lo);
    else pending.add(index, 1, pending.hi(index), pending.lo(index));
  }

  /**
   * Could the packets of this SA that wait for the cipher change what becomes of number `lo`? The guess of the
   * high half grows with the top of the window, so it is enough to ask for both ends of where the top may be.
   */
  #dependsOnPending(sa: SecurityAssociation, index: number, lo: number): boolean {
    if (sa.has(FLAG.LIMITED)) return true;
    const { window } = sa;
    const hi = this.#pending.hi(index);
    const top = this.#pending.lo(index);
    if (!window.esn) return false;
    if (lo === 0 || !window.isAhead(hi, top)) return lo === 0;
    return window.inferHigh(lo) !== window.inferHighFrom(hi, top, lo);
  }

  /** Steps 6 to 10 for everything that waits. */
  #finish(batch: Batch): void {
    const jobs = this.#jobs;
    if (jobs.count === 0) return;
    this.#engine.open(batch.slab, jobs);
    for (let row = 0; row < jobs.count; row++) {
      row = acceptRun(batch, jobs, this.#pending, row, this.#sad);
      if (row === jobs.count) break;
      const i = jobs.tag[row]!;
      const index = batch.sa[i]!;
      this.#pending.clear(index);
      const refused = this.#accept(batch, i, this.#sad.sas[index]!, row);
      if (refused !== PASS) batch.drop(i, refused);
    }
    jobs.count = 0;
  }

  /** Steps 7 to 10 for one packet. Returns its verdict. */
  #accept(batch: Batch, i: number, sa: SecurityAssociation, row: number): number {
    const jobs = this.#jobs;
    const { slab } = batch;
    const hi = batch.inferred[i]!;
    const lo = batch.seqLo[i]! | 0;
    // 4. again: an earlier packet of this batch may have taken the number, or moved the window past it.
    const seen = sa.window.check(hi, lo);
    if (seen !== PASS) {
      countReplay(sa, seen);
      return seen;
    }
    if (jobs.verdict[row] !== JOB_OK) {
      sa.stats.failed++;
      return DROP['bad-icv'];
    }
    const textAt = jobs.textAt[row]!;
    const textLen = jobs.textLen[row]!;
    const isModeOpen = sa.has(FLAG.MODE_OPEN);
    if (sa.suite.unchecked && !isPlausible(slab, textAt, textLen, sa.isTunnel && !isModeOpen))
      return DROP.implausible;
    // 7.
    const payloadLen = payloadLength(slab, textAt, textLen);
    if (payloadLen < 0) return DROP['bad-padding'];
    const next = slab[textAt + textLen - 1]!;
    if (next === esp.DUMMY) return DROP.dummy;
    // 8.
    if (sa.esn) batch.seqHi[i] = hi;
    sa.window.commit(hi, lo);
    countAll(sa, 1, payloadLen);
    // 9., 10.
    if (sa.has(FLAG.IPTFS) || (next === aggfrag.PROTOCOL && isModeOpen)) {
      // As Linux, whatever the next header says. The packet stays, and what lies behind its IP header is the payload.
      batch.protocol[i] = aggfrag.PROTOCOL;
      batch.l4[i] = textAt;
      batch.length[i] = textAt + payloadLen - batch.offset[i]!;
      batch.next[i] = AGGREGATE;
      return PASS;
    }
    const isTunnel = isModeOpen ? isIpInside(slab, textAt, next) : sa.isTunnel;
    return isTunnel
      ? this.#takeInner(batch, i, sa, textAt, payloadLen, next)
      : this.#takeTransport(batch, i, sa, textAt, payloadLen, next);
  }

  /** The inner packet becomes the packet. */
  #takeInner(
    batch: Batch,
    i: number,
    sa: SecurityAssociation,
    at: number,
    payloadLen: number,
    next: number,
  ): number {
    const { slab, words, cells, capacity } = batch;
    const isV4 = next === ipv4.PROTOCOL;
    let innerLen: number;
    if (isV4) {
      if (payloadLen < ipv4.HEADER_LEN) return DROP['inner-short'];
      const first = words.getUint32(at);
      const headerLen = (first >>> 22) & 0x3c;
      innerLen = first & 0xffff;
      if (first >>> 28 !== 4 || headerLen < ipv4.HEADER_LEN || headerLen > payloadLen || innerLen < headerLen)
        return DROP['inner-header'];
    } else {
      if (next !== ipv6.PROTOCOL) return DROP['not-ip'];
      if (payloadLen < ipv6.HEADER_LEN) return DROP['inner-short'];
      if (slab[at]! >>> 4 !== 6) return DROP['inner-header'];
      innerLen = ipv6.HEADER_LEN + words.getUint16(at + 4);
    }
    if (innerLen > payloadLen) return DROP['inner-truncated'];
    if (!this.#takes(sa, slab, at)) return DROP['selector-mismatch'];
    const outerTos = trafficClass(slab, batch.offset[i]!);
    if ((outerTos & CE) === CE || sa.has(FLAG.DECAP_DSCP)) ecnDecapsulate(slab, outerTos, at, sa.rules);
    cells[i] = at;
    // Anything after the inner packet is TFC padding (RFC 4303 §2.7).
    cells[capacity + i] = innerLen;
    return PASS;
  }

  /** The outer header moves up to the payload and names it as what comes next (RFC 4303 §3.1.1). */
  #takeTransport(
    batch: Batch,
    i: number,
    sa: SecurityAssociation,
    textAt: number,
    payloadLen: number,
    next: number,
  ): number {
    const { slab } = batch;
    const place = this.#place;
    const outerAt = batch.offset[i]!;
    // Its headers are as they came, and are read once more.
    place.find(slab, outerAt, outerAt + batch.length[i]!);
    const isV4 = place.version === 4;
    const headerLen = (place.udpAt < 0 ? place.espAt : place.udpAt) - outerAt;
    const at = textAt - headerLen;
    const protocolAt = place.protocolAt - outerAt + at;
    slab.copyWithin(at, outerAt, outerAt + headerLen);
    slab[protocolAt] = next;
    const len = headerLen + payloadLen;
    if (isV4) {
      ipv4.setTotalLength(slab, at, len);
      ipv4.fillChecksum(slab, at);
    } else ipv6.setPayloadLength(slab, at, len - ipv6.HEADER_LEN);
    batch.offset[i] = at;
    batch.length[i] = len;
    if (this.#takes(sa, slab, at)) return PASS;
    // It is another packet now, also for those who look on.
    parse(batch, i);
    return DROP['selector-mismatch'];
  }

  /** Does the SA's selector cover the packet at `at`? */
  #takes(sa: SecurityAssociation, slab: Uint8Array, at: number): boolean {
    return sa.has(FLAG.TAKES_ALL) || this.#packet.look(slab, at).isIn(sa.config.selector!, true);
  }
}

/** Is it the text of tunnel mode, where the SA does not say? Transport mode hardly ever carries IP in IP. */
function isIpInside(b: Uint8Array, at: number, next: number): boolean {
  const version = next === ipv4.PROTOCOL ? 4 : next === ipv6.PROTOCOL ? 6 : 0;
  return version > 0 && b[at]! >>> 4 === version;
}

/**
 * Did the guess of the high half go below zero, and wrap? Linux goes on with it all the same: the ICV is wrong, but
 * for a sender that really is at 2^64 - n.
 */
function isBelowZero(sa: SecurityAssociation, hi: number): boolean {
  return hi === 0xffff_ffff && sa.window.topHi === 0;
}

/** The statistics of `ip -s xfrm state` (Linux counts a zero number nowhere but in XfrmInStateSeqError). */
function countReplay(sa: SecurityAssociation, verdict: number): void {
  if (verdict === DROP['replay-stale']) sa.stats.replayWindow++;
  else if (verdict === DROP['replay-seen']) sa.stats.replay++;
}
