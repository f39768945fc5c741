/**
 * Runs the work of `esplane check` inside the test process.
 * @module
 */
import { seededBytes } from '../../src/base/rng.ts';
import type { CiliumNode } from '../../src/cilium/nodes.ts';
import type { PodAddresses } from '../../src/cilium/pod-addresses.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Checker } from '../../src/inspect/check/checker.ts';
import type { CheckReport } from '../../src/inspect/check/report.ts';
import { Evidence, type EvidenceOptions as Known } from '../../src/inspect/evidence.ts';
import { Names } from '../../src/inspect/names.ts';
import { type FilterSpec, NO_FILTER } from '../../src/inspect/packet-filter.ts';
import { CaptureSession } from '../../src/inspect/session.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { feedPacket } from './pcap.ts';
import { address } from './sa.ts';

/** Three nodes, each with one range of pods. */
export const NODES: CiliumNode[] = [1, 2, 3].map((n) => ({
  name: `node-${n}`,
  ciliumAddresses: [address(`10.0.${n}.1`)],
  nodeAddresses: [address(`192.168.0.${n}`)],
  bootId: `00000000-0000-0000-0000-00000000000${n}`,
  keyId: 3,
  podCidrs: [parsePrefix(`10.0.${n}.0/24`)!],
  source: 'nodes.json',
}));

/** Seconds between packets, names of pods, and what is asked for. */
export interface CheckWith extends Partial<FilterSpec> {
  readonly seconds?: number;
  readonly names?: readonly PodAddresses[];
  /** Does reading end when all have come that are asked for? */
  readonly ends?: boolean;
}

/** Checks raw IP packets, `seconds` apart. */
export function checkPackets(
  packets: Iterable<Uint8Array>,
  known: Known,
  { seconds = 0.0001, names = [], ends = false, ...asked }: CheckWith = {},
): CheckReport {
  const filter = { ...NO_FILTER, ...asked };
  const own = new CaptureSas(() => {});
  const evidence = new Evidence({ own, ...known });
  const checker = new Checker({ evidence, names: new Names(evidence, names), filter });
  const session = new CaptureSession({
    source: 'test.pcap',
    own,
    evidence,
    engine: new NodeEngine(),
    random: seededBytes(1),
    sinks: checker.sinks,
  });
  let number = 0;
  for (const packet of packets) {
    feedPacket(session, number + 1, number++ * seconds, packet);
    if (ends && checker.frames.isOver) break;
  }
  return checker.finish();
}
