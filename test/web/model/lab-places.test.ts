/**
 * The addresses of the chapters about the window and about rotation, and the captures that they save.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NodeEngine } from '../../../src/crypto/node.ts';
import { withSecrets } from '../../../src/web/model/copy-forms.ts';
import {
  rotationParamsOf,
  rotationPlaceOf,
  rotationPresetOf,
} from '../../../src/web/model/rotation-place.ts';
import { ROTATION_PRESETS } from '../../../src/web/model/rotation-plan.ts';
import { runWindow } from '../../../src/web/model/window.ts';
import { arrivedFrames, stateText } from '../../../src/web/model/window-capture.ts';
import { rangesOf, rowsOf } from '../../../src/web/model/window-grid.ts';
import { paramsOf, placeOf, placeOfPreset, presetOf } from '../../../src/web/model/window-place.ts';
import { WINDOW_PRESETS } from '../../../src/web/model/window-presets.ts';
import { decryptBytes } from '../../support/decrypt.ts';

const preset = (id: string) => placeOfPreset(WINDOW_PRESETS.find((one) => one.id === id)!);

describe('the address of a window', () => {
  it.each(WINDOW_PRESETS)('keeps the scene $id', (scene) => {
    const place = placeOfPreset(scene);
    expect(placeOf(paramsOf(place))).toEqual(place);
    expect(presetOf(place)).toBe(scene);
    expect(placeOf(paramsOf({ ...place, at: 0 })).at).toBe(0);
  });

  it('is a scene where it says nothing, and a new SA of Cilium where it says only actions', () => {
    expect(presetOf(placeOf({}))?.id).toBe('late-beyond');
    expect(placeOf({ a: 's' }).settings).toEqual({ size: 1024, esn: true, start: 0 });
    expect(placeOf({ w: '0', esn: '1' }).settings.esn).toBe(false);
    expect(placeOf({ a: 's3', at: '999' }).at).toBe(1);
  });
});

describe('the picture of a window', () => {
  it('has every number of the window once, in rows that begin at multiples', () => {
    const { settings, actions } = preset('across');
    const run = runWindow(settings, actions);
    const rows = rowsOf(run, 32);
    for (const { first } of rows) expect(first % 32).toBe(0);
    const inside = rows.flatMap(({ cells }) => cells).filter((cell) => cell === 'seen' || cell === 'open');
    expect(inside).toHaveLength(32);
    expect(rangesOf(run).reduce((sum, { from, to }) => sum + to - from + 1, 0)).toBe(32);
    expect(rowsOf(run, 32, rows[0]!.first - 33).length).toBe(rows.length + 2);
    expect(rowsOf(run, 32, 5).length).toBe(rows.length);
  });
});

describe('the address of a rotation', () => {
  it.each(ROTATION_PRESETS)('keeps the scene $id', (scene) => {
    expect(rotationPlaceOf(rotationParamsOf(scene.plan))).toEqual({ plan: scene.plan });
    expect(rotationPresetOf(scene.plan)).toBe(scene);
  });
});

describe('the capture of a window', () => {
  it.each(WINDOW_PRESETS)('is judged by `decrypt` as by the page: $id', async (scene) => {
    const { settings, actions } = placeOfPreset(scene);
    const run = runWindow(settings, actions);
    const folder = mkdtempSync(join(tmpdir(), 'esplane-lab-'));
    try {
      const file = join(folder, 'state.txt');
      writeFileSync(file, stateText(run));
      const bytes = withSecrets(arrivedFrames(run), [run.config]);
      const { lines } = await decryptBytes(bytes, { xfrmState: [file] }, new NodeEngine());
      const arrived = run.events.filter(({ guess }) => guess !== undefined);
      expect(lines.map(({ counter }) => counter)).toEqual(arrived.map(({ drop }) => drop?.counter ?? null));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
