/**
 * `esplane capture`: ESP packets decrypted as they pass.
 * @module
 */

import type { Command } from 'commander';
import { grouped } from '../base/count-text.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import type { FrameInfo } from '../capture/frame.ts';
import { ONE_CAPTURE } from '../capture/frame-id.ts';
import { captureReader } from '../capture/reader.ts';
import { PacketJson } from '../inspect/decrypt-json.ts';
import { Diagnoser } from '../inspect/diagnose/diagnoser.ts';
import type { EspEvent } from '../inspect/esp-event.ts';
import { ExplainSink } from '../inspect/explain/explain.ts';
import { KeyUses } from '../inspect/key-use.ts';
import { PacketFilter } from '../inspect/packet-filter.ts';
import { putPacketLine } from '../inspect/packet-line.ts';
import type { PacketTimes } from '../inspect/packet-time.ts';
import { CaptureSession, type CaptureSink } from '../inspect/session.ts';
import { CaptureSas } from '../sa-text/capture-sas.ts';
import { decryptSummary, filterSummary, summaryJson } from './decrypt-summary.ts';
import { diagnosisText, findingText, pageStyle } from './diagnose-text.ts';
import { addEngineOption, type EngineName, makeEngine } from './engine.ts';
import { putEspLine } from './esp-line.ts';
import { loadEvidence, loadOpening } from './evidence-options.ts';
import { explainText } from './explain-text.ts';
import { FILES_ARGUMENT, isVersionGiven, takeFiles } from './given-files.ts';
import { interfaceSource, type LiveSource, stdinSource } from './live-source.ts';
import { LiveLine, Output, say, USUAL_WIDTH, warn } from './output.ts';
import type { PacketFile } from './packet-file.ts';
import {
  addFilterOptions,
  addTimeOption,
  checkFilter,
  type FilterOptions,
  filterSpec,
  loadNames,
  type TimeOptions,
} from './packet-options.ts';
import { sayLeftOut } from './read-capture.ts';
import { addSaOptions, noSas, type SaOptions } from './sa-options.ts';
import { onSignals } from './signals.ts';
import { addWriteOptions, checkStdout, openPacketFile, type WriteOptions } from './write-options.ts';

/** How often the live line is written anew, files are written on, and findings are looked for, in ms. */
const TICK = 1000;

interface CaptureOptions extends SaOptions, WriteOptions, TimeOptions, FilterOptions {
  readonly interface?: string;
  /** Of files alone: no option names policies here. */
  readonly xfrmPolicy?: readonly string[];
  readonly all?: boolean;
  readonly promiscuous?: boolean;
  readonly diagnose?: boolean;
  readonly explain?: boolean;
  readonly json?: boolean;
  readonly summary?: boolean;
  readonly quiet?: boolean;
  readonly crypto: EngineName;
}

/** Adds the command. */
export function captureCommand(program: Command): void {
  const command = program
    .command('capture')
    .description(
      'Decrypt ESP packets as they pass: one line each, with the packet inside or why it is dropped.',
    )
    .argument(
      '[files...]',
      `- reads what tcpdump -w - writes, pcap or pcapng (the default without -i); ${FILES_ARGUMENT}`,
    )
    .option('-i, --interface <name>', 'listen on this interface of the host; any is all of them')
    .option('--all', 'take every frame, and show clear packets too; else ESP, UDP 4500, VXLAN and fragments')
    .option('--promiscuous', 'with -i: also frames that are for other hosts')
    .option(
      '--diagnose',
      'tell findings as they appear, and the whole diagnosis at the end; takes every frame',
    )
    .option('--explain', 'explain every ESP packet byte by byte')
    .option('--json', 'one JSON object a line for every ESP packet, as decrypt does')
    .option('--summary', 'with --json: a last line with the summary as an object, as -q has it alone')
    .option('-q, --quiet', 'no line for each packet, only the summary');
  addFilterOptions(addTimeOption(command), 'packets');
  addEngineOption(addSaOptions(addWriteOptions(command)))
    .addHelpText(
      'after',
      `
Examples:
  esplane capture -i eth0 keys.yaml nodes.json
  ip xfrm state > n2.txt; esplane capture -i eth0 --xfrm-state n2.txt --diagnose -w clear.pcapng
  kubectl debug node/n2 -qi --image=nicolaka/netshoot -- tcpdump -i any -U -w - esp | esplane capture - --xfrm-state n2.txt

-i needs root or CAP_NET_RAW, and the addon (esplane doctor); reading a stream needs neither. Ctrl-C ends it.
--json with --explain adds {"explanation":…} after each packet, and with --diagnose {"finding":…} and {"diagnosis":…}.

Exit status: 0 ended by Ctrl-C, -c or the end of the stream; 2 unusable input, no right, or the interface went away.`,
    )
    .action(capture);
}

