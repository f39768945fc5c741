/**
 * A diagnosis as one page of text, most important first.
 * @module
 */
import { inColumns } from '../base/columns.ts';
import { grouped } from '../base/count-text.ts';
import { safeText } from '../base/safe-text.ts';
import { type FrameNames, ONE_CAPTURE } from '../capture/frame-id.ts';
import { keyIdOf } from '../inspect/diagnose/case.ts';
import { countersHead } from '../inspect/diagnose/conclusion.ts';
import { encryptionText } from '../inspect/diagnose/encryption.ts';
import type {
  CarriedReport,
  Diagnosis,
  EncryptionReport,
  Finding,
  ReceiverReport,
  StreamReport,
} from '../inspect/diagnose/finding.ts';
import { type Moment, PacketTimes, readTime } from '../inspect/packet-time.ts';
import { USUAL_WIDTH } from './output.ts';
import type { TimeOptions } from './packet-options.ts';
import { type Paint, paintFor } from './paint.ts';
import { wrap } from './wrap.ts';

/** Streams in the table; the rest is summed up in a line. */
const MOST_STREAMS = 20;
const INDENT = '    ';
/** Pairs of pods that are shown. */
const MOST_PAIRS = 10;

/** What stands above the findings. */
export interface PageFacts {
  readonly capture: string;
  readonly frames: number;
  readonly esp: number;
}

/** How it is written. */
export interface PageStyle {
  readonly paint: Paint;
  /** Columns of the terminal. */
  readonly width: number;
  readonly times: PacketTimes;
  /** Where there are several captures. */
  readonly names?: FrameNames;
}

/** How standard output is written. @param start when the capture begins */
export function pageStyle(
  { time }: TimeOptions,
  start: () => Moment | undefined,
  names: FrameNames = ONE_CAPTURE,
): PageStyle {
  const width = Math.min(process.stdout.columns ?? USUAL_WIDTH, USUAL_WIDTH);
  return { paint: paintFor(process.stdout), width, times: new PacketTimes(time, start), names };
}

/** Writes the page. */
export function diagnosisText(diagnosis: Diagnosis, facts: PageFacts, style: PageStyle): string {
  const { paint, width } = style;
  const { conclusion, receivers, streams, further, findings, notes, leftOut } = diagnosis;
  const more = further ? ` and ${grouped(further.streams)} further` : '';
  const ok = streams.reduce((sum, stream) => sum + stream.ok, 0);
  const unchecked = streams.reduce((sum, { unauthenticated = 0 }) => sum + unauthenticated, 0);
  const opened = unchecked > 0 ? `, ${grouped(unchecked)} opened unauthenticated` : '';
  const all = streams.length + (leftOut?.streams ?? 0);
  const kept = leftOut
    ? `${grouped(streams.length)} of them kept by the filter`
    : `${grouped(ok)} accepted${opened}`;
  const lines = [
    paint.bold(
      `${safeText(facts.capture)}: ${grouped(facts.frames)} frames, ${grouped(facts.esp)} ESP packets in ${grouped(all)} ${all === 1 ? 'stream' : 'streams'}${more}, ${kept}`,
    ),
    '',
  ];
  for (const one of findings) lines.push(...findingLines(one, style), '');
  lines.push(...leftOutLines(diagnosis, paint));
  const isClean = conclusion.code === 'clean' && conclusion.basis === 'told';
  if (conclusion.summary !== '') {
    const said = wrap(conclusion.summary, width, '');
    lines.push(...(isClean ? said.map(paint.green) : said), '');
  }
  if (diagnosis.encryption) lines.push(...encryptionLines(diagnosis.encryption, paint, width), '');
  if (receivers.length > 0) {
    lines.push(paint.bold(`${countersHead(receivers)} (/proc/net/xfrm_stat)`));
    const names = receivers.map(({ node, address }) =>
      safeText(node === null ? address : `${node} (${address})`),
    );
    const longest = names.reduce((most, name) => Math.max(most, name.length), 0);
    for (const [i, receiver] of receivers.entries()) {
      lines.push(`  ${names[i]!.padEnd(longest)}  ${countersText(receiver, paint)}`);
    }
    lines.push('');
  }
  if (streams.length > 0) lines.push(...streamTable(streams, paint), '');
  for (const one of notes) lines.push(...findingLines(one, style), '');
  return `${lines.join('\n').trimEnd()}\n`;
}

