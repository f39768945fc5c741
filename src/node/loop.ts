/**
 * The loop that drives a real node: reads batches from devices as long as there are any, and sleeps when there are
 * none. Everything that a batch sets off happens in its read, in one thread, in place: nothing queues up between
 * the links, so a full link holds back the one that feeds it.
 * @module
 */
import type { Clock } from '../base/clock.ts';
import type { DeviceLink } from '../link/link.ts';

/** Batches read from one link before the others have their turn. */
const BATCHES_A_TURN = 4;
/** Longest sleep, ms: a chore that another thread set off does not wait longer. */
const LONGEST_SLEEP = 1000;
/**
 * Something long takes one part in so many of the time: few packets then meet it, and it ends later. Between its pieces the
 * thread sleeps, if there are no packets: a thread that never sleeps is made to wait by the scheduler, for 4 ms at 250 Hz,
 * once something else wants to run.
 */
const WORK_SHARE = 20;

/** Something to do now and then, between batches. */
export interface Chore {
  /** ms between two runs. */
  readonly every: number;
  run(): void;
}

export interface LoopOptions {
  readonly links: readonly DeviceLink[];
  /** Sleeps until a link can be read, another thread wakes this one, or the time is over. */
  readonly wait: (timeoutMs: number) => void;
  readonly clock: Pick<Clock, 'now'>;
  readonly chores?: readonly Chore[];
  /** Something long, a little of it in a turn. Returns whether there is more to do. */
  readonly work?: () => boolean;
  /** Asked before every turn; true ends the loop. */
  readonly stopped: () => boolean;
}

/**
 * Runs until {@link LoopOptions.stopped} says so.
 * @throws {SystemError} when a device is gone for good
 */
export function runLoop({ links, wait, clock, chores = [], work, stopped }: LoopOptions): void {
  const due = new Float64Array(chores.length);
  let last = clock.now();
  let workAt = last;
  let isMore = false;
  for (let k = 0; k < chores.length; k++) due[k] = last + chores[k]!.every;
  while (!stopped()) {
    const read = pumpAll(links);
    let now = clock.now();
    // A clock that was set back would let the chores wait for as long as it was set back.
    if (now < last) {
      for (let k = 0; k < chores.length; k++) due[k] = now;
      workAt = now;
    }
    last = now;
    let next = now + LONGEST_SLEEP;
    for (let k = 0; k < chores.length; k++) {
      if (now >= due[k]!) {
        chores[k]!.run();
        due[k] = now + chores[k]!.every;
      }
      if (due[k]! < next) next = due[k]!;
    }
    // After the chores: what one of them begins goes on without a sleep.
    if (work) {
      if (now >= workAt) {
        isMore = work();
        if (isMore) {
          const ended = clock.now();
          workAt = ended + (WORK_SHARE - 1) * (ended - now);
          now = ended;
        }
      }
      if (isMore) next = Math.min(next, workAt);
    }
    if (read === 0 && next > now) wait(next - now);
  }
}

/** One turn over all links. Returns how many packets it read. */
function pumpAll(links: readonly DeviceLink[]): number {
  let read = 0;
  for (let k = 0; k < links.length; k++) {
    const link = links[k]!;
    for (let batches = 0; batches < BATCHES_A_TURN; batches++) {
      const packets = link.pump();
      read += packets;
      if (packets === 0) break;
    }
  }
  return read;
}
