import { describe, expect, it } from 'vitest';
import { isDeep, MAX_DEPTH, MAX_YAML, readYaml, YamlText, yamlValue } from '../../src/base/yaml-text.ts';

const problemOf = (text: string) => readYaml(text).problem;

describe('readYaml', () => {
  it.each([
    ['a block mapping', 'a: 1\nb: 2\na: 3\n', 10],
    ['a flow mapping', '{a: 1, "a": 2}', 7],
    ['a mapping in a list in a mapping', 'x:\n- {b: 1}\n- k: 1\n  k: 2\n', 21],
    ['a mapping that is a key', '? {a: 1, a: 2}\n: 1\n', 9],
    ['a pair in a flow list', '[x: {a: 1, a: 2}]', 11],
    ['a number and a text that JSON would not tell apart', '1: a\n"1": b\n', 5],
    ['the second document', 'a: 1\n---\nb: 1\nb: 2\n', 14],
  ])('finds the second key in %s', (_, text, at) => {
    expect(problemOf(text)).toMatchObject({ code: 'DUPLICATE_KEY', at });
  });

  it.each(['a: {k: 1}\nb: {k: 2}\n', '- k: 1\n- k: 2\n', 'a: 1\n---\na: 2\n', '', '# nothing\n'])(
    'has no complaint about %j',
    (text) => {
      expect(problemOf(text)).toBeUndefined();
    },
  );

  it('takes 100 levels, and refuses more, in every way of nesting', () => {
    const ways: ((depth: number) => string)[] = [
      (depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`,
      (depth) => `${'{a: '.repeat(depth)}b${'}'.repeat(depth)}`,
      (depth) => `${'- '.repeat(depth)}x`,
      (depth) => Array.from({ length: depth }, (__, i) => `${' '.repeat(i)}k:\n`).join(''),
    ];
    for (const way of ways) {
      const fits = readYaml(way(MAX_DEPTH));
      expect(fits.problem).toBeUndefined();
      expect(isDeep((yamlValue(fits.documents[0]!) as { value: unknown }).value, false)).toBe(false);
      for (const depth of [MAX_DEPTH + 1, 3 * MAX_DEPTH, 100_000]) {
        if (depth > 1000 && way === ways[3]) continue; // 5 GB of blanks
        expect(problemOf(way(depth)), way(1)).toMatchObject({ code: 'TOO_DEEP' });
      }
    }
  });

  it('refuses aliases that nest deeper than the text does', () => {
    const levels = (inside: string) => `${'['.repeat(60)}${inside}${']'.repeat(60)}`;
    const { documents, problem } = readYaml(`- &a ${levels('x')}\n- ${levels('*a')}\n`);
    expect(problem).toBeUndefined();
    expect(yamlValue(documents[0]!)).toMatchObject({ code: 'TOO_DEEP' });
  });

  it('refuses many aliases, which the library would look up one by one', () => {
    expect(problemOf(`- &a x\n${'- *a\n'.repeat(2_000)}`)).toMatchObject({
      code: 'TOO_LONG',
      detail: 'more than 2,000 anchors and aliases',
    });
  });

  it('refuses what is too long, and says what to do', () => {
    expect(problemOf(' '.repeat(MAX_YAML + 1))).toEqual({
      at: 0,
      code: 'TOO_LONG',
      detail: 'more than 8 MiB of YAML',
      remedy: 'Give it as JSON (kubectl -o json), which may be longer.',
    });
  });
});

describe('YamlText', () => {
  it('names the line of a key that is there twice', () => {
    expect(() => new YamlText('a: 1\nb:\n  c: 1\n  c: 2\n', 'f.yaml')).toThrow(
      'f.yaml:4: not YAML: the key c stands here twice. Correct the line.',
    );
  });

  it('cuts a long key, and escapes what a terminal would act on', () => {
    const key = `"\\e[2J${'x'.repeat(990)}"`;
    const read = () => new YamlText(`${key}: 1\n${key}: 2\n`, 'f.yaml');
    expect(read).toThrow(/^f\.yaml:2: not YAML: the key \\u001b\[2Jx{970,}…\. Correct the line\.$/);
  });
});
