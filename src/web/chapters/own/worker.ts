/**
 * The worker's side: takes orders, and reports. A new order of a kind ends the one before it.
 * @module
 */
import { EsplaneError } from '../../../base/errors.ts';
import { OwnCase } from '../../model/own-case.ts';
import type { Order, Report } from '../../model/own-messages.ts';

/** What the global object of a worker has; the types of pages do not know it. */
interface WorkerScope {
  postMessage(report: Report): void;
  onmessage: ((event: MessageEvent<Order>) => void) | null;
}

/** Is this script the page's worker, and not the page? */
export function isWorker(): boolean {
  return typeof document === 'undefined';
}

/** Begins to take orders. */
export function work(): void {
  const scope = globalThis as unknown as WorkerScope;
  const latest = new Map<Order['type'], Order>();
  let own: OwnCase | undefined;

  const obey = async (order: Order): Promise<void> => {
    const onProgress = (done: number, size: number) => {
      if (latest.get(order.type) !== order) return false;
      scope.postMessage({ type: 'progress', of: order.type, done, size });
      return true;
    };
    if (order.type === 'read') {
      own = new OwnCase(order.input);
      const onRows = (rows: Extract<Report, { type: 'rows' }>['rows'], dropped: typeof rows) =>
        scope.postMessage({ type: 'rows', rows, dropped });
      scope.postMessage({ type: 'result', result: await own.read(onRows, onProgress) });
    } else if (order.type === 'explain') {
      const explanation = await own!.explain(order.frame, onProgress);
      if (explanation && latest.get('explain') === order)
        scope.postMessage({ type: 'explanation', frame: order.frame, explanation });
    } else {
      const blob = await own!.save(order.what, onProgress);
      if (blob) scope.postMessage({ type: 'saved', what: order.what, blob });
    }
  };

  scope.onmessage = async ({ data: order }) => {
    latest.set(order.type, order);
    try {
      await obey(order);
    } catch (error) {
      const problem = error instanceof EsplaneError ? error.message : `esplane failed here: ${error}`;
      scope.postMessage({ type: 'failed', of: order.type, problem });
    }
  };
}
