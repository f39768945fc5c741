import { describe, expect, it } from 'vitest';
import { rowIdentity } from '../../src/ipsec/row-identity.ts';
import { MAX_IDLE, RESERVE, type RowMemory, RowStore, recoverRows } from '../../src/ipsec/row-store.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import {
  allowedOf,
  type Halves,
  OUT,
  ROW_UNIT,
  reserveOf,
  rowLength,
  rowWords,
  sentOf,
  setOut,
  setUsedAt,
  startAt,
  topOf,
  usedAt,
  windowOf,
} from '../../src/ipsec/sa-row.ts';
import { saConfig } from '../support/sa.ts';

const MOST = 2 ** 24;
/** s since 1970, for which nothing matters but the difference. */
const NOW = 1_700_000_000;

/** Words of a file, in so many pieces as were asked for. */
class Memory implements RowMemory {
  words = new Int32Array(0);
  readonly asked: number[] = [];
  readonly most: number;

  constructor(most = 2 ** 20) {
    this.most = most;
    // Pieces are views of one file, as they are of a mapped one.
    this.words = new Int32Array(most);
  }

  grow(words: number) {
    const at = this.asked.reduce((sum, n) => sum + n, 0);
    if (at + words > this.most) throw new Error('the disk is full');
    this.asked.push(words);
    return { at, words: this.words.subarray(at, at + words) };
  }

  row(at: number | undefined): Int32Array {
    const words = this.words.subarray(at!);
    return words.subarray(0, rowLength(words));
  }
}

function store(most?: number, kept?: readonly Int32Array[]) {
  const memory = new Memory(most);
  return { memory, rows: new RowStore(memory, kept) };
}

/** Prepares, commits and settles: what a node does for a plan. */
function take(rows: RowStore, configs: readonly SaConfig[], seconds = NOW): readonly (number | undefined)[] {
  const prepared = rows.prepare(configs, seconds);
  prepared.commit?.();
  rows.settle(configs, seconds);
  return configs.map((config) => prepared.rows.get(config));
}

const sas = (n: number, from = 1000) => Array.from({ length: n }, (_, i) => saConfig({ spi: from + i }));
const number = (lo: number, hi = 0): Halves => ({ hi, lo: lo | 0 });

describe('rows of a plan', () => {
  it('gives each SA a row of its own, as long as its window needs', () => {
    const { memory, rows } = store();
    const configs = [
      saConfig(),
      saConfig({ spi: 4, replayWindow: 0 }),
      saConfig({ spi: 5, replayWindow: 4096 }),
    ];
    const places = take(rows, configs);
    expect(places).toEqual([0, rowWords(1024), rowWords(1024) + rowWords(0)]);
    expect(places.map((place) => [memory.row(place).length, windowOf(memory.row(place))])).toEqual(
      configs.map((config) => [rowWords(config.replayWindow), config.replayWindow]),
    );
    expect(rows.count).toEqual({ inUse: 3, idle: 0 });
    expect(memory.asked).toHaveLength(1);
  });

  it('asks for a segment at a time, and for the next where a row does not fit into the rest', () => {
    const { memory, rows } = store();
    take(rows, sas(1));
    expect(memory.asked).toEqual([2 ** 17]);
    take(rows, [saConfig({ replayWindow: 2 ** 20 }), ...sas(1700)]);
    expect(memory.asked).toEqual([2 ** 17, 2 ** 17]);
  });

  it('lets an SA send only once the reserve is on the disk', () => {
    const { memory, rows } = store();
    const config = saConfig();
    const { rows: places, commit, problem } = rows.prepare([config], NOW);
    const row = memory.row(places.get(config));
    expect(problem).toBeUndefined();
    expect(allowedOf(row)).toEqual(number(0));
    expect(reserveOf(row)).toEqual(number(RESERVE));
    expect(usedAt(row)).toBe(NOW);
    commit!();
    expect(allowedOf(row)).toEqual(number(RESERVE));
  });

  it('has nothing to write for SAs that have their rows', () => {
    const { rows } = store();
    const config = saConfig();
    const [place] = take(rows, [config]);
    const again = rows.prepare([config], NOW + 1);
    expect(again.commit).toBeUndefined();
    expect(again.rows.get(config)).toBe(place);
    expect(rows.prepare([], NOW).commit).toBeUndefined();
  });

  it('tells SAs apart that differ in nothing but their marks', () => {
    const { memory, rows } = store();
    const twins = [saConfig({ reqid: 1 }), saConfig({ reqid: 2 })];
    const [first, second] = take(rows, twins);
    expect(first).not.toBe(second);
    const identity = (at: number | undefined) => new Uint8Array(memory.row(at).slice(3, 8).buffer);
    expect(identity(first)).toEqual(rowIdentity(twins[0]!));
    expect(identity(second)).toEqual(rowIdentity(twins[1]!, 1));
    expect(take(rows, twins)).toEqual([first, second]);
  });

  it('says that there is no room, and serves the others', () => {
    const { rows } = store(2 ** 17);
    const long = saConfig({ spi: 4, replayWindow: 2 ** 20 });
    take(rows, sas(1300));
    const configs = [...sas(1300), long, ...sas(3, 9000)];
    const prepared = rows.prepare(configs, NOW);
    expect(prepared.problem).toBe('the disk is full');
    expect(configs.filter((config) => !prepared.rows.has(config))).toEqual([long]);
  });

  it('begins at the counters that the text of an SA tells, where they are higher', () => {
    const { memory, rows } = store();
    const told = saConfig({
      sequence: { oseq: 70, oseqHi: 0, seq: 90, seqHi: 0 } as NonNullable<SaConfig['sequence']>,
    });
    const [place] = take(rows, [told]);
    const row = memory.row(place);
    expect([sentOf(row), topOf(row), allowedOf(row)]).toEqual([number(70), number(90), number(RESERVE + 70)]);
    setOut(row, number(200));
    startAt(row, number(300));
    take(rows, []);
    take(rows, [told]);
    expect([sentOf(row), topOf(row)]).toEqual([number(200), number(300)]);
    take(rows, []);
    take(rows, [
      saConfig({ sequence: { oseq: 250, oseqHi: 0, seq: 0, seqHi: 0 } as NonNullable<SaConfig['sequence']> }),
    ]);
    expect([sentOf(row), topOf(row)]).toEqual([number(250), number(300)]);
  });
});

