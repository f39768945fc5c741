/**
 * What is known about SAs, and who says so: what a receiver's kernel holds is what counts there, whatever keys and nodes
 * say; where its text is not at hand, all sources are asked and the packets decide.
 *
 * A kernel looks an SA up by destination, SPI, protocol and mark, and not by the source (`xfrm_state_lookup`): behind NAT,
 * or after MOBIKE, packets come from elsewhere than the state says. A capture has no marks. So of a kernel's states with
 * the destination and SPI of a packet those of its source are taken, or of any source; where there is none, those that ask
 * for no mark. (With Cilium the mark stands for the source, and the states of other sources are of other nodes.) No two
 * states of one kernel fit one packet; of several texts what was named first is asked first.
 *
 * A text of `ip xfrm state` does not say which node printed it: the states that send and receive do
 * (`state-direction.ts`). What they leave open goes by the other states of the same text.
 *
 * cilium-bugtool puts a hash in the place of each key. Where a key at hand has this hash, the state is as good as one whose
 * key is shown. Where none has, the receiver is known to hold another key than those: what they open it refuses.
 * @module
 */

import { secureBytes } from '../base/rng.ts';
import type { CiliumKey } from '../cilium/keys.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import type { ClusterPlan } from '../cilium/plan.ts';
import type { Engine } from '../crypto/engine.ts';
import { suiteCheck } from '../crypto/lacking.ts';
import { KeyMaterial } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { CaptureSas } from '../sa-text/capture-sas.ts';
import { keyHashesOf } from '../sa-text/key-hash.ts';
import { isSameSa, planSource, SaList, type SaSource } from '../sa-text/sa-source.ts';
import type { TextPolicy } from '../sa-text/to-policy.ts';
import { type KeylessSa, withKeys } from '../sa-text/to-sa.ts';
import { type Address, formatAddress, inPrefix, isAny, parseAddress } from '../wire/address.ts';
import { nameHeldKey } from './diagnose/guesses.ts';
import { directionBy } from './state-direction.ts';

/** The states of one text of `ip xfrm state`. */
export interface StateText {
  readonly file: string;
  readonly sas: readonly SaConfig[];
  readonly keyless: readonly KeylessSa[];
}

/** Keys and nodes as they are, or were. */
export interface ClusterText {
  readonly keys: readonly CiliumKey[];
  readonly nodes: readonly CiliumNode[];
}

export interface EvidenceOptions {
  readonly states?: readonly StateText[];
  /** Were texts of SAs given of which none can be used? */
  readonly isUnusable?: boolean;
  readonly policies?: readonly TextPolicy[];
  /** SAs whose node is not told: Wireshark's esp_sa. */
  readonly listed?: readonly SaConfig[];
  /** SAs that the capture brings along; may grow while it is read. */
  readonly own?: CaptureSas;
  readonly plan?: ClusterPlan;
  readonly cluster?: ClusterText;
  /** Earlier keys and nodes, or those of other clusters: to be tried on what does not open. */
  readonly old?: ClusterText;
}

/** A state in a kernel. */
export interface HeldSa {
  readonly sa: KeylessSa;
  /** Absent where the text hides the keys, and shows no hash of a key at hand. */
  readonly config?: SaConfig;
  /** Address of the node that printed it, as far as can be told. */
  readonly holder: string | undefined;
  readonly file: string;
}

/** An SA, and who says so. */
export interface NamedSa {
  readonly config: SaConfig;
  readonly who: string;
}

/** What is known about one stream. */
export interface Resolution {
  /** SAs that packets are to be opened with. */
  readonly candidates: readonly SaConfig[];
  /** Of these those of Cilium's keys used the other way: see {@link ClusterPlan.otherWay}. */
  readonly otherWay: readonly SaConfig[];
  /**
   * `held`: the receiver's kernel has this SA; `missing`: its text has others but not this; `hidden`: it has it, and the
   * keys are not shown; `other-key`: nor are they here, but their hash says that none at hand is this one, and {@link candidates}
   * is the SA with a key that opens nothing; `unknown`: there is no text of the receiver.
   */
  readonly atReceiver: 'held' | 'missing' | 'hidden' | 'other-key' | 'unknown';
  /** States of the receiver's kernel. */
  readonly held: readonly HeldSa[];
  /** What all others say. */
  readonly others: readonly NamedSa[];
  /** SAs that the capture had before, and took away. */
  readonly former: readonly SaConfig[];
}

