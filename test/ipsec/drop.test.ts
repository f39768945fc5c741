import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DROP, DROPS, dropRow, dropRowOf } from '../../src/ipsec/drop.ts';
import { parseXfrmStat } from '../../src/sa-text/xfrm-stat.ts';
import { PASS } from '../../src/wire/packet.ts';
import { needs, SHARED, shared } from '../support/needs.ts';

describe('the drop table', () => {
  it('names every reason once', () => {
    const reasons = DROPS.map((row) => row.reason);
    expect(new Set(reasons).size).toBe(reasons.length);
    for (const reason of reasons) expect(reason).toMatch(/^[a-z]+(-[a-z]+)*$/);
  });

  it('gives codes that fit the byte of Batch.verdict, and never PASS', () => {
    const verdict = new Uint8Array(1);
    const codes = DROPS.map((row) => DROP[row.reason]);
    expect(new Set(codes).size).toBe(DROPS.length);
    DROPS.forEach((row, i) => {
      verdict[0] = codes[i]!;
      expect(verdict[0]).not.toBe(PASS);
      expect(dropRow(verdict[0]!)).toBe(row);
    });
  });

  it('has no row for a packet that passed, nor for a code that nobody gave', () => {
    expect(dropRow(PASS)).toBeUndefined();
    expect(dropRow(DROPS.length + 1)).toBeUndefined();
  });

  it('has the row of every reason', () => {
    for (const row of DROPS) expect(dropRowOf(row.reason)).toBe(row);
  });

  it('says who counts what xfrm does not', () => {
    for (const row of DROPS) {
      expect(row.counter === null, row.reason).toBe('elsewhere' in row);
      expect(row.rule.length, row.reason).toBeGreaterThan(0);
      expect(row.look, row.reason).toMatch(/^[A-Z].*\.$/);
    }
  });
});

needs([shared('captures-linux-7.2')], "the kernels' own counters", () => {
  const rowsOf = (folder: string) => {
    const text = readFileSync(`${SHARED}captures-linux-7.2/${folder}/n2.xfrm_stat`, 'utf8');
    return [...parseXfrmStat(text, folder).keys()];
  };

  it('have every name that the table uses, from the kernel on that it says', () => {
    const [first, last] = [rowsOf('linux-6.1-alg-rmd160-tra'), rowsOf('iptfs-plain')];
    expect([first.length, last.length]).toEqual([28, 32]);
    for (const { counter, since, reason } of DROPS) {
      if (counter === null) continue;
      expect(last, reason).toContain(counter);
      expect(first.includes(counter), reason).toBe(since === undefined);
    }
  });
});
