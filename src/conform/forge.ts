/**
 * Authentic ESP packets around anything, with any number: the peer that an encapsulator cannot be.
 * @module
 */
import { putU32 } from '../base/bytes.ts';
import { seededBytes } from '../base/rng.ts';
import { type Engine, JOB_OK, JobTable } from '../crypto/engine.ts';
import { writeTrailer } from '../ipsec/padding.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Address } from '../wire/address.ts';
import * as checksum from '../wire/checksum.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';

/** What may be odd about the header around ESP. */
export interface OuterGiven {
  readonly src?: Address;
  /** TOS or traffic class. */
  readonly tos?: number;
  /** IPv4 options, or an IPv6 extension header as long as a multiple of 8 with ESP as its next header. */
  readonly options?: Uint8Array;
  /** Type of the extension header. */
  readonly optionsHeader?: number;
  /** Adds or takes away ESP in UDP, whatever the SA says. */
  readonly inUdp?: boolean;
}

/** Bytes before the IV in a row's nonce. */
const SALT_ROOM = 4;

export class Forge {
  readonly config: SaConfig;
  readonly #engine: Engine;
  readonly #key: number;
  readonly #iv = seededBytes(0xf0e);

  /** @throws {EsplaneError} `ERR_SUITE` when the engine does not have the suite */
  constructor(config: SaConfig, engine: Engine) {
    this.config = config;
    this.#engine = engine;
    this.#key = this.#engine.addKey(config.keys);
  }

  /** A packet with the true number `seq`, whose ICV is right. `text` is payload, padding, pad length, next header. */
  packet(seq: bigint, text: Uint8Array, outer: OuterGiven = {}): Uint8Array {
    return this.outer(this.#seal(seq, text), outer);
  }

  /** Any bytes where ESP is expected. */
  outer(body: Uint8Array, given: OuterGiven = {}): Uint8Array {
    const { src = this.config.src, tos = 0, options = new Uint8Array(0), optionsHeader = 60, inUdp } = given;
    const { dst, encap } = this.config;
    const ports = inUdp === undefined ? encap : inUdp ? { sport: 4500, dport: 4500 } : undefined;
    const protocol = ports ? udp.PROTOCOL : esp.PROTOCOL;
    const payloadLen = body.length + (ports ? udp.HEADER_LEN : 0);
    const fixedLen = dst.length === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
    const headerLen = fixedLen + options.length;
    const b = new Uint8Array(headerLen + payloadLen);
    if (dst.length === 4) {
      const header = { tos, id: 0, dontFragment: true, moreFragments: false, fragmentOffset: 0, ttl: 64 };
      ipv4.emit({ ...header, totalLength: b.length, protocol, src, dst, options }, b);
    } else {
      const nextHeader = options.length > 0 ? optionsHeader : protocol;
      const payloadLength = b.length - fixedLen;
      ipv6.emit({ trafficClass: tos, flowLabel: 0, payloadLength, nextHeader, hopLimit: 64, src, dst }, b);
      b.set(options, fixedLen);
    }
    b.set(body, b.length - body.length);
    if (ports) {
      const { sport: srcPort, dport: dstPort } = ports;
      udp.emit({ srcPort, dstPort, length: payloadLen, checksum: 0 }, b, headerLen);
      if (dst.length === 16) checksum.fillTransport(b, 0, udp.PROTOCOL, headerLen, b.length);
    }
    return b;
  }

  #seal(seq: bigint, text: Uint8Array): Uint8Array {
    const { config } = this;
    const { suite } = config.keys;
    const textAt = esp.HEADER_LEN + suite.ivLen;
    const b = new Uint8Array(textAt + text.length + suite.icvLen);
    putU32(b, 0, config.spi);
    putU32(b, 4, Number(BigInt.asUintN(32, seq)));
    this.#iv(b.subarray(esp.HEADER_LEN, textAt));
    b.set(text, textAt);
    const jobs = new JobTable(1);
    jobs.count = 1;
    jobs.key[0] = this.#key;
    jobs.textAt[0] = textAt;
    jobs.textLen[0] = text.length;
    jobs.icvLen[0] = suite.icvLen;
    // SPI ‖ number, under ESN SPI ‖ high ‖ low (RFC 4106 §5); by hand, so that JobTable.addRow has something to agree with.
    const high = new Uint8Array(config.esn ? 4 : 0);
    if (config.esn) putU32(high, 0, Number(BigInt.asUintN(32, seq >> 32n)));
    jobs.aad.set([...b.subarray(0, 4), ...high, ...b.subarray(4, 8)]);
    jobs.aadLen[0] = 8 + high.length;
    const salt = config.keys.salt();
    if (salt.length > 0) {
      // The salt of AES-CCM has three bytes, and stands behind a zero.
      jobs.nonce.set(salt, SALT_ROOM - salt.length);
      jobs.nonce.set(b.subarray(esp.HEADER_LEN, textAt), SALT_ROOM);
    }
    this.#engine.seal(b, jobs);
    if (jobs.verdict[0] !== JOB_OK) throw new Error('the engine did not seal');
    return b;
  }
}

/** Payload with padding 1, 2, 3 … up to `align`, and `extra` bytes more, a multiple of it; and its trailer. */
export function textOf(payload: Uint8Array, next: number, align: number, extra = 0): Uint8Array {
  const padLen = (-(payload.length + esp.TRAILER_LEN) & (align - 1)) + extra;
  const text = new Uint8Array(payload.length + padLen + esp.TRAILER_LEN);
  text.set(payload);
  writeTrailer(text, payload.length, padLen, next);
  return text;
}
