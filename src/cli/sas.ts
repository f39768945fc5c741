/**
 * `esplane sas`: the SAs that keys, nodes or kernel text yield, in the form that some tool reads.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { InputError } from '../base/errors.ts';
import { encryptDevice, routeCommands } from '../cilium/ip-routes.ts';
import type { RoutingMode } from '../cilium/tunnel.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { writeDsbCsv } from '../sa-text/dsb-csv.ts';
import { writeEspSa } from '../sa-text/esp-sa.ts';
import { saRows, saTable } from '../sa-text/sa-table.ts';
import { writeScapy } from '../sa-text/scapy.ts';
import { writeXfrmPolicy, writeXfrmState } from '../sa-text/xfrm-write.ts';
import { FILES_ARGUMENT, isVersionGiven, takeFiles } from './given-files.ts';
import { Output, warn } from './output.ts';
import { addSaOptions, loadSas, type SaOptions } from './sa-options.ts';
import { type KnownNodeId, type LoadedNodePlan, loadNodePlan, parseNodeId } from './sas-of-node.ts';
import { WeakSuites } from './weak-suites.ts';

interface SasOptions extends SaOptions {
  readonly format: keyof typeof FORMATS;
  readonly json?: boolean;
  readonly showKeys?: boolean;
  /** The one node whose agent's SAs are wanted. */
  readonly node?: string;
  readonly mode?: RoutingMode;
  /** Ids that this node has given to peers. */
  readonly nodeId: readonly KnownNodeId[];
  readonly policies?: boolean;
  readonly device?: string;
  readonly mtu?: number;
  /** Fields in a line of esp_sa. */
  readonly wireshark?: 8 | 10;
}

interface Write {
  readonly showKeys: boolean;
  readonly fields?: 8 | 10;
}

const FORMATS = {
  table: (sas, write) => saTable(sas, write),
  json: (sas, write) => `${JSON.stringify(saRows(sas, write), null, 2)}\n`,
  'ip-xfrm': (sas, write) => writeXfrmState(sas, write),
  'esp-sa': (sas, write) => writeEspSa(sas, write),
  'dsb-csv': (sas, write) => writeDsbCsv(sas, write, warn),
  scapy: (sas, write) => writeScapy(sas, write),
} as const satisfies Record<string, (sas: readonly SaConfig[], write: Write) => string>;

const DEFAULT_DEVICE = 'eth0';
const DEFAULT_MTU = 1500;

/** Adds the command. */
export function sasCommand(program: Command): void {
  const command = program
    .command('sas')
    .description('Print the security associations that the inputs yield. Keys are hidden unless asked for.')
    .argument('[files...]', FILES_ARGUMENT)
    .addOption(
      new Option('--format <format>', 'how to print them').choices(Object.keys(FORMATS)).default('table'),
    )
    .option('--json', 'the same as --format json')
    .option('--show-keys', 'print the keys themselves')
    .option(
      '--wireshark <version>',
      'esp-sa for this Wireshark: 8 fields before 4.6, 10 from then on (default: 10 only under ESN)',
      fieldsOf,
    );
  addSaOptions(command)
    .option('--node <name>', "what this node's agent installs, with marks")
    .addOption(
      new Option('--mode <mode>', 'with --node: how the cluster routes').choices(['native', 'tunnel', 'eni']),
    )
    .option(
      '--node-id <peer=id>',
      'with --node: the id that it has for a peer, as in node-2=0x3cb2 (repeatable; left out, at random)',
      nodeIdOf,
      [],
    )
    .option(
      '--policies',
      'with --node and --format ip-xfrm: the policies too, the ip rule and the routes of table 200',
    )
    .option(
      '--device <name>',
      `with --policies: the device that carries encrypted packets (default: that of the overlay, else ${DEFAULT_DEVICE})`,
      deviceOf,
    )
    .option('--mtu <bytes>', `with --policies: its MTU (default: ${DEFAULT_MTU})`, mtuOf)
    .addHelpText(
      'after',
      `
Example:
  esplane sas keys.yaml nodes.json
  esplane sas --keys keys.yaml --nodes nodes.json --format esp-sa --show-keys > ~/.config/wireshark/esp_sa
  esplane sas --keys keys.yaml --nodes nodes.json --node node-1 --mode tunnel --format ip-xfrm --policies
  esplane sas --xfrm-state n1.txt --format ip-xfrm --show-keys`,
    )
    .action(sas);
}

