/**
 * Runs the work of `esplane diagnose --json` inside the test process.
 * @module
 */
import { readFileSync } from 'node:fs';
import { seededBytes } from '../../src/base/rng.ts';
import { SECRETS_TYPE_ESP } from '../../src/capture/pcapng.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { type EvidenceOptions, loadEvidence } from '../../src/cli/evidence-options.ts';
import type { Engine } from '../../src/crypto/engine.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import type { StatText } from '../../src/inspect/diagnose/case.ts';
import { Diagnoser } from '../../src/inspect/diagnose/diagnoser.ts';
import type { Diagnosis, Finding } from '../../src/inspect/diagnose/finding.ts';
import { Evidence, type EvidenceOptions as Known } from '../../src/inspect/evidence.ts';
import { CaptureSession } from '../../src/inspect/session.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { saOptions } from './decrypt.ts';
import { feedPacket } from './pcap.ts';
import { ipv4Packet, RANDOM } from './sa.ts';

/** Diagnoses a capture's bytes. */
export async function diagnoseBytes(
  bytes: Uint8Array,
  given: Partial<EvidenceOptions>,
  engine?: Engine,
): Promise<Diagnosis> {
  const own = new CaptureSas(() => {});
  const options = { xfrmStat: [], xfrmPolicy: [], ...saOptions(given), ...given };
  const { evidence, stats, udpPorts } = await loadEvidence(options, own);
  const { session, diagnoser } = sessionOf(evidence, own, stats, udpPorts, engine);
  const reader = captureReader('test', session);
  reader.feed(bytes);
  reader.end();
  return diagnoser.finish();
}

function sessionOf(
  evidence: Evidence,
  own: CaptureSas,
  stats: readonly StatText[],
  udpPorts: readonly number[] = [],
  engine: Engine = new NodeEngine(),
) {
  const diagnoser = new Diagnoser(evidence, stats);
  const random = seededBytes(1);
  const session = new CaptureSession({
    source: 'test.pcap',
    own,
    evidence,
    engine,
    random,
    udpPorts,
    sinks: [diagnoser],
  });
  return { session, diagnoser };
}

/** Diagnoses a capture file. */
export function diagnoseFile(
  file: string,
  given: Partial<EvidenceOptions>,
  engine?: Engine,
): Promise<Diagnosis> {
  return diagnoseBytes(readFileSync(file), given, engine);
}

/** What a capture holds, in order: a raw IP packet, or the text of a secrets block. */
export type Step = Uint8Array | { readonly secrets: string };

/** Diagnoses packets, `seconds` apart. */
export function diagnosePackets(
  steps: readonly Step[],
  known: Known,
  { seconds = 1, stats = [] }: { seconds?: number; stats?: readonly StatText[] } = {},
): Diagnosis {
  const own = new CaptureSas(() => {});
  const { session, diagnoser } = sessionOf(new Evidence({ own, ...known }), own, stats);
  let number = 0;
  for (const step of steps) {
    if ('secrets' in step) {
      session.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(step.secrets));
      continue;
    }
    feedPacket(session, number + 1, number++ * seconds, step);
  }
  return diagnoser.finish();
}

/** Seals packets, counting on from `hi`, `lo`. */
export function sender(config: SaConfig, lo = 0, given: { hi?: number; ivSalt?: Uint8Array } = {}) {
  const { hi = 0, ivSalt } = given;
  const end = new TunnelEnd(config, new NodeEngine(), {
    ...RANDOM,
    startAfter: { hi, lo },
    ...(ivSalt && { ivSalt }),
  });
  return (inner = ipv4Packet(100)) => {
    const outcome = end.encapsulate(inner);
    if (outcome.verdict !== 'ok') throw new Error(outcome.reason);
    return outcome.packet.slice();
  };
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
