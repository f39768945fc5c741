/**
 * Where flows go: lines in a file or on standard output. What cannot be written is counted, and said in the lines as soon
 * as they can be.
 * @module
 */
import { grouped } from '../base/count-text.ts';
import { EsplaneError } from '../base/errors.ts';
import { safeLines } from '../base/safe-text.ts';
import { compactLine } from '../observe/flow-compact.ts';
import { FlowReader, type FlowReaderOptions } from '../observe/flow-json.ts';
import type { FlowBatch } from '../observe/flow-recorder.ts';
import type { FlowLine, LostLine } from '../observe/hubble.ts';
import type { FlowsReport } from '../observe/observed.ts';
import { BACKUPS, type FlowsConfig } from './flow-options.ts';
import { LineFile, type LineFileOptions } from './line-file.ts';
import { Output } from './output.ts';

/** Characters that are worth a write. */
const CHUNK = 1 << 16;

export interface FlowOutputOptions {
  /** Keeps what the file held. */
  readonly append: boolean;
  /** Gets a line when nothing can be written, and one when it can again; left out, {@link FlowOutput.write} throws. */
  readonly warn?: (line: string) => void;
}

export class FlowOutput {
  readonly #format: (line: FlowLine | LostLine) => string;
  readonly #file: LineFile | undefined;
  readonly #stdout: Output | undefined;
  readonly #warn: ((line: string) => void) | undefined;
  #written = 0;
  readonly #lost = { HUBBLE_RING_BUFFER: 0, OBSERVER_EVENTS_QUEUE: 0 };
  /** Of those that could not be written, the ones that no line speaks of yet. */
  #unsaid = 0;

  /** @throws {EsplaneError} `ERR_OUTPUT` when the file cannot be made */
  constructor(config: FlowsConfig, { append, warn }: FlowOutputOptions) {
    const { file, format } = config;
    this.#format = format === 'json' ? JSON.stringify : compactLine;
    this.#file = file === '-' ? undefined : new LineFile(file, { append, ...lineFileOptions(config) });
    this.#stdout = file === '-' ? new Output() : undefined;
    this.#warn = warn;
  }

  /** A reader whose lines go here: one for each recorder. */
  reader(options: FlowReaderOptions): (batch: FlowBatch) => void {
    const reader = new FlowReader(options);
    return (batch) => this.#write(reader.read(batch));
  }

  /** Opens the file of that name again: SIGHUP says that another program has renamed it. */
  reopen(): void {
    try {
      this.#file?.reopen();
    } catch (error) {
      if (!this.#warn || !(error instanceof EsplaneError)) throw error;
      this.#warn(`flows still go to the file that was open: ${error.message}`);
    }
  }

  /** What became of flows until now. */
  report(): FlowsReport {
    return { written: this.#written, lost: { ...this.#lost } };
  }

  #write(lines: Iterable<FlowLine | LostLine>): void {
    let text = '';
    let flows = 0;
    let last: FlowLine | LostLine | undefined;
    for (const line of lines) {
      if ('flow' in line) flows++;
      else this.#lost.HUBBLE_RING_BUFFER += Number(line.lost_events.num_events_lost);
      last = line;
      text += `${this.#format(line)}\n`;
      if (text.length < CHUNK) continue;
      this.#put(text, flows, line);
      text = '';
      flows = 0;
    }
    if (last && text !== '') this.#put(text, flows, last);
    void this.flush();
  }

  #put(text: string, flows: number, { node_name, time }: FlowLine | LostLine): void {
    if (!this.#file) {
      this.#stdout!.write(text);
      this.#written += flows;
      return;
    }
    const unsaid = this.#unsaid;
    const lost: LostLine | undefined =
      unsaid === 0
        ? undefined
        : {
            lost_events: { source: 'OBSERVER_EVENTS_QUEUE', num_events_lost: String(unsaid) },
            node_name,
            time,
          };
    try {
      this.#file.write(safeLines(lost ? `${this.#format(lost)}\n${text}` : text));
      this.#unsaid = 0;
      this.#written += flows;
      if (lost) this.#warn?.(`${this.#file.name}: flows are written again, ${grouped(unsaid)} were not`);
    } catch (error) {
      if (!this.#warn || !(error instanceof EsplaneError)) throw error;
      if (unsaid === 0) this.#warn(`flows are lost: ${error.message}`);
      this.#unsaid += flows;
      this.#lost.OBSERVER_EVENTS_QUEUE += flows;
    }
  }

  /** Waits until a slow reader has taken what was written. */
  async flush(): Promise<void> {
    await this.#stdout?.flush();
  }

  /** The end; returns how many flows were lost. */
  async finish(): Promise<number> {
    await this.flush();
    this.#file?.close();
    return this.#lost.HUBBLE_RING_BUFFER + this.#lost.OBSERVER_EVENTS_QUEUE;
  }
}

/** Permissions and limits of the file, as configured. */
function lineFileOptions(config: FlowsConfig): Omit<LineFileOptions, 'append'> {
  const { mode, 'max-size-mb': megabytes } = config;
  return {
    ...(mode !== undefined && { mode: Number.parseInt(mode, 8) }),
    ...(megabytes !== undefined && {
      maxSize: megabytes * 1e6,
      maxBackups: config['max-backups'] ?? BACKUPS,
    }),
  };
}
