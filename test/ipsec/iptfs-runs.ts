/**
 * Random cases for IP-TFS: few in the quick tests, many in the full run.
 * @module
 */
import { expect } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import { xorshift32 } from '../../src/base/rng.ts';
import { dropRow } from '../../src/ipsec/drop.ts';
import { IptfsReceiver } from '../../src/ipsec/iptfs.ts';
import { payloadsOf, withinWindow } from '../support/iptfs.ts';
import { ipv4Packet } from '../support/sa.ts';

function randomPacket(below: (n: number) => number): Uint8Array {
  const len = below(4) > 0 ? below(200) : below(3000);
  if (below(2) === 0) return ipv4Packet(20 + len);
  const six = new Uint8Array(40 + len).fill(below(256));
  six.set([0x60, 0, 0, 0, len >> 8, len & 0xff]);
  return six;
}

const picker = (seed: number) => {
  const random = xorshift32(seed);
  return (n: number) => (random() >>> 0) % n;
};

/** Packets cut into payloads by an obvious sender come out again, in order and as they were. */
export function runReordered(runs: number): void {
  for (let seed = 1; seed <= runs; seed++) {
    const below = picker(seed);
    const packets = Array.from({ length: 1 + below(30) }, () => randomPacket(below));
    const [most, window] = [1 + below(900), below(6)];
    const sent = payloadsOf(packets, {
      // Linux wants the length of a packet in two payloads at most.
      size: () => 6 + below(most),
      pads: () => below(8) === 0,
      idles: () => below(10) === 0,
      congestion: below(2) === 0,
    });
    const receiver = new IptfsReceiver({ reorderWindow: window });
    const first = below(2) === 0 ? 1 : 2 ** 32 - 1 - below(sent.length);
    const got: Uint8Array[] = [];
    for (const i of withinWindow(sent.length, window, below)) {
      const [number, { bytes }] = [first + i, sent[i]!];
      const taken = receiver.take(Math.floor(number / 2 ** 32), number % 2 ** 32, bytes, 0, bytes.length, 0);
      if (taken.verdict !== 0 || taken.counted.length > 0) expect.fail(`seed ${seed}: counted`);
      got.push(...taken.inners);
    }
    expect(got.length, `seed ${seed}`).toBe(packets.length);
    expect(
      got.every((packet, k) => equalBytes(packet, packets[k]!)),
      `seed ${seed}`,
    ).toBe(true);
  }
}

/** Whatever payloads come, in whatever order: rows of the drop table, bounded memory, and whole packets only. */
export function runHostile(runs: number): void {
  for (let seed = 1; seed <= runs; seed++) {
    const below = picker(seed);
    const packets = Array.from({ length: 1 + below(8) }, () => randomPacket(below));
    const sent = payloadsOf(packets, { size: () => 1 + below(400), congestion: below(2) === 0 });
    const receiver = new IptfsReceiver({ reorderWindow: below(8), dropTime: 50 });
    let now = 0;
    for (let k = 0; k < 60; k++) {
      const bytes = below(3) === 0 ? noise(below) : sent[below(sent.length)]!.bytes.slice(0, below(500));
      for (let flips = below(3); flips > 0; flips--) bytes[below(8)] = below(256);
      now += below(40);
      const { verdict, counted, inners } = receiver.take(0, 1 + below(80), bytes, 0, bytes.length, now);
      const isCounted = [verdict, ...counted].every((code) => code === 0 || dropRow(code)?.counter);
      if (!isCounted || inners.some(({ length }) => length < 20)) expect.fail(`seed ${seed}`);
    }
  }
}

function noise(below: (n: number) => number): Uint8Array {
  const b = new Uint8Array(below(200)).map(() => below(256));
  if (b.length > 4) b.set([0, 0, 0, below(256), 0x40 + below(64)]);
  return b;
}
