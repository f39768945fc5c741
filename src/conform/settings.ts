/**
 * The SAs of a conformance test: one from the tester to the peer, one back, under keys from a seed.
 * @module
 */
import { InputError } from '../base/errors.ts';
import { mixSeed, xorshift32 } from '../base/rng.ts';
import { isAuthenticated } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Address } from '../wire/address.ts';
import { PORT_ESP } from '../wire/udp.ts';
import type { EchoHosts } from './reference.ts';
import { type SuiteOptions, throwAwaySuite } from './throw-away.ts';

export interface SettingsOptions extends SuiteOptions {
  readonly suite: string;
  readonly esn: boolean;
  /** Packets; left out, 64, or 0 where nothing authenticates. */
  readonly window?: number;
  readonly mode: 'tunnel' | 'transport';
  readonly udp: boolean;
  /** The tester and the peer, outside. */
  readonly src: Address;
  readonly dst: Address;
  /** Who pings whom through a tunnel. */
  readonly innerSrc: Address;
  readonly innerDst: Address;
}

export interface Settings {
  readonly sa: SaConfig;
  readonly back: SaConfig;
  readonly hosts: EchoHosts;
}

/** What RFC 4303 §3.4.3 prefers. */
const USUAL_WINDOW = 64;
/** The largest that Linux takes, in packets. */
export const MAX_WINDOW = 4096;

/**
 * Makes the SAs.
 * @throws {InputError} when they cannot be so
 * @throws {EsplaneError} `ERR_SUITE` or `ERR_KEY` when the suite does not take these lengths
 */
export function conformSettings(options: SettingsOptions): Settings {
  const { suite, esn, mode, udp, src, dst, innerSrc, innerDst, seed, ...lengths } = options;
  if (src.length !== dst.length) throw families('--src and --dst');
  if (innerSrc.length !== innerDst.length) throw families('--inner-src and --inner-dst');
  const keys = throwAwaySuite(suite, { ...lengths, seed });
  const window = options.window ?? (isAuthenticated(keys.suite) ? USUAL_WINDOW : 0);
  if (esn && window === 0)
    throw new InputError(
      { source: '--esn' },
      'ESN goes by the window, and there is none',
      'Give --window too.',
    );
  const next = xorshift32(mixSeed(seed, 5));
  const common = {
    mode,
    esn,
    replayWindow: window,
    reqid: 1,
    // A tunnel carries either version of IP.
    flags: mode === 'tunnel' ? ['af-unspec'] : [],
    ...(udp && { encap: { sport: PORT_ESP, dport: PORT_ESP } }),
    origin: 'conform',
  };
  return {
    sa: { ...common, src, dst, spi: spi(next), keys },
    back: {
      ...common,
      src: dst,
      dst: src,
      spi: spi(next),
      keys: throwAwaySuite(suite, { ...lengths, seed: mixSeed(seed, 6) }),
    },
    hosts: mode === 'tunnel' ? { src: innerSrc, dst: innerDst } : { src, dst },
  };
}

function families(what: string): InputError {
  return new InputError({ source: what }, 'one is IPv4, and the other IPv6', 'Give two of one kind.');
}

/** Above those that IANA reserves, and such that a flipped bit is none of the other SA: the top byte tells them apart. */
function spi(next: () => number): number {
  return (0x1000_0000 | (next() & 0x0fff_ffff)) >>> 0;
}
