/**
 * `esplane check`: is it encrypted?
 * @module
 */
import type { Command } from 'commander';
import { putCheckJson } from '../inspect/check/check-json.ts';
import { Checker } from '../inspect/check/checker.ts';
import { FlowDrops } from '../inspect/cluster/drops.ts';
import { flowDrops } from '../inspect/cluster/finders/drops.ts';
import { checkText } from './check-text.ts';
import { pageStyle } from './diagnose-text.ts';
import { addEngineOption, type EngineName } from './engine.ts';
import { loadEvidence } from './evidence-options.ts';
import { FILES_ARGUMENT } from './given-files.ts';
import { Output, say } from './output.ts';
import {
  addFilterOptions,
  addTimeOption,
  type FilterOptions,
  filterSpec,
  loadNames,
  type TimeOptions,
} from './packet-options.ts';
import { addSaOptions, type SaOptions } from './sa-options.ts';
import { type AtOptions, addAtOption, readBeside, readInto, sessionOf, takeCaptures } from './several.ts';
import { EXIT_INTERRUPTED } from './signals.ts';

const EXIT = { encrypted: 0, 'not-encrypted': 1, 'not-judged': 3 };

interface CheckOptions extends SaOptions, AtOptions, TimeOptions, FilterOptions {
  /** Of files alone: no option names policies here. */
  readonly xfrmPolicy?: readonly string[];
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly crypto: EngineName;
}

/** Adds the command. */
export function checkCommand(program: Command): void {
  const command = program
    .command('check')
    .description(
      'Say whether packets between pods of different nodes are encrypted: without keys, and with them more.',
    )
    .argument('<files...>', `captures, - for standard input; ${FILES_ARGUMENT}`)
    .option('--json', 'one JSON object a line for each pair of nodes and of pods, and a summary at the end')
    .option('-q, --quiet', 'no line for each pair, only the verdict');
  addFilterOptions(addTimeOption(command), 'pairs');
  addAtOption(addEngineOption(addSaOptions(command)))
    .addHelpText(
      'after',
      `
CiliumNodes say whose addresses are pods': without them that is assumed, or cannot be judged. docs/collect.md has the
tcpdump line that shows both what is in ESP and what is not, and says how to get everything else.

A filter chooses packets in ESP and in the clear alike. Verdict and exit status are then of the pairs and times that
it asks for, and the sentence says so, and what was left out: docs/check.md. --spi, --verdict and --reason are of ESP packets
alone: they choose the rows that are shown, and the sentence and the exit status count all packets. Without keys all packets are
unopened.

Examples:
  kubectl get ciliumnodes -o json > nodes.json
  esplane check node-1.pcap node-2.pcap nodes.json
  esplane check ring.pcap* cilium-sysdump-20261129-101112.zip
  esplane check node-2.pcap nodes.json pods.json --pod shop/web --since 2026-11-23T01:40:00Z
  esplane check node-2.pcap nodes.json keys.yaml --verdict drop
  esplane check node-2.pcap --nodes nodes.json -q || echo "not all is encrypted"

Exit status: 0 all was encrypted, 1 some was not, 2 unusable input, 3 it could not be judged.`,
    )
    .action(check);
}

async function check(files: readonly string[], named: CheckOptions, command: Command): Promise<void> {
  const drops = new FlowDrops();
  const given = await takeCaptures(files, named, command, {
    diagnoses: true,
    counters: false,
    onFlow: (line, source) => drops.line(line, source),
  });
  const { options } = given;
  const reading = await readBeside('check', given, loadEvidence);
  const { name, names, evidence } = reading;
  const checker = new Checker({
    evidence,
    names: await loadNames(options, evidence),
    frameNames: names,
    filter: filterSpec(options),
    hubble: flowDrops({ drops: drops.all }).map(({ summary }) => summary),
  });
  const session = await sessionOf(reading, checker.sinks);
  const { failure, isInterrupted } = await readInto(session, reading, {
    isEnough: () => checker.frames.isOver,
  });
  const { totals } = session.receiver;
  // What could be read is worth having, even when the rest could not.
  if (failure === undefined || totals.frames > 0) {
    const report = checker.finish();
    const out = new Output();
    if (options.json)
      putCheckJson(
        (line) => out.write(line),
        options.quiet ? { ...report, nodes: [], pods: [] } : report,
        names,
      );
    else if (options.quiet) out.write(`${report.summary.summary}\n`);
    else
      out.write(
        checkText(
          report,
          name,
          pageStyle(options, () => session.start, names),
        ),
      );
    await out.flush();
    process.exitCode = EXIT[report.summary.verdict];
  }
  if (failure !== undefined) throw failure;
  if (isInterrupted) {
    say('esplane: interrupted: this is what the captures show up to here');
    process.exit(EXIT_INTERRUPTED);
  }
}
