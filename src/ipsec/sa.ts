/**
 * A security association at work: its configuration (RFC 4301 §4.4.2) with key handle, counters and window.
 *
 * Like a Linux `xfrm_state` it does not know whether it sends or receives; the node that sends uses
 * {@link SecurityAssociation.sequence}, the one that receives {@link SecurityAssociation.window}. One thread owns
 * it; others may read its statistics.
 *
 * What packets ask of it are words (`sa-words.ts`). Everything else is made of them, or of the configuration, when it is
 * asked for: a node holds thousands of SAs, makes them between packets, and most of them carry nothing.
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
import { IptfsReceiver } from './iptfs.ts';
import { isLimited, isTimed, isWatched, LifetimeCounter, noteAdded } from './lifetime.ts';
import {
  checkHeader,
  type HeaderRules,
  headerLength,
  LINUX_RULES,
  OuterHeader,
  writePlainHeader,
} from './outer-header.ts';
import { checkWindow, ReplayWindow, startWindow } from './replay.ts';
import type { Counted, SaConfig } from './sa-config.ts';
import type { SaRow } from './sa-row.ts';
import { FLAG, SaPlace, WORD } from './sa-words.ts';
import { isByAddress, SelectedPacket, type Selector } from './selector.ts';
import { lookAgain, OutboundSequence, startNumbers } from './sequence.ts';

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
  /** When it is added, in ms since the epoch of those who look at its limits in seconds; left out, when they first look. */
  readonly addedAt?: number;
  /** Where numbers and window are kept: they go on where the row stands. Not with {@link startAfter}. */
  readonly row?: SaRow;
}

export class SecurityAssociation implements SaPlace {
  readonly words: Int32Array;
  readonly at: number;
  readonly numbers: Int32Array;
  readonly numbersAt: number;
  readonly floats: Float64Array;
  readonly config: SaConfig;
  readonly rules: HeaderRules;
  #sequence: OutboundSequence | undefined;
  #window: ReplayWindow | undefined;
  #life: LifetimeCounter | undefined;
  #stats: Counted | undefined;
  #iptfs: IptfsReceiver | undefined;
  #outer: OuterHeader | undefined;
  #srcText: string | undefined;
  #dstText: string | undefined;

  /**
   * @throws {EsplaneError} `ERR_SUITE` when the engine does not have the suite
   * @throws {RangeError} when the window's size is impossible
   */
  constructor(config: SaConfig, engine: Engine, options: SaOptions) {
    const { continues: old, row, startAfter, addedAt } = options;
    const { src, dst, replayWindow, esn, keys, encap } = config;
    const rules = options.rules ?? rulesOf(config.flags);
    checkWindow(replayWindow, esn);
    checkHeader(src, dst, rules);
    const { words, at, numbers, numbersAt, floats } = old ?? new SaPlace(replayWindow, row);
    this.words = words;
    this.at = at;
    this.numbers = numbers;
    this.numbersAt = numbersAt;
    this.floats = floats;
    this.config = config;
    this.rules = rules;
    if (row) lookAgain(row);
    else if (!old) startNumbers(numbers, numbersAt, esn, startAfter?.hi ?? 0, startAfter?.lo ?? 0);
    if (old) {
      this.#stats = old.stats;
      this.#iptfs = old.#iptfs;
      if (this.#iptfs) this.#iptfs.takes = takesOf(config);
    } else {
      startWindow(this, replayWindow);
      const ivSalt = options.ivSalt ?? MADE;
      if (!options.ivSalt) options.random(MADE);
      words[at + WORD.NET_IV_HI] = netWord(i32(ivSalt, 0));
      words[at + WORD.NET_IV_LO] = netWord(i32(ivSalt, 4));
      MADE.fill(0);
      words[at + WORD.KEY] = engine.addKey(keys);
      if (addedAt !== undefined) noteAdded(this, addedAt);
    }
    const espLen = esp.HEADER_LEN + keys.suite.ivLen;
    const isTunnel = config.mode !== 'transport';
    words[at + WORD.NET_SPI] = netWord(config.spi);
    words[at + WORD.NET_SALT] = netWord(keys.saltWord());
    const before = espLen + (isTunnel ? headerLength(dst, encap) : encap ? udp.HEADER_LEN : 0);
    const behind = esp.TRAILER_LEN + keys.suite.icvLen;
    words[at + WORD.LENGTHS] = before | (behind << 8) | (0xffff << 16);
    const isReserved = row !== undefined || (old?.has(FLAG.RESERVED) ?? false);
    words[at + WORD.FLAGS] =
      flagsOf(config, rules) |
      writePlainHeader(words, at, src, dst, rules, encap) |
      (isReserved ? FLAG.RESERVED : 0);
  }

  /** Has it one of these {@link FLAG}s? */
  has(flags: number): boolean {
    return (this.words[this.at + WORD.FLAGS]! & flags) !== 0;
  }

  #set(flag: number, is: boolean): void {
    if (is) this.words[this.at + WORD.FLAGS]! |= flag;
    else this.words[this.at + WORD.FLAGS]! &= ~flag;
  }

