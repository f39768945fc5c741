/**
 * Frames of captures, explained inside the test process.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { seededBytes } from '../../src/base/rng.ts';
import type { FrameInfo } from '../../src/capture/frame.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { loadOpening } from '../../src/cli/evidence-options.ts';
import type { SaOptions } from '../../src/cli/sa-options.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Explainer } from '../../src/inspect/explain/explain.ts';
import { type Explanation, type Field, walkFields } from '../../src/inspect/explain/tree.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { saOptions } from './decrypt.ts';
import { CAPTURES } from './needs.ts';

/** A frame of a capture, copied. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly info: FrameInfo;
}

/** All frames of a capture file. */
export function framesOf(file: string): Frame[] {
  const frames: Frame[] = [];
  const reader = captureReader(file, {
    frame: (b, at, end, info) => frames.push({ bytes: b.slice(at, end), info: { ...info } }),
  });
  reader.feed(readFileSync(file));
  reader.end();
  return frames;
}

/** Every capture file of every folder of `captures/`. */
export function captureFiles(): string[] {
  return readdirSync(CAPTURES, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pcap'))
    .map((name) => `${CAPTURES}/${name}`)
    .sort();
}

/** An explainer with the SAs that the options name. */
export async function explainerWith(options?: Partial<SaOptions>): Promise<Explainer> {
  const sas = options && (await loadOpening(saOptions(options), new CaptureSas(() => {})));
  return new Explainer({
    evidence: sas?.evidence,
    engine: new NodeEngine(),
    random: seededBytes(1),
    udpPorts: sas?.udpPorts ?? [],
  });
}

/** The first field with this id, in the packet or one inside. */
export function fieldOf(explanation: Explanation, id: string): Field | undefined {
  for (const { field } of walkFields(explanation.packet)) if (field.id === id) return field;
  return undefined;
}
