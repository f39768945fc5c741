/**
 * `--crypto`: which cipher backend does the work.
 * @module
 */
import { type Command, Option } from 'commander';
import type { Engine } from '../crypto/engine.ts';

const ENGINES = {
  node: async () => new (await import('../crypto/node.ts')).NodeEngine(),
  noble: async () => new (await import('../crypto/noble.ts')).NobleEngine(),
} as const satisfies Record<string, () => Promise<Engine>>;

export type EngineName = keyof typeof ENGINES;

/** Adds `--crypto` to a command. */
export function addEngineOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--crypto <engine>',
      'cipher backend: node is OpenSSL by way of node:crypto, noble is JavaScript',
    )
      .choices(Object.keys(ENGINES))
      .default('node'),
  );
}

/** Makes the backend. */
export function makeEngine(name: EngineName): Promise<Engine> {
  return ENGINES[name]();
}
