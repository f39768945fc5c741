/**
 * `esplane run`: a scenario in virtual time (see `run-scenario.ts`), or with `--tun` two nodes on this host, in namespaces
 * of their own, with real packets between them.
 * @module
 */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { toHex } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { addEngineOption, type EngineName } from './engine.ts';
import { addFlowOptions, checkStreams, type FlowOptions, flowsOf } from './flow-options.ts';
import { secondsArgument } from './node.ts';
import { type NodeConfig, parseNodeConfig } from './node-config.ts';
import { printLine, say } from './output.ts';
import { writeWhole } from './output-file.ts';
import { makeRunFolder, removeRunFolders } from './run-folder.ts';
import { onSignals } from './signals.ts';
import { type RunningNode, startNode } from './start-node.ts';
import { StatsPrinter } from './stats-line.ts';
import { makeTunNetwork, removeLeftovers, type TunNetwork } from './tun-network.ts';

const EXAMPLE = `
Examples:
  $ esplane run examples/rotation.yaml
  $ esplane run examples/rotation-old-order.yaml --seed 7 --json
  $ esplane run examples/replay.yaml -w captures && esplane decrypt captures/node-2.pcapng
  $ esplane run examples/replay.yaml --flows - --flows-format compact --verdict DROPPED
  $ esplane run --tun --link raw --duration 60

A scenario is a cluster in virtual time: the same file and seed give the same bytes. -w writes what each node saw on
its device, with the keys. --flows writes the flows of all nodes as Hubble prints them, in virtual time. See
docs/scenarios.md for all that a file can say.

--tun: two namespaces joined by a veth pair, in each a node with a TUN device for its pods. It prints what to try, and
removes everything when it ends. It needs root.

Ctrl-C ends a scenario early; with -w its files are whole up to there.

Exit status: 0 done, 1 a packet of the scenario is not accounted for, 2 unusable input.`;

interface Options extends FlowOptions {
  readonly tun?: boolean;
  readonly seed?: number;
  readonly write?: string;
  readonly only: readonly string[];
  readonly link: 'udp' | 'raw' | 'packet';
  readonly crypto: EngineName;
  readonly duration?: number;
  readonly json?: boolean;
}

/** Adds the command. */
export function runCommand(program: Command): void {
  const command = program
    .command('run')
    .argument('[scenario]', 'a scenario file')
    .description('Run a cluster from a scenario file in virtual time, or two nodes on this host.')
    .option('--seed <number>', "in place of the scenario's own: for keys, boot ids, IVs and all chance", seed)
    .option('-w, --write <folder>', 'write one pcapng a node into this folder, with its keys')
    .option(
      '--only <node>',
      'with -w: write this node alone, of a cluster of many (repeatable)',
      (node: string, before: readonly string[]) => [...before, node],
      [],
    )
    .option('--tun', 'over TUN devices in network namespaces that it makes and removes')
    .addOption(
      new Option('--link <link>', 'what is between the nodes')
        .choices(['udp', 'raw', 'packet'])
        .default('udp'),
    )
    .option('--duration <seconds>', 'end by itself', secondsArgument)
    .option('--json', 'the report as one JSON object; with --tun, one a line');
  addFlowOptions(addEngineOption(command)).addHelpText('after', EXAMPLE).action(run);
}

/** Options that say nothing about the other kind of run. */
const OF_TUN = ['link', 'duration'] as const;
const OF_SCENARIO = ['seed', 'write', 'only'] as const;

async function run(scenario: string | undefined, options: Options, command: Command): Promise<void> {
  if (options.tun && scenario !== undefined)
    throw new InputError({ source: 'run' }, 'a scenario, and --tun', 'Give one of them.');
  const [idle, owner] = options.tun ? [OF_SCENARIO, 'a scenario'] : [OF_TUN, '--tun'];
  for (const name of idle)
    if (command.getOptionValueSource(name) === 'cli')
      throw new InputError({ source: `--${name}` }, `is for ${owner}`, 'Leave it out.');
  const flows = flowsOf(options);
  if (options.tun && flows)
    throw new InputError({ source: '--flows' }, 'is for a scenario', 'Use esplane node --flows.');
  checkStreams(flows, options.json);
  if (options.tun) return runTun(options);
  if (scenario === undefined)
    throw new InputError(
      { source: 'run' },
      'nothing to run',
      'Name a scenario, such as examples/rotation.yaml, or say --tun.',
    );
  const { runScenario } = await import('./run-scenario.ts');
  return runScenario(scenario, { ...options, flows });
}

