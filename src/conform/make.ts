/**
 * The frames of a conformance test: a tour through the catalogue of behaviours, a mixture of them by the seed, and the edge
 * of the sequence numbers, each with what a receiver does with it.
 * @module
 */
import { toHex } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import { mixSeed, type RandomBytes } from '../base/rng.ts';
import type { Engine } from '../crypto/engine.ts';
import { isAuthenticated } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { ALTERED, ESN_NUMBERS, FaultMaker, KINDS, type Kind, type Made, NUMBERS, ODD } from './catalogue.ts';
import { type EchoHosts, type EchoName, EchoReader, Reference, type Verdict } from './reference.ts';
import { DROPPED, DROPPED_IPV6, PASSED, type Rule, TAKEN } from './rules.ts';

export interface ConformOptions {
  /** From the tester to the peer; the peer has seen nothing under it. */
  readonly sa: SaConfig;
  /** Who pings whom inside; in transport mode the ends of the SA. */
  readonly hosts: EchoHosts;
  /** How many frames; at least {@link leastFrames}. */
  readonly frames: number;
  readonly seed: number;
  readonly engine: Engine;
  /** For what no frame shows. */
  readonly random: RandomBytes;
  /** The way to the peer sends packets as they are: a socket of IP writes lengths itself. Default. */
  readonly sendsAsIs?: boolean;
  /** The source around ESP can be chosen. Default. */
  readonly choosesSource?: boolean;
  /** Behaviours to leave out, by name: those that end the peer. */
  readonly skip?: readonly string[];
}

/** What decides which behaviours a test has. */
type Scope = Pick<ConformOptions, 'sa' | 'sendsAsIs' | 'choosesSource' | 'skip'>;

/** A frame, and what is to become of it. */
export interface ConformFrame extends Verdict {
  /** From 1. */
  readonly frame: number;
  /** A name of {@link KINDS}. */
  readonly behaviour: string;
  readonly rule: Rule;
  /** The echo request that was put in; null where none was. */
  readonly echo: EchoName | null;
  /** It comes out whole, so a host behind the receiver answers it. */
  readonly answered: boolean;
  /** From the IP header on. */
  readonly packet: Uint8Array;
}

const U32 = 2n ** 32n;
/** Frames of the last part, and how far before the edge of the numbers it begins. */
const EDGE = 80;
const BEFORE_EDGE = 40n;
/** Shortest echo request with something in it, so that each has a byte to alter. */
const LEAST_DATA = 4;

/** Frames of a test that has every behaviour once. */
export function leastFrames(options: Scope): number {
  return 1 + tour(kindsFor(options)).length + 1 + EDGE;
}

/**
 * Makes them.
 * @throws {InputError} when `frames` is too small, `skip` names none, or the SA has a window and nothing that authenticates
 * @throws {EsplaneError} `ERR_SUITE` when the engine does not have the suite
 */
export function makeConform(options: ConformOptions): ConformFrame[] {
  const { sa, hosts, frames, seed, engine, random } = options;
  const least = leastFrames(options);
  if (frames < least)
    throw new InputError(
      { source: '--frames' },
      `${frames} frames do not hold every behaviour once`,
      `Give at least ${least}.`,
    );
  if (!isAuthenticated(sa.keys.suite) && sa.replayWindow > 0)
    throw new InputError(
      { source: '--window' },
      'an SA without integrity has no window (RFC 4303 §3.4.3)',
      'Give --window 0, or a suite with integrity.',
    );
  const echoes = new Echoes(hosts, mixSeed(seed, 7) & 0xffff);
  const maker = new FaultMaker({
    config: sa,
    engine,
    top: 0n,
    inner: (len) => echoes.next(len),
    seed: mixSeed(seed, 3),
  });
  const reference = new Reference(sa, engine, random);
  const reader = new EchoReader();
  const made: ConformFrame[] = [];
  let top = 0n;
  /** What is in packets that may be sent again. */
  const named = new Map<string, EchoName | null>();
  const take = (make: () => Made) => {
    echoes.made = [];
    const { kind, packet } = make();
    const verdict = reference.take(packet);
    const isNewEpoch = verdict.seq !== null && verdict.seq >> 32n > top >> 32n;
    if (verdict.verdict === 'accepted' && verdict.seq !== null && verdict.seq > top) {
      top = verdict.seq;
      maker.top = top;
    }
    const answer = verdict.inner ? reader.read(verdict.inner, hosts, 'request') : undefined;
    const bytes = toHex(packet);
    const echo = answer ?? echoes.made[0] ?? named.get(bytes) ?? null;
    named.set(bytes, echo);
    made.push({
      ...verdict,
      frame: made.length + 1,
      behaviour: kind,
      rule: ruleOf(kind, verdict, options, isNewEpoch),
      echo,
      answered: answer !== undefined,
      packet,
    });
  };
  const kinds = kindsFor(options);
  // From here on there are numbers left of the window.
  take(() => maker.jumpTo(BigInt(2 * sa.replayWindow + 1)));
  for (const kind of tour(kinds)) take(() => maker.make(kind));
  for (const kind of maker.mixed(kinds, frames - made.length - 1 - EDGE)) take(() => maker.make(kind));
  // Without ESN it is the end of the SA.
  const edge = sa.esn ? (top / U32) * U32 + U32 - BEFORE_EDGE : U32 - 1n - BEFORE_EDGE;
  take(() => (edge > top ? maker.jumpTo(edge) : maker.make('next')));
  for (const kind of maker.mixed(kinds, EDGE)) take(() => maker.make(kind));
  return made;
}

