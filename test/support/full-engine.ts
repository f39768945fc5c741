/**
 * An engine that has every algorithm, where the addon is built.
 * @module
 */
import type { Engine } from '../../src/crypto/engine.ts';
import { NativeEngine, nativeProblem } from '../../src/crypto/native.ts';
import { NodeEngine } from '../../src/crypto/node.ts';

export const HAS_ADDON = nativeProblem('openssl') === undefined;

export function fullEngine(): Engine {
  return HAS_ADDON ? new NativeEngine('openssl') : new NodeEngine();
}
