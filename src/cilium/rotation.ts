/**
 * Which keys an agent holds, and the steps in which a new one comes into use. No clock of its own, and no SAs: it says
 * what is due, the {@link Agent} does it.
 *
 * ```text
 * install-first     new key ─► install ─► advertise ─► send          … 5 min …  reclaim the old key
 * advertise-first   new key ─► advertise ─► install ─► send          (Cilium before March 2026)
 * ```
 *
 * A peer takes the new key for this node once the node advertises it. With the old order that may be before the SAs are
 * there, and then its packets find none (XfrmInNoStates) for as long as installing takes (#44335, #44701).
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { CiliumKey } from './keys.ts';
import { type CiliumVersion, isAtLeast } from './version.ts';

/** `install-first` is Cilium's from March 2026 on. */
export type RotationOrder = 'install-first' | 'advertise-first';

/** `--key-rotation-duration`: ms that an old key stays after a new one came. */
export const KEY_ROTATION_DURATION = 5 * 60_000;
/** From this release on an agent waits before it reads a keys file that has changed (#44263) … */
const WAITS_SINCE = 20;
/** … for a random time, at most this part of the time that an old key stays. */
const WAIT_PART = 1 / 10;
/** ms between two looks for old keys (Cilium's `stale-key-reclaimer`). */
export const RECLAIM_INTERVAL = 60_000;

export type StepKind = 'install' | 'advertise' | 'send';

export interface RotationStep {
  readonly kind: StepKind | 'reclaim';
  readonly keyId: number;
  /** ms: when it is due. */
  readonly at: number;
}

export interface RotationOptions {
  readonly version: CiliumVersion;
  readonly order?: RotationOrder;
  /** ms. */
  readonly keyRotationDuration?: number;
  /** ms between two looks for old keys; left out, {@link RECLAIM_INTERVAL}. */
  readonly reclaimInterval?: number;
  /**
   * ms: the longest random wait before a keys file that has changed is read; left out, a tenth of `keyRotationDuration`
   * from 1.20 on, and 0 before.
   */
  readonly longestWait?: number;
  /** ms that installing SAs for all peers takes; what is in between shows only in a simulation. */
  readonly installTime?: number;
  /**
   * For teaching: ms from reading a key that follows another to each step, in place of the order and of the time for
   * installing. Steps of one time are in the order of `install-first`.
   */
  readonly steps?: Readonly<Record<StepKind, number>>;
}

interface Held {
  /** All lines of the id: one, or with those for single nodes several (to 1.16). */
  readonly lines: readonly CiliumKey[];
  /** ms: when a newer key came; absent for the current one. */
  removedAt?: number;
}

export class Rotation {
  /** The id of the key in the file; 0 before there is one. */
  current = 0;

  /** ms: the longest random wait before a keys file that has changed is read. */
  readonly longestWait: number;

  readonly #version: CiliumVersion;
  readonly #order: RotationOrder;
  readonly #duration: number;
  readonly #reclaimInterval: number;
  readonly #installTime: number;
  readonly #ownSteps: RotationOptions['steps'];
  readonly #held = new Map<number, Held>();
  readonly #steps: RotationStep[] = [];
  /** When the reclaimer looks next; -1 before it runs. */
  #reclaimAt = -1;

  constructor({
    version,
    order = 'install-first',
    keyRotationDuration = KEY_ROTATION_DURATION,
    reclaimInterval = RECLAIM_INTERVAL,
    installTime = 0,
    longestWait = isAtLeast(version, WAITS_SINCE) ? keyRotationDuration * WAIT_PART : 0,
    steps,
  }: RotationOptions) {
    this.longestWait = longestWait;
    this.#version = version;
    this.#order = order;
    this.#duration = keyRotationDuration;
    this.#reclaimInterval = reclaimInterval;
    this.#installTime = installTime;
    this.#ownSteps = steps;
  }

  /** The keys held, as lines of the file. */
  lines(keyId: number): readonly CiliumKey[] {
    return this.#held.get(keyId)?.lines ?? [];
  }

