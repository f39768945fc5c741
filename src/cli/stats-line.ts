/**
 * Prints what running nodes report: JSON lines, or a live line on a terminal and a table at the end.
 * @module
 */
import { grouped } from '../base/count-text.ts';
import { LiveLine, printLine, say } from './output.ts';
import type { ReadyFacts, RunningStats } from './running-node.ts';

export class StatsPrinter {
  readonly #json: boolean;
  readonly #print: (line: string) => void;
  #before: { at: number; packets: number; bytes: number } | undefined;
  readonly #live = new LiveLine();
  #isLive = false;

  /**
   * @param json one object a line, on standard output
   * @param takesStdout whether standard output is for the figures, and not for something else
   */
  constructor(json: boolean, takesStdout = true) {
    this.#json = json;
    this.#print = takesStdout ? printLine : say;
  }

  /** @param seen where metrics and status are to be had */
  ready(
    facts: ReadyFacts,
    seen: { readonly metricsUrl?: string | undefined; readonly statusSocket?: string | undefined } = {},
  ): void {
    const { metricsUrl, statusSocket } = seen;
    if (this.#json) {
      printLine(JSON.stringify({ event: 'ready', ...facts, metrics: metricsUrl, statusSocket }));
      return;
    }
    const { name, inside, insideMtu, outside, outsideMtu, cipher } = facts;
    say(
      `${name}: running, inside ${inside} (MTU ${insideMtu}), outside ${outside} (MTU ${outsideMtu}), cipher ${cipher}`,
    );
    if (metricsUrl !== undefined) say(`${name}: metrics on ${metricsUrl}`);
  }

  /** Reports at intervals. */
  stats(nodes: readonly RunningStats[]): void {
    if (this.#json) {
      for (const stats of nodes) printLine(JSON.stringify({ event: 'stats', ...stats }));
      return;
    }
    if (!process.stderr.isTTY) return;
    const packets = nodes.reduce((sum, { outside }) => sum + outside.received + outside.sent, 0);
    const bytes = nodes.reduce((sum, { outside }) => sum + outside.receivedBytes + outside.sentBytes, 0);
    const at = performance.now();
    const seconds = this.#before ? (at - this.#before.at) / 1000 : 1;
    const rate = this.#before ? Math.round((packets - this.#before.packets) / seconds) : 0;
    const mbit = this.#before ? ((bytes - this.#before.bytes) * 8) / seconds / 1e6 : 0;
    this.#before = { at, packets, bytes };
    const parts = nodes.map(
      ({ node, out, in: into }) =>
        `${node} out ${grouped(out.encrypted)} in ${grouped(into.decrypted)} drops ${grouped(dropsOf(out.drops) + dropsOf(into.drops))}`,
    );
    this.#live.show(`${parts.join(' | ')} | ${grouped(rate)} packets/s, ${mbit.toFixed(1)} Mbit/s`);
    this.#isLive = true;
  }

  /** The end. */
  stopped(nodes: readonly RunningStats[]): void {
    if (this.#json) {
      for (const stats of nodes) printLine(JSON.stringify({ event: 'stopped', stats }));
      return;
    }
    if (this.#isLive) say('');
    for (const { node, out, in: into, inside, outside } of nodes) {
      this.#print(
        `${node}: ${grouped(out.encrypted)} packets encrypted, ${grouped(into.decrypted)} decrypted, ${grouped(out.clear)} sent in the clear`,
      );
      for (const [reason, count] of Object.entries({ ...out.drops, ...into.drops }))
        this.#print(`  ${grouped(count)} dropped: ${reason}`);
      for (const [side, { missed }] of Object.entries({ inside, outside }))
        if (missed > 0)
          this.#print(`  ${grouped(missed)} dropped by the kernel, not read fast enough: ${side}`);
    }
  }
}

function dropsOf(drops: Readonly<Record<string, number>>): number {
  return Object.values(drops).reduce((sum, count) => sum + count, 0);
}
