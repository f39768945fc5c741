/**
 * `esplane diagnose`: what the receiving kernels would have done with a capture, and why.
 * @module
 */
import { type Command, Option } from 'commander';
import { InputError } from '../base/errors.ts';
import { FlowDrops } from '../inspect/cluster/drops.ts';
import { flowDrops } from '../inspect/cluster/finders/drops.ts';
import { ClusterReader } from '../inspect/cluster/reader.ts';
import { Diagnoser } from '../inspect/diagnose/diagnoser.ts';
import { type Diagnosis, withFiles } from '../inspect/diagnose/finding.ts';
import { type NarrowOptions, narrow } from '../inspect/diagnose/narrow.ts';
import { streamKey } from '../inspect/diagnose/stream.ts';
import { FINDINGS } from '../inspect/diagnose/table.ts';
import { Names, NO_NAMES } from '../inspect/names.ts';
import { PacketFilter } from '../inspect/packet-filter.ts';
import { SCHEMA } from '../inspect/schema.ts';
import { clusterText } from './cluster-text.ts';
import { diagnoseTexts } from './diagnose-cluster.ts';
import { diagnosisText, pageStyle } from './diagnose-text.ts';
import { addEngineOption, type EngineName } from './engine.ts';
import { type EvidenceOptions, loadEvidence } from './evidence-options.ts';
import { FILES_ARGUMENT, type GivenFiles } from './given-files.ts';
import { Output, say, warn } from './output.ts';
import {
  addFilterOptions,
  addTimeOption,
  type FilterOptions,
  filterSpec,
  findingSpec,
  loadNames,
  type TimeOptions,
} from './packet-options.ts';
import { addSaOptions, collect } from './sa-options.ts';
import { type AtOptions, addAtOption, readBeside, readInto, sessionOf, takeCaptures } from './several.ts';
import { EXIT_INTERRUPTED } from './signals.ts';

/** Of `--exit-code`. 2 is unusable input everywhere. */
const EXIT_WARNINGS = 1;
const EXIT_ERRORS = 3;

interface DiagnoseOptions extends EvidenceOptions, TimeOptions, AtOptions, FilterOptions {
  readonly json?: boolean;
  readonly exitCode?: boolean;
  readonly crypto: EngineName;
}

const CODES: ReadonlySet<string> = new Set(FINDINGS.map(({ code }) => code));

/** Adds the command. */
export function diagnoseCommand(program: Command): void {
  const command = program
    .command('diagnose')
    .description(
      'Say what the receiving kernels do with the ESP packets of a capture, and why they drop some.',
    )
    .argument(
      '[files...]',
      `a capture, - for standard input, or several, merged by time; ${FILES_ARGUMENT}. Without a capture, what the texts tell`,
    )
    .option('--json', 'one JSON object: receivers, streams, findings, notes')
    .option('--exit-code', 'end with 1 where there are warnings, with 3 where there are errors');
  addFilterOptions(addTimeOption(command), 'findings', CODES);
  addEngineOption(addSaOptions(addAtOption(command)))
    .addOption(
      new Option(
        '--xfrm-stat <[node=]file>',
        '/proc/net/xfrm_stat of a node, to compare with; twice for before and after (repeatable)',
      )
        .argParser(collect)
        .default([], 'none'),
    )
    .addOption(
      new Option('--xfrm-policy <file>', 'text of `ip xfrm policy` from one or several nodes (repeatable)')
        .argParser(collect)
        .default([], 'none'),
    )
    .addHelpText(
      'after',
      `
Of several --keys or --nodes with different contents the last one counts; earlier ones, and with them earlier boot
ids, are tried on packets that do not open. What a receiver's kernel holds (--xfrm-state) counts more than either.

Example:
  esplane diagnose node-2.pcap keys.yaml nodes.json n1.txt n2.txt
  esplane diagnose cilium-sysdump-20261129-101112.zip
  esplane diagnose --xfrm-state n2.txt --xfrm-stat node-2=stat.txt
  esplane diagnose node-2.pcap --xfrm-state n2.txt --xfrm-state n1.txt --keys keys.yaml --nodes nodes.json \\
    --xfrm-stat node-2=before.txt --xfrm-stat node-2=after.txt --xfrm-policy n2-policy.txt

Exit status: 0 the capture was read to its end, whatever was found; with --exit-code 0 no finding, 1 warnings, 3 errors.
2 unusable input, also where a capture is damaged; 130 interrupted.`,
    )
    .action(diagnose);
}

