/**
 * Which Cilium: the few versions at which its IPsec changed.
 *
 * | from | what changed |
 * |---|---|
 * | 1.13.13, 1.14.9, 1.15.3 | `+` after the key id: a key of its own for every tunnel, ESN, replay window 1024 |
 * | 1.15 | one inbound SA per peer in every patch release; marks are cleared whole after xfrm |
 * | 1.17 | every key is per tunnel, with or without `+`; the key id is mandatory |
 * | 1.18 | overlay packets are encrypted between node addresses (VXLAN in ESP); a rotation keeps the key length; further pools have policies in tunnel mode |
 * | 1.19 | strict mode has new names; further pools have policies in native routing; no rule for what is to be encrypted |
 * | 1.20 | white space in the keys file; a random wait before a rotation, which goes on over a restart; strict mode's old names are gone |
 * @module
 */
import { InputError } from '../base/errors.ts';

export interface CiliumVersion {
  readonly minor: number;
  /** Absent when only `1.20` was said: then the newest patch release is meant. */
  readonly patch?: number;
}

/** The default. */
export const DEFAULT_VERSION: CiliumVersion = { minor: 20 };

/** The oldest minor release whose behaviour is known here. */
const OLDEST_MINOR = 13;

/** The newest minor release whose behaviour is known here. */
const NEWEST_MINOR = 20;

/** First patch release with per-tunnel keys, by minor release (CVE-2024-28860). */
const PER_TUNNEL_SINCE: Readonly<Record<number, number>> = { 13: 13, 14: 9, 15: 3 };

/**
 * Reads `1.20`, `v1.17.3` or `1.20.0-rc.1`.
 * @throws {InputError} when it is no version, or one that is older than 1.13
 */
export function parseVersion(text: string, source = '--cilium'): CiliumVersion {
  const match = /^v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?:[-+][0-9A-Za-z.+-]*)?$/.exec(text.trim());
  if (!match) {
    throw new InputError({ source }, 'this is no Cilium version', 'Give one as 1.20 or v1.17.3.');
  }
  const [, major, minor, patch] = match;
  if (Number(major) !== 1 || Number(minor) < OLDEST_MINOR) {
    throw new InputError(
      { source },
      `Cilium ${Number(major)}.${Number(minor)} is not known here`,
      `Give a version from 1.${OLDEST_MINOR} on, such as 1.${DEFAULT_VERSION.minor}.`,
    );
  }
  return patch === undefined ? { minor: Number(minor) } : { minor: Number(minor), patch: Number(patch) };
}

/** What to say of a version that is newer than all that are known here; `undefined` for others. */
export function newerThanKnown(version: CiliumVersion): string | undefined {
  if (version.minor <= NEWEST_MINOR) return undefined;
  return `Cilium ${formatVersion(version)} is newer than 1.${NEWEST_MINOR}, the newest that esplane knows, and is taken for that`;
}

/** The version as text: `1.20`, `1.17.3`. */
export function formatVersion({ minor, patch }: CiliumVersion): string {
  return patch === undefined ? `1.${minor}` : `1.${minor}.${patch}`;
}

/** Is this release 1.`minor` or newer? */
export function isAtLeast(version: CiliumVersion, minor: number): boolean {
  return version.minor >= minor;
}

/** Does this release understand `+` after the key id, or need it no more? */
export function hasPerTunnelKeys({ minor, patch = Number.POSITIVE_INFINITY }: CiliumVersion): boolean {
  return patch >= (PER_TUNNEL_SINCE[minor] ?? 0);
}
