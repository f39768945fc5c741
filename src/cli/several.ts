/**
 * Several captures of one command: read once beforehand, to find out which are of one place and how their clocks differ, so that
 * each packet then counts once, and what two places saw is compared.
 * @module
 */

import { basename } from 'node:path';
import type { Command } from 'commander';
import { grouped } from '../base/count-text.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import type { FrameSink } from '../capture/frame.ts';
import { FrameNames } from '../capture/frame-id.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { captureReader } from '../capture/reader.ts';
import type { FrameTimes } from '../inspect/diagnose/frame-times.ts';
import { Evidence } from '../inspect/evidence.ts';
import type { ReadEvidence } from '../inspect/evidence-texts.ts';
import type { Comparison } from '../inspect/places/compare.ts';
import { Once } from '../inspect/places/once.ts';
import { CaptureSession, type CaptureSink } from '../inspect/session.ts';
import { CaptureSas } from '../sa-text/capture-sas.ts';
import { parseAddress } from '../wire/address.ts';
import { type EngineName, makeEngine } from './engine.ts';
import type { BootIds } from './evidence-options.ts';
import { readChunks, unpackedCapture } from './files.ts';
import {
  type GivenFiles,
  type GivenOptions,
  isVersionGiven,
  noCapture,
  takeFiles,
  type Use,
} from './given-files.ts';
import { Progress, say, warn } from './output.ts';
import { capturesName, type ReadEnd, type ReadOptions, readCaptures } from './read-capture.ts';
import { collect } from './sa-options.ts';
import { Interrupt } from './signals.ts';

/** What a command that reads captures to their end is given. */
export interface GivenCaptures<O> extends GivenFiles<O> {
  readonly interrupt: Interrupt;
}

/**
 * Takes the files of such a command. Ctrl-C ends it.
 * @throws {InputError} as {@link takeFiles}
 */
export async function takeCaptures<O extends GivenOptions>(
  files: readonly string[],
  named: O,
  command: Command,
  use: Omit<Use, 'subject' | 'opens' | 'isVersionGiven'>,
): Promise<GivenCaptures<O>> {
  const interrupt = new Interrupt();
  const isGiven = isVersionGiven(command);
  const given = await interrupt.orEnd(
    takeFiles(files, named, { ...use, subject: 'captures', opens: true, isVersionGiven: isGiven }),
  );
  const { captures, unknown } = given;
  // The reader of captures says what is wrong with a file of no kind.
  return { ...given, captures: unknown === undefined ? captures : [unknown], interrupt };
}

/** Captures that are about to be read, and what was read beside them. */
export interface Reading extends Pick<ReadEvidence, 'evidence' | 'udpPorts'> {
  /** Name of the command, for the line that shows progress. */
  readonly command: string;
  readonly captures: readonly string[];
  /** What they are called together. */
  readonly name: string;
  /** Of their frames. */
  readonly names: FrameNames;
  readonly at: readonly string[];
  readonly crypto: EngineName;
  /** SAs that they bring along. */
  readonly own: CaptureSas;
  readonly interrupt: Interrupt;
}

/**
 * Reads what is given beside captures, and says what is odd about it.
 * @throws {InputError} when there is no capture, or an input cannot be used
 */
export async function readBeside<
  O extends AtOptions & { readonly crypto: EngineName },
  E extends ReadEvidence,
>(
  command: string,
  { captures, interrupt, options, bootIds }: GivenCaptures<O>,
  load: (options: O, own: CaptureSas, bootIds: BootIds) => Promise<E>,
): Promise<Reading & E> {
  if (captures.length === 0) throw noCapture();
  const { at, crypto } = options;
  const own = new CaptureSas(warn);
  const read = await load(options, own, bootIds);
  for (const warning of read.warnings) warn(warning);
  const names = new FrameNames(captures);
  return { ...read, command, captures, name: capturesName(captures), names, at, crypto, own, interrupt };
}

/** Makes the session that captures are read into. */
export async function sessionOf(
  { name, crypto, own, evidence, udpPorts }: Reading,
  sinks: readonly CaptureSink[],
): Promise<CaptureSession> {
  const engine = await makeEngine(crypto);
  return new CaptureSession({ source: name, own, evidence, udpPorts, engine, random: secureBytes, sinks });
}

export interface ReadingOptions extends Partial<Pick<ReadOptions, 'afterChunk' | 'isEnough' | 'atEnd'>> {
  /** Is what two places saw to be compared? Then with the times of the frames that are named. */
  readonly compared?: FrameTimes;
  /** Given what compares the captures, before they are read. */
  readonly onCompared?: (comparison: Comparison | undefined) => void;
}

/** Reads captures into a session, each packet once, and says how that ended. */
export async function readInto(
  session: CaptureSession,
  reading: Reading,
  options: ReadingOptions = {},
): Promise<ReadEnd> {
  const { command, captures, interrupt } = reading;
  const { afterChunk, isEnough, compared, onCompared, atEnd = () => {} } = options;
  const several = await surveyCaptures(reading, compared);
  onCompared?.(several.comparison);
  const { receiver } = session;
  const end = await readCaptures({
    ...{ command, captures, interrupt, atEnd },
    ...(afterChunk && { afterChunk }),
    ...(isEnough && { isEnough }),
    sink: several.sink(session),
    shifts: several.shifts,
    frames: () => receiver.totals.frames,
  });
  receiver.flush();
  several.finish();
  return end;
}

