/**
 * ESP encapsulation of whole batches: inner packets in, outer IP packets out.
 *
 * The order is the kernel's (`xfrm_output_one`, `esp_output`):
 *
 *  1. the packet is IP, and the SA's selector covers it         else XfrmOutStateModeError, XfrmOutPolError
 *     it is of a version that the SA carries, and fits          else XfrmOutStateModeError
 *  2. the SA has not expired                                    else XfrmOutStateExpired, then XfrmOutNoStates
 *  3. there is a sequence number left                           else XfrmOutStateSeqError
 *  4. padding, trailer and room for the ICV go behind           else XfrmOutStateProtoError
 *  5. ESP header and IV go before, then UDP and the outer header
 *  6. the engine seals the batch                               else XfrmOutStateProtoError
 *
 * Everything that can fail is asked before a number is used, so a packet that fails leaves the SA as it was.
 * @module
 */
import { putU32, u32 } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import { type Engine, JOB_OK, JobTable, NONCE_LEN } from '../crypto/engine.ts';
import { inPrefix } from '../wire/address.ts';
import * as checksum from '../wire/checksum.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { Walk } from '../wire/ipv6-extensions.ts';
import { type Batch, PASS } from '../wire/packet.ts';
import * as udp from '../wire/udp.ts';
import { writeAad } from './decapsulate.ts';
import { dropCode } from './drop.ts';
import { padLength, writeTrailer } from './padding.ts';
import type { SecurityAssociation } from './sa.ts';
import type { SaConfig } from './sa-config.ts';
import type { Sad } from './sad.ts';

const NOT_IP = dropCode('out-not-ip');
const TOO_BIG = dropCode('out-too-big');
const NO_STATE = dropCode('out-no-state');
const SELECTOR = dropCode('out-selector');
const EXPIRED = dropCode('out-expired');
const NO_NUMBER = dropCode('out-sequence');
const PROTO_ERROR = dropCode('out-proto-error');

type Selector = NonNullable<SaConfig['selector']>;

/** CBC wants an IV that nobody can foretell (RFC 3602 §3): random bytes, drawn many packets at a time. */
const IV_POOL = 4096;

export class Encapsulator {
  readonly #sad: Sad;
  readonly #engine: Engine;
  readonly #jobs: JobTable;
  readonly #random: RandomBytes;
  readonly #pool = new Uint8Array(IV_POOL);
  #poolAt = IV_POOL;
  /** Is there ESP in UDP over IPv6 in this batch? */
  #hasUdp6 = false;
  readonly #walk = new Walk();

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
   * Encapsulates every packet that has passed so far and has an SA (`batch.sa`); others stay as they are. A
   * packet starts at its IP header. Its length is made that of its IP header: what lies behind is not sent.
   */
  run(batch: Batch): void {
    this.#jobs.count = 0;
    this.#hasUdp6 = false;
    for (let i = 0; i < batch.count; i++) {
      if (batch.verdict[i] !== PASS) continue;
      const sa = this.#sad.sas[batch.sa[i]!];
      if (sa) batch.verdict[i] = this.#frame(batch, i, sa);
    }
    const jobs = this.#jobs;
    if (jobs.count === 0) return;
    this.#engine.seal(batch.slab, jobs);
    // A row that was not sealed may still be in the clear: it must not leave.
    for (let row = 0; row < jobs.count; row++) {
      if (jobs.verdict[row] !== JOB_OK) batch.verdict[jobs.tag[row]!] = PROTO_ERROR;
    }
    if (this.#hasUdp6) this.#fillUdpChecksums(batch);
  }

  /** ESP in UDP over IPv6: Linux sends a checksum there, as RFC 8200 §8.1 wants, and it covers the ciphertext. */
  #fillUdpChecksums(batch: Batch): void {
    const jobs = this.#jobs;
    for (let row = 0; row < jobs.count; row++) {
      const i = jobs.tag[row]!;
      const { config, suite } = this.#sad.sas[batch.sa[i]!]!;
      if (!config.encap || config.dst.length !== ipv6.ADDRESS_LEN) continue;
      const at = batch.offset[i]!;
      const udpAt = jobs.textAt[row]! - suite.ivLen - esp.HEADER_LEN - udp.HEADER_LEN;
      checksum.fillTransport(batch.slab, at, udp.PROTOCOL, udpAt, at + batch.length[i]!);
    }
  }

