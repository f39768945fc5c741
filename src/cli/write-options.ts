/**
 * The options of commands that write packets to a file: `-w`, `--wire` and `--with-secrets`.
 * @module
 */
import type { Command } from 'commander';
import { InputError } from '../base/errors.ts';
import { type FrameNames, ONE_CAPTURE } from '../capture/frame-id.ts';
import type { PacketFile } from './packet-file.ts';

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
export async function openPacketFile(
  { write, wire, withSecrets }: WriteOptions,
  names: FrameNames = ONE_CAPTURE,
): Promise<PacketFile | undefined> {
  if (wire && write === undefined)
    throw new InputError({ source: '--wire' }, 'there is no file to write to', 'Give -w OUT.pcapng.');
  if (withSecrets && !wire)
    throw new InputError(
      { source: '--with-secrets' },
      'clear packets need no keys',
      'Give --wire too: the frames as they came, with the keys that open them.',
    );
  if (write === undefined) return undefined;
  const { PacketFile } = await import('./packet-file.ts');
  return new PacketFile(write, wire ?? false, withSecrets ?? false, names);
}
