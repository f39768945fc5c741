/**
 * Counters of the kernel that only stand in files of `/proc/net`: packets that it dropped because they were not read fast enough.
 *
 * A file that is open stays with the network namespace in which it was opened, wherever the thread is later.
 * @module
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const CHUNK = 1 << 16;

/** Looks into one file of `/proc/net` again and again. */
export class ProcNetFile {
  readonly #fd: number | undefined;
  readonly #buffer = new Uint8Array(CHUNK);
  readonly #row: RegExp;

  /**
   * Opens it for the network namespace of the calling thread. Without `/proc` there is nothing to be seen in it.
   * @param name such as `dev` or `udp6`
   * @param row finds the figure, as its first group
   */
  constructor(name: string, row: RegExp) {
    this.#row = row;
    try {
      this.#fd = openSync(`/proc/thread-self/net/${name}`, 'r');
    } catch {
      this.#fd = undefined;
    }
  }

  /** The figure now; `undefined` when it is not there. */
  look(): number | undefined {
    if (this.#fd === undefined) return undefined;
    const match = this.#row.exec(this.#read(this.#fd));
    return match ? Number(match[1]) : undefined;
  }

  #read(fd: number): string {
    const decoder = new TextDecoder();
    let text = '';
    try {
      for (let at = 0; ; ) {
        const n = readSync(fd, this.#buffer, 0, CHUNK, at);
        if (n === 0) return text;
        text += decoder.decode(this.#buffer.subarray(0, n), { stream: true });
        at += n;
      }
    } catch {
      return '';
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
  }
}

/** Packets that an interface had to send and dropped. */
export function deviceDrops(name: string): ProcNetFile {
  // Eight figures of what it received, then bytes, packets, errors and drops of what it sent.
  return new ProcNetFile('dev', new RegExp(`^ *${literal(name)}:(?: *\\d+){8}(?: +\\d+){3} +(\\d+) `, 'm'));
}

/**
 * Packets that the kernel had for a UDP or raw socket and dropped.
 * @param table `udp`, `udp6`, `raw` or `raw6`
 */
export function socketDrops(fd: number, table: string): ProcNetFile {
  // Slot, both addresses, state, queues, timer, retransmissions, user and timeout before the inode; drops are last.
  const { ino } = fstatSync(fd);
  return new ProcNetFile(table, new RegExp(`^ *\\d+:(?: +\\S+){8} +${ino} .* (\\d+) *$`, 'm'));
}

function literal(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
