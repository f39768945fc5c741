/**
 * The data plane's end of what control sends: taken, and applied as plans, a slice at a time between batches of packets.
 * @module
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { CONTROL, type FromPlane, type StartFacts, type ThreadData, type ToPlane } from './node-threads.ts';
import { type NumberedPlan, PlanDecoder } from './plan-delta.ts';

/** ms of work on a plan between two batches: packets may wait for as long at each node on their way. */
const SLICE = 0.3;
/** ms between two looks whether to stop, while the first plan is awaited. */
const LOOK_EVERY = 100;

/** The way from one plan to the next. */
export interface Change {
  /**
   * Goes on with it until `isEnough` says so.
   * @returns whether it is done
   * @throws {EsplaneError} when it cannot be made; the node then holds what it held
   */
  step(isEnough: () => boolean): boolean;
}

export interface IntakeEvents {
  /** Begins with a plan. */
  change(next: NumberedPlan): Change;
  insideMtu(mtu: number): void;
}

export class PlanIntake {
  readonly #port: MessagePort;
  readonly #control: Int32Array;
  readonly #decoder = new PlanDecoder();
  /** Messages taken. */
  #taken = 0;
  #events: IntakeEvents | undefined;
  #next: NumberedPlan | undefined;
  #under: { readonly number: number; readonly change: Change } | undefined;
  constructor({ port, control }: Pick<ThreadData, 'port' | 'control'>) {
    this.#port = port;
    this.#control = control;
  }

  /**
   * Waits for the first plan; control may take seconds over it.
   * @returns `undefined` when it is told to stop instead
   */
  first(): { readonly facts: StartFacts; readonly loaded: NumberedPlan } | undefined {
    let facts: StartFacts = { kind: 'start' };
    for (;;) {
      const message = this.#receive();
      if (message?.kind === 'start') facts = message;
      else if (message && message.kind !== 'inside-mtu') {
        const loaded = this.#decoder.take(message);
        if (loaded) return { facts, loaded };
      }
      if (message) continue;
      if (Atomics.load(this.#control, CONTROL.STOP) === 1) return undefined;
      Atomics.wait(this.#control, CONTROL.SENT, this.#taken, LOOK_EVERY);
    }
  }

  /** From now on plans are applied. Says that the first one is. */
  start(first: NumberedPlan, events: IntakeEvents): void {
    this.#events = events;
    this.answer({ kind: 'held', number: first.number });
  }

  /** Where the row of an SA of a plan is in the state file. */
  rowOf(config: SaConfig): number | undefined {
    return this.#decoder.rowOf(config);
  }

  answer(message: FromPlane): void {
    this.#port.postMessage(message);
  }

  /**
   * Does a little of what there is to do.
   * @returns whether there is more
   */
  step(): boolean {
    if (!this.#isSent && !this.#next && !this.#under) return false;
    const end = performance.now() + SLICE;
    while (this.#isSent && performance.now() < end) this.#take();
    // A plan that is under way is finished first, then the newest is next.
    if (!this.#under && this.#next) this.#begin(this.#next);
    else if (this.#under && performance.now() < end) this.#goOn(end);
    return true;
  }

  get #isSent(): boolean {
    return Atomics.load(this.#control, CONTROL.SENT) !== this.#taken;
  }

  #take(): void {
    const message = this.#receive();
    if (!message) return;
    if (message.kind === 'inside-mtu') this.#events!.insideMtu(message.mtu);
    else if (message.kind !== 'start') this.#next = this.#decoder.take(message) ?? this.#next;
  }

  #begin(next: NumberedPlan): void {
    this.#next = undefined;
    const { number } = next;
    this.#try(number, () => {
      this.#under = { number, change: this.#events!.change(next) };
    });
  }

  #goOn(end: number): void {
    const { number, change } = this.#under!;
    this.#try(number, () => {
      if (!change.step(() => performance.now() >= end)) return;
      this.#under = undefined;
      this.answer({ kind: 'held', number });
    });
  }

  /** What cannot be applied leaves the plan before, and control says so. */
  #try(number: number, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#under = undefined;
      this.answer({ kind: 'held', number, problem: (error as Error).message });
    }
  }

  #receive(): ToPlane | undefined {
    const received = receiveMessageOnPort(this.#port) as { readonly message: ToPlane } | undefined;
    if (!received) return undefined;
    this.#taken = (this.#taken + 1) | 0;
    return received.message;
  }
}