async function capture(args: readonly string[], named: CaptureOptions, command: Command): Promise<void> {
  checkSource(args.includes('-'), named);
  checkStdout(named, ['json', 'explain', 'diagnose']);
  checkFilter(named, true);
  const {
    captures: [found],
    unknown,
    options,
    bootIds,
  } = await takeFiles(
    args.filter((arg) => arg !== '-'),
    named,
    {
      subject: 'capture',
      diagnoses: named.diagnose === true,
      opens: true,
      counters: false,
      isVersionGiven: isVersionGiven(command),
    },
  );
  const dead = found ?? unknown;
  if (dead !== undefined)
    throw new InputError({ source: dead }, 'is no live stream', 'For a file: esplane decrypt FILE.');
  const own = new CaptureSas(warn);
  const engine = await makeEngine(options.crypto);
  const { evidence, udpPorts, warnings } = options.diagnose
    ? await loadEvidence(options, own, bootIds)
    : await loadOpening(options, own, bootIds);
  for (const warning of warnings) warn(warning);

  const from = openSource(options, udpPorts);
  const file = await openFile(options, from);
  const out = new Output();
  const live = new LiveLine();
  /** Standard output may be for the file. */
  const isQuiet = options.quiet === true || options.write === '-';
  const who = await loadNames(options, evidence);
  const filter = new PacketFilter(filterSpec(options), who);
  const isFiltered = filter.isOn;
  let isKept = true;
  const json = new PacketJson(ONE_CAPTURE, who);
  const width = process.stdout.columns ?? USUAL_WIDTH;
  const told = new Set<string>();
  const tellFindings = () => {
    if (!diagnoser) return;
    for (const finding of diagnoser.peek().findings) {
      // The figures in a summary go on growing; what it is about stands before them.
      const key = `${finding.code} ${finding.summary.split(/: |, /)[0]}`;
      if (told.has(key)) continue;
      told.add(key);
      if (options.json) out.write(`${JSON.stringify({ finding })}\n`);
      else out.write(findingText(finding, style));
    }
  };
  const isFull = () => filter.isFull;
  const style = pageStyle(options, () => session.start);
  const { paint, times } = style;
  const lines: CaptureSink = {
    packet: (event) => {
      if (isFiltered) {
        isKept = filter.keeps(event);
        if (!isKept) return;
      }
      if (isQuiet) return;
      if (options.json) json.put(out.text, event);
      else putEspLine(out.text, event, { times, names: who });
    },
    other: (b, at, end, info) => {
      if (!options.all || options.json || (isFiltered && !filter.keepsClear(b, at, end, info))) return;
      if (!isQuiet) putClearLine(out, b, at, end, info, times);
    },
  };
  const diagnoser = options.diagnose ? new Diagnoser(evidence) : undefined;
  const explainer =
    options.explain &&
    new ExplainSink({
      evidence,
      udpPorts,
      wants: () => true,
      onlyEsp: true,
      onExplanation: (explanation) => {
        if (options.json) out.write(`${JSON.stringify({ explanation })}\n`);
        else out.write(`${explainText(explanation, { width, paint, brief: true, times })}\n`);
      },
    });
  const keyUses = new KeyUses(evidence);
  const writeKept = (event: EspEvent) => {
    if (isKept) file?.sink.packet?.(event);
  };
  const session = new CaptureSession({
    source: from.name,
    own,
    evidence,
    engine,
    random: secureBytes,
    udpPorts,
    isLive: true,
    sinks: [
      lines,
      keyUses,
      ...[
        diagnoser,
        explainer,
        isFiltered && !options.wire && file ? { packet: writeKept } : file?.sink,
      ].flatMap((sink) => sink || []),
    ],
  });
  const { receiver } = session;
  const { totals } = receiver;
  // Without SAs packets are listed; there is nothing to write.
  const isLost = () => file !== undefined && totals.esp > 0 && !evidence.hasSas;
  const reader = captureReader(from.name, {
    frame: (b, at, end, info) => {
      if (isFull()) return;
      session.frame(b, at, end, info);
      if (isLost()) throw noSas();
      out.settle();
    },
    release: () => session.release(),
    section: (section) => session.section(section),
    interface: (description) => session.interface(description),
    comment: (text) => session.comment(text),
    secrets: (type, data) => session.secrets(type, data),
  });

  let lost = 0;
  let before = 0;
  let failure: unknown;
  const tick = () => {
    try {
      look();
    } catch (error) {
      // As where packets come in: a file that takes no more ends it in order.
      failure ??= error;
      from.stop();
    }
  };
  const look = () => {
    lost += from.dropped();
    file?.flush();
    tellFindings();
    live.hide();
    void out.flush();
    const others = totals.esp - totals.ok;
    live.show(
      `${from.name}: ${grouped(totals.frames)} frames, ${grouped(totals.ok)} decrypted, ${grouped(others)} not, ${grouped(Math.round(((totals.frames - before) * 1000) / TICK))} frames/s`,
    );
    before = totals.frames;
  };
  let isStopped = false;
  const forget = onSignals({
    stop: () => {
      isStopped = true;
      from.stop();
    },
  });
  let every: NodeJS.Timeout | undefined;
  try {
    if (options.interface !== undefined) say(`listening on ${from.name}, Ctrl-C ends`);
    every = setInterval(tick, TICK);
    for await (const chunk of from.chunks()) {
      if (chunk.length === 0) continue;
      reader.feed(chunk);
      if (out.text.length > 0) live.hide();
      await out.flush();
      if (isFull()) break;
    }
    if (!isStopped && failure === undefined && !isFull()) {
      reader.end();
    }
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    failure ??= error;
  } finally {
    clearInterval(every);
    lost += from.dropped();
    from.close();
    forget();
  }
  live.hide();
  sayLeftOut(from.name, reader.leftOut);
  if (diagnoser && totals.frames > 0 && !isLost()) {
    const diagnosis = diagnoser.finish();
    const facts = { capture: from.name, frames: totals.frames, esp: totals.esp };
    if (options.json) out.write(`${JSON.stringify({ diagnosis })}\n`);
    else out.write(`\n${diagnosisText(diagnosis, facts, style)}`);
  }
  if (options.json && (options.summary || options.quiet))
    out.write(`${JSON.stringify(summaryJson([from.name], receiver, isFiltered ? filter : undefined))}\n`);
  await out.flush();
  if (!isLost() && (failure === undefined || totals.frames > 0)) {
    say(decryptSummary(from.name, receiver, evidence.hasSas, keyUses));
    if (isFiltered) say(filterSummary(filter));
    if (lost > 0)
      say(`  ${grouped(lost)} frames were too many at once and are missing: -q or a quieter place helps`);
  }
  if (failure === undefined) {
    file?.finish();
    return;
  }
  if (isLost()) file?.discard();
  const left = isLost() ? undefined : file?.stopEarly();
  if (left !== undefined) say(`What came before that is in ${left}.`);
  throw failure;
}

