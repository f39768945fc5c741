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
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { captureReader } from '../capture/reader.ts';
import type { FrameTimes } from '../inspect/diagnose/frame-times.ts';
import { Evidence } from '../inspect/evidence.ts';
import type { Comparison } from '../inspect/places/compare.ts';
import { Once } from '../inspect/places/once.ts';
import { CaptureSession, type SessionOptions } from '../inspect/session.ts';
import { CaptureSas } from '../sa-text/capture-sas.ts';
import { parseAddress } from '../wire/address.ts';
import { type EngineName, makeEngine } from './engine.ts';
import { readChunks, unpackedCapture } from './files.ts';
import { Progress, say } from './output.ts';
import { capturesName, type ReadEnd, type ReadOptions, readCaptures } from './read-capture.ts';
import { collect } from './sa-options.ts';
import type { Interrupt } from './signals.ts';

export interface SessionSetup extends Pick<SessionOptions, 'own' | 'evidence' | 'udpPorts' | 'sinks'> {
  readonly captures: readonly string[];
  readonly crypto: EngineName;
}

/** Makes the session of a command that reads captures to their end. */
export async function sessionOf({ captures, crypto, ...options }: SessionSetup): Promise<CaptureSession> {
  const engine = await makeEngine(crypto);
  return new CaptureSession({ ...options, source: capturesName(captures), engine, random: secureBytes });
}

export interface ReadingOptions
  extends SeveralOptions,
    Partial<Pick<ReadOptions, 'afterChunk' | 'isEnough' | 'atEnd'>> {
  /** Given what compares the captures, before they are read. */
  readonly onCompared?: (comparison: Comparison | undefined) => void;
}

/** Reads captures into a session, each packet once, and says how that ended. */
export async function readInto(session: CaptureSession, options: ReadingOptions): Promise<ReadEnd> {
  const { command, captures, interrupt, afterChunk, isEnough, onCompared, atEnd = () => {} } = options;
  const several = await surveyCaptures(options);
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

interface SeveralOptions {
  readonly command: string;
  readonly captures: readonly string[];
  readonly at: readonly string[];
  readonly evidence: Evidence;
  /** UDP ports that carry ESP. */
  readonly udpPorts: readonly number[];
  readonly interrupt: Interrupt;
  /** Is what two places saw to be compared? Then with the times of the frames that are named. */
  readonly compared?: FrameTimes;
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
async function surveyCaptures(options: SeveralOptions): Promise<Several> {
  const { captures, udpPorts, compared } = options;
  const told = toldNodes(options);
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
  const { survey, nodeAt, nodeNamed } = await readAll(options);
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
function toldNodes({ at, captures }: SeveralOptions): (string | undefined)[] {
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
async function readAll({ command, captures, evidence, udpPorts, interrupt }: SeveralOptions) {
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
