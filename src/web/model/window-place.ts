/**
 * The window's chapter as an address: settings, actions, and how many of them are done.
 * @module
 */
import { SIZES, type WindowSettings } from './window.ts';
import { formatActions, parseActions, type WindowAction } from './window-actions.ts';
import { WINDOW_PRESETS, type WindowPreset } from './window-presets.ts';

export interface WindowPlace {
  readonly settings: WindowSettings;
  readonly actions: readonly WindowAction[];
  /** Actions that are done. */
  readonly at: number;
  /** What of the address could not be used, for people. */
  readonly problem?: string;
}

type Params = Readonly<Record<string, string | undefined>>;

const U32 = 2 ** 32;
/** Where a chapter begins that no address says anything about. */
const FIRST = WINDOW_PRESETS.find(({ id }) => id === 'late-beyond')!;

/** Where the sender stands before the first action. */
export const STARTS = [
  { value: '0', label: 'a new SA', needsEsn: false },
  { value: '5000', label: '5000 packets old', needsEsn: false },
  { value: String(U32 - 8), label: '8 before 2^32', needsEsn: false },
  { value: String(7 * U32 - 8), label: '8 before 7 × 2^32', needsEsn: true },
] as const;

/** Reads an address. What is not there is as in a new SA of Cilium; where nothing is there, a scene. */
export function placeOf(params: Params): WindowPlace {
  if (['w', 'esn', 'from', 'a'].every((name) => params[name] === undefined))
    return placeOfPreset(FIRST, params);
  const problems: string[] = [];
  const size = SIZES.find((one) => String(one) === (params['w'] ?? '1024'));
  if (size === undefined) problems.push(`a window of “${short(params['w'])}”: there are ${SIZES.join(', ')}`);
  const esn = (params['esn'] ?? '1') === '1' && size !== 0;
  const start = /^\d{1,15}$/.test(params['from'] ?? '0') ? Number(params['from'] ?? '0') : Number.NaN;
  const isStart = start < (esn ? 2 ** 48 : U32);
  if (!isStart)
    problems.push(`“${short(params['from'])}” is no number of an SA ${esn ? 'with' : 'without'} ESN`);
  const parsed = parseActions(params['a'] ?? '');
  if ('problem' in parsed) problems.push(parsed.problem);
  const actions = 'problem' in parsed ? [] : parsed.actions;
  return {
    settings: { size: size ?? 1024, esn, start: isStart ? start : 0 },
    actions,
    at: doneOf(params, actions),
    ...(problems.length > 0 && { problem: problems.join('; ') }),
  };
}

/** The scene that a place is, whatever of it is done. */
export function presetOf({ settings, actions }: WindowPlace): WindowPreset | undefined {
  const text = formatActions(actions);
  const { size, esn, start } = settings;
  return WINDOW_PRESETS.find(
    (one) =>
      one.actions === text &&
      one.settings.size === size &&
      one.settings.esn === esn &&
      one.settings.start === start,
  );
}

/** The place of a scene, all of it done. */
export function placeOfPreset({ settings, actions: text }: WindowPreset, params: Params = {}): WindowPlace {
  const parsed = parseActions(text);
  const actions = 'problem' in parsed ? [] : parsed.actions;
  return { settings, actions, at: doneOf(params, actions) };
}

/** Parameters of a place. */
export function paramsOf({ settings: { size, esn, start }, actions, at }: WindowPlace): Params {
  return {
    w: String(size),
    esn: esn ? '1' : '0',
    from: start === 0 ? undefined : String(start),
    a: formatActions(actions),
    at: at === actions.length ? undefined : String(at),
    see: undefined,
  };
}

function doneOf(params: Params, actions: readonly WindowAction[]): number {
  const text = params['at'];
  return text !== undefined && /^\d{1,3}$/.test(text)
    ? Math.min(Number(text), actions.length)
    : actions.length;
}

function short(text = ''): string {
  return text.slice(0, 20);
}
