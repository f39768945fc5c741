/**
 * What was made must go: at the end, on Ctrl-C, on SIGTERM, and when something throws.
 * @module
 */
import { constants } from 'node:os';

const undos = new Set();

/**
 * Keeps a function that undoes something, to be run when the process ends, the newest first.
 * @param undo synchronous: there is no later
 * @returns forgets it, for when it was undone in good order
 */
export function atExit(undo) {
  if (undos.size === 0) listen();
  undos.add(undo);
  return () => undos.delete(undo);
}

let listening = false;

function listen() {
  if (listening) return;
  listening = true;
  process.once('exit', () => {
    for (const undo of [...undos].reverse()) {
      try {
        undo();
      } catch (error) {
        console.error(`left behind: ${error.message}`);
      }
    }
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
}
