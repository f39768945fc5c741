/**
 * Starts the threads of a node, and talks to them without stopping them (see `node-threads.ts`). Whatever they are at,
 * the caller's thread stays free, and a node that is told to stop ends in time.
 * @module
 */
import { setFlagsFromString } from 'node:v8';
import { MessageChannel, Worker } from 'node:worker_threads';
import { EsplaneError, InputError } from '../base/errors.ts';
import { closeWake, openWake, wakePoller } from '../native/system.ts';
import type { SaReport } from '../node/stats.ts';
import type { FlowBatch } from '../observe/flow-recorder.ts';
import type { AgentReport, StateReport, ThreadsReport } from '../observe/observed.ts';
import { hangs } from './hard-exit.ts';
import type { NodeConfig } from './node-config.ts';
import {
  CONTROL,
  type ControlMessage,
  type Failure,
  type PlaneMessage,
  type StateDir,
  type ThreadData,
  type ToControl,
} from './node-threads.ts';
import type { PlaneStats, ReadyFacts, RunningStats } from './running-node.ts';
import { StateLock, stateDirOf } from './state-file.ts';
import { ThreadHealth } from './thread-health.ts';

/** ms that threads have to stop in order; then they are ended. */
const STOP_TIME = 2000;
/** ms after which a thread that does not even end then is left behind: it waits in the kernel. */
const END_TIME = 3500;

/**
 * Packets allocate nothing, so the thread that carries them needs no room for young objects but while it makes SAs. With
 * little room the collector comes more often and each time has less to copy: of 7,992 SAs its longest pause is some 3 ms,
 * and with what V8 takes otherwise some 13 (`npm run bench -- agent`).
 */
export const THREAD_LIMITS = { maxYoungGenerationSizeMb: 3 };

export interface RunningNode {
  readonly facts: ReadyFacts;
  /** The last report: a quarter of a second old, or somewhat more where there are thousands of SAs. */
  stats(): RunningStats | undefined;
  /** Whether its threads still go round. */
  threads(): ThreadsReport;
  /** Reads the files again and goes on with what they say. */
  reload(): void;
  /** Tells it to stop; {@link ended} then tells the rest, after some seconds at most. */
  stop(): void;
  /** Its last statistics. Rejects when it ended by itself, with one line that says why. */
  readonly ended: Promise<RunningStats>;
}

export interface StartOptions {
  /** Gets its flows, if the configuration wants them. */
  readonly flows?: ((batch: FlowBatch) => void) | undefined;
  /** Stops it, also while it starts. */
  readonly signal?: AbortSignal;
  /** A worker that runs `nodeThread` in place of esplane's own. */
  readonly worker?: URL;
}

/**
 * Starts a node and waits until it runs.
 * @param warn gets lines about what does not stop it
 * @throws {EsplaneError} when it cannot start; `ERR_STOPPED` when it was told to stop before it ran
 */
export function startNode(
  config: NodeConfig,
  warn: (line: string) => void,
  options: StartOptions = {},
): Promise<RunningNode> {
  return new NodeThreads(config, warn, options).running;
}

