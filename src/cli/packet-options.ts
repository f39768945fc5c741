/**
 * Which packets are shown, and how: the options that commands with packets share.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { InputError } from '../base/errors.ts';
import type { PodAddresses } from '../cilium/pod-addresses.ts';
import { Names, NO_NAMES, type NodeNames } from '../inspect/names.ts';
import { type FilterSpec, PacketFilter, type VerdictName } from '../inspect/packet-filter.ts';
import { type Moment, readTime, TIME_FORMS, type TimeForm } from '../inspect/packet-time.ts';
import { DROPS } from '../ipsec/drop.ts';
import { type Prefix, parsePrefix } from '../wire/address.ts';
import { readText } from './files.ts';
import { warn } from './output.ts';
import { collect } from './sa-options.ts';
import type { WriteOptions } from './write-options.ts';

export interface TimeOptions {
  readonly time: TimeForm;
}

/** Adds `--time` to a command. */
export function addTimeOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--time <form>',
      'times in UTC (iso), in seconds since 1970 (epoch), since the first frame (relative), or since the line before (delta); JSON has epoch',
    )
      .choices(TIME_FORMS)
      .default('iso'),
  );
}

export interface FilterOptions {
  readonly verdict: readonly VerdictName[];
  readonly reason: readonly string[];
  readonly spi: readonly number[];
  readonly ip: readonly Prefix[];
  readonly pod: readonly string[];
  readonly node: readonly string[];
  readonly since?: Moment;
  readonly until?: Moment;
  readonly count?: number;
  readonly pods: readonly string[];
}

/**
 * Adds the filters to a command, and `--pods`.
 * @param what they choose: packets, findings of a diagnosis, or pairs of a check. What is in the clear has no verdict and no SPI,
 * so that these choose there which pairs are shown, and not what is judged
 * @param codes of findings, that `--reason` may name too
 */
export function addFilterOptions(
  command: Command,
  what: 'packets' | 'findings' | 'pairs',
  codes?: ReadonlySet<string>,
): Command {
  const only = ONLY[what];
  const several = (flags: string, description: string, parse: (text: string) => unknown) =>
    command.addOption(
      new Option(flags, description)
        .argParser((value: string, before: readonly unknown[]) => [
          ...before,
          ...value.split(',').map((text) => parse(text.trim())),
        ])
        .default([], 'all'),
    );
  const shown = what === 'pairs' ? 'show only pairs with packets' : only;
  several('--verdict <verdict>', `${shown} that are ok, drop or unopened; several with commas`, verdictOf);
  several(
    '--reason <reason>',
    what === 'findings'
      ? 'only findings with this code, or about packets dropped for this reason'
      : `${shown} dropped, or not opened, for this reason: bad-icv, no-state, …`,
    (text) => (codes?.has(text) ? text : reasonOf(text)),
  );
  several('--spi <spi>', `${shown} with this SPI: 3, 0x3`, spiOf);
  several('--ip <address>', `${only} with this address or range, around ESP or inside`, rangeOf);
  several('--pod <pod>', `${only} of this pod: NAME or NAMESPACE/NAME, with --pods`, nameOf);
  several('--node <node>', `${only} from or to this node: a name, or its address`, nameOf);
  const when = what === 'pairs' ? 'only frames' : only;
  return command
    .option(
      '--since <time>',
      `${when} from this time on: 2026-11-23T01:40:09Z, or seconds since 1970`,
      momentOf,
    )
    .option('--until <time>', `${when} up to this time`, momentOf)
    .option('-c, --count <number>', COUNTED[what], positive)
    .option(
      '--pods <file>',
      'names of pods: output of `kubectl get pods -A -o json`, or of ciliumendpoints (repeatable)',
      collect,
      [],
    );
}

const ONLY = { packets: 'only packets', findings: 'only findings about packets', pairs: 'only pairs' };
const COUNTED = {
  packets: 'end after so many packets',
  findings: 'show so many findings',
  pairs: 'only the first frames, so many',
};

/** What the options ask for. */
export function filterSpec(options: FilterOptions): FilterSpec {
  return {
    verdicts: options.verdict,
    reasons: options.reason,
    spis: options.spi,
    addresses: options.ip,
    pods: options.pod,
    nodes: options.node,
    since: options.since,
    until: options.until,
    count: options.count,
  };
}

