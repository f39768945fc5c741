/**
 * Encapsulation of a run: packets one behind the other that take one SA, and are of the usual kind. What they share is
 * read once, and headers are written as whole words of this machine.
 *
 * Usual is IPv4 without options, with DF, in tunnel mode over IPv4, by a cipher whose nonce is salt ‖ IV, through an SA
 * without limits. A packet that is not ends the run with nothing of it changed: `encapsulate.ts` has the steps for all.
 * `test/ipsec/run.test.ts` holds both to the same bytes.
 * @module
 */
import { netHalf, netWord } from '../base/bytes.ts';
import type { JobTable } from '../crypto/engine.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { type Batch, ON } from '../wire/packet.ts';
import { VERSION_4 } from './outer-header.ts';
import { writeTrailer } from './padding.ts';
import type { SecurityAssociation } from './sa.ts';

/** DF alone, in the 16 bits that hold the fragment offset, as a word of this machine has them. */
const DF_ALONE = 0x40;
const MAX_LEN = 0xffff;

/**
 * Does steps 1 to 5 for packets from `from` on, as long as they have this SA and are usual.
 * @returns the first that is not; `from` where there is none
 */
export function frameRun(batch: Batch, jobs: JobTable, from: number, sa: SecurityAssociation): number {
  const { words32: w, slab, cells, capacity, next, count, slotSize } = batch;
  const { outer, sequence } = sa;
  const { quick } = outer;
  if (w === undefined || quick === undefined || !sa.isUsual || sa.gone || !sa.sendsAllV4) return from;
  const index = cells[3 * capacity + from]!;
  const { before, behind, netSpi, netSalt, netIvSaltLo } = sa;
  const { src, dst, ports, ttlAndProtocol, sum: headerSum, tosMask, tos: ownTos, ecn } = quick;
  const most = Math.min(MAX_LEN, sa.pathMtu);
  const netHi = netWord(sequence.signedHi);
  const ivHi = netHi ^ sa.netIvSaltHi;
  const last = sequence.end;
  let lo = sequence.signedLo;
  let bytes = 0;
  let i = from;
  for (; i < count && cells[3 * capacity + i] === index && next[i] === ON; i++) {
    // 1.
    const at = cells[i]!;
    const have = cells[capacity + i]!;
    if ((at & 3) !== 0 || have < ipv4.HEADER_LEN) break;
    const a = at >>> 2;
    const first = w[a]!;
    const len = netHalf(first >>> 16);
    if ((first & 0xff) !== VERSION_4 || len > have || len < ipv4.HEADER_LEN) break;
    const fragment = w[a + 1]! >>> 16;
    if ((fragment & DF_ALONE) === 0 && !quick.setsDf) break;
    const padLen = -(len + esp.TRAILER_LEN) & 3;
    const total = len + before + behind + padLen;
    const start = at - before;
    if (total > most || start < i * slotSize || start + total > (i + 1) * slotSize) break;
    // 3.
    if (lo === last) break;
    lo = (lo + 1) | 0;
    bytes += len;
    cells[i] = start;
    cells[capacity + i] = total;
    // 4.
    writeTrailer(slab, at + len, padLen, ipv4.PROTOCOL);
    const innerTos = (first >>> 8) & 0xff;
    const tos = (innerTos & tosMask) | ownTos | ((ecn >>> (2 * (innerTos & 3))) & 3);
    const netTotal = netHalf(total);
    let sum = headerSum + (tos << 8) + netTotal + DF_ALONE;
    sum = (sum & 0xffff) + (sum >>> 16);
    sum = (sum & 0xffff) + (sum >>> 16);
    let o = start >>> 2;
    w[o] = VERSION_4 | (tos << 8) | (netTotal << 16);
    w[o + 1] = DF_ALONE << 16;
    w[o + 2] = ttlAndProtocol | (~sum << 16);
    w[o + 3] = src;
    w[o + 4] = dst;
    o += 5;
    if (ports !== 0) {
      const udpLen = total - ipv4.HEADER_LEN;
      w[o] = ports;
      w[o + 1] = netHalf(udpLen);
      o += 2;
    }
    // 5.
    const netLo = netWord(lo);
    const ivLo = netLo ^ netIvSaltLo;
    w[o] = netSpi;
    w[o + 1] = netLo;
    w[o + 2] = ivHi;
    w[o + 3] = ivLo;
    const row = jobs.addRow(sa, i, at, len + padLen + esp.TRAILER_LEN, netHi, netLo);
    jobs.setNonce(row, netSalt, ivHi, ivLo);
  }
  if (i > from) {
    sequence.moveTo(lo);
    sa.life.countAll(i - from, bytes);
  }
  return i;
}
