/**
 * What an SA does for one ESP packet: how it was found, what its window said, nonce, additional data, verdict.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { authencNames } from '../../crypto/suite.ts';
import { dropRow } from '../../ipsec/drop.ts';
import type { ReplayWindow } from '../../ipsec/replay.ts';
import type { SecurityAssociation } from '../../ipsec/sa.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { HIDDEN_KEY } from '../../sa-text/show-keys.ts';
import { formatAddress, isAny } from '../../wire/address.ts';
import { PASS } from '../../wire/packet.ts';
import { seqText } from '../decrypt-json.ts';
import { modeOf } from '../infer.ts';

/** The replay window at one moment (RFC 4303 §3.4.3). Numbers are decimal text: they have up to 64 bits. */
export interface WindowState {
  /** Highest number that has verified; 0 in a new window. */
  readonly top: string;
  /** Lowest number that may still come. */
  readonly bottom: string;
  /** Numbers in the window that have come, in ascending runs: `37-41`, `43`. */
  readonly seen: readonly string[];
}

export interface EspSecurity {
  /** The SA that was used; null where there is none. */
  readonly sa: {
    readonly origin: string;
    readonly src: string;
    readonly dst: string;
    readonly spi: number;
    /** Null where neither its source nor the packet tells. */
    readonly mode: SaConfig['mode'] | null;
    readonly suite: string;
    readonly icvBits: number;
    readonly esn: boolean;
    readonly replayWindow: number;
    readonly reqid: number;
  } | null;
  /** How it was found, or why not, in a sentence. */
  readonly lookup: string;
  /** Null where not even SPI and number are there. */
  readonly sequence: {
    /** What is on the wire. */
    readonly low: number;
    /** Under ESN, the half that is not, as the receiver infers it; null where nothing could be inferred. */
    readonly high: number | null;
    /** Both together, in decimal. */
    readonly full: string;
    /** Where the high half comes from. */
    readonly how: string;
  } | null;
  readonly window: {
    /** Numbers; 0 is off. */
    readonly size: number;
    readonly esn: boolean;
    readonly before: WindowState;
    readonly after: WindowState;
    /** The capture, or this packet, is all that is known: the window begins here. */
    readonly isFirst: boolean;
    readonly how: string;
  } | null;
  /** Salt ‖ IV, hexadecimal; null for suites without. */
  readonly nonce: { readonly salt: string; readonly iv: string } | null;
  /** Additional authenticated data, hexadecimal; null without an SA. */
  readonly aad: {
    readonly bytes: string;
    readonly parts: readonly { readonly label: string; readonly bytes: string }[];
  } | null;
  /** Null where it was not tried, or there is none to try. */
  readonly icvOk: boolean | null;
  /** Does an ICV vouch for what was opened? Null where nothing was. */
  readonly authenticated: boolean | null;
  /** What the receiving kernel does; null where no SAs were given, so that nothing can be said. */
  readonly verdict: 'ok' | 'drop' | 'unopened' | null;
  /** Whether the receiver's own text says which SA it has; null with {@link verdict}. */
  readonly basis: 'told' | 'assumed' | null;
  /** Origin of the SA that opened it, where that is not the receiver's own. */
  readonly openedBy: string | null;
  readonly reason: string | null;
  /** Row of `/proc/net/xfrm_stat`. */
  readonly counter: string | null;
  readonly rule: string | null;
  /** Where to look first when it is dropped. */
  readonly look: string | null;
  /** Why the text could not be opened. */
  readonly problem?: string;
}

/** What `security` is made from. */
export interface EspFacts {
  readonly src: string;
  readonly dst: string;
  readonly sa: SecurityAssociation | undefined;
  readonly candidates: readonly SaConfig[];
  /** Were any SAs given? */
  readonly hasSources: boolean;
  readonly spi: number | undefined;
  readonly seqLo: number;
  /** High half that was tried. */
  readonly high: number;
  /** The number as the verdict names it. */
  readonly seqHi: number;
  readonly before: WindowState | undefined;
  readonly isFirst: boolean;
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly icvOk: boolean | null;
  /** What was opened. */
  readonly text: Uint8Array | undefined;
  readonly verdict: number;
  readonly isUnopened: boolean;
  readonly basis: 'told' | 'assumed';
  readonly openedBy: string | undefined;
  /** Where the receiver's text has the SA, whose key is not at hand. */
  readonly hiddenAt: string | undefined;
  readonly showKeys: boolean;
}

/** Puts the facts into words. */
export function describeSecurity(facts: EspFacts): EspSecurity {
  const { sa, spi, seqLo, high, hasSources, verdict, icvOk, text } = facts;
  const known = verdict === PASS ? undefined : dropRow(verdict);
  const says = hasSources || spi === undefined;
  return {
    sa: sa ? saOf(sa.config, text) : null,
    lookup: lookup(facts),
    sequence:
      spi === undefined
        ? null
        : {
            low: seqLo,
            high: sa?.config.esn ? high : null,
            full: seqText(facts.seqHi, seqLo),
            how: howHigh(facts),
          },
    window: windowOf(facts),
    nonce: nonceOf(facts),
    aad: aadOf(facts),
    icvOk,
    authenticated: text ? icvOk === true : null,
    verdict: says ? (verdict === PASS ? 'ok' : facts.isUnopened ? 'unopened' : 'drop') : null,
    basis: says ? facts.basis : null,
    openedBy: facts.openedBy ?? null,
    reason: says ? (known?.reason ?? null) : null,
    counter: says && !facts.isUnopened ? (known?.counter ?? null) : null,
    rule: says ? (known?.rule ?? null) : null,
    look: says ? (known?.look ?? null) : null,
    ...(icvOk === false && { problem: 'not opened: the ICV is wrong under this SA' }),
    ...(icvOk === null && !text && known && { problem: `not opened: ${known.reason}` }),
  };
}

