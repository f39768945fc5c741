/**
 * Compares what `esplane decrypt` says of a simulated node's capture with what the node itself counted.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { DROP, type DropReason, dropRow } from '../../src/ipsec/drop.ts';
import type { NodeReport, ScenarioReport } from '../../src/sim/report.ts';
import { decryptBytes, type Line } from './decrypt.ts';

/** Expects the captures in a folder to yield the report's counts, by reason and counter. IPv4, ranges not given. */
export async function expectSameCounts(report: ScenarioReport, folder: string): Promise<void> {
  const engine = new NodeEngine();
  for (const [i, node] of report.nodes.entries()) {
    const bytes = readFileSync(join(folder, `${node.node}.pcapng`));
    const { lines } = await decryptBytes(bytes, {}, engine);
    const end = `${(i + 1) >> 8}.${(i + 1) & 0xff}`;
    const own = [`10.${end}.1`, `192.168.${end}`];
    const isOwn = ({ dst }: Line) => own.includes(dst);
    const sent = node.encrypted > 0 ? { ok: node.encrypted } : {};
    const went = lines.filter((line) => !isOwn(line));
    expect([node.node, count(went), count(lines.filter(isOwn))]).toEqual([
      node.node,
      sent,
      received(report, node),
    ]);
  }
}

function received({ drops }: ScenarioReport, { node, decrypted }: NodeReport): Record<string, number> {
  const counts: Record<string, number> = {};
  const add = (kind: string, n: number) => {
    if (n > 0) counts[kind] = (counts[kind] ?? 0) + n;
  };
  add('ok', decrypted);
  for (const drop of drops) {
    if (drop.node !== node || drop.direction !== 'in') continue;
    // Cilium asks whether it knows the node before the kernel asks for an SA; a capture knows of SAs alone.
    if (drop.reason === 'no-node-id') add('no-state XfrmInNoStates', drop.count);
    else add(`${drop.reason} ${drop.counter}`, drop.count);
  }
  return counts;
}

/** Packets by verdict and counter: of those that are not opened, the counter of a receiver that has the key at hand. */
function count(lines: readonly Line[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verdict, reason, counter } of lines) {
    const counted = verdict === 'unopened' ? dropRow(DROP[reason as DropReason])!.counter : counter;
    const kind = verdict === 'ok' ? 'ok' : `${reason} ${counted}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
