/**
 * The way of a node from one plan to the next, in small steps: between two of them the node may carry packets.
 *
 *  1. Aside, with nothing touched: the SAs that are new are made and found to go together, policies and routes are put
 *     into tables of their own. What can fail fails here, and then everything is as it was.
 *  2. New SAs are added. No policy asks for them yet, unless it asks for any.
 *  3. In one step: policies, routes and all else of the plan, and the SAs whose place a new one takes. Before it every
 *     packet meets the old plan, behind it the new one, and none something in between.
 *  4. SAs that stay under new limits or selectors are replaced, each in one step. Those that the plan has no more are
 *     removed, and their keys wiped.
 *
 * What a plan has in common with the one before costs a look-up for each SA, route and policy, and no memory.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import type { AgentPlan, PlannedRoute } from '../cilium/agent-plan.ts';
import type { Engine } from '../crypto/engine.ts';
import { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { SaRow } from '../ipsec/sa-row.ts';
import { collision, Sad } from '../ipsec/sad.ts';
import { isSameSelector } from '../ipsec/selector.ts';
import { Spd } from '../ipsec/spd.ts';
import { RouteTable } from './routes.ts';

/** What a change works on. */
export interface PlanTarget {
  /** Matches by mark. */
  readonly sad: Sad;
  readonly spd: Spd;
  readonly routes: RouteTable;
  readonly engine: Engine;
  readonly random: RandomBytes;
  /** ms. */
  readonly now: () => number;
  /** The plan that is there now. */
  readonly plan: AgentPlan | undefined;
  readonly pathMtu: () => number;
  /** Where the numbers of an SA are kept; nowhere for those without a row. */
  readonly rowOf?: ((config: SaConfig) => SaRow | undefined) | undefined;
  /** The routes that no plan has: those to the pods here. A plan's own for the same prefix goes before them. */
  readonly podRoutes: () => Iterable<PlannedRoute>;
  /** Takes over the rest of the plan. */
  readonly adopt: (plan: AgentPlan) => void;
}

/** Look-ups or routes that take about as long as one SA. */
const A_STEP = 32;
/** The same of policies. */
const POLICIES_A_STEP = 8;

/** An SA in the place of one that is there. */
interface InPlace {
  readonly index: number;
  readonly config: SaConfig;
}

export class PlanChange {
  /** True once the node holds the plan, or the plan has been found to be impossible. */
  isOver = false;

  readonly #target: PlanTarget;
  readonly #plan: AgentPlan;
  readonly #steps: Generator<void, void>;
  /** By index of the SAs that are there: 0 for those that are still to be removed. */
  readonly #kept: Uint8Array;
  /** SAs that go on with the key, numbers and window of the one that is there. */
  readonly #goingOn: InPlace[] = [];
  /** SAs that begin anew in the place of another. */
  readonly #takingOver: (InPlace & { sa?: SecurityAssociation })[] = [];
  /** SAs in places of their own, in the order of the plan. */
  readonly #added: SaConfig[] = [];
  readonly #made: SecurityAssociation[] = [];
  /** Those of {@link #made} that cannot come before some others have gone. */
  readonly #needRoom: { readonly sa: SecurityAssociation; readonly age: number }[] = [];
  /** Keys that are no more needed. */
  readonly #oldKeys: number[] = [];

  /** Nothing happens before the first {@link step}. */
  constructor(target: PlanTarget, plan: AgentPlan) {
    this.#target = target;
    this.#plan = plan;
    this.#kept = new Uint8Array(target.sad.sas.length);
    this.#steps = this.#run();
  }

