/**
 * A rotation for other tools: what one node sees on its device, as a pcapng file with its keys, as `esplane run -w` writes
 * it; the scenario file; and the SAs.
 * @module
 */
import { SECRETS_TYPE_ESP } from '../../capture/pcapng.ts';
import { PcapngWriter } from '../../capture/pcapng-writer.ts';
import type { Engine } from '../../crypto/engine.ts';
import { writeDsbCsv } from '../../sa-text/dsb-csv.ts';
import { saForms } from './copy-forms.ts';
import { type RotationRun, runRotation } from './rotation.ts';
import { type RotationPlan, scenarioText } from './rotation-plan.ts';

const SCENARIO = 'lab-rotation.yaml';
/** Whose capture the commands are about: it talks with both of the others. */
const NODE = 2;

/** @param node from 1 */
export function captureName(node: number): string {
  return `esplane-rotation-node-${node}.pcapng`;
}

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

/**
 * A text for each tool.
 * @param run of this plan or one just before it: a run does not change keys. Without it there are no SAs yet
 */
export function rotationForms(plan: RotationPlan, run: RotationRun | undefined) {
  const text = scenarioText(plan);
  const capture = captureName(NODE);
  return [
    { label: 'scenario file', text },
    {
      label: 'esplane run',
      text: `cat > ${SCENARIO} <<'EOF'\n${text}EOF\nesplane run ${SCENARIO}\n`,
    },
    { label: 'esplane decrypt', text: `esplane decrypt ${capture}\nesplane diagnose ${capture}\n` },
    ...(run ? saForms(run.sas[NODE - 1]!, capture, 'esp') : []),
  ];
}
