import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  runWindow,
  SIZES,
  type WindowEvent,
  type WindowRun,
  type WindowSettings,
} from '../../../src/web/model/window.ts';
import {
  addAction,
  formatActions,
  MOST_PACKETS,
  parseActions,
  type WindowAction,
} from '../../../src/web/model/window-actions.ts';
import { logOf } from '../../../src/web/model/window-log.ts';
import { WINDOW_PRESETS } from '../../../src/web/model/window-presets.ts';
import { explainEvent } from '../../../src/web/model/window-text.ts';

const U32 = 2 ** 32;

function actionsOf(text: string): readonly WindowAction[] {
  const parsed = parseActions(text);
  if ('problem' in parsed) throw new TypeError(parsed.problem);
  return parsed.actions;
}

function run(settings: WindowSettings, text: string): WindowRun {
  return runWindow(settings, actionsOf(text));
}

function verdict({ drop }: WindowEvent): string {
  return drop?.reason ?? 'ok';
}

/**
 * The obvious window: every number that verified, in a set. A low half means the one number with it among the 2^32
 * from the window's bottom on (RFC 4303 §A2.1); one that is not the sender's fails the ICV.
 */
class ObviousWindow {
  readonly seen = new Set<number>();
  top: number;
  readonly #settings: WindowSettings;

  constructor(settings: WindowSettings) {
    this.#settings = settings;
    this.top = settings.start;
    for (let n = Math.max(1, this.top - 2000); n <= this.top; n++) this.seen.add(n);
  }

  arrive(number: number, isForged: boolean): string {
    const { size, esn } = this.#settings;
    const bottom = this.top - size + 1;
    const lo = number % U32;
    let meant = lo;
    if (esn) {
      meant = Math.floor(bottom / U32) * U32 + lo;
      if (meant < bottom) meant += U32;
      // Linux: a young window knows that 0 is never sent.
      if (meant === 0 && bottom < 0) return 'replay-zero';
    } else if (size > 0 && meant < bottom) return 'replay-stale';
    if (size > 0 && this.seen.has(meant)) return 'replay-seen';
    if (isForged || meant !== number) return 'bad-icv';
    this.seen.add(number);
    this.top = Math.max(this.top, number);
    return 'ok';
  }
}

const few = fc.integer({ min: 1, max: 40 });
const far = fc.oneof(few, fc.integer({ min: 1, max: 3000 }), fc.integer({ min: U32 - 50, max: U32 + 50 }));
const anyAction: fc.Arbitrary<WindowAction> = fc.oneof(
  fc.record({ kind: fc.constantFrom('send', 'lose', 'hold', 'deliver', 'replay'), count: few }),
  fc.record({ kind: fc.constantFrom('jump', 'forge'), count: far }),
  fc.constant<WindowAction>({ kind: 'restart', count: 1 }),
);
const anySettings: fc.Arbitrary<WindowSettings> = fc
  .record({
    size: fc.constantFrom(...SIZES),
    esn: fc.boolean(),
    start: fc.constantFrom(0, 1, 30, 31, 5000, U32 - 20, U32, U32 + 10, 7 * U32 - 3),
  })
  .map(({ size, esn, start }) => {
    const extended = esn && size > 0;
    return { size, esn: extended, start: extended ? start : Math.min(start, U32 - 20) };
  });

