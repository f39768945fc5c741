/**
 * `esplane explain`: one packet, byte by byte.
 * @module
 */

import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { grouped } from '../base/count-text.ts';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { captureReader } from '../capture/reader.ts';
import { ExplainSink, explainBytes, guessLinkType } from '../inspect/explain/explain.ts';
import type { Explanation } from '../inspect/explain/tree.ts';
import { parseHexDump } from '../inspect/hex-dump.ts';
import { type Moment, PacketTimes } from '../inspect/packet-time.ts';
import { SCHEMA } from '../inspect/schema.ts';
import { CaptureSession } from '../inspect/session.ts';
import { CaptureSas } from '../sa-text/capture-sas.ts';
import * as linkType from '../wire/link-type.ts';
import { addEngineOption, type EngineName, makeEngine } from './engine.ts';
import { loadOpening } from './evidence-options.ts';
import { explainText } from './explain-text.ts';
import { readText } from './files.ts';
import { FILES_ARGUMENT, type GivenFiles, isVersionGiven, noCapture, takeFiles } from './given-files.ts';
import { Output, Progress, USUAL_WIDTH, warn } from './output.ts';
import { addTimeOption, positive, type TimeOptions } from './packet-options.ts';
import { paintFor } from './paint.ts';
import { BytesRead } from './read-capture.ts';
import { addSaOptions, type SaOptions } from './sa-options.ts';

const LINK_TYPES: Readonly<Record<string, number>> = {
  ethernet: linkType.LINK_ETHERNET,
  ip: linkType.LINK_RAW,
  sll: linkType.LINK_LINUX_SLL,
  sll2: linkType.LINK_LINUX_SLL2,
  null: linkType.LINK_NULL,
  loop: linkType.LINK_LOOP,
};

interface ExplainCommandOptions extends SaOptions, TimeOptions {
  readonly frame?: number;
  readonly linkType?: number;
  readonly json?: boolean;
  readonly brief?: boolean;
  readonly width?: number;
  readonly showKeys?: boolean;
  readonly crypto: EngineName;
}

/** Adds the command. */
export function explainCommand(program: Command): void {
  const command = program
    .command('explain')
    .description(
      'Explain a packet byte by byte; with SAs, what is inside ESP and what becomes of it. Or a counter, a finding, a reason of drops.',
    )
    .argument(
      '<packet...>',
      `hexadecimal text, - for text on standard input, or a capture with --frame; ${FILES_ARGUMENT}; or a name, such as XfrmInNoStates`,
    )
    .option('--frame <number>', 'which frame of the capture, counted from 1 as Wireshark does', positive)
    .option(
      '--link-type <type>',
      'first header of hexadecimal text: ethernet, ip, sll, sll2, null, loop or a LINKTYPE_ number (default: what it looks like)',
      linkTypeArgument,
    )
    .option('--json', 'the tree, or the pages of a name, as one JSON object')
    .option('--brief', 'leave out what the fields mean')
    .option('--width <columns>', 'write for a terminal this wide (default: the one at hand)', positive)
    .option('--show-keys', 'show the salt, which is a part of the key material');
  addEngineOption(addSaOptions(addTimeOption(command)))
    .addHelpText(
      'after',
      `
Examples:
  esplane explain wire.pcap keys.yaml nodes.json --frame 55
  esplane explain 450000540000400040010000 0af4010a0af40214 …
  tcpdump -c 1 -xx esp | esplane explain - --xfrm-state n2.txt
  esplane explain XfrmInStateProtoError
  esplane explain stale-boot-id

Hexadecimal text may be bare digits, or a dump of xxd, hexdump -C, tcpdump -x, -xx, -X, or Wireshark. Of a capture
every frame before the one asked for goes through the windows too, so that they stand where the receiver's stood.

Names are the counters of /proc/net/xfrm_stat, the codes of findings and the reasons of drops (docs/diagnose.md).

Exit status: 0 explained, as far as it can be read; 2 unusable input.`,
    )
    .action(explain);
}

async function explain(
  args: readonly string[],
  named: ExplainCommandOptions,
  command: Command,
): Promise<void> {
  if (named.frame === undefined && (await explainNames(args, named))) return;
  const digits = named.frame === undefined ? args.filter((arg) => !isFile(arg)) : [];
  const given = await takeFiles(
    args.filter((arg) => !digits.includes(arg)),
    named,
    {
      subject: 'packet or capture',
      diagnoses: false,
      opens: true,
      counters: false,
      isVersionGiven: isVersionGiven(command),
    },
  );
  const { options } = given;
  const own = new CaptureSas(warn);
  const { evidence, udpPorts, warnings } = await loadOpening(options, own, given.bootIds);
  for (const warning of warnings) warn(warning);
  const engine = await makeEngine(options.crypto);
  const base = { evidence, engine, random: secureBytes, udpPorts };
  const showKeys = options.showKeys ?? false;
  let explanation: Explanation;
  let start: Moment | undefined;
  const times = new PacketTimes(options.time, () => start);
  if (options.frame !== undefined) {
    if (options.linkType !== undefined) {
      throw new InputError(
        { source: '--link-type' },
        'a capture says it itself',
        'Leave it out with --frame.',
      );
    }
    const { frame } = options;
    const capture = given.captures[0] ?? given.unknown;
    if (capture === undefined) throw noCapture();
    const session = (onExplanation: (explanation: Explanation) => void) => {
      const sink = new ExplainSink({
        ...{ evidence, udpPorts, showKeys, onExplanation },
        wants: ({ number }) => number === frame,
      });
      return new CaptureSession({ ...base, source: capture, own, sinks: [sink] });
    };
    const found = await explainFrame(capture, frame, session);
    ({ explanation, start } = found);
    // The frame before is the line before.
    if (found.before) times.text(found.before);
  } else {
    const bytes = digits.length > 0 ? parseHexDump(digits.join(' '), 'packet') : readPacket(given);
    const type = options.linkType ?? guessLinkType(bytes);
    explanation = explainBytes(bytes, type, { ...base, showKeys });
  }
  const out = new Output();
  if (options.json) out.write(`${JSON.stringify({ ...explanation, schema: SCHEMA }, null, 2)}\n`);
  else {
    const width = options.width ?? process.stdout.columns ?? USUAL_WIDTH;
    out.write(
      explainText(explanation, {
        width,
        paint: paintFor(process.stdout),
        brief: options.brief ?? false,
        times,
      }),
    );
  }
  await out.flush();
}

