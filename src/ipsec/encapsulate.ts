/**
 * ESP encapsulation of whole batches: inner packets in, outer IP packets out.
 *
 * The order is the kernel's (`xfrm_output_one`, `esp_output`), but that room is asked for before a number is taken:
 *
 *  1. the packet is IP, and the SA's selector covers it         else XfrmOutStateModeError, XfrmOutPolError
 *     it is of a version that the SA carries, and fits          else XfrmOutStateModeError
 *  2. the SA has not expired                                    else XfrmOutStateExpired, then XfrmOutNoStates
 *  3. there is room for what goes before it and behind          else XfrmOutStateProtoError
 *  4. there is a sequence number left, and it is reserved       else XfrmOutStateSeqError
 *  5. padding and trailer go behind
 *  6. ESP header and IV go before, then UDP and the outer header
 *  7. the engine seals the batch                               else XfrmOutStateProtoError
 *
 * Runs of usual packets with one SA take the same steps in `encapsulate-run.ts`, where what they share is read once.
 *
 * Everything that can fail is asked before a number is used, so a packet that fails leaves the SA as it was.
 * @module
 */
import { netWord } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import { type Engine, JOB_OK, JobTable } from '../crypto/engine.ts';
import * as checksum from '../wire/checksum.ts';
import * as esp from '../wire/esp.ts';
import { lengthOf, mayBeCut } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { walk } from '../wire/ipv6-extensions.ts';
import { type Batch, ON, PASS } from '../wire/packet.ts';
import * as udp from '../wire/udp.ts';
import { DROP } from './drop.ts';
import { frameRun } from './encapsulate-run.ts';
import { countAll } from './lifetime.ts';
import { padLength, writeTrailer } from './padding.ts';
import type { SecurityAssociation } from './sa.ts';
import { FLAG, WORD } from './sa-words.ts';
import type { Sad } from './sad.ts';
import { SelectedPacket } from './selector.ts';

/** What 16 bits of total length can say. */
const MAX_LEN = 0xffff;
/** CBC wants an unpredictable IV (RFC 3602 §3): random bytes, drawn many packets at a time. */
const IV_POOL = 4096;

export class Encapsulator {
  readonly #sad: Sad;
  readonly #engine: Engine;
  readonly #jobs: JobTable;
  readonly #random: RandomBytes;
  readonly #packet = new SelectedPacket();
  readonly #pool = new Uint8Array(IV_POOL);
  #poolAt = IV_POOL;
  /** Is there ESP in UDP over IPv6 in this batch? */
  #hasUdp6 = false;
  /** What the packet at hand carries behind its headers, in transport mode. */
  #next = 0;

  /**
   * @param capacity packets in the largest batch
   * @param random for the IVs of CBC
   */
  constructor(sad: Sad, engine: Engine, capacity: number, random: RandomBytes) {
    this.#sad = sad;
    this.#engine = engine;
    this.#jobs = new JobTable(capacity);
    this.#random = random;
  }

