/**
 * The catalogue of behaviours that a peer can see: packets as a bad network and a bad peer send them, good ones, and every
 * fault that a receiver of ESP can meet. The same seed gives the same list.
 *
 * A kind says what was done to a packet, not what becomes of it: that depends on the window, and is for the receivers
 * to say. `test/interop/kernel.test.ts` holds what esplane says to a Linux kernel, kind by kind.
 * @module
 */
import { flipBit, putU16, putU32 } from '../base/bytes.ts';
import { xorshift32 } from '../base/rng.ts';
import type { Engine } from '../crypto/engine.ts';
import { KeyMaterial } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import * as checksum from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';
import { Forge, type OuterGiven, textOf } from './forge.ts';
import { PASSED, type Rule, TAKEN } from './rules.ts';

export interface Made {
  readonly kind: string;
  /** From the IP header on, as it arrives. */
  readonly packet: Uint8Array;
}

/** What a {@link FaultMaker} needs. */
export interface MakerOptions {
  readonly config: SaConfig;
  readonly engine: Engine;
  /** The highest number that the receiver has seen. */
  readonly top: bigint;
  /** A whole packet of `len` bytes that the SA may carry. */
  readonly inner: (len: number) => Uint8Array;
  readonly seed: number;
}

export interface FaultOptions extends MakerOptions {
  /** Kinds to draw from; a kind named twice is drawn twice as often. */
  readonly kinds: readonly string[];
  readonly count: number;
}

const U32 = 2n ** 32n;
const U64 = 2n ** 64n;

/** What a kind may use. */
class Maker {
  readonly forge: Forge;
  /** The same SA under another key. */
  readonly stranger: Forge;
  readonly config: SaConfig;
  readonly inner: (len: number) => Uint8Array;
  readonly sent: Uint8Array[] = [];
  top: bigint;
  readonly #next: () => number;

  constructor({ config, engine, top, inner, seed }: MakerOptions) {
    this.forge = new Forge(config, engine);
    this.stranger = new Forge({ ...config, keys: otherKeys(config.keys) }, engine);
    this.config = config;
    this.inner = inner;
    this.top = top;
    this.#next = xorshift32(seed);
  }

  /** 0 to n-1. */
  draw(n: number): number {
    return this.#next() % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.draw(list.length)]!;
  }

  get window(): number {
    return Math.max(1, this.config.replayWindow);
  }

  /** The number after the highest so far, which then is the highest. Without ESN the numbers end. */
  fresh(ahead = 1): bigint {
    const seq = this.top + BigInt(ahead);
    this.top = this.config.esn ? BigInt.asUintN(64, seq) : seq < U32 ? seq : U32 - 1n;
    return this.top;
  }

  /** A number behind the highest. Below 0 there is one only under ESN: its low half is all that is sent. */
  behind(n: number): bigint {
    const seq = this.top - BigInt(n);
    return this.config.esn || seq > 0n ? seq : 0n;
  }

  /** The number of a packet that will not be taken. */
  peek(): bigint {
    const seq = this.top + BigInt(1 + this.draw(3));
    return this.config.esn || seq < U32 ? seq : U32 - 1n;
  }

  /** What an SA carries of an inner packet. */
  payload(packet = this.inner(40 + this.draw(60))): { readonly bytes: Uint8Array; readonly next: number } {
    const isV4 = packet[0]! >>> 4 === 4;
    if (this.config.mode === 'tunnel') return { bytes: packet, next: isV4 ? 4 : 41 };
    return isV4
      ? { bytes: packet.subarray(ipv4.HEADER_LEN), next: packet[9]! }
      : { bytes: packet.subarray(ipv6.HEADER_LEN), next: packet[6]! };
  }

  good(seq: bigint, outer?: OuterGiven, packet?: Uint8Array, extra = 0, forge = this.forge): Uint8Array {
    const { bytes, next } = this.payload(packet);
    const text = textOf(bytes, next, this.config.keys.suite.align, extra);
    return forge.packet(BigInt.asUintN(64, seq), text, outer);
  }

