/**
 * The frames of a capture as they came, as pcapng: dropped ones with the reason, and if asked for with the keys that open
 * them, so that the file alone is enough for Wireshark. Keys come before the first frame that needs them, once each: of SAs
 * that opened a packet, or that are the only ones known for it.
 *
 * It is told all that a reader of captures tells, and of each frame its ESP records before the frame itself.
 * @module
 */
import type { CaptureInterface, CaptureSection, FrameInfo } from '../capture/frame.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import type { PcapngWriter } from '../capture/pcapng-writer.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { writeDsbCsv, writeGone, writePorts } from '../sa-text/dsb-csv.ts';
import { isAtOneOf } from '../sa-text/sa-source.ts';
import { PASS } from '../wire/packet.ts';
import type { EspEvent } from './esp-event.ts';
import { dropText } from './esp-words.ts';
import type { CaptureSink } from './session.ts';

export interface WirePacketsOptions {
  readonly withSecrets: boolean;
  /** Told, a line each, which SAs no secrets block can hold. */
  readonly warn?: (line: string) => void;
}

export class WirePackets implements CaptureSink {
  readonly #writer: PcapngWriter;
  readonly #options: WirePacketsOptions;
  readonly #written = new Set<SaConfig>();
  #holdsKeys = false;
  #packets = 0;

  constructor(writer: PcapngWriter, options: WirePacketsOptions) {
    this.#writer = writer;
    this.#options = options;
  }

  /** How many ESP packets it has taken. */
  get packets(): number {
    return this.#packets;
  }

  /** Does the file hold keys by now? */
  get holdsKeys(): boolean {
    return this.#holdsKeys;
  }

  /** Takes an ESP packet of the frame that comes next. */
  packet(r: EspEvent): void {
    this.#packets++;
    if (r.verdict !== PASS) this.#writer.comment(dropText(r));
    const sa = r.sa?.config;
    if (!this.#options.withSecrets) return;
    if (sa && (r.isOpened || r.stream?.contenders.configs.length === 1)) this.#addKeys(sa, r.seqHi);
    if (r.openedBy && r.openedBy !== sa) this.#addKeys(r.openedBy, r.seqHi);
  }

  #addKeys(sa: SaConfig, seqHi: number): void {
    if (this.#written.has(sa)) return;
    this.#written.add(sa);
    this.#holdsKeys = true;
    // Wireshark does not look for the high half: it is told what it is here.
    const sequence = { seqHi, seq: 0, oseqHi: seqHi, oseq: 0 };
    const csv = writeDsbCsv([sa.esn ? { ...sa, sequence } : sa], { showKeys: true }, this.#options.warn);
    if (csv !== '')
      this.#writer.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(`${writePorts([sa])}${csv}`));
  }

  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.#writer.frame(b, at, end, info);
  }

  section(section: CaptureSection): void {
    this.#writer.section(section);
  }

  interface(description: CaptureInterface): void {
    this.#writer.interface(description);
  }

  comment(text: string): void {
    this.#writer.comment(text);
  }

  /** The capture has taken SAs away. */
  forget(places: readonly SaPlace[]): void {
    if (places.length === 0) return;
    const gone = [...this.#written].filter(isAtOneOf(places));
    for (const sa of gone) this.#written.delete(sa);
    if (gone.length > 0) this.#writer.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(writeGone(gone)));
  }

  /** Secrets of other protocols stay beside their packets; those of ESP are written anew. */
  secrets(type: number, data: Uint8Array): void {
    if (this.#options.withSecrets && type !== SECRETS_TYPE_ESP) this.#writer.secrets(type, data);
  }
}