describe('the window of the lab', () => {
  it('says of every packet what a plain set of numbers says', () => {
    fc.assert(
      fc.property(anySettings, fc.array(anyAction, { maxLength: 12 }), (settings, actions) => {
        const lab = runWindow(settings, actions);
        const obvious = new ObviousWindow(settings);
        const counted = { XfrmInStateSeqError: 0, XfrmInStateProtoError: 0, XfrmOutStateSeqError: 0 };
        const stats = { replayWindow: 0, replay: 0, failed: 0 };
        let accepted = 0;
        for (const event of lab.events) {
          if (event.kind === 'unsent') counted.XfrmOutStateSeqError++;
          if (!('guess' in event)) continue;
          const want = obvious.arrive(event.packet!.number, event.packet!.isForged);
          expect(verdict(event)).toBe(want);
          expect(event.after).toBe(obvious.top);
          if (want === 'ok') accepted++;
          else if (want === 'bad-icv') {
            counted.XfrmInStateProtoError++;
            stats.failed++;
          } else {
            counted.XfrmInStateSeqError++;
            if (want === 'replay-stale') stats.replayWindow++;
            if (want === 'replay-seen') stats.replay++;
          }
        }
        expect(lab.accepted).toBe(accepted);
        expect(lab.stats).toEqual(stats);
        expect(lab.xfrm).toEqual(Object.fromEntries(Object.entries(counted).filter(([, n]) => n > 0)));
        const { size } = settings;
        for (let n = lab.top + 2; size > 0 && n > lab.top - size - 2; n--) {
          const inside = obvious.seen.has(n) ? 'seen' : 'open';
          const want = n < 1 ? 'never' : n > lab.top ? 'ahead' : n <= lab.top - size ? 'gone' : inside;
          expect(lab.cell(n), `${n} of ${lab.top}`).toBe(want);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('goes on from an earlier run as if it had run from the beginning', () => {
    fc.assert(
      fc.property(
        anySettings,
        fc.array(anyAction, { maxLength: 8 }),
        anyAction,
        (settings, actions, next) => {
          const longer = addAction(actions, next);
          const whole = runWindow(settings, longer);
          const part = runWindow(settings, actions);
          const count = part.events.length;
          const on = runWindow(settings, longer, part);
          expect(on).toBe(part);
          expect(on.events.length).toBeGreaterThanOrEqual(count);
          const facts = ({ events, xfrm, stats, top, sent, held, lost }: WindowRun) => ({
            events: events.map(({ packet, ...rest }) => ({ ...rest, packet: packet && { ...packet } })),
            ...{ xfrm, stats, top, sent, held, lost },
          });
          expect(facts(on)).toEqual(facts(whole));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('tells of a step that does nothing, or not all, the same in one part or in two', () => {
    const settings: WindowSettings = { size: 64, esn: false, start: U32 - 3 };
    const kinds = ({ events }: WindowRun) => events.map(({ kind }) => kind);
    const want = ['sent', 'sent', 'unsent', 'unsent'];
    expect(kinds(run(settings, 's4'))).toEqual(want);
    expect(kinds(runWindow(settings, actionsOf('s4'), run(settings, 's1')))).toEqual(want);
    expect(kinds(runWindow(settings, actionsOf('d2'), run(settings, 'd1')))).toEqual(['nothing']);
  });

  it('starts anew where the list or the settings are others', () => {
    const settings: WindowSettings = { size: 64, esn: true, start: 0 };
    const old = run(settings, 's20.r5');
    expect(runWindow(settings, actionsOf('s20.r6'), old).events.at(-1)!.packet!.id).toBe(6);
    expect(runWindow({ ...settings, size: 32 }, actionsOf('s20.r5'), old)).not.toBe(old);
    expect(runWindow(settings, actionsOf('s20'), old).events).toHaveLength(20);
  });

  it('refuses what Linux refuses', () => {
    expect(() => run({ size: 0, esn: true, start: 0 }, 's')).toThrow('ESN needs a window');
    expect(() => run({ size: 32, esn: false, start: U32 }, 's')).toThrow('no number of an SA without ESN');
  });

  it('puts the low half of the number on the wire, and nothing of the high half', () => {
    const { packets } = run({ size: 32, esn: true, start: 3 * U32 - 2 }, 's4');
    expect(packets.map(({ number }) => number - 3 * U32)).toEqual([-1, 0, 1, 2]);
    // Outer IPv4 header, SPI, number.
    const low = packets.map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(24));
    expect(low).toEqual([U32 - 1, 0, 1, 2]);
  });
});

describe('a scene of the window', () => {
  /** What a Linux receiver (and, at the end of its numbers, sender) has counted after each. */
  const COUNTED: Readonly<Record<string, Readonly<Record<string, number>>>> = {
    'in-order': {},
    'late-inside': {},
    'late-beyond': { XfrmInStateProtoError: 1 },
    'late-beyond-no-esn': { XfrmInStateSeqError: 1 },
    replay: { XfrmInStateSeqError: 1 },
    'replay-old': { XfrmInStateProtoError: 1 },
    'replay-off': {},
    'forged-jump': { XfrmInStateProtoError: 1 },
    across: {},
    end: { XfrmOutStateSeqError: 5 },
    restart: { XfrmInStateProtoError: 20 },
    'jump-too-far': { XfrmInStateProtoError: 10 },
    cilium: { XfrmInStateProtoError: 1 },
  };
  const byId = new Map(WINDOW_PRESETS.map((preset) => [preset.id, preset]));

  it.each(WINDOW_PRESETS)('$id counts what it says', ({ id, settings, actions }) => {
    expect(run(settings, actions).xfrm).toEqual(COUNTED[id]);
  });

  const scene = (id: string) => {
    const { settings, actions } = byId.get(id)!;
    return run(settings, actions);
  };

  it('shows an old replay as a failed ICV, and a new one as seen', () => {
    const old = scene('replay-old');
    const last = old.events.at(-1)!;
    expect([last.packet!.number, last.guess, verdict(last)]).toEqual([5, U32 + 5, 'bad-icv']);
    expect(explainEvent(last, old).why).toContain('no replay is counted');
    expect(verdict(scene('replay').events.at(-1)!)).toBe('replay-seen');
  });

  it('lets every replay through without a window', () => {
    const { events, accepted } = scene('replay-off');
    expect(accepted).toBe(23);
    expect(events.slice(-3).map(({ isTwice }) => isTwice)).toEqual([true, true, true]);
  });

  it('does not move for a forged packet, and moves for a true one', () => {
    const { events, top, lost } = scene('forged-jump');
    const forged = events.find(({ kind }) => kind === 'forged')!;
    expect([forged.before, forged.after, forged.packet!.number]).toEqual([20, 20, 1020]);
    // 21 to 25 came, then 1026 to 1030; of the numbers between, 26 to 966 have left.
    expect([top, lost]).toEqual([1030, 941]);
  });

  it('crosses 2^32 with late packets from before it', () => {
    const { events, top } = scene('across');
    expect(top).toBe(U32 + 10);
    expect(events.filter(({ kind }) => kind === 'late').map(({ guess }) => guess! - U32)).toEqual([-3, -2]);
  });
});

describe('a list of actions', () => {
  it('is the same after a way through an address', () => {
    fc.assert(
      fc.property(fc.array(anyAction, { maxLength: 20 }), (actions) => {
        expect(actionsOf(formatActions(actions))).toEqual(actions);
      }),
    );
    expect(formatActions(actionsOf('s1.s20.z'))).toBe('s.s20.z');
  });

  it.each([
    ['x3', 'action 1 is “x3”'],
    ['s3.', 'action 2 is “”'],
    ['s0', 'the number goes from 1 to 4000'],
    ['z2', 'the number goes from 1 to 1'],
    ['j99999999999', 'action 1'],
    ['s3000.l1001', `more than ${MOST_PACKETS} packets in all`],
    [Array(401).fill('s').join('.'), 'more than 400 actions'],
    ['constructor', 'action 1 is “constructor”'],
  ])('says what is wrong with %.12s', (text, problem) => {
    expect(parseActions(text)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it('grows by what adds up, and else by one more', () => {
    const grown = (text: string, kind: WindowAction['kind'], count: number) =>
      formatActions(addAction(actionsOf(text), { kind, count }));
    expect(grown('s5', 'send', 3)).toBe('s8');
    expect(grown('s5.r1', 'replay', 1)).toBe('s5.r.r');
    expect(grown('s5', 'jump', 3)).toBe('s5.j3');
  });
});

describe('the log', () => {
  it('tells what is alike in one entry, and every event once', () => {
    fc.assert(
      fc.property(anySettings, fc.array(anyAction, { maxLength: 8 }), (settings, actions) => {
        const lab = runWindow(settings, actions);
        const log = logOf(lab);
        expect(log.reduce((sum, { count }) => sum + count, 0)).toBe(lab.events.length);
        for (const { verdict: said } of log) expect(said.why).not.toMatch(/undefined|NaN/);
      }),
      { numRuns: 60 },
    );
    const log = logOf(run({ size: 32, esn: true, start: 0 }, 's10.h.s40.d'));
    expect(log.map(({ kind, count, verdict: { what } }) => [kind, count, what])).toEqual([
      ['sent', 10, 'let through'],
      ['held', 1, 'held back on the way'],
      ['sent', 1, 'let through, ahead'],
      ['sent', 39, 'let through'],
      ['late', 1, 'refused: the ICV is wrong'],
    ]);
  });
});