function seed(text: string): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= 0xffff_ffff)) throw new InvalidArgumentError('Give a whole number, such as 7.');
  return value;
}

async function runTun(options: Options): Promise<void> {
  for (const name of [...removeLeftovers(), ...removeRunFolders(tmpdir())])
    say(`removed ${name}, which a killed run had left`);
  const folder = makeRunFolder(tmpdir(), process.pid);
  let network: TunNetwork | undefined;
  const clean = () => {
    rmSync(folder, { recursive: true, force: true });
    try {
      network?.remove();
    } catch (error) {
      say(
        `${(error as Error).message}\nRemove them by hand: ip netns delete ${network?.netns.join('; ip netns delete ')}`,
      );
      process.exitCode = 2;
    }
    network = undefined;
  };
  // Also when the second Ctrl-C ends it at once, or something unforeseen does.
  process.once('exit', clean);
  const nodes: RunningNode[] = [];
  const stop = () => {
    for (const node of nodes) node.stop();
  };
  let isStopping = false;
  const forget = onSignals({
    stop: () => {
      isStopping = true;
      stop();
    },
  });
  try {
    network = makeTunNetwork(process.pid);
    const configs = writeCluster(folder, network, options);
    const printer = new StatsPrinter(options.json ?? false);
    for (const config of configs) {
      const node = await startNode(config, (line) => say(`esplane: ${line}`));
      nodes.push(node);
      printer.ready(node.facts);
    }
    if (isStopping) stop();
    if (!options.json) printLine(whatToTry(network));
    const every = setInterval(() => printer.stats(nodes.flatMap((node) => node.stats() ?? [])), 1000);
    const limit = options.duration ? setTimeout(stop, options.duration * 1000) : undefined;
    try {
      printer.stopped(await Promise.all(nodes.map(({ ended }) => ended)));
    } finally {
      clearInterval(every);
      clearTimeout(limit);
    }
  } finally {
    stop();
    await Promise.allSettled(nodes.map(({ ended }) => ended));
    forget();
    process.off('exit', clean);
    clean();
  }
}

/** Writes keys and nodes of a cluster of two, with a key of its own, and the nodes' configurations. */
function writeCluster(folder: string, { netns, outer, device }: TunNetwork, options: Options): NodeConfig[] {
  const key = new Uint8Array(20);
  secureBytes(key);
  writeWhole(join(folder, 'keys'), `3+ rfc4106(gcm(aes)) ${toHex(key)} 128\n`);
  const items = outer.map((address, i) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNode',
    metadata: { name: `node-${i + 1}` },
    spec: {
      addresses: [
        { ip: address, type: 'InternalIP' },
        { ip: `10.244.${i + 1}.1`, type: 'CiliumInternalIP' },
      ],
      bootid: bootId(),
      encryption: { key: 3 },
      ipam: { podCIDRs: [`10.244.${i + 1}.0/24`] },
    },
  }));
  writeWhole(join(folder, 'nodes.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  return netns.map((name, i) =>
    parseNodeConfig(
      JSON.stringify({
        name: `node-${i + 1}`,
        netns: name,
        inside: { device: 'esp0', mtu: 'fit', addresses: [`10.244.${i + 1}.1/24`] },
        outside: { link: options.link, address: outer[i], device },
        crypto: options.crypto,
        keys: 'keys',
        nodes: 'nodes.json',
      }),
      join(folder, `node-${i + 1}.yaml`),
    ),
  );
}

/** As the kernel writes /proc/sys/kernel/random/boot_id. */
function bootId(): string {
  const bytes = new Uint8Array(16);
  secureBytes(bytes);
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function whatToTry({ netns: [first, second], device }: TunNetwork): string {
  return [
    'Try, in another terminal:',
    `  ip netns exec ${first} ping 10.244.2.1                       # through the tunnel`,
    `  ip netns exec ${second} tcpdump -ni ${device}                     # what is on the wire`,
    `  ip netns exec ${second} iperf3 -s -D; ip netns exec ${first} iperf3 -c 10.244.2.1`,
    'esplane capture needs --udp-port 4500 for packets of --link udp.',
    'Ctrl-C ends it and removes everything.',
  ].join('\n');
}
