/**
 * A packet's way for other tools: as a capture with its keys, and as commands.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { writeXfrmPolicy } from '../../sa-text/xfrm-write.ts';
import type { PageFrame } from '../packets/page-packet.ts';
import { rawFrame, saForms } from './copy-forms.ts';
import type { Way, WayStep } from './way.ts';

/** What the capture is called, in the commands too. */
export function captureName({ options: { mode, family, esn } }: Way): string {
  return `esplane-way-${mode}-v${family}${esn ? '' : '-no-esn'}.pcapng`;
}

/** What came to node-2, as a capture there has it. The packet at hand is the last. */
export function framesOf({ record }: Way): PageFrame[] {
  return record.arrived.map(({ bytes, time }, i) => rawFrame(bytes, i + 1, time));
}

/** A text for each tool. */
export function wayForms(way: Way, step: WayStep): { label: string; text: string }[] {
  const file = captureName(way);
  const frame = way.record.arrived.length;
  const tools = saForms([way.out], file, `frame.number==${frame}`).map(({ label, text }) =>
    label === 'ip xfrm'
      ? { label, text: `${text}${writeXfrmPolicy([way.record.intercepted.policy])}` }
      : { label, text },
  );
  return [
    { label: 'esplane explain', text: `esplane explain ${file} --frame ${frame}\n` },
    { label: 'esplane decrypt', text: `esplane decrypt ${file}\n` },
    ...tools,
    { label: 'hex, after this step', text: `${toHex(step.after.bytes)}\n` },
  ];
}
