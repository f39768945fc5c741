/**
 * What one node of a rotation sees on its device, as a pcapng file with its keys: what `esplane run -w` writes.
 * @module
 */
import { SECRETS_TYPE_ESP } from '../../capture/pcapng.ts';
import { PcapngWriter } from '../../capture/pcapng-writer.ts';
import type { Engine } from '../../crypto/engine.ts';
import { writeDsbCsv } from '../../inspect/dsb-csv.ts';
import { runRotation } from './rotation.ts';
import type { RotationPlan } from './rotation-plan.ts';

/** Runs the plan again and keeps what `node` sees, such as `node-2`. */
export function rotationCapture(plan: RotationPlan, node: string, engine: Engine): Uint8Array {
  const parts: Uint8Array[] = [];
  const file = new PcapngWriter((bytes) => parts.push(bytes));
  const encoder = new TextEncoder();
  runRotation(plan, {
    engine,
    record: (name) =>
      name !== node
        ? undefined
        : {
            interface: (description) => file.interface(description),
            comment: (text) => file.comment(text),
            frame: (b, at, end, meta) => file.frame(b, at, end, meta),
            sas: (sas) =>
              file.secrets(SECRETS_TYPE_ESP, encoder.encode(writeDsbCsv(sas, { showKeys: true }))),
          },
  });
  file.flush();
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
