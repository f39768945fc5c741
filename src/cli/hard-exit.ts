/**
 * The end of a program with a thread that waits in the kernel, for a file system that hangs say: Node waits for all its
 * threads before it ends, and would wait for good.
 * @module
 */
let isHard = false;

/** From now on the program ends, when it does, without waiting for its threads. Shells see exit status 137. */
export function endHard(): void {
  if (isHard) return;
  isHard = true;
  // After what others do at the exit: they came first.
  process.once('exit', () => process.kill(process.pid, 'SIGKILL'));
}
