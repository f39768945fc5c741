/**
 * A security association at work: its configuration (RFC 4301 §4.4.2) with key handle, counters and window.
 *
 * Like a Linux `xfrm_state` it does not know whether it sends or receives; the node that sends uses
 * {@link SecurityAssociation.sequence}, the one that receives {@link SecurityAssociation.window}. One thread owns
 * it; others may read its statistics.
 * @module
 */
import { i32, netWord, putU32 } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import type { Engine } from '../crypto/engine.ts';
import type { Suite } from '../crypto/suite.ts';
import { formatAddress } from '../wire/address.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';
import { LifetimeCounter } from './lifetime.ts';
import { type HeaderRules, LINUX_RULES, OuterHeader } from './outer-header.ts';
import { ReplayWindow } from './replay.ts';
import type { SaConfig } from './sa-config.ts';
import type { SaRow } from './sa-row.ts';
import { isByAddress, type Selector } from './selector.ts';
import { OutboundSequence } from './sequence.ts';

export interface SaOptions {
  /** Where the per-SA part of the IVs comes from. */
  readonly random: RandomBytes;
  /** How the outer header is made; left out, as Linux does with the SA's flags. */
  readonly rules?: HeaderRules;
  /** The number before the first one sent: 0 for a new SA. */
  readonly startAfter?: { readonly hi: number; readonly lo: number };
  /** Fixes the per-SA part of the IVs, for reproducible packets only: two SAs with one key must not share it. */
  readonly ivSalt?: Uint8Array;
  /**
   * An SA of the same engine with the same key and number space, whose place the new one takes: key, numbers, window,
   * counters and the per-SA part of the IVs go on, and the old one must not be used any more. The two then share them.
   */
  readonly continues?: SecurityAssociation;
  /** Where numbers and window are kept: they go on where the row stands. Not with {@link startAfter}. */
  readonly row?: SaRow;
}

/** What `ip -s xfrm state` prints as `stats`, for one SA. */
export interface SaStats {
  /** Numbers left of the window. */
  replayWindow: number;
  /** Numbers seen before. */
  replay: number;
  /** ICV failures. */
  failed: number;
}

export class SecurityAssociation {
  readonly config: SaConfig;
  readonly suite: Suite;
  /** Handle of the key in the engine that made this SA. */
  readonly key: number;
  readonly sequence: OutboundSequence;
  readonly window: ReplayWindow;
  readonly life: LifetimeCounter;
  readonly stats: SaStats;
  readonly outer: OuterHeader;
  readonly rules: HeaderRules;
  /** False while the SA is being deleted: inbound packets are then XfrmInStateInvalid. */
  valid = true;
  /** True once a packet met a hard limit: Linux deletes the SA then, and no packet finds it any more. */
  gone = false;
  /** Largest whole outer packet that the path takes, in bytes. */
  pathMtu = 0xffff;

  // What follows is made of the configuration once, because it is asked for every packet.

  /** As a signed 32-bit integer. */
  readonly spi: number;
  readonly esn: boolean;
  readonly icvLen: number;
  readonly isTunnel: boolean;
  /** ESP in UDP? */
  readonly isEncap: boolean;
  /** Where the source says neither, each packet tells its mode, and whether it comes in UDP. */
  readonly isModeOpen: boolean;
  readonly isEncapOpen: boolean;
  /** Does no ICV vouch for what it opens, and neither the kernel's word that there is none? */
  readonly isUnchecked: boolean;
  /** ESP header and IV, in bytes. */
  readonly espLen: number;
  /** What goes before the inner packet (tunnel mode) or between its headers (transport mode), in bytes. */
  readonly before: number;
  /** What goes behind its padding: the rest of the trailer, and the ICV. */
  readonly behind: number;
  /** One less than what text is padded to a multiple of. */
  readonly padMask: number;
  /** Is it ESP in UDP over IPv6, which has a checksum? */
  readonly hasUdp6: boolean;
  /** Is the nonce salt ‖ IV? CBC has none. */
  readonly hasNonce: boolean;
  /** {@link ivSalt} as signed 32-bit integers. */
  readonly ivSaltHi: number;
  readonly ivSaltLo: number;
  /** The same, the key's salt and {@link spi} as words in network order (`netWord`). */
  readonly netIvSaltHi: number;
  readonly netIvSaltLo: number;
  readonly netSalt: number;
  readonly netSpi: number;
  /** May it send every IPv4 (IPv6) packet, whatever its addresses? */
  readonly sendsAllV4: boolean;
  readonly sendsAllV6: boolean;
  /** May a packet that it brings have any addresses? Here a selector of length 0 covers either version, as in Linux. */
  readonly takesAll: boolean;
  /** Tunnel mode, a nonce that is salt ‖ IV, no limits, and nothing left open: may its packets be done in runs? */
  readonly isUsual: boolean;

  /** Packets of the batch at hand that wait for the cipher: the decapsulator's own note. */
  pending = 0;
  /** The highest number among them; the low half is signed. */
  pendingHi = 0;
  pendingLo = 0;

