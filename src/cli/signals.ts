/**
 * Signals of a long-running command: the first one ends it in order, a second one at once.
 * @module
 */
interface Handlers {
  readonly stop: () => void;
  /** What SIGHUP asks for. Without it the terminal that closes ends the command, as it ends any other. */
  readonly reload?: () => void;
}

/** Exit status of a program that Ctrl-C ended, as shells expect it. */
export const EXIT_INTERRUPTED = 130;

/**
 * Installs the handlers.
 * @returns removes them again
 */
export function onSignals({ stop, reload }: Handlers): () => void {
  let asked = false;
  const end = () => {
    if (asked) process.exit(EXIT_INTERRUPTED);
    asked = true;
    stop();
  };
  const again = reload ?? end;
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  process.on('SIGHUP', again);
  return () => {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
    process.off('SIGHUP', again);
  };
}

/** Ctrl-C while a capture is read: what was read until then is worth having. A second one ends at once. */
export class Interrupt {
  isAsked = false;
  #wake: ((nothing: undefined) => void) | undefined;

  constructor() {
    process.once('SIGINT', () => {
      this.isAsked = true;
      this.#wake?.(undefined);
    });
  }

  /** Waits for what comes before the first frame. Ctrl-C ends the program there: nothing is worth keeping yet. */
  async orEnd<T>(work: Promise<T>): Promise<T> {
    this.#wake = () => process.exit(EXIT_INTERRUPTED);
    if (this.isAsked) process.exit(EXIT_INTERRUPTED);
    try {
      return await work;
    } finally {
      this.#wake = undefined;
    }
  }

  /** What `source` yields until Ctrl-C, also where it waits for more. */
  async *until<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    const items = source[Symbol.asyncIterator]();
    try {
      while (!this.isAsked) {
        const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
          this.#wake = resolve;
          items.next().then(resolve, reject);
        });
        if (next === undefined || next.done) return;
        yield next.value;
      }
    } finally {
      // One that still waits would not answer.
      if (!this.isAsked) await items.return?.();
    }
  }
}
