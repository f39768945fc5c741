/**
 * `esplane demo`: the first thing to run. Two nodes in memory, a packet followed through them, and proof that it
 * works. Needs nothing installed.
 * @module
 */
import { relative } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { EsplaneError, InputError } from '../base/errors.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import { ClusterPlan } from '../cilium/plan.ts';
import type { Impairments } from '../link/impair.ts';
import { writeDsbCsv } from '../sa-text/dsb-csv.ts';
import { type DemoResult, runDemo } from '../sim/demo.ts';
import { demoCluster } from '../sim/demo-cluster.ts';
import { demoText } from './demo-text.ts';
import { addEngineOption, type EngineName, makeEngine } from './engine.ts';
import { Output } from './output.ts';
import { OutputFile } from './output-file.ts';
import { paintFor } from './paint.ts';

/** Where the run is written unless told otherwise. */
const DEFAULT_FILE = 'esplane-demo.pcapng';

interface DemoCommandOptions extends Required<Impairments> {
  readonly seed: number;
  readonly ipv6?: boolean;
  readonly write: string | false;
  readonly json?: boolean;
  readonly crypto: EngineName;
}

/** Adds the command. */
export function demoCommand(program: Command): void {
  const command = program
    .command('demo')
    .description('Two virtual nodes and real packets: see IPsec at work, and what was verified.')
    .option('--ipv6', 'use IPv6 instead of IPv4')
    .option(
      '--seed <number>',
      'for keys, node ids, IVs and faults: the same seed gives the same run',
      whole,
      1,
    )
    .option('--loss <chance>', 'chance that the wire loses a frame, such as 0.05 or 5%', chance, 0)
    .option('--duplicate <chance>', 'chance that the wire doubles a frame', chance, 0)
    .option('--corrupt <chance>', 'chance that the wire flips one bit of a frame', chance, 0)
    .option('--delay <ms>', 'delay of every frame', milliseconds, 0)
    .option('--jitter <ms>', 'delay on top, up to this much, by chance: reorders frames', milliseconds, 0)
    .option('-w, --write <file.pcapng>', 'where to write the run, with its keys', DEFAULT_FILE)
    .option('--no-write', 'write no file')
    .option('--json', 'print the result as one JSON object');
  addEngineOption(command)
    .addHelpText(
      'after',
      `
Examples:
  esplane demo
  esplane demo --ipv6 --loss 5% --jitter 20 --seed 7 -w lossy.pcapng

Exit status: 0 everything was as it must be, 1 something was not, 2 unusable input.`,
    )
    .action(demo);
}

async function demo(options: DemoCommandOptions): Promise<void> {
  if (options.write === '-')
    throw new InputError({ source: '-w -' }, 'standard output is for the report', 'Give -w a file.');
  const file = options.write === false ? undefined : new RunFile(options.write);
  const result = await runOnce(options, file?.writer);
  file?.finish();
  const out = new Output();
  if (options.json) out.write(`${JSON.stringify({ ...result, written: file?.name ?? null })}\n`);
  else
    out.write(demoText(result, paintFor(process.stdout), file && { name: file.name, command: howCalled() }));
  await out.flush();
  if (!result.ok) process.exitCode = 1;
}

async function runOnce(options: DemoCommandOptions, recorder: PcapngWriter | undefined): Promise<DemoResult> {
  const { seed, crypto, ipv6, loss, duplicate, corrupt, delay, jitter } = options;
  const cluster = demoCluster(seed);
  // Before the first frame, so that who reads the file can decrypt from the start.
  if (recorder) {
    const sas = new ClusterPlan(cluster.keys, cluster.nodes, { mode: 'native' }).all();
    recorder.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(writeDsbCsv(sas, { showKeys: true })));
  }
  return runDemo({
    cluster,
    seed,
    engine: await makeEngine(crypto),
    family: ipv6 ? 6 : 4,
    impairments: { loss, duplicate, corrupt, delay, jitter },
    recorder,
  });
}

/** The run as a capture file. */
class RunFile {
  readonly writer: PcapngWriter;
  readonly #file: OutputFile;

  constructor(name: string) {
    this.#file = openFile(name);
    this.writer = new PcapngWriter((bytes) => this.#file.write(bytes));
  }

  get name(): string {
    return this.#file.name;
  }

  finish(): void {
    this.writer.flush();
    this.#file.finish();
  }
}

/** Says what to do when the file cannot be made: the demo itself needs none. */
function openFile(name: string): OutputFile {
  try {
    return new OutputFile(name);
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    throw new EsplaneError(error.code, `${error.message} The demo needs none: --no-write.`, {
      cause: error,
    });
  }
}

/** How to call this program again, as it was called now. */
function howCalled(): string {
  const script = process.argv[1] ?? 'esplane';
  if (!script.endsWith('.js')) return 'esplane';
  const near = relative(process.cwd(), script);
  return `node ${near.startsWith('..') ? script : near}`;
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give a whole number, such as 7.');
  return Number(text);
}

function chance(text: string): number {
  const [, number, percent] = /^(\d*\.?\d+)(%?)$/.exec(text) ?? [];
  const value = Number(number) / (percent ? 100 : 1);
  if (!(value >= 0 && value <= 1))
    throw new InvalidArgumentError('Give a chance of 0 to 1, such as 0.05 or 5%.');
  return value;
}

function milliseconds(text: string): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= 60_000)) throw new InvalidArgumentError('Give milliseconds, 0 to 60000.');
  return value;
}
