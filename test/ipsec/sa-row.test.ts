/**
 * Rows: what a process leaves that is killed between any two words, and what damage does to them.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { ReplayWindow, startWindow } from '../../src/ipsec/replay.ts';
import { rowIdentity } from '../../src/ipsec/row-identity.ts';
import {
  allow,
  allowedOf,
  compare,
  distance,
  type Halves,
  identityText,
  later,
  makeRow,
  NUMBERS_AT,
  RING,
  recoverRow,
  reserveOf,
  ringWords,
  rowIn,
  rowLength,
  rowWords,
  sentNow,
  sentOf,
  setOut,
  setReserve,
  setUsedAt,
  startAt,
  sumOf,
  topOf,
  usedAt,
} from '../../src/ipsec/sa-row.ts';
import { SaPlace } from '../../src/ipsec/sa-words.ts';
import { OutboundSequence } from '../../src/ipsec/sequence.ts';
import { PASS } from '../../src/wire/packet.ts';
import { saConfig } from '../support/sa.ts';

function newRow(window: number): Int32Array {
  const words = new Int32Array(rowWords(window));
  makeRow(words, rowIdentity(saConfig()), window);
  return words;
}

/** A row's words that tell of every write to them, before it is done. */
function watched(words: Int32Array, told: () => void): Int32Array {
  return new Proxy(words, {
    get: (target, key) => Reflect.get(target, key, target),
    set: (target, key, value) => {
      told();
      return Reflect.set(target, key, value, target);
    },
  });
}

/** The window of a row. */
function windowIn(words: Int32Array, size: number, esn: boolean): ReplayWindow {
  const place = new SaPlace(size, rowIn(words));
  startWindow(place, size);
  return new ReplayWindow(size, esn, place);
}

describe('a window that was killed', () => {
  it.each([
    { esn: true, size: 32, from: { hi: 0, lo: 0 } },
    { esn: true, size: 64, from: { hi: 6, lo: 0xffff_ff80 } },
    { esn: true, size: 128, from: { hi: 0x8000_0000, lo: 0x7fff_ffc0 } },
    { esn: false, size: 33, from: { hi: 0, lo: 0 } },
    { esn: false, size: 64, from: { hi: 0, lo: 0x7fff_ff80 } },
  ])('between any two words takes nothing twice: window $size, ESN $esn', ({ esn, size, from }) => {
    const next = xorshift32(size);
    const random = () => next() / 2 ** 32;
    const words = newRow(size);
    startAt(words, from);
    const accepted = new Map<string, Halves>();
    let kills = 0;
    /** The number at hand: it was not delivered yet. */
    let current: Halves = from;
    let top = from;
    const look = () => {
      kills++;
      const copy = words.slice();
      expect(recoverRow(copy, true)).toBe(true);
      const window = windowIn(copy, size, esn);
      for (const number of accepted.values()) {
        const guess = window.inferHigh(number.lo | 0);
        if (guess >>> 0 === number.hi >>> 0 && window.check(guess, number.lo | 0) === PASS)
          throw new Error(`${number.hi}/${number.lo} again, killed at ${current.hi}/${current.lo}`);
      }
      // No farther than the packet at hand: a top too high would shut out what comes next.
      const left = { hi: window.topHi, lo: window.topLo };
      expect(compare(left, compare(current, top) > 0 ? current : top)).toBeLessThanOrEqual(0);
    };
    const window = windowIn(watched(words, look), size, esn);
    for (let k = 0; k < 150; k++) {
      const jump = Math.floor(random() * 8);
      const step =
        jump < 4 ? 1 : jump === 4 ? Math.floor(random() * 300) : -Math.floor(random() * (size - 1));
      const number = step > 0 ? later(top, step, esn) : back(top, -step);
      if (!number || window.inferHigh(number.lo | 0) !== number.hi >>> 0) continue;
      if (window.check(number.hi >>> 0, number.lo | 0) !== PASS) continue;
      current = number;
      window.commit(number.hi >>> 0, number.lo | 0);
      accepted.set(`${number.hi >>> 0}/${number.lo >>> 0}`, number);
      if (compare(number, top) > 0) top = number;
      look();
    }
    expect(accepted.size).toBeGreaterThan(70);
    expect(kills).toBeGreaterThan(300);
  });

  function back({ hi, lo }: Halves, by: number): Halves | undefined {
    const low = (lo >>> 0) - by;
    if (low >= 0) return { hi, lo: low };
    return hi >>> 0 > 0 ? { hi: (hi >>> 0) - 1, lo: low + 2 ** 32 } : undefined;
  }
});

