/**
 * The SAs that one stream of a capture may belong to, and which of them its packets are of: tried on each packet, since
 * sources may disagree, an SA may be renewed, and a capture starts in mid-stream.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import type { Engine } from '../crypto/engine.ts';
import { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Address } from '../wire/address.ts';
import { HighHalf, type Number64, type Opens, type SearchBudget } from './high-half.ts';
import { waysOf } from './infer.ts';
import { Trial, textLength } from './trial.ts';

/** What contenders of all streams of a capture have in common. */
export class Trials {
  readonly engine: Engine;
  readonly random: RandomBytes;
  readonly budget: SearchBudget;
  readonly #trial: Trial;

  constructor(engine: Engine, random: RandomBytes, budget: SearchBudget) {
    this.engine = engine;
    this.random = random;
    this.budget = budget;
    this.#trial = new Trial(engine);
  }

  opens(sa: SecurityAssociation, b: Uint8Array, espAt: number, espEnd: number, hi: number): boolean {
    return this.#trial.opens(sa, b, espAt, espEnd, hi);
  }

  /** The clear text of the packet that {@link opens} has just said yes to, trailer included; a copy. */
  text(): Uint8Array {
    return this.#trial.text();
  }
}

/** One of the SAs, with a window of its own. */
export interface Contender {
  readonly config: SaConfig;
  readonly sa: SecurityAssociation;
  readonly high: HighHalf;
}

/**
 * What a packet says about its stream. `follows`: it authenticates under {@link Contenders.current} as a receiver infers
 * its number; `starts`: it does with a high half that its window has to be moved to; `unchecked`: under none, but current is
 * now one that is not checked, and what it opens is plausible; `unknown`: none of these.
 *
 * What is not checked never starts a stream: nothing that is kept of one for good comes of packets that may be forged. Once
 * a packet has authenticated, nothing of its stream is opened unchecked.
 */
export type Look = 'follows' | 'starts' | 'unchecked' | 'unknown';

export class Contenders {
  /** The SAs that are still possible. */
  configs: readonly SaConfig[];
  readonly #trials: Trials;
  readonly #made = new Map<SaConfig, Contender>();
  #current: Contender;

  /** @param configs at least one */
  constructor(configs: readonly SaConfig[], trials: Trials) {
    this.configs = configs.flatMap(waysOf);
    this.#trials = trials;
    this.#current = this.#of(this.configs[0]!);
  }

  /** Is there just one SA, and one that is not checked? */
  get isUnchecked(): boolean {
    return this.configs.length === 1 && this.#current.sa.suite.unchecked === true;
  }

  /** The one that the last packet that authenticated was of; until then, the first. */
  get current(): Contender {
    return this.#current;
  }

  /** All of them, ready to open packets on trial. */
  sas(): SecurityAssociation[] {
    return this.#inOrder().map(({ sa }) => sa);
  }

  /**
   * Looks which SA a packet is of. The caller moves the window where it has to.
   * @param hasFailed it was opened with the current one, where that stands, and its ICV was wrong
   */
  look(b: Uint8Array, espAt: number, espEnd: number, hasFailed = false): Look {
    const lo = u32(b, espAt + 4);
    const all = this.#inOrder();
    const opensWith =
      ({ sa }: Contender): Opens =>
      (hi) =>
        this.#trials.opens(sa, b, espAt, espEnd, hi);
    const whole = all.filter(({ config }) => textLength(config.keys.suite, espEnd - espAt) >= 0);
    const fitting = whole.filter(({ sa }) => !sa.suite.unchecked);
    for (const one of fitting) {
      if (hasFailed && one === this.#current) continue;
      if (one.high.follow(lo, opensWith(one))) {
        this.#current = one;
        return 'follows';
      }
    }
    for (const one of fitting) if (one.high.isLate(lo, opensWith(one))) return 'unknown';
    for (const isFar of [false, true]) {
      for (const one of fitting) {
        if (!one.high.search(lo, opensWith(one), isFar)) continue;
        this.#current = one;
        this.#settle(one.config);
        return 'starts';
      }
    }
    for (const one of fitting) one.high.fail();
    const unchecked = whole.find((one) => one.sa.suite.unchecked && opensWith(one)(0));
    if (!unchecked) return 'unknown';
    this.#current = unchecked;
    return 'unchecked';
  }

  /** The same SAs for one source, where these take any: the current one stands where this one does. */
  forSource(src: Address): Contenders {
    const { config, high } = this.#current;
    const rest = this.configs.filter((one) => one !== config);
    const made = new Contenders(
      [config, ...rest].map((one) => ({ ...one, src })),
      this.#trials,
    );
    made.#current.high.moveTo(high.hi, high.lo);
    made.#settle(made.#current.config);
    return made;
  }

  /** Forgets where all of them stand. */
  reset(): void {
    for (const { high } of this.#made.values()) high.reset();
  }

  /** Gives back the keys. */
  remove(): void {
    for (const { sa } of this.#made.values()) this.#trials.engine.removeKey(sa.key);
    this.#made.clear();
  }

  #inOrder(): Contender[] {
    const rest = this.configs.filter((config) => config !== this.#current.config);
    return [this.#current, ...rest.map((config) => this.#of(config))];
  }

  #of(config: SaConfig): Contender {
    const known = this.#made.get(config);
    if (known) return known;
    const { engine, random, budget } = this.#trials;
    const sa = new SecurityAssociation(config, engine, { random });
    const hints = [config.sequence?.seqHi, config.sequence?.oseqHi].filter(
      (hi) => hi !== undefined && hi > 0,
    );
    const high = new HighHalf(sa.window, hints as number[], budget, toldTop(config));
    const made: Contender = { config, sa, high };
    this.#made.set(config, made);
    return made;
  }

  /** The same key with and without ESN was a question, and this is the answer; what is not checked has no say any more. */
  #settle(config: SaConfig): void {
    this.configs = this.configs.filter(
      (one) =>
        one === config ||
        (!one.keys.equals(config.keys) &&
          !one.keys.suite.unchecked &&
          (one.choice === undefined || one.choice !== config.choice)),
    );
    for (const [one, { sa }] of this.#made) {
      if (this.configs.includes(one)) continue;
      this.#trials.engine.removeKey(sa.key);
      this.#made.delete(one);
    }
  }
}

/** The top of the window that a text tells: not of a state that sends, where it is 0. */
function toldTop({ sequence, direction }: SaConfig): Number64 | undefined {
  if (!sequence || direction === 'out' || sequence.oseq > 0 || sequence.oseqHi > 0) return undefined;
  return { hi: sequence.seqHi, lo: sequence.seq };
}