describe('SAs that go', () => {
  it('keeps the rows of SAs that are gone, with their numbers', () => {
    const { memory, rows } = store();
    const [a, b] = [saConfig(), saConfig({ spi: 4 })];
    const [, place] = take(rows, [a, b]);
    const row = memory.row(place);
    setOut(row, number(77));
    startAt(row, number(55));
    take(rows, [a], NOW + 10);
    expect(rows.count).toEqual({ inUse: 1, idle: 1 });
    expect(usedAt(row)).toBe(NOW + 10);
    // What is idle does not go on.
    take(rows, [a], NOW + 20);
    expect(usedAt(row)).toBe(NOW + 10);

    expect(take(rows, [a, b], NOW + 30)[1]).toBe(place);
    expect([sentOf(row), topOf(row), allowedOf(row)]).toEqual([number(77), number(55), number(RESERVE + 77)]);
    expect(usedAt(row)).toBe(NOW + 30);
    expect(rows.count).toEqual({ inUse: 2, idle: 0 });
  });

  it('does not take a row away before the plan is settled', () => {
    const { rows } = store();
    const [a, b] = [saConfig(), saConfig({ spi: 4 })];
    take(rows, [a]);
    rows.prepare([b], NOW);
    expect(rows.count).toEqual({ inUse: 2, idle: 0 });
    rows.settle([b], NOW);
    expect(rows.count).toEqual({ inUse: 1, idle: 1 });
  });

  it('forgets the SA that went first, and gives its place away', () => {
    const { memory, rows } = store();
    const small = (spi: number) => saConfig({ spi, replayWindow: 0 });
    const many = Array.from({ length: MAX_IDLE - 1 }, (_, i) => small(1000 + i));
    const [first, second] = [small(1), small(2)];
    const [place, other] = take(rows, [first, second, ...many], NOW);
    take(rows, [first, ...many], NOW + 1);
    take(rows, many, NOW + 2);
    take(rows, [], NOW + 3);
    expect(rows.count).toEqual({ inUse: 0, idle: MAX_IDLE });
    const words = (at: number | undefined) => memory.words.subarray(at!, at! + rowWords(0));
    expect(words(other).every((word) => word === 0)).toBe(true);
    expect(words(place)).toEqual(memory.row(place));
    const [third, fourth] = take(rows, [small(3), small(4)], NOW + 4);
    expect(third).toBe(other);
    expect(memory.row(fourth).length).toBe(rowWords(0));
  });
});

