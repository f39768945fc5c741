import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { DROP, dropRow } from '../../src/ipsec/drop.ts';
import { ReplayWindow } from '../../src/ipsec/replay.ts';
import { PASS } from '../../src/wire/packet.ts';
import { CAPTURES, needs, SHARED, shared } from '../support/needs.ts';

const U32 = 2n ** 32n;

function halves(n: bigint): [hi: number, lo: number] {
  const u = BigInt.asUintN(64, n);
  return [Number(u >> 32n), Number(u & 0xffff_ffffn)];
}

function reason(code: number): string {
  return code === PASS ? 'ok' : (dropRow(code)?.reason ?? `code ${code}`);
}

/** A window whose top is `top`, with nothing seen. */
function windowAt(size: number, esn: boolean, top: bigint): ReplayWindow {
  const w = new ReplayWindow(size, esn);
  w.startBefore(...halves(top + 1n));
  return w;
}

/** One packet with the true number `n` through the window, as an SA does it: its ICV covers all 64 bits. */
function arrive(w: ReplayWindow, n: bigint, isAuthentic = true): string {
  const [hi, lo] = halves(n);
  const guess = w.inferHigh(lo);
  const code = w.check(guess, lo);
  if (code !== PASS) return reason(code);
  if (!isAuthentic || guess !== (w.esn ? hi : 0)) return 'bad-icv';
  w.commit(guess, lo);
  return 'ok';
}

/**
 * The obvious window: every number seen in a set, numbers unbounded. The one number that a low half can mean is
 * that among the 2^32 from the window's bottom on (RFC 4303 §A2.1).
 */
class SlowWindow {
  readonly #size: bigint;
  readonly #esn: boolean;
  readonly #seen = new Set<bigint>();
  readonly #first: bigint;
  top: bigint;
  late = 0;

  constructor(size: number, esn: boolean, top: bigint) {
    this.#size = BigInt(size);
    this.#esn = esn;
    this.top = top;
    this.#first = top + 1n;
  }

