/**
 * `esplane decrypt`: clear packets out of a capture of ESP.
 * @module
 */
import { existsSync, realpathSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { InputError } from '../base/errors.ts';
import { PacketJson } from '../inspect/decrypt-json.ts';
import type { EspEvent } from '../inspect/esp-event.ts';
import { KeyUses } from '../inspect/key-use.ts';
import { PacketFilter } from '../inspect/packet-filter.ts';
import { PacketTimes } from '../inspect/packet-time.ts';
import type { CaptureSink } from '../inspect/session.ts';
import { decryptSummary, filterSummary, summaryJson } from './decrypt-summary.ts';
import { addEngineOption, type EngineName } from './engine.ts';
import { putEspLine } from './esp-line.ts';
import { loadOpening } from './evidence-options.ts';
import { FILES_ARGUMENT } from './given-files.ts';
import { Output, say, warn } from './output.ts';
import {
  addFilterOptions,
  addTimeOption,
  checkFilter,
  type FilterOptions,
  filterSpec,
  loadNames,
  type TimeOptions,
} from './packet-options.ts';
import { addSaOptions, noSas, type SaOptions } from './sa-options.ts';
import { type AtOptions, addAtOption, readBeside, readInto, sessionOf, takeCaptures } from './several.ts';
import { EXIT_INTERRUPTED } from './signals.ts';
import { addWriteOptions, checkStdout, openPacketFile, type WriteOptions } from './write-options.ts';

interface DecryptCommandOptions extends SaOptions, WriteOptions, TimeOptions, FilterOptions, AtOptions {
  readonly json?: boolean;
  readonly summary?: boolean;
  readonly quiet?: boolean;
  readonly crypto: EngineName;
}

/** Adds the command. */
export function decryptCommand(program: Command): void {
  const command = program
    .command('decrypt')
    .description(
      'Decrypt the ESP packets of a capture, with the verdict that the receiving kernel gives each.',
    )
    .argument('<files...>', `a capture, - for standard input, or several, merged by time; ${FILES_ARGUMENT}`)
    .option('--json', 'one JSON object a line for every ESP packet')
    .option('--summary', 'with --json: a last line with the summary as an object, as -q has it alone')
    .option('-q, --quiet', 'no line for each packet, only the summary');
  addFilterOptions(addTimeOption(command), 'packets');
  addEngineOption(addSaOptions(addWriteOptions(addAtOption(command))))
    .addHelpText(
      'after',
      `
Example:
  kubectl -n kube-system get secret cilium-ipsec-keys -o yaml > keys.yaml
  kubectl get ciliumnodes -o json > nodes.json
  esplane decrypt node-2.pcap keys.yaml nodes.json
  esplane decrypt ring.pcap* keys.yaml nodes.json
  esplane decrypt node-2.pcap keys.yaml nodes.json pods.json --verdict drop,unopened --node node-1
  esplane decrypt node-2.pcap --keys keys.yaml --nodes nodes.json -w clear.pcapng
  esplane decrypt node-2.pcap --keys keys.yaml --nodes nodes.json -w self.pcapng --wire --with-secrets

A pcapng file with a decryption secrets block (ESPS) needs no options. Without SAs ESP is listed, as tcpdump does.

A filter chooses what is shown and written; the verdict of a packet is the same without. Of a packet that was not
opened only the addresses around ESP are known. docs/filters.md has more.

Exit status: 0 the capture was read to its end (packets may have been dropped), 2 unusable input.`,
    )
    .action(decrypt);
}

async function decrypt(
  files: readonly string[],
  named: DecryptCommandOptions,
  command: Command,
): Promise<void> {
  checkStdout(named, ['json']);
  checkFilter(named);
  const given = await takeCaptures(files, named, command, { diagnoses: false, counters: false });
  const { captures, options } = given;
  for (const capture of captures) checkIsAnother(capture, options.write);
  const reading = await readBeside('decrypt', given, loadOpening);
  const { name, names, evidence } = reading;
  const out = new Output();
  const file = await openPacketFile(options, names);
  const who = await loadNames(options, evidence);
  const filter = new PacketFilter(filterSpec(options), who);
  const isFiltered = filter.isOn;
  let isKept = true;
  const json = new PacketJson(names, who);
  const times = new PacketTimes(options.time, () => session.start);
  const lines: CaptureSink = {
    packet: (event) => {
      if (isFiltered) {
        isKept = filter.keeps(event);
        if (!isKept) return;
      }
      if (options.quiet) return;
      if (options.json) json.put(out.text, event);
      else if (!file) putEspLine(out.text, event, { times, frames: names, names: who });
      out.settle();
    },
  };
  const keyUses = new KeyUses(evidence);
  const writeKept = (event: EspEvent) => {
    if (isKept) file?.sink.packet?.(event);
  };
  const session = await sessionOf(reading, [
    lines,
    ...(options.keys.length > 0 ? [keyUses] : []),
    ...(file ? [isFiltered ? { packet: writeKept } : file.sink] : []),
  ]);
  const { receiver } = session;
  const { totals } = receiver;
  // Without SAs packets are listed; there is nothing to write.
  const isLost = () => file !== undefined && totals.esp > 0 && !evidence.hasSas;
  // What could be read is worth having, even when the rest could not.
  const { failure, isInterrupted } = await readInto(session, reading, {
    afterChunk: () => {
      if (isLost()) throw noSas();
      return out.flush();
    },
    isEnough: () => filter.isFull,
    atEnd: () => {
      if (file && !evidence.hasSas) throw noSas();
    },
  });
  if (options.json && (options.summary || options.quiet))
    out.write(`${JSON.stringify(summaryJson(captures, receiver, isFiltered ? filter : undefined))}\n`);
  await out.flush();
  if (totals.frames > 0 && !isLost()) {
    say(decryptSummary(name, receiver, evidence.hasSas, keyUses));
    if (isFiltered) say(filterSummary(filter));
  }
  if (failure === undefined && !isInterrupted) {
    if (totals.frames === 0)
      warn(`${name === captures[0] ? 'the capture holds' : 'the captures hold'} no frames`);
    file?.finish();
    return;
  }
  if (isLost()) file?.discard();
  const left = isLost() ? undefined : file?.stopEarly();
  if (left !== undefined) say(`What was read before that is in ${left}.`);
  if (failure !== undefined) throw failure;
  say('esplane: interrupted');
  // At once: a capture whose writer is gone is still waited for.
  process.exit(EXIT_INTERRUPTED);
}

/** @throws {InputError} when the clear packets would take the capture's place */
function checkIsAnother(capture: string, write: string | undefined): void {
  if (write === undefined || !existsSync(capture) || !existsSync(write)) return;
  if (realpathSync(capture) === realpathSync(write) && statSync(write).isFile())
    throw new InputError({ source: write }, 'is the capture itself', 'Give -w another name.');
}