describe('numbers reserved ahead', () => {
  function sender() {
    const { memory, rows } = store();
    const config = saConfig();
    const row = memory.row(take(rows, [config])[0]);
    /** Sends up to a number. */
    const send = (to: Halves) => {
      const allowed = allowedOf(row);
      setOut(row, to);
      row[16 + OUT.ALLOWED_HI] = allowed.hi;
      row[16 + OUT.ALLOWED_LO] = allowed.lo;
    };
    return { rows, row, send, config };
  }

  it('are renewed when half of them are used', () => {
    const { rows, row, send } = sender();
    send(number(RESERVE / 2));
    expect(rows.renew(NOW + 100)).toBeUndefined();
    send(number(RESERVE / 2 + 1));
    const commit = rows.renew(NOW + 100);
    expect(reserveOf(row)).toEqual(number(RESERVE / 2 + 1 + RESERVE));
    expect(allowedOf(row)).toEqual(number(RESERVE));
    commit!();
    expect(allowedOf(row)).toEqual(number(RESERVE / 2 + 1 + RESERVE));
    expect(rows.renew(NOW + 100)).toBeUndefined();
  });

  it('are more for an SA that uses them up within five seconds, up to a bound', () => {
    const { rows, row, send } = sender();
    const ahead: number[] = [];
    for (let i = 0; i < 7; i++) {
      const allowed = allowedOf(row);
      send(allowed);
      rows.renew(NOW + i)!();
      ahead.push(allowedOf(row).lo - allowed.lo);
    }
    expect(ahead).toEqual([2, 4, 8, 16, 16, 16, 16].map((times) => times * RESERVE));
    expect(Math.max(...ahead)).toBe(MOST);
    send(allowedOf(row));
    const before = allowedOf(row).lo;
    rows.renew(NOW + 6 + 5)!();
    expect(allowedOf(row).lo - before).toBe(RESERVE);
  });

  it('are not renewed while the number passes 2^32, and later are', () => {
    const { rows, row, send } = sender();
    send(number(RESERVE));
    row[16 + OUT.NEXT_HI] = 1;
    expect(rows.renew(NOW)).toBeUndefined();
    row[16 + OUT.NEXT_HI] = 0;
    expect(rows.renew(NOW)).toBeDefined();
  });

  it('go beyond 2^32 with ESN, and end there without', () => {
    const near = { oseq: 2 ** 32 - 10, oseqHi: 0, seq: 0, seqHi: 0 } as NonNullable<SaConfig['sequence']>;
    const { memory, rows } = store();
    const [long, short] = take(rows, [
      saConfig({ sequence: near }),
      saConfig({ sequence: near, esn: false }),
    ]);
    expect(allowedOf(memory.row(long))).toEqual(number(RESERVE - 10, 1));
    expect(allowedOf(memory.row(short))).toEqual(number(-1));
    // All that there are: nothing is written again and again.
    expect(rows.renew(NOW)).toBeUndefined();
  });
});

describe('a window of another size', () => {
  const narrow = saConfig({ replayWindow: 128 });
  const wide = saConfig({ replayWindow: 4096 });

  it('goes on behind all that the live SA may still send', () => {
    const { memory, rows } = store();
    const [old] = take(rows, [narrow]);
    setOut(memory.row(old), number(500));
    memory.row(old)[16 + OUT.ALLOWED_LO] = RESERVE;
    startAt(memory.row(old), number(600));
    const prepared = rows.prepare([wide], NOW);
    const place = prepared.rows.get(wide);
    const row = memory.row(place);
    expect(place).not.toBe(old);
    expect([sentOf(row), topOf(row)]).toEqual([number(RESERVE), number(600)]);
    // The live SA has its words until the plan is settled.
    expect(memory.row(old).length).toBe(rowWords(128));
    prepared.commit!();
    rows.settle([wide], NOW);
    expect(memory.row(old).length).toBe(0);
    expect(rows.count).toEqual({ inUse: 1, idle: 0 });
    expect(take(rows, [wide, saConfig({ spi: 9, replayWindow: 128 })])).toEqual([place, old]);
  });

  it('goes on behind what was sent where the SA was gone', () => {
    const { memory, rows } = store();
    const [old] = take(rows, [narrow]);
    setOut(memory.row(old), number(500));
    take(rows, []);
    // Its words are free at once: no SA has them.
    const place = rows.prepare([wide], NOW).rows.get(wide);
    expect([sentOf(memory.row(place)), memory.row(old).length]).toEqual([number(500), 0]);
  });

  it('goes on behind what it may send where the number sent is damaged', () => {
    const { memory, rows } = store();
    const [old] = take(rows, [narrow]);
    take(rows, []);
    memory.row(old)[16 + OUT.CHECK] = 5;
    const [place] = take(rows, [wide]);
    expect(sentOf(memory.row(place))).toEqual(number(RESERVE));
  });
});

