/**
 * The control side of a running node: reads files, plans, hands plans to the data plane, and does what follows from
 * them outside of it (routes, MTU, the own CiliumNode). Runs in a thread of its own, which may take seconds over a list
 * of nodes: neither packets nor signals wait for it.
 * @module
 */
import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { EsplaneError } from '../base/errors.ts';
import type { AgentPlan } from '../cilium/agent-plan.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { wakePoller } from '../native/system.ts';
import type { StateReport } from '../observe/observed.ts';
import { InputFiles } from './input-files.ts';
import { InsideInterface } from './inside-routes.ts';
import { NodeAgent, strictIn } from './node-agent.ts';
import type { NodeConfig } from './node-config.ts';
import { completePlan, type LoadedPlan, loadStaticPlan } from './node-plan.ts';
import {
  CONTROL,
  type ControlMessage,
  type FromPlane,
  type StateDir,
  type ThreadData,
  type ToControl,
  type ToPlane,
  WORK,
  type Work,
} from './node-threads.ts';
import { PlanEncoder } from './plan-delta.ts';
import { StateFile } from './state-file.ts';
import { watchFiles } from './watch-files.ts';
import { WeakSuites } from './weak-suites.ts';

/** ms between two looks whether the agent has something to do, which also show that the thread goes round. */
const AGENT_EVERY = 100;
/** ms without a packet after which a peer is quiet. */
const QUIET_AFTER = 5000;

/** A plan on its way. */
interface InFlight {
  readonly number: number;
  readonly loaded: LoadedPlan;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/** The data plane, as control sees it: messages there, and answers. */
class Plane {
  readonly #encoder = new PlanEncoder();
  readonly #port: MessagePort;
  readonly #control: Int32Array;
  readonly #wakeFd: number;
  #inFlight: InFlight[] = [];

  constructor({ port, control, wakeFd }: ThreadData) {
    this.#port = port;
    this.#control = control;
    this.#wakeFd = wakeFd;
  }

