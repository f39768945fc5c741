/**
 * Encapsulation of runs: packets one behind the other that are of the usual kind. What those of one SA share is read
 * once, and headers are written as whole words of this machine.
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
import { countAll } from './lifetime.ts';
import { fold, tosOf, VERSION_4 } from './outer-header.ts';
import { OUT } from './sa-row.ts';
import { FLAG, type SaPlace, WORD } from './sa-words.ts';
import type { SaLookup } from './sad.ts';

/** DF alone, in the 16 bits that hold the fragment offset, as a word of this machine has them. */
const DF_ALONE = 0x40;
/** Of an SA whose packets are usual, and of one that is no more. */
const USUAL = FLAG.USUAL | FLAG.PLAIN_HEADER | FLAG.SENDS_V4;
const ASKED = USUAL | FLAG.GONE;

/**
 * Does steps 1 to 6 for packets from `from` on, as long as they are usual. Packets without an SA, and those that go
 * elsewhere, are left as they are.
 * @returns the first that is not; `from` where there is none
 */
export function frameRun(batch: Batch, jobs: JobTable, from: number, sad: SaLookup): number {
  const { words32: w, slab, cells, capacity, count, slotSize } = batch;
  if (w === undefined) return from;
  const { cells: j, tables: jb, capacity: rows } = jobs;
  const { key: keys, tag: tags, nonce: nonces, aad: aads, aadLen: aadLens, icvLen: icvLens } = jobs.at;
  const { sas } = sad;
  // What packets of one SA have in common, from the first.
  let index = -1;
  let sa: SaPlace | undefined;
  let flags = 0;
  let key = 0;
  let before = 0;
  let behind = 0;
  let most = 0;
  let netSpi = 0;
  let netSalt = 0;
  let netHi = 0;
  let ivHi = 0;
  let netIvLo = 0;
  let src = 0;
  let dst = 0;
  let ports = 0;
  let header = 0;
  let rules = 0;
  /** At this number the sender has more to do than to count. */
  let end = 0;
  let lo = 0;
  let packets = 0;
  let bytes = 0;
  let job = jobs.count;
  let i = from;
  for (; i < count; i++) {
    if (cells[4 * capacity + i] !== ON) continue;
    if (cells[3 * capacity + i] !== index) {
      if (sa !== undefined) settle(sa, lo, packets, bytes);
      packets = 0;
      bytes = 0;
      index = cells[3 * capacity + i]!;
      sa = index < 0 ? undefined : sas[index];
      if (sa !== undefined) {
        const { words: s, at: r, numbers, numbersAt: n } = sa;
        flags = s[r + WORD.FLAGS]!;
        key = s[r + WORD.KEY]!;
        netSpi = s[r + WORD.NET_SPI]!;
        netSalt = s[r + WORD.NET_SALT]!;
        ivHi = s[r + WORD.NET_IV_HI]!;
        netIvLo = s[r + WORD.NET_IV_LO]!;
        const lengths = s[r + WORD.LENGTHS]!;
        before = lengths & 0xff;
        behind = (lengths >>> 8) & 0xff;
        most = lengths >>> 16;
        src = s[r + WORD.SRC]!;
        dst = s[r + WORD.DST]!;
        ports = s[r + WORD.PORTS]!;
        header = s[r + WORD.HEADER]!;
        rules = s[r + WORD.TOS]!;
        netHi = netWord(numbers[n + OUT.HI]!);
        ivHi ^= netHi;
        end = numbers[n + OUT.END]!;
        lo = numbers[n + OUT.LO]!;
      }
    }
    if (sa === undefined) continue;
    if ((flags & ASKED) !== USUAL) break;
    // 1.
    const at = cells[i]!;
    const have = cells[capacity + i]!;
    if ((at & 3) !== 0 || have < ipv4.HEADER_LEN) break;
    const a = at >>> 2;
    const first = w[a]!;
    const len = netHalf(first >>> 16);
    if ((first & 0xff) !== VERSION_4 || len > have || len < ipv4.HEADER_LEN) break;
    const fragment = w[a + 1]! >>> 16;
    if (((fragment & DF_ALONE) | (flags & FLAG.SETS_DF)) === 0) break;
    const padLen = -(len + esp.TRAILER_LEN) & 3;
    const total = len + before + behind + padLen;
    const start = at - before;
    if (total > most || start < i * slotSize || start + total > (i + 1) * slotSize) break;
    // 4.
    if (lo === end) break;
    lo = (lo + 1) | 0;
    packets++;
    bytes += len;
    cells[i] = start;
    cells[capacity + i] = total;
    // 5.
    putTrailer(w, slab, at + len, padLen);
    const tos = tosOf(rules, (first >>> 8) & 0xff);
    const netTotal = netHalf(total);
    const sum = fold(fold((header >>> 16) + (tos << 8) + netTotal + DF_ALONE));
    let o = start >>> 2;
    w[o] = VERSION_4 | (tos << 8) | (netTotal << 16);
    w[o + 1] = DF_ALONE << 16;
    w[o + 2] = (header & 0xffff) | (~sum << 16);
    w[o + 3] = src;
    w[o + 4] = dst;
    o += 5;
    if (ports !== 0) {
      const udpLen = total - ipv4.HEADER_LEN;
      w[o] = ports;
      w[o + 1] = netHalf(udpLen);
      o += 2;
    }
    // 6.
    const netLo = netWord(lo);
    const ivLo = netLo ^ netIvLo;
    w[o] = netSpi;
    w[o + 1] = netLo;
    w[o + 2] = ivHi;
    w[o + 3] = ivLo;
    j[job] = at;
    j[rows + job] = len + padLen + esp.TRAILER_LEN;
    j[keys + job] = key;
    j[tags + job] = i;
    const c = nonces + 3 * job;
    j[c] = netSalt;
    j[c + 1] = ivHi;
    j[c + 2] = ivLo;
    const d = aads + 3 * job;
    j[d] = netSpi;
    const esn = (flags & FLAG.ESN) !== 0;
    j[d + 1] = esn ? netHi : netLo;
    j[d + 2] = netLo;
    jb[aadLens + job] = esn ? 12 : 8;
    jb[icvLens + job] = behind - esp.TRAILER_LEN;
    job++;
  }
  if (sa !== undefined) settle(sa, lo, packets, bytes);
  jobs.count = job;
  return i;
}

/** Writes the trailer behind IPv4 that ends at `at`: `writeTrailer` for text that is a multiple of 4 and lies on words. */
function putTrailer(w: Int32Array, slab: Uint8Array, at: number, padLen: number): void {
  const last = (at + padLen - esp.TRAILER_LEN) >> 2;
  if (padLen === 2) w[last] = 0x0402_0201;
  else if (padLen === 0) w[last] = (w[last]! & 0xffff) | 0x0400_0000;
  else if (padLen === 1) w[last] = (w[last]! & 0xff) | 0x0401_0100;
  else {
    slab[at] = 1;
    w[last] = 0x0403_0302;
  }
}

/** What a run has used of its SA. */
function settle(sa: SaPlace, lo: number, packets: number, bytes: number): void {
  if (packets === 0) return;
  const { numbers, numbersAt: n } = sa;
  numbers[n + OUT.LO] = lo;
  numbers[n + OUT.CHECK] = ~lo;
  countAll(sa, packets, bytes);
}