  /**
   * Goes on, by at least one step.
   * @param isEnough asked after each step, which takes some 0.1 ms
   * @returns true when the node holds the plan
   * @throws {EsplaneError} `ERR_SUITE` when the engine lacks a suite, `ERR_SA_EXISTS` when two SAs collide
   * @throws {RangeError} when a window's size is impossible. In any case the node holds what it held
   */
  step(isEnough: () => boolean): boolean {
    try {
      while (!this.isOver) {
        this.isOver = this.#steps.next().done ?? false;
        if (!this.isOver && isEnough()) return false;
      }
      return true;
    } catch (error) {
      this.isOver = true;
      throw error;
    }
  }

  *#run(): Generator<void, void> {
    const { plan: before, podRoutes, routes, spd } = this.#target;
    const plan = this.#plan;
    try {
      yield* this.#assign();
      yield* this.#make();
    } catch (error) {
      const made = [...this.#made, ...this.#takingOver.flatMap(({ sa }) => sa ?? [])];
      this.#oldKeys.push(...made.map(({ key }) => key));
      yield* this.#wipe();
      throw error;
    }
    const policies = isSame(before?.policies, plan.policies) ? undefined : yield* spdOf(plan);
    const table = isSame(before?.routes, plan.routes) ? undefined : yield* routesOf(plan);
    // From here on nothing fails.
    yield* this.#add();
    // The one step.
    this.#swap();
    if (policies) spd.adopt(policies);
    if (table) {
      for (const { prefix, route } of podRoutes()) if (!table.get(prefix)) table.set(prefix, route);
      routes.adopt(table);
    }
    this.#target.adopt(plan);
    yield;
    yield* this.#goOn();
    yield* this.#remove();
    yield* this.#wipe();
  }

  /** Finds for every SA of the plan whether it is there, goes on, takes over a place, or is added. */
  *#assign(): Generator<void, void> {
    const { sad } = this.#target;
    const { sas } = this.#plan;
    for (let k = 0; k < sas.length; k++) {
      const config = sas[k]!;
      const index = sad.at(config);
      if (index < 0) this.#added.push(config);
      else {
        if (this.#kept[index] === 1) throw collision(config, this.#ownerOf(index));
        this.#kept[index] = 1;
        const old = sad.sas[index]!.config;
        // An agent's plan has the same objects for SAs that stay, and of a large cluster nearly all do.
        if (old !== config && !isSameStream(old, config)) this.#takingOver.push({ index, config });
        else if (old !== config && !isUnchanged(old, config)) this.#goingOn.push({ index, config });
      }
      if (k % A_STEP === 0) yield;
    }
    for (let k = 0; k < this.#added.length; k++) {
      const config = this.#added[k]!;
      // Those that go do not count.
      const twin = sad.twins(config).find((index) => this.#kept[index] === 1);
      if (twin !== undefined) throw collision(config, this.#ownerOf(twin));
      if (k % A_STEP === 0) yield;
    }
    // A hole may get an SA before the old ones are removed.
    for (let index = 0; index < this.#kept.length; index++) if (!sad.sas[index]) this.#kept[index] = 1;
  }

  /** What the plan has in a place that is kept. */
  #ownerOf(index: number): SaConfig {
    const change = [...this.#goingOn, ...this.#takingOver].find((one) => one.index === index);
    return change?.config ?? this.#target.sad.sas[index]!.config;
  }

  /** Makes the SAs with keys of their own. */
  *#make(): Generator<void, void> {
    const together = new Sad();
    for (const config of this.#added) {
      const sa = this.#newSa(config);
      this.#made.push(sa);
      together.add(sa);
      yield;
    }
    for (const one of this.#takingOver) {
      one.sa = this.#newSa(one.config);
      yield;
    }
  }

  /** @param old the SA whose key, numbers and window it goes on with */
  #newSa(config: SaConfig, old?: SecurityAssociation): SecurityAssociation {
    const { engine, random, rowOf, now } = this.#target;
    if (old) return new SecurityAssociation(config, engine, { random, continues: old });
    const row = rowOf?.(config);
    return new SecurityAssociation(config, engine, { random, addedAt: now(), ...(row && { row }) });
  }

  *#add(): Generator<void, void> {
    const { sad, pathMtu } = this.#target;
    const made = this.#made;
    const newest = sad.reserve(made.length) + made.length - 1;
    for (let k = 0; k < made.length; k++) {
      const sa = made[k]!;
      sa.pathMtu = pathMtu();
      if (sad.twins(sa.config).length > 0) this.#needRoom.push({ sa, age: newest - k });
      else sad.add(sa, newest - k);
      if (k % A_STEP === 0) yield;
    }
  }

