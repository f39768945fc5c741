/**
 * A system call that failed: which one, why, and what to do about it.
 * @module
 */
import { getSystemErrorName } from 'node:util';
import { EsplaneError } from '../base/errors.ts';

/** What to do, by the name of the error: `{ EPERM: 'Run as root (CAP_NET_ADMIN).' }`. Full sentences. */
export type Remedies = Readonly<Record<string, string>>;

export class SystemError extends EsplaneError {
  override readonly name = 'SystemError';
  /** `EPERM`, `ENODEV` … */
  readonly errno: string;
  /** The call with its object, for people: `open /dev/net/tun`. */
  readonly syscall: string;

  constructor(errno: string, syscall: string, remedy: string) {
    super('ERR_SYSTEM', `${syscall}: ${errno}. ${remedy}`);
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** Errors of Linux that Node has no name for. */
const UNKNOWN_TO_NODE: Readonly<Record<number, string>> = { 77: 'EBADFD' };

const USUAL: Remedies = {
  EPERM: 'Run as root, or with CAP_NET_ADMIN and CAP_NET_RAW.',
  EACCES: 'Run as root, or with CAP_NET_ADMIN and CAP_NET_RAW.',
  EMFILE: 'Raise the limit of open files: ulimit -n.',
  ENODEV: 'The interface is gone: look with ip link.',
  ENETDOWN: 'The interface is down: ip link set dev NAME up.',
  EADDRINUSE: 'Another program has this address and port: look with ss -ulnp.',
};

/**
 * Passes on what a function of the addon returned.
 * @param result what it returned: negative is `-errno`
 * @throws {SystemError} when it is negative
 */
export function check(result: number, syscall: string, remedies: Remedies = {}): number {
  if (result >= 0) return result;
  const errno = UNKNOWN_TO_NODE[-result] ?? getSystemErrorName(result);
  throw new SystemError(
    errno,
    syscall,
    remedies[errno] ?? USUAL[errno] ?? 'esplane doctor shows what this host allows.',
  );
}
