/**
 * Loads the native addon, and says why it cannot where it cannot. Everything else in the house works without it.
 *
 * Its functions follow one convention: numbers and `Uint8Array`s in, a number out, negative for `-errno`. They do
 * not throw; {@link check} in `system-error.ts` turns a failure into an error with a remedy.
 * @module
 */
import { createRequire } from 'node:module';
import { EsplaneError } from '../base/errors.ts';
import type { CipherFunctions } from './cipher.ts';
import type { MonitorFunctions } from './monitor.ts';
import type { PacketFunctions } from './packet.ts';
import type { SocketFunctions } from './socket.ts';
import type { StateFunctions } from './state.ts';
import type { SystemFunctions } from './system.ts';
import type { TunFunctions } from './tun.ts';

/** All that the addon exports. Every file of `native/src` has its part of this type here beside. */
export type Addon = { readonly abi: number } & SystemFunctions &
  CipherFunctions &
  TunFunctions &
  SocketFunctions &
  PacketFunctions &
  MonitorFunctions &
  StateFunctions;

/** What this code calls: `ABI` in `native/src/addon.cc`. Raise both with every change of what crosses. */
export const ABI = 6;

let loaded: Addon | undefined;

/**
 * The addon.
 * @throws {EsplaneError} `ERR_NO_ADDON` when it was not built or cannot be loaded
 */
export function addon(): Addon {
  loaded ??= loadAddon(() => createRequire(import.meta.url)('../../native/build/Release/esplane.node'));
  return loaded;
}

/**
 * What `load` returns, if it is an addon that this code can call.
 * @throws {EsplaneError} `ERR_NO_ADDON`, in one line with a remedy
 */
export function loadAddon(load: () => unknown): Addon {
  let found: Partial<Addon>;
  try {
    found = load() as Partial<Addon>;
  } catch (error) {
    throw new EsplaneError('ERR_NO_ADDON', `the native addon is not there: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  if (found.abi !== ABI) {
    const which = found.abi === undefined ? 'has no version' : `is version ${found.abi}`;
    throw new EsplaneError(
      'ERR_NO_ADDON',
      `the native addon was built from other sources: it ${which}, this is version ${ABI}. Build it anew: npm run build:addon`,
    );
  }
  return found as Addon;
}

/** Why the addon cannot be loaded; `undefined` when it can. */
export function addonProblem(): string | undefined {
  try {
    addon();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'MODULE_NOT_FOUND')
    return 'it was not built. apt-get install g++ make python3 libipsec-mb-dev libgcrypt20-dev, then npm run build:addon';
  return `${message.split('\n')[0]}. Build it anew: npm run build:addon`;
}