  /** The ids held, in the order in which they came. */
  get ids(): number[] {
    return [...this.#held.keys()];
  }

  /**
   * Takes what the keys file says now. Its last line is the current key; keys before it are held as old ones. The same
   * keys again change nothing.
   * @returns whether there is a new key
   * @throws {InputError} when this is no rotation that Cilium accepts; everything stays as it was then
   */
  take(keys: readonly CiliumKey[], now: number): boolean {
    const last = keys.at(-1);
    if (!last) return false;
    this.#check(last);
    if (this.#reclaimAt < 0) this.#reclaimAt = now + this.#reclaimInterval;
    const linesOf = (id: number) => keys.filter((key) => key.id === id);
    for (const { id } of keys) {
      if (id === last.id || this.#held.has(id)) continue;
      this.#held.set(id, { lines: linesOf(id), removedAt: now });
      this.#steps.push({ kind: 'install', keyId: id, at: now });
    }
    const { id } = last;
    if (id === this.current) {
      // To 1.16 the key may change under its id: what is installed stays, what comes later gets the new one.
      this.#held.set(id, { lines: linesOf(id) });
      return false;
    }
    const old = this.#held.get(this.current);
    if (old) old.removedAt = now;
    // An id that is still held from before keeps its SAs, as in Cilium, so it keeps its key.
    this.#held.set(id, { lines: this.#held.get(id)?.lines ?? linesOf(id) });
    this.current = id;
    const from = Math.max(now, this.#steps.at(-1)?.at ?? now);
    for (const [kind, wait] of this.#waits(old !== undefined))
      this.#steps.push({ kind, keyId: id, at: from + wait });
    return true;
  }

  /** The steps of a key in their order, and ms until each. */
  #waits(isRotation: boolean): (readonly [StepKind, number])[] {
    const own = isRotation ? this.#ownSteps : undefined;
    const done = this.#installTime;
    const { install, advertise, send } = own ?? { install: done, advertise: done, send: done };
    const waits: [StepKind, number][] =
      own || this.#order === 'install-first'
        ? [
            ['install', install],
            ['advertise', advertise],
            ['send', send],
          ]
        : [
            ['advertise', 0],
            ['install', done],
            ['send', done],
          ];
    return waits.sort(([, a], [, b]) => a - b);
  }

  /** The next thing to do by `now`, taken off the list; `undefined` when nothing is due. */
  due(now: number): RotationStep | undefined {
    const [step] = this.#steps;
    const reclaim = this.#nextReclaim();
    if (step && step.at <= now && (!reclaim || step.at <= reclaim.at)) return this.#steps.shift();
    if (!reclaim || reclaim.at > now) return undefined;
    this.#held.delete(reclaim.keyId);
    return reclaim;
  }

  /** When {@link due} has something to say again, in ms; `undefined` when never, unless a key comes. */
  get nextAt(): number | undefined {
    const times = [this.#steps[0]?.at, this.#nextReclaim()?.at].filter((at) => at !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  /** The reclaimer looks at fixed intervals, and takes what is old enough then. */
  #nextReclaim(): RotationStep | undefined {
    let first: RotationStep | undefined;
    for (const [keyId, { removedAt }] of this.#held) {
      if (removedAt === undefined) continue;
      const late = removedAt + this.#duration - this.#reclaimAt;
      const looks = Math.max(0, Math.ceil(late / this.#reclaimInterval));
      const at = this.#reclaimAt + looks * this.#reclaimInterval;
      if (!first || at < first.at) first = { kind: 'reclaim', keyId, at };
    }
    return first;
  }

  /** Cilium's rules for a new key beside the one in use. */
  #check(last: CiliumKey): void {
    // Releases with these rules have one line for each id.
    const [old] = this.lines(this.current);
    if (!old) return;
    const fail = (problem: string, remedy: string) =>
      new InputError({ source: last.source, line: last.line }, problem, remedy);
    if (old.id === last.id) {
      if (isAtLeast(this.#version, 17) && !old.material.equals(last.material))
        throw fail(
          `the key changed but its id is still ${last.id}: the peers would drop everything`,
          'Give the new key the next id: esplane keys rotate.',
        );
    } else if (isAtLeast(this.#version, 18) && old.keyLen !== last.keyLen)
      throw fail(
        'the key length must not change in a rotation',
        'Use a key of the same kind as the one in use.',
      );
  }
}