async function diagnose(files: readonly string[], named: DiagnoseOptions, command: Command): Promise<void> {
  const reader = new ClusterReader();
  const drops = new FlowDrops();
  const given = await takeCaptures(files, named, command, {
    onNode: (node) => reader.node(node),
    onFlow: (line, source) => drops.line(line, source),
    diagnoses: true,
    counters: true,
  });
  const { captures, options } = given;
  if (captures.length === 0) return ofTexts(reader, given, drops);
  const reading = await readBeside('diagnose', given, loadEvidence);
  const { name, names, evidence, stats } = reading;
  const who = options.pod.length > 0 ? await loadNames(options, evidence) : new Names(evidence);
  const isFiltered = new PacketFilter(filterSpec(options), who).isOn;
  const packets = new PacketFilter(findingSpec(options, CODES).filter, who);
  const diagnoser = new Diagnoser(
    evidence,
    stats,
    names,
    isFiltered ? (event) => packets.matches(event) : undefined,
  );
  const session = await sessionOf(reading, [diagnoser]);
  const { failure, isInterrupted } = await readInto(session, reading, {
    compared: diagnoser.times,
    onCompared: (comparison) => {
      diagnoser.comparison = comparison;
    },
  });
  const { totals } = session.receiver;
  // What could be read is worth having, even when the rest could not.
  if (failure === undefined || totals.frames > 0) {
    diagnoser.beside = flowDrops({ drops: drops.all });
    const whole = diagnoser.finish();
    const streams = diagnoser.streams.filter(({ isKept }) => isKept);
    const kept = new Set(streams.map(({ src, dst, spi }) => streamKey(src, dst, spi)));
    const diagnosis = narrowed(whole, options, {
      names: who,
      isSameNode: (a, b) => evidence.isSameNode(a, b),
      isKept: ({ src, dst, spi }) => kept.has(streamKey(src, dst, spi)),
      frames: new Set(streams.flatMap(({ all }) => all.frames)),
    });
    const facts = { capture: name, frames: totals.frames, esp: totals.esp };
    await print(options, diagnosis, withFiles(diagnosis, names), () =>
      diagnosisText(
        diagnosis,
        facts,
        pageStyle(options, () => session.start, names),
      ),
    );
  }
  if (totals.frames === 0 && failure === undefined)
    warn(`${captures.length === 1 ? 'the capture holds' : 'the captures hold'} no frames`);
  if (failure !== undefined) throw failure;
  if (isInterrupted) {
    say('esplane: interrupted: this is what the capture shows up to here');
    process.exit(EXIT_INTERRUPTED);
  }
}

const NO_NODES = { nodeNameOf: () => undefined };

/** What a filter leaves of a diagnosis, where there is one. */
function narrowed<D extends Diagnosis>(
  whole: D,
  options: DiagnoseOptions,
  how: Omit<NarrowOptions, 'filter' | 'codes'>,
): D {
  if (!new PacketFilter(filterSpec(options), how.names).isOn) return whole;
  const { filter, codes } = findingSpec(options, CODES);
  return narrow(whole, { ...how, filter: { ...filter, count: options.count }, codes });
}

/** Prints a diagnosis. `--exit-code` goes by the findings: notes are none. */
async function print(
  { json, exitCode }: DiagnoseOptions,
  { findings }: Diagnosis,
  object: Diagnosis,
  page: () => string,
): Promise<void> {
  const out = new Output();
  out.write(json ? `${JSON.stringify({ ...object, schema: SCHEMA })}\n` : page());
  await out.flush();
  if (!exitCode) return;
  const isError = findings.some(({ severity }) => severity === 'error');
  process.exitCode = isError ? EXIT_ERRORS : findings.length > 0 ? EXIT_WARNINGS : 0;
}

/** There is no capture: what the texts tell. */
async function ofTexts(
  reader: ClusterReader,
  given: GivenFiles<DiagnoseOptions>,
  drops: FlowDrops,
): Promise<void> {
  const { options, texts } = given;
  const { xfrmState, xfrmStat = [], xfrmPolicy = [], keys, nodes } = options;
  const isAny = [xfrmState, xfrmStat, xfrmPolicy, keys, nodes].some((files) => files.length > 0);
  if (
    !isAny &&
    reader.nodes.length === 0 &&
    !texts.has('cilium-config') &&
    !texts.has('encrypt-status') &&
    drops.all.length === 0
  )
    throw new InputError(
      { source: 'diagnose' },
      'there is no capture, and no text of a node',
      'Give a capture, texts of ip xfrm, counters, or a sysdump.',
    );
  const whole = await diagnoseTexts(reader, given, drops);
  const who = options.pod.length > 0 ? await loadNames(options, NO_NODES) : NO_NAMES;
  // There are no packets.
  const none = { isKept: () => false, frames: new Set<number>() };
  const diagnosis = narrowed(whole, options, { names: who, isSameNode: (a, b) => a === b, ...none });
  const style = pageStyle(options, () => undefined);
  await print(options, diagnosis, diagnosis, () => clusterText(diagnosis, style));
}
