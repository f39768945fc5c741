/**
 * What `-w` writes: the clear packets, or the frames as they were on the wire, if asked for with the keys that open
 * them, so that the file alone is enough for Wireshark.
 * @module
 */
import type { Command } from 'commander';
import { InputError } from '../base/errors.ts';
import { type FrameNames, ONE_CAPTURE } from '../capture/frame-id.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import { clearInterface, putClear } from '../inspect/clear-packets.ts';
import type { CaptureSink } from '../inspect/session.ts';
import { WirePackets } from '../inspect/wire-packets.ts';
import { PASS } from '../wire/packet.ts';
import { say } from './output.ts';
import { OutputFile } from './output-file.ts';

export interface WriteOptions {
  readonly write?: string;
  readonly wire?: boolean;
  readonly withSecrets?: boolean;
}

/** Adds `-w`, `--wire` and `--with-secrets` to a command. */
export function addWriteOptions(command: Command): Command {
  return command
    .option(
      '-w, --write <out.pcapng>',
      'write the clear packets, with their times and a comment each; - is standard output',
    )
    .option('--wire', 'with -w: write the frames as they came instead, dropped ones with the reason')
    .option(
      '--with-secrets',
      'with --wire: and the KEYS that open them, as a decryption secrets block; Wireshark 4.6 and esplane need no more',
    );
}

/**
 * Standard output is for one thing.
 * @param others options that would write to it too
 * @throws {InputError} when `-w -` and one of them are given
 */
export function checkStdout<T extends string>(
  options: WriteOptions & { readonly [name in T]?: unknown },
  others: readonly T[],
): void {
  if (options.write !== '-') return;
  const other = others.find((name) => options[name] === true);
  if (other !== undefined)
    throw new InputError(
      { source: '-w -' },
      `and --${other} would both write to standard output`,
      'Give -w a file.',
    );
  if (process.stdout.isTTY)
    throw new InputError({ source: '-w -' }, 'a terminal cannot show a capture', 'Pipe it into a program.');
}

/**
 * Opens the file that the options ask for.
 * @throws {InputError} when they contradict each other
 * @throws {EsplaneError} `ERR_OUTPUT` when the file cannot be made
 */
export function openPacketFile(
  { write, wire, withSecrets }: WriteOptions,
  names: FrameNames = ONE_CAPTURE,
): PacketFile | undefined {
  if (wire && write === undefined)
    throw new InputError({ source: '--wire' }, 'there is no file to write to', 'Give -w OUT.pcapng.');
  if (withSecrets && !wire)
    throw new InputError(
      { source: '--with-secrets' },
      'clear packets need no keys',
      'Give --wire too: the frames as they came, with the keys that open them.',
    );
  if (write === undefined) return undefined;
  return new PacketFile(write, wire ?? false, withSecrets ?? false, names);
}

/** A pcapng file that is named when it is whole. */
export class PacketFile {
  /** What is written. */
  readonly sink: CaptureSink;
  readonly #file: OutputFile;
  readonly #writer: PcapngWriter;
  readonly #wire: WirePackets | undefined;
  #packets = 0;

  /** @param wire frames as they came; else the clear packets, as raw IP packets */
  constructor(name: string, wire: boolean, withSecrets: boolean, names: FrameNames) {
    this.#file = new OutputFile(name);
    const writer = new PcapngWriter((bytes) => this.#file.write(bytes));
    this.#writer = writer;
    if (wire) {
      const warn = (line: string) => say(`warning: not in the secrets block: ${line}`);
      this.#wire = new WirePackets(writer, { withSecrets, warn });
      this.sink = this.#wire;
    } else {
      const interfaceId = clearInterface(writer);
      this.sink = {
        packet: (event) => {
          if (event.verdict !== PASS) return;
          this.#packets++;
          putClear(writer, interfaceId, event, names);
        },
      };
    }
  }

  /** Hands what there is to the file. */
  flush(): void {
    this.#writer.flush();
  }

  /** Gives the whole file its name. */
  finish(): void {
    this.#writer.flush();
    this.#file.finish();
    if (this.#wire?.holdsKeys) say('warning: the file holds keys: treat it so.');
  }

  /** Nothing was written that is worth keeping. */
  discard(): void {
    this.#file.discard();
  }

  /**
   * Ends the file where the work ended.
   * @returns the name it is kept under, or `undefined` when nothing was in it, or nothing is kept
   */
  stopEarly(): string | undefined {
    if (this.#packets + (this.#wire?.packets ?? 0) === 0) {
      this.#file.discard();
      return undefined;
    }
    this.#writer.flush();
    return this.#file.keepPart();
  }
}
