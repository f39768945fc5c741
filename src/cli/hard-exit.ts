/**
 * The end of a program with a thread that waits in the kernel, for a file system that hangs say: Node waits for all its
 * threads before it ends, and would wait for good.
 * @module
 */
import { isMainThread } from 'node:worker_threads';

let hanging = 0;

/**
 * Says that a thread hangs. While one does, the program ends without waiting for its threads; shells see exit status 137.
 * @returns to be called when it hangs no more
 */
export function hangs(): () => void {
  // A worker that hangs is the main thread's to look after.
  if (!isMainThread) return () => {};
  // After what others do at the exit: they came first.
  if (hanging++ === 0) process.on('exit', killIfHanging);
  let isBack = false;
  return () => {
    if (!isBack && --hanging === 0) process.off('exit', killIfHanging);
    isBack = true;
  };
}

/** Ends the program if a thread hangs; what waits for it would keep it. */
export function exitIfHanging(): void {
  if (hanging > 0) process.exit();
}

function killIfHanging(): void {
  process.kill(process.pid, 'SIGKILL');
}
