/**
 * The report of a scenario, for people.
 * @module
 */
import { inColumns } from '../base/columns.ts';
import { grouped } from '../base/count-text.ts';
import { safeText } from '../base/safe-text.ts';
import type { FlowReport } from '../sim/flows.ts';
import type { PeerDrop } from '../sim/peer-drops.ts';
import type { NodeReport, ScenarioReport } from '../sim/report.ts';
import type { Paint } from './paint.ts';

/** Rows of a table that are shown; the rest are in the JSON. */
const MOST_ROWS = 12;

/** Tells a run to people. */
export function scenarioText(report: ScenarioReport, paint: Paint): string {
  const { bold, dim } = paint;
  const { scenario, about, seed, cilium, mode, duration, totals } = report;
  const facts = `${totals.nodes} nodes, Cilium ${cilium}, ${mode}, ${seconds(duration)}; seed ${seed}`;
  const lines = [
    `${bold(safeText(scenario))}: ${facts}`,
    ...(about === '' ? [] : about.split('\n').map((line) => dim(safeText(line)))),
    '',
    ...happened(report, paint),
    ...table(
      paint,
      ['node', 'sent', 'delivered', 'encrypted', 'clear', 'decrypted', 'dropped'],
      report.nodes.toSorted(byDrops).map(nodeRow),
      [sumRow(report)],
    ),
    '',
    ...dropLines(report.drops, paint),
    '',
    ...table(paint, ['traffic', 'from', 'to', 'sent', 'delivered', 'lost'], flowRows(report.flows), []),
    ...wireLine(report, paint),
    verdict(report, paint),
  ];
  return `${lines.join('\n')}\n`;
}

function happened({ timeline, steps }: ScenarioReport, { bold, dim }: Paint): string[] {
  if (timeline.length + steps.length === 0) return [];
  const shown = timeline.slice(0, 2 * MOST_ROWS);
  const when = (at: number) => seconds(at).padStart(9);
  return [
    bold('What happened'),
    ...shown.map(
      ({ at, node, text }) =>
        `${when(at)}  ${safeText(text)}${node === null || text.includes(node) ? '' : dim(` (${node})`)}`,
    ),
    ...more(timeline.length - shown.length, dim),
    ...steps.map(
      ({ step, nodes, first, last }) =>
        `${when(first)}  ${step}: ${nodes} agent${nodes === 1 ? '' : 's'}${last > first ? `, the last at ${seconds(last)}` : ''}`,
    ),
    '',
  ];
}

function nodeRow({ node, sent, delivered, encrypted, clear, decrypted, dropped }: NodeReport): string[] {
  return [node, ...[sent, delivered, encrypted, clear, decrypted, dropped].map(grouped)];
}

function sumRow({ totals, nodes }: ScenarioReport): string[] {
  const { encrypted, clear, decrypted, dropped } = totals;
  const [sent, delivered] = [0, 0].map((_, i) =>
    nodes.reduce((sum, node) => sum + (i === 0 ? node.sent : node.delivered), 0),
  );
  return ['all', ...[sent!, delivered!, encrypted, clear, decrypted, dropped].map(grouped)];
}

/** Those that drop first, those that do nothing last. */
function byDrops(a: NodeReport, b: NodeReport): number {
  const isBusy = ({ sent, delivered }: NodeReport) => Number(sent + delivered > 0);
  return b.dropped - a.dropped || isBusy(b) - isBusy(a);
}

function dropLines(drops: readonly PeerDrop[], paint: Paint): string[] {
  const { green, bold } = paint;
  if (drops.length === 0) return [`${bold('Dropped')}: ${green('nothing')}`];
  const rows = drops
    .toSorted((a, b) => b.count - a.count)
    .map(({ node, peer, direction, counter, reason, count, first, last }) => [
      `${counter} (${reason})`,
      node,
      `${direction === 'in' ? 'from' : 'to'} ${peer ?? '?'}`,
      grouped(count),
      first === last ? seconds(first) : `${seconds(first)} - ${seconds(last)}`,
    ]);
  return table(paint, ['dropped as', 'at', 'peer', 'count', 'when'], rows, []);
}

function flowRows(flows: readonly FlowReport[]): string[][] {
  return flows
    .toSorted((a, b) => b.sent - b.delivered - (a.sent - a.delivered))
    .map(({ kind, from, to, sent, delivered }) => [
      kind,
      from,
      to,
      grouped(sent),
      grouped(delivered),
      grouped(Math.max(0, sent - delivered)),
    ]);
}

function wireLine({ wire, totals }: ScenarioReport, { bold, yellow }: Paint): string[] {
  const list = (
    [
      [wire.esp, 'ESP'],
      [wire.clear, 'clear'],
      [wire.lost, 'lost'],
      [wire.duplicated, 'doubled'],
      [wire.corrupted, 'with a flipped bit'],
      [wire.heldBack, 'held back'],
      [wire.full, 'in a full queue'],
      [wire.cut, 'cut off by the partition'],
      [wire.tooLong, 'too long for a router on the way'],
      [wire.down, 'at a node that was off or not there'],
      [wire.injected, 'from an attacker'],
      [wire.stuck, 'with nowhere to go'],
      [totals.resent, 'TCP segments sent again'],
    ] as const
  ).filter(([count]) => count > 0);
  const text = list.map(([count, what]) => `${grouped(count)} ${what}`).join(', ');
  const leaks =
    wire.leaks > 0
      ? [yellow(`${grouped(wire.leaks)} frames between pods of two nodes were in the clear`)]
      : [];
  return ['', `${bold('Wire')}: ${text || 'nothing'}`, ...leaks];
}

function verdict({ totals, accounted }: ScenarioReport, { bold, red }: Paint): string {
  const { sent, delivered, encrypted, clear, dropped } = totals;
  const text = `${grouped(sent)} sent, ${grouped(delivered)} delivered, ${grouped(encrypted)} encrypted, ${grouped(clear)} clear, ${grouped(dropped)} dropped`;
  return `${bold('Total')}: ${text}${accounted ? '; every packet is accounted for' : red('; NOT every packet is accounted for')}`;
}

/** A table; columns of numbers are to the right. */
function table(
  { bold, dim }: Paint,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  last: readonly (readonly string[])[],
): string[] {
  const shown = rows.slice(0, MOST_ROWS);
  const isNumber = (i: number) => shown.length > 0 && shown.every((row) => /^[\d,]+$/.test(row[i] ?? ''));
  const all = [head, ...shown, ...last].map((row) => row.map(safeText));
  const [first = '', ...lines] = inColumns(all, isNumber);
  return [
    bold(first),
    ...lines.slice(0, shown.length),
    ...more(rows.length - shown.length, dim),
    ...lines.slice(shown.length).map(bold),
  ];
}

function more(count: number, dim: Paint['dim']): string[] {
  return count > 0 ? [dim(`… and ${grouped(count)} more: see --json`)] : [];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}
