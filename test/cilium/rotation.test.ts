import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { Rotation, type RotationOptions } from '../../src/cilium/rotation.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { GCM, keysFrom } from '../support/cilium-cluster.ts';

const KEY = (id: number, digit: string) => `${id}+ ${GCM.replace('4443', `${digit}${digit}43`)}`;
const MINUTE = 60_000;

function rotation(options: Partial<RotationOptions> = {}) {
  return new Rotation({ version: parseVersion('1.18'), ...options });
}

/** Everything that is done by `until`, as `kind id @ ms`. */
function drain(r: Rotation, until: number): string[] {
  const done: string[] = [];
  for (let step = r.due(until); step; step = r.due(until))
    done.push(`${step.kind} ${step.keyId} @${step.at}`);
  return done;
}

describe('the order of a rotation', () => {
  it('installs, then advertises, then sends', () => {
    const r = rotation();
    expect(r.take(keysFrom(KEY(3, '1')), 0)).toBe(true);
    expect(drain(r, 0)).toEqual(['install 3 @0', 'advertise 3 @0', 'send 3 @0']);
    r.take(keysFrom(KEY(4, '2')), 1000);
    expect(drain(r, 1000)).toEqual(['install 4 @1000', 'advertise 4 @1000', 'send 4 @1000']);
  });

  it('to teach: advertises while it still installs, as Cilium did before March 2026', () => {
    const r = rotation({ order: 'advertise-first', installTime: 700 });
    r.take(keysFrom(KEY(3, '1')), 0);
    expect(drain(r, 0)).toEqual(['advertise 3 @0']);
    expect(r.nextAt).toBe(700);
    expect(drain(r, 699)).toEqual([]);
    expect(drain(r, 700)).toEqual(['install 3 @700', 'send 3 @700']);
  });

  it('to teach: takes any order, for a key that follows another', () => {
    const r = rotation({ steps: { install: 300, advertise: 100, send: 200 } });
    r.take(keysFrom(KEY(3, '1')), 0);
    expect(drain(r, 0)).toEqual(['install 3 @0', 'advertise 3 @0', 'send 3 @0']);
    r.take(keysFrom(KEY(4, '2')), 1000);
    expect(drain(r, 2000)).toEqual(['advertise 4 @1100', 'send 4 @1200', 'install 4 @1300']);
    const tied = rotation({ steps: { install: 0, advertise: 0, send: 0 } });
    tied.take(keysFrom(KEY(3, '1')), 0);
    drain(tied, 0);
    tied.take(keysFrom(KEY(4, '2')), 50);
    expect(drain(tied, 50)).toEqual(['install 4 @50', 'advertise 4 @50', 'send 4 @50']);
  });

  it('begins a second rotation when the first has finished', () => {
    const r = rotation({ installTime: 500 });
    r.take(keysFrom(KEY(3, '1')), 0);
    r.take(keysFrom(KEY(4, '2')), 100);
    r.take(keysFrom(KEY(5, '3')), 200);
    expect(drain(r, 10_000).filter((text) => text.startsWith('install'))).toEqual([
      'install 3 @500',
      'install 4 @1000',
      'install 5 @1500',
    ]);
  });
});

