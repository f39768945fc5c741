/**
 * What the texts of a cluster tell as one page: the worst first, then the matrix of its nodes.
 * @module
 */
import { grouped } from '../base/count-text.ts';
import { safeText } from '../base/safe-text.ts';
import type { ClusterDiagnosis } from '../inspect/cluster/judge.ts';
import type { Matrix, MatrixRow, MatrixTrouble } from '../inspect/cluster/matrix.ts';
import { findingText, leftOutLines, type PageStyle } from './diagnose-text.ts';
import type { Paint } from './paint.ts';
import { wrap } from './wrap.ts';

/** Lines of the matrix. */
const MOST_ROWS = 20;

const TROUBLES: Readonly<Record<MatrixTrouble, string>> = {
  differ: 'keys differ from',
  missing: 'states missing with',
  unjudged: 'not judged with',
  rotation: 'rotation under way with',
};

/** Writes the page. */
export function clusterText(diagnosis: ClusterDiagnosis, style: PageStyle): string {
  const { paint, width } = style;
  const { conclusion, findings, notes, cluster } = diagnosis;
  const lines = [
    paint.bold(
      `no capture: ${grouped(cluster.nodes)} ${cluster.nodes === 1 ? 'node' : 'nodes'}, ${grouped(cluster.states)} ${cluster.states === 1 ? 'state' : 'states'}`,
    ),
    '',
  ];
  for (const one of findings) lines.push(findingText(one, style));
  lines.push(...leftOutLines(diagnosis, paint));
  const said = wrap(conclusion.summary, width, '');
  lines.push(...(conclusion.code === 'clean' ? said.map(paint.green) : said), '');
  if (cluster.pairs.pairs > 0) lines.push(...matrixLines(cluster, paint), '');
  for (const one of notes) lines.push(findingText(one, style));
  return `${lines.join('\n').trimEnd()}\n`;
}

function matrixLines({ nodes, pairs, rows, moreRows }: Matrix, paint: Paint): string[] {
  const counts = [
    [pairs.fine, 'fine'],
    [pairs.rotation, 'rotation under way'],
    [pairs.differ, 'keys differ'],
    [pairs.missing, 'missing'],
    [pairs.unjudged, 'not judged'],
  ] as const;
  const head = counts.filter(([n], i) => i === 0 || n > 0).map(([n, what]) => `${grouped(n)} ${what}`);
  // Where a rotation is under way everywhere, each node would have a line.
  const shown = (pairs.rotation === pairs.pairs ? [] : rows).slice(0, MOST_ROWS);
  const more = pairs.rotation === pairs.pairs ? 0 : rows.length + moreRows - shown.length;
  const longest = shown.reduce((most, { node }) => Math.max(most, safeText(node).length), 0);
  return [
    paint.bold(`${grouped(nodes)} by ${grouped(nodes)} nodes, each way: ${head.join(', ')}`),
    ...shown.map((row) => `  ${safeText(row.node).padEnd(longest)}  ${rowText(row)}`),
    ...(more > 0 ? [paint.dim(`  and ${grouped(more)} more nodes: --json has more`)] : []),
  ];
}

function rowText({ trouble, nodes, peers }: MatrixRow): string {
  const names = peers.slice(0, 3).map(safeText).join(', ');
  const list = nodes > 3 ? `${names}, …` : names;
  return nodes === 1
    ? `${TROUBLES[trouble]} ${list}`
    : `${TROUBLES[trouble]} ${grouped(nodes)} nodes (${list})`;
}
