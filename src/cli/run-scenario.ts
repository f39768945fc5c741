/**
 * `esplane run SCENARIO`: a cluster in virtual time, and a report of what came of every packet.
 * @module
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import { InputError } from '../base/errors.ts';
import { seededBytes } from '../base/rng.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import type { PodName } from '../observe/flow-json.ts';
import { FlowObserver } from '../observe/flow-observer.ts';
import { type FlowBatch, FlowRecorder } from '../observe/flow-recorder.ts';
import { NEW_LINE, writeDsbCsv, writeGone, writeNodes } from '../sa-text/dsb-csv.ts';
import { Cluster, identityOf, type NodeRecorder } from '../sim/cluster.ts';
import { reportOf } from '../sim/report.ts';
import { parseScenario, type Scenario } from '../sim/scenario.ts';
import { formatAddress } from '../wire/address.ts';
import { type EngineName, makeEngine } from './engine.ts';
import { readText } from './files.ts';
import { type FlowsConfig, filterOf } from './flow-options.ts';
import { FlowOutput } from './flow-output.ts';
import { Output, Progress, say } from './output.ts';
import { OutputFile, outputError } from './output-file.ts';
import { paintFor } from './paint.ts';
import { scenarioText } from './scenario-text.ts';
import { EXIT_INTERRUPTED, onSignals } from './signals.ts';

/** ms of a run between which progress is shown and Ctrl-C is heard: a first guess, and what each should take here. */
const FIRST_SLICE = 10;
const SLICE_TAKES = 50;

export interface ScenarioOptions {
  readonly seed?: number;
  readonly write?: string;
  /** Nodes whose files are written; none named, all are. */
  readonly only: readonly string[];
  readonly json?: boolean;
  readonly crypto: EngineName;
  readonly flows?: FlowsConfig | undefined;
}

/** Runs a scenario file and prints its report. */
export async function runScenario(file: string, options: ScenarioOptions): Promise<void> {
  const scenario = parseScenario(readText(file), file);
  checkOnly(options, scenario);
  const folder = options.write === undefined ? undefined : new RunFolder(options.write, options.only);
  let isStopped = false;
  const forget = onSignals({
    stop: () => {
      isStopped = true;
    },
  });
  const progress = new Progress(file);
  const output = options.flows && new FlowOutput(options.flows, { append: false });
  try {
    progress.update(() => 'the cluster comes up');
    await setImmediate();
    const flows = options.flows && output && new RunFlows(options.flows, output, scenario, options.seed);
    const cluster = new Cluster({
      scenario,
      seed: options.seed,
      engine: await makeEngine(options.crypto),
      ...(folder && { record: (node: string) => folder.recorder(node) }),
      ...(flows && { observe: (clock: Clock, capacity: number) => flows.observer(clock, capacity) }),
    });
    let slice = FIRST_SLICE;
    while (cluster.now < cluster.end && !isStopped) {
      const before = performance.now();
      cluster.runTo(Math.min(cluster.end, cluster.now + slice));
      slice *= performance.now() - before < SLICE_TAKES ? 2 : 0.5;
      flows?.drain();
      await output?.flush();
      const { sent } = cluster.ledger;
      progress.update(
        () => `${((cluster.now / 1000) | 0).toString()} s of ${cluster.end / 1000} s, ${sent} packets`,
      );
      await setImmediate();
    }
    progress.done();
    await output?.finish();
    folder?.finish();
    if (isStopped) {
      const until = `${(cluster.now / 1000).toFixed(1)} s of ${cluster.end / 1000} s`;
      const left = folder ? `; ${files(folder.count)} in ${options.write} up to there` : '';
      say(`esplane: interrupted at ${until}${left}`);
      process.exitCode = EXIT_INTERRUPTED;
      return;
    }
    const report = reportOf(cluster);
    // Flows have standard output for themselves.
    const stream = options.flows?.file === '-' ? process.stderr : process.stdout;
    const out = new Output(stream);
    out.write(options.json ? `${JSON.stringify(report)}\n` : scenarioText(report, paintFor(stream)));
    await out.flush();
    if (folder) say(`wrote ${files(folder.count)} into ${options.write}`);
    // A run whose books do not add up is a fault of this program.
    if (!report.accounted) process.exitCode = 1;
  } catch (error) {
    folder?.discard();
    throw error;
  } finally {
    progress.done();
    forget();
  }
}

