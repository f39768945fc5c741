/**
 * `esplane conform judge`: what another implementation made of the frames of a folder, from what it left behind.
 * @module
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import { inColumns } from '../base/columns.ts';
import { grouped } from '../base/count-text.ts';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { captureReader } from '../capture/reader.ts';
import { ClearPackets, Replies } from '../conform/captured.ts';
import { readVerdicts, type VerdictLine } from '../conform/folder.ts';
import {
  judgeDecrypted,
  judgeReplies,
  type LedgerRow,
  type LedgerSummary,
  ledgerOf,
  type Sight,
  summaryOf,
} from '../conform/ledger.ts';
import type { EchoHosts } from '../conform/reference.ts';
import { Evidence } from '../inspect/evidence.ts';
import { type EspSink, Receiver } from '../inspect/receiver.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { readPolicies } from '../sa-text/to-policy.ts';
import { parseXfrmState } from '../sa-text/xfrm-sas.ts';
import { parseXfrmStat, risen } from '../sa-text/xfrm-stat.ts';
import { addEngineOption, type EngineName, makeEngine } from './engine.ts';
import { readChunks, readText, unpackedCapture } from './files.ts';
import { Output, Progress, say } from './output.ts';
import { paintFor } from './paint.ts';
import { EXIT_INTERRUPTED, Interrupt } from './signals.ts';

const EXAMPLE = `
Examples:
  $ esplane conform judge gcm-esn --replies replies.pcapng
  $ esplane conform judge gcm-esn --xfrm-stat before.txt after.txt
  $ esplane decrypt gcm/wire.pcapng --xfrm-state gcm/peer.state -w clear.pcapng
  $ esplane conform judge gcm --decrypted clear.pcapng

Give one of the three. Replies and decrypted packets tell of each frame; counters only of all frames together.

Exit status: 0 all is as expected, 1 something differs, 2 unusable input.`;

interface JudgeOptions {
  readonly replies?: string;
  readonly xfrmStat?: readonly string[];
  readonly decrypted?: string;
  readonly json?: boolean;
  readonly crypto: EngineName;
}

/** Adds the command to `conform`. */
export function addJudge(conform: Command): void {
  addEngineOption(
    conform
      .command('judge')
      .argument('<folder>', 'of conform make')
      .description('Say how what a receiver made of the frames differs from what was expected.')
      .option('--replies <capture>', 'what the peer sent back, in ESP or in the clear')
      .option('--xfrm-stat <texts...>', '/proc/net/xfrm_stat of the peer, before and after')
      .option('--decrypted <capture>', 'the packets that the receiver decrypted, in the clear')
      .option('--json', 'one JSON object a line: the rows, and last the summary'),
  )
    .addHelpText('after', EXAMPLE)
    .action(judge);
}

async function judge(folder: string, options: JudgeOptions): Promise<void> {
  const { replies, xfrmStat, decrypted } = options;
  if ([replies, xfrmStat, decrypted].filter((given) => given !== undefined).length !== 1)
    throw new InputError(
      { source: 'conform judge' },
      'it takes one source of what was seen',
      'Give --replies, --xfrm-stat or --decrypted.',
    );
  const file = join(folder, 'verdicts.jsonl');
  const verdicts = readVerdicts(readText(file), file);
  const out = new Output();
  if (xfrmStat) {
    const [before, after] = xfrmStat;
    if (before === undefined || after === undefined || xfrmStat.length !== 2)
      throw new InputError(
        { source: '--xfrm-stat' },
        'it takes two texts',
        'Give the one before, and the one after.',
      );
    printCounters(out, verdicts, before, after, options);
    await out.flush();
    return;
  }
  const sas = folderSas(folder);
  const hosts = folderHosts(folder, sas);
  let sights: readonly Sight[];
  if (replies !== undefined) {
    const sink = new Replies(hosts);
    await readInto(sink, replies, sas, options);
    if (sink.counts.size === 0) say(`warning: ${replies}: no echo reply of this test is in it`);
    sights = judgeReplies(verdicts, sink.counts);
  } else {
    const sink = new ClearPackets();
    await readInto(sink, decrypted!, sas, options);
    if (sink.packets.length === 0) say(`warning: ${decrypted}: no clear IP packet is in it`);
    sights = judgeDecrypted(verdicts, sink.packets, hosts);
  }
  printLedger(out, ledgerOf(verdicts, sights), options);
  await out.flush();
}

/** Both SAs of a folder: to the peer, and back. */
export function folderSas(folder: string): readonly SaConfig[] {
  const file = join(folder, 'state');
  return parseXfrmState(readText(file), file);
}