  text(seq: bigint, text: Uint8Array, outer?: OuterGiven): Uint8Array {
    return this.forge.packet(BigInt.asUintN(64, seq), text, outer);
  }

  /** A payload of its own kind, authentic. */
  odd(seq: bigint, bytes: Uint8Array, next: number): Uint8Array {
    return this.text(seq, textOf(bytes, next, this.config.keys.suite.align));
  }

  /** Flips a bit of a good packet in `[from, to)`, counted from the SPI. */
  flip(from: (len: number) => number, to: (len: number) => number): Uint8Array {
    const packet = this.good(this.peek());
    const { espAt, espEnd } = placeOf(packet);
    const len = espEnd - espAt;
    const at = from(len) + this.draw(Math.max(1, to(len) - from(len)));
    flipBit(packet, 8 * (espAt + at) + this.draw(8));
    return withChecksum(packet);
  }

  /** The first `len` bytes of the ESP packet, with the lengths around it put right. */
  cut(packet: Uint8Array, len: number): Uint8Array {
    const { espAt } = placeOf(packet);
    return this.forge.outer(packet.subarray(espAt, espAt + len));
  }
}

/** Where ESP lies in a packet of {@link Maker.good} without options. */
function placeOf(packet: Uint8Array): { readonly espAt: number; readonly espEnd: number } {
  const isV4 = packet[0]! >>> 4 === 4;
  const upperAt = isV4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
  const isUdp = packet[isV4 ? 9 : 6] === udp.PROTOCOL;
  return { espAt: isUdp ? upperAt + udp.HEADER_LEN : upperAt, espEnd: packet.length };
}

/**
 * Puts the checksum of UDP over IPv6 right again, as one who alters packets does. Where it is wrong, UDP drops the
 * packet and no ESP is seen.
 */
function withChecksum(packet: Uint8Array): Uint8Array {
  if (packet[0]! >>> 4 === 6 && packet[6] === udp.PROTOCOL) {
    checksum.fillTransport(packet, 0, udp.PROTOCOL, ipv6.HEADER_LEN, packet.length);
  }
  return packet;
}

/** Keys of the same suite that differ in a bit each. The lowest bit of a byte is parity in DES, so it is another. */
function otherKeys(keys: KeyMaterial): KeyMaterial {
  const other = (bytes: Uint8Array) => bytes.map((byte, i) => (i === 0 ? byte ^ 0x40 : byte));
  return new KeyMaterial(keys.suite, other(keys.key()), keys.salt(), other(keys.macKey()));
}

/** What a kind of packet is, and how one is made. */
export interface Kind {
  /** Numbers move about; a path alters packets; a peer builds odd ones. */
  readonly group: 'number' | 'altered' | 'odd';
  /** The behaviour that it shows, for people. */
  readonly says: string;
  /** The sentence that it stands for, where a receiver takes it; left out, that of the window. */
  readonly rule?: Rule;
  /**
   * What it takes to be meant as it says: ESN, tunnel mode, an SA in UDP, a link that sends packets as they are (a socket of
   * IP writes their length itself), one that lets the source be chosen (a socket of UDP does not), or an SA
   * in UDP and a link that can send ESP without.
   */
  readonly needs?: 'esn' | 'tunnel' | 'udp' | 'frames' | 'source' | 'bare';
  readonly make: (m: Maker) => Uint8Array;
}

