/**
 * Plans on their way from the control thread to the data plane: only what is new crosses, in messages small enough that
 * taking one off a port costs well under a millisecond, and what stays is the same object at the other end, which tells
 * the data plane that nothing about it changed (see `node/plan-change.ts`).
 *
 * Every peer, route, policy and SA has an id, its place in a table at either end. A plan is, for each of the four lists,
 * the ids in the list's order, with the items that the other end lacks; the last message has the rest of the plan and
 * the ids that are free from then on.
 *
 * SAs and policies are told by their object: an agent's plans share those that stay. Peers and routes are made anew
 * with every plan, so they are told by what they say.
 *
 * An array of bytes with memory of its own costs the other end some 300 bytes and a visit of its collector, so all bytes
 * of a message lie in one memory; and what SAs of a message have in common crosses once.
 * @module
 */
import { toHex } from '../base/bytes.ts';
import type { AgentPlan, PlannedRoute } from '../cilium/agent-plan.ts';
import type { Peer, Route } from '../cilium/ipcache.ts';
import { KeyMaterial, type Suite } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { type Address, formatAddress, formatPrefix, type Prefix } from '../wire/address.ts';
import type { LoadedPlan } from './node-plan.ts';

/** Ids in one message. */
const IDS_A_PART = 2048;
/** New items in one message: to take one off a port costs some 0.1 ms. */
const ITEMS_A_PART = 8;

/** What many SAs have in common: in one message it is one object. */
interface SaKind {
  readonly config: Omit<SaConfig, 'src' | 'dst' | 'keys' | 'origin'>;
  readonly suite: Suite;
  readonly macKeyLen: number;
}

/** An SA without its keys: those are in the memory of its message, which is never logged. Addresses are named by id. */
interface SentSa {
  readonly kind: SaKind;
  readonly src: number;
  readonly dst: number;
  readonly origin: string;
  /** Where its row is in the state file. */
  readonly row: number | undefined;
}

/** An SA of a plan, and where its row is in the state file. */
type PlannedSa = SaConfig & Pick<SentSa, 'row'>;

/** A route that names its peer by id. */
interface SentRoute {
  readonly prefix: Prefix;
  readonly route: Exclude<Route, { readonly peer: Peer }> | Omit<Route & { readonly peer: Peer }, 'peer'>;
  readonly peer?: number;
}

/** What each list is sent as, and what it is. */
interface Sent {
  readonly addresses: Address;
  readonly peers: Peer;
  readonly routes: SentRoute;
  readonly policies: Policy;
  readonly sas: SentSa;
}
interface Held {
  readonly addresses: Address;
  readonly peers: Peer;
  readonly routes: PlannedRoute;
  readonly policies: Policy;
  readonly sas: SaConfig;
}
type ListName = keyof Sent;
/** Routes need their peers, SAs their addresses. */
const LISTS: readonly ListName[] = ['addresses', 'peers', 'routes', 'policies', 'sas'];

/** Ids that go on with a list, and those of its items that are new, with their ids. */
interface ListPart<N extends ListName = ListName> {
  readonly kind: 'part';
  readonly list: N;
  readonly ids: Uint32Array;
  readonly newIds: Uint32Array;
  readonly items: readonly Sent[N][];
  /** Of SAs: key, salt and integrity key of each, one behind the other. */
  readonly bytes?: Uint8Array;
}

/** The end of a plan. */
interface EndPart {
  readonly kind: 'plan';
  /** Counts plans. */
  readonly number: number;
  readonly rest: Omit<AgentPlan, 'routes' | 'policies' | 'sas'>;
  readonly pods: readonly Prefix[];
  /** Ids that mean nothing from now on. */
  readonly gone: Readonly<Record<ListName, Uint32Array>>;
}

export type PlanPart = ListPart | EndPart;

/** A plan that is whole again. */
export interface NumberedPlan extends LoadedPlan {
  readonly number: number;
}

