/**
 * One SA by itself, one packet at a time: for scripts, tests and teaching. A batch of one through the same code
 * that the data plane runs; where speed counts, use {@link Encapsulator} and {@link Decapsulator}.
 * @module
 */
import type { Engine } from '../crypto/engine.ts';
import { AGGREGATE, Batch, PASS } from '../wire/packet.ts';
import { Decapsulator } from './decapsulate.ts';
import { type DropReason, type DropRow, dropRow, dropRowOf } from './drop.ts';
import { Encapsulator } from './encapsulate.ts';
import { type SaOptions, SecurityAssociation } from './sa.ts';
import type { SaConfig } from './sa-config.ts';
import { Sad } from './sad.ts';

/** A packet that went through, or why it did not. */
export type Outcome =
  | { readonly verdict: 'ok'; readonly packet: Uint8Array }
  | { readonly verdict: 'drop'; readonly reason: DropReason; readonly counter: DropRow['counter'] };

/** The longest IP packet. */
const MAX_PACKET = 0xffff;

export class TunnelEnd {
  readonly sa: SecurityAssociation;
  readonly #index: number;
  readonly #batch = new Batch({ capacity: 1, maxPacket: MAX_PACKET });
  readonly #encapsulator: Encapsulator;
  readonly #decapsulator: Decapsulator;

  /**
   * @throws {EsplaneError} `ERR_SUITE` when the engine does not have the suite
   * @throws {RangeError} when the window's size is impossible, or the mode is `iptfs`: a packet holds many there
   * @example
   * ```ts
   * const out = new TunnelEnd(config, new NobleEngine(), { random: secureBytes });
   * const sent = out.encapsulate(ipPacket);
   * ```
   */
  constructor(config: SaConfig, engine: Engine, options: SaOptions) {
    if (config.mode === 'iptfs')
      throw new RangeError('mode iptfs: a packet holds many; use Decapsulator and SecurityAssociation.iptfs');
    const sad = new Sad();
    this.sa = new SecurityAssociation(config, engine, options);
    this.#index = sad.add(this.sa);
    this.#encapsulator = new Encapsulator(sad, engine, 1, options.random);
    const { encap } = config;
    this.#decapsulator = new Decapsulator(sad, engine, 1, encap && [encap.sport, encap.dport]);
  }

  /** Encrypts an IP packet; what comes back is an IP packet too. `packet` is not changed. */
  encapsulate(packet: Uint8Array): Outcome {
    const i = this.#load(packet);
    if (i < 0) return drop('out-too-big');
    this.#batch.sa[i] = this.#index;
    this.#encapsulator.run(this.#batch);
    return this.#outcome();
  }

  /** Decrypts an IP packet that carries ESP for this SA, whatever its mark. `packet` is not changed. */
  decapsulate(packet: Uint8Array): Outcome {
    const i = this.#load(packet);
    if (i < 0) return drop('header-error');
    this.#batch.mark[i] = this.sa.config.mark?.value ?? 0;
    this.#decapsulator.run(this.#batch);
    if (this.#batch.isEsp[0] === 0) return drop('header-error');
    return this.#outcome();
  }

  #load(packet: Uint8Array): number {
    this.#batch.clear();
    return packet.length > MAX_PACKET ? -1 : this.#batch.push(packet);
  }

  #outcome(): Outcome {
    const verdict = this.#batch.verdict[0]!;
    // Of an SA whose mode each packet tells.
    if (this.#batch.next[0] === AGGREGATE) return drop('not-ip');
    return verdict === PASS ? { verdict: 'ok', packet: this.#batch.copy(0) } : drop(dropRow(verdict)!.reason);
  }
}

function drop(reason: DropReason): Outcome {
  return { verdict: 'drop', reason, counter: dropRowOf(reason).counter };
}