describe('a sender that was killed', () => {
  // hi, low half, its copy, the high half's copy: as `advance` leaves them one after the other.
  it.each([
    ['before a number', [0, 7, ~7, 0], { hi: 0, lo: 7 }],
    ['in the middle of one', [0, 8, ~7, 0], { hi: 0, lo: 8 }],
    ['in the middle of one at 2^31', [3, -0x8000_0000, ~0x7fff_ffff, 3], { hi: 3, lo: -0x8000_0000 }],
    ['at the end of 2^32', [0, -1, 0, 0], { hi: 0, lo: -1 }],
    ['with the next high half noted, where the reserve is sure', [0, -1, 0, 1], undefined],
    ['with the low half at 0', [0, 0, 0, 1], { hi: 1, lo: 0 }],
    ['with the low half checked', [0, 0, -1, 1], { hi: 1, lo: 0 }],
    ['after the wrap', [1, 0, -1, 1], { hi: 1, lo: 0 }],
  ])('%s: its last number is known, or nothing is said', (_, out, last) => {
    const words = newRow(0);
    words.set(out, NUMBERS_AT);
    expect(sentOf(words)).toEqual(last);
  });

  it('leaves such words', () => {
    const words = newRow(0);
    setOut(words, { hi: 0, lo: -3 });
    allow(words, { hi: 1, lo: 5 });
    const sequence = new OutboundSequence(true, 0, 0, rowIn(words));
    const numbers: string[] = [];
    while (sequence.advance()) {
      numbers.push(`${sequence.hi}/${sequence.lo}`);
      expect(sentOf(words)).toEqual({ hi: sequence.signedHi, lo: sequence.signedLo });
    }
    expect(numbers).toEqual(['0/4294967294', '0/4294967295', '1/0', '1/1', '1/2', '1/3', '1/4', '1/5']);
    expect(sequence.isExhausted).toBe(false);
    allow(words, { hi: 1, lo: 6 });
    expect(sequence.advance()).toBe(true);
    expect(sequence.advance()).toBe(false);
  });

  it('never passes what is allowed, where two SAs share a row', () => {
    const words = newRow(0);
    setOut(words, { hi: 0, lo: -3 });
    allow(words, { hi: 0, lo: -2 });
    const [a, b] = [0, 1].map(() => new OutboundSequence(true, 0, 0, rowIn(words))) as [
      OutboundSequence,
      OutboundSequence,
    ];
    expect([a.advance(), b.advance(), a.advance()]).toEqual([true, false, false]);
    allow(words, { hi: 1, lo: 1 });
    expect([b.advance(), a.advance(), b.advance(), a.advance(), b.advance()]).toEqual([
      ...[true, true, true, false, false],
    ]);
    expect(sentOf(words)).toEqual({ hi: 1, lo: 1 });
  });

  it.each([
    { esn: false, start: { hi: 0, lo: -3 } },
    { esn: true, start: { hi: -1, lo: -3 } },
  ])('has no number after the last, ESN $esn', ({ esn, start }) => {
    const words = newRow(0);
    setOut(words, start);
    allow(words, later(start, 2 ** 20, esn));
    const sequence = new OutboundSequence(esn, 0, 0, rowIn(words));
    expect([sequence.advance(), sequence.advance(), sequence.advance()]).toEqual([true, true, false]);
    expect(sequence.isExhausted).toBe(true);
  });
});