  /** Steps 1 to 5 for one packet. Returns its verdict. */
  #frame(batch: Batch, i: number, sa: SecurityAssociation): number {
    const { slab } = batch;
    const { suite, config } = sa;
    const at = batch.offset[i]!;
    if (sa.gone) return NO_STATE;
    // 1.
    const len = ipLength(slab, at, batch.length[i]!);
    if (len === 0) return NOT_IP;
    batch.length[i] = len;
    const isV4 = slab[at]! >>> 4 === 4;
    if (config.selector && !covers(config.selector, slab, at, isV4)) return SELECTOR;
    const isTunnel = config.mode === 'tunnel';
    let next: number;
    /** What stays in clear before ESP: nothing of the inner packet in tunnel mode. */
    let clearLen = 0;
    if (isTunnel) {
      next = isV4 ? ipv4.PROTOCOL : ipv6.PROTOCOL;
    } else {
      if (isV4 !== (config.dst.length === 4)) return NOT_IP;
      // RFC 4303 §3.3.4: transport mode takes whole packets only.
      if (isV4 && ipv4.isFragment(slab, at)) return NOT_IP;
      if (isV4) {
        clearLen = ipv4.headerLen(slab, at);
        next = ipv4.protocol(slab, at);
      } else {
        if (this.#walk.run(slab, at, at + len) || this.#walk.fragmentAt >= 0) return NOT_IP;
        clearLen = this.#walk.transportAt - at;
        next = slab[this.#walk.transportNextAt]!;
      }
    }
    const payloadLen = len - clearLen;
    const padLen = padLength(payloadLen, suite.align);
    const behind = padLen + esp.TRAILER_LEN + suite.icvLen;
    const udpLen = config.encap ? udp.HEADER_LEN : 0;
    const outerLen = isTunnel ? sa.outer.length : udpLen;
    const before = outerLen + esp.HEADER_LEN + suite.ivLen;
    const total = len + before + behind;
    if (total > 0xffff) return TOO_BIG;
    // What may be cut is cut after ESP, by whoever sends it (Linux xfrm4_tunnel_check_size, xfrm6_tunnel_check_size).
    if (total > sa.pathMtu && !mayBeCut(slab, at, len, isV4, config.dst.length === 4)) return TOO_BIG;
    // 2.
    if (sa.life.expired()) {
      sa.gone = true;
      return EXPIRED;
    }
    // 4. and 5. ask for room before 3. takes a number.
    if (!batch.append(i, behind)) return PROTO_ERROR;
    if (!batch.prepend(i, before)) {
      batch.trimBack(i, behind);
      return PROTO_ERROR;
    }
    // 3.
    if (!sa.sequence.advance()) {
      batch.trimFront(i, before);
      batch.trimBack(i, behind);
      return NO_NUMBER;
    }
    sa.life.count(isTunnel ? len : payloadLen);
    const { hi, lo } = sa.sequence;

    const start = batch.offset[i]!;
    const textAt = at + clearLen;
    const textLen = payloadLen + padLen + esp.TRAILER_LEN;
    writeTrailer(slab, textAt + payloadLen, padLen, next);
    const espAt = textAt - suite.ivLen - esp.HEADER_LEN;
    if (isTunnel) {
      sa.outer.emit(slab, start, at, total);
    } else {
      slab.copyWithin(start, at, textAt);
      this.#patchTransport(slab, start, at, clearLen, total, sa, isV4);
    }
    putU32(slab, espAt, config.spi);
    putU32(slab, espAt + 4, lo);
    this.#addJob(slab, sa, i, espAt, textAt, textLen, hi, lo);
    if (config.encap && config.dst.length === ipv6.ADDRESS_LEN) this.#hasUdp6 = true;
    return PASS;
  }

  /** The header that was moved down now names ESP (or UDP), and is longer by what follows. */
  #patchTransport(
    slab: Uint8Array,
    start: number,
    at: number,
    clearLen: number,
    total: number,
    sa: SecurityAssociation,
    isV4: boolean,
  ): void {
    const { encap } = sa.config;
    const protocol = encap ? udp.PROTOCOL : esp.PROTOCOL;
    if (isV4) {
      ipv4.setProtocol(slab, start, protocol);
      ipv4.setTotalLength(slab, start, total);
      ipv4.fillChecksum(slab, start);
    } else {
      slab[this.#walk.transportNextAt - at + start] = protocol;
      ipv6.setPayloadLength(slab, start, total - ipv6.HEADER_LEN);
    }
    if (encap) {
      const { sport: srcPort, dport: dstPort } = encap;
      // RFC 3948 §2.1: without checksum; IPv6 gets one after the cipher.
      udp.emit({ srcPort, dstPort, length: total - clearLen, checksum: 0 }, slab, start + clearLen);
    }
  }

  #addJob(
    slab: Uint8Array,
    sa: SecurityAssociation,
    i: number,
    espAt: number,
    textAt: number,
    textLen: number,
    hi: number,
    lo: number,
  ): void {
    const jobs = this.#jobs;
    const { suite, ivSalt, salt } = sa;
    const row = jobs.count++;
    jobs.key[row] = sa.key;
    jobs.tag[row] = i;
    jobs.textAt[row] = textAt;
    jobs.textLen[row] = textLen;
    jobs.icvLen[row] = suite.icvLen;
    jobs.aadLen[row] = writeAad(jobs.aad, row, slab, espAt, sa.config.esn, hi);
    const ivAt = espAt + esp.HEADER_LEN;
    if (salt.length > 0) {
      putU32(slab, ivAt, hi ^ u32(ivSalt, 0));
      putU32(slab, ivAt + 4, lo ^ u32(ivSalt, 4));
      const nonceAt = row * NONCE_LEN;
      for (let k = 0; k < 4; k++) jobs.nonce[nonceAt + k] = salt[k]!;
      for (let k = 0; k < 8; k++) jobs.nonce[nonceAt + 4 + k] = slab[ivAt + k]!;
    } else this.#randomIv(slab, ivAt, suite.ivLen);
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

/** IPv4 that allows it; of IPv6 what every link must carry, in an outer header that can be cut. */
function mayBeCut(slab: Uint8Array, at: number, len: number, isV4: boolean, outerIsV4: boolean): boolean {
  if (isV4) return (ipv4.fragmentField(slab, at) & ipv4.DF) === 0;
  return len <= ipv6.MIN_MTU && !outerIsV4;
}

/** As in Linux a selector is of one IP version, even one of length 0. A receiver is not as strict. */
function covers({ src, dst }: Selector, slab: Uint8Array, at: number, isV4: boolean): boolean {
  const len = isV4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN;
  const srcAt = at + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
  return inPrefix(src, slab, srcAt, len) && inPrefix(dst, slab, srcAt + len, len);
}

/** How long the IP packet at `at` is by its header; 0 when it is none, or longer than the `len` bytes here. */
function ipLength(b: Uint8Array, at: number, len: number): number {
  const version = len > 0 ? b[at]! >>> 4 : 0;
  let total = 0;
  if (version === 4 && ipv4.checkHeader(b, at, at + len) === undefined) total = ipv4.totalLength(b, at);
  if (version === 6 && ipv6.checkHeader(b, at, at + len) === undefined) {
    total = ipv6.HEADER_LEN + ipv6.payloadLength(b, at);
  }
  return total <= len ? total : 0;
}
