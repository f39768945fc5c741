/**
 * SAs of esplane, made of the states that a text holds. A state that cannot be used is left out and named: one of them
 * never refuses the others.
 * @module
 */
import { fromHex, toHex } from '../base/bytes.ts';
import { EsplaneError } from '../base/errors.ts';
import { aead, authenc, type KeyMaterial } from '../crypto/suite.ts';
import type { IptfsOptions } from '../ipsec/iptfs.ts';
import type { Lifetime, SaConfig, SaDates } from '../ipsec/sa-config.ts';
import { parseAddress } from '../wire/address.ts';
import { ESN_WINDOW } from './esn-window.ts';
import { EXTRA_FLAGS, flagNames, STATE_FLAGS } from './flags.ts';
import { hashOfKey, joinHashes, printedKeys } from './key-hash.ts';
import { Unusable } from './omission.ts';
import { toSelector } from './to-selector.ts';
import type { XfrmAlgorithm, XfrmLifetime, XfrmState } from './xfrm-tree.ts';

/** A state whose key the text does not show. */
export interface KeylessSa extends Omit<SaConfig, 'keys'> {
  /** The hashes that cilium-bugtool has put in the keys' places, as `keyHashesOf` has them. */
  readonly keyHash?: string;
  /** Its algorithms, without keys. */
  readonly algorithms?: readonly XfrmAlgorithm[];
  /** Is there a selector in the text that cannot be read, as one cut out? Then it is absent here. */
  readonly isSelectorHidden?: true;
}

/** What became of one state. */
export type StateResult =
  | { readonly kind: 'sa'; readonly sa: SaConfig }
  | { readonly kind: 'keyless'; readonly sa: KeylessSa }
  /** Why it is left out, and the line that says so; absent, its first one. As in {@link Omission}. */
  | ({ readonly kind: 'omitted'; readonly why: string } & Partial<Pick<Unusable, 'line' | 'remedy'>>);

/** What helps where the text is whole. */
const CHECK_KEYS = 'Check the line: `esplane suites` lists each algorithm with its keys and ICVs.';
const OTHERS = 'Give the states of other SAs: packets of this one cannot be opened here.';

/** Linux has no wider window (`XFRMA_REPLAY_ESN_MAX`). */
const MAX_WINDOW = 4096;

/** Makes an SA of a state. The reason for leaving one out never holds a key. */
export function toSa(state: XfrmState): StateResult {
  try {
    return convert(state);
  } catch (error) {
    if (error instanceof Unusable) return omitted(error.message, error);
    throw error;
  }
}

function omitted(
  why: string,
  { line, remedy }: Partial<Pick<Unusable, 'line' | 'remedy'>> = {},
): StateResult {
  return { kind: 'omitted', why: `the state is left out: ${why}`, line, remedy };
}

function need<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new Unusable(what);
  return value;
}

