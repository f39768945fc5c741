/**
 * Lists of packets as a bad network and a bad peer send them: good ones, and every fault that a receiver of ESP can
 * meet, in mixed order. The same seed gives the same list.
 *
 * A kind says what was done to a packet, not what becomes of it: that depends on the window, and is for the receivers
 * to say.
 * @module
 */
import { flipBit, putU16, putU32 } from '../../src/base/bytes.ts';
import { xorshift32 } from '../../src/base/rng.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as udp from '../../src/wire/udp.ts';
import { Forge, type OuterGiven, textOf } from './forge.ts';

export interface Made {
  readonly kind: string;
  /** From the IP header on, as it arrives. */
  readonly packet: Uint8Array;
}

export interface FaultOptions {
  readonly config: SaConfig;
  /** The highest number that the receiver has seen. */
  readonly top: bigint;
  /** A whole packet of `len` bytes that the SA may carry. */
  readonly inner: (len: number) => Uint8Array;
  /** Kinds to draw from; a kind named twice is drawn twice as often. */
  readonly kinds: readonly string[];
  readonly count: number;
  readonly seed: number;
}

const U32 = 2n ** 32n;
const U64 = 2n ** 64n;

/** What a kind may use. */
class Maker {
  readonly forge: Forge;
  readonly config: SaConfig;
  readonly inner: (len: number) => Uint8Array;
  readonly sent: Uint8Array[] = [];
  top: bigint;
  readonly #next: () => number;

