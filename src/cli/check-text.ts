/**
 * What `esplane check` found as one page: the verdict, who sent what to whom, and what is not known.
 * @module
 */

import { inColumns } from '../base/columns.ts';
import { count, grouped } from '../base/count-text.ts';
import { safeText } from '../base/safe-text.ts';
import { type FrameNames, ONE_CAPTURE } from '../capture/frame-id.ts';
import type { Beside, CheckReport, HiddenRows, NodePair, PodPair } from '../inspect/check/report.ts';
import { keyIdOf } from '../inspect/diagnose/case.ts';
import type { PacketTimes } from '../inspect/packet-time.ts';
import { type PageStyle, timesText } from './diagnose-text.ts';
import type { Paint } from './paint.ts';
import { wrap } from './wrap.ts';

/** Pairs of nodes, and of pods, that are shown. */
const MOST_ROWS = 20;

/** Writes the page. @param capture what was read, for people */
export function checkText(
  report: CheckReport,
  capture: string,
  { paint, width, times, names = ONE_CAPTURE }: PageStyle,
): string {
  const { summary, nodes, pods } = report;
  const { verdict, unknown } = summary;
  const colour =
    verdict === 'encrypted' ? paint.green : verdict === 'not-encrypted' ? paint.red : paint.yellow;
  const lines = [
    ...wrap(summary.summary, width, '').map((line) => colour(paint.bold(line))),
    paint.dim(
      `${safeText(capture)}: ${grouped(summary.frames)} frames, ${grouped(summary.esp)} ESP packets${summary.basis === 'assumed' ? '; some of it is assumed' : ''}`,
    ),
    '',
  ];
  const { hidden } = summary;
  if (hidden) lines.push(...wrap(hiddenText(hidden), width, ''), '');
  const fitting = hidden ? ['FIT'] : [];
  if (nodes.length > 0) {
    const rows = nodes.slice(0, MOST_ROWS).map(nodeRow);
    lines.push(
      ...table(['NODES', 'ESP', 'CLEAR', 'OTHER', ...fitting, '', 'KEY IDS AND SUITES'], rows, paint),
    );
    lines.push(...left(nodes.length, 'pairs of nodes', paint), '');
  }
  if (pods.length > 0) {
    const rows = pods.slice(0, MOST_ROWS).map(podRow);
    lines.push(...table(['PODS', 'ESP', 'CLEAR', 'OTHER', ...fitting, '', 'NODES'], rows, paint));
    lines.push(...left(pods.length, 'pairs of pods', paint), '');
    const leaks = pods.slice(0, MOST_ROWS).filter(({ clear }) => clear > 0);
    if (leaks.length > 0) {
      lines.push(paint.bold('In the clear'));
      for (const pod of leaks) lines.push(`  ${safeText(podsText(pod))}: ${whenText(pod, times, names)}`);
      lines.push('');
    }
  }
  const beside = besideText(summary.beside);
  if (beside !== '') lines.push(...wrap(`Beside it in the clear, as is to be: ${beside}.`, width, ''), '');
  lines.push(...list('What nodes dropped', summary.hubble, { paint, width }));
  lines.push(...list('What is not known', unknown, { paint, width }));
  return `${lines.join('\n').trimEnd()}\n`;
}

function list(
  title: string,
  sentences: readonly string[],
  { paint, width }: Pick<PageStyle, 'paint' | 'width'>,
): string[] {
  if (sentences.length === 0) return [];
  const lines = sentences.flatMap((one) => {
    const [first = '', ...more] = wrap(one, width, '    ');
    return [first.replace('    ', '  - '), ...more];
  });
  return [paint.bold(title), ...lines, ''];
}

const NAMES = {
  encrypted: 'encrypted',
  clear: 'IN THE CLEAR',
  mixed: 'PARTLY IN THE CLEAR',
  open: 'not known',
};

function nodeRow({ from, to, sas, ...pair }: NodePair): string[] {
  const ids = sas.map(({ spi, suite, keyBits }) =>
    suite === null ? keyIdOf(spi) : `${keyIdOf(spi)} ${suite}, ${grouped(keyBits!)}-bit key`,
  );
  const shown = ids.slice(0, 3).join('; ');
  return [
    `${from} > ${to}`,
    ...figures(pair),
    ids.length > 3 ? `${shown}; and ${ids.length - 3} more` : shown,
  ];
}

function podRow(pod: PodPair): string[] {
  return [podsText(pod), ...figures(pod), `${pod.from} > ${pod.to}`];
}

/** `10.0.1.10 (shop/web) > 10.0.2.20` */
function podsText({ src, dst, srcPod, dstPod }: PodPair): string {
  const named = (address: string, pod: string | null) => (pod === null ? address : `${address} (${pod})`);
  return `${named(src, srcPod)} > ${named(dst, dstPod)}`;
}

/** The first and the last frame in the clear, and when they came. */
function whenText(
  { first, last, firstTime, lastTime }: PodPair,
  times: PacketTimes,
  names: FrameNames,
): string {
  const frames = [first, first === last ? null : last].flatMap((id) => (id === null ? [] : names.text(id)));
  const when = timesText(firstTime, lastTime, times);
  const what = `${frames.length === 1 ? 'frame' : 'frames'} ${safeText(frames.join(' to '))}`;
  return when === '' ? what : `${what}, ${when}`;
}

function figures(
  pair: Pick<NodePair, 'esp' | 'clear' | 'atPod' | 'copies' | 'open' | 'fitting' | 'verdict'>,
): string[] {
  const { esp, clear, atPod, copies, open, fitting, verdict } = pair;
  const fit = fitting === null ? [] : [grouped(fitting)];
  return [grouped(esp), grouped(clear), grouped(atPod + copies + open), ...fit, NAMES[verdict]];
}

/** What `--spi`, `--verdict` and `--reason` do here, and what they hide. */
function hiddenText({ nodes, pods, clear, needsKeys }: HiddenRows): string {
  const rows = [
    nodes > 0 ? `${count(nodes, 'pair')} of nodes` : '',
    pods > 0 ? `${count(pods, 'pair')} of pods` : '',
  ].filter((part) => part !== '');
  const packets = clear > 0 ? `, with ${count(clear, 'packet')} in the clear` : '';
  return [
    'The sentence counts all packets; --spi, --verdict and --reason only choose the rows shown.',
    rows.length > 0 ? `Not shown: ${rows.join(' and ')}${packets}.` : '',
    needsKeys
      ? 'No packet has such a verdict, because no key is at hand for any: give keys, or states with keys.'
      : '',
  ]
    .filter((sentence) => sentence !== '')
    .join(' ');
}

function besideText({ sameNode, host, outside }: Beside): string {
  return [
    [sameNode, 'between pods of one node'],
    [host, 'of the nodes themselves (hosts, host-network pods, health checks, NodePort)'],
    [outside, 'from or to outside the cluster'],
  ]
    .filter(([n]) => n !== 0)
    .map(([n, what]) => `${grouped(n as number)} ${what}`)
    .join(', ');
}

function table(titles: readonly string[], rows: readonly string[][], paint: Paint): string[] {
  const figures = titles.indexOf('');
  const lines = inColumns([titles, ...rows.map((row) => row.map(safeText))], (i) => i >= 1 && i < figures);
  return lines.map((line, i) => (i === 0 ? paint.bold(`  ${line}`) : `  ${line}`));
}

function left(all: number, what: string, paint: Paint): string[] {
  const more = all - MOST_ROWS;
  return more > 0 ? [paint.dim(`  and ${grouped(more)} more ${what}: --json has them`)] : [];
}
