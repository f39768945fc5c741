/**
 * Sorts what is in files, folders and archives into the options of a command, and says what was taken as what.
 * @module
 */
import { crc32 } from 'node:zlib';
import { grouped } from '../base/count-text.ts';
import { InputError } from '../base/errors.ts';
import { BOOT_ID_LEN } from '../cilium/derive.ts';
import { imageVersion } from '../cilium/image.ts';
import { type CiliumVersion, formatVersion, parseVersion } from '../cilium/version.ts';
import type { OwnBootId } from '../inspect/cluster-texts.ts';
import { type Gathered, gather, type NodeTexts } from '../inspect/files/gather.ts';
import { KIND_NAMES, type TextKind } from '../inspect/files/kinds.ts';
import type { NodeSigns } from '../inspect/files/names.ts';
import { Budget } from '../inspect/files/walk.ts';
import type { NamedText } from '../sa-text/sa-texts.ts';
import { DiskFile, filesOf, holdPipes, type Source } from './disk-files.ts';
import type { BootIds } from './evidence-options.ts';
import { hold } from './files.ts';
import { type GivenFiles, type GivenOptions, NOTHING, type Use } from './given-files.ts';
import { say, warn } from './output.ts';
import { Unpacker } from './unpacker.ts';

/** Bytes of nodes' texts that are kept until it is known whether there is a capture. */
const MOST_KEPT = 64 << 20;
/** Texts of all files together, in characters: they are in memory. */
const MOST_TEXT = 1 << 30;
/** Texts of states with hashes, in characters, that a command reads that would do without. */
const MOST_HASHED = 64 << 20;
/** Lines, and names in a line, before the rest is only counted. */
const MOST_LINES = 40;
const MOST_NAMES = 5;

/**
 * Reads all that is given, and sorts it.
 * @param sources at least one
 * @throws {InputError} a file cannot be read, there are several captures, or all together are too much
 */
export async function sortFiles<O extends GivenOptions>(
  sources: readonly Source[],
  options: O,
  use: Use,
): Promise<GivenFiles<O>> {
  const only = sources[0]!;
  const nodes: NodeTexts[] = [];
  const budget = new Budget();
  let isDamaged = false;
  const isWithout = use.onNode !== undefined && sources.every(({ kind }) => kind !== 'capture');
  let kept = 0;
  const unpacker = new Unpacker();
  const gathered = await gather(filesOf(sources, budget), {
    budget,
    crc32,
    inflate: unpacker.inflate,
    release: unpacker.release,
    onNode: (node) => {
      if (isWithout) use.onNode!(node);
      kept += bytesOf(node);
      const isDone = isWithout && kept > MOST_KEPT;
      nodes.push(isDone ? withoutTexts(node) : node);
      return isDone;
    },
    ...(use.onFlow && { onFlow: use.onFlow }),
    onDamage: (error) => {
      isDamaged = true;
      warn(error.message);
    },
  }).finally(() => unpacker.close());
  const [first, second] = gathered.taken;
  const isUnknown = first?.kinds.length === 0 && second === undefined && !isDamaged && sources.length === 1;
  if (isUnknown && use.subject !== 'none') return { ...NOTHING, unknown: only.name, options };
  const isBeside = isWithout && gathered.subjects.some(({ kind }) => kind === 'capture');
  if (isBeside && kept > MOST_KEPT)
    throw new InputError(
      { source: gathered.subjects[0]!.name },
      'a capture among texts of nodes that are longer than 64 MiB',
      'Give the capture, and the texts of the nodes that matter.',
    );
  const taker = new Taker(options, use, gathered, nodes, isWithout && !isBeside);
  const taken = await taker.take(sources);
  // Of a packed capture alone there is nothing to tell.
  if (taken.captures[0] !== only.name || second !== undefined) taker.tell();
  return taken;
}

function bytesOf({ texts }: NodeTexts): number {
  return Object.values(texts).reduce((sum, text) => sum + (text?.bytes?.length ?? text?.text.length ?? 0), 0);
}