describe('the file of another process', () => {
  it('is taken row by row: place and number go on', () => {
    const { memory, rows } = store();
    const configs = [saConfig(), saConfig({ spi: 4, replayWindow: 4096 }), saConfig({ spi: 5 })];
    const places = take(rows, configs);
    for (const [i, place] of places.entries()) setOut(memory.row(place), number(100 + i));
    const left = recoverRows(memory.words, true);
    expect(left.damaged).toBe(0);
    expect(left.rows.map((words) => words.length)).toEqual(configs.map((c) => rowWords(c.replayWindow)));
    // Copies: the file that they are from may go.
    memory.words.fill(0);

    const next = store(undefined, left.rows);
    expect(next.rows.count).toEqual({ inUse: 0, idle: 3 });
    const again = take(next.rows, configs);
    expect(again.map((place) => sentOf(next.memory.row(place)))).toEqual(
      [100, 101, 102].map((n) => number(n)),
    );
    expect(rowLength(next.memory.words, again[1]!)).toBe(rowWords(8160));
  });

  it('says how many rows are damaged, and takes the others', () => {
    const { memory, rows } = store();
    const [, a, c] = take(rows, [saConfig(), saConfig({ spi: 4 }), saConfig({ spi: 5 })]);
    // A row that is none, with something in each of its units; and one whose numbers say nothing.
    memory.words[a! + 1]! ^= 1;
    const damaged = recoverRows(memory.words, true);
    const units = Array.from({ length: rowWords(1024) / ROW_UNIT }, (_, i) =>
      memory.words.subarray(a! + i * ROW_UNIT, a! + (i + 1) * ROW_UNIT).some((word) => word !== 0),
    );
    expect([damaged.rows.length, damaged.damaged]).toEqual([2, units.filter(Boolean).length]);
    memory.words[a! + 1]! ^= 1;
    const row = memory.row(c);
    row[16 + OUT.CHECK] = 5;
    row[9]! ^= 1;
    row[12]! ^= 1;
    expect(recoverRows(memory.words, true)).toMatchObject({ rows: { length: 2 }, damaged: 1 });
  });

  it('goes on behind the reserve where words may be older than what was sent', () => {
    const { memory, rows } = store();
    take(rows, [saConfig()]);
    const [row] = recoverRows(memory.words, false).rows;
    expect(sentOf(row!)).toEqual(number(RESERVE));
  });

  it('keeps the rows that were in use last, and of two of one SA the later', () => {
    const { memory, rows } = store(2 ** 19);
    const small = (spi: number) => saConfig({ spi, replayWindow: 0 });
    const configs = Array.from({ length: MAX_IDLE }, (_, i) => small(1000 + i));
    take(rows, configs);
    const left = recoverRows(memory.words, true).rows;
    const old = left[7]!.slice();
    setUsedAt(old, NOW - 5);
    setOut(old, number(9));
    const more = take(rows, [small(1)]).map((at) => memory.row(at).slice());
    setUsedAt(more[0]!, NOW - 5);
    const next = store(2 ** 19, [...more, ...left]);
    expect(next.rows.count.idle).toBe(MAX_IDLE);
    const twice = store(2 ** 19, [old, left[7]!]);
    expect(twice.rows.count.idle).toBe(1);
    expect(sentOf(twice.memory.row(take(twice.rows, [configs[7]!])[0]))).toEqual(number(0));
  });

  it('needs room for what it keeps', () => {
    const { memory, rows } = store();
    take(rows, [saConfig()]);
    const left = recoverRows(memory.words, true).rows;
    expect(() => store(100, left)).toThrow('the disk is full');
  });
});