  constructor({ config, top, inner, seed }: FaultOptions) {
    this.forge = new Forge(config);
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

  /** The number of a packet that will not be taken. */
  peek(): bigint {
    const seq = this.top + BigInt(1 + this.draw(3));
    return this.config.esn || seq < U32 ? seq : U32 - 1n;
  }

  /** What an SA carries of an inner packet. */
  payload(packet = this.inner(40 + this.draw(60))): { readonly bytes: Uint8Array; readonly next: number } {
    const isV4 = packet[0]! >>> 4 === 4;
    if (this.config.mode === 'tunnel') return { bytes: packet, next: isV4 ? 4 : 41 };
    return { bytes: packet.subarray(isV4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN), next: 253 };
  }

  good(seq: bigint, outer?: OuterGiven, packet?: Uint8Array, extra = 0): Uint8Array {
    const { bytes, next } = this.payload(packet);
    return this.text(seq, textOf(bytes, next, this.config.keys.suite.align, extra), outer);
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

const KINDS: Readonly<Record<string, (m: Maker) => Uint8Array>> = {
  // Numbers. The packets are authentic.
  next: (m) => m.good(m.fresh()),
  gap: (m) => m.good(m.fresh(2 + m.draw(6))),
  jump: (m) => m.good(m.fresh(1 + m.draw(2 * m.window + 64))),
  'far jump': (m) => m.good(m.fresh(0x1000_0000 + m.draw(0x6fff_ffff))),
  late: (m) => m.good(m.top - BigInt(m.draw(m.window))),
  edge: (m) => m.good(m.top - BigInt(m.window - 2 + m.draw(5))),
  stale: (m) => m.good(m.top - BigInt(m.window + m.draw(300))),
  replay: (m) => (m.sent.length > 0 ? m.pick(m.sent.slice(-80)).slice() : m.good(m.fresh())),
  'epoch ahead': (m) => m.good(m.top + U32 - BigInt(m.draw(2 * m.window)) + BigInt(m.draw(9))),
  'epoch behind': (m) => m.good(m.top - U32 - BigInt(m.draw(2 * m.window)) + BigInt(m.draw(9))),
  zero: (m) => m.good((m.top / U32) * U32),
  'zero of the next epoch': (m) => m.good((m.top / U32 + 1n) * U32),
  'below zero': (m) => m.good(U64 - 1n - BigInt(m.draw(m.window))),
  'near 2^32': (m) => m.good((m.top / U32) * U32 + U32 - 1n - BigInt(m.draw(2 * m.window))),

  // Altered on the way.
  'flip SPI': (m) =>
    m.flip(
      () => 0,
      () => 4,
    ),
  'flip number': (m) =>
    m.flip(
      () => 4,
      () => 8,
    ),
  'flip IV': (m) =>
    m.flip(
      () => 8,
      () => 8 + m.config.keys.suite.ivLen,
    ),
  'flip text': (m) =>
    m.flip(
      () => 8 + m.config.keys.suite.ivLen,
      (len) => len - m.config.keys.suite.icvLen,
    ),
  'flip ICV': (m) =>
    m.flip(
      (len) => len - m.config.keys.suite.icvLen,
      (len) => len,
    ),
  truncated: (m) => m.cut(m.good(m.peek()), 8 + m.draw(90)),
  short: (m) => m.cut(m.good(m.peek()), m.draw(9)),
  'cut off by the link': (m) => {
    const packet = m.good(m.peek());
    return packet.slice(0, packet.length - 1 - m.draw(20));
  },
  'padded by the link': (m) => Uint8Array.from([...m.good(m.fresh()), ...new Uint8Array(1 + m.draw(18))]),
  'other source': (m) => {
    const src = m.config.src.slice();
    src[src.length - 1] = 200 + m.draw(50);
    return m.good(m.fresh(), { src });
  },
  'unknown SPI': (m) => {
    const packet = m.good(m.peek());
    putU32(packet, placeOf(packet).espAt, m.pick([0, 1, 255, 0xdead_beef, 0xffff_ffff]));
    return withChecksum(packet);
  },
  'ECN and DSCP': (m) => {
    const packet = m.inner(64);
    if (packet[0]! >>> 4 === 4) {
      ipv4.setTos(packet, 0, m.draw(256));
      ipv4.fillChecksum(packet, 0);
    } else ipv6.setTrafficClass(packet, 0, m.draw(256));
    return m.good(m.fresh(), { tos: m.draw(256) }, packet);
  },
  'no UDP, or UDP': (m) => m.good(m.peek(), { inUdp: m.config.encap === undefined }),
  keepalive: (m) => m.forge.outer(Uint8Array.of(0xff), { inUdp: true }),
  IKE: (m) => m.forge.outer(new Uint8Array(28 + m.draw(40)), { inUdp: true }),
  'short in UDP': (m) => m.forge.outer(m.good(m.peek()).slice(-m.draw(12) - 1), { inUdp: true }),

  // Built wrong by the peer: the ICV is right.
  dummy: (m) => m.odd(m.peek(), m.payload().bytes, 59),
  'dummy without payload': (m) => m.odd(m.peek(), new Uint8Array(0), 59),
  empty: (m) => m.odd(m.peek(), new Uint8Array(0), m.payload().next),
  'text of 0 or 1 bytes': (m) =>
    m.config.keys.suite.align > 4 ? m.good(m.fresh()) : m.text(m.peek(), new Uint8Array(m.draw(2))),
  'pad length too big': (m) => {
    const { bytes, next } = m.payload();
    const text = textOf(bytes, next, m.config.keys.suite.align);
    // From all of the payload to far beyond it.
    text[text.length - 2] = Math.min(255, text.length - 2 + m.draw(120));
    return m.text(m.peek(), text);
  },
  'pad length leaves a byte': (m) => {
    const { bytes, next } = m.payload(m.inner(60));
    const text = textOf(bytes, next, m.config.keys.suite.align);
    text[text.length - 2] = text.length - 3;
    return m.text(m.fresh(), text);
  },
  'padding of any content': (m) => {
    const { bytes, next } = m.payload();
    const text = textOf(bytes, next, m.config.keys.suite.align, 64);
    for (let i = bytes.length; i < text.length - 2; i++) text[i] = m.draw(256);
    return m.text(m.fresh(), text);
  },
  'long padding': (m) => m.good(m.fresh(), {}, undefined, 192),
  TFC: (m) => {
    const { bytes, next } = m.payload();
    return m.odd(m.fresh(), Uint8Array.from([...bytes, ...new Uint8Array(1 + m.draw(200)).fill(0x5a)]), next);
  },
  'no IP inside': (m) => m.odd(m.fresh(), m.payload().bytes, m.pick([0, 1, 6, 17, 47, 132, 253, 255])),
  'the other IP version': (m) => {
    const { bytes, next } = m.payload();
    return m.odd(m.fresh(), bytes, next === 4 ? 41 : 4);
  },
  'inner shorter than its header': (m) => {
    const { bytes, next } = m.payload();
    return m.odd(m.fresh(), bytes.slice(0, 1 + m.draw(next === 4 ? 19 : 39)), next);
  },
  'inner says it is longer': (m) => {
    const { bytes, next } = m.payload();
    return m.odd(m.fresh(), bytes.slice(0, bytes.length - 1 - m.draw(bytes.length - 40)), next);
  },
  'inner version': (m) => {
    const packet = m.inner(60);
    packet[0] = (m.pick([0, 1, 5, 7, 15]) << 4) | (packet[0]! & 15);
    const isV4 = m.payload().next === 4;
    if (isV4) ipv4.fillChecksum(packet, 0);
    return m.odd(m.fresh(), packet, isV4 ? 4 : 41);
  },
  'inner header length': (m) => {
    const { bytes, next } = m.payload();
    if (next !== 4) return m.good(m.fresh());
    bytes[0] = 0x40 | m.draw(5);
    return m.odd(m.fresh(), bytes, next);
  },
  'inner total length': (m) => {
    const { bytes, next } = m.payload();
    if (next !== 4) return m.good(m.fresh());
    putU16(bytes, 2, m.draw(20));
    ipv4.fillChecksum(bytes, 0);
    return m.odd(m.fresh(), bytes, next);
  },
  'options before ESP': (m) => {
    const options =
      m.config.dst.length === 4
        ? new Uint8Array(4 * (1 + m.draw(3))).fill(1) // no-operation
        : Uint8Array.of(50, 0, 1, 4, 0, 0, 0, 0);
    return m.good(m.fresh(), { options });
  },
};

/** Kinds that move numbers about, as any network and a replaying attacker do. */
export const NUMBERS = ['next', 'gap', 'jump', 'late', 'edge', 'stale', 'replay', 'zero'];
/** Numbers with a high half of their own. */
export const ESN_NUMBERS = [...NUMBERS, 'epoch ahead', 'epoch behind', 'zero of the next epoch', 'near 2^32'];
/** What a path does to packets. */
export const ALTERED = Object.keys(KINDS).slice(
  Object.keys(KINDS).indexOf('flip SPI'),
  Object.keys(KINDS).indexOf('dummy'),
);
/** What a peer builds wrong. */
export const ODD = Object.keys(KINDS).slice(Object.keys(KINDS).indexOf('dummy'));

/** Makes a list. Every kind comes `count / kinds.length` times, in mixed order. */
export function makeFaults(options: FaultOptions): Made[] {
  const { kinds, count } = options;
  const maker = new Maker(options);
  const order = Array.from({ length: count }, (_, i) => kinds[i % kinds.length]!);
  for (let i = order.length - 1; i > 0; i--) {
    const k = maker.draw(i + 1);
    [order[i], order[k]] = [order[k]!, order[i]!];
  }
  return order.map((kind) => {
    const make = KINDS[kind];
    if (!make) throw new Error(`no kind ${kind}`);
    const packet = make(maker);
    maker.sent.push(packet);
    return { kind, packet };
  });
}