describe('a reserve', () => {
  it('has two copies, of which one is whole at any time', () => {
    const words = newRow(0);
    for (let k = 1; k < 50; k++) {
      const before = words.slice();
      setReserve(words, { hi: k, lo: -k });
      for (let word = 9; word <= 14; word++) {
        const torn = words.slice();
        torn.set(before.subarray(word, 15), word);
        expect([k - 1, k]).toContain(reserveOf(torn)!.hi);
      }
      expect(reserveOf(words)).toEqual({ hi: k, lo: -k });
    }
  });

  it('has the greater copy left when the smaller one is written, of one 2^32 too', () => {
    const words = newRow(0);
    for (let lo = 1; lo < 10; lo++) {
      setReserve(words, { hi: 1, lo });
      expect([words[10], words[13]].sort()).toEqual(lo === 1 ? [0, 1] : [lo - 1, lo]);
    }
  });

  it('is where an SA goes on after a power failure, with everything below the top seen', () => {
    const words = newRow(64);
    setReserve(words, { hi: 0, lo: 2 ** 20 });
    setOut(words, { hi: 0, lo: 17 });
    startAt(words, { hi: 0, lo: 100 });
    words.fill(0, NUMBERS_AT + RING);
    expect(recoverRow(words, false)).toBe(true);
    expect(sentOf(words)).toEqual({ hi: 0, lo: 2 ** 20 });
    const window = windowIn(words, 64, true);
    for (let n = 1; n <= 100; n++) {
      const hi = window.inferHigh(n);
      expect(hi !== 0 || window.check(hi, n) !== PASS).toBe(true);
    }
    expect(window.check(window.inferHigh(101), 101)).toBe(PASS);
    expect(window.lost).toBe(0);
  });
});

