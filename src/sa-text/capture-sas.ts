/**
 * The SAs that a capture brings along in its decryption secrets blocks, as they are at the place that was read: blocks add
 * SAs and take others away, as in the node that wrote them. They may name nodes, too. A line that cannot be used is left
 * out, and said so. Of several captures an SA is there while one of those that brought it has it, unless one puts another in
 * its place: each is of a node of its own, and takes away what that node has no more. However many blocks there are, no more
 * is kept than `sa-limit.ts` allows; of SAs that are gone the oldest are forgotten.
 * @module
 */
import { decodeText } from '../base/decode-text.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import { PORT_ESP } from '../wire/udp.ts';
import { type NamedNode, readBlock } from './dsb-csv.ts';
import { MAX_PATTERNS } from './esp-sa.ts';
import { omissionLine } from './omission.ts';
import { checkEntries, MAX_ENTRIES } from './sa-limit.ts';
import { isSameSa, SaList, type SaSource } from './sa-source.ts';

export class CaptureSas implements SaSource {
  readonly #now = new SaList();
  readonly #former = new SaList();
  readonly #new = new WeakSet<SaConfig>();
  /** Numbers of the captures that brought SAs, of those after the first. */
  readonly #fileOf = new WeakMap<SaConfig, number>();
  readonly #ends = new Set<string>();
  readonly #to = new Set<string>();
  readonly #spis = new Set<number>();
  readonly #nodes = new Map<string, NamedNode>();
  readonly #nodeAt = new Map<string, NamedNode>();

  readonly #udpPorts = [PORT_ESP];
  readonly #note: (line: string) => void;
  #notes = 0;

  /** @param note told, a line each, what is left out; of many the first ones, and that there are more */
  constructor(note: (line: string) => void) {
    this.#note = note;
  }

  /** UDP ports that carry ESP, by the blocks and by what else was added: it grows. */
  get udpPorts(): readonly number[] {
    return this.#udpPorts;
  }

  /** Adds ports that other texts name. */
  addUdpPorts(ports: readonly number[]): void {
    for (const port of ports) if (!this.#udpPorts.includes(port)) this.#udpPorts.push(port);
  }

  /** The nodes that it names. */
  get nodes(): Iterable<NamedNode> {
    return this.#nodes.values();
  }

  /**
   * Takes the secrets of a block.
   * @param source file name, for {@link SaConfig.origin} and errors
   * @param file of several captures the number of the one that it is in
   * @returns places whose SAs are gone, or others now, for callers that have asked {@link find} about them
   * @throws {InputError} when there are too many SAs or nodes; nothing of the block counts then
   */
  read(secrets: Uint8Array, source: string, file = 0): readonly SaPlace[] {
    const { gone, sas, nodes, isNew, udpPorts, omitted } = readBlock(decodeText(secrets), source);
    for (const one of omitted) this.tell(omissionLine(one));
    const coming = new SaList(gone.length > 0 ? sas : []);
    const left = gone.filter((place) => this.#take(place, file, coming));
    this.#former.shrink(MAX_ENTRIES);
    let room = MAX_PATTERNS - this.#now.patterns;
    const kept = sas.filter(({ pattern }) => !pattern || room-- > 0);
    if (kept.length < sas.length)
      this.tell(`${source}: rows with wildcards are left out: there are more than ${MAX_PATTERNS}`);
    this.#now.add(kept);
    this.addUdpPorts(udpPorts.slice(0, Math.max(0, MOST_PORTS - this.#udpPorts.length)));
    checkEntries(this.#now.size, source);
    if (isNew) for (const sa of kept) this.#new.add(sa);
    if (file > 0) for (const sa of kept) this.#fileOf.set(sa, file);
    for (const { src, dst, spi, pattern } of kept) {
      if (pattern) continue;
      if (this.#ends.size + this.#spis.size > 4 * MAX_ENTRIES) break;
      this.#ends.add(formatAddress(src)).add(formatAddress(dst));
      this.#to.add(formatAddress(dst));
      this.#spis.add(spi);
    }
    for (const node of nodes) {
      this.#nodes.set(node.name, node);
      for (const address of node.addresses) this.#nodeAt.set(formatAddress(address), node);
      checkEntries(Math.max(this.#nodes.size, this.#nodeAt.size), source);
    }
    return left;
  }

  /**
   * Takes away what a capture had at a place.
   * @param coming what comes with it
   * @returns whether what packets are opened with is to be looked up anew
   */
  #take(place: SaPlace, file: number, coming: SaList): boolean {
    const all = this.#now.remove(place);
    const others = all.filter((sa) => (this.#fileOf.get(sa) ?? 0) !== file);
    const isHeld = (sa: SaConfig) => others.some((other) => isSameSa(other, sa));
    const isReplaced = coming.remove(place).some((sa) => !isHeld(sa));
    if (others.length === 0 || isReplaced) {
      this.#former.add(all);
      return true;
    }
    this.#now.add(others);
    return false;
  }

  find(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    return this.#now.find(src, dst, spi);
  }

  /** Has it brought no SA so far? */
  get isEmpty(): boolean {
    return this.#spis.size === 0 && this.#now.size === 0;
  }

  /** Does the capture say of one of its SAs that it had just been made? */
  isNew(sa: SaConfig): boolean {
    return this.#new.has(sa);
  }

  /** SAs that were there before. */
  former(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    return this.#former.find(src, dst, spi);
  }

  /** Has, or had, any of its SAs this SPI, or one with wildcards? */
  hasSpi(spi: number): boolean {
    return this.#spis.has(spi) || this.#now.patterns > 0;
  }

  /** Is this address that of a node, or an end of an SA that is or was there? */
  knows(address: string): boolean {
    return this.#ends.has(address) || this.#nodeAt.has(address);
  }

  /** Does, or did, an SA of it end at this address? */
  endsAt(address: string): boolean {
    return this.#to.has(address);
  }

  /** The node that it says has an address. */
  nodeOf(address: string): NamedNode | undefined {
    return this.#nodeAt.get(address);
  }

  /** Tells what is left out. */
  tell(line: string): void {
    this.#notes++;
    if (this.#notes <= MOST_NOTES) this.#note(line);
    else if (this.#notes === MOST_NOTES + 1) this.#note('more of the secrets is left out');
  }
}

/** Ports that blocks can add: each is looked at in every datagram. */
const MOST_PORTS = 32;
/** Of all blocks together. */
const MOST_NOTES = 32;
