/**
 * Where captures were taken, and how their clocks differ: what a survey shows of several captures, together with what is
 * told.
 *
 * Captures of one place are a ring's files: they are called alike, do not overlap in time and have no packet in common.
 * What two places have in common says how far their clocks are apart. Packets of one direction give the difference with
 * the time on the way in it; both directions together give the one and the other. Which of two places comes first on a
 * way is told by its node; else the TTL shows it, or who sent the frame; else it is assumed where, by both directions,
 * packets pass it earlier.
 * @module
 */
import type { Basis } from '../basis.ts';
import type { FileSpan, Survey, SurveyedWay } from './survey.ts';

/** Seconds between the files of a ring that need no frame. */
const RING_GAP = 1;
/** Differences that a median is made of. */
const MOST_DIFFERENCES = 4096;
/** From the mean absolute deviation to the standard deviation of normal noise. */
const SIGMA = 1.4826;
/** Clocks that are further apart, in seconds, are set against each other before frames are sorted by time. */
const APART = 1;
/** Least margin at the ends of a capture, in seconds. */
const LEAST_MARGIN = 0.01;

/** Captures of one place. */
export interface Place {
  /** Numbers of its captures, by the time of their beginning. */
  readonly files: readonly number[];
  /** The node that it is at, by name or address, and how that is known: `told` by an option or by the file's name. */
  node: { readonly name: string; readonly basis: Basis } | undefined;
  /** When it was listening, in seconds since 1970 by its own clock: apart where files of a ring seem to be missing. */
  readonly listening: readonly { readonly from: number; readonly to: number }[];
}

/** How the clocks of two places differ. */
export interface Clocks {
  readonly one: number;
  readonly other: number;
  /** What the clock of `other` shows more than that of `one`, in seconds. */
  readonly ahead: number;
  /** How far that may be off: the spread of the packets, in seconds. */
  readonly margin: number;
  /** Packets that it was estimated from. */
  readonly packets: number;
  /** Seconds on the way; `undefined` where one direction alone was seen, and `ahead` has it in it. */
  readonly onTheWay: number | undefined;
}

export interface PlaceOptions {
  /** File names, for rings. */
  readonly names: readonly string[];
  /** The node that a file is told to be of. */
  readonly told: readonly (string | undefined)[];
  /** The node that has an address, or behind which a pod is. */
  readonly nodeAt: (address: string) => string | undefined;
}

/** Which of two places comes first on a way. */
export interface Order {
  readonly first: number;
  readonly basis: Basis;
}

interface Median {
  readonly value: number;
  readonly deviation: number;
  readonly count: number;
}

export class Places {
  readonly all: Place[];
  readonly clocks: Clocks[] = [];
  /** The place of each file. */
  readonly placeOf: readonly number[];
  /** Seconds that are added to the times of each place to compare them with those of the first one. */
  readonly shifts: readonly number[];
  /** The node that has an address, or behind which a pod is; `undefined` where none is known. */
  readonly nodeAt: (address: string) => string | undefined;
  readonly #survey: Survey;
  /** Medians of `time at other - time at one`, by places and way. */
  readonly #medians = new Map<string, Map<SurveyedWay, Median>>();
  readonly #wayBack = new Map<string, SurveyedWay>();
  readonly #judges = new Map<SurveyedWay, number>();

  constructor(survey: Survey, options: PlaceOptions) {
    this.#survey = survey;
    this.nodeAt = options.nodeAt;
    const groups = group(survey, options);
    this.placeOf = survey.spans.map((_, file) => groups.findIndex((files) => files.includes(file)));
    this.all = groups.map((files) => {
      const name = files.map((file) => options.told[file]).find((one) => one !== undefined);
      return {
        files,
        node: name === undefined ? undefined : { name, basis: 'told' },
        listening: listeningOf(files.map((file) => survey.spans[file]!)),
      };
    });
    for (const way of survey.ways) this.#wayBack.set(`${way.dst} ${way.src}`, way);
    this.#measure();
    this.shifts = this.#shiftsOf();
    this.#infer();
  }

  /** Seconds to add to the times of each file before they are sorted: 0 but where clocks are far apart. */
  get fileShifts(): number[] {
    return this.placeOf.map((place) => {
      const shift = this.shifts[place] ?? 0;
      return Math.abs(shift) > APART ? shift : 0;
    });
  }

  /** What is known of the clocks of two places. */
  clocksOf(a: number, b: number): Clocks | undefined {
    return this.clocks.find(({ one, other }) => (one === a && other === b) || (one === b && other === a));
  }

  /** Places that saw a way. */
  seenAt(way: SurveyedWay): number[] {
    return [...new Set([...way.seen.keys()].map((file) => this.placeOf[file]!))].sort((a, b) => a - b);
  }

  /** The place whose packets of a way stand for all: the one at the receiver's end, or that of the most frames. */
  judge(way: SurveyedWay): number {
    const known = this.#judges.get(way);
    if (known !== undefined) return known;
    const judge = this.#judge(way);
    this.#judges.set(way, judge);
    return judge;
  }