/** `--at`. */
export interface AtOptions {
  readonly at: readonly string[];
}

/** Adds `--at` to a command. */
export function addAtOption(command: Command): Command {
  return command.option(
    '--at <node=file>',
    'of several captures: the node that this one was taken at, by name or address; else its name says it, or it is found out (repeatable)',
    collect,
    [],
  );
}

interface Several {
  /** Seconds to add to the times of each file before frames are sorted. */
  readonly shifts: readonly number[];
  readonly comparison: Comparison | undefined;
  /** What stands before the session. */
  sink(session: FrameSink): FrameSink;
  /** To be called after the last frame. Says what did not count twice. */
  finish(): void;
}

/**
 * Reads several captures beforehand. Of one there is nothing to read.
 * @throws {InputError} `--at` names a file that is not there, or none
 */
async function surveyCaptures(reading: Reading, compared: FrameTimes | undefined): Promise<Several> {
  const { captures, udpPorts } = reading;
  const told = toldNodes(reading);
  let once: Once | undefined;
  const left = () => {
    if (once && once.left.elsewhere > 0)
      say(
        `${grouped(once.left.elsewhere)} frames are of ways that another capture has at the receiver's end, and count there`,
      );
    if (once && once.left.copies > 0)
      say(
        `${grouped(once.left.copies)} ESP packets were seen on another interface of the same place, and count once`,
      );
  };
  if (captures.length < 2) {
    return {
      shifts: [],
      comparison: undefined,
      sink: (session) => {
        once = new Once(session, udpPorts);
        return once;
      },
      finish: left,
    };
  }
  const { survey, nodeAt, nodeNamed } = await readAll(reading);
  const { Comparison } = await import('../inspect/places/compare.ts');
  const { Places } = await import('../inspect/places/places.ts');
  const places = new Places(survey, {
    names: captures,
    told: captures.map((name, i) => told[i] ?? nodeNamed(name)),
    nodeAt,
  });
  const comparison =
    compared && places.all.length > 1 ? new Comparison(survey, places, udpPorts, compared) : undefined;
  return {
    shifts: places.fileShifts,
    comparison,
    sink: (session) => {
      once = new Once(session, udpPorts, { survey, places });
      return comparison ? comparison.before(once) : once;
    },
    finish: () => {
      comparison?.finish();
      left();
    },
  };
}

/** The nodes that `--at` tells, by the number of the capture. */
function toldNodes({ at, captures }: Reading): (string | undefined)[] {
  const told: (string | undefined)[] = captures.map(() => undefined);
  for (const value of at) {
    const [, node, file] = /^([^=]+)=(.+)$/.exec(value) ?? [];
    if (node === undefined || file === undefined)
      throw new InputError({ source: '--at' }, `${value} is not NODE=FILE`, 'Give --at node-1=n1.pcap.');
    const exact = captures.flatMap((name, i) => (name === file ? [i] : []));
    const byBase = captures.flatMap((name, i) => (basename(name) === basename(file) ? [i] : []));
    const found = exact.length > 0 ? exact : byBase;
    if (found.length !== 1)
      throw new InputError(
        { source: '--at' },
        found.length === 0 ? `${file} is none of the captures` : `${file} may be several of the captures`,
        'Name it as it is given, or with its folder.',
      );
    told[found[0]!] = node;
  }
  return told;
}

/** The first reading. What is wrong in a file is said by the second one. */
async function readAll({ command, captures, evidence, udpPorts, interrupt }: Reading) {
  const { Survey } = await import('../inspect/places/survey.ts');
  const survey = new Survey(udpPorts);
  // Secrets may name nodes. They open nothing yet: of when they are is a matter of the second reading.
  const own = new CaptureSas(() => {});
  const progress = new Progress(command);
  for (const [i, name] of captures.entries()) {
    const reader = captureReader(name, {
      ...survey.file(),
      secrets: (type, data) => {
        if (type === SECRETS_TYPE_ESP) own.read(data, name);
      },
    });
    try {
      for await (const chunk of interrupt.until(unpackedCapture(readChunks(name), name))) {
        reader.feed(chunk);
        progress.update(() => `looking at capture ${i + 1} of ${grouped(captures.length)}`);
      }
    } catch (error) {
      if (!(error instanceof EsplaneError)) throw error;
    }
  }
  progress.done();
  survey.finish();
  const told = new Evidence({ own });
  const nodeAt = (address: string): string | undefined => {
    for (const source of [evidence, told]) {
      if (source.knows(address)) return source.nameOf(address);
      const pod = parseAddress(address);
      const node = pod && source.nodeOfPod(pod);
      if (node !== undefined) return source.nameOf(node);
    }
    return undefined;
  };
  /** A folder or a file that is called like a node. */
  const nodeNamed = (name: string): string | undefined =>
    name
      .split('/')
      .flatMap((part) => [part, part.replace(/\.(?:pcap|pcapng|cap|dump).*$/i, '')])
      .findLast((part) => part !== '' && (evidence.hasNode(part) || told.hasNode(part)));
  return { survey, nodeAt, nodeNamed };
}