/**
 * Prints the pages of names, where all arguments are names.
 * @throws {InputError} when the only argument is nearly one
 */
async function explainNames(
  args: readonly string[],
  { json, width }: ExplainCommandOptions,
): Promise<boolean> {
  // Digits and files are no names, and need not wait for the tables.
  if (!args.every((arg) => /^(?=.*[g-z])[a-z][a-z\d-]{3,40}$/i.test(arg) && !existsSync(arg))) return false;
  const { pageNames, pagesOf } = await import('../inspect/diagnose/pages.ts');
  const pages = args.map(pagesOf);
  const unknown = args[pages.findIndex((found) => found.length === 0)];
  if (unknown !== undefined) {
    const { closestMatch } = await import('leven');
    const meant = closestMatch(unknown, pageNames(), { maxDistance: Math.min(4, unknown.length >> 2) });
    if (meant === undefined) return false;
    throw new InputError(
      { source: unknown },
      'no counter, finding or drop has this name',
      `Did you mean ${meant}?`,
    );
  }
  const { pageText } = await import('./page-text.ts');
  const out = new Output();
  if (json) out.write(`${JSON.stringify({ pages: pages.flat(), schema: SCHEMA }, null, 2)}\n`);
  else
    out.write(
      pageText(pages.flat(), paintFor(process.stdout), width ?? process.stdout.columns ?? USUAL_WIDTH),
    );
  await out.flush();
  return true;
}

/** Is an argument a file, rather than digits? A name of one that is not there is no packet, either. */
function isFile(arg: string): boolean {
  return arg === '-' || existsSync(arg) || /[/\\]|\.[a-z]\w{1,7}$/i.test(arg);
}

/** The bytes of a file, or of standard input. */
function readPacket({ captures: [capture], packet, unknown }: GivenFiles<unknown>): Uint8Array {
  if (capture !== undefined) {
    throw new InputError({ source: capture }, 'is a capture', 'Say which of its frames: --frame 1.');
  }
  const name = packet ?? unknown;
  if (name === undefined) {
    throw new InputError(
      { source: 'explain' },
      'there is no packet',
      'Give a packet in hexadecimal, or a capture and --frame.',
    );
  }
  return parseHexDump(readText(name), name);
}

interface ExplainedFrame {
  readonly explanation: Explanation;
  /** The times of the capture's first frame, and of the one before. */
  readonly start: Moment | undefined;
  readonly before: Moment | undefined;
}

/** Reads a capture up to a frame, and explains that one. */
async function explainFrame(
  capture: string,
  frame: number,
  open: (onExplanation: (explanation: Explanation) => void) => CaptureSession,
): Promise<ExplainedFrame> {
  let found: Explanation | undefined;
  let before: Moment | undefined;
  const session = open((explanation) => {
    found = explanation;
  });
  let frames = 0;
  const reader = captureReader(capture, {
    frame: (b, at, end, info) => {
      if (found) return;
      frames = info.number;
      session.frame(b, at, end, info);
      if (!found && info.hasTime) before = { seconds: info.seconds, nanoseconds: info.nanoseconds };
    },
    release: () => session.release(),
    secrets: (type, data) => {
      if (!found) session.secrets(type, data);
    },
  });
  const progress = new Progress('explain');
  const read = new BytesRead([capture]);
  for await (const chunk of read.chunks(capture)) {
    reader.feed(chunk);
    progress.update(() => `${read.share()}${grouped(frames)} frames`);
    if (found) break;
  }
  progress.done();
  if (found) return { explanation: found, start: session.start, before };
  reader.end();
  throw new InputError(
    { source: capture },
    `there is no frame ${frame}: the capture has ${grouped(frames)}`,
    'Count from 1, as Wireshark and decrypt --json do.',
  );
}

function linkTypeArgument(text: string): number {
  const known = Object.hasOwn(LINK_TYPES, text) ? LINK_TYPES[text] : undefined;
  const value = known ?? (/^\d{1,5}$/.test(text) ? Number(text) : Number.NaN);
  if (!linkType.isKnownLinkType(value)) {
    throw new InvalidArgumentError(
      `Give one of ${Object.keys(LINK_TYPES).join(', ')}, or a LINKTYPE_ number.`,
    );
  }
  return value;
}