  /** Wakes it once, however many they are. */
  send(messages: readonly ToPlane[]): void {
    for (const message of messages) {
      this.#port.postMessage(message);
      Atomics.add(this.#control, CONTROL.SENT, 1);
    }
    Atomics.notify(this.#control, CONTROL.SENT);
    wakePoller(this.#wakeFd);
  }

  /**
   * Hands a plan on.
   * @param rows where the rows of its SAs are in the state file
   * @returns resolves once the data plane holds it, or a later one
   * @throws {EsplaneError} when it cannot hold it
   */
  plan(loaded: LoadedPlan, rows?: ReadonlyMap<SaConfig, number>): Promise<void> {
    this.send(this.#encoder.encode(loaded, rows));
    const { number } = this.#encoder;
    return new Promise((done, failed) => {
      this.#inFlight.push({ number, loaded, done, failed });
    });
  }

  /** Takes the answer about a plan. Earlier ones, which the data plane has left out for it, are answered with it. */
  held(number: number, problem: string | undefined): void {
    const answered = this.#inFlight.filter((one) => one.number <= number);
    this.#inFlight = this.#inFlight.filter((one) => one.number > number);
    for (const one of answered) {
      if (one.number === number && problem !== undefined) one.failed(new EsplaneError('ERR_PLAN', problem));
      else one.done();
    }
  }
}

export class NodeControl {
  readonly #config: NodeConfig;
  readonly #control: Int32Array;
  readonly #port: MessagePort;
  readonly #post: (message: ControlMessage) => void;
  readonly #plane: Plane;
  readonly #files = new InputFiles();
  readonly #ends: (() => void)[] = [];
  #agent: NodeAgent | undefined;
  #loaded: LoadedPlan | undefined;
  #inside: InsideInterface | undefined;
  #outsideMtu = 0;
  readonly #stateDir: StateDir;
  #state: StateFile | undefined;
  #stateProblem: string | undefined;
  #stateReported = '';
  /** The plans that were handed on and not answered. */
  #unanswered = 0;
  #up: (() => void) | undefined;
  /** What main is asked for, until it answers. */
  #asked: ((carried: ReadonlyMap<string, number>) => void)[] = [];
  #reported = '';

  constructor(data: ThreadData, post: (message: ControlMessage) => void) {
    this.#config = data.config;
    this.#control = data.control;
    this.#port = data.port;
    this.#post = post;
    this.#plane = new Plane(data);
    this.#stateDir = data.state;
    data.port.on('message', (message: FromPlane) => this.#hear(message));
    this.#every(AGENT_EVERY, () => {
      Atomics.add(this.#control, CONTROL.CONTROL_BEAT, 1);
      this.#agent?.advance(systemClock.now()).catch(this.#notReloaded);
      this.#state?.tick();
      this.#report();
    });
  }

  /**
   * Plans, waits until the data plane runs with the plan, and goes on until {@link stop}.
   * @throws {EsplaneError} when it cannot start
   */
  async start(): Promise<void> {
    const config = this.#config;
    const now = systemClock.now();
    const problem = this.#openState();
    const agent = config.xfrm
      ? undefined
      : await NodeAgent.open(config, {
          files: this.#files,
          say: (line) => this.#warn(line),
          now,
          work: (work) => this.#work(work),
          // Without state it is like a machine that has booted: with another boot id its keys are others.
          ...(!this.#state && config.publish !== undefined && { bootId: crypto.randomUUID() }),
        });
    const loaded = agent
      ? completePlan(config, agent.plan, agent.pods)
      : await loadStaticPlan(config, this.#files, this.#noteText);
    this.#loaded = loaded;
    const strict = agent ? agent.strict : strictIn(config);
    const isUp = new Promise<void>((resolve) => {
      this.#up = resolve;
    });
    this.#plane.send([
      {
        kind: 'start',
        ...(strict && { strict }),
        ...(this.#state && { stateFd: this.#state.fd }),
      },
    ]);
    await Promise.all([this.#handOn(loaded), isUp]);
    // Only now: a node that does not start has one line to say.
    if (!this.#state) this.#tellNoState(problem, agent);
    this.#work('routes');
    this.#inside!.route(loaded.plan);
    this.#work('');
    this.#agent = agent;
    agent?.start({
      apply: (plan) => this.#apply(completePlan(config, plan, agent.pods)),
      carried: () => this.#carried(),
    });
    this.#report();
    this.#post({ kind: 'ready' });
    if (!agent) return;
    this.#every(QUIET_AFTER, () => agent.lookAtTraffic(systemClock.now()).catch(this.#notReloaded));
    const reload = () => this.#reload(false);
    this.#ends.push(await watchFiles(agent.watched, this.#files, reload));
    // What changed since they were read was not seen.
    reload();
  }

  /** Takes a message of main. */
  take(message: ToControl): void {
    switch (message.kind) {
      case 'reload':
        this.#reload(true);
        break;
      case 'carried':
        for (const answer of this.#asked.splice(0)) answer(message.carried);
        break;
      case 'stop':
        this.stop();
    }
  }

  stop(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#port.close();
    this.#state?.close();
  }

  #hear(message: FromPlane): void {
    switch (message.kind) {
      case 'up':
        this.#inside = new InsideInterface(this.#config, message.inside, message.insideMtu);
        this.#outsideMtu = message.outsideMtu;
        this.#up?.();
        break;
      case 'held':
        this.#plane.held(message.number, message.problem);
        break;
      case 'outside-mtu':
        this.#followOutside(message.mtu);
    }
  }

  /** @returns why no state is kept, though one is wanted */
  #openState(): string | undefined {
    const { folder } = this.#stateDir;
    if (folder === undefined) return this.#stateDir.problem;
    try {
      this.#state = StateFile.open(folder, {
        say: (line) => this.#warn(`${this.#config.name}: ${line}`),
        now: () => systemClock.now(),
      });
      return undefined;
    } catch (error) {
      if (!(error instanceof EsplaneError)) throw error;
      return error.message;
    }
  }

  #tellNoState(problem: string | undefined, agent: NodeAgent | undefined): void {
    const { name, publish } = this.#config;
    this.#stateProblem = problem;
    const begins = agent?.hasOwnBootId
      ? `it takes a new boot id, and so new keys, at every start; peers learn of them by ${publish}`
      : 'after a restart peers drop its packets until they have passed the old sequence numbers, and it accepts old packets again';
    const remedy = 'Set state-dir to a directory that it can write';
    if (problem !== undefined) this.#warn(`${name}: no state is kept: ${problem}. So ${begins}. ${remedy}.`);
    else if (agent?.hasOwnBootId) this.#warn(`${name}: no state is kept: ${begins}.`);
  }

  /** Hands a plan on whose SAs have rows, with reserves that are on the disk. */
  async #handOn(loaded: LoadedPlan): Promise<void> {
    const { sas } = loaded.plan;
    this.#weak.look(sas);
    const rows = this.#state?.prepare(sas);
    this.#unanswered++;
    try {
      await this.#plane.plan(loaded, rows);
    } finally {
      this.#unanswered--;
    }
    // SAs of a plan that is still on its way need their rows.
    if (this.#unanswered === 0) this.#state?.settle(sas);
  }

  #reload(readsAll: boolean): void {
    const done = this.#agent ? this.#agent.reload(systemClock.now(), readsAll) : this.#reloadStatic();
    done.catch(this.#notReloaded);
  }

  async #reloadStatic(): Promise<void> {
    // Without an agent, and before there is one, there is nothing to be read again.
    if (!this.#config.xfrm || !this.#inside) return;
    await this.#apply(await loadStaticPlan(this.#config, this.#files, this.#noteText));
  }

  readonly #weak = new WeakSuites((line) => this.#warn(`${this.#config.name}: ${line}`));

  /** Parts of a text that are left out. */
  readonly #noteText = (line: string): void => this.#warn(`${this.#config.name}: ${line}`);

  /** What it has goes on: a bad file must not stop a node. */
  readonly #notReloaded = (error: Error): void => {
    this.#warn(`${this.#config.name}: not reloaded, the old plan stays: ${error.message}`);
  };

  /** @throws {EsplaneError} when the data plane cannot hold it */
  async #apply(loaded: LoadedPlan): Promise<void> {
    await this.#handOn(loaded);
    this.#loaded = loaded;
    const { plan } = loaded;
    try {
      this.#work('routes');
      this.#inside!.route(plan);
      if (this.#inside!.followMtu(plan, this.#outsideMtu)) this.#tellMtu();
    } catch (error) {
      const { name } = this.#config;
      this.#warn(`${name}: ${this.#inside!.name} does not follow the new plan: ${(error as Error).message}`);
    } finally {
      this.#work('');
    }
  }

  #followOutside(mtu: number): void {
    const before = this.#outsideMtu;
    this.#outsideMtu = mtu;
    const { name } = this.#config;
    const change = `${name}: the MTU outside went from ${before} to ${mtu}`;
    try {
      if (this.#inside!.followMtu(this.#planNow, mtu)) this.#tellMtu();
      this.#warn(`${change}, inside it is ${this.#inside!.mtu}`);
    } catch (error) {
      this.#warn(`${change}: ${(error as Error).message}`);
    }
  }

  #tellMtu(): void {
    this.#plane.send([{ kind: 'inside-mtu', mtu: this.#inside!.mtu }]);
  }

  get #planNow(): AgentPlan {
    return this.#loaded!.plan;
  }

  #carried(): Promise<ReadonlyMap<string, number>> {
    return new Promise((resolve) => {
      this.#asked.push(resolve);
      this.#post({ kind: 'carried' });
    });
  }

  /** Tells main how the agent stands, when that has changed. */
  #report(): void {
    this.#reportState();
    if (!this.#agent) return;
    const report = this.#agent.report();
    const text = JSON.stringify(report);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#post({ kind: 'agent', report });
  }

  #reportState(): void {
    const state = this.#state;
    const report: StateReport = state
      ? { file: state.path, problem: state.problem, ...state.count }
      : { file: null, problem: this.#stateProblem, inUse: 0, idle: 0 };
    const text = JSON.stringify(report);
    if (text === this.#stateReported) return;
    this.#stateReported = text;
    this.#post({ kind: 'state', report });
  }

  #work(work: Work): void {
    Atomics.store(this.#control, CONTROL.WORK, WORK.indexOf(work));
  }

  #warn(line: string): void {
    this.#post({ kind: 'warn', line });
  }

  #every(ms: number, work: () => void): void {
    const timer = setInterval(work, ms);
    this.#ends.push(() => clearInterval(timer));
  }
}
