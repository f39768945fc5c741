/**
 * `esplane run SCENARIO`: a cluster in virtual time, and a report of what came of every packet.
 * @module
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { EsplaneError } from '../base/errors.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import { writeDsbCsv } from '../inspect/dsb-csv.ts';
import { Cluster, type NodeRecorder } from '../sim/cluster.ts';
import { reportOf } from '../sim/report.ts';
import { parseScenario } from '../sim/scenario.ts';
import { type EngineName, makeEngine } from './engine.ts';
import { OutputFile, readText } from './files.ts';
import { Output, Progress } from './output.ts';
import { paintFor } from './paint.ts';
import { scenarioText } from './scenario-text.ts';
import { onSignals } from './signals.ts';

/** Parts of a run between which progress is shown and Ctrl-C is heard. */
const SLICES = 200;
const EXIT_INTERRUPTED = 130;

export interface ScenarioOptions {
  readonly seed?: number;
  readonly write?: string;
  readonly json?: boolean;
  readonly crypto: EngineName;
}

/** Runs a scenario file and prints its report. */
export async function runScenario(file: string, options: ScenarioOptions): Promise<void> {
  const scenario = parseScenario(readText(file), file);
  const folder = options.write === undefined ? undefined : new RunFolder(options.write);
  let isStopped = false;
  const forget = onSignals({
    stop: () => {
      isStopped = true;
    },
  });
  const progress = new Progress(file);
  try {
    progress.update('the cluster comes up');
    await setImmediate();
    const cluster = new Cluster({
      scenario,
      seed: options.seed,
      engine: await makeEngine(options.crypto),
      ...(folder && { record: (node: string) => folder.recorder(node) }),
    });
    for (let slice = 1; slice <= SLICES && !isStopped; slice++) {
      cluster.runTo((cluster.end * slice) / SLICES);
      const { sent } = cluster.ledger;
      progress.update(
        `${((cluster.now / 1000) | 0).toString()} s of ${cluster.end / 1000} s, ${sent} packets`,
      );
      await setImmediate();
    }
    progress.done();
    if (isStopped) {
      folder?.discard();
      process.exitCode = EXIT_INTERRUPTED;
      return;
    }
    folder?.finish();
    const report = reportOf(cluster);
    const out = new Output();
    out.write(options.json ? `${JSON.stringify(report)}\n` : scenarioText(report, paintFor(process.stdout)));
    await out.flush();
    if (folder) process.stderr.write(`wrote ${folder.count} files into ${options.write}\n`);
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

/** One capture a node. */
class RunFolder {
  readonly #folder: string;
  readonly #files: { readonly file: OutputFile; readonly writer: PcapngWriter }[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw new EsplaneError('ERR_OUTPUT', `${folder}: no such folder can be made: ${code}`, {
        cause: error,
      });
    }
  }

  get count(): number {
    return this.#files.length;
  }

  recorder(node: string): NodeRecorder {
    const file = new OutputFile(join(this.#folder, `${node}.pcapng`));
    const writer = new PcapngWriter((bytes) => file.write(bytes));
    this.#files.push({ file, writer });
    return {
      interface: (description) => writer.interface(description),
      comment: (text) => writer.comment(text),
      frame: (b, at, end, meta) => writer.frame(b, at, end, meta),
      sas: (sas) =>
        writer.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(writeDsbCsv(sas, { showKeys: true }))),
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
