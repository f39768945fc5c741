/**
 * Two packets of two senders, and what an observer of both on the wire can learn when their nonces are equal.
 *
 * ```text
 *  counter mode:  C1 = P1 ⊕ stream(key, nonce)      C2 = P2 ⊕ stream(key, nonce)
 *  so             C1 ⊕ C2 = P1 ⊕ P2                 and who knows P1 has P2
 * ```
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { seededBytes } from '../../base/rng.ts';
import { NobleEngine } from '../../crypto/noble.ts';
import { aead } from '../../crypto/suite.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { TunnelEnd } from '../../ipsec/tunnel-end.ts';
import { udpPacket } from '../../sim/traffic.ts';
import { parseAddress } from '../../wire/address.ts';
import * as esp from '../../wire/esp.ts';
import * as ipv4 from '../../wire/ipv4.ts';

/** What two nodes have in common. */
export const SHARING = [
  { value: 'nonce', label: 'one key, one nonce' },
  { value: 'key', label: 'one key, IVs apart' },
  { value: 'nothing', label: 'a key each' },
] as const;

export type Sharing = (typeof SHARING)[number]['value'];

/** Longest text of a packet, in characters. */
export const MAX_TEXT = 64;

/** A packet and its known parts. */
export interface Sent {
  readonly from: string;
  /** The whole inner packet. */
  readonly clear: Uint8Array;
  /** Salt and IV, in hex. The IV is on the wire; the salt is not. */
  readonly nonce: string;
  /** The packet on the wire, and the SA that it was sealed by. */
  readonly wire: Uint8Array;
  readonly sa: SaConfig;
  /** The part of the packet on the wire that is encrypted: inner packet, padding, trailer. */
  readonly encrypted: Uint8Array;
}

export interface Twice {
  readonly first: Sent;
  readonly second: Sent;
  readonly sameNonce: boolean;
  /** Both encrypted texts, each byte of one with that of the other. */
  readonly mixed: Uint8Array;
  /** {@link mixed} with the first packet's clear text: the second's, when the nonces are equal. */
  readonly guess: Uint8Array;
  /** Bytes of the second packet that came out right. */
  readonly right: number;
}

/** The headers in front of the texts: as long in both packets. */
export const HEADERS = ipv4.HEADER_LEN + 8;

/** Node-1 and node-3 each send a first packet to node-2. The eavesdropper knows the first one's text. */
export function sendTwice(texts: readonly [string, string], sharing: Sharing): Twice {
  const first = send('node-1', '10.244.1.1', '10.244.1.10', texts[0], 1, 1);
  const ivSeed = sharing === 'nonce' ? 1 : 2;
  const second = send('node-3', '10.244.3.1', '10.244.3.10', texts[1], sharing === 'nothing' ? 2 : 1, ivSeed);
  const length = Math.min(first.clear.length, second.clear.length);
  const mixed = first.encrypted.slice(0, length).map((byte, i) => byte ^ second.encrypted[i]!);
  const guess = mixed.map((byte, i) => byte ^ first.clear[i]!);
  const sameNonce = first.nonce === second.nonce;
  return {
    ...{ first, second, sameNonce, mixed, guess },
    right: guess.reduce((sum, byte, i) => sum + Number(byte === second.clear[i]), 0),
  };
}

/**
 * @param keySeed equal seeds are equal keys
 * @param ivSeed Linux draws a random number for every SA, and mixes the sequence number into it: that is the IV
 */
function send(from: string, end: string, pod: string, text: string, keySeed: number, ivSeed: number): Sent {
  const keymat = new Uint8Array(20);
  seededBytes(keySeed)(keymat);
  const keys = aead('rfc4106(gcm(aes))', keymat, 128);
  const sa: SaConfig = {
    ...{ src: parseAddress(end)!, dst: parseAddress('10.244.2.1')!, spi: 3, mode: 'tunnel', keys },
    ...{ esn: true, replayWindow: 1024, reqid: 1, flags: [], origin: 'lab' },
  };
  const clear = udpPacket(
    { src: parseAddress(pod)!, dst: parseAddress('10.244.2.20')!, srcPort: 40_000, dstPort: 9 },
    new TextEncoder().encode(text),
  );
  const sent = new TunnelEnd(sa, new NobleEngine(), { random: seededBytes(ivSeed) }).encapsulate(clear);
  if (sent.verdict !== 'ok') throw new Error(`not sent: ${sent.reason}`);
  const { ivLen, icvLen } = keys.suite;
  const ivAt = ipv4.HEADER_LEN + esp.HEADER_LEN;
  return {
    ...{ from, clear, sa },
    wire: sent.packet,
    nonce: toHex(keys.salt()) + toHex(sent.packet, ivAt, ivAt + ivLen),
    encrypted: sent.packet.slice(ivAt + ivLen, sent.packet.length - icvLen),
  };
}
