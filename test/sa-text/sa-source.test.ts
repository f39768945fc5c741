import { describe, expect, it } from 'vitest';
import { parseEspSa } from '../../src/sa-text/esp-sa.ts';
import { isAtOneOf, MOST_FITTING, SaList } from '../../src/sa-text/sa-source.ts';
import { address } from '../support/sa.ts';

/** A row of esp_sa. */
const row = (src: string, dst: string, spi: string, protocol = 'IPv4') =>
  `"${protocol}","${src}","${dst}","${spi}","AES-GCM with 16 octet ICV [RFC4106]","0x4142434445464748494a4b4c4d4e4f5001020304","NULL",""\n`;
const listOf = (text: string) => new SaList(parseEspSa(text, 'x'));
const find = (list: SaList, src: string, dst: string, spi: number) =>
  list.find(address(src), address(dst), spi).map(({ origin }) => origin);

describe('SaList', () => {
  it('finds what is exact before what has wildcards, and the latter in order', () => {
    const list = listOf(
      row('*', '*', '*') +
        row('10.0.0.1', '10.0.0.2', '3') +
        row('10.0.0.*', '*', '0x0000000*') +
        row('*', '10.0.0.2', '3'),
    );
    expect(find(list, '10.0.0.1', '10.0.0.2', 3)).toEqual(['x:2', 'x:4', 'x:1', 'x:3']);
    expect(find(list, '10.0.0.1', '10.0.0.3', 4)).toEqual(['x:1', 'x:3']);
    expect(find(list, '10.0.1.1', '10.0.0.3', 4)).toEqual(['x:1']);
    expect(find(list, 'fd00::1', 'fd00::2', 3)).toEqual([]);
    expect([list.size, list.patterns]).toEqual([4, 2]);
  });

  it('makes of a row with wildcards the SA that is asked for', () => {
    const [sa] = listOf(row('*', '*', '*')).find(address('10.0.0.1'), address('10.0.0.2'), 7);
    expect(sa).toMatchObject({ src: address('10.0.0.1'), dst: address('10.0.0.2'), spi: 7 });
    expect(sa).not.toHaveProperty('pattern');
  });

  it('takes Any for both families', () => {
    const list = listOf(row('', '', '3', 'Any'));
    expect(find(list, 'fd00::1', 'fd00::2', 3)).toEqual(['x:1']);
    expect(find(list, '10.0.0.1', '10.0.0.2', 3)).toEqual(['x:1']);
    expect(find(list, '10.0.0.1', '10.0.0.2', 4)).toEqual([]);
  });

  it('tries no more than a few rows with wildcards on one stream, however many fit', () => {
    const rows = Array.from(
      { length: 100 },
      (_, i) => row('*', '*', `0x000000${(i % 10) + 10}`) + row('*', `*.*.*.${i}`, '*'),
    );
    const list = listOf(rows.join('') + row('*', '*', '*').repeat(100));
    expect(find(list, '10.0.0.1', '10.0.0.2', 0x99)).toHaveLength(MOST_FITTING);
  });

  it('takes rows with wildcards out by their wildcards', () => {
    const list = listOf(row('*', '*', '3') + row('*', '*', '*'));
    const [gone] = parseEspSa(row('*', '*', '*'), 'x');
    expect(list.remove(gone!)).toHaveLength(1);
    expect([list.size, list.patterns]).toEqual([1, 1]);
    const isGone = isAtOneOf([gone!]);
    expect(isGone({ src: address('10.0.0.1'), dst: address('10.0.0.2'), spi: 7 })).toBe(true);
    expect(isGone({ src: address('fd00::1'), dst: address('fd00::2'), spi: 7 })).toBe(false);
    list.shrink(0);
    expect(list.size).toBe(0);
  });
});
