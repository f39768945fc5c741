/**
 * `esplane conform`: esplane as a test for other implementations of ESP: frames with the verdict that a Linux kernel gives
 * each, and what another one makes of them.
 * @module
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { grouped } from '../base/count-text.ts';
import { secureBytes } from '../base/rng.ts';
import { writeConform } from '../conform/folder.ts';
import { makeConform } from '../conform/make.ts';
import { conformSettings, MAX_WINDOW } from '../conform/settings.ts';
import { type Address, parseAddress } from '../wire/address.ts';
import { addJudge } from './conform-judge.ts';
import type { RunOptions } from './conform-run.ts';
import { addEngineOption, type EngineName, makeEngine } from './engine.ts';
import { printLine } from './output.ts';
import { OutputFile, outputError } from './output-file.ts';
import { collect } from './sa-options.ts';

const MAKE_EXAMPLE = `
Examples:
  $ esplane conform make --suite 'rfc4106(gcm(aes))' --esn -o gcm-esn
  $ esplane conform make --suite 'hmac(sha1)+cbc(des3_ede)' --mode transport --udp --seed 7 -o 3des

The same options give the same bytes. A suite is one of esplane suites: an AEAD, or INTEGRITY+ENCRYPTION; of a half alone
the other is hmac(sha256) or cbc(aes). The keys are throw-away keys, made from the seed.

The folder holds wire.pcapng, verdicts.jsonl (for each frame what is to become of it, and the sentence that says so), the
SA as commands of ip xfrm, esp_sa and JSON, a configuration for conform run, and a README.md that says how to use it.`;

const RUN_EXAMPLE = `
Examples:
  $ esplane conform run --config gcm-esn/node.yaml --xfrm-stat-command 'ssh peer cat /proc/net/xfrm_stat'
  $ esplane conform run --config node.yaml --target 10.244.2.1 --frames 1000 --seed 7

Both ends hold a new SA (peer.sh of conform make sets up a Linux one), and no other node runs here. It needs root, and the
addon. Frames are sent one by one; the peer answers the echo request in each that it accepts. Without the counters a drop and
an answer that was lost look alike.

Ctrl-C ends it with what was seen until then.

Exit status: 0 all is as expected, 1 something differs, 2 unusable input, or a peer that answers nothing.`;

const EXAMPLE = `
Examples:
  $ esplane conform make --suite 'rfc4106(gcm(aes))' --esn -o gcm-esn
  $ esplane conform run --config gcm-esn/node.yaml
  $ esplane conform judge gcm-esn --replies replies.pcapng`;

/** `--skip`. */
const SKIP = [
  '--skip <behaviour>',
  'leave out, by its name in the ledger: one that ends the peer (repeatable)',
  collect,
  [] as readonly string[],
] as const;

interface MakeOptions {
  readonly suite: string;
  readonly keyBits?: number;
  readonly icvBits?: number;
  readonly esn?: boolean;
  readonly window?: number;
  readonly mode: 'tunnel' | 'transport';
  readonly udp?: boolean;
  readonly src: Address;
  readonly dst: Address;
  readonly innerSrc: Address;
  readonly innerDst: Address;
  readonly frames: number;
  readonly seed: number;
  readonly skip: readonly string[];
  readonly output: string;
  readonly crypto: EngineName;
}

/** Adds the command. */
export function conformCommand(program: Command): void {
  const conform = program
    .command('conform')
    .description('Test another implementation of ESP: frames, each with the verdict that Linux gives it.')
    .addHelpText('after', EXAMPLE);
  const make = conform
    .command('make')
    .description('Write frames, their verdicts and the SA into a folder.')
    .requiredOption('--suite <name>', 'what encrypts and authenticates, as esplane suites names it')
    .option(
      '--key-bits <n>',
      'length of the cipher key (default: 128 where the cipher has that)',
      wholeNumber(8, 448),
    )
    .option(
      '--icv-bits <n>',
      'length of the ICV (default: the longest of an AEAD, else that of the RFC)',
      wholeNumber(0, 512),
    )
    .option('--esn', 'sequence numbers of 64 bits')
    .option(
      '--window <packets>',
      'replay window (default: 64; 0 without integrity)',
      wholeNumber(0, MAX_WINDOW),
    )
    .addOption(new Option('--mode <mode>', 'of the SA').choices(['tunnel', 'transport']).default('tunnel'))
    .option('--udp', 'ESP in UDP, port 4500');
  addAddress(make, '--src <address>', 'the tester', '192.0.2.1');
  addAddress(make, '--dst <address>', 'the peer', '192.0.2.2');
  addAddress(make, '--inner-src <address>', 'who pings through the tunnel', '10.244.1.1');
  addAddress(make, '--inner-dst <address>', 'who answers behind the peer', '10.244.2.1');
  addEngineOption(
    make
      .option('--frames <n>', 'how many', wholeNumber(1, 60_000), 400)
      .option('--seed <n>', 'for keys and all chance', wholeNumber(0, 0xffff_ffff), 1)
      .option(...SKIP)
      .requiredOption('-o, --output <folder>', 'where to write'),
  )
    .addHelpText('after', MAKE_EXAMPLE)
    .action(makeFolder);
  addJudge(conform);
  addRun(conform);
}

