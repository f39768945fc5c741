/**
 * What the command line and a node's configuration say about flows. The filters are named as those of `hubble observe`.
 * @module
 */
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import type { FlowFilter } from '../observe/flow-filter.ts';
import { type Prefix, parseAddress, parsePrefix, singlePrefix } from '../wire/address.ts';

const FORMATS = ['json', 'compact'] as const;
const VERDICTS = ['FORWARDED', 'DROPPED'] as const;
/** Renamed files that stay, as Hubble's exporter has it. */
export const BACKUPS = 5;
const megabytes = z.number().positive().max(1e6);
const backups = z.int().min(0).max(1000);
const prefixes = z
  .union([z.string().transform((one) => [one]), z.array(z.string())])
  .refine((list) => list.every((one) => toPrefix(one)), 'is no address or prefix like 10.244.1.0/24')
  .default([]);

const OBJECT = z.strictObject({
  file: z.string().min(1),
  format: z.enum(FORMATS).default('json'),
  all: z.boolean().default(false),
  encrypted: z.boolean().optional(),
  verdict: z.enum(VERDICTS).optional(),
  'from-ip': prefixes,
  'to-ip': prefixes,
  mode: z
    .string()
    .regex(/^0?[0-7]{3}$/, 'is not a mode in octal, such as "0640"')
    .optional(),
  'max-size-mb': megabytes.optional(),
  'max-backups': backups.optional(),
});

/** The key `flows` of a configuration: a file's name, or more. */
export const FLOWS_SCHEMA = z.union([
  z
    .string()
    .min(1)
    .transform((file) => OBJECT.parse({ file })),
  OBJECT,
]);

/** Plain data: it goes to a worker. */
export type FlowsConfig = z.output<typeof OBJECT>;

/** As commander has them. */
export interface FlowOptions {
  readonly flows?: string;
  readonly flowsFormat?: (typeof FORMATS)[number];
  readonly flowsAll?: boolean;
  readonly flowsMaxSizeMb?: number;
  readonly flowsMaxBackups?: number;
  readonly encrypted?: boolean;
  readonly unencrypted?: boolean;
  readonly verdict?: (typeof VERDICTS)[number];
  readonly fromIp?: string[];
  readonly toIp?: string[];
}

/** Adds the options to a command. */
export function addFlowOptions(command: Command): Command {
  return command
    .option('--flows <file>', 'write flows as Hubble prints them, one a line; - for standard output')
    .addOption(new Option('--flows-format <format>', 'of flows (default json)').choices(FORMATS))
    .option('--flows-all', 'also where packets come from: from-endpoint, from-network, from-overlay')
    .option(
      '--flows-max-size-mb <number>',
      'rename the file of flows to FILE.1 when it would grow beyond this many megabytes',
      numberArgument(megabytes),
    )
    .option(
      '--flows-max-backups <number>',
      `renamed files that are kept (default ${BACKUPS})`,
      numberArgument(backups),
    )
    .option('--encrypted', 'only flows of packets that are encrypted')
    .option('--unencrypted', 'only flows of packets that are not')
    .addOption(new Option('--verdict <verdict>', 'only flows with this verdict').choices(VERDICTS))
    .option('--from-ip <prefix>', 'only flows from these addresses; repeatable', collectPrefix)
    .option('--to-ip <prefix>', 'only flows to these addresses; repeatable', collectPrefix);
}

/**
 * Puts both together; what the command line says counts more.
 * @returns undefined where no flows are wanted
 * @throws {InputError} for options that do not go together
 */
export function flowsOf(options: FlowOptions, configured?: FlowsConfig): FlowsConfig | undefined {
  const { flows, flowsFormat, flowsAll, encrypted, unencrypted, verdict, fromIp, toIp } = options;
  const { flowsMaxSizeMb, flowsMaxBackups } = options;
  if (encrypted && unencrypted)
    throw new InputError(
      { source: '--encrypted and --unencrypted' },
      'are mutually exclusive',
      'Give one of them.',
    );
  const isEncrypted = encrypted ? true : unencrypted ? false : undefined;
  const file = flows === undefined ? configured?.file : flows === '-' ? flows : resolve(flows);
  const named = {
    '--flows-format': flowsFormat,
    '--flows-all': flowsAll,
    '--flows-max-size-mb': flowsMaxSizeMb,
    '--flows-max-backups': flowsMaxBackups,
    '--encrypted': encrypted,
    '--unencrypted': unencrypted,
    '--verdict': verdict,
    '--from-ip': fromIp,
    '--to-ip': toIp,
  };
  if (file === undefined) {
    const given = Object.entries(named).find(([, value]) => value !== undefined);
    if (given)
      throw new InputError({ source: given[0] }, 'is about flows, and there are none', 'Give --flows.');
    return undefined;
  }
  const encryption = isEncrypted ?? configured?.encrypted;
  const wanted = verdict ?? configured?.verdict;
  const maxSize = flowsMaxSizeMb ?? configured?.['max-size-mb'];
  const kept = flowsMaxBackups ?? configured?.['max-backups'];
  if (flowsMaxBackups !== undefined && maxSize === undefined)
    throw new InputError(
      { source: '--flows-max-backups' },
      'needs a size at which files are renamed',
      'Give --flows-max-size-mb.',
    );
  return {
    file,
    format: flowsFormat ?? configured?.format ?? 'json',
    all: flowsAll ?? configured?.all ?? false,
    ...(encryption !== undefined && { encrypted: encryption }),
    ...(wanted && { verdict: wanted }),
    'from-ip': fromIp ?? configured?.['from-ip'] ?? [],
    'to-ip': toIp ?? configured?.['to-ip'] ?? [],
    ...(configured?.mode !== undefined && { mode: configured.mode }),
    ...(maxSize !== undefined && { 'max-size-mb': maxSize }),
    ...(kept !== undefined && { 'max-backups': kept }),
  };
}

/** Standard output is for one kind of line. @throws {InputError} when two would share it */
export function checkStreams(flows: FlowsConfig | undefined, json: boolean | undefined): void {
  if (flows?.file === '-' && json)
    throw new InputError(
      { source: '--flows -' },
      'and --json would both write to standard output',
      'Give --flows a file.',
    );
}

/** What a recorder is to keep. */
export function filterOf({ encrypted, verdict, ...flows }: FlowsConfig): FlowFilter {
  return {
    ...(encrypted !== undefined && { encrypted }),
    ...(verdict && { verdict }),
    from: flows['from-ip'].flatMap((text) => toPrefix(text) ?? []),
    to: flows['to-ip'].flatMap((text) => toPrefix(text) ?? []),
  };
}

/** Reads a number that a schema takes. */
function numberArgument(schema: z.ZodNumber): (text: string) => number {
  return (text) => {
    const { data, error } = schema.safeParse(text.trim() === '' ? Number.NaN : Number(text));
    if (error) throw new InvalidArgumentError(`${error.issues[0]!.message}.`);
    return data;
  };
}

function collectPrefix(text: string, before: string[] = []): string[] {
  if (!toPrefix(text)) throw new InvalidArgumentError('An address or a prefix like 10.244.1.0/24.');
  return [...before, text];
}

function toPrefix(text: string): Prefix | undefined {
  const address = parseAddress(text);
  return address ? singlePrefix(address) : parsePrefix(text);
}