/** Who pings whom: the selector of the policy out. */
export function folderHosts(folder: string, [sa]: readonly SaConfig[]): EchoHosts {
  const file = join(folder, 'policy');
  const out = readPolicies(readText(file), file).policies.find(({ direction }) => direction === 'out');
  if (!sa || !out)
    throw new InputError(
      { source: file },
      'says no policy out',
      'Make the folder again with esplane conform make.',
    );
  return sa.mode === 'transport'
    ? { src: sa.src, dst: sa.dst }
    : { src: out.selector.src.address, dst: out.selector.dst.address };
}

async function readInto(
  sink: EspSink,
  capture: string,
  sas: readonly SaConfig[],
  { crypto }: JudgeOptions,
): Promise<void> {
  const receiver = new Receiver({
    evidence: new Evidence({ listed: sas }),
    engine: await makeEngine(crypto),
    random: secureBytes,
    sinks: [sink],
  });
  const interrupt = new Interrupt();
  const progress = new Progress('conform judge');
  const reader = captureReader(capture, receiver);
  for await (const chunk of interrupt.until(unpackedCapture(readChunks(capture), capture))) {
    reader.feed(chunk);
    receiver.flush();
    progress.update(() => `${grouped(receiver.totals.frames)} frames`);
  }
  progress.done();
  if (interrupt.isAsked) {
    say('esplane: interrupted');
    process.exit(EXIT_INTERRUPTED);
  }
  reader.end();
  receiver.flush();
}

/** Prints rows and summary, and sets the exit status. */
export function printLedger(
  out: Output,
  rows: readonly LedgerRow[],
  { json }: { readonly json?: boolean },
): void {
  const summary = summaryOf(rows);
  if (json) for (const row of [...rows, { summary }]) out.write(`${JSON.stringify(row)}\n`);
  else out.write(`${ledgerLines(rows).join('\n')}\n\n${summaryText(summary)}\n`);
  if (summary.differ > 0) process.exitCode = 1;
}

function ledgerLines(rows: readonly LedgerRow[]): string[] {
  const paint = paintFor(process.stdout);
  const cells = rows.map(({ behaviour, rfc, expected, frames, seen, differing }) => [
    differing.length > 0 ? 'DIFFERS' : '',
    behaviour,
    `${rfc.document} ${rfc.document === 'Linux' ? '' : '§'}${rfc.section}`,
    expected,
    grouped(frames),
    Object.entries(seen)
      .map(([what, count]) => `${what} ${grouped(count)}`)
      .join(', ') + (differing.length > 0 ? ` (frames ${someOf(differing)})` : ''),
  ]);
  const head = ['', 'behaviour', 'RFC', 'expected', 'frames', 'seen'];
  return inColumns([head, ...cells], (column) => column === 4).map((line, i) =>
    i > 0 && rows[i - 1]!.differing.length > 0 ? paint.yellow(line) : line,
  );
}

/** The first few of a list. */
function someOf(frames: readonly number[]): string {
  return frames.length > 6 ? `${frames.slice(0, 6).join(', ')}, …` : frames.join(', ');
}

function summaryText({ frames, agree, differ, untold }: LedgerSummary): string {
  return `${grouped(frames)} frames: ${grouped(agree)} as expected, ${grouped(differ)} ${differ === 1 ? 'differs' : 'differ'}${untold > 0 ? `, and of ${grouped(untold)} this does not tell` : ''}`;
}

/** Counters tell only sums. Those that no frame should raise count too, if they are of the way in. */
function printCounters(
  out: Output,
  verdicts: readonly VerdictLine[],
  before: string,
  after: string,
  { json }: JudgeOptions,
): void {
  const expected = new Map<string, number>();
  for (const { counter } of verdicts)
    if (counter !== null) expected.set(counter, (expected.get(counter) ?? 0) + 1);
  const rose = risen(parseXfrmStat(readText(before), before), parseXfrmStat(readText(after), after));
  const names = [
    ...new Set([...expected.keys(), ...[...rose].flatMap(([name, n]) => (n !== 0 ? [name] : []))]),
  ];
  const rows = names
    .filter((name) => name.startsWith('XfrmIn') || name.startsWith('XfrmFwd'))
    .sort()
    .map((counter) => ({ counter, expected: expected.get(counter) ?? 0, seen: rose.get(counter) ?? 0 }));
  const differ = rows.filter((row) => row.expected !== row.seen).length;
  if (json)
    for (const row of [...rows, { summary: { counters: rows.length, differ } }])
      out.write(`${JSON.stringify(row)}\n`);
  else {
    const cells = rows.map((row) => [
      row.expected === row.seen ? '' : 'DIFFERS',
      row.counter,
      grouped(row.expected),
      grouped(row.seen),
    ]);
    out.write(
      `${inColumns([['', 'counter', 'expected', 'seen'], ...cells], (column) => column > 1).join('\n')}\n\n`,
    );
    out.write(
      `${grouped(rows.length)} counters: ${grouped(rows.length - differ)} as expected, ${grouped(differ)} ${differ === 1 ? 'differs' : 'differ'}\n`,
    );
  }
  if (differ > 0) process.exitCode = 1;
}
