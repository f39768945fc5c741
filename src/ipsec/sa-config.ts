/**
 * What an SA is made of, before it carries packets: the fields of `ip xfrm state`.
 *
 * The sources of SAs (Cilium's keys and nodes, `ip xfrm state` text, Wireshark's esp_sa) all yield this, and all
 * output formats are written from it.
 * @module
 */
import type { KeyMaterial } from '../crypto/suite.ts';
import type { Address } from '../wire/address.ts';
import type { IptfsOptions } from './iptfs.ts';
import type { Selector } from './selector.ts';

/** A value and the bits of it that count, as xfrm marks have. */
export interface Mark {
  readonly value: number;
  readonly mask: number;
}

/** Limits after which an SA warns (soft) or stops (hard); absent means none. */
export interface Lifetime {
  readonly softPackets?: number;
  readonly hardPackets?: number;
  readonly softBytes?: number;
  readonly hardBytes?: number;
  /** Seconds since it was added. */
  readonly softAddSeconds?: number;
  readonly hardAddSeconds?: number;
  /** Seconds since it first carried a packet. */
  readonly softUseSeconds?: number;
  readonly hardUseSeconds?: number;
}

/**
 * What a source does not say, and {@link SaConfig} has to: there it is a guess. Wireshark's esp_sa says neither mode nor
 * UDP, and in its form of eight fields not whether there is ESN.
 */
export interface Unstated {
  readonly mode?: true;
  readonly encap?: true;
  readonly esn?: true;
}

/**
 * Which SAs a row with wildcards stands for. Its config is a template, whose addresses and SPI are zero where they are open:
 * `SaList` (sa-text) makes an SA of it for each place that is asked for.
 */
export interface SaPattern {
  /** As Wireshark writes them: `*`, `10.0.*.1`, `fd00::/64`, `0x0000000*`. */
  readonly src: string;
  readonly dst: string;
  readonly spi: string;
  /** Does it stand for the SA at this place? */
  fits(src: Address, dst: Address, spi: number): boolean;
}

/** Counters that the source printed. For a capture they are hints, not the state. */
export interface SequenceHint {
  readonly seqHi: number;
  readonly seq: number;
  readonly oseqHi: number;
  readonly oseq: number;
}

/** What `ip -s xfrm state` printed under `stats` and `lifetime current`. */
export interface Counted {
  /** Numbers left of the window. */
  replayWindow: number;
  /** Numbers seen before. */
  replay: number;
  /** ICV failures. */
  failed: number;
}

/** Times of an SA that its source tells, in seconds since 1970, as of a clock in UTC. */
export interface SaDates {
  readonly added: number;
  /** From then on its hard limit in seconds is over. The second before may be either: dates are of whole seconds. */
  readonly over: number;
}

export interface SaConfig {
  /** Outer source; all zero means any. */
  readonly src: Address;
  /** Outer destination, same family as {@link src}. */
  readonly dst: Address;
  readonly spi: number;
  /** `iptfs` is received only: tunnel mode with many packets in one, or one over many (RFC 9347). */
  readonly mode: 'tunnel' | 'transport' | 'iptfs';
  /** Of mode `iptfs`; absent, as Linux has them by itself. */
  readonly iptfs?: IptfsOptions;
  readonly keys: KeyMaterial;
  readonly esn: boolean;
  /** Packets; 0 is off. */
  readonly replayWindow: number;
  readonly reqid: number;
  /**
   * Inner packets that the SA may carry. As in Linux its family decides which IP version a tunnel sends; absent,
   * both.
   */
  readonly selector?: Selector;
  readonly mark?: Mark;
  /** Put on packets that leave xfrm. */
  readonly outputMark?: Mark;
  /** The xfrm interface that takes what the SA brings. */
  readonly ifId?: number;
  /** ESP in UDP (RFC 3948). */
  readonly encap?: { readonly sport: number; readonly dport: number };
  /** Flags by their `ip xfrm` names: `noecn`, `decap-dscp`, `nopmtudisc`, `wildrecv`, `icmp`, `af-unspec`, `align4`. */
  readonly flags: readonly string[];
  readonly lifetime?: Lifetime;
  /** Of an SA that does not send, with a hard limit in seconds. */
  readonly dates?: SaDates;
  readonly sequence?: SequenceHint;
  readonly counted?: Readonly<Counted>;
  /** The device that encrypts what the kernel sends, where its text says so (`crypto offload parameters`). */
  readonly offloadedTo?: string;
  /** Known for planned SAs and for states that print `dir`. */
  readonly direction?: 'in' | 'out';
  /** The CPU that sends by it (`pcpu-num`); absent, any does. */
  readonly cpu?: number;
  /** Absent, all is said. Packets then tell, each for itself, mode and UDP; ESN is found by trying. */
  readonly unstated?: Unstated;
  /** Of the SAs with one and the same choice only one is right: the first that opens a packet. */
  readonly choice?: string;
  /** Absent, it is one SA. */
  readonly pattern?: SaPattern;
  /** Where it comes from, for people: `keys:1 node-1 -> node-2`, `n2.txt:14`. */
  readonly origin: string;
}

/** What names an SA, or the SAs of a pattern, beside the key. */
export type SaPlace = Pick<SaConfig, 'src' | 'dst' | 'spi' | 'pattern'>;
