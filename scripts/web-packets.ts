/**
 * Takes the packets of `src/web/packets/selection.ts` out of `pcaps/`: a plugin for Vite and Vitest that makes the
 * module `virtual:esplane-packets` of them. A frame or a file that is missing ends the build.
 * @module
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { toHex } from '../src/base/bytes.ts';
import { captureReader } from '../src/capture/reader.ts';
import type { Embedded } from '../src/web/packets/page-packet.ts';
import { type PacketChoice, SELECTION } from '../src/web/packets/selection.ts';

const NAME = 'virtual:esplane-packets';
const PCAPS = fileURLToPath(new URL('../pcaps/', import.meta.url));

/** The plugin. */
export function webPackets(): Plugin {
  return {
    name: 'esplane-packets',
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load(id) {
      if (id !== `\0${NAME}`) return undefined;
      const embedded = Object.fromEntries(SELECTION.map((choice) => [choice.id, embed(choice)]));
      return `export const EMBEDDED = ${JSON.stringify(embedded)};`;
    },
  };
}

/**
 * Reads what a choice names.
 * @throws {Error} when a file or a frame is missing
 */
export function embed({ folder, frame, before }: PacketChoice): Embedded {
  const file = `${PCAPS}${folder}/wire.pcap`;
  const wanted = new Set([frame, ...before]);
  const frames = new Map<number, { number: number; seconds: number; nanoseconds: number; hex: string }>();
  let linkType = -1;
  const reader = captureReader(file, {
    frame: (b, at, end, info) => {
      if (!wanted.has(info.number)) return;
      const { number, seconds, nanoseconds } = info;
      linkType = info.linkType;
      frames.set(number, { number, seconds, nanoseconds, hex: toHex(b, at, end) });
    },
  });
  reader.feed(readFileSync(file));
  reader.end();
  const take = (number: number) => {
    const found = frames.get(number);
    if (!found) throw new Error(`${file} has no frame ${number}`);
    return found;
  };
  return {
    linkType,
    frame: take(frame),
    before: before.map(take),
    keys: readFileSync(`${PCAPS}${folder}/keys`, 'utf8'),
    nodes: JSON.stringify(JSON.parse(readFileSync(`${PCAPS}${folder}/ciliumnodes.json`, 'utf8'))),
  };
}
