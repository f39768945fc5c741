/**
 * Several captures in memory: surveyed, set against each other, compared, and handed on once.
 * @module
 */
import type { FrameInfo } from '../../src/capture/frame.ts';
import { frameId } from '../../src/capture/frame-id.ts';
import { Comparison } from '../../src/inspect/places/compare.ts';
import { Once } from '../../src/inspect/places/once.ts';
import { Places } from '../../src/inspect/places/places.ts';
import { Survey } from '../../src/inspect/places/survey.ts';
import { frameInfo } from './pcap.ts';

/** A frame and when it came, in seconds. */
export interface Timed {
  readonly t: number;
  readonly b: Uint8Array;
  readonly linkType?: number;
}

export interface Given {
  readonly names?: readonly string[];
  readonly told?: readonly (string | undefined)[];
  readonly nodeAt?: (address: string) => string | undefined;
}

/** Reads captures as commands do. */
export function compareCaptures(captures: readonly (readonly Timed[])[], given: Given = {}, most?: number) {
  const survey = new Survey([4500]);
  for (const frames of captures) {
    const sink = survey.file();
    for (const [i, frame] of frames.entries()) sink.frame(frame.b, 0, frame.b.length, infoOf(frame, i + 1));
  }
  survey.finish();
  const names = given.names ?? captures.map((_, i) => `${'abcdef'[i]}.pcap`);
  const places = new Places(survey, {
    names,
    told: given.told ?? captures.map(() => undefined),
    nodeAt: given.nodeAt ?? (() => undefined),
  });
  const comparison = new Comparison(survey, places, [4500], undefined, most);
  const passed: number[] = [];
  const once = new Once({ frame: (_b, _at, _end, { number }) => passed.push(number) }, [4500], {
    survey,
    places,
  });
  const sink = comparison.before(once);
  const shifts = places.fileShifts;
  const all = captures
    .flatMap((frames, file) => frames.map((frame, i) => ({ frame, file, i, at: frame.t + shifts[file]! })))
    .sort((a, b) => a.at - b.at || a.file - b.file || a.i - b.i);
  for (const { frame, file, i } of all)
    sink.frame(frame.b, 0, frame.b.length, infoOf(frame, frameId(file, i + 1)));
  comparison.finish();
  return { survey, places, comparison, streams: comparison.streams, passed, once };
}

function infoOf({ t, linkType, b }: Timed, number: number): FrameInfo {
  return frameInfo(number, t, b, linkType);
}
