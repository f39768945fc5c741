import { describe, expect, it } from 'vitest';
import { makePaint, paintFor } from '../../src/cli/paint.ts';

describe('colours', () => {
  it.each([
    ['a terminal', { isTTY: true }, {}, true],
    ['a pipe', {}, {}, false],
    ['NO_COLOR', { isTTY: true }, { NO_COLOR: '1' }, false],
    ['NO_COLOR, but empty', { isTTY: true }, { NO_COLOR: '' }, true],
    ['a dumb terminal', { isTTY: true }, { TERM: 'dumb' }, false],
  ])('%s', (_, stream, env, want) => {
    expect(paintFor(stream, env).red('x') === '\x1b[31mx\x1b[0m').toBe(want);
    expect(paintFor(stream, env).red('x') === 'x').toBe(!want);
  });

  it('paints, or leaves text alone', () => {
    expect(makePaint(true).bold('x')).toBe('\x1b[1mx\x1b[0m');
    expect(makePaint(false).green('x')).toBe('x');
  });
});
