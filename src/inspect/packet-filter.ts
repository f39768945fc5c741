/**
 * Which packets of a capture are shown. The receiver sees all of them: what a filter leaves out has moved the windows, and
 * the verdict of a packet is the same with a filter and without.
 * @module
 */
import { dropRow } from '../ipsec/drop.ts';
import { formatAddress, inPrefix, type Prefix, parseAddress } from '../wire/address.ts';
import { PASS } from '../wire/packet.ts';
import { InnerPacket } from './diagnose/inner.ts';
import type { EspEvent } from './esp-event.ts';
import { verdictName } from './esp-words.ts';
import type { Names } from './names.ts';
import { isInSpan, type Moment, type Span } from './packet-time.ts';

export type VerdictName = ReturnType<typeof verdictName>;

/** What is wanted: of each field that has values one of them. */
export interface FilterSpec extends Span {
  readonly verdicts: readonly VerdictName[];
  /** Reasons of the drop table. */
  readonly reasons: readonly string[];
  /** Ranges, one of which has an address around ESP or inside. */
  readonly addresses: readonly Prefix[];
  /** `NAMESPACE/NAME`, or a name in any namespace. */
  readonly pods: readonly string[];
  /** Names or addresses. */
  readonly nodes: readonly string[];
  readonly spis: readonly number[];
  /** So many packets, and no more. */
  readonly count: number | undefined;
}

/** Keeps everything. */
export const NO_FILTER: FilterSpec = {
  verdicts: [],
  reasons: [],
  addresses: [],
  pods: [],
  nodes: [],
  spis: [],
  since: undefined,
  until: undefined,
  count: undefined,
};

/** Ends whose answers are remembered: anyone can make more. */
const MOST_ENDS = 1 << 14;

export class PacketFilter {
  /** Packets that were kept. */
  kept = 0;
  readonly #spec: FilterSpec;
  readonly #names: Names;
  readonly #inner = new InnerPacket();
  readonly #wantsInside: boolean;
  /** Is an address around ESP one of the wanted, and is its node? */
  readonly #ends = new Map<string, { readonly address: boolean; readonly node: boolean }>();

  constructor(spec: FilterSpec, names: Names) {
    this.#spec = spec;
    this.#names = names;
    this.#wantsInside = spec.pods.length + spec.addresses.length > 0;
  }

  /** May it leave anything out? */
  get isOn(): boolean {
    const { count, since, until, ...lists } = this.#spec;
    return count !== undefined || !!(since ?? until) || Object.values(lists).some((list) => list.length > 0);
  }

  /** Have come as many as are wanted? */
  get isFull(): boolean {
    return this.#spec.count !== undefined && this.kept >= this.#spec.count;
  }

  /** Is it one of the wanted? Counts it then. */
  keeps(event: EspEvent): boolean {
    if (this.isFull || !this.matches(event)) return false;
    this.kept++;
    return true;
  }

  /** As {@link keeps}, of a packet without ESP around: it has no verdict, no SPI, and no nodes. */
  keepsClear(b: Uint8Array, at: number, end: number, time: Moment & { readonly hasTime: boolean }): boolean {
    const { verdicts, reasons, spis, nodes } = this.#spec;
    if (this.isFull || verdicts.length + reasons.length + spis.length + nodes.length > 0) return false;
    if (!isInSpan(time, this.#spec) || (this.#wantsInside && !this.#isInside(b, at, end, false)))
      return false;
    this.kept++;
    return true;
  }

  /** Is it one of the wanted, however many there were? */
  matches(event: EspEvent): boolean {
    const { verdicts, reasons, spis, nodes } = this.#spec;
    if (verdicts.length > 0 && !verdicts.includes(verdictName(event))) return false;
    if (reasons.length > 0 && !reasons.includes(dropRow(event.verdict)?.reason ?? '')) return false;
    if (spis.length > 0 && !(event.hasSpi && spis.includes(event.spi))) return false;
    if (!isInSpan(event, this.#spec)) return false;
    if (nodes.length === 0 && !this.#wantsInside) return true;
    const src = this.#end(event.src);
    const dst = this.#end(event.dst);
    if (nodes.length > 0 && !src.node && !dst.node) return false;
    if (!this.#wantsInside) return true;
    const isEnd = src.address || dst.address;
    if (event.verdict === PASS) {
      let isWanted = isEnd && this.#spec.pods.length === 0;
      event.eachPacket((bytes, at, end) => {
        isWanted ||= this.#isInside(bytes, at, end, isEnd);
      });
      return isWanted;
    }
    return isEnd && this.#spec.pods.length === 0;
  }

  #isInside(b: Uint8Array, at: number, end: number, isEnd: boolean): boolean {
    const { addresses, pods } = this.#spec;
    const inner = this.#inner;
    if (!inner.read(b, at, end)) return isEnd && pods.length === 0;
    const { srcAt, dstAt, addressLen: len } = inner;
    const hasAddress =
      addresses.length === 0 ||
      isEnd ||
      addresses.some((range) => inPrefix(range, b, srcAt, len) || inPrefix(range, b, dstAt, len));
    return hasAddress && (pods.length === 0 || this.#isPod(b, srcAt, len) || this.#isPod(b, dstAt, len));
  }

  #isPod(b: Uint8Array, at: number, len: number): boolean {
    return this.#names.isOneOf(formatAddress(b, at, len), this.#spec.pods);
  }

  #end(text: string): { readonly address: boolean; readonly node: boolean } {
    const known = this.#ends.get(text);
    if (known) return known;
    const { addresses, nodes } = this.#spec;
    const address = parseAddress(text);
    const end = {
      address: address !== undefined && addresses.some((range) => inPrefix(range, address)),
      node: nodes.includes(text) || nodes.includes(this.#names.node(text) ?? ''),
    };
    if (this.#ends.size >= MOST_ENDS) this.#ends.clear();
    this.#ends.set(text, end);
    return end;
  }
}
