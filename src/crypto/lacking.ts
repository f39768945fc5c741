/**
 * Which suites an engine has.
 * @module
 */
import { EsplaneError } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import type { KeyMaterial } from './suite.ts';

/**
 * Asks an engine about suites, about each once.
 * @returns says why a key cannot be used, with what to do; `undefined` where it can
 */
export function suiteCheck(engine: Engine): (material: KeyMaterial) => string | undefined {
  const known = new Map<string, string | undefined>();
  return (material) => {
    const { name, keyLen } = material.suite;
    const suite = `${name} ${keyLen}`;
    if (!known.has(suite)) known.set(suite, problemOf(engine, material));
    return known.get(suite);
  };
}

function problemOf(engine: Engine, material: KeyMaterial): string | undefined {
  try {
    engine.removeKey(engine.addKey(material));
    return undefined;
  } catch (error) {
    if (error instanceof EsplaneError && error.code === 'ERR_SUITE') return error.message;
    throw error;
  }
}
