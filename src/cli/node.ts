/**
 * `esplane node --config FILE`: one real node on this host.
 * @module
 */

import { resolve } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { systemClock } from '../base/clock.ts';
import { grouped } from '../base/count-text.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { parseDuration } from '../cilium/config.ts';
import { ENGINE_NAMES, type EngineName } from './engine.ts';
import { addFlowOptions, checkStreams, type FlowOptions, flowsOf } from './flow-options.ts';
import { FlowOutput } from './flow-output.ts';
import { hangs } from './hard-exit.ts';
import { InputFiles } from './input-files.ts';
import { type MetricsAddress, parseMetricsAddress } from './metrics-address.ts';
import { NodeAgent } from './node-agent.ts';
import { type NodeConfig, readNodeConfig } from './node-config.ts';
import { NodeObservers } from './node-observers.ts';
import { completePlan, type LoadedPlan, loadStaticPlan } from './node-plan.ts';
import { printLine, say } from './output.ts';
import { onSignals } from './signals.ts';
import { type RunningNode, startNode } from './start-node.ts';
import { StatsPrinter } from './stats-line.ts';

const EXAMPLE = `
Example: node-1.yaml
  name: node-1
  inside: { device: esp0, addresses: [10.244.1.1/24] }    # mtu: cilium (1423 of 1500), fit, or bytes
                                                           # identity: 41234, the VNI of its pods in an overlay
  outside: { link: udp, address: 192.168.0.1 }
  keys: [keys]                 # Cilium's keys and CiliumNodes, both watched; or, instead of both,
  nodes: [nodes.json]          # xfrm: { state: [n1.state], policy: [n1.policy] } and pods: [10.244.1.0/24]

  $ esplane node --config node-1.yaml

With keys and nodes there may also be:
  publish: out/node-1.json     # its own CiliumNode with its key id, for the nodes: of its peers
  key-rotation-duration: 5m    # how long an old key stays
  order: install-first         # or advertise-first, Cilium's before March 2026
  cilium: "1.20"               # the release to go by; named, keys that have changed wait up to 1/10 of that duration
  mode: native                 # or tunnel (VXLAN in ESP; with cilium: "1.17" ESP in VXLAN, link udp alone), eni
  tunnel-protocol: vxlan       # or geneve
  underlay-protocol: ipv4      # or ipv6: what the overlay's packets are between the nodes
  strict: 10.244.0.0/16        # nothing leaves in the clear between addresses of this range
  cilium-config: config.yaml   # Cilium's ConfigMap; what stands here counts more
  watch: false                 # files are read again at SIGHUP alone
  flows: flows.jsonl           # as --flows; or { file, format, all, encrypted, verdict, from-ip, to-ip }

A new key in the keys file (a Secret volume too) comes into use without loss: its SAs are installed, then the key id is
published, then packets are sent with it. Files that cannot be used change nothing, and a warning says why.

With --metrics ADDR (or metrics: ADDR) it serves http://ADDR/metrics for Prometheus: Cilium's cilium_ipsec_… and
figures of every SA and peer. ADDR is 127.0.0.1:9962, [::1]:9962, or :9962 for all addresses; it is in the network namespace
that this command runs in, whatever netns: says, so that the host can scrape it. esplane status asks the socket
/run/esplane/NAME.sock (status-socket: PATH is another place, false none).

Sequence numbers and anti-replay windows outlive the node in /var/lib/esplane/NAME (state-dir: PATH is another place, false
none): peers take its packets after a restart, and what was sent to it before is not accepted again.

It needs root (TUN, raw sockets). SIGHUP reads keys and nodes again; SIGTERM or Ctrl-C ends it and removes
what it made. With --json one object a line: "ready", "stats" at intervals, "stopped".

Flows are lines as hubble observe -o jsonpb, or -o compact, prints them:
  $ esplane node --config node-1.yaml --flows - --flows-format compact --verdict DROPPED`;

/** ms after SIGTERM when the program ends, whatever hangs. */
const LAST_STAGE = 4500;

interface Options extends FlowOptions {
  readonly config: string;
  readonly crypto?: EngineName;
  readonly json?: boolean;
  readonly stats: number;
  readonly duration?: number;
  readonly check?: boolean;
  readonly keyRotationDuration?: number;
  readonly metrics?: MetricsAddress;
  readonly statusSocket?: string | boolean;
  readonly stateDir?: string | boolean;
}

/** Adds the command. */
export function nodeCommand(program: Command): void {
  const command = program
    .command('node')
    .description('Run one node on this host: TUN inside; UDP, raw or packet sockets outside.')
    .requiredOption('--config <file>', 'the node as YAML, - for standard input')
    .option('--crypto <engine>', `cipher backend: ${ENGINE_NAMES.join(', ')}`, engineArgument)
    .option('--key-rotation-duration <duration>', 'how long an old key stays (default 5m)', durationArgument)
    .option('--metrics <address>', 'serve metrics for Prometheus, such as 127.0.0.1:9962', metricsArgument)
    .option('--status-socket <path>', 'where esplane status asks (default /run/esplane/NAME.sock)')
    .option('--no-status-socket', 'esplane status cannot ask')
    .option('--state-dir <folder>', 'where sequence numbers outlive it (default /var/lib/esplane/NAME)')
    .option('--no-state-dir', 'every start begins at sequence number 1')
    .option('--json', 'one JSON object a line')
    .option('--stats <seconds>', 'between two reports', secondsArgument, 1)
    .option('--duration <seconds>', 'end by itself', secondsArgument)
    .option('--check', 'read everything, say what would run, and end');
  addFlowOptions(command).addHelpText('after', EXAMPLE).action(run);
}