function convert(state: XfrmState): StateResult {
  const { antiReplay, algorithms, encap } = state;
  const proto = need(state.proto, 'it has no line `proto …`: it is cut off');
  if (proto !== 'esp') return omitted(`its protocol is ${plainWord(proto)}`, { remedy: OTHERS });
  const [damage] = state.damaged;
  if (damage) return omitted(`its field ${damage.field} cannot be read`, damage);
  const spi = need(state.spi, 'it has no SPI');
  if (spi === 0) return omitted('it has no SPI: it waits for its key exchange');
  const src = need(parseAddress(state.src), 'its source is not an IP address');
  const dst = need(parseAddress(state.dst), 'its destination is not an IP address');
  if (src.length !== dst.length) return omitted('its addresses are of different IP versions');
  const mode = modeOf(state.mode);
  if (mode === undefined)
    return omitted(`its mode is ${modeName(state.mode)}; esplane has tunnel, transport and iptfs`, {
      remedy: OTHERS,
    });
  if (encap && encap.type !== 'espinudp')
    return omitted(`its encapsulation is ${plainWord(encap.type)}; esplane has espinudp`, { remedy: OTHERS });
  const flags = flagNames(state.flags, STATE_FLAGS);
  const esn = flags.includes('esn');
  // Where there is a context, the kernel goes by it and prints 0 in the line above.
  const window = antiReplay?.window ?? state.replayWindow ?? 0;
  if (window > MAX_WINDOW) return omitted(`its replay window is above ${MAX_WINDOW}`);
  // A state that takes both families (af-unspec and no selector given) prints no selector. One that is printed
  // decides the family of what is sent, whatever the flags say: tried on Linux 6.1.
  const isKeyless = algorithms.length === 0 || algorithms.some(({ key }) => key === undefined);
  const selector = state.selector && toSelector(state.selector);
  if (selector === undefined && !isKeyless) return omitted('its selector cannot be read');
  const lifetime = toLifetime(state.lifetime);
  const dates = toDates(state);
  const sa: Omit<SaConfig, 'keys'> = {
    src,
    dst,
    spi,
    mode,
    esn,
    replayWindow: esn && window === 0 ? ESN_WINDOW : window,
    reqid: state.reqid ?? 0,
    ...(selector && { selector }),
    ...(mode === 'iptfs' && state.iptfs && { iptfs: toIptfs(state.iptfs) }),
    ...(state.mark && { mark: state.mark }),
    ...(state.ifId && { ifId: state.ifId }),
    ...(state.outputMark && { outputMark: state.outputMark }),
    ...(encap && { encap: { sport: port(encap.sport), dport: port(encap.dport) } }),
    flags: [...flags.filter((flag) => flag !== 'esn'), ...flagNames(state.extraFlags, EXTRA_FLAGS)],
    ...(lifetime && { lifetime }),
    ...(dates && { dates }),
    ...(antiReplay && {
      sequence: {
        seqHi: antiReplay.seqHi,
        seq: antiReplay.seq,
        oseqHi: antiReplay.oseqHi,
        oseq: antiReplay.oseq,
      },
    }),
    ...(state.stats && { counted: state.stats }),
    ...(state.offload?.dev && { offloadedTo: state.offload.dev }),
    ...((state.direction === 'in' || state.direction === 'out') && { direction: state.direction }),
    ...(state.pcpuNum !== null && { cpu: state.pcpuNum }),
    origin: state.origin,
  };
  if (!isKeyless) return { kind: 'sa', sa: { ...sa, keys: toKeys(algorithms) } };
  const keyHash = hashesOf(algorithms);
  const bare = algorithms.map(({ key, ...algorithm }) => (key === '' ? { ...algorithm, key } : algorithm));
  return {
    kind: 'keyless',
    sa: {
      ...sa,
      ...(keyHash !== undefined && { keyHash, algorithms: bare }),
      ...(selector === undefined && { isSelectorHidden: true }),
    },
  };
}

/** Hashes of all keys of a state; `undefined` where one is not told. */
function hashesOf(algorithms: readonly XfrmAlgorithm[]): string | undefined {
  const hashes: string[] = [];
  for (const { key, keyHash } of algorithms) {
    // An empty key has no text to hash, and is printed as it is.
    if (key === '') continue;
    if (keyHash === undefined && key === undefined) return undefined;
    hashes.push(keyHash ?? toHex(hashOfKey(key!)));
  }
  return hashes.length > 0 ? joinHashes(hashes) : undefined;
}

/**
 * A state whose text shows a hash in the place of its key, with that key.
 * @returns `undefined` where its algorithms are others than those of the key, or its selector is hidden
 */
export function withKeys(
  { keyHash: _, algorithms = [], isSelectorHidden, ...state }: KeylessSa,
  keys: KeyMaterial,
): SaConfig | undefined {
  if (isSelectorHidden) return undefined;
  const printed = printedKeys(keys);
  const whole = algorithms.map((algorithm) =>
    algorithm.key === undefined ? { ...algorithm, key: printed.shift() ?? '' } : algorithm,
  );
  try {
    return { ...state, keys: toKeys(whole) };
  } catch (error) {
    if (error instanceof Unusable) return undefined;
    throw error;
  }
}

function toKeys(algorithms: readonly XfrmAlgorithm[]): KeyMaterial {
  const of = (...types: XfrmAlgorithm['type'][]) => algorithms.find(({ type }) => types.includes(type));
  const enc = of('aead', 'enc');
  const auth = of('auth', 'auth-trunc');
  if (!enc)
    throw new Unusable('it has no encryption algorithm (a line `aead …` or `enc …`)', {
      line: algorithms[0]?.line,
    });
  try {
    if (enc.type === 'aead') return aead(nameOf(enc), bytesOf(enc), icvOf(enc));
    // Without `auth` Linux takes `digest_null`: no ICV at all.
    if (!auth) return authenc('digest_null', new Uint8Array(0), nameOf(enc), bytesOf(enc), 0);
    const icvBits = auth.type === 'auth-trunc' ? icvOf(auth) : (auth.icvBits ?? undefined);
    return authenc(nameOf(auth), bytesOf(auth), nameOf(enc), bytesOf(enc), icvBits);
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    const wrong = auth && error.message.includes(auth.name) ? auth : enc;
    throw new Unusable(error.message, { line: wrong.line, remedy: CHECK_KEYS });
  }
}

