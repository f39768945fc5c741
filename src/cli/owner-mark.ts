/**
 * Marks what a killed run may leave behind with the process that made it, so that a later run can tell whether that
 * process is gone. A process id means nothing in another PID namespace, and containers may share `/run/netns` and
 * `/tmp`: outside the host's own PID namespace, the mark names the namespace too.
 * @module
 */
import { readlinkSync } from 'node:fs';

/** Inode of the first PID namespace (`PROC_PID_INIT_INO` of Linux). */
const HOST = '4026531836';
const MARK = /^(\d+)(?:-(\d+))?$/;

/** `PID`, or `PID-NAMESPACE` in a container. */
export function ownerMark(pid: number): string {
  const namespace = pidNamespace();
  return namespace === HOST ? `${pid}` : `${pid}-${namespace}`;
}

/** Was this mark made in this PID namespace, by a process that is gone? */
export function isOwnerGone(mark: string): boolean {
  const [, pid, namespace = HOST] = MARK.exec(mark) ?? [];
  if (pid === undefined || namespace !== pidNamespace()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** The inode of this process's PID namespace; the host's where /proc does not tell. */
function pidNamespace(): string {
  try {
    return /\[(\d+)\]/.exec(readlinkSync('/proc/self/ns/pid'))?.[1] ?? HOST;
  } catch {
    return HOST;
  }
}
