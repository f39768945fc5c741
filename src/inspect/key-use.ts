/**
 * How packets show Cilium's keys to be used: as they are, or derived for each tunnel. Where that is not what the version
 * says that was given, the packets decide.
 * @module
 */
import type { EspEvent } from './esp-event.ts';
import type { EspStream } from './esp-stream.ts';
import type { Evidence } from './evidence.ts';
import type { EspSink } from './receiver.ts';

/** `as it is, …`: to follow the name of a key. */
export function keyUse(isDerived: boolean): string {
  return isDerived
    ? 'derived for each tunnel, as Cilium from 1.17 on has it, and earlier ones with + after the key id'
    : 'as it is, not derived for each tunnel, as Cilium up to 1.16 has it without + after the key id';
}

/** Which keys are used another way than the version says. Looks at the first packet of a stream that opens. */
export class KeyUses implements EspSink {
  readonly #evidence: Evidence;
  readonly #looked = new WeakSet<EspStream>();
  /** Nearly always the next packet is of the same stream. */
  #last: EspStream | undefined;
  /** By key id: is it derived? */
  readonly #otherWay = new Map<number, boolean>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  packet(event: EspEvent): void {
    const { stream } = event;
    if (!stream || stream === this.#last) return;
    if (this.#looked.has(stream)) {
      this.#last = stream;
      return;
    }
    if (!event.authenticated) return;
    this.#looked.add(stream);
    const { config } = event.sa!;
    const { otherWay } = this.#evidence.resolve(event.src, event.dst, event.spi);
    if (otherWay.some(({ keys }) => keys.equals(config.keys))) this.#otherWay.set(event.spi, config.esn);
  }

  /** One line for each such key, by id. */
  lines(): string[] {
    return [...this.#otherWay]
      .sort(([a], [b]) => a - b)
      .map(
        ([id, isDerived]) =>
          `key id ${id} is used ${keyUse(isDerived)}: so it is taken here, whatever --cilium says`,
      );
  }
}