describe('an old key', () => {
  it('stays for five minutes, and goes when the reclaimer looks next', () => {
    const r = rotation();
    r.take(keysFrom(KEY(3, '1')), 0);
    drain(r, 0);
    r.take(keysFrom(KEY(4, '2')), 90_000);
    drain(r, 90_000);
    expect(r.nextAt).toBe(7 * MINUTE); // 1.5 + 5 minutes, at a whole one
    expect(drain(r, 7 * MINUTE - 1)).toEqual([]);
    expect(r.ids).toEqual([3, 4]);
    expect(drain(r, 7 * MINUTE)).toEqual([`reclaim 3 @${7 * MINUTE}`]);
    expect([r.ids, r.current, r.nextAt]).toEqual([[4], 4, undefined]);
  });

  it('stays as long as --key-rotation-duration says', () => {
    const r = rotation({ keyRotationDuration: 0 });
    r.take(keysFrom(KEY(3, '1')), 0);
    r.take(keysFrom(KEY(4, '2')), 1);
    expect(drain(r, MINUTE).at(-1)).toBe(`reclaim 3 @${MINUTE}`);
  });

  it('is held when it stands before the new one in the file, which nobody had before', () => {
    const r = rotation();
    r.take(keysFrom(`${KEY(3, '1')}\n${KEY(4, '2')}`), 0);
    expect(drain(r, 0)).toEqual(['install 3 @0', 'install 4 @0', 'advertise 4 @0', 'send 4 @0']);
    expect([r.lines(3).length, r.lines(4).length]).toEqual([1, 1]);
    expect(drain(r, 5 * MINUTE)).toEqual([`reclaim 3 @${5 * MINUTE}`]);
  });

  it('goes in its time also while a new one is still being installed', () => {
    const r = rotation({ installTime: 10 * MINUTE });
    r.take(keysFrom(`${KEY(3, '1')}\n${KEY(4, '2')}`), 0);
    expect(drain(r, 0)).toEqual(['install 3 @0']);
    expect(r.nextAt).toBe(5 * MINUTE);
    expect(drain(r, 20 * MINUTE).slice(0, 2)).toEqual([
      `reclaim 3 @${5 * MINUTE}`,
      `install 4 @${10 * MINUTE}`,
    ]);
  });

  it('goes last when new steps are due at the same time', () => {
    const r = rotation({ installTime: 5 * MINUTE });
    r.take(keysFrom(`${KEY(3, '1')}\n${KEY(4, '2')}`), 0);
    const kinds = drain(r, 5 * MINUTE).map((text) => text.split(' ')[0]);
    expect(kinds).toEqual(['install', 'install', 'advertise', 'send', 'reclaim']);
  });

  it.each([
    ['in the order in which they were replaced', [3, 4, 5], [0, 90_000, 210_000], ['3 @7', '4 @9']],
    ['at one look those that came first', [3, 4, 5], [0, 10_000, 20_000], ['3 @6', '4 @6']],
    ['a key that came back counts anew', [3, 4, 3, 5], [0, 1, 60_000, 180_000], ['4 @6', '3 @8']],
  ] as const)('of several goes each in its time: %s', (_, ids, times, expected) => {
    const r = rotation();
    for (const [i, id] of ids.entries()) r.take(keysFrom(KEY(id, `${id}`)), times[i]!);
    drain(r, times.at(-1)!);
    const reclaimed = expected.map((text) => {
      const [id, minute] = text.split(' @');
      return `reclaim ${id} @${Number(minute) * MINUTE}`;
    });
    expect(r.nextAt).toBe(Number(reclaimed[0]!.split('@')[1]));
    expect(drain(r, 20 * MINUTE)).toEqual(reclaimed);
  });
});

describe('what is no rotation', () => {
  it.each([
    ['a new key under the old id', '1.18', KEY(3, '2'), /id is still 3/],
    ['the same in 1.17', '1.17', KEY(3, '2'), /id is still 3/],
    ['another key length', '1.18', KEY(4, '2').replace(/128$/, '96'), /key length/],
  ])('%s in %s', (_, version, line, problem) => {
    const r = rotation({ version: parseVersion(version) });
    r.take(keysFrom(KEY(3, '1'), version), 0);
    drain(r, 0);
    const take = () => r.take(keysFrom(line, version), 1);
    expect(take).toThrow(InputError);
    expect(take).toThrow(problem);
    expect(take).toThrow(/^keys:1: .*\.$/);
    expect([r.current, r.ids, drain(r, 1)]).toEqual([3, [3], []]);
  });

  it('to 1.16 a key may change under its id, and to 1.17 its length', () => {
    const r = rotation({ version: parseVersion('1.16') });
    r.take(keysFrom(KEY(3, '1'), '1.16'), 0);
    drain(r, 0);
    expect(r.take(keysFrom(KEY(3, '2'), '1.16'), 1)).toBe(false);
    expect(r.lines(3)[0]!.material.key()[0]).toBe(0x22);
    expect(r.take(keysFrom(KEY(4, '2').replace(/128$/, '96'), '1.16'), 2)).toBe(true);
  });

  it('no keys at all', () => {
    const r = rotation();
    expect([r.take([], 0), r.current, r.nextAt]).toEqual([false, 0, undefined]);
  });

  it('the same file again', () => {
    const r = rotation();
    const keys = keysFrom(KEY(3, '1'));
    r.take(keys, 0);
    drain(r, 0);
    expect([r.take(keys, 1), drain(r, 1), r.nextAt]).toEqual([false, [], undefined]);
  });
});
