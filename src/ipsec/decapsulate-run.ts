/**
 * Decapsulation of runs: packets one behind the other that are of the usual kind. What those of one SA share is read
 * once, and headers are read as whole words of this machine.
 *
 * Usual is IPv4 without options and whole, ESP in it or in UDP as the SA has it, tunnel mode by a cipher whose nonce is
 * salt ‖ IV, an SA without limits and without a selector, and numbers that rise in a window that is no longer young. A
 * packet that is not ends the run with nothing of it changed: `decapsulate.ts` has the steps for all.
 * `test/ipsec/run.test.ts` holds both to the same bytes, verdicts and counters.
 * @module
 */
import { netHalf, netWord } from '../base/bytes.ts';
import { JOB, JOB_OK, type JobTable } from '../crypto/engine.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { type Batch, ON } from '../wire/packet.ts';
import * as udp from '../wire/udp.ts';
import { countAll } from './lifetime.ts';
import { CE, VERSION_4 } from './outer-header.ts';
import { payloadLength } from './padding.ts';
import { commitNext } from './replay.ts';
import { TOP } from './sa-row.ts';
import { FLAG, type SaPlace, WORD } from './sa-words.ts';
import type { SaLookup } from './sad.ts';

/** Of an SA whose packets are usual, and of one that takes none, or none any more. */
const USUAL = FLAG.USUAL;
const ASKED = USUAL | FLAG.GONE | FLAG.INVALID | FLAG.SENDS_ONLY;
/** Of one that takes what is in them as it is. */
const PLAIN = USUAL | FLAG.TAKES_ALL;
const ASKED_INSIDE = PLAIN | FLAG.DECAP_DSCP;
/** SPI, number and IV. */
const ESP_LEN = esp.HEADER_LEN + 8;

/** More fragments, and the fragment offset, in 16 bits as a word of this machine has them. */
const FRAGMENT = 0xff3f;

/** What waits for the cipher, by the index of its SA: how many packets, and the highest number among them. */
export class Pending {
  #words = new Int32Array(0);