  /** SAs that cannot be there at one time with others take their places. */
  #swap(): void {
    const { sad, pathMtu } = this.#target;
    for (const { index, sa } of this.#takingOver) {
      this.#oldKeys.push(sad.sas[index]!.key);
      sa!.pathMtu = pathMtu();
      sad.replace(index, sa!, sad.reserve(1));
    }
    for (const { sa, age } of this.#needRoom) {
      for (const index of sad.twins(sa.config)) this.#drop(index);
      sad.add(sa, age);
    }
  }

  *#goOn(): Generator<void, void> {
    const { sad, pathMtu } = this.#target;
    for (const { index, config } of this.#goingOn) {
      const sa = this.#newSa(config, sad.sas[index]!);
      sa.pathMtu = pathMtu();
      sad.replace(index, sa);
      yield;
    }
  }

  *#remove(): Generator<void, void> {
    for (let index = 0; index < this.#kept.length; index++) {
      if (this.#kept[index] === 0) this.#drop(index);
      if (index % A_STEP === 0) yield;
    }
  }

  #drop(index: number): void {
    const { sad } = this.#target;
    this.#kept[index] = 1;
    this.#oldKeys.push(sad.sas[index]!.key);
    sad.remove(index);
  }

  *#wipe(): Generator<void, void> {
    const { engine } = this.#target;
    for (let k = 0; k < this.#oldKeys.length; k++) {
      engine.removeKey(this.#oldKeys[k]!);
      if (k % A_STEP === 0) yield;
    }
  }
}

/** The policies of a plan, ready to be asked. */
function* spdOf({ policies }: AgentPlan): Generator<void, Spd> {
  const spd = new Spd();
  for (let k = 0; k < policies.length; k++) {
    spd.set(policies[k]!);
    if (k % POLICIES_A_STEP === 0) yield;
  }
  yield* spd.prepare();
  return spd;
}

function* routesOf({ routes }: AgentPlan): Generator<void, RouteTable> {
  const table = new RouteTable();
  for (let k = 0; k < routes.length; k++) {
    table.set(routes[k]!.prefix, routes[k]!.route);
    if (k % A_STEP === 0) yield;
  }
  return table;
}

/** Are these the same objects, in the same order? */
function isSame<T>(a: readonly T[] | undefined, b: readonly T[]): boolean {
  if (!a || a.length !== b.length) return false;
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return false;
  return true;
}

/** Do two SAs of one place share key and sequence numbers? Then one must not begin anew where the other was. */
function isSameStream(a: SaConfig, b: SaConfig): boolean {
  return (
    a.keys.equals(b.keys) && equalBytes(a.src, b.src) && a.esn === b.esn && a.replayWindow === b.replayWindow
  );
}

/** Of two SAs of one stream: is the rest the same too? Where they come from does not matter. */
function isUnchanged(a: SaConfig, b: SaConfig): boolean {
  const isSameRange =
    a.selector && b.selector ? isSameSelector(a.selector, b.selector) : a.selector === b.selector;
  return isSameRange && restOf(a) === restOf(b);
}

/** What two SAs of one stream and one selector may differ in. The order of its parts is that of those who make configs. */
function restOf({
  mode,
  reqid,
  direction,
  cpu,
  encap,
  mark,
  outputMark,
  lifetime = {},
  flags,
}: SaConfig): string {
  return JSON.stringify([mode, reqid, direction, cpu, encap, mark, outputMark, lifetime, flags]);
}