/** What there was, and what names a node. */
function withoutTexts(node: NodeTexts): NodeTexts {
  const texts = Object.entries(node.texts).map(([kind, named]) => [
    kind,
    { source: named.source, text: kind === 'hostname' || kind === 'boot-id' ? named.text : '' },
  ]);
  return { ...node, texts: Object.fromEntries(texts) };
}

/** Which option a kind of text is for. */
const OPTION_OF: Readonly<Partial<Record<TextKind, ListOption>>> = {
  keys: 'keys',
  nodes: 'nodes',
  'xfrm-state': 'xfrmState',
  'esp-sa': 'espSa',
  'dsb-csv': 'espSa',
  'tcpdump-secrets': 'espSa',
  'xfrm-policy': 'xfrmPolicy',
  pods: 'pods',
  endpoints: 'pods',
};

/** Kinds of texts with keys. */
const KEY_KINDS: readonly TextKind[] = ['keys', 'esp-sa', 'dsb-csv', 'tcpdump-secrets'];

/** Kinds that only a judgement of a cluster's texts uses. */
const USED_WITHOUT_CAPTURE: ReadonlySet<TextKind> = new Set(['cilium-config', 'encrypt-status']);

type ListOption = 'keys' | 'nodes' | 'xfrmState' | 'espSa' | 'xfrmPolicy' | 'xfrmStat' | 'pods';

const HIDDEN = /\[hash:[0-9a-f]{64}\]|<<Keys hidden>>/;
const HASHED = /\[hash:[0-9a-f]{64}\]/;
const SHOWN = /^[ \t]*(?:aead|enc|auth|auth-trunc) \S{1,64} 0x[0-9a-f]{8}/m;

