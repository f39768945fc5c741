/**
 * `node scripts/make-sysdump.mjs`: sysdumps to try esplane on.
 * @module
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { NodeEngine } from '../../src/crypto/node.ts';
import { parseScenario } from '../../src/sim/scenario.ts';
import { ZipWriter } from './archives.ts';
import { sysdumpOfTrouble, TROUBLES } from './from-kernel.ts';
import { sysdumpOfScenario } from './from-scenario.ts';
import { PLANTS, type Plant, writeLarge } from './large.ts';
import { bugtool, podOf, type SysdumpCluster, sysdump } from './layout.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DIAGNOSE = join(ROOT, 'pcaps/diagnose');
const EXAMPLES = join(ROOT, 'examples');

interface Options {
  readonly all?: boolean;
  readonly out: string;
  readonly layout?: number;
  readonly packed?: boolean;
  readonly bugtool?: string;
  readonly at?: number;
  readonly took?: number;
  readonly seed?: number;
  readonly time?: string;
  readonly large?: number;
  readonly pods: number;
  readonly plant: Readonly<Partial<Record<Plant, number>>>;
}

/** Names that `--all` stands for. A cluster of 1000 nodes has to be asked for. */
const SCENARIOS = readdirSync(EXAMPLES)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => basename(name, '.yaml'));
const LARGE = ['rotation-1000'];

/** Runs the command. */
export async function run(args: readonly string[]): Promise<void> {
  const program = new Command('make-sysdump')
    .usage('[options] NAME…')
    .description(
      'Makes zips as `cilium sysdump` writes them: of the kernels of pcaps/diagnose, and of simulated clusters.',
    )
    .argument('[names...]', 'troubles of pcaps/diagnose, scenarios of examples/, or scenario files')
    .option('--all', `all troubles, and all scenarios but ${LARGE.join(', ')}`)
    .option('-o, --out <folder>', 'where NAME.zip is written', '.')
    .option('--layout <version>', 'as the bugtool of this Cilium collects, from 1.10 on', minorOf)
    .option('--packed', 'leave bugtool archives packed')
    .option('--bugtool <node>', 'the bugtool archive of one node alone, as NAME.NODE.tar.gz')
    .option('--at <ms>', 'when a scenario is collected, from its start; by default at its end', numberOf)
    .option('--took <ms>', 'between the two readings of the counters', numberOf, 1000)
    .option('--seed <n>', "in place of the scenario's", numberOf)
    .option('--time <time>', 'in names of files: YYYYMMDD-hhmmss')
    .option(
      '--large <nodes>',
      'a cluster of so many nodes with 4 states a peer, as large-NODES.zip',
      numberOf,
    )
    .option('--pods <n>', 'pods on each of these nodes', numberOf, 10)
    .option('--plant <trouble=n>', 'a trouble at n of these nodes; may be given again', plantOf, {})
    .addHelpText(
      'after',
      `
Troubles:  ${TROUBLES.join(', ')}
Scenarios: ${SCENARIOS.join(', ')}
To plant:  ${Object.entries(PLANTS)
        .map(([plant, what]) => `${plant} (${what})`)
        .join(', ')}
A name that is both is the trouble; examples/NAME.yaml is the scenario. The same arguments give the same bytes.

Examples:
  node scripts/make-sysdump.mjs --all --out /tmp/sysdumps
  node scripts/make-sysdump.mjs sa-gone --layout 1.14 --packed
  node scripts/make-sysdump.mjs examples/rotation.yaml --at 2500
  node scripts/make-sysdump.mjs --large 1000 --plant stale-boot-id=1 --plant old-key=2 --out /tmp/large`,
    );
  program.action(async (names: readonly string[], options: Options) => {
    const all = options.all
      ? [...TROUBLES, ...SCENARIOS.filter((name) => !LARGE.includes(name)).map(fileOf)]
      : [];
    if (names.length + all.length === 0 && options.large === undefined)
      program.error('Give names, or --all.');
    mkdirSync(options.out, { recursive: true });
    if (options.large !== undefined) writeLargeFile(options.large, options);
    for (const name of [...all, ...names]) write(name, options, program);
  });
  await program.parseAsync(args, { from: 'user' });
}

const fileOf = (name: string) => join(EXAMPLES, `${name}.yaml`);

function write(name: string, options: Options, program: Command): void {
  const { out, packed = false, time, bugtool: only } = options;
  const cluster = make(name, options, program);
  const base = join(out, basename(name, '.yaml') + (TROUBLES.some((one) => one === name) ? '' : '.sim'));
  if (only === undefined) {
    writeFileSync(`${base}.zip`, sysdump(cluster, { packed, ...(time !== undefined && { time }) }));
    console.log(`${base}.zip`);
    return;
  }
  const node = cluster.nodes.find((one) => one.name === only || podOf(one) === only);
  if (!node)
    program.error(`${name} has no node ${only}: it has ${cluster.nodes.map((one) => one.name).join(', ')}`);
  writeFileSync(`${base}.${node.name}.tar.gz`, bugtool(node, time));
  console.log(`${base}.${node.name}.tar.gz`);
}

/** Writes the zip, and beside it the Secret's line. */
function writeLargeFile(nodes: number, { out, pods, plant, seed = 1, time }: Options): void {
  const base = join(out, `large-${nodes}`);
  const fd = openSync(`${base}.zip`, 'w');
  const write = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  };
  const zip = new ZipWriter(write, { level: 1 });
  const begin = performance.now();
  const options = { nodes, podsPerNode: pods, plants: plant, seed, ...(time !== undefined && { time }) };
  const { keys, planted, states } = writeLarge(zip, options);
  zip.end();
  closeSync(fd);
  writeFileSync(`${base}.keys`, keys);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(`${base}.zip: up to ${states} states a node, made in ${seconds} s; its keys: ${base}.keys`);
  for (const one of planted) console.log(`${one.node}: ${PLANTS[one.plant]}`);
}

function make(name: string, options: Options, program: Command): SysdumpCluster {
  const { layout, at, took, seed } = options;
  if (TROUBLES.some((one) => one === name)) return sysdumpOfTrouble(DIAGNOSE, name, layout);
  const file = existsSync(name) ? name : fileOf(name);
  if (!existsSync(file)) program.error(`${name} is no trouble, no scenario and no file`);
  const scenario = parseScenario(readFileSync(file, 'utf8'), name);
  return sysdumpOfScenario(scenario, new NodeEngine(), { minor: layout, at, took, seed });
}

function minorOf(text: string): number {
  const [, minor] = /^1\.(\d{2})$/.exec(text) ?? [];
  if (minor === undefined) throw new InvalidArgumentError('Give one as 1.18.');
  return Number(minor);
}

function plantOf(text: string, before: Options['plant']): Options['plant'] {
  const [, plant = '', count] = /^([\w-]+)=(\d{1,6})$/.exec(text) ?? [];
  if (!(plant in PLANTS))
    throw new InvalidArgumentError(`Give one of ${Object.keys(PLANTS).join(', ')}, as in behind=2.`);
  return { ...before, [plant]: Number(count) };
}

function numberOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give a whole number.');
  return Number(text);
}