/** The flows of all nodes of a run, in the order in which they happen. */
class RunFlows {
  readonly #config: FlowsConfig;
  readonly #write: (batch: FlowBatch) => void;
  #recorder: FlowRecorder | undefined;

  constructor(config: FlowsConfig, output: FlowOutput, scenario: Scenario, seed = scenario.seed) {
    this.#config = config;
    const pods = new Map(
      [...scenario.pods.values()].map(({ name, address }): [string, PodName] => {
        const [namespace, pod] = name.split('/') as [string, string];
        return [formatAddress(address), { namespace, pod, identity: identityOf(scenario, name) }];
      }),
    );
    this.#write = output.reader({
      random: seededBytes(seed),
      podOf: (address) => pods.get(address),
    });
  }

  observer(clock: Clock, capacity: number): FlowObserver {
    this.#recorder ??= new FlowRecorder({
      clock,
      filter: filterOf(this.#config),
      all: this.#config.all,
      onFull: () => this.drain(),
    });
    return new FlowObserver(this.#recorder, capacity);
  }

  drain(): void {
    const batch = this.#recorder?.take();
    if (batch) this.#write(batch);
  }
}

function files(count: number): string {
  return `${count} file${count === 1 ? '' : 's'}`;
}

function checkOnly({ write, only }: ScenarioOptions, { nodes, source }: Scenario): void {
  if (only.length > 0 && write === undefined)
    throw new InputError({ source: '--only' }, 'no files are written', 'Give -w FOLDER too.');
  for (const name of only) {
    if (nodes.some((node) => node.name === name)) continue;
    throw new InputError(
      { source: '--only' },
      `${source} has no node ${name}`,
      `Name one, such as ${nodes[0]!.name}.`,
    );
  }
}

/** One capture a node. */
class RunFolder {
  readonly #folder: string;
  readonly #only: ReadonlySet<string>;
  readonly #files: { readonly file: OutputFile; readonly writer: PcapngWriter }[] = [];

  constructor(folder: string, only: readonly string[]) {
    this.#folder = folder;
    this.#only = new Set(only);
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      // Node's word for a file system that takes no new folders, too.
      const { code } = error as NodeJS.ErrnoException;
      throw outputError(folder, code === 'ENOENT' ? { code: 'no folder can be made there' } : error);
    }
  }

  get count(): number {
    return this.#files.length;
  }

  recorder(node: string): NodeRecorder | undefined {
    if (this.#only.size > 0 && !this.#only.has(node)) return undefined;
    const file = new OutputFile(join(this.#folder, `${node}.pcapng`));
    const writer = new PcapngWriter((bytes) => file.write(bytes));
    this.#files.push({ file, writer });
    return {
      interface: (description) => writer.interface(description),
      comment: (text) => writer.comment(text),
      frame: (b, at, end, meta) => writer.frame(b, at, end, meta),
      sas: (added, gone, nodes) => {
        const text =
          (nodes ? writeNodes(nodes) : added.length > 0 ? NEW_LINE : '') +
          writeGone(gone) +
          writeDsbCsv(added, { showKeys: true });
        // Also a node without keys says so, or its file would seem to lack them.
        writer.secrets(
          SECRETS_TYPE_ESP,
          new TextEncoder().encode(added.length + gone.length === 0 ? `${text}# no SAs\n` : text),
        );
      },
    };
  }

  finish(): void {
    for (const { file, writer } of this.#files) {
      writer.flush();
      file.finish();
    }
  }

  discard(): void {
    for (const { file } of this.#files.splice(0)) file.discard();
  }
}