/** Sorts what was gathered into options. */
class Taker<O extends GivenOptions> {
  readonly #options: O;
  readonly #use: Use;
  readonly #gathered: Gathered;
  readonly #nodes: readonly NodeTexts[];
  readonly #lists: Record<ListOption, string[]> = {
    keys: [],
    nodes: [],
    xfrmState: [],
    espSa: [],
    xfrmPolicy: [],
    xfrmStat: [],
    pods: [],
  };
  /** Why a text is not used, by its name. */
  readonly #unused = new Map<string, string>();
  /** What more there is to say of a text, by its name. */
  readonly #notes = new Map<string, string>();
  readonly #lines: string[] = [];
  #length = 0;
  /** Characters of texts whose keys are hashed, where packets are to be opened. */
  #hashed = 0;

  /** Did others take what nodes say, and is there no capture? */
  readonly #isTaken: boolean;

  constructor(options: O, use: Use, gathered: Gathered, nodes: readonly NodeTexts[], isTaken: boolean) {
    this.#isTaken = isTaken;
    this.#options = options;
    this.#use = use;
    this.#gathered = gathered;
    this.#nodes = nodes;
  }

  async take(sources: readonly Source[]): Promise<GivenFiles<O>> {
    const subject = await this.#subject(sources);
    const { texts } = this.#gathered;
    for (const [kind, list] of texts) for (const text of list) this.#text(kind, text);
    for (const { name, kinds } of this.#gathered.taken)
      if (kinds.includes('flows') && !this.#use.onFlow) this.#unused.set(name, 'of no use to this command');
    const nameOf = await this.#names();
    this.#takeNodes(nameOf);
    const statuses = (texts.get('encrypt-status') ?? []).filter(({ text }) => hasCounters(text));
    this.#counters([...(texts.get('xfrm-stat') ?? []), ...statuses]);
    this.#pairs();
    const cilium = this.#version(texts.get('daemonset')?.[0]);
    const options = { ...this.#options, ...(cilium && { cilium }) };
    for (const [name, list] of Object.entries(this.#lists)) {
      // What an option names comes last, and wins.
      const before = (this.#options as unknown as Record<string, readonly string[] | undefined>)[name];
      if (before !== undefined || list.length > 0)
        Object.assign(options, { [name]: [...list, ...(before ?? [])] });
    }
    return { ...NOTHING, ...subject, options, texts, nameOf, bootIds: this.#bootIds(nameOf) };
  }

  async #subject(
    sources: readonly Source[],
  ): Promise<{ captures: readonly string[]; packet: string | undefined }> {
    const { subject: wanted } = this.#use;
    const given = sources.flatMap(({ name, kind }) =>
      kind === 'capture' ? [{ name, kind: 'capture' as const }] : [],
    );
    const found = this.#gathered.subjects.map((subject) => {
      if (subject.kind === 'packet') return subject;
      // A file of its own is read by its name, packed or not.
      const isGiven = sources.some(({ name }) => name === subject.name);
      if (!isGiven && !(subject.file instanceof DiskFile))
        hold(subject.name, { chunks: () => subject.chunks() });
      return subject;
    });
    const all = [...given, ...found];
    for (const { name } of given) this.#lines.push(`${name}: capture`);
    if (wanted === 'none') {
      for (const { name } of all) this.#unused.set(name, 'this command takes no capture');
      return { captures: [], packet: undefined };
    }
    const usable = all.filter(({ kind }) => kind === 'capture' || wanted === 'packet or capture');
    for (const one of all)
      if (!usable.includes(one)) this.#unused.set(one.name, 'this command takes captures');
    if (wanted === 'captures') {
      // Of several captures each is read more than once.
      const pipes = sources.filter((source) => source.kind === 'capture' && source.isPipe);
      if (usable.length > 1) await holdPipes(pipes.map(({ name }) => name));
      return { captures: usable.map(({ name }) => name), packet: undefined };
    }
    const [first, second] = usable;
    if (second) {
      throw new InputError(
        { source: second.name },
        `a second ${second.kind}, besides ${first!.name}`,
        'Give one, or join captures: mergecap -w all.pcapng A B.',
      );
    }
    return {
      captures: first?.kind === 'capture' ? [first.name] : [],
      packet: first?.kind === 'packet' ? first.name : undefined,
    };
  }

  #text(kind: TextKind, text: NamedText): void {
    const option = OPTION_OF[kind];
    if (option === undefined || !this.#isUsed(option)) {
      const isUsed =
        kind === 'pods'
          ? this.#nodes.length > 0
          : kind === 'daemonset' || (this.#isTaken && USED_WITHOUT_CAPTURE.has(kind));
      // A text may be of several kinds, of which one is used.
      if (!isUsed && !this.#isListed(text.source)) this.#unused.set(text.source, 'of no use to this command');
      return;
    }
    if (option === 'xfrmState' && !this.#use.diagnoses && this.#isHidden(text)) return;
    this.#list(option, text);
  }

  /** Are the keys of states hidden, so that they are of no use? */
  #isHidden({ text, source }: NamedText): boolean {
    if (!HIDDEN.test(text) || SHOWN.test(text)) return false;
    let why = 'its keys are hidden';
    if (this.#use.opens && HASHED.test(text)) {
      if (this.#hashed + text.length > MOST_HASHED)
        why = 'hashes of keys in more than 64 MiB: give `ip -s xfrm state` of the receivers alone';
      else if (this.#hasKeys) {
        this.#hashed += text.length;
        return false;
      }
    }
    this.#unused.set(source, why);
    return true;
  }

  /** Is there a key that a hash may be of? */
  get #hasKeys(): boolean {
    const { texts } = this.#gathered;
    const { keys, espSa } = this.#options;
    return keys.length + espSa.length > 0 || KEY_KINDS.some((kind) => texts.has(kind));
  }

  #isUsed(option: ListOption): boolean {
    if (option === 'xfrmStat') return this.#use.counters;
    if (option === 'pods') return this.#options.pods !== undefined;
    return option !== 'xfrmPolicy' || this.#use.diagnoses;
  }

  #isListed(name: string): boolean {
    return Object.values(this.#lists).some((list) => list.includes(name));
  }

  #list(option: ListOption, { source, text }: NamedText, value = source): void {
    // Pods are read one by one, and their names kept.
    this.#length += option === 'pods' || this.#isListed(source) ? 0 : text.length;
    if (this.#length > MOST_TEXT) {
      throw new InputError(
        { source },
        'all texts together are longer than 1 GiB',
        'Give those of the nodes that matter.',
      );
    }
    hold(source, { text });
    this.#unused.delete(source);
    this.#lists[option].push(value);
  }

  /** What the nodes of a sysdump say. */
  #takeNodes(nameOf: (node: NodeSigns) => string | undefined): void {
    const lines = new Map<string, string[]>();
    for (const node of this.#nodes) {
      const { source, texts, pod } = node;
      const used: string[] = [];
      const take = (kind: keyof typeof texts, option: ListOption, what: string, value?: string) => {
        const text = texts[kind];
        if (!text || !this.#isUsed(option)) return;
        if (option === 'xfrmState' && !this.#use.diagnoses && this.#isHidden(text)) return;
        this.#list(option, text, value === undefined ? text.source : `${value}=${text.source}`);
        used.push(what);
      };
      const name = nameOf(signsOf(node));
      if (this.#isTaken) used.push(...kindsOf(node));
      else {
        take('xfrm-state', 'xfrmState', 'ip xfrm state');
        take('xfrm-policy', 'xfrmPolicy', 'ip xfrm policy');
        if (name !== undefined) {
          take('xfrm-stat', 'xfrmStat', 'counters', name);
          take('xfrm-stat-later', 'xfrmStat', 'counters again', name);
          const isAlone = !texts['xfrm-stat'] && !texts['xfrm-stat-later'];
          if (isAlone && hasCounters(texts['encrypt-status']?.text ?? ''))
            take('encrypt-status', 'xfrmStat', 'counters of cilium-dbg encrypt status', name);
        }
      }
      const who = name ?? pod ?? source;
      const line = `${who}${pod !== undefined && pod !== who ? ` (${pod})` : ''}`;
      const what = used.length > 0 ? used.join(', ') : 'nothing that is used here';
      lines.set(what, [...(lines.get(what) ?? []), line]);
    }
    for (const [what, who] of lines) this.#lines.push(`${few(who)}: ${what}`);
  }

  #bootIds(nameOf: (node: NodeSigns) => string | undefined): BootIds {
    const own = new Map<string, OwnBootId>();
    for (const node of this.#nodes) {
      const signs = signsOf(node);
      const { bootId } = signs;
      const name = nameOf(signs);
      if (name !== undefined && bootId.length >= BOOT_ID_LEN)
        own.set(name, { bootId, source: node.texts['boot-id']?.source ?? node.source });
    }
    return (name) => own.get(name);
  }

  async #names(): Promise<(node: NodeSigns) => string | undefined> {
    if (this.#nodes.length === 0) return () => undefined;
    const { texts } = this.#gathered;
    const { parsePods } = await import('../cilium/pods.ts');
    const { parseNodes } = await import('../cilium/nodes.ts');
    const { nodeNames } = await import('../inspect/files/names.ts');
    const tried = <T>(read: () => T[]): T[] => {
      try {
        return read();
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        warn(error.message);
        return [];
      }
    };
    const pods = (texts.get('pods') ?? []).flatMap(({ text, source }) =>
      tried(() => parsePods(text, source)),
    );
    const nodes = (texts.get('nodes') ?? []).flatMap(({ text, source }) =>
      tried(() => parseNodes(text, source, () => {})),
    );
    return nodeNames(pods, nodes);
  }

  /** Counters of which no one says whose they are: of the only node whose states are there. */
  #counters(stats: readonly NamedText[]): void {
    const { xfrmState } = this.#lists;
    const states = [...xfrmState, ...this.#options.xfrmState];
    for (const text of stats) {
      if (!this.#isUsed('xfrmStat')) {
        if (!this.#isListed(text.source)) this.#unused.set(text.source, 'of no use to this command');
      } else if (stats.length > 1 || (states.length > 1 && states[0] !== text.source)) {
        this.#unused.set(text.source, 'of which node is not told: give --xfrm-stat NODE=FILE');
      } else this.#list('xfrmStat', text, /^[\w.:-]+=/.test(text.source) ? `./${text.source}` : text.source);
    }
  }

  /** Keys and nodes make SAs together. */
  #pairs(): void {
    const { keys, nodes } = this.#lists;
    if (keys.length > 0 && nodes.length + this.#options.nodes.length === 0) {
      for (const name of keys.splice(0)) {
        this.#unused.set(name, 'keys make no SAs without CiliumNodes: kubectl get ciliumnodes -o json');
      }
    }
    const { diagnoses, opens } = this.#use;
    // What opens packets calls nodes by their names, too.
    if (!diagnoses && !opens && nodes.length > 0 && keys.length + this.#options.keys.length === 0) {
      for (const name of nodes.splice(0)) {
        this.#unused.set(
          name,
          'nodes make no SAs without keys: kubectl -n kube-system get secret cilium-ipsec-keys -o yaml',
        );
      }
    }
  }

  #version(daemonset: NamedText | undefined): CiliumVersion | undefined {
    const tag = daemonset && imageVersion(daemonset.text);
    if (!tag) return undefined;
    if (this.#use.isVersionGiven) {
      this.#unused.set(daemonset.source, '--cilium says the version');
      return undefined;
    }
    try {
      const version = parseVersion(tag, daemonset.source);
      this.#notes.set(daemonset.source, `Cilium ${formatVersion(version)}`);
      return version;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      warn(error.message);
      return undefined;
    }
  }

  /** Says what was taken as what. */
  tell(): void {
    const { taken, beside } = this.#gathered;
    const unknown: string[] = [];
    for (const { name, kinds, why } of taken) {
      const unused = this.#unused.get(name);
      const note = unused === undefined ? this.#notes.get(name) : `not used: ${unused}`;
      if (kinds.length === 0 && why === undefined) unknown.push(name);
      else {
        const what = kinds.length > 0 ? kinds.map((kind) => KIND_NAMES[kind]).join(', ') : why;
        this.#lines.push(`${name}: ${what}${note === undefined ? '' : ` (${note})`}`);
      }
    }
    for (const line of this.#lines.slice(0, MOST_LINES)) say(line);
    if (this.#lines.length > MOST_LINES) say(`and ${grouped(this.#lines.length - MOST_LINES)} more files`);
    if (unknown.length > 0) say(`not recognised, and not used: ${few(unknown)}`);
    if (beside > 0) say(`${grouped(beside)} other files of the sysdump are of no use here`);
  }
}

function signsOf({ pod, texts }: NodeTexts): NodeSigns {
  return {
    ...(pod !== undefined && { pod }),
    host: texts.hostname?.text.trim() ?? '',
    bootId: texts['boot-id']?.text.trim() ?? '',
  };
}

/** What a node's texts are, for people. */
function kindsOf({ texts }: NodeTexts): string[] {
  const names = (Object.keys(texts) as (keyof typeof texts)[]).map((kind) =>
    kind === 'xfrm-stat-later' ? 'counters again' : kind === 'xfrm-stat' ? 'counters' : KIND_NAMES[kind],
  );
  return names.filter((name) => name !== KIND_NAMES.hostname);
}

/** `cilium-dbg encrypt status` lists counters that are not 0. */
function hasCounters(text: string): boolean {
  return /^[ \t]*Xfrm[A-Za-z]{2,40}:[ \t]*\d/m.test(text);
}

/** The first names, and how many more there are. */
function few(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${names.slice(0, MOST_NAMES).join(', ')} and ${grouped(more)} more` : names.join(', ');
}
