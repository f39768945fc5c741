/**
 * The SAs that a capture brings along in its decryption secrets blocks, as they are at the place that was read: blocks add
 * SAs and take others away, as in the node that wrote them.
 * @module
 */
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import { parseDsbCsv, parseGone } from './dsb-csv.ts';
import { SaList, type SaSource } from './sa-source.ts';

export class CaptureSas implements SaSource {
  readonly #now = new SaList();
  readonly #former = new SaList();
  readonly #ends = new Set<string>();

  /**
   * Takes the secrets of a block.
   * @param source file name, for {@link SaConfig.origin} and errors
   * @returns places whose SAs are gone, for whoever has asked {@link find} about them
   * @throws {InputError} when a line cannot be used; nothing of the block counts then
   */
  read(secrets: Uint8Array, source: string): readonly SaPlace[] {
    const text = new TextDecoder().decode(secrets);
    const gone = parseGone(text, source);
    const sas = parseDsbCsv(text, source);
    for (const place of gone) this.#former.add(this.#now.remove(place));
    this.#now.add(sas);
    for (const { src, dst } of sas) this.#ends.add(formatAddress(src)).add(formatAddress(dst));
    return gone;
  }

  find(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    return this.#now.find(src, dst, spi);
  }

  /** SAs that were there before. */
  former(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    return this.#former.find(src, dst, spi);
  }

  /** Is this address an end of an SA that is or was there? */
  knows(address: string): boolean {
    return this.#ends.has(address);
  }
}
