/**
 * Which rows of a check are shown, by SPI, verdict and reason. It changes no figure and no verdict: packets in the clear have
 * none of the three, and a check that left them out would say that all is encrypted.
 * @module
 */
import { formatAddress } from '../../wire/address.ts';
import { InnerPacket } from '../diagnose/inner.ts';
import { pairName } from '../diagnose/stream.ts';
import type { EspEvent } from '../esp-event.ts';
import { verdictName } from '../esp-words.ts';
import { NO_NAMES } from '../names.ts';
import { type FilterSpec, NO_FILTER, PacketFilter } from '../packet-filter.ts';
import type { PairChoice } from './choice.ts';
import type { CheckReport, NodePair, PodPair } from './report.ts';

export type RowSpec = Pick<FilterSpec, 'verdicts' | 'reasons' | 'spis'>;

/** Pairs of nodes with an SPI, and pairs of pods, that are told apart. */
const MOST_ROWS = 1 << 16;

/** Packets of one row that fit. */
interface Fitting {
  packets: number;
  readonly spis: Set<number>;
}

export class ShownRows {
  readonly #spec: RowSpec;
  readonly #filter: PacketFilter;
  readonly #choice: PairChoice;
  readonly #nodes = new Map<string, Fitting>();
  readonly #pods = new Map<string, number>();
  readonly #inner = new InnerPacket();
  #rows = 0;
  /** Was any packet opened or dropped, so that there is a verdict to ask for? */
  #isJudged = false;

  /** @param choice which pairs there are rows of at all */
  constructor({ verdicts, reasons, spis }: RowSpec, choice: PairChoice) {
    this.#spec = { verdicts, reasons, spis };
    this.#choice = choice;
    this.#filter = new PacketFilter({ ...NO_FILTER, ...this.#spec }, NO_NAMES);
  }

  /** May it hide a row? */
  get isOn(): boolean {
    return this.#filter.isOn;
  }

  /**
   * Takes an ESP packet that is asked for.
   * @param from name of the node that sent it, as the rows of the report have it; and `to`
   */
  packet(event: EspEvent, from: string, to: string): void {
    const isOk = verdictName(event) === 'ok';
    this.#isJudged ||= isOk || !event.isUnopened;
    if (!this.#filter.matches(event)) return;
    const { src, dst } = event;
    const pods = isOk && event.authenticated ? this.#podsOf(event) : [];
    const isOfNodes = this.#choice.hasNodes(src, dst);
    const asked = isOfNodes
      ? pods
      : pods.filter((pair) => this.#choice.hasPods(pair.src, pair.dst, [src, dst]));
    if (asked.length === 0 && !isOfNodes) return;
    const name = pairName(from, to);
    let row = this.#nodes.get(name);
    if (!row && this.#hasRoom()) {
      row = { packets: 0, spis: new Set() };
      this.#nodes.set(name, row);
    }
    if (row) {
      row.packets++;
      if (event.hasSpi && !row.spis.has(event.spi) && this.#hasRoom()) row.spis.add(event.spi);
    }
    for (const pods of asked) {
      const pair = pairName(pods.src, pods.dst);
      const packets = this.#pods.get(pair);
      if (packets !== undefined || this.#hasRoom()) this.#pods.set(pair, (packets ?? 0) + 1);
    }
  }

  /** The ends of what came out: of one packet, or in IP-TFS of any number of them. */
  #podsOf(event: EspEvent): { readonly src: string; readonly dst: string }[] {
    const inner = this.#inner;
    const pods: { readonly src: string; readonly dst: string }[] = [];
    event.eachPacket((bytes, at, end) => {
      if (!inner.read(bytes, at, end)) return;
      const { b, srcAt, dstAt, addressLen } = inner;
      pods.push({ src: formatAddress(b, srcAt, addressLen), dst: formatAddress(b, dstAt, addressLen) });
    });
    return pods;
  }

  #hasRoom(): boolean {
    return this.#rows < MOST_ROWS && this.#rows++ < MOST_ROWS;
  }

  /** The report with the rows that have a packet that fits; what the summary counts stays. */
  of(report: CheckReport): CheckReport {
    if (!this.isOn) return report;
    const nodes = report.nodes.flatMap((row) => this.#nodeRow(row));
    const pods = report.pods.flatMap((row) => this.#podRow(row));
    const { verdicts, reasons } = this.#spec;
    const needsKeys = !this.#isJudged && (reasons.length > 0 || verdicts.some((one) => one !== 'unopened'));
    const shownClear = nodes.reduce((n, { clear }) => n + clear, 0);
    const hidden = {
      nodes: report.nodes.length - nodes.length,
      pods: report.pods.length - pods.length,
      clear: report.summary.clear - shownClear,
      needsKeys,
    };
    return { summary: { ...report.summary, hidden }, nodes, pods };
  }

  #nodeRow(row: NodePair): NodePair[] {
    const known = this.#nodes.get(pairName(row.from, row.to));
    if (!known) return [];
    return [{ ...row, fitting: known.packets, sas: row.sas.filter(({ spi }) => known.spis.has(spi)) }];
  }

  #podRow(row: PodPair): PodPair[] {
    const fitting = this.#pods.get(pairName(row.src, row.dst));
    return fitting === undefined ? [] : [{ ...row, fitting }];
  }
}
