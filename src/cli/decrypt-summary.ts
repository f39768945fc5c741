/**
 * What was read of a capture and what became of it, in a few lines.
 * @module
 */
import { grouped } from '../base/count-text.ts';
import { besideCounts, dropCounts } from '../inspect/decrypt-counts.ts';
import type { KeyUses } from '../inspect/key-use.ts';
import type { PacketFilter } from '../inspect/packet-filter.ts';
import type { Receiver } from '../inspect/receiver.ts';
import { SCHEMA } from '../inspect/schema.ts';

/**
 * @param capture name of the file or interface
 * @param hasSas false where nothing was given, nor did the capture bring it along, that opens packets
 */
export function decryptSummary(
  capture: string,
  receiver: Receiver,
  hasSas: boolean,
  keyUses: KeyUses,
): string {
  const t = receiver.totals;
  const unopened = dropCounts(t.unopened);
  const dropped = dropCounts(t.dropped);
  const sum = (counts: typeof dropped) => counts.reduce((all, { count }) => all + count, 0);
  const parts = [`${grouped(t.ok)} decrypted`, `${grouped(sum(dropped))} dropped`];
  if (unopened.length > 0) parts.push(`${grouped(sum(unopened))} not opened`);
  const lines = [
    `${capture}: ${grouped(t.frames)} frames, ${grouped(t.esp)} ESP packets: ${parts.join(', ')}`,
  ];
  if (t.unauthenticated > 0)
    lines.push(
      `  ${grouped(t.unauthenticated)} decrypted unauthenticated: no ICV was checked, and any of them may be forged`,
    );
  for (const { row, count } of dropped)
    lines.push(`  ${grouped(count)} ${row.reason} (${row.counter ?? row.elsewhere}): ${row.look}`);
  if (!hasSas && t.esp > 0)
    lines.push(
      '  no security associations are given: --keys with --nodes, --xfrm-state or --esp-sa open packets',
    );
  else
    for (const { row, count } of unopened)
      lines.push(`  ${grouped(count)} not opened, ${row.reason}: what the receiver did is not known`);
  const beside = besideCounts(receiver).map(({ what, count }) => `${grouped(count)} ${what}`);
  if (beside.length > 0) lines.push(`  other frames: ${beside.join(', ')}`);
  if (t.skippedAh > 0) lines.push(`  AH: ${grouped(t.skippedAh)} headers taken off, their ICVs not checked`);
  for (const line of keyUses.lines()) lines.push(`  ${line}`);
  return lines.join('\n');
}

/** How many packets a filter kept, in a line. */
export function filterSummary({ kept, isFull }: PacketFilter): string {
  return `  kept by the filter: ${grouped(kept)}${isFull ? ', as many as asked for' : ''}`;
}

/** The same as an object: the last line of `--json --summary`. */
export function summaryJson(captures: readonly string[], receiver: Receiver, filter?: PacketFilter) {
  const t = receiver.totals;
  const byReason = (counts: ReadonlyMap<number, number>) =>
    Object.fromEntries(dropCounts(counts).map(({ row, count }) => [row.reason, count]));
  return {
    summary: {
      captures,
      frames: t.frames,
      esp: t.esp,
      ok: t.ok,
      unauthenticated: t.unauthenticated,
      dropped: byReason(t.dropped),
      unopened: byReason(t.unopened),
      beside: Object.fromEntries(besideCounts(receiver).map(({ what, count }) => [what, count])),
      kept: filter?.kept ?? null,
    },
    schema: SCHEMA,
  };
}
