/**
 * What was read of a capture and what became of it, in a few lines.
 * @module
 */
import type { CaptureDecryptor, DecryptTotals } from '../inspect/decrypt.ts';
import { besideCounts, dropCounts } from '../inspect/decrypt-counts.ts';
import { grouped } from './output.ts';

/** @param capture name of the file or interface */
export function decryptSummary(capture: string, decryptor: CaptureDecryptor): string {
  const t: DecryptTotals = decryptor.totals;
  const lines = [
    `${capture}: ${grouped(t.frames)} frames, ${grouped(t.esp)} ESP packets: ${grouped(t.ok)} decrypted, ${grouped(t.esp - t.ok)} dropped`,
  ];
  if (t.unauthenticated > 0)
    lines.push(
      `  ${grouped(t.unauthenticated)} decrypted unauthenticated: no ICV was checked, and any of them may be forged`,
    );
  for (const { row, count } of dropCounts(decryptor)) {
    lines.push(`  ${grouped(count)} ${row.reason} (${row.counter ?? row.elsewhere}): ${row.look}`);
  }
  const parts = besideCounts(decryptor).map(({ what, count }) => `${grouped(count)} ${what}`);
  if (parts.length > 0) lines.push(`  other frames: ${parts.join(', ')}`);
  if (t.skippedAh > 0) lines.push(`  AH: ${grouped(t.skippedAh)} headers taken off, their ICVs not checked`);
  return lines.join('\n');
}
