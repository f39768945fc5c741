/** `esplane conform`, as a user runs it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { esplane, tempFolder } from '../support/cli.ts';

const folder = tempFolder();
const test = join(folder, 'gcm');
const make = (...args: readonly string[]) => esplane(['conform', 'make', ...args]);
const judge = (...args: readonly string[]) => esplane(['conform', 'judge', test, ...args]);
const SUITE = ['--suite', 'rfc4106(gcm(aes))', '--frames', '300'];

describe('conform', () => {
  it('makes a folder, the same one for the same seed', () => {
    expect(make(...SUITE, '-o', test)).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/300 frames of \d+ behaviours/),
    });
    expect(make(...SUITE, '-o', `${test}-2`)).toMatchObject({ code: 0 });
    for (const name of [
      'wire.pcapng',
      'verdicts.jsonl',
      'peer.sh',
      'esp_sa',
      'sas.json',
      'state',
      'policy',
      'node.yaml',
      'README.md',
    ])
      expect(readFileSync(join(test, name)).equals(readFileSync(join(`${test}-2`, name))), name).toBe(true);
  });

  it('judges what esplane decrypts: all as expected', () => {
    const clear = join(folder, 'clear.pcapng');
    expect(
      esplane(['decrypt', join(test, 'wire.pcapng'), '--xfrm-state', join(test, 'peer.state'), '-w', clear])
        .code,
    ).toBe(0);
    const { code, stdout } = judge('--decrypted', clear);
    expect(stdout).toMatch(/300 frames: 300 as expected, 0 differ\n$/);
    expect(code).toBe(0);
    // What was sent is not what came out.
    const { code: differs, stdout: rows } = judge('--decrypted', join(test, 'wire.pcapng'), '--json');
    expect(differs).toBe(1);
    expect(JSON.parse(rows.trim().split('\n').at(-1)!)).toMatchObject({ summary: { frames: 300 } });
  });

  it('judges counters by their sums', () => {
    const lines = readFileSync(join(test, 'verdicts.jsonl'), 'utf8').trim().split('\n');
    const counts = new Map<string, number>();
    for (const line of lines) {
      const { counter } = JSON.parse(line) as { counter: string | null };
      if (counter) counts.set(counter, (counts.get(counter) ?? 0) + 1);
    }
    const text = (more: number) =>
      [...counts].map(([name, n]) => `${name.padEnd(24)}\t${7 + more * n}\n`).join('');
    const [before, after] = [join(folder, 'before'), join(folder, 'after')];
    writeFileSync(before, text(0));
    writeFileSync(after, text(1));
    expect(judge('--xfrm-stat', before, after)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/, 0 differ\n$/),
    });
    writeFileSync(after, text(2));
    expect(judge('--xfrm-stat', before, after)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^DIFFERS +Xfrm/m),
    });
  });

  it.each([
    [['make', '--suite', 'rot13', '-o', test], /--suite: there is no suite rot13/],
    [
      ['make', '--suite', 'cbc(aes)', '--frames', '10', '-o', test],
      /--frames: 10 frames do not hold every behaviour once/,
    ],
    [['make', '--suite', 'cbc(aes)', '--window', '5000', '-o', test], /Give a whole number from 0 to 4096/],
    [['make', '--suite', 'cbc(aes)', '--skip', 'nope', '-o', test], /--skip: there is no behaviour nope/],
    [['judge', test], /it takes one source of what was seen/],
    [['judge', folder, '--replies', 'nope'], /verdicts.jsonl/],
    [['judge', test, '--xfrm-stat', 'one'], /it takes two texts/],
  ])('ends with 2 and says why: %j', (args, what) => {
    const { code, stderr } = esplane(['conform', ...args]);
    expect(stderr).toMatch(what);
    expect(code).toBe(2);
  });
});