  #judge(way: SurveyedWay): number {
    const places = this.seenAt(way);
    const receiver = this.nodeAt(way.dst);
    const atReceiver = places.find(
      (place) => receiver !== undefined && this.all[place]!.node?.name === receiver,
    );
    if (atReceiver !== undefined) return atReceiver;
    const frames = (place: number) => this.#sum(way, place, ({ frames }) => frames);
    return places.reduce((best, place) => {
      const order = this.order(way, best, place);
      if (order) return order.first === best ? place : best;
      return frames(place) >= frames(best) ? place : best;
    });
  }

  /** Which of two places a way passes first; `undefined` where that is not known. */
  order(way: SurveyedWay, a: number, b: number): Order | undefined {
    const [from, to] = [this.nodeAt(way.src), this.nodeAt(way.dst)];
    for (const [place, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const { node } = this.all[place]!;
      if (!node || from === to) continue;
      if (node.name === from) return { first: place, basis: node.basis };
      if (node.name === to) return { first: other, basis: node.basis };
    }
    const hops = (place: number) => this.#most(way, place, ({ hops }) => hops);
    if (hops(a) !== hops(b)) return { first: hops(a) > hops(b) ? a : b, basis: 'seen' };
    const sent = (place: number) => this.#sum(way, place, ({ sent }) => sent);
    const received = (place: number) => this.#sum(way, place, ({ received }) => received);
    if (sent(a) > 0 && received(b) > 0) return { first: a, basis: 'seen' };
    if (sent(b) > 0 && received(a) > 0) return { first: b, basis: 'seen' };
    return this.#earlier(way, a, b);
  }

  /** Which place packets pass earlier, by both directions. */
  #earlier(way: SurveyedWay, a: number, b: number): Order | undefined {
    const [one, other] = a < b ? [a, b] : [b, a];
    const medians = this.#medians.get(`${one} ${other}`);
    const back = this.#wayBack.get(`${way.src} ${way.dst}`);
    const [there, andBack] = [medians?.get(way), back && medians?.get(back)];
    if (!there || !andBack) return undefined;
    const difference = there.value - andBack.value;
    const noise =
      SIGMA *
      Math.hypot(there.deviation / Math.sqrt(there.count), andBack.deviation / Math.sqrt(andBack.count));
    if (Math.abs(difference) <= 3 * noise + 1e-6) return undefined;
    return { first: difference > 0 ? one : other, basis: 'assumed' };
  }

  #sum(way: SurveyedWay, place: number, of: (seen: SeenOf) => number): number {
    return this.all[place]!.files.reduce((sum, file) => {
      const seen = way.seen.get(file);
      return sum + (seen ? of(seen) : 0);
    }, 0);
  }

  #most(way: SurveyedWay, place: number, of: (seen: SeenOf) => number): number {
    return this.all[place]!.files.reduce((most, file) => {
      const seen = way.seen.get(file);
      return Math.max(most, seen ? of(seen) : 0);
    }, 0);
  }

  /** How far apart the clocks are, by the packets that two places have in common. */
  #measure(): void {
    const differences = new Map<string, Map<SurveyedWay, number[]>>();
    for (const { way, sightings } of this.#survey.samples.values()) {
      for (const [i, one] of sightings.entries()) {
        for (const other of sightings.slice(i + 1)) {
          const [p, q] = [this.placeOf[one.file]!, this.placeOf[other.file]!];
          if (p === q) continue;
          const key = p < q ? `${p} ${q}` : `${q} ${p}`;
          const byWay = differences.get(key) ?? new Map<SurveyedWay, number[]>();
          differences.set(key, byWay);
          const list = byWay.get(way) ?? [];
          byWay.set(way, list);
          if (list.length < MOST_DIFFERENCES) list.push((other.seconds - one.seconds) * (p < q ? 1 : -1));
        }
      }
    }
    for (const [key, byWay] of differences) {
      const [one, other] = key.split(' ').map(Number) as [number, number];
      const medians = new Map([...byWay].map(([way, list]) => [way, medianOf(list)]));
      this.#medians.set(key, medians);
      this.clocks.push({ one, other, ...this.#clocks(medians) });
    }
  }

  #clocks(medians: ReadonlyMap<SurveyedWay, Median>): Omit<Clocks, 'one' | 'other'> {
    let best: { there: Median; back: Median | undefined; count: number } | undefined;
    for (const [way, there] of medians) {
      const back = medians.get(this.#wayBack.get(`${way.src} ${way.dst}`)!);
      const count = there.count + (back?.count ?? 0);
      // Both directions say more, however few they are.
      const isBetter =
        !best || Number(!!back) > Number(!!best.back) || (!!back === !!best.back && count > best.count);
      if (isBetter) best = { there, back, count };
    }
    const { there, back, count } = best!;
    if (!back)
      return { ahead: there.value, margin: SIGMA * there.deviation, packets: count, onTheWay: undefined };
    return {
      ahead: (there.value + back.value) / 2,
      margin: SIGMA * Math.max(there.deviation, back.deviation),
      packets: count,
      onTheWay: Math.abs(there.value - back.value) / 2,
    };
  }

  #shiftsOf(): number[] {
    const shifts: (number | undefined)[] = this.all.map(() => undefined);
    for (let start = 0; start < shifts.length; start++) {
      if (shifts[start] !== undefined) continue;
      shifts[start] = 0;
      const next = [start];
      for (let place = next.pop(); place !== undefined; place = next.pop()) {
        for (const { one, other, ahead } of this.clocks) {
          if (one !== place && other !== place) continue;
          const to: number = one === place ? other : one;
          if (shifts[to] !== undefined) continue;
          shifts[to] = shifts[place]! + (one === place ? -ahead : ahead);
          next.push(to);
        }
      }
    }
    return shifts as number[];
  }

  /** Finds out which nodes places are at, where it is not told, by the ends of what passes them first or last. */
  #infer(): void {
    const votes = this.all.map(() => new Map<string, number>());
    const vote = (place: number, address: string, n: number) => {
      const name = this.nodeAt(address) ?? address;
      votes[place]!.set(name, (votes[place]!.get(name) ?? 0) + n);
    };
    for (const way of this.#survey.ways) {
      if ([...way.seen.values()].every(({ esp }) => esp === 0)) continue;
      const places = this.seenAt(way);
      for (const place of places) {
        const [sent, received] = [
          this.#sum(way, place, ({ sent }) => sent),
          this.#sum(way, place, ({ received }) => received),
        ];
        if (sent > 0 && received === 0) vote(place, way.src, sent);
        if (received > 0 && sent === 0) vote(place, way.dst, received);
      }
      if (places.length !== 2) continue;
      const [a, b] = places as [number, number];
      const order = this.order(way, a, b);
      if (!order) continue;
      vote(order.first, way.src, 1);
      vote(order.first === a ? b : a, way.dst, 1);
    }
    for (const [i, place] of this.all.entries()) {
      if (place.node) continue;
      const names = [...votes[i]!].sort(([, a], [, b]) => b - a);
      // A router between nodes stands at the end of some ways and at the beginning of others.
      if (names.length === 1 || (names.length > 1 && names[0]![1] > 9 * names[1]![1]))
        place.node = { name: names[0]![0], basis: 'assumed' };
    }
  }
}

