#!/usr/bin/env node
/**
 * The `esplane` command. Exit status: 0 done, 1 the answer is "no" where a command says so, 2 unusable input or
 * usage.
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { EsplaneError } from '../base/errors.ts';
import { decryptCommand } from './decrypt.ts';
import { keysCommand } from './keys.ts';
import { sasCommand } from './sas.ts';

const EXIT_INPUT = 2;

function makeProgram(): Command {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const program = new Command('esplane')
    .description("Userspace IPsec/ESP: decrypt, check and simulate Cilium's transparent encryption.")
    .version(version)
    .showHelpAfterError('(esplane COMMAND --help shows how)')
    .exitOverride();
  decryptCommand(program);
  sasCommand(program);
  keysCommand(program);
  return program;
}

async function main(): Promise<void> {
  try {
    await makeProgram().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has said what is wrong; --help and --version come this way too, with 0.
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_INPUT;
    } else if (error instanceof EsplaneError) {
      process.stderr.write(`esplane: ${error.message}\n`);
      process.exitCode = EXIT_INPUT;
    } else throw error;
  }
}

await main();
