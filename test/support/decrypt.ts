/**
 * Runs the work of `esplane decrypt --json` inside the test process.
 * @module
 */
import { readFileSync } from 'node:fs';
import { seededBytes } from '../../src/base/rng.ts';
import { textOf } from '../../src/base/text-buffer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { DEFAULT_VERSION } from '../../src/cilium/version.ts';
import { loadOpening } from '../../src/cli/evidence-options.ts';
import type { SaOptions } from '../../src/cli/sa-options.ts';
import type { Engine } from '../../src/crypto/engine.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import type { EspEvent } from '../../src/inspect/esp-event.ts';
import type { ReceiverTotals } from '../../src/inspect/receiver.ts';
import { CaptureSession } from '../../src/inspect/session.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';

interface Ends {
  src: string | null;
  dst: string | null;
}

/** A line of `decrypt --json`. */
export interface Line {
  frame: number;
  time?: string | null;
  src: string;
  dst: string;
  spi: number | null;
  seq: string | null;
  verdict: 'ok' | 'drop' | 'unopened';
  reason?: string | null;
  counter: string | null;
  /** Only where it is false. */
  authenticated?: false;
  inner: string | null;
  overlay: { vni: number; frame: string } | null;
  carrier: { vni: number } | null;
  carriers?: string[];
  basis?: 'told' | 'assumed';
  openedBy?: string | null;
  node?: Ends | null;
  packet?: {
    src: string;
    dst: string;
    proto: number;
    sport: number | null;
    dport: number | null;
    length: number;
  } | null;
  pod?: Ends | null;
  /** Only in IP-TFS. */
  nextHeader?: 144;
  subtype?: number;
  blockOffset?: number;
  padBytes?: number;
  held?: boolean;
  counted?: string[];
  inners?: string[];
  packets?: ({ packet: Line['packet']; pod: Ends | null } | null)[];
  schema?: 1;
}

/** A record as its line says it. */
export function lineOf(record: EspEvent, json: PacketJson): Line {
  return JSON.parse(textOf((out) => json.put(out, record))) as Line;
}

/** SA options of the command line, with the defaults filled in. */
export function saOptions(given: Partial<SaOptions>): SaOptions {
  return { keys: [], nodes: [], cilium: DEFAULT_VERSION, xfrmState: [], espSa: [], ...given };
}

/**
 * Decrypts a capture's bytes; returns the parsed lines and the totals.
 * @param chunk when given, packets are opened in place, in one buffer of so many bytes, which is used again and again
 */
export async function decryptBytes(
  bytes: Uint8Array,
  options: Partial<SaOptions>,
  engine: Engine,
  chunk?: number,
): Promise<{ lines: Line[]; totals: ReceiverTotals }> {
  // Without options, by what the capture brings along.
  const own = new CaptureSas(() => {});
  const sas = await loadOpening(saOptions(options), own);
  const lines: Line[] = [];
  const json = new PacketJson();
  const session = new CaptureSession({
    source: 'test',
    own,
    evidence: sas.evidence,
    engine,
    random: seededBytes(1),
    udpPorts: sas.udpPorts,
    // A sink that reads wire bytes keeps packets from being opened in place.
    sinks: [{ packet: (event) => lines.push(lineOf(event, json)), needsWire: chunk === undefined }],
  });
  const reader = captureReader('test', session);
  if (chunk === undefined) reader.feed(bytes);
  else {
    const buffer = new Uint8Array(chunk);
    for (let at = 0; at < bytes.length; at += chunk) {
      const piece = bytes.subarray(at, at + chunk);
      buffer.set(piece);
      reader.feed(buffer.subarray(0, piece.length));
      buffer.fill(0xee);
    }
  }
  reader.end();
  session.receiver.flush();
  return { lines, totals: session.receiver.totals };
}

/** Decrypts a capture file. */
export async function decryptFile(
  file: string,
  options: Partial<SaOptions>,
  engine: Engine,
): Promise<Line[]> {
  return (await decryptBytes(readFileSync(file), options, engine)).lines;
}

/** The expected lines beside a capture. */
export function readLines(file: string): Line[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

/** What `expected.jsonl` fixes: all fields but time and reason, and those that came later. */
export function fixedFields(line: Line): Partial<Line> {
  const { time: _time, reason: _reason, basis: _basis, openedBy: _openedBy, ...rest } = line;
  const { node: _node, packet: _packet, pod: _pod, schema: _schema, ...fixed } = rest;
  return fixed;
}