async function sas(files: readonly string[], named: SasOptions, command: Command): Promise<void> {
  const { options } = await takeFiles(files, named, {
    subject: 'none',
    diagnoses: false,
    opens: false,
    counters: false,
    isVersionGiven: isVersionGiven(command),
  });
  if (options.policies && (options.node === undefined || options.format !== 'ip-xfrm'))
    throw new InputError(
      { source: '--policies' },
      'policies are those of one node, as commands',
      'Give --node NAME and --format ip-xfrm.',
    );
  for (const key of ['device', 'mtu'] as const)
    if (options[key] !== undefined && !options.policies)
      throw new InputError({ source: `--${key}` }, 'is for the routes of one node', 'Give --policies.');
  if (options.mode && options.node === undefined)
    throw new InputError({ source: '--mode' }, 'a mode is for the plan of one node', 'Give --node NAME.');
  if (options.nodeId.length > 0 && options.node === undefined)
    throw new InputError({ source: '--node-id' }, 'every node has ids of its own', 'Give --node NAME.');
  const { node, mode, nodeId: nodeIds } = options;
  const planned = node === undefined ? undefined : loadNodePlan(node, { mode, nodeIds }, options);
  const loaded = planned ? { warnings: [], all: () => planned.plan.sas } : await loadSas(options);
  for (const warning of loaded.warnings) warn(warning);
  const format = options.json ? 'json' : options.format;
  const out = new Output();
  const write = {
    showKeys: options.showKeys ?? false,
    ...(options.wireshark && { fields: options.wireshark }),
  };
  // Policies first: no packet that is marked may leave before the one that blocks is there.
  if (planned && options.policies) out.write(writeXfrmPolicy(planned.plan.policies));
  const all = loaded.all();
  new WeakSuites(warn).look(all);
  if (format === 'ip-xfrm')
    for (const { cpu, origin } of all)
      if (cpu !== undefined)
        warn(`${origin}: the command lacks pcpu-num ${cpu}, which iproute2 takes from 6.14`);
  out.write(FORMATS[format](all, write));
  if (planned && options.policies) out.write(routesOf(planned, options));
  await out.flush();
}

/** The rules and routes beside xfrm; what is assumed of the device is a comment. */
function routesOf({ local, peers, context }: LoadedNodePlan, { device, mtu }: SasOptions): string {
  const known = device ?? encryptDevice(context);
  const assumed = [
    ...(known === undefined ? [`device ${DEFAULT_DEVICE} (--device)`] : []),
    ...(mtu === undefined ? [`MTU ${DEFAULT_MTU} (--mtu)`] : []),
  ];
  const lines = routeCommands(local, peers, context, {
    device: known ?? DEFAULT_DEVICE,
    mtu: mtu ?? DEFAULT_MTU,
  });
  return `${assumed.length > 0 ? `# assumed: ${assumed.join(', ')}\n` : ''}${lines.join('\n')}\n`;
}

/** Fields that a Wireshark version reads in a line of esp_sa. */
function fieldsOf(version: string): 8 | 10 {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined) throw new InvalidArgumentError('Give a version such as 4.6.');
  return Number(major) > 4 || (Number(major) === 4 && Number(minor) >= 6) ? 10 : 8;
}

/** As Linux takes a name; nothing that a shell would read. */
function deviceOf(text: string): string {
  if (!/^[\w.@-]{1,15}$/.test(text)) throw new InvalidArgumentError('Give the name of an interface.');
  return text;
}

function mtuOf(text: string): number {
  const mtu = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (mtu < 68 || mtu > 0xffff) throw new InvalidArgumentError('An MTU is a number from 68 to 65535.');
  return mtu;
}

function nodeIdOf(text: string, before: readonly KnownNodeId[]): KnownNodeId[] {
  const known = parseNodeId(text);
  if (!known) throw new InvalidArgumentError('Write it like node-2=0x3cb2; ids are 1 to 65535.');
  return [...before, known];
}
