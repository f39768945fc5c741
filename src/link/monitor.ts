/**
 * Frames of an interface as they pass, in both directions, as tcpdump sees them: a stream of a pcap file's bytes, so that
 * a reader of captures reads a live one too. Nothing is sent.
 * @module
 */

import { constants } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { PcapWriter } from '../capture/pcap-writer.ts';
import { addon } from '../native/addon.ts';
import { Poller } from '../native/system.ts';
import { check, SystemError } from '../native/system-error.ts';

export interface MonitorOptions {
  /** A name, or `any` for all of them. */
  readonly device: string;
  /** Also frames that are for others. */
  readonly promiscuous?: boolean;
  /** A classic BPF program (see `capture-filter.ts`); left out, everything passes. */
  readonly filter?: Uint8Array;
}

/** Room for some hundred frames, and for the longest. */
const BUFFER = 1 << 20;
/** How long a wait may keep the thread from anything else, such as Ctrl-C, in ms. */
const WAIT = 50;

export class Monitor {
  readonly device: string;
  readonly linkType: number;
  readonly #native = addon();
  readonly #fd: number;
  readonly #poller: Poller;
  #isClosed = false;

  /** @throws {SystemError} without the right, or without the interface */
  constructor({ device, promiscuous = false, filter = new Uint8Array(0) }: MonitorOptions) {
    this.device = device;
    const type = new Uint32Array(1);
    this.#fd = check(
      this.#native.monitorOpen(device, promiscuous ? 1 : 0, filter, new Uint8Array(type.buffer)),
      `listen on ${device}`,
      {
        EPERM: 'Run as root, or with CAP_NET_RAW; or let tcpdump do it: tcpdump -U -w - | esplane capture -.',
        ENODEV: `There is no interface ${device}: look with ip link.`,
      },
    );
    this.linkType = type[0]!;
    try {
      this.#poller = new Poller([this.#fd]);
    } catch (error) {
      this.#native.closeFd(this.#fd);
      throw error;
    }
  }

  /** Frames that the kernel had to drop since the last call, because they were not read in time. */
  dropped(): number {
    return Math.max(0, this.#native.monitorDropped(this.#fd));
  }

  /**
   * The stream, until {@link close}: a file header, then whole records. A chunk is the caller's until the next one is
   * asked for. An empty chunk says that nothing came for a while.
   * @throws {SystemError} when the interface is gone
   */
  async *chunks(): AsyncGenerator<Uint8Array> {
    yield fileHeader(this.linkType);
    const buffer = new Uint8Array(BUFFER);
    while (!this.#isClosed) {
      const n = this.#native.monitorRead(this.#fd, this.linkType, buffer);
      if (n > 0) yield buffer.subarray(0, n);
      else {
        // An interface that is down may come back, one that was removed does not, and says nothing.
        if (n !== 0 && n !== -constants.errno.ENETDOWN) check(n, `listen on ${this.device}`);
        if (this.#native.monitorGone(this.#fd) !== 0) throw gone(this.device);
        yield buffer.subarray(0, 0);
        if (!this.#isClosed) this.#poller.wait(WAIT);
      }
      // Signals, and what is to be written.
      await setImmediate();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#poller.close();
    this.#native.closeFd(this.#fd);
  }
}

function gone(device: string): SystemError {
  return new SystemError('ENODEV', `listen on ${device}`, 'The interface was removed: look with ip link.');
}

function fileHeader(linkType: number): Uint8Array {
  let header = new Uint8Array(0);
  new PcapWriter(
    (bytes) => {
      header = new Uint8Array(bytes);
    },
    { linkType, resolution: 'ns' },
  ).flush();
  return header;
}