function addRun(conform: Command): void {
  conform
    .command('run')
    .description('Send frames to a live peer, and say how its verdicts differ from what was expected.')
    .requiredOption(
      '--config <file>',
      'as of esplane node: link, address, and the SAs as xfrm; conform make writes one',
    )
    .option('--from <address>', 'who pings through the tunnel (default: as the policy says)', addressArgument)
    .option(
      '--target <address>',
      'who answers behind the peer (default: as the policy says)',
      addressArgument,
    )
    .option('--frames <n>', 'how many', wholeNumber(1, 60_000), 400)
    .option('--seed <n>', 'for all chance', wholeNumber(0, 0xffff_ffff), 1)
    .option(...SKIP)
    .option('--wait <ms>', 'longest wait for a reply', wholeNumber(1, 60_000), 500)
    .option('--xfrm-stat-command <command>', 'prints /proc/net/xfrm_stat of the peer; run after each frame')
    .option('--json', 'one JSON object a line: the rows, and last the summary')
    .addHelpText('after', RUN_EXAMPLE)
    .action(async (options: RunOptions) => (await import('./conform-run.ts')).runConform(options));
}

function addAddress(command: Command, flags: string, description: string, usual: string): void {
  command.addOption(
    new Option(flags, description).argParser(addressArgument).default(parseAddress(usual), usual),
  );
}

async function makeFolder(options: MakeOptions): Promise<void> {
  const { frames: count, seed, skip, output, crypto, esn = false, udp = false, ...rest } = options;
  const settings = conformSettings({ ...rest, esn, udp, seed });
  const engine = await makeEngine(crypto);
  const frames = makeConform({ ...settings, frames: count, seed, skip, engine, random: secureBytes });
  const files = writeConform({ ...settings, frames, command: commandOf(options) });
  makeOutputFolder(output);
  for (const [name, content] of files) {
    const file = new OutputFile(join(output, name), name.endsWith('.sh') ? { mode: 0o700 } : {});
    try {
      file.write(typeof content === 'string' ? new TextEncoder().encode(content) : content);
    } catch (error) {
      file.discard();
      throw error;
    }
    file.finish();
  }
  const accepted = frames.filter(({ verdict }) => verdict === 'accepted').length;
  const behaviours = new Set(frames.map(({ behaviour }) => behaviour)).size;
  printLine(
    `${output}: ${grouped(frames.length)} frames of ${behaviours} behaviours, ${grouped(accepted)} to be accepted. README.md says how to use it.`,
  );
}

/** What was asked for, as it may be typed again, without the folder. */
function commandOf({
  suite,
  keyBits,
  icvBits,
  esn,
  window,
  mode,
  udp,
  frames,
  seed,
  skip,
}: MakeOptions): string {
  return [
    `esplane conform make --suite '${suite}'`,
    ...(keyBits === undefined ? [] : [`--key-bits ${keyBits}`]),
    ...(icvBits === undefined ? [] : [`--icv-bits ${icvBits}`]),
    ...(esn ? ['--esn'] : []),
    ...(window === undefined ? [] : [`--window ${window}`]),
    `--mode ${mode}`,
    ...(udp ? ['--udp'] : []),
    `--frames ${frames} --seed ${seed}`,
    ...skip.map((name) => `--skip '${name}'`),
  ].join(' ');
}

function makeOutputFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw outputError(folder, code === 'ENOENT' ? { code: 'no folder can be made there' } : error);
  }
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most))
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
    return value;
  };
}

function addressArgument(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new InvalidArgumentError('Give an IP address, such as 192.0.2.1.');
  return address;
}
