/**
 * What `native/src/system.cc` exports: descriptors, waiting, network namespaces.
 * @module
 */
import { addon } from './addon.ts';
import { check } from './system-error.ts';

export interface SystemFunctions {
  closeFd(fd: number): number;
  /** @param fds the bytes of an `Int32Array` */
  wait(fds: Uint8Array, ready: Uint8Array, timeoutMs: number): number;
  eventFd(): number;
  wake(fd: number): number;
  drain(fd: number): number;
  openNetns(path: string): number;
  enterNetns(fd: number): number;
  /** @param fd a socket, whose network namespace counts @returns bytes, or `-ENODEV` */
  interfaceMtu(fd: number, name: string): number;
  /** @param us of the calling thread, 100 to 100,000 @returns 0, or `-ENOTSUP` before Linux 6.12 */
  takeSlice(us: number): number;
}

/**
 * Runs `work` with the calling thread in another network namespace, and always comes back. Descriptors that it
 * opens stay in that namespace. `work` must not be async: the thread has come back when its promise goes on.
 * @param name as `ip netns` names it, or a path when it holds a slash; `undefined` stays here
 * @throws {SystemError} when there is no such namespace, or no right to enter it
 */
export function inNetns<T>(name: string | undefined, work: () => T): T {
  if (name === undefined) return work();
  const native = addon();
  const path = name.includes('/') ? name : `/run/netns/${name}`;
  const home = check(native.openNetns('/proc/thread-self/ns/net'), 'open /proc/thread-self/ns/net');
  try {
    const there = check(native.openNetns(path), `open ${path}`, { ENOENT: `Make it: ip netns add ${name}.` });
    try {
      check(native.enterNetns(there), 'setns', { EPERM: 'Run as root (CAP_SYS_ADMIN).' });
    } finally {
      native.closeFd(there);
    }
    try {
      return work();
    } finally {
      check(native.enterNetns(home), 'setns');
    }
  } finally {
    native.closeFd(home);
  }
}

/** Waits for a set of descriptors, and can be woken from another thread. */
export class Poller {
  /** For {@link wakePoller}, in whatever thread. */
  readonly wakeFd: number;
  readonly #native = addon();
  readonly #ownsWake: boolean;
  readonly #fds: Uint8Array;
  readonly #ready: Uint8Array;

  /**
   * @param wakeFd of {@link openWake}, which stays the caller's; left out, the poller has one of its own
   * @throws {SystemError} when the process has no descriptor left
   */
  constructor(fds: readonly number[], wakeFd?: number) {
    this.#ownsWake = wakeFd === undefined;
    this.wakeFd = wakeFd ?? openWake();
    this.#fds = new Uint8Array(Int32Array.of(...fds, this.wakeFd).buffer);
    this.#ready = new Uint8Array(fds.length + 1);
  }

  /** Sleeps until a descriptor can be read, it is woken, or `timeoutMs` are over. */
  wait(timeoutMs: number): void {
    this.#native.wait(this.#fds, this.#ready, Math.ceil(timeoutMs));
    if (this.#ready[this.#ready.length - 1] === 1) this.#native.drain(this.wakeFd);
  }

  close(): void {
    if (this.#ownsWake) this.#native.closeFd(this.wakeFd);
  }
}

/**
 * Makes what a {@link Poller} is woken by, for one that outlives it: who still wakes a closed one would write to whatever
 * has its number by then.
 * @throws {SystemError} when the process has no descriptor left
 */
export function openWake(): number {
  return check(addon().eventFd(), 'eventfd');
}

/** Closes what {@link openWake} made. */
export function closeWake(wakeFd: number): void {
  addon().closeFd(wakeFd);
}

/** Wakes the thread that waits at a {@link Poller}. */
export function wakePoller(wakeFd: number): void {
  addon().wake(wakeFd);
}
