/**
 * What became of a packet at the window, in words: the verdict, what Linux counts, and why.
 * @module
 */
import type { WindowEvent, WindowRun } from './window.ts';
import type { WindowAction } from './window-actions.ts';

export interface WindowVerdict {
  /** A few words. */
  readonly what: string;
  /** `XfrmInStateSeqError`, with the SA's own statistic where it has one; absent where nothing is counted. */
  readonly counter?: string;
  readonly why: string;
  readonly rule: string;
}

const U32 = 2 ** 32;

const WAITS: Readonly<Record<'lost' | 'held' | 'nothing', WindowVerdict>> = {
  lost: {
    what: 'lost on the way',
    why: 'The number is used and never comes. Its place stays free until the window has moved past it; then the receiver knows that it is lost.',
    rule: 'RFC 4303 §3.4.3',
  },
  held: {
    what: 'held back on the way',
    why: 'The number is used, and the packet is still on the way. While it waits, later ones overtake it.',
    rule: 'RFC 4303 §3.4.3',
  },
  nothing: {
    what: 'nothing happened',
    why: 'There is no such packet: none waits on the way, or none with that place was on the wire yet.',
    rule: '',
  },
};

/** Says what an event was. */
export function explainEvent(event: WindowEvent, run: WindowRun): WindowVerdict {
  const { kind, drop } = event;
  if (kind === 'lost' || kind === 'held' || kind === 'nothing') return WAITS[kind];
  if (!drop) return passed(event, run);
  const { reason, rule } = drop;
  const counter = counterOf(event);
  const { size, esn } = run.settings;
  switch (reason) {
    case 'replay-seen':
      return {
        what: 'refused: seen before',
        counter,
        why: 'The number lies in the window and its bit is set. It is refused before the cipher is asked.',
        rule,
      };
    case 'replay-stale':
      return {
        what: 'refused: left of the window',
        counter,
        why: `The number is ${shown(event.before - event.packet!.number)} behind the highest, and the window is ${size} wide: whether it was seen is forgotten, so it is refused before the cipher is asked. Without ESN it can be no other number.`,
        rule,
      };
    case 'replay-zero':
      return {
        what: 'refused: number 0',
        counter,
        why: 'The low half is 0, and the window is still at the very beginning, where 0 is never sent.',
        rule,
      };
    case 'bad-icv':
      return { counter, ...badIcv(event, esn) };
    case 'out-sequence':
      return {
        what: 'not sent: no number left',
        counter,
        why: 'After 2^32-1 a number would have to be used twice, and with AES-GCM a nonce with it. The sender stops. Only a new key helps.',
        rule,
      };
    default:
      return { what: `refused: ${reason}`, counter, why: drop.look, rule };
  }
}

function counterOf({ drop }: WindowEvent): string {
  const stat = { 'replay-seen': 'replay', 'replay-stale': 'replay-window', 'bad-icv': 'failed' };
  const own = stat[drop!.reason as keyof typeof stat];
  return `${drop!.counter}${own ? `, and ${own} of the SA` : ''}`;
}

function passed(event: WindowEvent, { settings }: WindowRun): WindowVerdict {
  const { before, after, lost, isTwice, packet } = event;
  const rule = 'RFC 4303 §3.4.3';
  if (settings.size === 0) {
    const why = 'Without a window nothing is remembered: the ICV is right, so the packet is let through.';
    if (!isTwice) return { what: 'let through', why, rule };
    return {
      what: 'let through again',
      why: `${why} It is the very packet that came before: a replay, and nothing counts it.`,
      rule,
    };
  }
  const { number } = packet!;
  if (after === before)
    return {
      what: 'let through, late',
      why: `It is ${shown(before - number)} behind the highest number. Its place in the window was free, and is taken now.`,
      rule,
    };
  const crosses = Math.floor(before / U32) < Math.floor(after / U32);
  const high = crosses
    ? ' The low half began again with 0, and the receiver added 1 to the high half by itself.'
    : '';
  if (after === before + 1)
    return { what: 'let through', why: `It is the next number. The window moves on by one.${high}`, rule };
  return {
    what: 'let through, ahead',
    why: `The ICV is right, so the window moves on by ${shown(after - before)}. ${fellOut(lost)}${high}`,
    rule,
  };
}

function fellOut(lost: number): string {
  if (lost === 0) return 'No number that was never seen fell out of it.';
  return lost === 1
    ? 'One number that was never seen fell out of it: lost.'
    : `${shown(lost)} numbers that were never seen fell out of it: lost.`;
}

function badIcv({ packet, guess }: WindowEvent, esn: boolean): Omit<WindowVerdict, 'counter'> {
  const { number, isForged } = packet!;
  if (isForged)
    return {
      what: 'refused: the ICV is wrong',
      why: 'Who made it has no key. The window is moved only by what verified, so it stays where it is.',
      rule: 'RFC 4303 §3.4.3, §3.4.4',
    };
  const halves = `The ICV is checked with high half ${high(guess!)}, and the sender had used ${high(number)}.`;
  return {
    what: 'refused: the ICV is wrong',
    why: !esn
      ? 'The packet was altered, or the keys differ.'
      : guess! > number
        ? `The number lies below the window, and there ESN knows no past: the receiver takes its low half for one of the next 2^32. ${halves} So an old packet looks like a broken one, and no replay is counted.`
        : `A low half does not say which 2^32 it is of. The receiver takes the first that its window allows, and that is too low. ${halves} Every later packet fails like this one.`,
    rule: 'RFC 4303 §3.4.3, §A2.2; Linux xfrm_replay_seqhi',
  };
}

/** As the cipher gets it: the one before 0 is 2^32-1. */
function high(number: number): string {
  return shown(Math.floor(number / U32) >>> 0);
}

/** With thin spaces: 4 294 967 296. */
export function shown(number: number): string {
  return number.toLocaleString('en').replaceAll(',', '\u202f');
}

/** What an action does, in words. */
export function actionText({ kind, count }: WindowAction): string {
  const n = shown(count);
  const packets = count === 1 ? 'one packet' : `${n} packets`;
  switch (kind) {
    case 'send':
      return `send ${packets}`;
    case 'lose':
      return `lose ${packets}`;
    case 'hold':
      return `hold ${packets} back`;
    case 'deliver':
      return `let ${packets} arrive late`;
    case 'replay':
      return `replay packet ${n}`;
    case 'forge':
      return `forge one, ${n} ahead`;
    case 'jump':
      return `jump by ${n}`;
    case 'restart':
      return 'the sender starts again with 1';
  }
}

/** The state of the window in one sentence, for who does not see the picture. */
export function windowText(run: WindowRun): string {
  const { settings, top } = run;
  if (settings.size === 0) return `No window. The highest number let through is ${shown(top)}.`;
  if (top === 0) return `A window of ${settings.size}, with nothing received yet.`;
  const bottom = Math.max(1, top - settings.size + 1);
  let seen = 0;
  for (let n = bottom; n <= top; n++) if (run.cell(n) === 'seen') seen++;
  const free = top - bottom + 1 - seen;
  return `The window goes from ${shown(bottom)} to ${shown(top)}: ${shown(seen)} seen, ${shown(free)} not seen.`;
}
