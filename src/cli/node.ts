/**
 * `esplane node --config FILE`: one real node on this host.
 * @module
 */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { ENGINE_NAMES, type EngineName } from './engine.ts';
import { type NodeConfig, readNodeConfig } from './node-config.ts';
import { loadPlan } from './node-plan.ts';
import { printLine } from './output.ts';
import { onSignals } from './signals.ts';
import { startNode } from './start-node.ts';
import { StatsPrinter } from './stats-line.ts';

const EXAMPLE = `
Example: node-1.yaml
  name: node-1
  inside: { device: esp0, addresses: [10.244.1.1/24] }
  outside: { link: udp, address: 192.168.0.1 }
  keys: [keys]                 # Cilium's keys and CiliumNodes, or, instead of both,
  nodes: [nodes.json]          # xfrm: { state: [n1.state], policy: [n1.policy] } and pods: [10.244.1.0/24]

  $ esplane node --config node-1.yaml

It needs root (TUN, raw sockets). SIGHUP reads keys and nodes again; SIGTERM or Ctrl-C ends it and removes
what it made. With --json one object a line: "ready", "stats" at intervals, "stopped".`;

interface Options {
  readonly config: string;
  readonly crypto?: EngineName;
  readonly json?: boolean;
  readonly stats: number;
  readonly duration?: number;
  readonly check?: boolean;
}

/** Adds the command. */
export function nodeCommand(program: Command): void {
  program
    .command('node')
    .description('run one node on this host: TUN inside; UDP, raw or packet sockets outside')
    .requiredOption('--config <file>', 'the node as YAML, - for standard input')
    .option('--crypto <engine>', `cipher backend: ${ENGINE_NAMES.join(', ')}`, engineArgument)
    .option('--json', 'one JSON object a line')
    .option('--stats <seconds>', 'between two reports', secondsArgument, 1)
    .option('--duration <seconds>', 'end by itself', secondsArgument)
    .option('--check', 'read everything, say what would run, and end')
    .addHelpText('after', EXAMPLE)
    .action(run);
}

async function run(options: Options): Promise<void> {
  const fromFile = readNodeConfig(options.config);
  const config: NodeConfig = options.crypto ? { ...fromFile, crypto: options.crypto } : fromFile;
  if (options.check) {
    check(config, options.json ?? false);
    return;
  }
  const node = await startNode(config, (line) => process.stderr.write(`esplane: ${line}\n`));
  const { facts } = node;
  const printer = new StatsPrinter(options.json ?? false);
  printer.ready(facts);
  const every = setInterval(() => {
    const stats = node.stats();
    if (stats) printer.stats([stats]);
  }, options.stats * 1000);
  const limit = options.duration ? setTimeout(() => node.stop(), options.duration * 1000) : undefined;
  const forget = onSignals({ stop: () => node.stop(), reload: () => node.reload() });
  try {
    printer.stopped([await node.ended]);
  } finally {
    clearInterval(every);
    clearTimeout(limit);
    forget();
  }
}

function check(config: NodeConfig, json: boolean): void {
  const { plan, pods } = loadPlan(config, new Map());
  const out = plan.sas.filter(({ direction }) => direction === 'out').length;
  const summary = {
    name: config.name,
    sas: plan.sas.length,
    out,
    policies: plan.policies.length,
    pods: pods.length,
  };
  printLine(
    json
      ? JSON.stringify({ event: 'check', ...summary })
      : `${config.name}: ${summary.sas} SAs, ${summary.policies} policies, ${config.outside.link} on ${config.outside.address}`,
  );
}

function engineArgument(text: string): EngineName {
  const name = ENGINE_NAMES.find((known) => known === text);
  if (name === undefined) throw new InvalidArgumentError(`Known are ${ENGINE_NAMES.join(', ')}.`);
  return name;
}

/** Reads a number of seconds above 0. */
export function secondsArgument(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 1e6)) throw new InvalidArgumentError('A number of seconds above 0.');
  return seconds;
}
