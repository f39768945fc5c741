import { describe, expect, it } from 'vitest';
import { esplane } from '../support/cli.ts';

const COMMANDS = [
  ['extcap'],
  ['capture'],
  ['decrypt'],
  ['sas'],
  ['keys', 'generate'],
  ['keys', 'rotate'],
  ['keys', 'derive'],
  ['demo'],
  ['lab'],
];

/** What a command does not start without. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  'keys derive': ['--keys', 'keys', '--src', '10.0.0.1', '--dst', '10.0.0.2'],
};

describe('every command', () => {
  it.each(COMMANDS.map((words) => [words.join(' '), words] as const))(
    '%s --help shows an example',
    (_, words) => {
      const { code, stdout } = esplane([...words, '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: esplane ${words.join(' ')}`);
      expect(stdout).toMatch(/Examples?:\n\s+\S/);
    },
  );

  it.each(COMMANDS.map((words) => [words.join(' '), words] as const))(
    '%s ends with 2 on an unknown option',
    (_, words) => {
      const { code, stderr } = esplane([...words, ...(REQUIRED[words.join(' ')] ?? []), '--no-such-option']);
      expect(code).toBe(2);
      expect(stderr).toMatch(/unknown option '--no-such-option'/);
    },
  );
});

describe('esplane', () => {
  it('says its version', () => {
    expect(esplane(['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });

  it('ends with 2 on an unknown command', () => {
    expect(esplane(['decypher']).code).toBe(2);
  });

  it('shows its help and ends with 2 when it is told nothing', () => {
    const { code, stderr } = esplane([]);
    expect(code).toBe(2);
    expect(stderr).toContain('Commands:');
  });
});