  /** Makes room for SAs with indices below `count`. Nothing waits. */
  fit(count: number): void {
    if (this.#words.length < count * 4) this.#words = new Int32Array(2 ** Math.ceil(Math.log2(count * 4)));
  }

  count(sa: number): number {
    return this.#words[sa * 4]!;
  }

  hi(sa: number): number {
    return this.#words[sa * 4 + 1]! >>> 0;
  }

  /** Signed. */
  lo(sa: number): number {
    return this.#words[sa * 4 + 2]!;
  }

  /** Adds packets, the highest of which is the highest of all. */
  add(sa: number, packets: number, hi: number, lo: number): void {
    const words = this.#words;
    words[sa * 4]! += packets;
    words[sa * 4 + 1] = hi;
    words[sa * 4 + 2] = lo;
  }

  clear(sa: number): void {
    this.#words[sa * 4] = 0;
  }
}

/**
 * Does steps 1 to 5 for packets from `from` to before `to`, as long as they are usual.
 * @param isPort does a UDP port carry ESP?
 * @returns the first that is not; `from` where there is none
 */
export function admitRun(
  batch: Batch,
  jobs: JobTable,
  pending: Pending,
  from: number,
  to: number,
  sad: SaLookup,
  isPort: (port: number) => boolean,
): number {
  const { words32: w, slab, cells, capacity, next, isEsp, spi: spis, seqHi, seqLo, inferred } = batch;
  if (w === undefined) return from;
  const { cells: j, tables: jb, capacity: rows } = jobs;
  const { key: keys, tag: tags, nonce: nonces, aad: aads, aadLen: aadLens, icvLen: icvLens } = jobs.at;
  // What packets of one SA have in common, from the first.
  let index = -1;
  let netSpi = 0;
  let dst = 0;
  let mark = 0;
  let ports = 0;
  let flags = 0;
  let key = 0;
  let icvLen = 0;
  let netSalt = 0;
  let hi = 0;
  let netHi = 0;
  let above = 0;
  let waits = 0;
  let job = jobs.count;
  let i = from;
  for (; i < to; i++) {
    if (next[i] !== ON) {
      isEsp[i] = 0;
      continue;
    }
    // 1.
    const at = cells[i]!;
    const have = cells[capacity + i]!;
    if ((at & 3) !== 0 || have < ipv4.HEADER_LEN + esp.HEADER_LEN) break;
    const a = at >>> 2;
    const first = w[a]!;
    const total = netHalf(first >>> 16);
    if ((first & 0xff) !== VERSION_4 || total > have || total < ipv4.HEADER_LEN + esp.HEADER_LEN) break;
    if (((w[a + 1]! >>> 16) & FRAGMENT) !== 0) break;
    const protocol = (w[a + 2]! >>> 8) & 0xff;
    let e = a + 5;
    if (protocol === udp.PROTOCOL) {
      const udpLen = total - ipv4.HEADER_LEN;
      // What is shorter than an IP header is a keepalive, or none that Linux takes; SPI 0 is IKE.
      if (udpLen < udp.HEADER_LEN + ipv4.HEADER_LEN || w[e + 2] === 0) break;
      if ((w[e + 1]! & 0xffff) !== netHalf(udpLen)) break;
      const both = w[e]!;
      if (both !== ports) {
        if (!isPort(netHalf(both)) && !isPort(netHalf(both >>> 16))) break;
        ports = both;
      }
      e += 2;
    } else if (protocol !== esp.PROTOCOL) break;
    // 2. and 3., once for one SA
    if (index < 0 || w[e] !== netSpi || w[a + 4] !== dst || cells[2 * capacity + i] !== mark) {
      if (waits > 0) pending.add(index, waits, hi, above);
      waits = 0;
      netSpi = w[e]!;
      dst = w[a + 4]!;
      mark = cells[2 * capacity + i]!;
      index = sad.lookup(slab, at + ipv4.DST_AT, ipv4.ADDRESS_LEN, netWord(netSpi) >>> 0, mark);
      const sa: SaPlace | undefined = index < 0 ? undefined : sad.sas[index];
      if (sa === undefined) break;
      const { words: s, at: r, numbers, numbersAt: n } = sa;
      flags = s[r + WORD.FLAGS]!;
      if ((flags & ASKED) !== USUAL) break;
      const top = numbers[n + TOP.LO]!;
      hi = numbers[n + TOP.HI]!;
      // In a young window, or one that holds numbers below zero, there is more to ask.
      if (s[r + WORD.UNEXPECTED] !== 0 || top >>> 0 < s[r + WORD.WINDOW]! - 1) break;
      above = top;
      if (pending.count(index) > 0) {
        if ((pending.hi(index) | 0) !== hi) break;
        if (pending.lo(index) >>> 0 > top >>> 0) above = pending.lo(index);
      }
      netHi = netWord(hi);
      key = s[r + WORD.KEY]!;
      icvLen = ((s[r + WORD.LENGTHS]! >>> 8) & 0xff) - esp.TRAILER_LEN;
      netSalt = s[r + WORD.NET_SALT]!;
    }
    if (((flags & FLAG.ENCAP) !== 0) !== (protocol === udp.PROTOCOL)) break;
    // 4.
    const netLo = w[e + 1]!;
    const lo = netWord(netLo);
    if (lo >>> 0 <= above >>> 0) break;
    // 6.
    const textAt = (e << 2) + ESP_LEN;
    const textLen = at + total - textAt - icvLen;
    if (textLen < 0) break;
    above = lo;
    waits++;
    isEsp[i] = 1;
    cells[3 * capacity + i] = index;
    spis[i] = netWord(netSpi);
    seqHi[i] = hi;
    seqLo[i] = lo;
    inferred[i] = hi;
    j[job] = textAt;
    j[rows + job] = textLen;
    j[keys + job] = key;
    j[tags + job] = i;
    const c = nonces + 3 * job;
    j[c] = netSalt;
    j[c + 1] = w[e + 2]!;
    j[c + 2] = w[e + 3]!;
    const d = aads + 3 * job;
    const esn = (flags & FLAG.ESN) !== 0;
    j[d] = netSpi;
    j[d + 1] = esn ? netHi : netLo;
    j[d + 2] = netLo;
    jb[aadLens + job] = esn ? 12 : 8;
    jb[icvLens + job] = icvLen;
    job++;
  }
  if (waits > 0) pending.add(index, waits, hi, above);
  jobs.count = job;
  return i;
}

/**
 * Does steps 6 to 10 for the packets of rows of the job table from `from` on, as long as they are usual: the number after
 * the top, IPv4 without options in it, nothing to merge into that, and no selector.
 * @returns the first that is not; `from`, with nothing changed, where there is none
 */
export function acceptRun(
  batch: Batch,
  jobs: JobTable,
  pending: Pending,
  from: number,
  sad: SaLookup,
): number {
  const { words32: w, slab, cells, capacity, seqLo, inferred } = batch;
  if (w === undefined) return from;
  const { cells: j, tables: jb, capacity: rows, count } = jobs;
  let index = -1;
  let sa: SaPlace | undefined;
  let packets = 0;
  let bytes = 0;
  let row = from;
  for (; row < count; row++) {
    const i = j[JOB.TAG * rows + row]!;
    if (cells[3 * capacity + i] !== index || sa === undefined) {
      if (sa !== undefined) countAll(sa, packets, bytes);
      packets = 0;
      bytes = 0;
      index = cells[3 * capacity + i]!;
      sa = sad.sas[index]!;
      pending.clear(index);
      if ((sa.words[sa.at + WORD.FLAGS]! & ASKED_INSIDE) !== PLAIN) break;
    }
    if (jb[JOB.VERDICT * rows + row] !== JOB_OK) break;
    const textAt = j[row]!;
    const textLen = j[JOB.TEXT_LEN * rows + row]!;
    const payloadLen = payloadLength(slab, textAt, textLen);
    if ((textAt & 3) !== 0 || payloadLen < ipv4.HEADER_LEN) break;
    if (slab[textAt + textLen - 1] !== ipv4.PROTOCOL) break;
    const first = w[textAt >>> 2]!;
    const innerLen = netHalf(first >>> 16);
    if ((first & 0xff) !== VERSION_4 || innerLen < ipv4.HEADER_LEN || innerLen > payloadLen) break;
    if ((ipv4.tos(slab, cells[i]!) & CE) === CE) break;
    if (!commitNext(sa, inferred[i]!, seqLo[i]! | 0)) break;
    packets++;
    bytes += payloadLen;
    cells[i] = textAt;
    // Anything after the inner packet is TFC padding (RFC 4303 §2.7).
    cells[capacity + i] = innerLen;
  }
  if (sa !== undefined && packets > 0) countAll(sa, packets, bytes);
  return row;
}
