/**
 * Captures with random bytes altered: whatever comes, there is a diagnosis, its figures add up, and every finding is one
 * of the table.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../../src/base/rng.ts';
import { FINDINGS } from '../../../src/inspect/diagnose/table.ts';
import { diagnoseBytes } from '../../support/diagnose.ts';
import { CAPTURES, needs, shared } from '../../support/needs.ts';
import { sample } from '../../support/sample.ts';

const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/** Alters about one byte in each third frame, and leaves the file's structure alone. */
function altered(file: string, seed: number): Uint8Array {
  const bytes = new Uint8Array(readFileSync(file));
  const view = new DataView(bytes.buffer);
  const next = xorshift32(seed);
  for (let at = FILE_HEADER; at < bytes.length; ) {
    const len = view.getUint32(at + 8, true);
    at += RECORD_HEADER;
    if (next() % 3 === 0) {
      // Often in the headers, where it hurts most.
      const reach = next() % 2 === 0 ? Math.min(len, 80) : len;
      bytes[at + (next() % reach)]! ^= 1 << (next() % 8);
    }
    at += len;
  }
  return bytes;
}

needs([shared('captures')], 'altered captures', () => {
  const names = readdirSync(CAPTURES, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );
  const codes = new Set<string>(FINDINGS.map(({ code }) => code));

  describe.each(names)('%s', (name) => {
    it.each(sample([1, 2, 3], 3))('seed %i', async (seed) => {
      const { receivers, streams, findings, notes } = await diagnoseBytes(
        altered(`${CAPTURES}/${name}/wire.pcap`, seed),
        { xfrmState: ['n2', 'n1'].map((node) => `${CAPTURES}/${name}/${node}.xfrm_state.txt`) },
      );
      for (const { packets, ok, missing, duplicates, late, reordered } of streams) {
        expect(ok).toBeLessThanOrEqual(packets);
        expect((duplicates ?? 0) + (late ?? 0)).toBeLessThanOrEqual(packets);
        expect(Math.min(missing ?? 0, reordered ?? 0)).toBeGreaterThanOrEqual(0);
      }
      for (const { counters } of receivers) {
        for (const [row, n] of Object.entries(counters))
          expect([row.startsWith('XfrmIn'), n > 0]).toEqual([true, true]);
      }
      for (const { code, summary, frames } of [...findings, ...notes]) {
        expect(codes).toContain(code);
        expect(summary).not.toMatch(/undefined|NaN|Infinity/);
        expect(frames).toEqual([...new Set(frames)].sort((a, b) => a - b));
      }
    });
  });
});