type SeenOf = SurveyedWay['seen'] extends Map<number, infer T> ? T : never;

function medianOf(list: readonly number[]): Median {
  const value = middle(list);
  return { value, deviation: middle(list.map((one) => Math.abs(one - value))), count: list.length };
}

function middle(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Which captures are of one place. */
function group(survey: Survey, { names, told }: PlaceOptions): number[][] {
  const { spans } = survey;
  const inCommon = new Set<string>();
  for (const { sightings } of survey.samples.values())
    for (const [i, { file }] of sightings.entries())
      for (const { file: other } of sightings.slice(i + 1))
        inCommon.add(`${Math.min(file, other)} ${Math.max(file, other)}`);
  const byName = new Map<string, number[]>();
  for (const [file, name] of names.entries()) {
    const key =
      told[file] === undefined
        ? `- ${name.replace(/\d+/g, '#')} ${spans[file]!.linkType}`
        : `= ${told[file]}`;
    byName.set(key, [...(byName.get(key) ?? []), file]);
  }
  const begin = (file: number) =>
    Number.isNaN(spans[file]!.first) ? Number.NEGATIVE_INFINITY : spans[file]!.first;
  const groups: number[][] = [];
  for (const [key, files] of byName) {
    files.sort((a, b) => begin(a) - begin(b) || a - b);
    if (key.startsWith('=') || isRing(files, spans, inCommon)) groups.push(files);
    else groups.push(...files.map((file) => [file]));
  }
  return groups.sort((a, b) => Math.min(...a) - Math.min(...b));
}

function isRing(
  files: readonly number[],
  spans: readonly FileSpan[],
  inCommon: ReadonlySet<string>,
): boolean {
  return files.every((file, i) => {
    if (i === 0) return true;
    const before = files[i - 1]!;
    const isApart = !(spans[before]!.last > spans[file]!.first + 1e-3);
    return (
      isApart &&
      !files.slice(0, i).some((one) => inCommon.has(`${Math.min(one, file)} ${Math.max(one, file)}`))
    );
  });
}

function listeningOf(spans: readonly FileSpan[]): { from: number; to: number }[] {
  const listening: { from: number; to: number }[] = [];
  for (const { first, last } of spans) {
    if (Number.isNaN(first)) continue;
    const before = listening.at(-1);
    if (before && first - before.to <= RING_GAP) before.to = Math.max(before.to, last);
    else listening.push({ from: first, to: last });
  }
  return listening;
}

/** Seconds at the beginning and the end of a capture in which what is missing proves nothing. */
export function marginOf(clocks: Clocks | undefined): number {
  if (!clocks) return LEAST_MARGIN;
  return Math.max(LEAST_MARGIN, 3 * clocks.margin + 2 * (clocks.onTheWay ?? 0));
}
