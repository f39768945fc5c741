/**
 * The SAs that a capture brings along in its decryption secrets blocks, as they are at the place that was read: blocks add
 * SAs and take others away, as in the node that wrote them. They may name nodes, too. However many blocks there are, no
 * more is kept than `sa-limit.ts` allows; of SAs that are gone the oldest are forgotten.
 * @module
 */
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import { type NamedNode, parseDsbCsv, parseGone, parseNodeLines, saysNew } from './dsb-csv.ts';
import { checkEntries, MAX_ENTRIES } from './sa-limit.ts';
import { SaList, type SaSource } from './sa-source.ts';

export class CaptureSas implements SaSource {
  readonly #now = new SaList();
  readonly #former = new SaList();
  readonly #new = new WeakSet<SaConfig>();
  readonly #ends = new Set<string>();
  readonly #spis = new Set<number>();
  readonly #nodes = new Map<string, NamedNode>();
  readonly #nodeAt = new Map<string, NamedNode>();

  /** The nodes that it names. */
  get nodes(): Iterable<NamedNode> {
    return this.#nodes.values();
  }

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
    const nodes = parseNodeLines(text, source);
    for (const place of gone) this.#former.add(this.#now.remove(place));
    this.#former.shrink(MAX_ENTRIES);
    this.#now.add(sas);
    checkEntries(this.#now.size, source);
    if (saysNew(text)) for (const sa of sas) this.#new.add(sa);
    for (const { src, dst, spi } of sas) {
      if (this.#ends.size + this.#spis.size > 4 * MAX_ENTRIES) break;
      this.#ends.add(formatAddress(src)).add(formatAddress(dst));
      this.#spis.add(spi);
    }
    for (const node of nodes) {
      this.#nodes.set(node.name, node);
      for (const address of node.addresses) this.#nodeAt.set(formatAddress(address), node);
      checkEntries(Math.max(this.#nodes.size, this.#nodeAt.size), source);
    }
    return gone;
  }

  find(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    return this.#now.find(src, dst, spi);
  }

  /** Has it brought no SA so far? */
  get isEmpty(): boolean {
    return this.#spis.size === 0;
  }

  /** Does the capture say of one of its SAs that it had just been made? */
  isNew(sa: SaConfig): boolean {
    return this.#new.has(sa);
  }

  /** SAs that were there before. */
  former(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    return this.#former.find(src, dst, spi);
  }

  /** Has, or had, any of its SAs this SPI? */
  hasSpi(spi: number): boolean {
    return this.#spis.has(spi);
  }

  /** Is this address that of a node, or an end of an SA that is or was there? */
  knows(address: string): boolean {
    return this.#ends.has(address) || this.#nodeAt.has(address);
  }

  /** The node that it says has an address. */
  nodeOf(address: string): NamedNode | undefined {
    return this.#nodeAt.get(address);
  }
}
