/**
 * Decapsulation of a run: packets one behind the other that have one SA, and are of the usual kind. What they share is
 * read once, and headers are read as whole words of this machine.
 *
 * Usual is IPv4 without options and whole, ESP in it or in UDP as the SA has it, tunnel mode by a cipher whose nonce is
 * salt ‖ IV, an SA without limits and without a selector, and numbers that rise in a window that is no longer young. A
 * packet that is not ends the run with nothing of it changed: `decapsulate.ts` has the steps for all.
 * `test/ipsec/run.test.ts` holds both to the same bytes, verdicts and counters.
 * @module
 */
import { netHalf, netWord } from '../base/bytes.ts';
import { JOB_OK, type JobTable } from '../crypto/engine.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { type Batch, ON } from '../wire/packet.ts';
import * as udp from '../wire/udp.ts';
import { CE, VERSION_4 } from './outer-header.ts';
import { payloadLength } from './padding.ts';
import type { SecurityAssociation } from './sa.ts';
import type { SaLookup } from './sad.ts';

/** More fragments, and the fragment offset, in 16 bits as a word of this machine has them. */
const FRAGMENT = 0xff3f;

/**
 * Does steps 1 to 5 for packets from `from` to before `to`, as long as they are of one SA and usual.
 * @param isPort does a UDP port carry ESP?
 * @returns the first that is not; `from` where there is none
 */
export function admitRun(
  batch: Batch,
  jobs: JobTable,
  from: number,
  to: number,
  sad: SaLookup,
  isPort: (port: number) => boolean,
): number {
  const { words32: w, slab, cells, capacity, next, isEsp, spi: spis, seqHi, seqLo, inferred } = batch;
  if (w === undefined) return from;
  // What the packets of a run have in common, from the first.
  let sa: SecurityAssociation | undefined;
  let netSpi = 0;
  let dst = 0;
  let mark = 0;
  let ports = 0;
  let index = -1;
  let hi = 0;
  let netHi = 0;
  let above = 0;
  let i = from;
  for (; i < to && next[i] === ON; i++) {
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
    // 2. and 3., once a run
    if (sa === undefined) {
      netSpi = w[e]!;
      dst = w[a + 4]!;
      mark = cells[2 * capacity + i]!;
      index = sad.lookup(slab, at + ipv4.DST_AT, ipv4.ADDRESS_LEN, netWord(netSpi) >>> 0, mark);
      sa = index < 0 ? undefined : sad.sas[index];
      if (sa === undefined || !sa.isUsual || sa.gone || !sa.valid) break;
      const { window } = sa;
      hi = window.topHi;
      if (!window.isGrown || (sa.pending > 0 && sa.pendingHi !== hi)) break;
      netHi = netWord(hi);
      above = sa.pending > 0 && sa.pendingLo >>> 0 > window.topLo ? sa.pendingLo : window.topLo | 0;
    } else if (w[e] !== netSpi || w[a + 4] !== dst || cells[2 * capacity + i] !== mark) break;
    if (sa.isEncap !== (protocol === udp.PROTOCOL)) break;
    // 4.
    const netLo = w[e + 1]!;
    const lo = netWord(netLo);
    if (lo >>> 0 <= above >>> 0) break;
    // 6.
    const textAt = (e << 2) + sa.espLen;
    const textLen = at + total - textAt - sa.icvLen;
    if (textLen < 0) break;
    above = lo;
    isEsp[i] = 1;
    cells[3 * capacity + i] = index;
    spis[i] = netWord(netSpi);
    seqHi[i] = hi;
    seqLo[i] = lo;
    inferred[i] = hi;
    const row = jobs.addRow(sa, i, textAt, textLen, netHi, netLo);
    jobs.setNonce(row, sa.netSalt, w[e + 2]!, w[e + 3]!);
  }
  if (sa !== undefined && i > from) {
    sa.pending += i - from;
    sa.pendingHi = hi;
    sa.pendingLo = above;
  }
  return i;
}

/**
 * Does steps 6 to 10 for the packet of a row of the job table, if it is usual: the number after the top, IPv4 without
 * options in it, nothing to merge into that, and no selector.
 * @returns false, with nothing changed, where it is not
 */
export function acceptUsual(
  batch: Batch,
  jobs: JobTable,
  row: number,
  i: number,
  sa: SecurityAssociation,
): boolean {
  const { words32: w, slab, cells, capacity } = batch;
  if (w === undefined || !sa.isUsual || !sa.takesAll || sa.rules.decapDscp || jobs.verdict[row] !== JOB_OK)
    return false;
  const textAt = jobs.textAt[row]!;
  const textLen = jobs.textLen[row]!;
  const payloadLen = payloadLength(slab, textAt, textLen);
  if ((textAt & 3) !== 0 || payloadLen < ipv4.HEADER_LEN) return false;
  if (slab[textAt + textLen - 1] !== ipv4.PROTOCOL) return false;
  const first = w[textAt >>> 2]!;
  const innerLen = netHalf(first >>> 16);
  if ((first & 0xff) !== VERSION_4 || innerLen < ipv4.HEADER_LEN || innerLen > payloadLen) return false;
  if ((ipv4.tos(slab, cells[i]!) & CE) === CE) return false;
  if (!sa.window.commitNext(batch.inferred[i]!, batch.seqLo[i]! | 0)) return false;
  sa.life.count(payloadLen);
  cells[i] = textAt;
  // Anything after the inner packet is TFC padding (RFC 4303 §2.7).
  cells[capacity + i] = innerLen;
  return true;
}
