/**
 * Captures that are made to cost much: twice as many frames take about twice the time, and keep no more memory.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { hex, putU16, putU32 } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import type { FrameInfo, FrameSink } from '../../src/capture/frame.ts';
import { Forge, textOf } from '../../src/conform/forge.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Diagnoser } from '../../src/inspect/diagnose/diagnoser.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import { Explainer } from '../../src/inspect/explain/explain.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { receiverOf, receiverWith } from '../support/receiver.ts';
import { address, ipv4Packet, saConfig } from '../support/sa.ts';

/** Above every bound on streams, so that what comes after it is all beyond. */
const N = 4500;
const MOST_RATIO = 2.6;
/** What a capture twice as long may keep more: a grown table, and the noise of the heap. */
const MOST_GROWTH = 6 << 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Alters frame `i`, an ESP packet of IPv4 for the SA. */
type Shape = (b: Uint8Array, i: number) => void;

const rest = seededBytes(5);
const random = new Uint8Array(4);
const word = () => {
  rest(random);
  return random;
};

const SHAPES: readonly { name: string; sas: readonly SaConfig[]; shape: Shape; frames?: number }[] = [
  {
    name: 'an SPI of its own for each frame',
    sas: [saConfig()],
    shape: (b, i) => putU32(b, 20, 0x10000 + i),
  },
  {
    name: 'a source of its own for each frame, and an SA of any source',
    sas: [saConfig({ src: address('0.0.0.0'), esn: false })],
    shape: (b) => b.set(word(), ipv4.SRC_AT),
  },
  {
    name: 'a source of its own, and an SA of one source',
    sas: [saConfig()],
    shape: (b) => b.set(word(), ipv4.SRC_AT),
  },
  {
    name: 'addresses and an SPI of its own',
    sas: [saConfig()],
    shape: (b) => {
      b.set(word(), ipv4.SRC_AT);
      b.set(word(), ipv4.DST_AT);
      b.set(word(), 20);
    },
  },
  {
    name: 'numbers of its own under the SPI of an SA with ESN',
    sas: [saConfig({ sequence: { seqHi: 3, seq: 9, oseqHi: 0, oseq: 0 } })],
    shape: (b, i) => putU32(b, 24, i * 0x10001),
    // Each is tried with several high halves.
    frames: 1500,
  },
  {
    name: 'fragments that are never completed',
    sas: [saConfig()],
    shape: (b, i) => {
      putU16(b, 4, i);
      b.set(word(), ipv4.SRC_AT);
      ipv4.setFragmentField(b, 0, ipv4.MF);
    },
  },
  {
    name: 'packets in the clear between addresses of its own',
    sas: [saConfig()],
    shape: (b) => {
      b[9] = 17;
      b.set(word(), ipv4.SRC_AT);
      b.set(word(), ipv4.DST_AT);
    },
  },
  {
    name: 'ESP without an SPI to addresses of its own',
    sas: [saConfig()],
    shape: (b) => {
      putU16(b, 2, 26);
      b.set(word(), ipv4.DST_AT);
    },
  },
];

