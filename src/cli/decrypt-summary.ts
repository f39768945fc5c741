/**
 * What was read of a capture and what became of it, in a few lines.
 * @module
 */
import type { CaptureDecryptor, DecryptTotals } from '../inspect/decrypt.ts';
import { dropRow } from '../ipsec/drop.ts';
import { grouped } from './output.ts';

/** @param capture name of the file or interface */
export function decryptSummary(capture: string, decryptor: CaptureDecryptor): string {
  const t: DecryptTotals = decryptor.totals;
  const lines = [
    `${capture}: ${grouped(t.frames)} frames, ${grouped(t.esp)} ESP packets: ${grouped(t.ok)} decrypted, ${grouped(t.esp - t.ok)} dropped`,
  ];
  for (const [verdict, count] of [...t.dropped].sort((a, b) => b[1] - a[1])) {
    const row = dropRow(verdict)!;
    lines.push(`  ${grouped(count)} ${row.reason} (${row.counter ?? row.elsewhere}): ${row.look}`);
  }
  const { pending, stats } = decryptor.reassembler;
  const beside = [
    [t.other, 'without ESP'],
    [t.keepalives, 'NAT keepalives'],
    [t.ike, 'IKE'],
    [t.broken, 'not readable as IP'],
    [pending + stats.timedOut + stats.evicted, 'packets of which fragments are missing'],
    [stats.overlapping + stats.malformed, 'fragments that contradict others'],
  ] as const;
  const parts = beside.filter(([count]) => count > 0).map(([count, what]) => `${grouped(count)} ${what}`);
  if (parts.length > 0) lines.push(`  other frames: ${parts.join(', ')}`);
  return lines.join('\n');
}
