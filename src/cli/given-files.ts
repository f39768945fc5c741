/**
 * Files, folders and archives that are given as arguments, without a word on what they are: each is recognised by its
 * content, one line on standard error says as what, and the options of a command have its name from then on. What an
 * option names comes after it, and so wins where one counts.
 * @module
 */
import type { Command } from 'commander';
import { InputError } from '../base/errors.ts';
import type { CiliumVersion } from '../cilium/version.ts';
import type { NodeTexts } from '../inspect/files/gather.ts';
import type { TextKind } from '../inspect/files/kinds.ts';
import type { NodeSigns } from '../inspect/files/names.ts';
import type { NamedText } from '../sa-text/sa-texts.ts';
import { openSource, type Source } from './disk-files.ts';
import type { BootIds } from './evidence-options.ts';
import { stdinTwice } from './files.ts';

/** Help for the argument. */
export const FILES_ARGUMENT =
  'files, folders and archives (.zip, .tar, .tar.gz, .tar.zst): keys, CiliumNodes, texts of ip xfrm, a sysdump; told apart by content';

/** Was `--cilium` given to a command? */
export function isVersionGiven(command: Command): boolean {
  return command.getOptionValueSource('cilium') === 'cli';
}

/** Options that files may stand for. */
export interface GivenOptions {
  readonly keys: readonly string[];
  readonly nodes: readonly string[];
  readonly xfrmState: readonly string[];
  readonly espSa: readonly string[];
  readonly xfrmStat?: readonly string[];
  readonly xfrmPolicy?: readonly string[];
  readonly pods?: readonly string[];
  readonly cilium: CiliumVersion;
}

export interface Use {
  /** Does the command take captures, a capture, or a packet? */
  readonly subject: 'captures' | 'capture' | 'packet or capture' | 'none';
  /** Does it take what opens no packet, too: policies, states without keys? */
  readonly diagnoses: boolean;
  /** Does it open packets with the keys at hand? A hash in the place of a key says then which of them a kernel has. */
  readonly opens: boolean;
  /** Does it take counters? */
  readonly counters: boolean;
  /** Was `--cilium` given? Else the version that runs in a sysdump counts. */
  readonly isVersionGiven: boolean;
  /**
   * Takes what each node of a collection says, as it comes, where no capture is given: gigabytes of texts need not be in
   * memory then, and are in no option.
   */
  readonly onNode?: (node: NodeTexts) => void;
  /** Takes Hubble's flows, line by line. */
  readonly onFlow?: (line: string, source: string) => void;
}

export interface GivenFiles<O> {
  /** The captures, by the names to read them by, each once; more than one only where the command takes several. */
  readonly captures: readonly string[];
  /** The packet in hexadecimal, likewise. */
  readonly packet: string | undefined;
  /** The only file, where it is of no kind: the reader of what is wanted says what is wrong with it. */
  readonly unknown: string | undefined;
  readonly options: O;
  /** Texts that are of no node's collection, by kind: those too that no option is for. */
  readonly texts: ReadonlyMap<TextKind, readonly NamedText[]>;
  /** Name of a node of a collection, by the pod that ran there, by its boot id, or by its host name. */
  readonly nameOf: (node: NodeSigns) => string | undefined;
  /** Boot id of a node of a collection, as the node itself has it, by the node's name. */
  readonly bootIds: BootIds;
}

/**
 * Takes what is given.
 * @throws {InputError} a file cannot be read, there are several captures, or all together are too much
 */
export async function takeFiles<O extends GivenOptions>(
  names: readonly string[],
  options: O,
  use: Use,
): Promise<GivenFiles<O>> {
  const { keys, nodes: nodeLists, xfrmState, espSa, xfrmStat = [], xfrmPolicy = [], pods = [] } = options;
  const all = [names, keys, nodeLists, xfrmState, espSa, xfrmStat, xfrmPolicy, pods].flat();
  if (all.filter((name) => name === '-').length > 1) throw stdinTwice();
  const sources = new Map<string, Source>();
  for (const name of names) sources.set(name, await openSource(name, use.subject !== 'none'));
  const [only] = sources.values();
  if (only === undefined) return { ...NOTHING, options };
  // The usual case is not kept waiting for readers that it does not need.
  if (sources.size === 1 && only.kind === 'capture' && use.subject !== 'none')
    return { ...NOTHING, captures: [only.name], options };
  const { sortFiles } = await import('./sort-files.ts');
  return sortFiles([...sources.values()], options, use);
}

/** Where nothing is given. */
export const NOTHING = {
  captures: [],
  packet: undefined,
  unknown: undefined,
  texts: new Map<TextKind, readonly NamedText[]>(),
  nameOf: () => undefined,
  bootIds: () => undefined,
};

/** What to say where there is no capture among what is given. */
export function noCapture(): InputError {
  return new InputError(
    { source: 'files' },
    'there is no capture among them',
    'Give a pcap or pcapng file; - is standard input.',
  );
}