/** Kinds that mean what they say for this SA and this way to the peer. */
function kindsFor({ sa, sendsAsIs = true, choosesSource = true, skip = [] }: Scope): string[] {
  const unknown = skip.find((name) => !Object.hasOwn(KINDS, name));
  if (unknown !== undefined)
    throw new InputError(
      { source: '--skip' },
      `there is no behaviour ${unknown}`,
      'Give a name as the ledger and verdicts.jsonl have it.',
    );
  const has: Readonly<Record<NonNullable<Kind['needs']>, boolean>> = {
    esn: sa.esn,
    tunnel: sa.mode === 'tunnel',
    udp: sa.encap !== undefined,
    frames: sendsAsIs,
    source: choosesSource,
    bare: sa.encap !== undefined && choosesSource,
  };
  const groups = [
    sa.esn ? [...ESN_NUMBERS, 'far jump', 'below zero'] : NUMBERS,
    isAuthenticated(sa.keys.suite) ? ALTERED : [],
    ODD,
  ];
  return groups.flat().filter((name) => {
    const { needs } = KINDS[name]!;
    return (needs === undefined || has[needs]) && !NOT_OF_ESP.includes(name) && !skip.includes(name);
  });
}

/** The peer's IP layer drops these before ESP sees them. */
const NOT_OF_ESP: readonly string[] = ['cut off by the link'];

/** Each kind once, and an authentic packet behind each, which shows that it changed nothing. */
function tour(kinds: readonly string[]): string[] {
  return ['next', ...kinds.flatMap((kind) => [kind, 'next'])];
}

function ruleOf(
  kind: string,
  { verdict, reason }: Verdict,
  { sa, hosts }: ConformOptions,
  isNewEpoch: boolean,
): Rule {
  const { rule } = KINDS[kind]!;
  if (reason !== null) {
    const isV6 = hosts.src.length === ipv6.ADDRESS_LEN;
    return (isV6 ? DROPPED_IPV6[reason] : undefined) ?? DROPPED[reason] ?? TAKEN.window;
  }
  if (rule) return rule;
  if (verdict === 'passed') return PASSED.marker;
  if (sa.replayWindow === 0) return TAKEN.noWindow;
  return isNewEpoch ? TAKEN.epoch : TAKEN.window;
}

/** Echo requests, each with a name of its own. */
class Echoes {
  /** Names of those since this was set. */
  made: EchoName[] = [];
  readonly #hosts: EchoHosts;
  #id: number;
  #seq = 0;

  constructor(hosts: EchoHosts, id: number) {
    this.#hosts = hosts;
    this.#id = id;
  }

  /** @param len of the whole packet; a shorter one than there can be is made longer */
  next(len: number): Uint8Array {
    if (++this.#seq > 0xffff) {
      this.#seq = 0;
      this.#id = (this.#id + 1) & 0xffff;
    }
    this.made.push({ id: this.#id, seq: this.#seq });
    const { src, dst } = this.#hosts;
    const headers = (src.length === ipv4.ADDRESS_LEN ? ipv4.HEADER_LEN : ipv6.HEADER_LEN) + icmp.HEADER_LEN;
    const data = Uint8Array.from({ length: Math.max(LEAST_DATA, len - headers) }, (_, i) => i);
    return icmp.echoPacket({ src, dst, reply: false, id: this.#id, seq: this.#seq, data });
  }
}
