/**
 * `--crypto`: which cipher backend does the work.
 * @module
 */
import { type Command, Option } from 'commander';
import type { Engine } from '../crypto/engine.ts';
import { NobleEngine } from '../crypto/noble.ts';
import { NodeEngine } from '../crypto/node.ts';

const ENGINES = { node: () => new NodeEngine(), noble: () => new NobleEngine() } as const;

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
export function makeEngine(name: EngineName): Engine {
  return ENGINES[name]();
}