describe('a row as another process finds it', () => {
  /** Breaks the check of the last number sent: it is not known any more. */
  const loseSent = (words: Int32Array) => {
    words[18]! ^= 0x100;
  };
  const loseReserves = (words: Int32Array) => {
    for (const sum of [11, 14]) words[sum]! ^= 1;
  };

  it.each([
    ['both, exact: what was sent', true, () => {}, { hi: 1, lo: 7 }],
    ['both, older: the reserve, which is greater', false, () => {}, { hi: 1, lo: 50 }],
    ['only a reserve, exact', true, loseSent, { hi: 1, lo: 50 }],
    ['only a reserve, older', false, loseSent, { hi: 1, lo: 50 }],
    ['only what was sent, exact', true, loseReserves, { hi: 1, lo: 7 }],
  ] as const)('goes on behind the greatest number it is sure of: %s', (_, isExact, damage, want) => {
    const words = newRow(32);
    setOut(words, { hi: 1, lo: 7 });
    setReserve(words, { hi: 1, lo: 50 });
    damage(words);
    expect(recoverRow(words, isExact)).toBe(true);
    expect([sentOf(words), allowedOf(words)]).toEqual([want, want]);
  });

  it('goes on behind what was sent where that is beyond the reserve', () => {
    const words = newRow(32);
    setOut(words, { hi: 1, lo: 70 });
    setReserve(words, { hi: 1, lo: 50 });
    expect(recoverRow(words, false)).toBe(true);
    expect(sentOf(words)).toEqual({ hi: 1, lo: 70 });
  });

  it('cannot be used when nothing says what was sent', () => {
    for (const isExact of [false, true]) {
      const words = newRow(32);
      loseReserves(words);
      if (isExact) loseSent(words);
      expect(recoverRow(words, isExact)).toBe(false);
    }
  });

  it('says what was sent of two high halves only at a wrap', () => {
    const words = newRow(0);
    setOut(words, { hi: 4, lo: 0 });
    words[19] = 5;
    expect(sentOf(words)).toEqual({ hi: 5, lo: 0 });
    expect(sentNow(words)).toBeUndefined();
    words[19] = 6;
    expect(sentOf(words)).toBeUndefined();
  });

  // Words 32 to 35: numbers 0 to 127. Word 26 is the check of the top's low half.
  it.each([
    ['nothing', { hi: 0, lo: 0 }, [0, 0, 0, 0], [0, 0, 0, 0]],
    ['the first of a later 2^32', { hi: 1, lo: 0 }, [-1, 4, 2, 1], [1, 4, 2, 1]],
    ['one of the first 2^32', { hi: 0, lo: 37 }, [5, -1 ^ 32, 2, 1], [5, 0x1f | 32, 2, 1]],
    ['the last of a word', { hi: 0, lo: 63 }, [5, 1, 2, 1], [5, 1 | (1 << 31), 2, 1]],
    ['one of the last word', { hi: 0, lo: 97 }, [5, 4, 2, -1 ^ 2], [5, 4, 2, 3]],
  ] as const)('keeps its window, the top seen and nothing above it: %s', (_, top, ring, want) => {
    for (const behind of [0, 1]) {
      const words = newRow(64);
      startAt(words, top);
      words.set(ring, 32);
      // Killed before the check was written.
      if (top.lo > 0) words[26] = ~(top.lo - behind);
      expect(recoverRow(words, true)).toBe(true);
      expect([...words.subarray(32, 36)]).toEqual(want);
      expect([topOf(words), words[26]]).toEqual([top, ~top.lo]);
    }
  });

  it('counts all below its top as seen after a power failure, and all of it where it began', () => {
    for (const [top, want] of [
      [{ hi: 0, lo: 0 }, [0, 0, 0, 0]],
      [{ hi: 1, lo: 0 }, [1, -1, -1, -1]],
      [{ hi: 0, lo: 37 }, [-1, 0x3f, -1, -1]],
      [{ hi: 0, lo: 63 }, [-1, -1, -1, -1]],
    ] as const) {
      const words = newRow(64);
      words.fill(0x55, 32, 36);
      startAt(words, top);
      expect([...words.subarray(32, 36)]).toEqual(want);
      words.fill(0x55, 32, 36);
      expect(recoverRow(words, false)).toBe(true);
      expect([topOf(words), [...words.subarray(32, 36)]]).toEqual([top, want]);
    }
  });

  it('takes the greater of two tops that differ', () => {
    for (const [check, want] of [
      [90, 90],
      [12, 40],
    ] as const) {
      const words = newRow(64);
      startAt(words, { hi: 3, lo: 40 });
      words[26] = ~check;
      expect(recoverRow(words, true)).toBe(true);
      expect(topOf(words)).toEqual({ hi: 3, lo: want });
    }
  });
});

describe('the words of a row', () => {
  it.each([
    [0, 0, 32],
    [1, 2, 64],
    [32, 2, 64],
    [33, 4, 64],
    [96, 4, 64],
    [97, 8, 64],
    [1024, 64, 96],
    [2 ** 20, 65_536, 65_568],
  ])('of a window of %i: %i for the ring, %i in all', (window, ring, all) => {
    expect([ringWords(window), rowWords(window)]).toEqual([ring, all]);
    expect(rowLength(newRow(window))).toBe(all);
  });

  it('are refused whose head does not fit itself, though its checksum does', () => {
    const lengthWith = (word: number, value: number, window = 0, length = rowWords(window)) => {
      const words = new Int32Array(length);
      words.set(newRow(0));
      words[2] = window;
      words[1] = rowWords(window);
      words[word] = value;
      words[8] = sumOf(words, 0, 8);
      return rowLength(words);
    };
    expect(lengthWith(2, 0)).toBe(32);
    expect(lengthWith(0, 1), 'magic').toBe(0);
    expect(lengthWith(1, 64, 0, 64), 'longer than its window needs').toBe(0);
    expect(lengthWith(1, 0), 'shorter').toBe(0);
    expect(lengthWith(2, -1, -1, 64), 'a window below 0').toBe(0);
    expect(lengthWith(2, 2 ** 20 + 1, 2 ** 20 + 1), 'a window that no SA can have').toBe(0);
  });

  it('lie where they are, in the middle of others too', () => {
    const file = new Int32Array(96);
    const words = file.subarray(32, 64);
    makeRow(words, rowIdentity(saConfig()), 0);
    expect(identityText(words)).toBe(Buffer.from(rowIdentity(saConfig())).toString('hex'));
    setUsedAt(words, 0x9000_0000);
    expect(usedAt(words)).toBe(0x9000_0000);
    setOut(words, { hi: 2, lo: -9 });
    expect([sentNow(words), allowedOf(words)]).toEqual([
      { hi: 2, lo: -9 },
      { hi: 2, lo: -9 },
    ]);
    allow(words, { hi: 3, lo: 8 });
    expect(allowedOf(words)).toEqual({ hi: 3, lo: 8 });
    expect([...file.subarray(0, 32), ...file.subarray(64)].every((word) => word === 0)).toBe(true);
  });

  it('have the checksum of the file format', () => {
    // Worked out by another program.
    expect(sumOf(Int32Array.of(0x0102_0304, -66_052), 0, 2)).toBe(1_682_228_022);
  });
});

