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
