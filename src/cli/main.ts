#!/usr/bin/env node
/**
 * The `esplane` command. Exit status: 0 done, 1 the answer is "no" where a command says so, 2 unusable input or
 * usage, 3 `check` could not judge.
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { EsplaneError } from '../base/errors.ts';
import { exitIfHanging } from './hard-exit.ts';
import { guardStreams, say, stdoutFailed } from './output.ts';

const EXIT_INPUT = 2;

/** How each command adds itself, in the order of the help text. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  decrypt: async () => (await import('./decrypt.ts')).decryptCommand,
  capture: async () => (await import('./capture.ts')).captureCommand,
  diagnose: async () => (await import('./diagnose.ts')).diagnoseCommand,
  check: async () => (await import('./check.ts')).checkCommand,
  explain: async () => (await import('./explain.ts')).explainCommand,
  sas: async () => (await import('./sas.ts')).sasCommand,
  xfrm: async () => (await import('./xfrm.ts')).xfrmCommand,
  keys: async () => (await import('./keys.ts')).keysCommand,
  run: async () => (await import('./run.ts')).runCommand,
  node: async () => (await import('./node.ts')).nodeCommand,
  status: async () => (await import('./status.ts')).statusCommand,
  conform: async () => (await import('./conform.ts')).conformCommand,
  demo: async () => (await import('./demo.ts')).demoCommand,
  lab: async () => (await import('./lab.ts')).labCommand,
  extcap: async () => (await import('./extcap.ts')).extcapCommand,
  suites: async () => (await import('./suites.ts')).suitesCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
};

/** @param wanted the command that will run: the others are then not loaded, which saves most of the start */
async function makeProgram(wanted: string | undefined): Promise<Command> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const program = new Command('esplane')
    .description("Userspace IPsec/ESP: decrypt, check and simulate Cilium's transparent encryption.")
    .version(version)
    .showHelpAfterError('(esplane COMMAND --help shows how)')
    .exitOverride();
  const one = wanted !== undefined && Object.hasOwn(COMMANDS, wanted) ? COMMANDS[wanted] : undefined;
  for (const load of one ? [one] : Object.values(COMMANDS)) (await load())(program);
  return program;
}

async function main(): Promise<void> {
  guardStreams();
  try {
    const program = await makeProgram(process.argv[2]);
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has said what is wrong; --help and --version come this way too, with 0.
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_INPUT;
    } else if (error instanceof EsplaneError) {
      say(`esplane: ${error.message}`);
      process.exitCode = EXIT_INPUT;
    } else if ((error as NodeJS.ErrnoException).syscall === 'write') {
      // Help that a full disk did not take. All else catches this where it happens.
      stdoutFailed(error);
    } else throw error;
  }
}

await main();
exitIfHanging();
