import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import {
  DEFAULT_VERSION,
  formatVersion,
  hasPerTunnelKeys,
  isAtLeast,
  parseVersion,
} from '../../src/cilium/version.ts';

describe('parseVersion', () => {
  it.each([
    ['1.18', { minor: 18 }],
    ['v1.17.3', { minor: 17, patch: 3 }],
    [' 1.16 ', { minor: 16 }],
    ['1.18.0-rc.1', { minor: 18, patch: 0 }],
    ['v1.19.0-dev+abc', { minor: 19, patch: 0 }],
    ['1.13', { minor: 13 }],
  ])('reads %s', (text, want) => {
    expect(parseVersion(text)).toEqual(want);
  });

  it.each(['', 'latest', '1', '1.x', '1.18.', '1.18.3.4', '1,18', '-1.18', '1.18 1.17', '1.9999'])(
    'refuses %j',
    (text) => {
      expect(() => parseVersion(text)).toThrow(InputError);
    },
  );

  it.each(['1.12', '1.9.6', '0.18', '2.0'])('does not know Cilium %s', (text) => {
    expect(() => parseVersion(text)).toThrow(/^--cilium: Cilium \d+\.\d+ is not known here\. Give /);
  });

  it('prints what it read', () => {
    for (const text of ['1.18', '1.17.3']) expect(formatVersion(parseVersion(text))).toBe(text);
  });
});

describe('what a version does', () => {
  it('defaults to 1.20', () => {
    expect(isAtLeast(DEFAULT_VERSION, 20)).toBe(true);
    expect(isAtLeast(DEFAULT_VERSION, 21)).toBe(false);
  });

  it.each([
    ['1.13.12', false],
    ['1.13.13', true],
    ['1.14.8', false],
    ['1.14.9', true],
    ['1.15.2', false],
    ['1.15.3', true],
    ['1.13', true], // the newest patch release is meant
    ['1.16.0', true],
    ['1.18', true],
  ])('per-tunnel keys in %s: %s', (text, want) => {
    expect(hasPerTunnelKeys(parseVersion(text))).toBe(want);
  });
});