  get suite(): Suite {
    return this.config.keys.suite;
  }

  /** Handle of the key in the engine that made this SA. */
  get key(): number {
    return this.words[this.at + WORD.KEY]!;
  }

  get sequence(): OutboundSequence {
    if (!this.#sequence) {
      const row = { words: this.numbers, at: this.numbersAt };
      this.#sequence = new OutboundSequence(this.esn, 0, 0, row, this.has(FLAG.RESERVED));
    }
    return this.#sequence;
  }

  get window(): ReplayWindow {
    this.#window ??= new ReplayWindow(this.words[this.at + WORD.WINDOW]!, this.esn, this);
    return this.#window;
  }

  get life(): LifetimeCounter {
    this.#life ??= new LifetimeCounter(this.config.lifetime ?? {}, this);
    return this.#life;
  }

  get stats(): Counted {
    this.#stats ??= { replayWindow: 0, replay: 0, failed: 0 };
    return this.#stats;
  }

  /** What puts its inner packets together, in IP-TFS. */
  get iptfs(): IptfsReceiver {
    this.#iptfs ??= new IptfsReceiver(this.config.iptfs, takesOf(this.config));
    return this.#iptfs;
  }

  get outer(): OuterHeader {
    const { src, dst, encap } = this.config;
    this.#outer ??= new OuterHeader(src, dst, this.rules, encap);
    return this.#outer;
  }

  /** False while the SA is being deleted: inbound packets are then XfrmInStateInvalid. */
  get valid(): boolean {
    return !this.has(FLAG.INVALID);
  }

  set valid(is: boolean) {
    this.#set(FLAG.INVALID, !is);
  }

  /** True once a hard limit was met: Linux deletes the SA then, and no packet finds it any more. */
  get gone(): boolean {
    return this.has(FLAG.GONE);
  }

  set gone(is: boolean) {
    this.#set(FLAG.GONE, is);
  }

  /** Largest whole outer packet that the path takes, in bytes; 65535 is as good as more. */
  get pathMtu(): number {
    return this.words[this.at + WORD.LENGTHS]! >>> 16;
  }

  set pathMtu(mtu: number) {
    const lengths = this.at + WORD.LENGTHS;
    this.words[lengths] = (this.words[lengths]! & 0xffff) | (Math.min(mtu, 0xffff) << 16);
  }

  /** Was a soft limit reached? Linux then prefers any other SA that fits. */
  get isDying(): boolean {
    return this.has(FLAG.WATCHED | FLAG.TIMED) && this.life.dying;
  }

  get esn(): boolean {
    return this.has(FLAG.ESN);
  }

  get icvLen(): number {
    return this.suite.icvLen;
  }

