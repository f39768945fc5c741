/**
 * What `-w` writes: the clear packets, or the frames as they were on the wire, if asked for with the keys that open
 * them, so that the file alone is enough for Wireshark.
 * @module
 */
import type { Command } from 'commander';
import { InputError } from '../base/errors.ts';
import type { CaptureInterface, CaptureSection, FrameInfo } from '../capture/frame.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import { clearInterface, putClear } from '../inspect/clear-packets.ts';
import type { Admission, EspRecord } from '../inspect/decrypt.ts';
import { WirePackets } from '../inspect/wire-packets.ts';
import type { SaPlace } from '../ipsec/sa-config.ts';
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
export function openPacketFile({ write, wire, withSecrets }: WriteOptions): PacketFile | undefined {
  if (wire && write === undefined)
    throw new InputError({ source: '--wire' }, 'there is no file to write to', 'Give -w OUT.pcapng.');
  if (withSecrets && !wire)
    throw new InputError(
      { source: '--with-secrets' },
      'clear packets need no keys',
      'Give --wire too: the frames as they came, with the keys that open them.',
    );
  if (write === undefined) return undefined;
  return wire ? new WireFile(write, withSecrets ?? false) : new ClearFile(write);
}

/** A pcapng file that is named when it is whole. It is told everything, and writes what it is for. */
export abstract class PacketFile {
  readonly #file: OutputFile;
  protected readonly writer: PcapngWriter;
  protected packets = 0;

  constructor(name: string) {
    this.#file = new OutputFile(name);
    this.writer = new PcapngWriter((bytes) => this.#file.write(bytes));
  }

  /** True when {@link frame} has to come after the records of that frame, with the frame's bytes as they were. */
  abstract readonly wantsFrames: boolean;
  /** Which SA the next packet is opened with. */
  admit(_admission: Admission): void {}
  /** Takes an ESP packet. */
  abstract add(record: EspRecord): void;
  frame(_b: Uint8Array, _at: number, _end: number, _info: FrameInfo): void {}
  section(_section: CaptureSection): void {}
  interface(_description: CaptureInterface): void {}
  comment(_text: string): void {}
  secrets(_type: number, _data: Uint8Array): void {}
  /** The capture has taken SAs away. */
  forget(_places: readonly SaPlace[]): void {}

  /** Hands what there is to the file. */
  flush(): void {
    this.writer.flush();
  }

  /** Gives the whole file its name. */
  finish(): void {
    this.writer.flush();
    this.#file.finish();
  }

  /**
   * Ends the file where the work ended.
   * @returns the name it is kept under, or `undefined` when nothing was in it, or nothing is kept
   */
  stopEarly(): string | undefined {
    if (this.packets === 0) {
      this.#file.discard();
      return undefined;
    }
    this.writer.flush();
    return this.#file.keepPart();
  }
}

/** The clear packets as raw IP packets. */
class ClearFile extends PacketFile {
  readonly wantsFrames = false;
  readonly #interfaceId: number;

  constructor(name: string) {
    super(name);
    this.#interfaceId = clearInterface(this.writer);
  }

  add(r: EspRecord): void {
    if (r.verdict !== PASS) return;
    this.packets++;
    putClear(this.writer, this.#interfaceId, r);
  }
}

/** The frames as they were. */
class WireFile extends PacketFile {
  readonly wantsFrames = true;
  readonly #wire: WirePackets;

  constructor(name: string, withSecrets: boolean) {
    super(name);
    this.#wire = new WirePackets(this.writer, {
      withSecrets,
      warn: (line) => say(`warning: not in the secrets block: ${line}`),
    });
  }

  override admit(admission: Admission): void {
    this.#wire.admit(admission);
  }

  add(r: EspRecord): void {
    this.packets++;
    this.#wire.add(r);
  }

  override frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.#wire.frame(b, at, end, info);
  }

  override section(section: CaptureSection): void {
    this.#wire.section(section);
  }

  override interface(description: CaptureInterface): void {
    this.#wire.interface(description);
  }

  override comment(text: string): void {
    this.#wire.comment(text);
  }

  override forget(places: readonly SaPlace[]): void {
    this.#wire.forget(places);
  }

  override secrets(type: number, data: Uint8Array): void {
    this.#wire.secrets(type, data);
  }

  override finish(): void {
    super.finish();
    if (this.#wire.holdsKeys) say('warning: the file holds keys: treat it so.');
  }
}