  /**
   * Encapsulates every packet that goes on and has an SA (`batch.sa`); others stay as they are. A
   * packet starts at its IP header. Its length is made that of its IP header: what lies behind is not sent.
   */
  run(batch: Batch): void {
    this.#jobs.count = 0;
    this.#hasUdp6 = false;
    const jobs = this.#jobs;
    for (let i = 0; i < batch.count; i++) {
      i = frameRun(batch, jobs, i, this.#sad);
      const sa = i < batch.count && batch.next[i] === ON ? this.#sad.sas[batch.sa[i]!] : undefined;
      if (!sa) continue;
      const refused = this.#frame(batch, i, sa);
      if (refused !== PASS) batch.drop(i, refused);
    }
    if (jobs.count === 0) return;
    this.#engine.seal(batch.slab, jobs);
    // A row that was not sealed may still be in the clear: it must not leave.
    for (let row = 0; row < jobs.count; row++) {
      if (jobs.verdict[row] !== JOB_OK) batch.drop(jobs.tag[row]!, DROP['out-proto-error']);
    }
    if (this.#hasUdp6) this.#fillUdpChecksums(batch);
  }

  /** ESP in UDP over IPv6: Linux sends a checksum there, as RFC 8200 §8.1 wants, and it covers the ciphertext. */
  #fillUdpChecksums(batch: Batch): void {
    const jobs = this.#jobs;
    for (let row = 0; row < jobs.count; row++) {
      const i = jobs.tag[row]!;
      const sa = this.#sad.sas[batch.sa[i]!]!;
      if (!isInUdp6(sa)) continue;
      const at = batch.offset[i]!;
      const udpAt = jobs.textAt[row]! - sa.espLen - udp.HEADER_LEN;
      checksum.fillTransport(batch.slab, at, udp.PROTOCOL, udpAt, at + batch.length[i]!);
    }
  }

  /** Steps 1 to 6 for one packet. Returns its verdict. */
  #frame(batch: Batch, i: number, sa: SecurityAssociation): number {
    const { slab, words, cells, capacity } = batch;
    const at = cells[i]!;
    if (sa.gone) return DROP['out-no-state'];
    if (sa.has(FLAG.IPTFS)) return DROP['out-proto-error'];
    // 1.
    const len = lengthOf(slab, at, cells[capacity + i]!);
    if (len === 0) return DROP['out-not-ip'];
    cells[capacity + i] = len;
    const isV4 = words.getUint8(at) >>> 4 === 4;
    const sendsAll = sa.has(isV4 ? FLAG.SENDS_V4 : FLAG.SENDS_V6);
    if (!sendsAll && !this.#packet.look(slab, at).isIn(sa.config.selector!)) return DROP['out-selector'];
    const verdict = sa.isTunnel
      ? this.#frameTunnel(batch, i, sa, isV4)
      : this.#frameTransport(batch, i, sa, isV4);
    if (verdict === PASS && isInUdp6(sa)) this.#hasUdp6 = true;
    return verdict;
  }

  /** The packet as a whole, behind headers of its own. */
  #frameTunnel(batch: Batch, i: number, sa: SecurityAssociation, isV4: boolean): number {
    const { words, cells, capacity } = batch;
    const at = cells[i]!;
    const len = cells[capacity + i]!;
    const verdict = this.#makeRoom(batch, i, sa, len, isV4);
    if (verdict !== PASS) return verdict;
    const textLen = putTrailer(batch.slab, at, len, sa.padMask, isV4 ? ipv4.PROTOCOL : ipv6.PROTOCOL);
    // 6.
    sa.outer.emit(words, cells[i]!, at, cells[capacity + i]!);
    this.#addJob(batch, i, sa, at, textLen);
    return PASS;
  }

  /** What the packet carries, behind its own headers. */
  #frameTransport(batch: Batch, i: number, sa: SecurityAssociation, isV4: boolean): number {
    const { slab, cells, capacity } = batch;
    const at = cells[i]!;
    const len = cells[capacity + i]!;
    const clearLen = this.#clearLength(slab, at, len, isV4, sa);
    if (clearLen < 0) return DROP['out-not-ip'];
    const verdict = this.#makeRoom(batch, i, sa, len - clearLen, isV4);
    if (verdict !== PASS) return verdict;
    const textAt = at + clearLen;
    const textLen = putTrailer(slab, textAt, len - clearLen, sa.padMask, this.#next);
    // 6. Its header moves down, names ESP (or UDP) as what comes next, and is longer by what follows.
    const start = cells[i]!;
    const total = cells[capacity + i]!;
    const { encap } = sa.config;
    const protocol = encap ? udp.PROTOCOL : esp.PROTOCOL;
    slab.copyWithin(start, at, textAt);
    if (isV4) {
      ipv4.setProtocol(slab, start, protocol);
      ipv4.setTotalLength(slab, start, total);
      ipv4.fillChecksum(slab, start);
    } else {
      slab[walk.transportNextAt - at + start] = protocol;
      ipv6.setPayloadLength(slab, start, total - ipv6.HEADER_LEN);
    }
    if (encap) {
      const { sport: srcPort, dport: dstPort } = encap;
      // RFC 3948 §2.1: without checksum; IPv6 gets one after the cipher.
      udp.emit({ srcPort, dstPort, length: total - clearLen, checksum: 0 }, slab, start + clearLen);
    }
    this.#addJob(batch, i, sa, textAt, textLen);
    return PASS;
  }