export const KINDS: Readonly<Record<string, Kind>> = {
  // Numbers. The packets are authentic.
  next: {
    group: 'number',
    says: 'the next number',
    make: (m) => m.good(m.fresh()),
  },
  gap: {
    group: 'number',
    says: 'a number a few ahead: packets were lost',
    make: (m) => m.good(m.fresh(2 + m.draw(6))),
  },
  jump: {
    group: 'number',
    says: 'a number up to two windows ahead',
    make: (m) => m.good(m.fresh(1 + m.draw(2 * m.window + 64))),
  },
  'far jump': {
    group: 'number',
    says: 'a number far ahead, in the same subspace of 2^32',
    make: (m) => m.good(m.fresh(0x1000_0000 + m.draw(0x6fff_ffff))),
  },
  late: {
    group: 'number',
    says: 'a number inside the window',
    make: (m) => m.good(m.behind(m.draw(m.window))),
  },
  edge: {
    group: 'number',
    says: 'a number at the left edge of the window, on both sides of it',
    make: (m) => m.good(m.behind(m.window - 2 + m.draw(5))),
  },
  stale: {
    group: 'number',
    says: 'a number left of the window',
    make: (m) => m.good(m.behind(m.window + m.draw(300))),
  },
  replay: {
    group: 'number',
    says: 'a packet that was sent before, byte for byte',
    make: (m) => (m.sent.length > 0 ? m.pick(m.sent.slice(-80)).slice() : m.good(m.fresh())),
  },
  'epoch ahead': {
    group: 'number',
    says: 'under ESN: a number about 2^32 ahead',
    needs: 'esn',
    make: (m) => m.good(m.top + U32 - BigInt(m.draw(2 * m.window)) + BigInt(m.draw(9))),
  },
  'epoch behind': {
    group: 'number',
    says: 'under ESN: a number about 2^32 behind',
    needs: 'esn',
    make: (m) => m.good(m.top - U32 - BigInt(m.draw(2 * m.window)) + BigInt(m.draw(9))),
  },
  zero: {
    group: 'number',
    says: 'number 0 in the low 32 bits',
    make: (m) => m.good((m.top / U32) * U32),
  },
  'zero of the next epoch': {
    group: 'number',
    says: 'under ESN: the first number of the next subspace',
    rule: TAKEN.epoch,
    needs: 'esn',
    make: (m) => m.good((m.top / U32 + 1n) * U32),
  },
  'below zero': {
    group: 'number',
    says: 'under ESN: a number below 0',
    needs: 'esn',
    make: (m) => m.good(U64 - 1n - BigInt(m.draw(m.window))),
  },
  'near 2^32': {
    group: 'number',
    says: 'a number near the end of the subspace',
    make: (m) => m.good((m.top / U32) * U32 + U32 - 1n - BigInt(m.draw(2 * m.window))),
  },
  'used number': {
    group: 'number',
    says: 'another packet under the highest number so far',
    make: (m) => m.good(m.top),
  },
  'first of the window': {
    group: 'number',
    says: 'the lowest number inside the window',
    make: (m) => m.good(m.behind(m.window - 1)),
  },
  'first below the window': {
    group: 'number',
    says: 'the highest number left of the window',
    make: (m) => m.good(m.behind(m.window)),
  },
  // Altered on the way.
  'flip SPI': {
    group: 'altered',
    says: 'a flipped bit in the SPI',
    make: (m) =>
      m.flip(
        () => 0,
        () => 4,
      ),
  },
  'flip number': {
    group: 'altered',
    says: 'a flipped bit in the sequence number',
    make: (m) =>
      m.flip(
        () => 4,
        () => 8,
      ),
  },
  'flip IV': {
    group: 'altered',
    says: 'a flipped bit in the IV',
    make: (m) =>
      m.flip(
        () => 8,
        () => 8 + m.config.keys.suite.ivLen,
      ),
  },
  'flip text': {
    group: 'altered',
    says: 'a flipped bit in the ciphertext',
    make: (m) =>
      m.flip(
        () => 8 + m.config.keys.suite.ivLen,
        (len) => len - m.config.keys.suite.icvLen,
      ),
  },
  'flip ICV': {
    group: 'altered',
    says: 'a flipped bit in the ICV',
    make: (m) =>
      m.flip(
        (len) => len - m.config.keys.suite.icvLen,
        (len) => len,
      ),
  },
  truncated: {
    group: 'altered',
    says: 'ESP cut off inside header, IV, ciphertext or ICV',
    make: (m) => m.cut(m.good(m.peek()), 8 + m.draw(90)),
  },
  short: {
    group: 'altered',
    says: 'ESP of 0 to 8 bytes',
    make: (m) => m.cut(m.good(m.peek()), m.draw(9)),
  },
  'cut off by the link': {
    group: 'altered',
    says: 'the IP packet ends before its total length',
    needs: 'frames',
    make: (m) => {
      const packet = m.good(m.peek());
      return packet.slice(0, packet.length - 1 - m.draw(20));
    },
  },
  'padded by the link': {
    group: 'altered',
    says: 'bytes behind the end of the IP packet',
    rule: TAKEN.totalLength,
    needs: 'frames',
    make: (m) => Uint8Array.from([...m.good(m.fresh()), ...new Uint8Array(1 + m.draw(18))]),
  },
  'other source': {
    group: 'altered',
    says: 'another source address around ESP',
    rule: TAKEN.spi,
    needs: 'source',
    make: (m) => {
      const src = m.config.src.slice();
      src[src.length - 1] = 200 + m.draw(50);
      return m.good(m.fresh(), { src });
    },
  },
  'unknown SPI': {
    group: 'altered',
    says: 'an SPI that no SA has: 0, 1, 255 and others',
    make: (m) => {
      const packet = m.good(m.peek());
      putU32(packet, placeOf(packet).espAt, m.pick([0, 1, 255, 0xdead_beef, 0xffff_ffff]));
      return withChecksum(packet);
    },
  },
  'ECN and DSCP': {
    group: 'altered',
    says: 'ECN and DSCP around ESP and inside',
    rule: TAKEN.ecn,
    make: (m) => {
      const packet = m.inner(64);
      if (packet[0]! >>> 4 === 4) {
        ipv4.setTos(packet, 0, m.draw(256));
        ipv4.fillChecksum(packet, 0);
      } else ipv6.setTrafficClass(packet, 0, m.draw(256));
      return m.good(m.fresh(), { tos: m.draw(256) }, packet);
    },
  },
  'no UDP, or UDP': {
    group: 'altered',
    says: 'ESP in UDP for an SA without, or the other way round',
    needs: 'bare',
    make: (m) => m.good(m.peek(), { inUdp: m.config.encap === undefined }),
  },
  keepalive: {
    group: 'altered',
    says: 'a NAT keepalive',
    rule: PASSED.keepalive,
    needs: 'udp',
    make: (m) => m.forge.outer(Uint8Array.of(0xff), { inUdp: true }),
  },
  IKE: {
    group: 'altered',
    says: 'four zero bytes, the marker of IKE',
    rule: PASSED.marker,
    needs: 'udp',
    make: (m) => m.forge.outer(new Uint8Array(28 + m.draw(40)), { inUdp: true }),
  },
  'short in UDP': {
    group: 'altered',
    says: 'a datagram of 1 to 12 bytes',
    rule: PASSED.short,
    needs: 'udp',
    make: (m) => m.forge.outer(m.good(m.peek()).slice(-m.draw(12) - 1), { inUdp: true }),
  },
  'another key': {
    group: 'altered',
    says: 'a packet under a key that the receiver does not have',
    make: (m) => m.good(m.peek(), undefined, undefined, 0, m.stranger),
  },
  'forged far ahead': {
    group: 'altered',
    says: 'a forged packet several windows ahead: the window must not move',
    make: (m) => {
      const ahead = m.top + BigInt(4 * m.window + 1000);
      const packet = m.good(m.config.esn || ahead < U32 ? ahead : U32 - 1n);
      packet[packet.length - 1]! ^= 1;
      return withChecksum(packet);
    },
  },
  // Built oddly or wrong by the peer: the ICV is right.
  dummy: {
    group: 'odd',
    says: 'next header 59 over a good payload',
    make: (m) => m.odd(m.peek(), m.payload().bytes, 59),
  },
  'dummy without payload': {
    group: 'odd',
    says: 'next header 59 and no payload',
    make: (m) => m.odd(m.peek(), new Uint8Array(0), 59),
  },
  empty: {
    group: 'odd',
    says: 'no payload at all',
    rule: TAKEN.nextHeader,
    make: (m) => m.odd(m.peek(), new Uint8Array(0), m.payload().next),
  },
  'text of 0 or 1 bytes': {
    group: 'odd',
    says: 'a plaintext too short for its trailer',
    rule: TAKEN.window,
    make: (m) =>
      m.config.keys.suite.align > 4 ? m.good(m.fresh()) : m.text(m.peek(), new Uint8Array(m.draw(2))),
  },
  'pad length too big': {
    group: 'odd',
    says: 'a pad length as long as the payload or longer',
    make: (m) => {
      const { bytes, next } = m.payload();
      const text = textOf(bytes, next, m.config.keys.suite.align);
      text[text.length - 2] = Math.min(255, text.length - 2 + m.draw(120));
      return m.text(m.peek(), text);
    },
  },
  'pad length leaves a byte': {
    group: 'odd',
    says: 'a pad length that leaves one byte of payload',
    rule: TAKEN.padding,
    make: (m) => {
      const { bytes, next } = m.payload(m.inner(60));
      const text = textOf(bytes, next, m.config.keys.suite.align);
      text[text.length - 2] = text.length - 3;
      return m.text(m.fresh(), text);
    },
  },
  'padding of any content': {
    group: 'odd',
    says: 'padding that does not count 1, 2, 3',
    rule: TAKEN.paddingContent,
    make: (m) => {
      const { bytes, next } = m.payload();
      const text = textOf(bytes, next, m.config.keys.suite.align, 64);
      for (let i = bytes.length; i < text.length - 2; i++) text[i] = m.draw(256);
      return m.text(m.fresh(), text);
    },
  },
  'long padding': {
    group: 'odd',
    says: '192 bytes of padding more than needed',
    rule: TAKEN.padding,
    make: (m) => m.good(m.fresh(), {}, undefined, 192),
  },
  TFC: {
    group: 'odd',
    says: 'bytes between the inner packet and the padding',
    rule: TAKEN.tfc,
    make: (m) => {
      const { bytes, next } = m.payload();
      return m.odd(
        m.fresh(),
        Uint8Array.from([...bytes, ...new Uint8Array(1 + m.draw(200)).fill(0x5a)]),
        next,
      );
    },
  },
  'no IP inside': {
    group: 'odd',
    says: 'a next header that is not IP',
    rule: TAKEN.nextHeader,
    make: (m) => m.odd(m.fresh(), m.payload().bytes, m.pick([0, 1, 6, 17, 47, 132, 253, 255])),
  },
  'the other IP version': {
    group: 'odd',
    says: 'next header 41 over IPv4, or 4 over IPv6',
    needs: 'tunnel',
    make: (m) => {
      const { bytes, next } = m.payload();
      return m.odd(m.fresh(), bytes, next === 4 ? 41 : 4);
    },
  },
  'inner shorter than its header': {
    group: 'odd',
    says: 'an inner packet cut off in its header',
    needs: 'tunnel',
    make: (m) => {
      const { bytes, next } = m.payload();
      return m.odd(m.fresh(), bytes.slice(0, 1 + m.draw(next === 4 ? 19 : 39)), next);
    },
  },
  'inner says it is longer': {
    group: 'odd',
    says: 'an inner packet shorter than its length says',
    needs: 'tunnel',
    make: (m) => {
      const { bytes, next } = m.payload();
      return m.odd(m.fresh(), bytes.slice(0, bytes.length - 1 - m.draw(bytes.length - 40)), next);
    },
  },
  'inner version': {
    group: 'odd',
    says: 'an inner packet of IP version 0, 1, 5, 7 or 15',
    needs: 'tunnel',
    make: (m) => {
      const packet = m.inner(60);
      packet[0] = (m.pick([0, 1, 5, 7, 15]) << 4) | (packet[0]! & 15);
      const isV4 = m.payload().next === 4;
      if (isV4) ipv4.fillChecksum(packet, 0);
      return m.odd(m.fresh(), packet, isV4 ? 4 : 41);
    },
  },
  'inner header length': {
    group: 'odd',
    says: 'an inner header shorter than 20 bytes',
    needs: 'tunnel',
    make: (m) => {
      const { bytes, next } = m.payload();
      if (next !== 4) return m.good(m.fresh());
      bytes[0] = 0x40 | m.draw(5);
      return m.odd(m.fresh(), bytes, next);
    },
  },
  'inner total length': {
    group: 'odd',
    says: 'an inner total length shorter than the header',
    needs: 'tunnel',
    make: (m) => {
      const { bytes, next } = m.payload();
      if (next !== 4) return m.good(m.fresh());
      putU16(bytes, 2, m.draw(20));
      ipv4.fillChecksum(bytes, 0);
      return m.odd(m.fresh(), bytes, next);
    },
  },
  'options before ESP': {
    group: 'odd',
    says: 'IP options or an extension header before ESP',
    rule: TAKEN.place,
    needs: 'source',
    make: (m) => {
      const options =
        m.config.dst.length === 4
          ? new Uint8Array(4 * (1 + m.draw(3))).fill(1) // no-operation
          : Uint8Array.of(50, 0, 1, 4, 0, 0, 0, 0);
      return m.good(m.fresh(), { options });
    },
  },
  'any length': {
    group: 'odd',
    says: 'payloads of every length modulo the block',
    rule: TAKEN.alignment,
    make: (m) => m.good(m.fresh(), undefined, m.inner(48 + m.draw(64))),
  },
  large: {
    group: 'odd',
    says: 'packets of 1200 to 1380 bytes',
    rule: TAKEN.window,
    make: (m) => m.good(m.fresh(), undefined, m.inner(1200 + m.draw(181))),
  },
};