describe('a damaged row', () => {
  const halves = fc.record({ hi: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), lo: fc.integer() });

  it('never lets an SA send a number again', () => {
    const flips = fc.array(fc.record({ byte: fc.nat(), bit: fc.nat(7) }), { minLength: 1, maxLength: 1 });
    fc.assert(
      fc.property(halves, flips, fc.boolean(), (sent, damage, isExact) => {
        const words = newRow(64);
        setOut(words, sent);
        setReserve(words, later(sent, 2 ** 20, true));
        setReserve(words, later(sent, 2 ** 21, true));
        const bytes = new Uint8Array(words.buffer);
        for (const { byte, bit } of damage) bytes[byte % bytes.length]! ^= 1 << bit;
        if (rowLength(words) === 0 || !recoverRow(words, isExact)) return;
        expect(compare(sentOf(words)!, sent)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 3000 },
    );
  });

  it('never lets a top go down', () => {
    fc.assert(
      fc.property(halves, fc.integer({ min: 24, max: 30 }), fc.nat(31), (top, word, bit) => {
        const words = newRow(64);
        startAt(words, top);
        words[word]! ^= 1 << bit;
        expect(recoverRow(words, true)).toBe(true);
        expect(compare(topOf(words), top)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 2000 },
    );
  });

  it('is not taken for a row when its head is damaged', () => {
    const whole = newRow(64);
    expect(rowLength(whole)).toBe(whole.length);
    for (let bit = 0; bit < 9 * 32; bit++) {
      const words = whole.slice();
      words[bit >>> 5]! ^= 1 << (bit & 31);
      expect(rowLength(words)).toBe(0);
    }
    expect(rowLength(whole.subarray(0, whole.length - 1))).toBe(0);
  });
});

describe('halves', () => {
  it('are counted on and compared as unsigned', () => {
    expect(later({ hi: 0, lo: -1 }, 1, true)).toEqual({ hi: 1, lo: 0 });
    expect(later({ hi: 0, lo: -2 }, 5, false)).toEqual({ hi: 0, lo: -1 });
    expect(later({ hi: -1, lo: -2 }, 5, true)).toEqual({ hi: -1, lo: -1 });
    expect(later({ hi: 0, lo: 0x7fff_ffff }, 1, false)).toEqual({ hi: 0, lo: -0x8000_0000 });
    expect(compare({ hi: -1, lo: 0 }, { hi: 1, lo: 0 })).toBeGreaterThan(0);
    expect(distance({ hi: 0, lo: -1 }, { hi: 1, lo: 4 })).toBe(5);
    expect(distance({ hi: 1, lo: 0 }, { hi: 2, lo: 4 })).toBe(2 ** 32 + 4);
  });
});