/** Sends `n` frames, and returns the CPU time in ms. */
function run(sink: FrameSink, shape: Shape, n: number): number {
  const template = new Forge(saConfig(), new NodeEngine()).outer(new Uint8Array(52));
  putU32(template, 20, 3);
  putU32(template, 24, 10);
  // Until `release` a receiver may hold on to what it was given.
  const ring = Array.from({ length: 256 }, () => new Uint8Array(template.length));
  const info: { -readonly [K in keyof FrameInfo]: FrameInfo[K] } = {
    number: 0,
    seconds: 1_700_000_000,
    nanoseconds: 0,
    hasTime: true,
    interfaceId: 0,
    linkType: LINK_RAW,
    originalLength: template.length,
    byte: 0,
  };
  const before = process.cpuUsage();
  for (let i = 0; i < n; i++) {
    const b = ring[i % ring.length]!;
    b.set(template);
    shape(b, i);
    ipv4.fillChecksum(b, 0);
    info.number = i + 1;
    sink.frame(b, 0, b.length, info);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function diagnosing(evidence: Evidence) {
  const diagnoser = new Diagnoser(evidence);
  const receiver = receiverWith(evidence, { sinks: [diagnoser] });
  return {
    frame: (b: Uint8Array, at: number, end: number, info: FrameInfo) => receiver.frame(b, at, end, info),
    peek: () => diagnoser.peek(),
    finish: () => diagnoser.finish(),
  };
}

const KINDS = {
  decrypt: (sas: readonly SaConfig[]) => receiverOf(sas),
  diagnose: (sas: readonly SaConfig[]) =>
    diagnosing(new Evidence({ states: [{ file: 'n2.txt', sas, keyless: [] }] })),
  explain: (sas: readonly SaConfig[]) => {
    const explainer = new Explainer({
      evidence: new Evidence({ listed: sas }),
      engine: new NodeEngine(),
      random: seededBytes(1),
    });
    return {
      frame: (b: Uint8Array, at: number, end: number, info: FrameInfo) => {
        if (info.number % 4000 === 0) expect(explainer.explain(b, at, end, info).packet).toBeDefined();
        else explainer.pass(b, at, end, info);
      },
    };
  },
};

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;

/** `explain` is `decrypt` and a look at one frame: a few shapes will do. */
const CASES = Object.entries(KINDS).flatMap(([command, make]) =>
  SHAPES.slice(0, command === 'explain' ? 2 : undefined).map((one) => ({ command, make, ...one })),
);

describe('a hostile capture twice as long', () => {
  // Other tests run beside it, on the same caches: what is not linear fails three times.
  it.each(CASES)('$command: $name', { timeout: 300_000, retry: 2 }, ({ make, sas, shape, frames = N }) => {
    run(make(sas), shape, frames);
    // The quickest of several: the compiler and the collector run beside them and count.
    const quickest = (count: number) =>
      Math.min(...Array.from({ length: 4 }, () => run(make(sas), shape, count)));
    expect(quickest(2 * frames) / quickest(frames)).toBeLessThan(MOST_RATIO);

    const sink = make(sas);
    run(sink, shape, frames);
    collect();
    const before = process.memoryUsage();
    run(sink, shape, frames);
    collect();
    const after = process.memoryUsage();
    const grown = (key: 'heapUsed' | 'arrayBuffers') => after[key] - before[key];
    expect(grown('heapUsed') + grown('arrayBuffers')).toBeLessThan(MOST_GROWTH);
    // It is still in use: what it holds counts.
    expect(run(sink, shape, 1)).toBeGreaterThanOrEqual(0);
  });
});

it('what a live capture asks each second costs no more when twice as many streams have come', () => {
  const { sas, shape } = SHAPES[0]!;
  const diagnoser = KINDS.diagnose(sas);
  const peek = () => {
    const before = process.cpuUsage();
    for (let i = 0; i < 5; i++) expect(diagnoser.peek().streams).toHaveLength(4096);
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  run(diagnoser, shape, 2 * N);
  peek();
  const once = median([peek(), peek(), peek()]);
  run(diagnoser, (b, i) => shape(b, i + 2 * N), 2 * N);
  expect(median([peek(), peek(), peek()]) / once).toBeLessThan(MOST_RATIO);
  const { further, receivers } = diagnoser.finish();
  expect(further).toEqual({ streams: 4 * N - 4096, packets: 4 * N - 4096 });
  // Nothing opened, so what the receiver counts is not known.
  expect(receivers).toMatchObject([{ packets: 4 * N, judged: 0, counters: {} }]);
});

it('replays of one packet from sources of their own keep no more than a bound, and change nothing', () => {
  const config = saConfig({ src: address('0.0.0.0') });
  const peer = new Forge(saConfig(), new NodeEngine());
  const text = textOf(ipv4Packet(60), 4, 4);
  const packets = Array.from({ length: 40 }, (_, i) => peer.packet(3n * 2n ** 32n + BigInt(i + 1), text));
  const replayed = packets[0]!.slice();
  const verdicts: string[] = [];
  const decryptor = receiverOf([config], {
    onPacket: ({ src, verdict }) => {
      if (src === '192.0.2.1') verdicts.push(String(verdict));
    },
  });
  const frame = (b: Uint8Array, number: number) =>
    decryptor.frame(b, 0, b.length, {
      number,
      seconds: 0,
      nanoseconds: 0,
      hasTime: true,
      interfaceId: 0,
      linkType: LINK_RAW,
      originalLength: b.length,
      byte: 0,
    });
  let number = 0;
  for (const one of packets) {
    frame(one.slice(), ++number);
    for (let k = 0; k < 400; k++) {
      replayed.set(hex('0b000000'), ipv4.SRC_AT);
      putU16(replayed, ipv4.SRC_AT + 2, number);
      ipv4.fillChecksum(replayed, 0);
      frame(replayed.slice(), ++number);
    }
  }
  decryptor.flush();
  expect(verdicts).toEqual(packets.map(() => '0'));
});