async function run(options: Options, command: Command): Promise<void> {
  const fromFile = await readNodeConfig(options.config);
  const { crypto, keyRotationDuration } = options;
  if (keyRotationDuration !== undefined && fromFile.xfrm)
    throw new InputError(
      { source: '--key-rotation-duration' },
      'is for keys and nodes, and there is xfrm',
      'Leave it out.',
    );
  const flows = flowsOf(options, fromFile.flows);
  checkStreams(flows, options.json);
  const config: NodeConfig = {
    ...fromFile,
    ...(flows && { flows }),
    ...(crypto && { crypto }),
    ...(keyRotationDuration !== undefined && { 'key-rotation-duration': keyRotationDuration }),
    ...socketOption(options.statusSocket),
    ...stateOption(options.stateDir),
  };
  if (options.check) {
    await check(config, options.json ?? false);
    return;
  }
  const metrics = options.metrics ?? (config.metrics ? parseMetricsAddress(config.metrics) : undefined);
  const observers = await NodeObservers.open(config, metrics, command.parent?.version() ?? '', warn);
  try {
    await runWith(config, options, observers);
  } finally {
    await observers.close();
  }
}

async function runWith(config: NodeConfig, options: Options, observers: NodeObservers): Promise<void> {
  const { flows } = config;
  const output = flows && new FlowOutput(flows, { append: true, warn });
  // From now on, not only once it runs: a node that is ended while it starts must not leave its socket behind.
  let node: RunningNode | undefined;
  const stopping = new AbortController();
  const forget = onSignals({
    stop: () => {
      stopping.abort();
      setTimeout(endNow, LAST_STAGE).unref();
    },
    reload: () => {
      node?.reload();
      output?.reopen();
    },
  });
  try {
    const { signal } = stopping;
    node = await startNode(config, warn, { flows: output?.reader({ random: secureBytes }), signal });
    observers.watch(node, output);
    await follow(node, config, options, { observers, output });
  } catch (error) {
    if (!(error instanceof EsplaneError && error.code === 'ERR_STOPPED')) throw error;
  } finally {
    forget();
  }
}

/** Tells what a node does, and the node what its files do, until it ends. */
async function follow(
  node: RunningNode,
  config: NodeConfig,
  { json = false, stats, duration }: Options,
  { observers, output }: { readonly observers: NodeObservers; readonly output: FlowOutput | undefined },
): Promise<void> {
  const printer = new StatsPrinter(json, config.flows?.file !== '-');
  printer.ready(node.facts, observers);
  const every = setInterval(() => {
    const now = node.stats();
    if (now) printer.stats([now]);
  }, stats * 1000);
  const limit = duration ? setTimeout(() => node.stop(), duration * 1000) : undefined;
  try {
    const last = await node.ended;
    const lost = await output?.finish();
    printer.stopped([last]);
    if (lost) warn(`${config.name}: ${grouped(lost)} flows were lost: nobody wrote them fast enough`);
  } finally {
    clearInterval(every);
    clearTimeout(limit);
  }
}

/** Whatever still waits: a flows file on a disk that hangs, say. What is done at the exit is done. */
function endNow(): void {
  warn('something hangs: ended without waiting for it');
  hangs();
  process.exit();
}

const warn = (line: string) => say(`esplane: ${line}`);

/** Plans as the control thread would, in this one. */
async function check(config: NodeConfig, json: boolean): Promise<void> {
  const files = new InputFiles();
  const { plan, pods } = config.xfrm
    ? await loadStaticPlan(config, files, warn)
    : planOnce(config, await NodeAgent.open(config, { files, say: warn, now: systemClock.now() }));
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

function planOnce(config: NodeConfig, { plan, pods }: NodeAgent): LoadedPlan {
  return completePlan(config, plan, pods);
}

function engineArgument(text: string): EngineName {
  const name = ENGINE_NAMES.find((known) => known === text);
  if (name === undefined) throw new InvalidArgumentError(`Known are ${ENGINE_NAMES.join(', ')}.`);
  return name;
}

function metricsArgument(text: string): MetricsAddress {
  const address = parseMetricsAddress(text);
  if (!address)
    throw new InvalidArgumentError('An address and a port: 127.0.0.1:9962, [::1]:9962, or :9962.');
  return address;
}

/** Commander says true where nothing is said, and false for --no-status-socket. */
function socketOption(value: string | boolean | undefined): Pick<NodeConfig, 'status-socket'> {
  if (typeof value === 'string') return { 'status-socket': resolve(value) };
  return value === false ? { 'status-socket': false } : {};
}

function stateOption(value: string | boolean | undefined): Pick<NodeConfig, 'state-dir'> {
  if (typeof value === 'string') return { 'state-dir': resolve(value) };
  return value === false ? { 'state-dir': false } : {};
}

function durationArgument(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0) throw new InvalidArgumentError('A duration like 5m or 90s.');
  return ms;
}

/** Reads a number of seconds above 0. */
export function secondsArgument(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 1e6)) throw new InvalidArgumentError('A number of seconds above 0.');
  return seconds;
}
