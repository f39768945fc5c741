/**
 * Runs the work of `esplane diagnose --json` inside the test process.
 * @module
 */
import { readFileSync } from 'node:fs';
import { seededBytes } from '../../src/base/rng.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { type EvidenceOptions, loadEvidence } from '../../src/cli/evidence-options.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { CaptureSas } from '../../src/inspect/capture-sas.ts';
import { Diagnoser } from '../../src/inspect/diagnose/diagnoser.ts';
import type { Diagnosis, Finding } from '../../src/inspect/diagnose/finding.ts';
import { saOptions } from './decrypt.ts';

/** Diagnoses a capture's bytes. */
export async function diagnoseBytes(bytes: Uint8Array, given: Partial<EvidenceOptions>): Promise<Diagnosis> {
  const own = new CaptureSas();
  const options = { xfrmStat: [], xfrmPolicy: [], ...saOptions(given), ...given };
  const { evidence, stats, udpPorts } = await loadEvidence(options, own);
  const diagnoser = new Diagnoser({
    source: 'test',
    evidence,
    stats,
    udpPorts,
    engine: new NodeEngine(),
    random: seededBytes(1),
  });
  const reader = captureReader('test', {
    frame: (b, at, end, info) => diagnoser.frame(b, at, end, info),
    secrets: (_, data) => diagnoser.forget(own.read(data, 'test')),
  });
  reader.feed(bytes);
  reader.end();
  return diagnoser.finish();
}

/** Diagnoses a capture file. */
export function diagnoseFile(file: string, given: Partial<EvidenceOptions>): Promise<Diagnosis> {
  return diagnoseBytes(readFileSync(file), given);
}

/** The codes that were found: sorted, each once. */
export function codesOf(findings: readonly Finding[]): string[] {
  return [...new Set(findings.map(({ code }) => code))].sort();
}

/** The rows of a `/proc/net/xfrm_stat` that are not zero. */
export function xfrmStatOf(file: string): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const [, row = '', n] of readFileSync(file, 'utf8').matchAll(/^(\w+)\s+(\d+)$/gm)) {
    if (Number(n) > 0) rows[row] = Number(n);
  }
  return rows;
}