/** Kinds that reorder, skip or repeat sequence numbers, as any network and a replaying attacker do. */
export const NUMBERS: readonly string[] = [
  ...['next', 'gap', 'jump', 'late', 'edge', 'stale', 'replay', 'zero'],
  ...['used number', 'first of the window', 'first below the window'],
];
/** Numbers with a high half of their own. */
export const ESN_NUMBERS: readonly string[] = [
  ...NUMBERS,
  'epoch ahead',
  'epoch behind',
  'zero of the next epoch',
  'near 2^32',
];
/** What a path does to packets. */
export const ALTERED = kindsOf('altered');
/** What a peer builds oddly or wrong. */
export const ODD = kindsOf('odd');

function kindsOf(group: Kind['group']): string[] {
  return Object.keys(KINDS).filter((name) => KINDS[name]!.group === group);
}

/** Makes a list. Every kind comes `count / kinds.length` times, in mixed order. */
export function makeFaults({ kinds, count, ...options }: FaultOptions): Made[] {
  const maker = new FaultMaker(options);
  return maker.mixed(kinds, count).map((kind) => maker.make(kind));
}

/** Makes packets one after the other. */
export class FaultMaker {
  readonly #maker: Maker;

  constructor(options: MakerOptions) {
    this.#maker = new Maker(options);
  }

  /** Of each of these kinds as many, `count` in all, in mixed order. */
  mixed(kinds: readonly string[], count: number): string[] {
    const order = Array.from({ length: count }, (_, i) => kinds[i % kinds.length]!);
    for (let i = order.length - 1; i > 0; i--) {
      const k = this.#maker.draw(i + 1);
      [order[i], order[k]] = [order[k]!, order[i]!];
    }
    return order;
  }

  /** The highest number that the receiver has taken: it may have taken one that was to be refused. */
  set top(seq: bigint) {
    this.#maker.top = seq;
  }

  make(kind: string): Made {
    const maker = this.#maker;
    const made = KINDS[kind];
    if (!made) throw new Error(`no kind ${kind}`);
    const packet = made.make(maker);
    maker.sent.push(packet);
    return { kind, packet };
  }

  /** An authentic packet that moves the highest number to `seq`. */
  jumpTo(seq: bigint): Made {
    const maker = this.#maker;
    const packet = maker.good(maker.fresh(Number(seq - maker.top)));
    maker.sent.push(packet);
    return { kind: 'jump', packet };
  }
}
