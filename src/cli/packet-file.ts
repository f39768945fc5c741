/**
 * What `-w` writes: the clear packets, or the frames as they were on the wire, if asked for with the keys that open
 * them, so that the file alone is enough for Wireshark.
 * @module
 */
import type { FrameNames } from '../capture/frame-id.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import { clearInterface, putClear } from '../inspect/clear-packets.ts';
import type { CaptureSink } from '../inspect/session.ts';
import { WirePackets } from '../inspect/wire-packets.ts';
import { PASS } from '../wire/packet.ts';
import { warn } from './output.ts';
import { OutputFile } from './output-file.ts';

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
      const left = (line: string) => warn(`not in the secrets block: ${line}`);
      this.#wire = new WirePackets(writer, { withSecrets, warn: left });
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
    if (this.#wire?.holdsKeys) warn('the file holds keys: treat it so.');
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
