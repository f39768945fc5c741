import { describe, expect, it } from 'vitest';
import { esplane } from '../support/cli.ts';

const COMMANDS = [
  ['extcap'],
  ['capture'],
  ['decrypt'],
  ['diagnose'],
  ['check'],
  ['explain'],
  ['sas'],
  ['xfrm'],
  ['keys'],
  ['keys', 'generate'],
  ['keys', 'rotate'],
  ['keys', 'derive'],
  ['run'],
  ['node'],
  ['status'],
  ['conform'],
  ['conform', 'make'],
  ['conform', 'judge'],
  ['conform', 'run'],
  ['demo'],
  ['lab'],
  ['suites'],
  ['doctor'],
];

describe('every command', () => {
  it.each(COMMANDS.map((words) => [words.join(' '), words] as const))(
    '%s --help shows an example',
    (_, words) => {
      const { code, stdout } = esplane([...words, '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: esplane ${words.join(' ')}`);
      expect(stdout).toMatch(/Examples?:.*\n\s+\S/);
    },
  );

  it.each(
    [['decrypt'], ['node', '--config', 'node.yaml'], ['keys', 'rotate']].map((words) => [words[0], words]),
  )('%s ends with 2 on an unknown option', (_, words) => {
    const { code, stderr } = esplane([...words!, '--no-such-option']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/unknown option '--no-such-option'/);
  });
});

describe('esplane', () => {
  it('says its version', () => {
    expect(esplane(['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });

  it.each(['decypher', 'constructor', '__proto__'])('ends with 2 on the unknown command %s', (name) => {
    const { code, stderr } = esplane([name]);
    expect(stderr).toMatch(/^error: unknown command/);
    expect(code).toBe(2);
  });

  it('shows its help and ends with 2 when it is told nothing', () => {
    const { code, stderr } = esplane([]);
    expect(code).toBe(2);
    expect(stderr).toContain('Commands:');
  });
});