class NodeThreads {
  readonly running: Promise<RunningNode>;
  readonly #name: string;
  readonly #warn: (line: string) => void;
  readonly #flows: ((batch: FlowBatch) => void) | undefined;
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * CONTROL.WORDS));
  readonly #health = new ThreadHealth(this.#control);
  readonly #wakeFd = openWake();
  readonly #plane: Worker;
  readonly #planner: Worker;
  /** Those that have not ended. */
  readonly #alive = new Set<Worker>();
  readonly #ended = new Deferred<RunningStats>();
  readonly #started = new Deferred<RunningNode>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #lock: StateLock | undefined;
  #facts: ReadyFacts | undefined;
  #isReady = false;
  #isStopping = false;
  #isOver = false;
  #stats: PlaneStats | undefined;
  /** Of the statistics that are coming. */
  #sas: SaReport[] = [];
  #agent: AgentReport | undefined;
  #state: StateReport | undefined;
  /** Why it cannot go on. */
  #problem: Error | undefined;

  constructor(config: NodeConfig, warn: (line: string) => void, options: StartOptions) {
    const { flows, signal, worker = new URL('./node-worker.js', import.meta.url) } = options;
    this.#name = config.name;
    this.#warn = warn;
    this.#flows = flows;
    this.running = this.#started.promise;
    // V8 asks for it at each collection of young objects. With it the thread that carries packets waits for helper threads,
    // which have no priority: on a busy host for 160 ms, where by itself it is done in 1 or 2.
    setFlagsFromString('--no-parallel-scavenge');
    const { lock, state } = lockState(config);
    this.#lock = lock;
    const { port1, port2 } = new MessageChannel();
    const start = (url: URL, port: ThreadData['port'], resourceLimits = {}) => {
      const workerData: ThreadData = { config, control: this.#control, wakeFd: this.#wakeFd, port, state };
      const started = new Worker(url, { workerData, transferList: [port], resourceLimits });
      this.#alive.add(started);
      started.on('exit', () => this.#exited(started));
      return started;
    };
    this.#planner = start(new URL('./control-worker.js', import.meta.url), port1);
    this.#plane = start(worker, port2, THREAD_LIMITS);
    this.#plane.on('message', (message: PlaneMessage) => this.#hearPlane(message));
    this.#plane.on('error', (error) => this.#fail(error));
    this.#planner.on('message', (message: ControlMessage) => this.#hearControl(message));
    this.#planner.on('error', (error) => this.#lostControl(error));
    if (signal?.aborted) this.#stop();
    signal?.addEventListener('abort', () => this.#stop(), { once: true });
  }

  #hearPlane(message: PlaneMessage): void {
    switch (message.kind) {
      case 'ready':
        this.#facts = message.facts;
        this.#startedIfReady();
        break;
      case 'sas':
        this.#sas.push(...message.sas);
        break;
      case 'stats':
        this.#stats = { ...message.stats, sas: [...this.#sas, ...message.stats.sas] };
        this.#sas = [];
        break;
      case 'warn':
        this.#warn(message.line);
        break;
      case 'flows':
        this.#flows?.(message.batch);
        Atomics.add(this.#control, CONTROL.FLOWS, 1);
        break;
      case 'stopped':
        this.#stats = message.stats ?? this.#stats;
        this.#stop();
        break;
      case 'failed':
        this.#fail(this.#errorOf(message));
    }
  }

  #hearControl(message: ControlMessage): void {
    switch (message.kind) {
      case 'ready':
        this.#isReady = true;
        this.#startedIfReady();
        break;
      case 'agent':
        this.#agent = message.report;
        break;
      case 'state':
        this.#state = message.report;
        break;
      case 'warn':
        this.#warn(message.line);
        break;
      case 'carried':
        this.#tellControl({ kind: 'carried', carried: carriedBy(this.#stats) });
        break;
      case 'failed':
        this.#fail(this.#errorOf(message));
    }
  }

  #startedIfReady(): void {
    if (!this.#facts || !this.#isReady) return;
    this.#started.resolve({
      facts: this.#facts,
      stats: () => this.#lastStats(),
      threads: () => this.#health.report(),
      reload: () => this.#tellControl({ kind: 'reload' }),
      stop: () => this.#stop(),
      ended: this.#ended.promise,
    });
  }

  #lastStats(): RunningStats | undefined {
    return (
      this.#stats && {
        ...this.#stats,
        ...(this.#agent && { agent: this.#agent }),
        ...(this.#state && { state: this.#state }),
      }
    );
  }

  #tellControl(message: ToControl): void {
    this.#planner.postMessage(message);
  }

  /** Packets go on without it: what it has planned stays. */
  #lostControl(error: Error): void {
    if (!this.#isReady || this.#isStopping) {
      this.#fail(error);
      return;
    }
    this.#health.controlEnded(error.message);
    Atomics.store(this.#control, CONTROL.UNRESERVED, 1);
    this.#warn(
      `${this.#name}: the control thread has ended (${error.message}): packets go on with the last plan, and files are not read again until the node is restarted`,
    );
  }

  #fail(error: Error): void {
    this.#problem ??= error;
    this.#stop();
  }

  #errorOf({ message, isOurs }: Failure): Error {
    const line = `${this.#name}: ${message}`;
    return isOurs ? new EsplaneError('ERR_NODE', line) : new Error(line);
  }

  #exited(worker: Worker): void {
    this.#alive.delete(worker);
    if (worker === this.#plane && !this.#isStopping)
      this.#fail(new EsplaneError('ERR_NODE', `${this.#name}: its data-plane thread has ended`));
    if (this.#alive.size === 0) this.#finish();
  }

  /** Asks both threads to end, then ends them, then leaves them. */
  #stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    Atomics.store(this.#control, CONTROL.STOP, 1);
    wakePoller(this.#wakeFd);
    this.#tellControl({ kind: 'stop' });
    this.#after(STOP_TIME, () => {
      if (this.#alive.has(this.#plane))
        this.#warn(`${this.#name}: the data-plane thread does not stop by itself, and is ended`);
      for (const worker of this.#alive) worker.terminate();
    });
    this.#after(END_TIME, () => {
      this.#warn(`${this.#name}: a thread hangs in the kernel, and is left behind`);
      for (const worker of this.#alive) worker.unref();
      hangs();
      this.#finish();
    });
  }

  #after(ms: number, work: () => void): void {
    this.#timers.push(setTimeout(work, ms));
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#health.close();
    if (this.#alive.size === 0) closeWake(this.#wakeFd);
    this.#lock?.release(this.#alive.size === 0);
    const last = this.#lastStats();
    const early = () => new EsplaneError('ERR_STOPPED', `${this.#name}: stopped before it ran`);
    this.#started.reject(this.#problem ?? early());
    if (this.#problem || !last) this.#ended.reject(this.#problem ?? early());
    else this.#ended.resolve(last);
  }
}

/**
 * Locks the state directory of a node.
 * @throws {InputError} when another node has it
 */
function lockState({ name, 'state-dir': folder }: NodeConfig): {
  readonly lock?: StateLock;
  readonly state: StateDir;
} {
  if (folder === false) return { state: {} };
  try {
    const lock = new StateLock(folder ?? stateDirOf(name));
    return { lock, state: { folder: lock.folder } };
  } catch (error) {
    if (!(error instanceof EsplaneError) || error instanceof InputError) throw error;
    return { state: { problem: error.message } };
  }
}

/** A promise that is settled from outside. */
class Deferred<T> {
  resolve!: (value: T) => void;
  reject!: (error: Error) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    // It may be looked at later, or not at all.
    this.promise.catch(() => {});
  }
}

/** Packets of the SAs that begin or end at an address, by its text. */
function carriedBy(stats: PlaneStats | undefined): Map<string, number> {
  const carried = new Map<string, number>();
  for (const { src, dst, packets } of stats?.sas ?? []) {
    if (packets === 0) continue;
    for (const end of [src, dst]) carried.set(end, (carried.get(end) ?? 0) + packets);
  }
  return carried;
}