  #srcText: string | undefined;
  #dstText: string | undefined;

  /**
   * @throws {EsplaneError} `ERR_SUITE` when the engine does not have the suite
   * @throws {RangeError} when the window's size is impossible
   */
  constructor(config: SaConfig, engine: Engine, options: SaOptions) {
    const old = options.continues;
    this.config = config;
    this.suite = config.keys.suite;
    this.sequence =
      old?.sequence ??
      new OutboundSequence(
        config.esn,
        options.startAfter?.hi ?? 0,
        options.startAfter?.lo ?? 0,
        options.row?.out,
      );
    this.window = old?.window ?? new ReplayWindow(config.replayWindow, config.esn, options.row);
    this.life = new LifetimeCounter(config.lifetime ?? {}, old?.life);
    this.stats = old?.stats ?? { replayWindow: 0, replay: 0, failed: 0 };
    this.rules = options.rules ?? rulesOf(config.flags);
    this.outer = new OuterHeader(config.src, config.dst, this.rules, config.encap);
    if (!old && !options.ivSalt) options.random(MADE);
    const ivSalt = options.ivSalt ?? MADE;
    this.ivSaltHi = old ? old.ivSaltHi : i32(ivSalt, 0);
    this.ivSaltLo = old ? old.ivSaltLo : i32(ivSalt, 4);
    MADE.fill(0);
    const { suite, outer } = this;
    this.spi = config.spi | 0;
    this.esn = config.esn;
    this.icvLen = suite.icvLen;
    this.isTunnel = config.mode === 'tunnel';
    this.isEncap = config.encap !== undefined;
    this.isModeOpen = config.unstated?.mode ?? false;
    this.isEncapOpen = config.unstated?.encap ?? false;
    this.isUnchecked = suite.unchecked ?? false;
    this.espLen = esp.HEADER_LEN + suite.ivLen;
    this.before = this.espLen + (this.isTunnel ? outer.length : config.encap ? udp.HEADER_LEN : 0);
    this.behind = esp.TRAILER_LEN + suite.icvLen;
    this.padMask = suite.align - 1;
    this.hasUdp6 = config.encap !== undefined && config.dst.length === ipv6.ADDRESS_LEN;
    this.hasNonce = suite.saltLen > 0;
    this.netIvSaltHi = netWord(this.ivSaltHi);
    this.netIvSaltLo = netWord(this.ivSaltLo);
    this.netSalt = netWord(config.keys.saltWord());
    this.netSpi = netWord(config.spi);
    this.sendsAllV4 = coversAll(config.selector, ipv4.ADDRESS_LEN);
    this.sendsAllV6 = coversAll(config.selector, ipv6.ADDRESS_LEN);
    this.takesAll = !config.selector || coversBoth(config.selector);
    this.isUsual =
      this.isTunnel &&
      !this.isModeOpen &&
      !this.isEncapOpen &&
      !this.isUnchecked &&
      this.hasNonce &&
      suite.ivLen === 8 &&
      this.padMask === 3 &&
      !this.life.watched;
    this.key = old?.key ?? engine.addKey(config.keys);
  }

  /**
   * XORed with the sequence number it gives the IV, as Linux's seqiv does: unique because the number is, and
   * without telling how many packets were sent before. A copy.
   */
  get ivSalt(): Uint8Array {
    const ivSalt = new Uint8Array(8);
    putU32(ivSalt, 0, this.ivSaltHi);
    putU32(ivSalt, 4, this.ivSaltLo);
    return ivSalt;
  }

  /** The addresses as text. It stays: reports ask for it again and again. */
  get srcText(): string {
    this.#srcText ??= formatAddress(this.config.src);
    return this.#srcText;
  }

  get dstText(): string {
    this.#dstText ??= formatAddress(this.config.dst);
    return this.#dstText;
  }
}

/** For the per-SA part of an IV, while an SA is made. */
const MADE = new Uint8Array(8);

/** Are neither addresses nor protocol and ports asked for? */
function coversBoth(selector: Selector): boolean {
  return selector.src.bits === 0 && selector.dst.bits === 0 && isByAddress(selector);
}

/** Does a selector let every packet with addresses of that length leave? Even one of length 0 is of one IP version. */
function coversAll(selector: SaConfig['selector'], addressLen: number): boolean {
  if (!selector) return true;
  return coversBoth(selector) && selector.src.address.length === addressLen;
}

/** The outer header as Linux makes it under the flags of `ip xfrm state`. */
function rulesOf(flags: readonly string[]): HeaderRules {
  return {
    ...LINUX_RULES,
    dscp: flags.includes('dont-encap-dscp') ? 0 : LINUX_RULES.dscp,
    ecn: flags.includes('noecn') ? 'clear' : LINUX_RULES.ecn,
    df: flags.includes('nopmtudisc') ? 'clear' : LINUX_RULES.df,
    decapDscp: flags.includes('decap-dscp'),
  };
}
