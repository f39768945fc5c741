/**
 * What becomes of packets that do not fit: the sender is told by ICMP, and what may be cut leaves in fragments.
 *
 * The answer bears the address that the packet was sent to. Its true sender is this node, but behind a TUN device that
 * is the host's own address, and a host drops what claims to come from itself.
 * @module
 */
import { fragment, mayFragment } from '../ipsec/fragment.ts';
import { maxInner } from '../ipsec/mtu.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { Link } from '../link/link.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { Batch, PASS } from '../wire/packet.ts';
import { addressLen, dstAt } from './ip.ts';
import { TAKEN } from './verdict.ts';

/** Answers in one second; a flood of long packets is not worth more. */
const ANSWERS_A_SECOND = 100;
/** Fragments of one round. */
const FRAGMENTS = 64;

export interface TooBigStats {
  /** ICMP errors sent to pods. */
  icmpSent: number;
  /** ICMP errors kept back: too many in one second, or to what gets none. */
  icmpSuppressed: number;
  /** Packets that left in fragments, and these. */
  cut: number;
  fragments: number;
}

export class TooBig {
  readonly stats: TooBigStats = { icmpSent: 0, icmpSuppressed: 0, cut: 0, fragments: 0 };
  readonly #fragments: Batch;
  readonly #mtu: number;
  #second = 0;
  #left = ANSWERS_A_SECOND;
  #id: number;

  /**
   * @param mtu of the link outside
   * @param firstId of IPv6 fragments, chosen at random
   */
  constructor(mtu: number, firstId: number) {
    this.#mtu = mtu;
    this.#id = firstId;
    this.#fragments = new Batch({ capacity: FRAGMENTS, maxPacket: mtu });
  }

  /**
   * Sends the packets of a batch that have passed and are longer than the link takes, in fragments. Their verdicts
   * become {@link TAKEN}; what may not be cut stays as it is.
   * @returns how many packets left that way
   */
  cut(batch: Batch, outside: Link): number {
    let packets = 0;
    for (let i = 0; i < batch.count; i++) {
      if (batch.verdict[i] !== PASS || batch.length[i]! <= this.#mtu) continue;
      if (!mayFragment(batch.slab, batch.offset[i]!)) continue;
      const out = this.#fragments;
      out.clear();
      this.#id = (this.#id + 1) >>> 0;
      const made = fragment(batch, i, this.#mtu, this.#id, out);
      if (made === 0) continue;
      if (outside.send(out) < made) continue; // a full queue: the packet is refused, as a whole
      batch.verdict[i] = TAKEN;
      this.stats.cut++;
      this.stats.fragments += made;
      packets++;
    }
    return packets;
  }

  /**
   * The answer to the packet at `at`, which its SA, or the link, has no room for.
   * @param sa the SA that it was meant for; without one it would have left in the clear
   * @param now ms
   * @returns the whole ICMP packet, or `undefined` when none is due
   */
  answer(
    b: Uint8Array,
    at: number,
    len: number,
    sa: SecurityAssociation | undefined,
    now: number,
  ): Uint8Array | undefined {
    if (!this.#mayAnswer(now) || !deservesAnswer(b, at)) {
      this.stats.icmpSuppressed++;
      return undefined;
    }
    this.#left--;
    this.stats.icmpSent++;
    const from = dstAt(b, at);
    const mtu = sa ? roomIn(sa) : this.#mtu;
    const isV6 = addressLen(b, at) === 16;
    return icmp.tooBigPacket(
      b.slice(at, at + len),
      b.slice(from, from + addressLen(b, at)),
      isV6 ? Math.max(mtu, ipv6.MIN_MTU) : mtu,
    );
  }

  #mayAnswer(now: number): boolean {
    const second = Math.floor(now / 1000);
    // Also when the clock was set back.
    if (second !== this.#second) {
      this.#second = second;
      this.#left = ANSWERS_A_SECOND;
    }
    return this.#left > 0;
  }
}

function roomIn({ suite, config, pathMtu }: SecurityAssociation): number {
  const family = config.dst.length === 4 ? 4 : 6;
  return maxInner(suite, config.mode, family, config.encap !== undefined, pathMtu);
}

/**
 * RFC 1122 §3.2.2, RFC 4443 §2.4: never to an ICMP error, a later fragment, or what is for many. An IPv6 packet that
 * is too big is answered even where it was for many.
 */
function deservesAnswer(b: Uint8Array, at: number): boolean {
  if (b[at]! >>> 4 === 6) {
    return !(b[at + 6] === icmp.PROTOCOL_V6 && b[at + ipv6.HEADER_LEN]! < 128);
  }
  if ((ipv4.fragmentField(b, at) & 0x1fff) !== 0) return false;
  const first = b[at + ipv4.DST_AT]!;
  if (first >= 224) return false;
  if (ipv4.protocol(b, at) !== icmp.PROTOCOL) return true;
  const type = b[at + ipv4.headerLen(b, at)];
  return type === icmp.ECHO_REQUEST || type === icmp.ECHO_REPLY;
}