function checkSource(namesStdin: boolean, options: CaptureOptions): void {
  const device = options.interface;
  if (namesStdin && device !== undefined)
    throw new InputError({ source: 'capture' }, 'a stream and an interface', 'Give - or -i, not both.');
  if (device === undefined && process.stdin.isTTY)
    throw new InputError(
      { source: 'capture' },
      'there is nothing to listen to',
      'Give -i INTERFACE, or pipe a capture in: tcpdump -U -w - | esplane capture -.',
    );
}

async function openFile(options: CaptureOptions, from: LiveSource): Promise<PacketFile | undefined> {
  try {
    return await openPacketFile(options);
  } catch (error) {
    from.close();
    throw error;
  }
}

function openSource(options: CaptureOptions, udpPorts: readonly number[]): LiveSource {
  if (options.interface === undefined) return stdinSource();
  return interfaceSource(options.interface, {
    // A diagnosis needs what should have been encrypted and was not, and ICMP.
    all: options.all === true || options.diagnose === true,
    promiscuous: options.promiscuous ?? false,
    udpPorts,
  });
}

/** A packet without ESP in one line. */
function putClearLine(
  out: Output,
  b: Uint8Array,
  at: number,
  end: number,
  info: FrameInfo,
  times: PacketTimes,
): void {
  out.text.decimal(info.number);
  out.text.text(' ');
  if (info.hasTime) {
    times.put(out.text, info.seconds, info.nanoseconds);
    out.text.text(' ');
  }
  putPacketLine(out.text, b, at, end);
  out.text.text('\n');
}
