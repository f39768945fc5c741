import { describe, expect, it } from 'vitest';
import { frameId } from '../../../src/capture/frame-id.ts';
import { FrameTimes } from '../../../src/inspect/diagnose/frame-times.ts';
import { Tally } from '../../../src/inspect/diagnose/tally.ts';

const time = (seconds: number) => ({ seconds, nanoseconds: 5, hasTime: true });
const moment = (seconds: number) => ({ seconds, nanoseconds: 5 });
const LONG = 70_000;

describe('the times of frames', () => {
  it('are known of recent frames, and later of those that were kept', () => {
    const times = new FrameTimes();
    times.note(1, time(11));
    times.note(2, time(12));
    times.keep(2);
    expect([times.of(1), times.of(2), times.of(3), times.of(0)]).toEqual([
      moment(11),
      moment(12),
      undefined,
      undefined,
    ]);
    for (let frame = 3; frame < LONG; frame++) times.note(frame, time(frame + 10));
    expect([times.of(1), times.of(2)]).toEqual([undefined, moment(12)]);
  });

  it('are told apart by capture, and not made up', () => {
    const times = new FrameTimes();
    times.note(7, time(1));
    times.note(frameId(1, 7), time(2));
    expect([times.of(7), times.of(frameId(1, 7)), times.of(frameId(2, 7))]).toEqual([
      moment(1),
      moment(2),
      undefined,
    ]);
    times.note(8, { ...time(0), hasTime: false });
    expect(times.of(8)).toBeUndefined();
  });

  it('of a tally are those of its first frames and of its last', () => {
    const times = new FrameTimes();
    const tally = new Tally(times);
    for (let frame = 1; frame < LONG; frame++) {
      times.note(frame, time(frame));
      if (frame % 1000 === 1 && frame < 5000) tally.add(frame);
    }
    expect(tally.last).toBe(4001);
    expect(tally.lastTime).toEqual({ ...moment(4001), isKnown: true });
    expect(times.of(tally.first)).toEqual(moment(1));
    tally.remove(4001);
    expect([tally.last, tally.lastTime.isKnown]).toEqual([3001, false]);
    expect(times.of(tally.last)).toEqual(moment(3001));
  });
});