/** The same for a diagnosis, where `--reason` may name `codes` of findings, too. */
export function findingSpec(
  options: FilterOptions,
  codes: ReadonlySet<string>,
): {
  readonly filter: FilterSpec;
  readonly codes: readonly string[];
} {
  const spec = filterSpec(options);
  return {
    filter: { ...spec, reasons: spec.reasons.filter((reason) => REASONS.has(reason)), count: undefined },
    codes: spec.reasons.filter((reason) => codes.has(reason)),
  };
}

/**
 * @param endsAtCount whether the command takes no frame after the last one that `-c` wants
 * @throws {InputError} when `--wire` or `--summary` does not go with the other options
 */
export function checkFilter(
  options: FilterOptions & WriteOptions & { readonly summary?: boolean; readonly json?: boolean },
  endsAtCount = false,
): void {
  if (options.summary && !options.json)
    throw new InputError({ source: '--summary' }, 'is for --json', 'Give --json too.');
  const { count, ...spec } = filterSpec(options);
  if (options.wire && new PacketFilter({ ...spec, count: endsAtCount ? undefined : count }, NO_NAMES).isOn)
    throw new InputError(
      { source: '--wire' },
      'the frames as they came go whole, without a filter',
      'Leave the filter out, or --wire.',
    );
}

/**
 * Names of nodes and pods.
 * @throws {InputError} when --pod is given and no pod is known
 */
export async function loadNames(
  { pods, pod }: Pick<FilterOptions, 'pods' | 'pod'>,
  nodes: NodeNames,
): Promise<Names> {
  const found: PodAddresses[] = [];
  if (pods.length > 0) {
    const { parsePodAddresses } = await import('../cilium/pod-addresses.ts');
    for (const file of pods) {
      try {
        const read = parsePodAddresses(readText(file), file);
        if (read.length === 0) warn(`${file}: no pod with an address is in it`);
        for (const one of read) found.push(one);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        // Names make reading easier; the answer is the same without them.
        warn(error.message);
      }
    }
  }
  const names = new Names(nodes, found);
  if (pod.length > 0 && !names.hasPods)
    throw new InputError(
      { source: '--pod' },
      'no pod is known by its name',
      'Give --pods FILE: kubectl get pods -A -o json.',
    );
  return names;
}

const VERDICTS: readonly string[] = ['ok', 'drop', 'unopened'] satisfies VerdictName[];
const REASONS: ReadonlySet<string> = new Set(DROPS.map(({ reason }) => reason));

function verdictOf(text: string): string {
  if (!VERDICTS.includes(text)) throw new InvalidArgumentError(`Give one of ${VERDICTS.join(', ')}.`);
  return text;
}

function reasonOf(text: string): string {
  if (!REASONS.has(text))
    throw new InvalidArgumentError('Give a reason such as bad-icv: docs/diagnose.md lists them.');
  return text;
}

function rangeOf(text: string): Prefix {
  const range = parsePrefix(text);
  if (!range) throw new InvalidArgumentError('Give an address, or a range such as 10.0.1.0/24.');
  return range;
}

function nameOf(text: string): string {
  if (text === '') throw new InvalidArgumentError('Give a name.');
  return text;
}

function spiOf(text: string): number {
  const spi = /^(?:0x[\da-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN;
  if (!(spi <= 0xffff_ffff)) throw new InvalidArgumentError('Give a number of 32 bits: 3, or 0x3.');
  return spi;
}

function momentOf(text: string): Moment {
  const epoch = readTime(text);
  if (epoch) return epoch;
  const [, whole, fraction = '', zone] =
    /^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?$/i.exec(text) ?? [];
  if (whole !== undefined && zone === undefined)
    throw new InvalidArgumentError(`Say the zone: ${text}Z for UTC, or ${text}+01:00.`);
  const ms = Date.parse(`${whole?.replace(' ', 'T')}${zone?.replace(/^([+-]\d\d):?(\d\d)$/, '$1:$2')}`);
  if (whole === undefined || Number.isNaN(ms))
    throw new InvalidArgumentError('Give a time such as 2026-11-23T01:40:09Z, or seconds since 1970.');
  return { seconds: ms / 1000, nanoseconds: Number(fraction.padEnd(9, '0')) };
}

/** Reads a whole number from 1 up. */
export function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('Give a number from 1 up.');
  return value;
}
