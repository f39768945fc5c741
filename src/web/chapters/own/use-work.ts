/**
 * The page's side of the worker: one at a time, ended, and its memory given back, when it is not wanted any more.
 *
 * The worker runs the page's own script, as a Blob: a page from a disk may load no other.
 * @module
 */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Explanation } from '../../../inspect/explain/tree.ts';
import type { Order, OwnInput, OwnResult, OwnRow, Report, Saved } from '../../model/own-messages.ts';
import { saveBlob } from '../../parts/download.tsx';

/** How far an order is. */
export interface Progress {
  readonly of: Order['type'];
  readonly done: number;
  readonly size: number;
}

/** What the worker has said so far. */
export interface Work {
  readonly rows: readonly OwnRow[];
  /** Dropped packets beyond the rows. */
  readonly dropped: readonly OwnRow[];
  readonly result?: OwnResult;
  readonly progress?: Progress | undefined;
  readonly shown?: { readonly frame: number; readonly explanation: Explanation } | undefined;
  readonly problem?: string | undefined;
}

const NOTHING: Work = { rows: [], dropped: [] };

export interface Worked {
  readonly work: Work;
  /** Reads what there is, in a new worker. */
  read(input: OwnInput): void;
  explain(frame: number): void;
  /** @param name of the file */
  save(what: Saved, name: string): void;
  /** Ends everything. @param problem what to say then */
  stop(problem?: string): void;
}

export function useWork(): Worked {
  const [work, setWork] = useState<Work>(NOTHING);
  const worker = useRef<Worker>();
  const names = useRef<Partial<Record<Saved, string>>>({});

  const stop = useCallback((problem?: string) => {
    worker.current?.terminate();
    worker.current = undefined;
    setWork(problem === undefined ? NOTHING : { ...NOTHING, problem });
  }, []);
  useEffect(() => stop, [stop]);

  const tell = (order: Order) => {
    worker.current?.postMessage(order);
    setWork((now) => ({ ...now, problem: undefined, progress: { of: order.type, done: 0, size: 0 } }));
  };

  const read = (input: OwnInput) => {
    stop();
    const mine = startWorker();
    worker.current = mine;
    mine.onmessage = ({ data }: MessageEvent<Report>) => {
      if (worker.current !== mine) return;
      if (data.type === 'saved') saveBlob(data.blob, names.current[data.what]!);
      setWork((now) => told(now, data));
    };
    mine.onerror = (event) => {
      event.preventDefault();
      if (worker.current === mine) stop(`esplane failed here: ${event.message}`);
    };
    tell({ type: 'read', input });
  };

  return {
    work,
    read,
    explain: (frame) => tell({ type: 'explain', frame }),
    save: (what, name) => {
      names.current[what] = name;
      tell({ type: 'save', what });
    },
    stop,
  };
}

function told(now: Work, report: Report): Work {
  switch (report.type) {
    case 'progress':
      return { ...now, progress: report };
    case 'rows':
      return {
        ...now,
        rows: [...now.rows, ...report.rows],
        dropped: [...now.dropped, ...report.dropped],
      };
    case 'result':
      return { ...now, result: report.result, progress: undefined };
    case 'explanation':
      return { ...now, shown: report, progress: undefined };
    case 'saved':
      return { ...now, progress: undefined };
    case 'failed':
      return { ...now, problem: report.problem, progress: undefined };
  }
}

function startWorker(): Worker {
  const script = document.getElementById('lab')!.textContent;
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const worker = new Worker(url);
  // It has been asked for; the address is of no use to anybody else.
  URL.revokeObjectURL(url);
  return worker;
}