  meant(lo: bigint): bigint {
    if (!this.#esn) return lo;
    const bottom = this.top - this.#size + 1n;
    return bottom + BigInt.asUintN(32, lo - bottom);
  }

  check(n: bigint): string {
    if (this.#esn) {
      // Linux refuses 0 only while the window reaches below it.
      if (BigInt.asUintN(32, n) === 0n && this.top < this.#size - 1n) return 'replay-zero';
    } else if (n === 0n) return 'replay-zero';
    if (n <= this.top - this.#size) return 'replay-stale';
    return this.#seen.has(n) ? 'replay-seen' : 'ok';
  }

  commit(n: bigint): void {
    this.#seen.add(n);
    if (n > this.top) this.top = n;
    else this.late++;
  }

  get lost(): number {
    const bottom = this.top - this.#size + 1n;
    if (bottom <= this.#first) return 0;
    let seen = 0;
    for (const n of this.#seen) if (n >= this.#first && n < bottom) seen++;
    return Number(bottom - this.#first) - seen;
  }
}

describe('ReplayWindow without ESN', () => {
  it('walks one epoch', () => {
    const w = new ReplayWindow(64, false);
    const walk = [
      [1, 'ok', 'the first packet of an SA carries 1'],
      [1, 'replay-seen', 'same again'],
      [0, 'replay-zero', 'zero is never sent'],
      [64, 'ok', 'right edge moves'],
      [2, 'ok', 'late but inside'],
      [65, 'ok', 'window is now 2..65'],
      [1, 'replay-stale', 'just left of the window'],
      [2, 'replay-seen', 'left edge itself'],
      [129, 'ok', 'a jump by a whole window forgets everything'],
      [65, 'replay-stale', 'was the right edge before the jump'],
      [66, 'ok', 'new left edge'],
      [0xffff_ffff, 'ok', 'the last number there is'],
      [0xffff_ffc0, 'ok', 'left edge under the last number'],
      [0xffff_ffbf, 'replay-stale', 'left of it'],
      [0, 'replay-zero', 'nothing comes after the last number'],
    ] as const;
    for (const [n, want, why] of walk) expect(arrive(w, BigInt(n)), `${n}: ${why}`).toBe(want);
  });

  it('is switched off by size 0: everything passes, nothing is remembered', () => {
    const w = new ReplayWindow(0, false);
    for (const lo of [1, 1, 0, 0xffff_ffff, 1]) {
      expect(w.inferHigh(lo)).toBe(0);
      expect(w.check(0, lo)).toBe(PASS);
      w.commit(0, lo);
    }
    expect([w.topHi, w.topLo, w.lost]).toEqual([0, 0, 0]);
  });
});

describe('ReplayWindow with ESN', () => {
  it('refuses 0 only while the window reaches below it', () => {
    const w = new ReplayWindow(64, true);
    expect(arrive(w, 0n)).toBe('replay-zero');
    w.commit(0, 62);
    expect(arrive(w, 0n)).toBe('replay-zero');
    w.commit(0, 63);
    expect(arrive(w, 0n), 'Linux takes an authentic 0 here').toBe('ok');
    expect(arrive(windowAt(64, true, 64n), 0n), 'below the window: read as 2^32').toBe('bad-icv');
    expect(arrive(windowAt(64, true, U32 - 1n), U32), '2^32 has the low half 0, too').toBe('ok');
  });

  it('lets a low half that would lie below zero reach the cipher, as Linux does', () => {
    const w = new ReplayWindow(1024, true);
    for (let lo = 1; lo <= 24; lo++) w.commit(0, lo);
    expect(w.inferHigh(0xffff_fff0)).toBe(0xffff_ffff);
    expect(w.check(0xffff_ffff, 0xffff_fff0)).toBe(PASS);
    expect(w.inferHigh(0xffff_fc18), 'one below the bottom is far ahead').toBe(0);
    // No sender has such a number, but a key holder could forge it: Linux notes it as a late one.
    w.commit(0xffff_ffff, 0xffff_fff0);
    expect([w.topHi, w.topLo]).toEqual([0, 24]);
    expect(reason(w.check(0xffff_ffff, 0xffff_fff0))).toBe('replay-seen');
  });

  // RFC 4303 appendix A2.1: exact for the 2^32 numbers that start at the left edge. Tops on both sides of the
  // border between case A and case B, offsets on both ends of the exact range.
  it.each([62n, 63n, 64n, U32 - 1n, U32, U32 + 62n, U32 + 63n, 2n ** 64n - 2n])(
    'infers around T=%i',
    (top) => {
      const w = windowAt(64, true, top);
      for (const offset of [-63n, -1n, 0n, 1n, U32 - 64n]) {
        const [hi, lo] = halves(top + offset);
        expect(w.inferHigh(lo), `T${offset}`).toBe(hi);
      }
      const [hi, lo] = halves(top - 64n);
      expect(w.inferHigh(lo), 'left of the window is taken for the next epoch').toBe((hi + 1) >>> 0);
    },
  );

  it('answers for another top what it would answer at that top', () => {
    const w = new ReplayWindow(1000, true);
    const rand = xorshift32(7);
    for (let i = 0; i < 2000; i++) {
      const top = BigInt(rand() % 3) * U32 + BigInt(i % 2 ? rand() : rand() % 2000);
      const lo = i % 3 ? rand() : (halves(top)[1] + (rand() % 4000) - 2000) >>> 0;
      expect(w.inferHighFrom(...halves(top), lo)).toBe(windowAt(1000, true, top).inferHigh(lo));
    }
  });

  it('refuses a number whose high half is no longer what the window infers', () => {
    const w = windowAt(64, true, U32 - 10n);
    const hi = w.inferHigh(5);
    expect([hi, w.check(hi, 5)]).toEqual([1, PASS]);
    w.commit(1, 1000); // meanwhile another packet of the batch moved the window on
    expect(w.inferHigh(5)).toBe(2);
    expect(reason(w.check(hi, 5)), 'Linux xfrm_replay_recheck_esn').toBe('replay-stale');
  });

  it('stays in step at 2^64-1, the last number', () => {
    const w = windowAt(64, true, 2n ** 64n - 3n);
    expect(arrive(w, 2n ** 64n - 1n)).toBe('ok');
    expect(arrive(w, 2n ** 64n - 1n)).toBe('replay-seen');
    expect(arrive(w, 2n ** 64n - 2n)).toBe('ok');
    expect([w.topHi, w.topLo]).toEqual([0xffff_ffff, 0xffff_ffff]);
  });

  it('needs a window', () => {
    expect(() => new ReplayWindow(0, true)).toThrow(RangeError);
  });
});

describe('ReplayWindow in both modes', () => {
  it('takes a window of 2^20 numbers, and keeps all of them', () => {
    const top = 2n ** 21n;
    const w = windowAt(2 ** 20, true, top);
    expect(arrive(w, top - 2n ** 20n + 1n)).toBe('ok');
    expect(arrive(w, top - 2n ** 20n + 1n)).toBe('replay-seen');
    expect(arrive(w, top - 2n ** 20n)).toBe('bad-icv');
  });

  it.each([-1, 1.5, 2 ** 20 + 1, Number.NaN])('refuses a window of %d numbers', (size) => {
    expect(() => new ReplayWindow(size, false)).toThrow(RangeError);
  });

  it('changes nothing until commit', () => {
    for (const esn of [false, true]) {
      const w = new ReplayWindow(64, esn);
      w.commit(0, 10);
      for (const lo of [1, 9, 10, 11, 1000, 0xffff_ffff]) w.check(w.inferHigh(lo), lo);
      expect([w.topHi, w.topLo, w.lost]).toEqual([0, 10, 0]);
      expect(w.check(0, 9)).toBe(PASS);
    }
  });

  it('starts in mid-stream: the number given is next, late ones inside the window pass', () => {
    for (const [hi, lo] of [
      [0, 1],
      [0, 5000],
      [3, 0],
      [3, 7],
    ] as const) {
      const w = new ReplayWindow(64, true);
      w.commit(0, 4990); // what was there before is forgotten
      w.startBefore(hi, lo);
      expect(w.inferHigh(lo)).toBe(hi);
      expect(w.check(hi, lo)).toBe(PASS);
      const n = BigInt(hi) * U32 + BigInt(lo);
      expect(arrive(w, n)).toBe('ok');
      expect([w.topHi, w.topLo]).toEqual([hi, lo]);
      if (n > 20n) {
        expect(arrive(w, n - 10n)).toBe('ok');
        expect(arrive(w, n - 10n)).toBe('replay-seen');
      }
      expect(arrive(w, n + 200n)).toBe('ok');
      expect(w.lost, 'numbers from before the start are not missed').toBe(136);
    }
    const fresh = new ReplayWindow(64, true);
    fresh.startBefore(0, 0);
    expect([fresh.topHi, fresh.topLo, reason(fresh.check(0, 0))]).toEqual([0, 0, 'replay-zero']);
  });

  // Shift counts are taken modulo 32, and the ring is cleared by words: these are the jumps that show it.
  it.each([1, 31, 32, 33, 64, 1000, 1024, 4096])(
    'forgets exactly what a jump leaves behind, W=%i',
    (size) => {
      const jumps = [
        1,
        2,
        31,
        32,
        33,
        63,
        64,
        65,
        96,
        128,
        1024,
        2048,
        size - 1,
        size,
        size + 1,
        2 ** 20,
        2 ** 31,
      ];
      for (const esn of [false, true]) {
        for (const jump of [...jumps, 2 ** 32 - 2 * size, 2 ** 32, 2 ** 32 + 1].filter((j) => j > 0)) {
          const start = 3 * size;
          const w = new ReplayWindow(size, esn);
          for (let n = start - size + 1; n <= start; n++) w.commit(0, n);
          const top = start + jump;
          if (!esn && top >= 2 ** 32) continue;
          const at = (n: number) => [Math.floor(n / 2 ** 32), n >>> 0] as const;
          w.commit(...at(top));
          for (let n = top; n > top - size; n--) {
            const want = n === top || n <= start ? 'replay-seen' : 'ok';
            if (reason(w.check(...at(n))) !== want) {
              expect(reason(w.check(...at(n))), `${n} after a jump of ${jump} to ${top}`).toBe(want);
            }
          }
          if (!esn) expect(reason(w.check(...at(top - size))), 'left of it').toBe('replay-stale');
          // Before `start - size + 1` no number was seen; of what left since, only what lay in between is missing.
          expect(w.lost).toBe(start - size + Math.max(0, jump - size));
        }
      }
    },
  );

  // The bit ring is the clever version; the set is the obvious one. They must agree.
  it.each(
    [1, 31, 32, 33, 64, 1000, 1024, 4096, 131072].flatMap((size) => [
      { size, esn: false },
      { size, esn: true },
    ]),
  )('agrees with a plain set: W=$size, esn=$esn', ({ size, esn }) => {
    const rand = xorshift32(0xc1ea + size);
    const span = BigInt(size);
    // A fresh window, one about to wrap, one that has just wrapped, and one near the end of numbers.
    const starts = esn
      ? [
          0n,
          U32 - 3n * span,
          U32 - 1n,
          5n * U32 + span - 2n,
          5n * U32 + span - 1n,
          2n ** 64n - 100n * span - 4000n,
        ]
      : [0n, span, U32 - 100n * span - 4000n];
    const last = esn ? 2n ** 64n - 1n : U32 - 1n;
    for (const start of starts) {
      const w = start === 0n ? new ReplayWindow(size, esn) : windowAt(size, esn, start);
      const slow = new SlowWindow(size, esn, start);
      const before = slow.top;
      const verdicts = new Map<string, number>();
      for (let i = 0; i < 3000; i++) {
        const n = pick(rand, slow.top, size, last);
        const [trueHi, lo] = halves(n);
        const meant = slow.meant(BigInt(lo));
        const hi = w.inferHigh(lo);
        if (hi !== halves(meant)[0]) expect(hi, `high half of ${lo} at ${slow.top}`).toBe(halves(meant)[0]);
        let want = slow.check(meant);
        const got = reason(w.check(hi, lo));
        if (got !== want) expect(got, `${meant} at top ${slow.top}, step ${i}`).toBe(want);
        if (want === 'ok') {
          // An attacker's number has no good ICV; nor has a packet that was altered.
          const distance = n > slow.top ? n - slow.top : slow.top - n;
          const isAltered = distance > 2n * span + 128n || rand() % 16 === 0;
          if (isAltered || hi !== (esn ? trueHi : 0)) want = 'bad-icv';
          else {
            w.commit(hi, lo);
            slow.commit(meant);
          }
        }
        verdicts.set(want, (verdicts.get(want) ?? 0) + 1);
      }
      expect([w.topHi, w.topLo]).toEqual(halves(slow.top));
      expect([w.lost, w.late]).toEqual([slow.lost, slow.late]);
      if (size > 1) expect(slow.late, 'some came late').toBeGreaterThan(30);
      expect(slow.top, 'the walk moved').toBeGreaterThan(before);
      expect(verdicts.get('ok'), 'and most of it passed').toBeGreaterThan(300);
      expect(verdicts.get('replay-seen'), 'and some were replays').toBeGreaterThan(30);
    }
  });

  it('agrees with a plain set on any short history', () => {
    const step = fc.record({
      by: fc.oneof(
        fc.integer({ min: -150, max: 150 }),
        fc.constantFrom(32, 64, 96, 128, 2 ** 31, 2 ** 32 - 1),
      ),
      isAuthentic: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.boolean(),
        fc.constantFrom(0n, 5n, 99n, U32 - 50n, U32, 7n * U32 + 20n),
        fc.array(step, { maxLength: 60 }),
        (size, esn, from, steps) => {
          const start = esn ? from : from % U32;
          const w = start === 0n ? new ReplayWindow(size, esn) : windowAt(size, esn, start);
          const slow = new SlowWindow(size, esn, start);
          for (const { by, isAuthentic } of steps) {
            const [, lo] = halves(slow.top + BigInt(by));
            const meant = slow.meant(BigInt(lo));
            const [hi] = halves(meant);
            expect(w.inferHigh(lo)).toBe(hi);
            expect(reason(w.check(hi, lo))).toBe(slow.check(meant));
            if (isAuthentic && slow.check(meant) === 'ok') {
              w.commit(hi, lo);
              slow.commit(meant);
            }
            expect([w.lost, w.late]).toEqual([slow.lost, slow.late]);
          }
        },
      ),
    );
  });
});

/** A number that a sender, a slow path or an attacker might send next. */
function pick(rand: () => number, top: bigint, size: number, last: bigint): bigint {
  const kind = rand() % 32;
  let n: bigint;
  if (kind < 12) n = top + 1n;
  else if (kind < 24) n = top - BigInt(rand() % Math.max(2, Math.min(size, 64)));
  else if (kind < 27) n = top - BigInt(rand() % (2 * size));
  else if (kind < 29) n = top + BigInt(rand() % (2 * size));
  else if (kind === 29) n = top + 32n * BigInt(rand() % 4);
  else if (kind === 30) n = top - BigInt(size) + BigInt(rand() % 3) - 1n;
  else n = BigInt(rand()); // anything
  return n < 0n ? BigInt.asUintN(64, n) : n > last ? last : n;
}

interface Step {
  readonly reset_top?: string;
  readonly seq_first: string;
  readonly seq_last: string;
  readonly seq_step: number;
  readonly repeat: number;
  readonly auth: 'good' | 'bad';
  readonly expect: string | Record<string, number>;
  readonly note: string;
}

interface Scenario {
  readonly name: string;
  readonly window: number;
  readonly esn: boolean;
  readonly initial_top: string;
  readonly steps: readonly Step[];
}

interface LostStep {
  readonly send: string;
  readonly lost_total: number | null;
}

needs([shared('vectors')], 'anti-replay scenarios of VPP, DPDK, Snabb and strongSwan', () => {
  const file = JSON.parse(readFileSync(`${SHARED}vectors/antireplay-scenarios.json`, 'utf8')) as {
    scenarios: Scenario[];
    lost_counter: { window: number; steps: LostStep[] };
  };
  const walked = file.scenarios.filter((s) => s.steps.length > 0);

  it('has all scenarios but the optional one, Snabb resynchronisation (RFC 4303 §A3)', () => {
    expect(file.scenarios.filter((s) => s.steps.length === 0).map((s) => s.name)).toEqual(['snabb/resync']);
    expect(walked.length).toBe(38);
  });

  it.each(walked.map((s) => ({ ...s, title: `${s.name} W=${s.window}` })))('$title', (scenario) => {
    const { window, esn, initial_top, steps } = scenario;
    const word: Record<string, string> = { ok: 'accept', 'bad-icv': 'icv_fail' };
    let w = windowAt(window, esn, BigInt(initial_top));
    if (initial_top === '0') w = new ReplayWindow(window, esn);
    for (const step of steps) {
      if (step.reset_top !== undefined) {
        w = windowAt(window, esn, BigInt(step.reset_top));
        continue;
      }
      const counts: Record<string, number> = {};
      let sent = 0;
      for (let n = BigInt(step.seq_first); n <= BigInt(step.seq_last); n += BigInt(step.seq_step)) {
        for (let copy = 0; copy < step.repeat; copy++) {
          const got = arrive(w, n, step.auth === 'good');
          const verdict = word[got] ?? 'replay';
          counts[verdict] = (counts[verdict] ?? 0) + 1;
          sent++;
        }
      }
      const want = typeof step.expect === 'string' ? { [step.expect]: sent } : step.expect;
      expect(counts, step.note).toEqual(want);
    }
  });

  it.each([false, true])('counts lost packets as VPP does, esn=%s', (esn) => {
    const w = new ReplayWindow(file.lost_counter.window, esn);
    for (const { send, lost_total } of file.lost_counter.steps) {
      for (const n of sendList(send)) expect(arrive(w, BigInt(n)), `${n}`).toBe('ok');
      if (lost_total !== null) expect(w.lost, send).toBe(lost_total);
    }
  });
});

/** `1,2`, `6..99`, and `100,102..198 (50 packets)`: every second one. */
function sendList(text: string): number[] {
  const list = text.replace(/\s*\(.*\)$/, '');
  const evens = /^(\d+),(\d+)\.\.(\d+)$/.exec(list);
  if (evens) return range(Number(evens[1]), Number(evens[3]), Number(evens[2]) - Number(evens[1]));
  const run = /^(\d+)\.\.(\d+)$/.exec(list);
  return run ? range(Number(run[1]), Number(run[2]), 1) : list.split(',').map(Number);
}

function range(first: number, last: number, step: number): number[] {
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => first + i * step);
}

interface Expected {
  readonly src: string;
  readonly spi: number | null;
  readonly seq: string | null;
  readonly verdict: 'ok' | 'drop';
  readonly counter: string | null;
}

// What the kernel printed of its own window at the end, after the same packets.
needs([shared('captures')], 'the window of a Linux 6.1 receiver', () => {
  it.each([
    'native-v4',
    'native-v6',
    'gcm-256',
    'vxlan-in-esp',
    'fragments',
    'faults-esn',
    'faults-window64',
    'crafted-esn',
  ])('%s: top, bitmap and statistics', (name) => {
    const folder = `${CAPTURES}/${name}/`;
    const rows = readFileSync(`${folder}expected.jsonl`, 'utf8').trim().split('\n');
    const expected = rows.map((row) => JSON.parse(row) as Expected);
    const state = inboundState(readFileSync(`${folder}n2.xfrm_state.txt`, 'utf8'), expected[0]!.src);
    const w = new ReplayWindow(state.window, state.esn);
    const stats = { stale: 0, seen: 0 };
    for (const row of expected) {
      if (row.src !== state.src || row.spi !== state.spi || row.seq === null) continue;
      const [, lo] = halves(BigInt(row.seq));
      const hi = w.inferHigh(lo);
      const code = w.check(hi, lo);
      expect(code !== PASS, `${row.seq} ${row.verdict} ${row.counter}`).toBe(
        row.counter === 'XfrmInStateSeqError',
      );
      if (code === DROP['replay-stale']) stats.stale++;
      if (code === DROP['replay-seen']) stats.seen++;
      // A bad inside shows only after the window has moved.
      if (row.verdict === 'ok' || row.counter === 'XfrmInStateModeError') w.commit(hi, lo);
    }
    expect({ hi: w.topHi, lo: w.topLo, ...stats }).toEqual({
      hi: state.hi,
      lo: state.lo,
      stale: state.stale,
      seen: state.seen,
    });
    for (let n = Math.max(1, w.topLo - state.window + 1); n <= w.topLo; n++) {
      expect(w.check(w.topHi, n) !== PASS, `bit of ${n}`).toBe(state.isSet(n));
    }
  });
});

/** Reads the one state that comes from `src` in the text of `ip -s xfrm state`. */
function inboundState(text: string, src: string) {
  const state = text.split(/^(?=src )/m).find((part) => part.startsWith(`src ${src} `))!;
  const number = (pattern: RegExp) => Number(pattern.exec(state)?.[1] ?? Number.NaN);
  const window = number(/replay_window (\d+),/);
  // The kernel prints its bitmap from the last word to the first; number n has bit (n - 1) mod W.
  const words = /bitmap-length \d+\n([\s0-9a-f]+?)\n\tsel/.exec(state)![1]!.trim().split(/\s+/).reverse();
  return {
    src,
    spi: number(/spi (0x\w+)/),
    esn: /flag .*\besn\b/.test(state),
    window,
    hi: number(/ seq-hi (0x\w+)/),
    lo: number(/, seq (0x\w+),/),
    stale: number(/replay-window (\d+) replay \d+ failed/),
    seen: number(/ replay (\d+) failed/),
    isSet: (n: number) => {
      const bit = (n - 1) % window;
      return ((Number.parseInt(words[bit >>> 5]!, 16) >>> (bit & 31)) & 1) === 1;
    },
  };
}
