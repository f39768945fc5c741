/**
 * Where security associations come from: the options that every command with SAs shares (design.md).
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { InputError } from '../base/errors.ts';
import type { CiliumKey } from '../cilium/keys.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import type { ClusterPlan } from '../cilium/plan.ts';
import { type CiliumVersion, DEFAULT_VERSION, formatVersion, parseVersion } from '../cilium/version.ts';
import { ESN_WINDOW } from '../inspect/esn-window.ts';
import { parseEspSa } from '../inspect/esp-sa.ts';
import { joinSources, planSource, SaList, type SaSource } from '../inspect/sa-source.ts';
import { parseXfrmState } from '../inspect/xfrm-state.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { readText } from './files.ts';

/** What commander collects. */
export interface SaOptions {
  readonly keys: readonly string[];
  readonly nodes: readonly string[];
  readonly cilium: CiliumVersion;
  readonly xfrmState: readonly string[];
  readonly espSa: readonly string[];
  readonly udpPort?: number;
}

/** The SAs that the options yield. */
export interface Sas {
  readonly source: SaSource;
  /** Every SA; keys of a whole cluster are derived here, so ask only when all are wanted. */
  all(): SaConfig[];
  /** UDP ports that carry ESP by what the SAs say. */
  readonly udpPorts: readonly number[];
  /** What is odd about the inputs but does not stop the work. */
  readonly warnings: readonly string[];
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

/** Adds `--keys`, `--nodes`, `--cilium`, `--xfrm-state` and `--esp-sa` to a command. */
export function addSaOptions(command: Command): Command {
  return addVersionOption(command)
    .option(
      '--keys <file>',
      "Cilium's keys: the mounted file, or the Secret as YAML or JSON (repeatable)",
      collect,
      [],
    )
    .option(
      '--nodes <file>',
      'output of `kubectl get ciliumnodes -o json` or `-o yaml` (repeatable)',
      collect,
      [],
    )
    .option(
      '--xfrm-state <file>',
      'text of `ip xfrm state` from one or several nodes (repeatable)',
      collect,
      [],
    )
    .option('--esp-sa <file>', "Wireshark's esp_sa table (repeatable)", collect, [])
    .option(
      '--udp-port <port>',
      'SAs of --keys are ESP in UDP on this port: 4500 between nodes of esplane over link udp; Cilium has none',
      portArgument,
    );
}

/** Adds `--cilium` to a command. */
export function addVersionOption(command: Command): Command {
  return command.addOption(
    new Option('--cilium <version>', 'Cilium version the nodes run')
      .argParser(versionArgument)
      .default(DEFAULT_VERSION, formatVersion(DEFAULT_VERSION)),
  );
}

/**
 * Reads everything that the options name.
 * @throws {InputError} when an input cannot be used, or none is given
 */
export async function loadSas(options: SaOptions): Promise<Sas> {
  if (!namesSas(options)) throw noSas();
  return loadNamedSas(options);
}

/** Do the options name any source of SAs? */
export function namesSas({ keys, nodes, xfrmState, espSa }: SaOptions): boolean {
  return [keys, nodes, xfrmState, espSa].some((files) => files.length > 0);
}

/** What to say when there are no SAs to work with. */
export function noSas(): InputError {
  return new InputError(
    { source: 'options' },
    'no security associations are given',
    'Give --keys with --nodes, or --xfrm-state, or --esp-sa.',
  );
}

/**
 * Reads what the options name, which may be nothing: a capture may bring its own SAs.
 * @throws {InputError} when an input cannot be used
 */
export async function loadNamedSas(options: SaOptions): Promise<Sas> {
  const warnings: string[] = [];
  const kernel = options.xfrmState.flatMap((file) =>
    parseXfrmState(readText(file), file, (line) => warnings.push(line)),
  );
  const wireshark = options.espSa.flatMap((file) => parseEspSa(readText(file), file));
  const stated = [...kernel, ...wireshark];
  const plan = await loadPlan(options);
  const udpPorts = new Set<number>();
  for (const { encap } of stated) if (encap) udpPorts.add(encap.sport).add(encap.dport);
  if (options.udpPort !== undefined) udpPorts.add(options.udpPort);
  return {
    source: joinSources([
      new SaList([...kernel, ...wireshark.flatMap(bothWays)]),
      ...(plan ? [planSource(plan.plan)] : []),
    ]),
    all: () => [...stated, ...(plan?.plan.all() ?? [])],
    udpPorts: [...udpPorts],
    warnings: [...warnings, ...(plan?.warnings ?? [])],
  };
}

async function loadPlan(options: SaOptions): Promise<{ plan: ClusterPlan; warnings: string[] } | undefined> {
  const { cilium: version, udpPort } = options;
  const files = { keys: await loadKeys(options), nodes: await loadNodes(options) };
  if (files.keys.length === 0) {
    if (udpPort === undefined) return undefined;
    throw new InputError({ source: '--udp-port' }, 'is for the SAs of --keys', 'Give --keys and --nodes.');
  }
  const [{ mergeKeys }, { ClusterPlan }] = await Promise.all([
    import('../cilium/keys.ts'),
    import('../cilium/plan.ts'),
  ]);
  const keys = mergeKeys(...files.keys);
  const nodes = files.nodes.flat();
  return { plan: new ClusterPlan(keys, nodes, { version, udpPort }), warnings: missingKeys(keys, nodes) };
}

/**
 * The keys of each file.
 * @throws {InputError} when a file cannot be used, or there are keys and no nodes
 */
export async function loadKeys({ keys, nodes, cilium }: SaOptions): Promise<CiliumKey[][]> {
  if (keys.length === 0) return [];
  if (nodes.length === 0) {
    throw new InputError(
      { source: '--keys' },
      'keys alone are no SAs',
      'Give --nodes too: kubectl get ciliumnodes -o json.',
    );
  }
  // Loaded when wanted: the readers of Kubernetes objects take longer to start than a small capture to decrypt.
  const { readKeys } = await import('../cilium/secret.ts');
  return keys.map((file) => readKeys(readText(file), file, cilium));
}

/**
 * The nodes of each file.
 * @throws {InputError} when a file cannot be used, or there are nodes and no keys
 */
export async function loadNodes({ keys, nodes }: SaOptions): Promise<CiliumNode[][]> {
  if (nodes.length === 0) return [];
  if (keys.length === 0) {
    throw new InputError(
      { source: '--nodes' },
      'nodes alone are no SAs',
      'Give --keys too: kubectl -n kube-system get secret cilium-ipsec-keys -o yaml.',
    );
  }
  const { parseNodes } = await import('../cilium/nodes.ts');
  return nodes.map((file) => parseNodes(readText(file), file));
}

/** A line of esp_sa with eight fields does not say whether its SA has ESN, so both are tried. */
export function bothWays(config: SaConfig): SaConfig[] {
  return config.esn ? [config] : [config, { ...config, esn: true, replayWindow: ESN_WINDOW }];
}

/** Nodes that say they use a key which nobody gave us. */
function missingKeys(keys: readonly CiliumKey[], nodes: readonly CiliumNode[]): string[] {
  const ids = new Set(keys.map((key) => key.id));
  const lacking = nodes.filter((node) => node.keyId > 0 && !ids.has(node.keyId));
  const [first] = lacking;
  if (!first) return [];
  const others = lacking.length > 1 ? ` and ${lacking.length - 1} more` : '';
  return [`node ${first.name}${others} uses key id ${first.keyId}, which is not among --keys`];
}

function portArgument(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 0xffff) throw new InvalidArgumentError('A port is a number from 1 to 65535.');
  return port;
}

function versionArgument(text: string): CiliumVersion {
  try {
    return parseVersion(text);
  } catch (error) {
    if (error instanceof InputError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}
