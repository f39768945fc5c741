/**
 * Where security associations come from: the options that every command with SAs shares.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { InputError } from '../base/errors.ts';
import type { CiliumKey } from '../cilium/keys.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import {
  type CiliumVersion,
  DEFAULT_VERSION,
  formatVersion,
  newerThanKnown,
  parseVersion,
} from '../cilium/version.ts';
import { type NamedText, readSas, type Sas } from '../sa-text/sa-texts.ts';
import { readText } from './files.ts';
import { warn } from './output.ts';

/** What commander collects. */
export interface SaOptions {
  readonly keys: readonly string[];
  readonly nodes: readonly string[];
  readonly cilium: CiliumVersion;
  readonly xfrmState: readonly string[];
  readonly espSa: readonly string[];
  readonly udpPort?: number;
}

/** Collects the values of an option that may be given again and again. */
export const collect = (value: string, before: readonly string[]): string[] => [...before, value];

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
    .option(
      '--esp-sa <file>',
      "Wireshark's esp_sa table, or the secrets of tcpdump -E (repeatable)",
      collect,
      [],
    )
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
  if (!namesSas(options) && options.nodes.length === 0) throw noSas();
  const cluster = { keys: await loadKeys(options), nodes: await loadNodes(options) };
  const texts = { xfrmState: readTexts(options.xfrmState), espSa: readTexts(options.espSa) };
  const { cilium: version, udpPort } = options;
  if (cluster.keys.length === 0) {
    if (udpPort === undefined) return readSas(texts);
    throw new InputError({ source: '--udp-port' }, 'is for the SAs of --keys', 'Give --keys and --nodes.');
  }
  const { planOfTexts } = await import('../inspect/cluster-texts.ts');
  return readSas(texts, planOfTexts(cluster, { version, udpPort }));
}

/** Do the options name any source of SAs? Nodes alone are none. */
export function namesSas({ keys, xfrmState, espSa }: SaOptions): boolean {
  return [keys, xfrmState, espSa].some((files) => files.length > 0);
}

/** What to say when there are no SAs to work with. */
export function noSas(): InputError {
  return new InputError(
    { source: 'options' },
    'no security associations are given',
    'Give --keys with --nodes, or --xfrm-state, or --esp-sa.',
  );
}

/** The files' texts. */
export function readTexts(files: readonly string[]): NamedText[] {
  return files.map((source) => {
    const text = readText(source);
    // What `ip xfrm` leaves behind that was not allowed to look.
    if (text.trim() === '') warn(`${source} is empty: the node has none, or ip xfrm did not run as root`);
    return { source, text };
  });
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
 * The nodes of each file, which keys go with.
 * @throws {InputError} when a file cannot be used, or there are nodes and no keys
 */
export async function loadNodes({ keys, nodes, xfrmState, espSa }: SaOptions): Promise<CiliumNode[][]> {
  if (nodes.length > 0 && keys.length === 0) {
    throw new InputError(
      { source: '--nodes' },
      'nodes alone are no SAs',
      'Give --keys too: kubectl -n kube-system get secret cilium-ipsec-keys -o yaml.',
    );
  }
  const errors: InputError[] = [];
  const read = await readNodes(nodes, (error) => errors.push(error));
  // One node alone has no SAs, and there is nothing else.
  const [first] = errors;
  if (first && read.flat().length < 2 && xfrmState.length + espSa.length === 0) throw first;
  const sayOne = sayLeftOut();
  for (const error of errors) sayOne(error);
  return read;
}

/**
 * The nodes of each file, which may be there without keys.
 * @param omit told which nodes are left out; absent, it is said
 * @throws {InputError} when a file cannot be used
 */
export async function readNodes(
  nodes: readonly string[],
  omit?: (error: InputError) => void,
): Promise<CiliumNode[][]> {
  if (nodes.length === 0) return [];
  const { parseNodes } = await import('../cilium/nodes.ts');
  return nodes.map((file) => parseNodes(readText(file), file, omit ?? sayLeftOut()));
}

/** Nodes that are named of those that are left out of one list. */
const MOST_NAMED = 8;

/** Says which nodes of a list are left out; of many the first ones, and that there are more. */
export function sayLeftOut(): (error: InputError) => void {
  let count = 0;
  return ({ message, place }) => {
    count++;
    if (count <= MOST_NAMED) warn(`left out: ${message}`);
    else if (count === MOST_NAMED + 1) warn(`${place.source}: more nodes are left out`);
  };
}

function portArgument(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 0xffff) throw new InvalidArgumentError('A port is a number from 1 to 65535.');
  return port;
}

function versionArgument(text: string): CiliumVersion {
  try {
    const version = parseVersion(text);
    const newer = newerThanKnown(version);
    if (newer) warn(`--cilium: ${newer}`);
    return version;
  } catch (error) {
    if (error instanceof InputError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}
