/**
 * What happened at a window, shortened for reading: packets in a row that met with the same fate are one entry.
 * @module
 */
import type { WindowEvent, WindowRun } from './window.ts';
import { explainEvent, type WindowVerdict } from './window-text.ts';

export interface LogEntry {
  readonly verdict: WindowVerdict;
  readonly kind: WindowEvent['kind'];
  readonly count: number;
  /** The first and the last of them. */
  readonly first: WindowEvent;
  readonly last: WindowEvent;
}

/** The log, oldest first. */
export function logOf(run: WindowRun): LogEntry[] {
  const log: LogEntry[] = [];
  for (const event of run.events) {
    const before = log.at(-1);
    if (before && isAlike(before.last, event)) {
      log[log.length - 1] = { ...before, count: before.count + 1, last: event };
      continue;
    }
    log.push({ verdict: explainEvent(event, run), kind: event.kind, count: 1, first: event, last: event });
  }
  return log;
}

/** Would the two be told in the same words, one after the other? */
function isAlike(a: WindowEvent, b: WindowEvent): boolean {
  return (
    a.action === b.action &&
    a.kind === b.kind &&
    a.drop === b.drop &&
    a.isTwice === b.isTwice &&
    step(a) === step(b) &&
    epoch(a) === epoch(b) &&
    (a.packet === undefined || b.packet?.number === a.packet.number + 1)
  );
}

/** How far the window moved: not at all, by one, or further. */
function step({ before, after }: WindowEvent): number {
  return Math.min(after - before, 2);
}

function epoch({ after }: WindowEvent): number {
  return Math.floor(after / 2 ** 32);
}