  /** The rest of step 1, and steps 2 to 4. The packet then has the length and the begin that it leaves with. */
  #makeRoom(batch: Batch, i: number, sa: SecurityAssociation, payloadLen: number, isV4: boolean): number {
    const { slab, cells, capacity, slotSize } = batch;
    const at = cells[i]!;
    const len = cells[capacity + i]!;
    const start = at - sa.before;
    const total = len + sa.before + padLength(payloadLen, sa.padMask + 1) + esp.TRAILER_LEN + sa.icvLen;
    if (total > MAX_LEN) return DROP['out-too-big'];
    // What may be fragmented is fragmented after ESP, by the sending link (Linux xfrm4_tunnel_check_size,
    // xfrm6_tunnel_check_size): of IPv6 what every link must carry, in an outer header that can be cut.
    const isLeast6 = !isV4 && len <= ipv6.MIN_MTU && sa.config.dst.length !== ipv4.ADDRESS_LEN;
    if (total > sa.pathMtu && !isLeast6 && !mayBeCut(slab, at)) return DROP['out-too-big'];
    // 2.
    if (sa.has(FLAG.WATCHED) && sa.life.expired()) {
      sa.gone = true;
      return DROP['out-expired'];
    }
    // 3.
    if (start < i * slotSize || start + total > (i + 1) * slotSize) return DROP['out-proto-error'];
    // 4.
    if (!sa.sequence.advance()) return sa.sequence.isExhausted ? DROP['out-sequence'] : DROP['out-reserve'];
    countAll(sa, 1, payloadLen);
    cells[i] = start;
    cells[capacity + i] = total;
    return PASS;
  }

  /**
   * How much of a packet stays before ESP in transport mode; {@link #next} then says what comes behind.
   * @returns -1 for what cannot be sent so: the other IP version, a broken chain, a fragment (RFC 4303 §3.3.4)
   */
  #clearLength(slab: Uint8Array, at: number, len: number, isV4: boolean, sa: SecurityAssociation): number {
    if (isV4 !== (sa.config.dst.length === ipv4.ADDRESS_LEN)) return -1;
    if (isV4) {
      if (ipv4.isFragment(slab, at)) return -1;
      this.#next = ipv4.protocol(slab, at);
      return ipv4.headerLen(slab, at);
    }
    if (walk.run(slab, at, at + len) || walk.fragmentAt >= 0) return -1;
    this.#next = slab[walk.transportNextAt]!;
    return walk.transportAt - at;
  }

  /** Writes ESP header and IV before the text, and its row of the job table. */
  #addJob(batch: Batch, i: number, sa: SecurityAssociation, textAt: number, textLen: number): void {
    const jobs = this.#jobs;
    const { words } = batch;
    const { signedHi, signedLo: lo } = sa.sequence;
    const espAt = textAt - sa.espLen;
    const hi = netWord(signedHi);
    const row = jobs.addRow(sa, i, textAt, textLen, hi, netWord(lo));
    words.setInt32(espAt, sa.config.spi);
    words.setInt32(espAt + 4, lo);
    if (sa.has(FLAG.NONCE)) {
      const ivHi = hi ^ sa.words[sa.at + WORD.NET_IV_HI]!;
      const ivLo = netWord(lo) ^ sa.words[sa.at + WORD.NET_IV_LO]!;
      words.setInt32(espAt + 8, netWord(ivHi));
      words.setInt32(espAt + 12, netWord(ivLo));
      jobs.setNonce(row, sa.netSalt, ivHi, ivLo);
    } else this.#randomIv(batch.slab, espAt + esp.HEADER_LEN, sa.suite.ivLen);
  }

  #randomIv(slab: Uint8Array, at: number, len: number): void {
    if (this.#poolAt + len > IV_POOL) {
      this.#random(this.#pool);
      this.#poolAt = 0;
    }
    for (let k = 0; k < len; k++) slab[at + k] = this.#pool[this.#poolAt + k]!;
    this.#poolAt += len;
  }
}

/** ESP in UDP over IPv6, which has a checksum. */
function isInUdp6({ config: { dst, encap } }: SecurityAssociation): boolean {
  return encap !== undefined && dst.length === ipv6.ADDRESS_LEN;
}

/** Step 5. Returns how much there is to encrypt. */
function putTrailer(slab: Uint8Array, at: number, len: number, padMask: number, next: number): number {
  const padLen = padLength(len, padMask + 1);
  writeTrailer(slab, at + len, padLen, next);
  return len + padLen + esp.TRAILER_LEN;
}