/** Ids of what one list holds. */
class IdTable {
  readonly #ids = new Map<unknown, number>();
  readonly #free: number[] = [];
  #next = 0;

  /** The id of what `key` stands for; a negative one, `-1 - id`, when it is new. */
  take(key: unknown): number {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#free.pop() ?? this.#next++;
    this.#ids.set(key, id);
    return -1 - id;
  }

  /** Forgets all but `kept`. @returns the ids that are free for the next plan */
  keep(kept: ReadonlySet<number>): Uint32Array {
    const gone: number[] = [];
    for (const [key, id] of this.#ids) {
      if (kept.has(id)) continue;
      this.#ids.delete(key);
      gone.push(id);
    }
    this.#free.push(...gone);
    return Uint32Array.from(gone);
  }
}

/** Turns plans into messages. What it made must all be taken, in its order, by one {@link PlanDecoder}. */
export class PlanEncoder {
  readonly #tables: Readonly<Record<ListName, IdTable>> = {
    addresses: new IdTable(),
    peers: new IdTable(),
    routes: new IdTable(),
    policies: new IdTable(),
    sas: new IdTable(),
  };
  #number = 0;

  /** The number of the last plan; 0 before the first. */
  get number(): number {
    return this.#number;
  }

  /**
   * The messages of the next plan.
   * @param rows where the rows of its SAs are in the state file
   */
  encode({ plan, pods }: LoadedPlan, rows?: ReadonlyMap<SaConfig, number>): PlanPart[] {
    const { routes, policies, sas, ...rest } = plan;
    const parts: PlanPart[] = [];
    const kept = {} as Record<ListName, ReadonlySet<number>>;
    const peers = new Map<Peer, number>();
    const addresses = new Map<Address, number>();
    const add = <N extends ListName>(
      list: N,
      items: readonly Held[N][],
      keyOf: (item: Held[N]) => unknown,
      encode: (items: readonly Held[N][]) => Encoded<N>,
    ): number[] => {
      const ids: number[] = [];
      const fresh = new PartMaker<N>(list, parts, encode);
      for (const item of items) {
        const taken = this.#tables[list].take(keyOf(item));
        const id = taken < 0 ? -1 - taken : taken;
        ids.push(id);
        fresh.add(id, taken < 0 ? item : undefined);
      }
      fresh.end();
      kept[list] = new Set(ids);
      return ids;
    };
    const ofRoutes = [...new Set(routes.flatMap(({ route }) => ('peer' in route ? [route.peer] : [])))];
    const ids = add('peers', ofRoutes, peerKey, inOneMemory);
    ofRoutes.forEach((peer, i) => {
      peers.set(peer, ids[i]!);
    });
    add(
      'routes',
      routes,
      (route) => routeKey(route, peers),
      (fresh) => inOneMemory(fresh.map((route) => sentRoute(route, peers))),
    );
    add('policies', policies, itself, inOneMemory);
    const ofSas = [...new Set(sas.flatMap(({ src, dst }) => [src, dst]))];
    add('addresses', ofSas, (address) => toHex(address), inOneMemory).forEach((id, i) => {
      addresses.set(ofSas[i]!, id);
    });
    add('sas', sas, itself, (fresh) => sentSas(fresh, addresses, rows));
    const gone = Object.fromEntries(
      LISTS.map((list) => [list, this.#tables[list].keep(kept[list])]),
    ) as EndPart['gone'];
    parts.push({ kind: 'plan', number: ++this.#number, rest, pods, gone });
    return parts;
  }
}

/** New items of a message. */
type Encoded<N extends ListName> = Pick<ListPart<N>, 'items' | 'bytes'>;

function itself<T>(item: T): T {
  return item;
}

/** Cuts a list into messages. */
class PartMaker<N extends ListName> {
  readonly #list: N;
  readonly #parts: PlanPart[];
  readonly #encode: (items: readonly Held[N][]) => Encoded<N>;
  #ids: number[] = [];
  #newIds: number[] = [];
  #items: Held[N][] = [];

  constructor(list: N, parts: PlanPart[], encode: (items: readonly Held[N][]) => Encoded<N>) {
    this.#list = list;
    this.#parts = parts;
    this.#encode = encode;
  }

  add(id: number, item: Held[N] | undefined): void {
    this.#ids.push(id);
    if (item !== undefined) {
      this.#newIds.push(id);
      this.#items.push(item);
    }
    if (this.#ids.length === IDS_A_PART || this.#items.length === ITEMS_A_PART) this.end();
  }

  end(): void {
    if (this.#ids.length === 0) return;
    this.#parts.push({
      kind: 'part',
      list: this.#list,
      ids: Uint32Array.from(this.#ids),
      newIds: Uint32Array.from(this.#newIds),
      ...this.#encode(this.#items),
    });
    this.#ids = [];
    this.#newIds = [];
    this.#items = [];
  }
}

/** Makes plans of messages again. */
export class PlanDecoder {
  readonly #slots: { readonly [N in ListName]: (Held[N] | undefined)[] } = {
    addresses: [],
    peers: [],
    routes: [],
    policies: [],
    sas: [],
  };
  /** The lists of the plan that is coming. */
  #lists = emptyLists();
  /** SAs of one kind share what describes it. */
  readonly #suites = new Map<string, Suite>();

  /** Takes the next message. @returns the plan that is whole with it */
  take(part: PlanPart): NumberedPlan | undefined {
    if (part.kind === 'part') {
      this.#add(part);
      return undefined;
    }
    const { routes, policies, sas } = this.#lists;
    this.#lists = emptyLists();
    for (const list of LISTS) {
      const slots = this.#slots[list];
      for (const id of part.gone[list]) slots[id] = undefined;
    }
    return { number: part.number, plan: { ...part.rest, routes, policies, sas }, pods: part.pods };
  }

  #add<N extends ListName>({ list, ids, newIds, items, bytes }: ListPart<N>): void {
    const slots = this.#slots[list] as Held[N][];
    if (bytes) this.#addSas(newIds, items as readonly SentSa[], bytes);
    else for (let i = 0; i < items.length; i++) slots[newIds[i]!] = this.#decode(list, items[i]!) as Held[N];
    const into = this.#lists[list] as Held[N][];
    for (let i = 0; i < ids.length; i++) into.push(slots[ids[i]!]!);
  }

  #decode(list: ListName, item: Sent[ListName]): Held[ListName] {
    if (list !== 'routes') return item as Address | Peer | Policy;
    const { prefix, route, peer } = item as SentRoute;
    const whole = peer === undefined ? route : { ...route, peer: this.#slots.peers[peer]! };
    return { prefix, route: whole as Route };
  }

  /** Where the row of an SA of a plan is in the state file. */
  rowOf(config: SaConfig): number | undefined {
    return (config as PlannedSa).row;
  }

  #addSas(newIds: Uint32Array, items: readonly SentSa[], bytes: Uint8Array): void {
    let at = 0;
    const next = (length: number) => {
      at += length;
      return bytes.subarray(at - length, at);
    };
    for (let i = 0; i < items.length; i++) {
      const { kind, origin, row, src: from, dst: to } = items[i]!;
      const { config, macKeyLen } = kind;
      const suite = this.#suite(kind.suite);
      const src = this.#slots.addresses[from]!;
      const dst = this.#slots.addresses[to]!;
      const keysAt = at;
      const keys = new KeyMaterial(suite, next(suite.keyLen), next(suite.saltLen), next(macKeyLen));
      // It has copied them: one copy of a key is enough.
      bytes.fill(0, keysAt, at);
      // In this order: what is added behind a copy makes a slow object of ten times the size.
      const sa: PlannedSa = { src, dst, keys, origin, row, ...config };
      this.#slots.sas[newIds[i]!] = sa;
    }
  }

  #suite(suite: Suite): Suite {
    const name = `${suite.name} ${suite.keyLen} ${suite.icvLen}`;
    const known = this.#suites.get(name);
    if (!known) this.#suites.set(name, suite);
    return known ?? suite;
  }
}

function emptyLists(): { [N in ListName]: Held[N][] } {
  return { addresses: [], peers: [], routes: [], policies: [], sas: [] };
}

/**
 * SAs of one message. No two share bytes, though they may have one key (all do under a global one), so the receiver can
 * wipe each.
 */
function sentSas(
  sas: readonly SaConfig[],
  addresses: ReadonlyMap<Address, number>,
  rows: ReadonlyMap<SaConfig, number> | undefined,
): Encoded<'sas'> {
  const kinds = new Map<string, SaKind>();
  const bytes: number[] = [];
  const items = sas.map((sa): SentSa => {
    const { src, dst, keys, origin, ...config } = sa;
    const made = { config, suite: keys.suite, macKeyLen: keys.macKey().length };
    const text = JSON.stringify(made);
    const kind = kinds.get(text) ?? made;
    kinds.set(text, kind);
    bytes.push(...keys.all());
    return { kind, src: addresses.get(src)!, dst: addresses.get(dst)!, origin, row: rows?.get(sa) };
  });
  const sent = { items, bytes: Uint8Array.from(bytes) };
  bytes.fill(0);
  return sent;
}

/** The same items, with all their bytes in one memory. What they share is still one object. */
function inOneMemory<T>(items: readonly T[]): { readonly items: readonly T[] } {
  const found = new Set<Uint8Array>();
  for (const item of items) findBytes(item, found);
  const memory = new Uint8Array([...found].reduce((sum, { length }) => sum + length, 0));
  const copies = new Map<object, unknown>();
  let at = 0;
  for (const bytes of found) {
    const copy = memory.subarray(at, at + bytes.length);
    copy.set(bytes);
    at += bytes.length;
    copies.set(bytes, copy);
  }
  return { items: items.map((item) => copyOf(item, copies)) };
}

/** Finds the arrays of bytes in plain data. */
function findBytes(data: unknown, found: Set<Uint8Array>): void {
  if (data instanceof Uint8Array) found.add(data);
  else if (typeof data === 'object' && data !== null)
    for (const one of Object.values(data)) findBytes(one, found);
}

/** A copy of plain data. @param copies of what has been copied */
function copyOf<T>(data: T, copies: Map<object, unknown>): T {
  if (typeof data !== 'object' || data === null) return data;
  const known = copies.get(data);
  if (known) return known as T;
  const copy = Array.isArray(data)
    ? data.map((one) => copyOf(one, copies))
    : Object.fromEntries(Object.entries(data).map(([name, one]) => [name, copyOf(one, copies)]));
  copies.set(data, copy);
  return copy as T;
}

function sentRoute({ prefix, route }: PlannedRoute, peers: ReadonlyMap<Peer, number>): SentRoute {
  if (!('peer' in route)) return { prefix, route };
  const { peer, ...rest } = route;
  return { prefix, route: rest, peer: peers.get(peer)! };
}

function peerKey({ name, nodeId, encrypts, keyId, encryptMark, decryptMark, tunnel }: Peer): string {
  const ends = tunnel ? `${formatAddress(tunnel.src)} ${formatAddress(tunnel.dst)}` : '';
  return [nodeId, encrypts, keyId, encryptMark, decryptMark, ends, name].join(' ');
}

function routeKey({ prefix, route }: PlannedRoute, peers: ReadonlyMap<Peer, number>): string {
  const peer = 'peer' in route ? peers.get(route.peer) : '';
  const pod = 'pod' in route ? route.pod : '';
  const identity = 'identity' in route ? route.identity : '';
  return [formatPrefix(prefix), route.kind, peer, pod, identity].join(' ');
}