function bytesOf({ key = '', line }: XfrmAlgorithm): Uint8Array {
  const bytes = fromHex(key);
  if (!bytes) throw new Unusable('its key is not hexadecimal', { line });
  return bytes;
}

function icvOf({ icvBits, line }: XfrmAlgorithm): number {
  if (icvBits === null) throw new Unusable('the length of its ICV is missing', { line });
  return icvBits;
}

/** Messages repeat the name. A key in its place must not get there. */
function nameOf({ name, line }: XfrmAlgorithm): string {
  if (!/^[a-z][a-z0-9_-]{1,15}(\([\w(),-]{1,48}\))?$/i.test(name))
    throw new Unusable('the name of its algorithm cannot be read', { line });
  return name;
}

/** The limits that there are. No SA lives to see one beyond 2^53: as good as `(INF)`. */
function toLifetime(limits: XfrmLifetime | null): Lifetime | undefined {
  const lifetime: { -readonly [K in keyof Lifetime]: Lifetime[K] } = {};
  for (const name of ['softBytes', 'hardBytes', 'softPackets', 'hardPackets'] as const) {
    const limit = Number(limits?.[name] ?? Number.NaN);
    if (Number.isSafeInteger(limit)) lifetime[name] = limit;
  }
  for (const name of ['softAddSeconds', 'hardAddSeconds', 'softUseSeconds', 'hardUseSeconds'] as const) {
    const limit = limits?.[name];
    // 0 is none.
    if (limit) lifetime[name] = limit;
  }
  return Object.keys(lifetime).length > 0 ? lifetime : undefined;
}

/** When a state that does not send was added, and when its time is over. iproute2 prints local time, without saying which. */
function toDates({ use, lifetime, direction, antiReplay }: XfrmState): SaDates | undefined {
  const added = secondsOf(use?.added);
  const used = secondsOf(use?.used);
  const isSender = direction === 'out' || (antiReplay?.oseq ?? 0) > 0 || (antiReplay?.oseqHi ?? 0) > 0;
  if (added === undefined || isSender) return undefined;
  const over = Math.min(
    ...(lifetime?.hardAddSeconds ? [added + lifetime.hardAddSeconds] : []),
    ...(lifetime?.hardUseSeconds && used !== undefined ? [used + lifetime.hardUseSeconds] : []),
  );
  // Linux counts from a moment within the second that is printed.
  return Number.isFinite(over) ? { added, over: over + 1 } : undefined;
}

/** `2026-11-29 21:04:30` as if it were UTC. */
function secondsOf(text: string | null | undefined): number | undefined {
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text ?? '')) return undefined;
  const seconds = Date.parse(`${text!.replace(' ', 'T')}Z`) / 1000;
  return Number.isNaN(seconds) ? undefined : seconds;
}

function port(value: number | null): number {
  if (value === null || value > 0xffff) throw new Unusable('its UDP ports cannot be read');
  return value;
}

/** A word that a message may repeat: a name, and too short for a key. */
function plainWord(word: string): string {
  return /^[\w-]{1,16}$/.test(word) ? word : 'not known';
}

/** iproute2 without a name for it prints IP-TFS as 5. */
export function modeOf(mode: string | null): SaConfig['mode'] | undefined {
  if (mode === 'tunnel' || mode === 'transport') return mode;
  return mode === '5' || mode === 'iptfs' ? 'iptfs' : undefined;
}

/** What a receiver goes by; the times of `iptfs-opts` are in µs. */
function toIptfs(options: NonNullable<XfrmState['iptfs']>): IptfsOptions {
  const { 'reorder-window': window, 'drop-time': time } = options;
  return {
    ...(typeof window === 'number' && { reorderWindow: window }),
    ...(typeof time === 'number' && { dropTime: time / 1000 }),
  };
}

function modeName(mode: string | null): string {
  return mode === null ? 'missing' : plainWord(mode);
}