  get isTunnel(): boolean {
    return this.has(FLAG.TUNNEL);
  }

  /** ESP header and IV, in bytes. */
  get espLen(): number {
    return esp.HEADER_LEN + this.suite.ivLen;
  }

  /** What goes before the inner packet (tunnel mode) or between its headers (transport mode), in bytes. */
  get before(): number {
    return this.words[this.at + WORD.LENGTHS]! & 0xff;
  }

  /** One less than what text is padded to a multiple of. */
  get padMask(): number {
    return this.suite.align - 1;
  }

  /** SPI, and the key's salt, as words in network order (`netWord`). */
  get netSpi(): number {
    return this.words[this.at + WORD.NET_SPI]!;
  }

  get netSalt(): number {
    return this.words[this.at + WORD.NET_SALT]!;
  }

  /**
   * XORed with the sequence number it gives the IV, as Linux's seqiv does: unique because the number is, and
   * without telling how many packets were sent before. A copy.
   */
  get ivSalt(): Uint8Array {
    const ivSalt = new Uint8Array(8);
    putU32(ivSalt, 0, netWord(this.words[this.at + WORD.NET_IV_HI]!));
    putU32(ivSalt, 4, netWord(this.words[this.at + WORD.NET_IV_LO]!));
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

/** What follows from the configuration. */
function flagsOf(
  { keys, mode, esn, encap, selector, lifetime = {}, direction, unstated }: SaConfig,
  rules: HeaderRules,
): number {
  const { suite } = keys;
  const flags =
    (esn ? FLAG.ESN : 0) |
    (mode === 'transport' ? 0 : FLAG.TUNNEL) |
    (mode === 'iptfs' ? FLAG.IPTFS : 0) |
    (encap ? FLAG.ENCAP : 0) |
    (suite.saltLen > 0 ? FLAG.NONCE : 0) |
    (isWatched(lifetime) ? FLAG.WATCHED : 0) |
    (isLimited(lifetime) ? FLAG.LIMITED : 0) |
    (isTimed(lifetime) ? FLAG.TIMED : 0) |
    (coversAll(selector, ipv4.ADDRESS_LEN) ? FLAG.SENDS_V4 : 0) |
    (coversAll(selector, ipv6.ADDRESS_LEN) ? FLAG.SENDS_V6 : 0) |
    (!selector || coversBoth(selector) ? FLAG.TAKES_ALL : 0) |
    (rules.decapDscp ? FLAG.DECAP_DSCP : 0) |
    (direction === 'out' ? FLAG.SENDS_ONLY : 0) |
    (unstated?.mode ? FLAG.MODE_OPEN : 0) |
    (unstated?.encap ? FLAG.ENCAP_OPEN : 0);
  const open = FLAG.MODE_OPEN | FLAG.ENCAP_OPEN | FLAG.WATCHED | FLAG.IPTFS;
  const isPlain = (flags & (FLAG.TUNNEL | FLAG.NONCE | open)) === (FLAG.TUNNEL | FLAG.NONCE);
  const isAead = suite.ivLen === 8 && suite.align === 4 && !suite.unchecked;
  return isPlain && isAead ? flags | FLAG.USUAL : flags;
}

/** Of an SA in IP-TFS: does its selector let an inner packet in? */
function takesOf({ selector }: SaConfig): (packet: Uint8Array) => boolean {
  const inner = new SelectedPacket();
  return (packet) => !selector || inner.look(packet, 0).isIn(selector, true);
}

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
  // One object for nearly all SAs.
  if (flags.length === 0) return LINUX_RULES;
  return {
    ...LINUX_RULES,
    dscp: flags.includes('dont-encap-dscp') ? 0 : LINUX_RULES.dscp,
    ecn: flags.includes('noecn') ? 'clear' : LINUX_RULES.ecn,
    df: flags.includes('nopmtudisc') ? 'clear' : LINUX_RULES.df,
    decapDscp: flags.includes('decap-dscp'),
  };
}
