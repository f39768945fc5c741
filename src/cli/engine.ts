/**
 * `--crypto`: which cipher backend does the work.
 * @module
 */
import { type Command, Option } from 'commander';
import { InputError } from '../base/errors.ts';
import type { Engine } from '../crypto/engine.ts';
import type { NativeName } from '../crypto/native.ts';

const ENGINES = {
  'ipsec-mb': () => native('ipsec-mb'),
  openssl: () => native('openssl'),
  node: async () => new (await import('../crypto/node.ts')).NodeEngine(),
  noble: async () => new (await import('../crypto/noble.ts')).NobleEngine(),
} as const satisfies Record<string, () => Promise<Engine>>;

export const ENGINE_NAMES = ['auto', ...Object.keys(ENGINES)] as readonly EngineName[];

export type EngineName = keyof typeof ENGINES | 'auto';

/** Adds `--crypto` to a command. */
export function addEngineOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--crypto <engine>',
      'cipher backend: ipsec-mb and openssl are in the addon, node is OpenSSL by way of node:crypto, noble is JavaScript; auto is the quickest that is here',
    )
      .choices(ENGINE_NAMES)
      .default('auto'),
  );
}

/**
 * Makes the backend.
 * @throws {InputError} when the one that was asked for cannot be had here
 */
export async function makeEngine(name: EngineName): Promise<Engine> {
  if (name !== 'auto') return ENGINES[name]();
  const { nativeProblem } = await import('../crypto/native.ts');
  if (nativeProblem('ipsec-mb') === undefined) return ENGINES['ipsec-mb']();
  if (nativeProblem('openssl') === undefined) return ENGINES.openssl();
  return ENGINES.node();
}

async function native(name: NativeName): Promise<Engine> {
  const { NativeEngine, nativeProblem } = await import('../crypto/native.ts');
  const problem = nativeProblem(name);
  if (problem !== undefined)
    throw new InputError({ source: `--crypto ${name}` }, problem, 'Or leave --crypto out.');
  return new NativeEngine(name);
}