export class Evidence implements SaSource {
  readonly states: readonly HeldSa[];
  readonly policies: readonly TextPolicy[];
  readonly cluster: ClusterText;
  readonly old: ClusterText;
  readonly #options: EvidenceOptions;
  readonly #nodeOf = new Map<string, CiliumNode>();
  /** The last resolutions. */
  readonly #known = new Map<string, Resolution>();
  /** Ends of SAs that are listed, and all SPIs of which there can be an SA. */
  readonly #ends = new Set<string>();
  readonly #to = new Set<string>();
  readonly #spis = new Set<number>();
  readonly #listed: SaList;
  /** States by destination and SPI, and by the name of the node that holds them: there may be thousands. */
  readonly #byEnd = new Map<string, HeldSa[]>();
  readonly #byHolder = new Map<string, HeldSa[]>();
  /** States whose key was found by its hash. */
  readonly #found = new Map<HeldSa, HeldSa>();
  /** States whose hash no key has that is derived from keys and nodes. */
  readonly #notDerived = new Set<HeldSa>();
  #problemOf: (keys: KeyMaterial) => string | undefined = () => undefined;
  /** Suites that the engine lacks, as it was said of them. */
  readonly #said = new Set<string>();

  constructor(options: EvidenceOptions) {
    this.#options = options;
    this.policies = options.policies ?? [];
    this.cluster = options.cluster ?? { keys: [], nodes: [] };
    this.old = options.old ?? { keys: [], nodes: [] };
    for (const node of this.cluster.nodes) {
      for (const address of [...node.ciliumAddresses, ...node.nodeAddresses]) {
        this.#nodeOf.set(formatAddress(address), node);
      }
    }
    this.states = (options.states ?? []).flatMap((text) => this.#holders(text));
    const index = (map: Map<string, HeldSa[]>, key: string, state: HeldSa) => {
      const same = map.get(key);
      if (same) same.push(state);
      else map.set(key, [state]);
    };
    const isOf = ({ src, dst, spi }: KeylessSa) => {
      this.#ends.add(formatAddress(src)).add(formatAddress(dst));
      this.#to.add(formatAddress(dst));
      this.#spis.add(spi);
    };
    for (const { sa } of this.states) isOf(sa);
    for (const config of options.listed ?? []) if (!config.pattern) isOf(config);
    this.#listed = new SaList(options.listed);
    for (const id of options.plan?.keyIds ?? []) this.#spis.add(id);
    for (const state of this.states) {
      index(this.#byEnd, endName(formatAddress(state.sa.dst), state.sa.spi), state);
      if (state.holder !== undefined) index(this.#byHolder, this.nameOf(state.holder), state);
    }
  }

  /** Is there any source of SAs? */
  get hasSas(): boolean {
    const { listed = [], own, plan } = this.#options;
    return this.states.length + listed.length > 0 || plan !== undefined || own?.isEmpty === false;
  }

  /** Were texts of SAs given of which none can be used? */
  get isUnusable(): boolean {
    return !this.hasSas && this.#options.isUnusable === true;
  }

  /** Does any source have an SA that ends at this address? */
  hasSasTo(address: string): boolean {
    const { plan, own } = this.#options;
    return (
      this.#to.has(address) ||
      own?.endsAt(address) === true ||
      (plan !== undefined && this.#nodeOf.has(address))
    );
  }

  /** The node that has an address, with all that its keys are made of. */
  nodeOf(address: string): CiliumNode | undefined {
    return this.#nodeOf.get(address);
  }

  /** The name of the node that has an address. */
  nodeNameOf(address: string): string | undefined {
    return this.#nodeOf.get(address)?.name ?? this.#options.own?.nodeOf(address)?.name;
  }

  /** What to call the node at an address. */
  nameOf(address: string): string {
    return this.nodeNameOf(address) ?? address;
  }

  /** Is this the name or an address of a node that any source names? */
  hasNode(name: string): boolean {
    if (this.knows(name) || this.cluster.nodes.some((node) => node.name === name)) return true;
    for (const node of this.#options.own?.nodes ?? []) if (node.name === name) return true;
    return false;
  }

  /** An address of the node whose range has a pod, by the lists of nodes. */
  nodeOfPod(pod: Address): string | undefined {
    const has = ({ podCidrs }: Pick<CiliumNode, 'podCidrs'>) =>
      podCidrs.some((range) => inPrefix(range, pod));
    const node = this.cluster.nodes.find(has);
    if (node) return formatAddress((node.ciliumAddresses[0] ?? node.nodeAddresses[0])!);
    for (const one of this.#options.own?.nodes ?? []) if (has(one)) return formatAddress(one.addresses[0]!);
    return undefined;
  }

  /** Does any source say which addresses are pods'? */
  get hasPodRanges(): boolean {
    const has = ({ podCidrs }: Pick<CiliumNode, 'podCidrs'>) => podCidrs.length > 0;
    if (this.cluster.nodes.some(has)) return true;
    for (const one of this.#options.own?.nodes ?? []) if (has(one)) return true;
    return false;
  }

  /** Do both addresses belong to one node, as far as is known? */
  isSameNode(a: string, b: string): boolean {
    return a === b || this.nameOf(a) === this.nameOf(b);
  }

  /**
   * Says which engine is to open packets. An SA whose suite it does not have is as good as one without a key; the first of
   * each suite is noted.
   */
  useEngine(engine: Engine): void {
    this.#problemOf = suiteCheck(engine);
    this.forget();
  }

  /** Has the engine the suite of a key? */
  canUse(keys: KeyMaterial): boolean {
    return this.#problemOf(keys) === undefined;
  }

  /** Those that the engine can use. */
  #usable(configs: readonly SaConfig[]): SaConfig[] {
    return configs.filter(({ keys, origin }) => {
      const problem = this.#problemOf(keys);
      if (problem === undefined) return true;
      if (!this.#said.has(problem)) this.#options.own?.tell(`${origin}: ${problem}`);
      this.#said.add(problem);
      return false;
    });
  }

  #usableState(state: HeldSa): HeldSa {
    const { config, ...closed } = state;
    return config && this.#usable([config]).length === 0 ? closed : state;
  }

  find(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    return this.resolve(formatAddress(src), formatAddress(dst), spi).candidates;
  }

  /** Everything that is known about a stream. */
  resolve(src: string, dst: string, spi: number): Resolution {
    const canBe = this.#spis.has(spi) || this.#listed.patterns > 0 || this.#options.own?.hasSpi(spi);
    if (!canBe) {
      return this.heldBy(dst).length > 0 ? MISSING : UNKNOWN;
    }
    const key = `${src} ${dst} ${spi}`;
    const known = this.#known.get(key);
    // What the capture itself brings may come later.
    if (known && (known.candidates.length > 0 || !this.#options.own)) return known;
    const resolution = this.#resolve(src, dst, spi);
    if (this.#known.size >= MOST_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(key, resolution);
    return resolution;
  }

  /** Does the capture say that it was made while packets came, where none had been: so that its numbers begin with 1? */
  isMadeUnderWay({ candidates, former }: Resolution): boolean {
    const [sa] = candidates;
    return candidates.length === 1 && former.length === 0 && this.#options.own?.isNew(sa!) === true;
  }

  /** The capture has taken SAs away: what was worked out may be out of date. */
  forget(): void {
    this.#known.clear();
  }

  /** Does any source name this address as an end of an SA? */
  knows(address: string): boolean {
    return this.#nodeOf.has(address) || this.#ends.has(address) || this.#options.own?.knows(address) === true;
  }

  /** What all other sources say about the SA that a kernel holds. */
  elsewhere(state: HeldSa): NamedSa[] {
    const { src, dst, spi } = state.sa;
    const { held, others } = this.resolve(formatAddress(src), formatAddress(dst), spi);
    const said = [...others];
    for (const { config, holder, file } of held) {
      if (config && holder !== undefined)
        said.push({ config, who: `the kernel of ${this.nameOf(holder)} (${file})` });
    }
    const own = (this.#found.get(state) ?? state).config;
    return said.filter(({ config }) => config !== own);
  }

  /** Is this the key that a kernel holds, as its text shows it, or its hash? `undefined` where it shows neither. */
  holdsKey({ sa, config }: HeldSa, keys: KeyMaterial): boolean | undefined {
    if (config) return config.keys.equals(keys);
    return sa.keyHash === undefined ? undefined : sa.keyHash === keyHashesOf(keys);
  }

  /** States that the kernel of the node at `address` holds. */
  heldBy(address: string): readonly HeldSa[] {
    return this.#byHolder.get(this.nameOf(address)) ?? [];
  }

  #resolve(src: string, dst: string, spi: number): Resolution {
    const from = parseAddress(src)!;
    const to = parseAddress(dst)!;
    const ofReceiver = this.heldBy(dst);
    const isHeld = ({ holder }: HeldSa) => holder !== undefined && this.isSameNode(holder, dst);
    const { own, plan } = this.#options;
    const planned = plan ? this.#usable(planSource(plan).find(from, to, spi)) : [];
    // How keys are used depends on Cilium's version, and the packets say which way it is.
    const otherWay = (planned.length > 0 ? plan!.otherWay(from, to, spi) : []).map((config) => ({
      ...config,
      choice: config.origin,
    }));
    const listed = this.#usable(this.#listed.find(from, to, spi));
    const brought = this.#usable(own?.find(from, to, spi) ?? []);
    const former = this.#usable(own?.former(from, to, spi) ?? []);
    const atEnd = (this.#byEnd.get(endName(dst, spi)) ?? []).map((state) => this.#usableState(state));
    const shownAt = atEnd.flatMap(({ config }) => config ?? []);
    const known = [shownAt, listed, brought, planned, otherWay, former].flat();
    const withKey = (state: HeldSa) => this.#withKey(state, src, known);
    const held = fitting(atEnd.filter(isHeld), src).map(withKey);
    const elsewhere = fitting(
      atEnd.filter((state) => !isHeld(state)),
      src,
    ).map(withKey);
    const others: NamedSa[] = [];
    for (const { config, holder, file } of elsewhere) {
      if (!config) continue;
      const who = holder === undefined ? file : `the kernel of ${this.nameOf(holder)} (${file})`;
      others.push({ config, who });
    }
    for (const config of listed) others.push({ config, who: config.origin });
    for (const config of brought) others.push({ config, who: 'the capture itself' });
    for (const config of planned)
      others.push({ config: { ...config, choice: config.origin }, who: 'keys and nodes' });
    const shown = held.flatMap(({ config }) => (config ? [config] : []));
    const isHidden =
      held.length > 0 || (ofReceiver.length === 0 && others.length === 0 && elsewhere.length > 0);
    // A state of which no one can tell whose it is may be the receiver's.
    const isMissing = ofReceiver.length > 0 && elsewhere.every(({ holder }) => holder !== undefined);
    const rest = { otherWay, held, others, former };
    const closed = shown.length === 0 && others.length > 0 ? closedSa(held, others) : undefined;
    if (closed) return { ...rest, candidates: [closed], atReceiver: 'other-key' };
    const atReceiver = shown.length > 0 ? 'held' : isHidden ? 'hidden' : isMissing ? 'missing' : 'unknown';
    const candidates = distinct(
      shown.length > 0 ? shown : [...others.map(({ config }) => atOtherEnd(config)), ...otherWay],
    );
    return { ...rest, candidates, atReceiver };
  }

  /**
   * A state of which only the hash of its key is told, with the key that has it; others as they are.
   * @param src where packets come from, of a state that takes any source
   * @param known SAs that may have its key; without them earlier keys and nodes, and what else keys are derived from, are tried
   */
  #withKey(state: HeldSa, src: string, known: readonly SaConfig[]): HeldSa {
    const { sa, config } = state;
    if (config || sa.keyHash === undefined) return state;
    const found = this.#found.get(state);
    if (found) return found;
    const isIt = (keys: KeyMaterial) => this.holdsKey(state, keys) === true;
    let keys = known.find((one) => isIt(one.keys))?.keys;
    if (!keys && !this.#notDerived.has(state)) {
      const from = isAny(sa.src) ? src : formatAddress(sa.src);
      keys = nameHeldKey(this, from, formatAddress(sa.dst), sa.spi, isIt)?.keys;
      if (!keys) this.#notDerived.add(state);
    }
    const whole = keys && withKeys(sa, keys);
    if (!whole) return state;
    const made = { ...state, config: whole };
    this.#found.set(state, made);
    return made;
  }

  /**
   * Which node holds each state of a text. A line `dir` may be wrong, and then packets are refused for it: where it says one end,
   * and what the states of the text have counted the other end alone, it is that one. Where lines `dir` contradict each other and
   * nothing was counted, nothing is told.
   */
  #holders({ file, sas, keyless }: StateText): HeldSa[] {
    const drafts = [
      ...sas.map((config) => ({ sa: config as KeylessSa, config })),
      ...keyless.map((sa) => ({ sa, config: undefined })),
    ].map((draft) => ({ ...draft, shown: directionShown(draft.sa) }));
    const shown = new Ends(this);
    const said = new Ends(this);
    /** No kernel has two states of one place: this one was assembled from several. */
    const isOfSeveral = new Set(drafts.map(({ sa }) => placeOf(sa))).size < drafts.length;
    for (const { sa, ...one } of drafts) {
      shown.add(sa, one.shown);
      said.add(sa, one.shown ?? sa.direction);
    }
    return drafts.map(({ sa, config, ...one }) => {
      const ends = (direction: 'in' | 'out') =>
        direction === 'in' ? ([sa.dst, sa.src] as const) : ([sa.src, sa.dst] as const);
      let holder: Address | undefined;
      if (one.shown) [holder] = ends(one.shown);
      else if (sa.direction) {
        const [own, other] = ends(sa.direction);
        if (isOfSeveral || shown.areHere(own) || !said.contradict(own, other)) holder = own;
        else if (shown.areHere(other)) holder = other;
      }
      // Told by the company it is in, where that leaves one answer.
      else if (said.areHere(sa.dst) !== said.areHere(sa.src)) holder = said.areHere(sa.dst) ? sa.dst : sa.src;
      return { sa, ...(config && { config }), holder: holder && formatAddress(holder), file };
    });
  }
}

/** The nodes at both ends of the states of a text, as far as these tell their direction: here, and at the other end. */
class Ends {
  readonly #evidence: Evidence;
  readonly #here = new Set<string>();
  readonly #there = new Set<string>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  add({ src, dst }: KeylessSa, direction: 'in' | 'out' | undefined): void {
    if (direction === undefined) return;
    this.#here.add(this.#nameOf(direction === 'in' ? dst : src));
    this.#there.add(this.#nameOf(direction === 'in' ? src : dst));
  }

  areHere(address: Address): boolean {
    return this.#here.has(this.#nameOf(address));
  }

  /** Is `own` at the other end of some, too, or `other` here? */
  contradict(own: Address, other: Address): boolean {
    return this.#there.has(this.#nameOf(own)) || this.areHere(other);
  }

  #nameOf(address: Address): string {
    return this.#evidence.nameOf(formatAddress(address));
  }
}

/** Resolutions that are kept. */
const MOST_KNOWN = 1 << 14;
/** No source has an SA: of a receiver whose text is at hand, and of others. */
const UNKNOWN: Resolution = {
  candidates: [],
  otherWay: [],
  atReceiver: 'unknown',
  held: [],
  others: [],
  former: [],
};
const MISSING: Resolution = { ...UNKNOWN, atReceiver: 'missing' };

/** Of states with one destination and SPI those that packets from `src` find: see above. */
function fitting(states: readonly HeldSa[], src: string): readonly HeldSa[] {
  const ofSource = states.filter(({ sa }) => isAny(sa.src) || formatAddress(sa.src) === src);
  return ofSource.length > 0 ? ofSource : states.filter(({ sa }) => takesAnySource(sa));
}

/** Does a kernel find this state whatever the source of a packet is? */
export function takesAnySource({ mark }: Pick<KeylessSa, 'mark'>): boolean {
  return !mark || mark.mask === 0;
}

/**
 * The SA of a receiver whose key is none at hand, by its hash: one that opens nothing, so that all else about it holds.
 * @returns `undefined` where a hash is not told
 */
function closedSa(held: readonly HeldSa[], others: readonly NamedSa[]): SaConfig | undefined {
  const [state] = held;
  if (!state || held.some(({ sa }) => sa.keyHash === undefined)) return undefined;
  const { suite } = others[0]!.config.keys;
  const macKey = others[0]!.config.keys.macKey();
  const [key, salt, mac] = [suite.keyLen, suite.saltLen, macKey.length].map((length) => {
    const bytes = new Uint8Array(length);
    secureBytes(bytes);
    return bytes;
  });
  return withKeys(state.sa, new KeyMaterial(suite, key!, salt!, mac!));
}

/** What a sender holds, as its receiver would: there it is not for sending alone. */
function atOtherEnd(config: SaConfig): SaConfig {
  if (config.direction !== 'out') return config;
  const { direction: _, sequence, ...rest } = config;
  // Before it has sent, its numbers say nothing of a window.
  const hasSent = sequence !== undefined && (sequence.oseq > 0 || sequence.oseqHi > 0);
  return hasSent ? { ...rest, sequence } : rest;
}

/** What tells the states of a kernel apart. */
function placeOf({ dst, spi, mark }: KeylessSa): string {
  return `${endName(formatAddress(dst), spi)} ${mark?.value ?? 0}/${mark?.mask ?? 0}`;
}

/** Names where an SA ends. */
function endName(dst: string, spi: number): string {
  return `${dst} ${spi}`;
}

/** Does a state send or receive, by what it has counted, and by its marks? */
function directionShown({ outputMark, mark, sequence, counted }: KeylessSa): 'in' | 'out' | undefined {
  return directionBy({
    outputMark: outputMark?.value,
    mark,
    received: sequence !== undefined && (sequence.seq > 0 || sequence.seqHi > 0),
    sent: sequence !== undefined && (sequence.oseq > 0 || sequence.oseqHi > 0),
    refused: counted !== undefined && counted.replay + counted.replayWindow + counted.failed > 0,
  });
}

/** Each key and ESN setting once. */
function distinct(configs: readonly SaConfig[]): SaConfig[] {
  return configs.filter((config, i) => configs.findIndex((one) => isSameSa(one, config)) === i);
}
