/**
 * A receiver of captures inside the test process.
 * @module
 */

import type { Engine } from '../../src/crypto/engine.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import type { EspEvent } from '../../src/inspect/esp-event.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import { type EspSink, Receiver } from '../../src/inspect/receiver.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { RANDOM } from './sa.ts';

export interface ReceiverGiven {
  readonly onPacket?: (event: EspEvent) => void;
  readonly sinks?: readonly EspSink[];
  readonly udpPorts?: readonly number[];
  readonly inPlace?: boolean;
  readonly engine?: Engine;
}

/** One that assumes these SAs: no kernel's text says them. */
export function receiverOf(sas: readonly SaConfig[], given: ReceiverGiven = {}): Receiver {
  return receiverWith(new Evidence({ listed: sas }), given);
}

/** One that knows this. */
export function receiverWith(
  evidence: Evidence,
  { onPacket, sinks = [], udpPorts, inPlace = false, engine = new NodeEngine() }: ReceiverGiven = {},
): Receiver {
  return new Receiver({
    evidence,
    engine,
    random: RANDOM.random,
    udpPorts,
    inPlace,
    sinks: onPacket ? [{ packet: onPacket }, ...sinks] : sinks,
  });
}
