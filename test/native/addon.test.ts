import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ABI, addon, loadAddon } from '../../src/native/addon.ts';
import { ADDON, needs } from '../support/needs.ts';

const throwing = (error: Error) => () => {
  throw error;
};

describe('loadAddon', () => {
  it.each([
    [
      'none was built',
      throwing(Object.assign(new Error('x'), { code: 'MODULE_NOT_FOUND' })),
      'it was not built',
    ],
    [
      'it cannot be loaded',
      throwing(new Error('bad ELF\nstack')),
      'bad ELF. Build it anew: npm run build:addon',
    ],
    ['it is from before versions', () => ({ closeFd: () => 0 }), 'it has no version, this is version'],
    [
      'it is older',
      () => ({ abi: ABI - 1 }),
      `it is version ${ABI - 1}, this is version ${ABI}. Build it anew`,
    ],
    [
      'it is newer',
      () => ({ abi: ABI + 1 }),
      `it is version ${ABI + 1}, this is version ${ABI}. Build it anew`,
    ],
  ])('says in one line what to do when %s', (_, load, line) => {
    let said: Error & { code?: string } = new Error();
    try {
      loadAddon(load);
    } catch (error) {
      said = error as Error;
    }
    expect(said.code).toBe('ERR_NO_ADDON');
    expect(said.message).toContain(line);
    expect(said.message).toMatch(/npm run build:addon$/);
    expect(said.message).not.toContain('\n');
  });

  it('asks for the version that the sources have', () => {
    const source = readFileSync(new URL('../../native/src/addon.cc', import.meta.url), 'utf8');
    expect(source).toContain(`constexpr int ABI = ${ABI};`);
  });
});

needs([ADDON], 'the addon', () => {
  it('has that version', () => {
    expect(addon().abi).toBe(ABI);
  });
});
