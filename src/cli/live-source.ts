/**
 * Where live packets come from: an interface of this host, or what tcpdump writes to standard input.
 * @module
 */
import { captureFilter } from '../link/capture-filter.ts';
import { Monitor } from '../link/monitor.ts';
import { unpackedCapture } from './files.ts';

/** After Ctrl-C tcpdump, which had it too, writes what it still holds, in ms. */
const LAST_WORDS = 300;

export interface LiveSource {
  /** For people. */
  readonly name: string;
  /** The bytes of a capture file as they come; an empty chunk is a pause. They end, after {@link stop} at the latest. */
  chunks(): AsyncGenerator<Uint8Array>;
  stop(): void;
  /** Frames that the kernel dropped because they were not read in time, since the last call. */
  dropped(): number;
  /** Gives everything back. */
  close(): void;
}

export interface InterfaceOptions {
  readonly all: boolean;
  readonly promiscuous: boolean;
  /** UDP ports that carry ESP beside 4500. */
  readonly udpPorts: readonly number[];
}

/** An interface. @throws {EsplaneError} without the right, the interface or the addon */
export function interfaceSource(
  device: string,
  { all, promiscuous, udpPorts }: InterfaceOptions,
): LiveSource {
  const monitor = new Monitor({ device, promiscuous, ...(!all && { filter: captureFilter(udpPorts) }) });
  let isStopped = false;
  return {
    name: device,
    async *chunks() {
      for await (const chunk of monitor.chunks()) {
        yield chunk;
        if (isStopped) return;
      }
    },
    stop: () => {
      isStopped = true;
    },
    dropped: () => monitor.dropped(),
    close: () => monitor.close(),
  };
}

/** Standard input, unpacked where it is packed. */
export function stdinSource(): LiveSource {
  let isStopped = false;
  return {
    name: '-',
    async *chunks() {
      try {
        yield* unpackedCapture(process.stdin, '-');
      } catch (error) {
        if (!isStopped) throw error;
      }
    },
    stop: () => {
      isStopped = true;
      setTimeout(() => process.stdin.destroy(), LAST_WORDS).unref();
    },
    dropped: () => 0,
    close: () => process.stdin.destroy(),
  };
}
