/**
 * Runs the work of `esplane check` inside the test process.
 * @module
 */
import { seededBytes } from '../../src/base/rng.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Checker } from '../../src/inspect/check/checker.ts';
import type { CheckReport } from '../../src/inspect/check/report.ts';
import { Diagnoser } from '../../src/inspect/diagnose/diagnoser.ts';
import { Evidence, type EvidenceOptions as Known } from '../../src/inspect/evidence.ts';
import { CaptureSession } from '../../src/inspect/session.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';

/** Checks raw IP packets, `seconds` apart. */
export function checkPackets(
  packets: Iterable<Uint8Array>,
  known: Known,
  { seconds = 0.0001 }: { seconds?: number } = {},
): CheckReport {
  const own = new CaptureSas(() => {});
  const evidence = new Evidence({ own, ...known });
  const diagnoser = new Diagnoser(evidence);
  const checker = new Checker(evidence, diagnoser);
  const session = new CaptureSession({
    source: 'test.pcap',
    own,
    evidence,
    engine: new NodeEngine(),
    random: seededBytes(1),
    sinks: [diagnoser, checker],
  });
  let number = 0;
  for (const packet of packets) {
    const time = 1_700_000_000 + number * seconds;
    session.frame(packet, 0, packet.length, {
      number: ++number,
      seconds: Math.floor(time),
      nanoseconds: Math.round((time % 1) * 1e9),
      hasTime: true,
      interfaceId: 0,
      linkType: LINK_RAW,
      originalLength: packet.length,
      byte: 0,
    });
  }
  return checker.finish();
}
