/**
 * What a receiver does with frames: esplane's own, one packet after the other, and whether a host behind it would answer the
 * echo inside. `test/interop/conform.test.ts` holds every verdict to a Linux kernel.
 * @module
 */
import type { RandomBytes } from '../base/rng.ts';
import type { Engine } from '../crypto/engine.ts';
import { Decapsulator } from '../ipsec/decapsulate.ts';
import { type DropReason, dropRow } from '../ipsec/drop.ts';
import { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { Sad } from '../ipsec/sad.ts';
import type { Address } from '../wire/address.ts';
import * as checksum from '../wire/checksum.ts';
import * as icmp from '../wire/icmp.ts';
import { parse, WHOLE } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { Batch } from '../wire/packet.ts';

/** The longest IP packet. */
const MAX_PACKET = 0xffff;

/** What became of a packet. */
export interface Verdict {
  /** `passed`: it is no ESP, and not for this receiver. */
  readonly verdict: 'accepted' | 'dropped' | 'passed';
  readonly reason: DropReason | null;
  /** Row of `/proc/net/xfrm_stat` that it raises. */
  readonly counter: string | null;
  /** What counts it, where it is dropped behind xfrm. */
  readonly elsewhere: string | null;
  /** The whole number, as the receiver takes it; null where it was not looked at. */
  readonly seq: bigint | null;
  /** The packet that came out. */
  readonly inner: Uint8Array | null;
}

/** A receiver that holds one SA. */
export class Reference {
  readonly #batch = new Batch({ capacity: 1, maxPacket: MAX_PACKET });
  readonly #decapsulator: Decapsulator;

  /** @throws {EsplaneError} `ERR_SUITE` when the engine does not have the suite */
  constructor(config: SaConfig, engine: Engine, random: RandomBytes) {
    // Its direction is that of the end whose text it is from: here it receives.
    const { direction: _, ...received } = config;
    const sa = new SecurityAssociation(received, engine, { random });
    // It has seen nothing.
    sa.window.startBefore(0, 1);
    const sad = new Sad();
    sad.add(sa);
    const { encap } = config;
    this.#decapsulator = new Decapsulator(sad, engine, 1, encap && [encap.sport, encap.dport]);
  }

  /** @param packet an IP packet, which stays as it is */
  take(packet: Uint8Array): Verdict {
    const batch = this.#batch;
    batch.clear();
    batch.push(packet);
    this.#decapsulator.run(batch);
    if (batch.isEsp[0] === 0 && batch.verdict[0] === 0)
      return { verdict: 'passed', reason: null, counter: null, elsewhere: null, seq: null, inner: null };
    const row = dropRow(batch.verdict[0]!);
    return {
      verdict: row ? 'dropped' : 'accepted',
      reason: row?.reason ?? null,
      counter: row?.counter ?? null,
      elsewhere: row?.elsewhere ?? null,
      seq:
        batch.isEsp[0] !== 1 ? null : (BigInt(batch.seqHi[0]! >>> 0) << 32n) | BigInt(batch.seqLo[0]! >>> 0),
      inner: row ? null : batch.copy(0),
    };
  }
}

/** An echo request or reply: which one. */
export interface EchoName {
  readonly id: number;
  readonly seq: number;
}

/** The two hosts that play ping: through a tunnel those inside, else the ends of ESP. */
export interface EchoHosts {
  readonly src: Address;
  readonly dst: Address;
}

/** Reads the echo that an IP packet carries, whole, for these hosts, with its checksums right. */
export class EchoReader {
  readonly #batch = new Batch({ capacity: 1, maxPacket: MAX_PACKET });

  /**
   * @param kind a request from `src` to `dst`, or a reply the other way round
   * @returns `undefined` where it is none, or a host would not take it for one
   */
  read(packet: Uint8Array, hosts: EchoHosts, kind: 'request' | 'reply'): EchoName | undefined {
    const batch = this.#batch;
    if (packet.length === 0 || packet.length > MAX_PACKET) return undefined;
    batch.clear();
    batch.push(packet);
    if (!parse(batch, 0) || batch.fragment[0] !== WHOLE) return undefined;
    const { slab } = batch;
    const at = batch.offset[0]!;
    const end = at + batch.length[0]!;
    const l4 = batch.l4[0]!;
    const isV4 = batch.family[0] === 4;
    if (batch.protocol[0] !== (isV4 ? icmp.PROTOCOL : icmp.PROTOCOL_V6)) return undefined;
    if (icmp.check(slab, l4, end) !== undefined || icmp.code(slab, l4) !== 0) return undefined;
    const isRequest = kind === 'request';
    const type = isV4
      ? isRequest
        ? icmp.ECHO_REQUEST
        : icmp.ECHO_REPLY
      : isRequest
        ? icmp.V6_ECHO_REQUEST
        : icmp.V6_ECHO_REPLY;
    if (icmp.type(slab, l4) !== type) return undefined;
    const [from, to] = isRequest ? [hosts.src, hosts.dst] : [hosts.dst, hosts.src];
    const addressLen = isV4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN;
    const srcAt = at + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    const isAt = (address: Address, place: number) =>
      address.length === addressLen && address.every((byte, i) => slab[place + i] === byte);
    if (!isAt(from, srcAt) || !isAt(to, srcAt + addressLen)) return undefined;
    if (!checksum.transportOk(slab, at, batch.protocol[0]!, l4, end)) return undefined;
    return { id: icmp.echoId(slab, l4), seq: icmp.echoSeq(slab, l4) };
  }
}