/** The state of a window. */
export function windowState(window: ReplayWindow): WindowState {
  const { size, topHi, topLo, esn } = window;
  const top = BigInt(topHi) * U32 + BigInt(topLo);
  const lowest = top - BigInt(Math.max(size, 1)) + 1n;
  const bottom = lowest > 1n ? lowest : 1n;
  const seen: string[] = [];
  // Counted down from the top: a window has up to 2^20 numbers, and this runs twice for each packet that is explained.
  const back = (k: number) => String(top - BigInt(k));
  let from = -1;
  const close = (next: number) => {
    if (from >= 0) seen.push(from === next + 1 ? back(from) : `${back(from)}-${back(next + 1)}`);
    from = -1;
  };
  for (let k = (topHi > 0 ? size : Math.min(size, topLo)) - 1; k >= 0; k--) {
    const hi = !esn ? 0 : k > topLo ? topHi - 1 : topHi;
    if (window.check(hi, (topLo - k) >>> 0) === PASS) close(k);
    else if (from < 0) from = k;
  }
  close(-1);
  return { top: String(top), bottom: String(size === 0 ? 0n : bottom), seen };
}

const U32 = 2n ** 32n;

function saOf(config: SaConfig, text: Uint8Array | undefined): NonNullable<EspSecurity['sa']> {
  const { suite } = config.keys;
  return {
    origin: config.origin,
    src: formatAddress(config.src),
    dst: formatAddress(config.dst),
    spi: config.spi,
    mode: modeOf(config, text),
    suite: suite.name,
    icvBits: suite.icvLen * 8,
    esn: config.esn,
    replayWindow: config.replayWindow,
    reqid: config.reqid,
  };
}

function lookup({ sa, candidates, src, dst, spi, hasSources, hiddenAt, icvOk, text }: EspFacts): string {
  if (spi === undefined) return 'There are no eight bytes of SPI and sequence number.';
  const to = `destination ${dst}, SPI 0x${spi.toString(16).padStart(8, '0')}`;
  const from = `source ${src}`;
  if (!hasSources) return `An SA for ${to} and ${from} is wanted; no source of SAs was given.`;
  if (!sa && hiddenAt !== undefined)
    return `Found by ${to}: ${hiddenAt}. Its text does not show the key, and no key at hand is known to be it.`;
  if (!sa) return `No SA has ${to} and ${from}.`;
  const others = candidates.length - 1;
  const by = `Found by ${to} and ${isAny(sa.config.src) ? 'any source' : from}: ${sa.config.origin}.`;
  const why =
    others <= 0
      ? ''
      : text && !icvOk
        ? ` The sources know ${candidates.length} SAs for it; this one opens it, and no ICV vouches for that.`
        : icvOk
          ? ` Of ${candidates.length} SAs that the sources know for it, this is the one that the ICV is right with.`
          : ` The sources know ${candidates.length} SAs for it; the ICV is right with none.`;
  return `${by}${why}`;
}

function howHigh({ sa, high, seqLo, before, isFirst, icvOk }: EspFacts): string {
  if (!sa) return 'What is on the wire; whether there is a high half, only the SA says.';
  if (!sa.config.esn) return 'Without ESN all of it is on the wire.';
  if (isFirst && icvOk)
    return `The first packet of its stream: the high half ${high} was found by trying, the ICV is right with it.`;
  if (isFirst) return 'The first packet of its stream, and no high half makes the ICV right.';
  if (high === 0xffff_ffff)
    return `The window ends at ${before?.top}, so ${seqLo} reads as a number below zero: the high half wraps, and the ICV fails.`;
  return `The window ends at ${before?.top}; the number nearest to it with ${seqLo} as its low half has ${high} as its high half (RFC 4303 §A2.2).`;
}

function windowOf({ sa, before, isFirst, verdict }: EspFacts): EspSecurity['window'] {
  if (!sa || !before) return null;
  const { window } = sa;
  const after = windowState(window);
  let how: string;
  if (sa.suite.unchecked) how = 'There is none: where no ICV is checked any number may be forged.';
  else if (window.size === 0) how = 'The window is off: replays are not noticed, as in Cilium without ESN.';
  else if (verdict === PASS && after.top !== before.top)
    how = `The number is new and above ${before.top}: the window moves.`;
  else if (verdict === PASS) how = 'The number is inside the window and new: it is marked.';
  else if (after.top !== before.top)
    how = 'The packet is dropped, but it was authentic: the window has moved.';
  else how = 'The packet is dropped and the window stays as it was.';
  if (isFirst && window.size > 0)
    how += ' The window starts with this packet: what came before is not known.';
  return { size: window.size, esn: window.esn, before, after, isFirst, how };
}

function nonceOf({ sa, iv, showKeys }: EspFacts): EspSecurity['nonce'] {
  const salt = sa?.config.keys.salt();
  if (!salt || salt.length === 0 || iv.length === 0) return null;
  return { salt: showKeys ? toHex(salt) : HIDDEN_KEY, iv: toHex(iv) };
}

function aadOf({ sa, aad }: EspFacts): EspSecurity['aad'] {
  if (!sa || sa.suite.icvLen === 0 || aad.length === 0) return null;
  // Encrypt-then-MAC: the MAC runs over the packet as it lies, and the high half comes last.
  if (authencNames(sa.suite)) return null;
  const part = (label: string, at: number) => ({ label, bytes: toHex(aad, at, at + 4) });
  const parts =
    aad.length === 12
      ? [part('SPI', 0), part('high half', 4), part('low half', 8)]
      : [part('SPI', 0), part('sequence number', 4)];
  return { bytes: toHex(aad), parts };
}
