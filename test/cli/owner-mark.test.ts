import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { isOwnerGone, ownerMark } from '../../src/cli/owner-mark.ts';
import { needs, program, ROOT } from '../support/needs.ts';

/** No process has it: it is above what Linux gives out. */
const GONE = 2 ** 22 + 1;
const DIST = fileURLToPath(new URL('../../dist/cli/owner-mark.js', import.meta.url));

describe('isOwnerGone', () => {
  it('tells a process that is gone from one that runs', () => {
    expect([ownerMark(GONE), ownerMark(process.pid), ownerMark(1)].map(isOwnerGone)).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('knows nothing of other PID namespaces, and of what is no mark', () => {
    const [here] = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))!;
    expect(isOwnerGone(`${GONE}-${here}`)).toBe(true);
    expect([`${GONE}-${Number(here) + 1}`, `${GONE}-`, `x${GONE}`, '', 'notes'].map(isOwnerGone)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});

needs([ROOT, program('unshare', 'util-linux')], 'in a PID namespace of its own', () => {
  it.each([[['--mount-proc']], [[]]])('a process leaves alone what runs outside (unshare %j)', (options) => {
    const outside = ownerMark(process.pid);
    const code = `import { isOwnerGone, ownerMark } from ${JSON.stringify(DIST)};
      console.log(JSON.stringify({ gone: isOwnerGone(${JSON.stringify(outside)}), mark: ownerMark(${GONE}), own: isOwnerGone(ownerMark(${GONE})) }));`;
    const node = [process.execPath, '--input-type=module', '-e', code];
    const { stdout, stderr } = spawnSync('unshare', ['--pid', '--fork', ...options, ...node], {
      encoding: 'utf8',
    });
    const inside = JSON.parse(stdout || stderr) as { gone: boolean; mark: string; own: boolean };
    expect(inside).toMatchObject({ gone: false, own: true });
    // And the other way round.
    expect(inside.mark).not.toBe(ownerMark(GONE));
    expect(isOwnerGone(inside.mark)).toBe(false);
  });
});