function encryptionLines(encryption: EncryptionReport, paint: Paint, width: number): string[] {
  const { pairs } = encryption;
  const shown = pairs.slice(0, MOST_PAIRS);
  const rows = shown.map((p) =>
    [`${p.src} > ${p.dst}`, `${p.from} > ${p.to}`, keyIdOf(p.spi), suiteText(p), grouped(p.packets)].map(
      safeText,
    ),
  );
  const left = pairs.length - shown.length;
  return [
    ...wrap(encryptionText(encryption), width, '').map(paint.bold),
    ...inColumns(rows, (i) => i === 4).map((line) => `  ${line}`),
    ...(left > 0 ? [paint.dim(`  and ${grouped(left)} more pairs: --json has them`)] : []),
  ];
}

function suiteText({ suite, keyBits }: CarriedReport): string {
  return suite === null ? '' : `${suite}, ${keyBits}-bit key`;
}

function countersText({ counters, packets, judged }: ReceiverReport, paint: Paint): string {
  if (judged === 0) return paint.dim('not known');
  const rows = Object.entries(counters).map(([row, n]) => `${row} ${grouped(n)}`);
  const text = rows.length > 0 ? rows.join(', ') : paint.dim('nothing');
  const left = packets - judged;
  return left > 0
    ? `${text} ${paint.dim(`(not known of ${grouped(left)} of ${grouped(packets)} packets)`)}`
    : text;
}

/** How much a filter left out, where there was one. */
export function leftOutLines({ leftOut }: Diagnosis, paint: Paint): string[] {
  if (!leftOut) return [];
  const parts = (['findings', 'notes', 'streams'] as const).map(
    (what) => `${grouped(leftOut[what])} ${what}`,
  );
  return [paint.dim(`left out by the filter: ${parts.join(', ')}`), ''];
}

/** One finding, as it appears. */
export function findingText(finding: Finding, style: PageStyle): string {
  return `${findingLines(finding, style).join('\n')}\n`;
}

function findingLines(
  { code, severity, summary, frames, firstTime, lastTime, remedy }: Finding,
  { paint, width, times, names = ONE_CAPTURE }: PageStyle,
): string[] {
  const colour = severity === 'error' ? paint.red : severity === 'warning' ? paint.yellow : paint.cyan;
  const shown = frames.slice(0, 8);
  const when = timesText(firstTime, lastTime, times);
  const more = frames.length > shown.length ? ', …' : '';
  return [
    `${colour(severity)}  ${paint.bold(code)}`,
    ...wrap(summary, width, INDENT),
    ...(frames.length > 0
      ? [
          paint.dim(
            `${INDENT}${frames.length === 1 ? 'frame' : 'frames'} ${safeText(names.list(shown))}${more}`,
          ),
        ]
      : []),
    ...(when === '' ? [] : [paint.dim(`${INDENT}${when}`)]),
    ...wrap(`To do: ${remedy}`, width, INDENT),
  ];
}

/** When it was, as far as that is known: `FIRST`, or `FIRST to LAST`; empty where it is not. */
export function timesText(firstTime: string | null, lastTime: string | null, times: PacketTimes): string {
  const moments = [firstTime, lastTime].flatMap((text) => (text === null ? [] : (readTime(text) ?? [])));
  if (firstTime === lastTime) moments.pop();
  return moments.map((moment) => times.text(moment)).join(' to ');
}

const STREAM_TITLES = 'FROM TO SPI PACKETS OK FIRST LAST MISSING TWICE LATE REORDERED'.split(' ');

function streamTable(streams: readonly StreamReport[], paint: Paint): string[] {
  const shown = [...streams].sort((a, b) => b.packets - b.ok - (a.packets - a.ok)).slice(0, MOST_STREAMS);
  const rows = shown.map((s) => [
    s.src,
    s.dst,
    `0x${s.spi.toString(16)}`,
    ...[s.packets, s.ok].map(grouped),
    s.seqFirst ?? '-',
    s.seqLast ?? '-',
    ...[s.missing, s.duplicates, s.late, s.reordered].map((n) => (n === null ? '-' : grouped(n))),
  ]);
  const [head = '', ...lines] = inColumns([STREAM_TITLES, ...rows], (i) => i >= 3);
  const left = streams.length - shown.length;
  return [
    `  ${paint.bold(head)}`,
    ...lines.map((line) => `  ${line}`),
    ...(left > 0 ? [paint.dim(`  and ${grouped(left)} more, with fewer drops: --json has them all`)] : []),
  ];
}
