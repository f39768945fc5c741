/**
 * Packets that the addon merges towards a TUN device, split again: what comes out is what went in, in the order of each flow.
 * The device is a file here: what would be one packet for the kernel lies behind the one before.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { addon } from '../../src/native/addon.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { Batch, ON } from '../../src/wire/packet.ts';
import { ADDON, needs } from '../support/needs.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';
import { tempFolder } from '../support/temp-folder.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 300);
const VNET = 10;
const HEADROOM = 128;
const UDP = 17;
const TCP = 6;
const ACK = 0x10;
const GSO = { udp: 5 } as const;

/** What `tunWrite` makes of packets: one entry each that the kernel would get, its virtio header first. */
function written(file: string, packets: readonly Uint8Array[], vnet: 1 | 2): Uint8Array[] {
  const batch = new Batch({ capacity: Math.max(1, packets.length), maxPacket: 2048 });
  for (const packet of packets) batch.push(packet);
  const result = new Uint8Array(20);
  const fd = openSync(file, 'w');
  try {
    addon().tunWrite(fd, batch.slab, batch.tables, batch.count, ON, vnet, result);
  } finally {
    closeSync(fd);
  }
  expect([...new Uint32Array(result.buffer, 0, 4)]).toEqual([packets.length, 0, 0, 0]);
  const bytes = new Uint8Array(readFileSync(file));
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const ip = at + VNET;
    const len =
      bytes[ip]! >> 4 === 6 ? ipv6.HEADER_LEN + ipv6.payloadLength(bytes, ip) : ipv4.totalLength(bytes, ip);
    out.push(bytes.subarray(at, ip + len));
    at = ip + len;
  }
  return out;
}

/** The packets that the kernel makes of one again. */
function split(one: Uint8Array): Uint8Array[] {
  const batch = new Batch({ capacity: 64, maxPacket: 2048 });
  const n = addon().tunSplit(
    one.subarray(0, VNET),
    one.subarray(VNET),
    batch.slab,
    batch.tables,
    HEADROOM,
    0,
  );
  batch.count = n;
  return Array.from({ length: n }, (_, i) => batch.copy(i));
}

interface Shape {
  readonly v6: boolean;
  readonly isUdp: boolean;
  /** Of the port, so of the flow. */
  readonly flow: number;
  readonly size: number;
  readonly hasChecksum: boolean;
  readonly isDamaged: boolean;
  readonly ttl: number;
}

/** Packets whose ids and sequence numbers go on within their flow, as a sender has them. */
function packetsOf(shapes: readonly Shape[]): Uint8Array[] {
  const sent = new Map<string, { id: number; seq: number }>();
  return shapes.map(({ v6, isUdp, flow, size, hasChecksum, isDamaged, ttl }, turn) => {
    const key = `${v6} ${isUdp} ${flow}`;
    const state = sent.get(key) ?? { id: 100 * flow, seq: 0xffff_ff00 };
    sent.set(key, state);
    const protocol = isUdp ? UDP : TCP;
    const l4Header = isUdp ? 8 : 20;
    const header = v6 ? ipv6.HEADER_LEN : ipv4.HEADER_LEN;
    const len = header + l4Header + size;
    const b = v6
      ? ipv6Packet(len, { nextHeader: protocol, hopLimit: ttl })
      : ipv4Packet(len, { protocol, id: state.id, ttl });
    const view = new DataView(b.buffer, header);
    view.setUint16(0, 1000 + flow);
    view.setUint16(2, 53);
    if (isUdp) view.setUint16(4, l4Header + size);
    else {
      view.setUint32(4, state.seq);
      view.setUint32(8, 77);
      view.setUint16(12, (5 << 12) | ACK);
      view.setUint16(14, 500);
      view.setUint16(18, 0);
    }
    // Each its own bytes.
    if (size > 0) b[header + l4Header] = turn;
    if (hasChecksum || !isUdp || v6) checksum.fillTransport(b, 0, protocol, header, len);
    else view.setUint16(6, 0);
    if (isDamaged && size > 0) b[len - 1]! ^= 0x55;
    state.id = (state.id + 1) & 0xffff;
    state.seq = (state.seq + size) >>> 0;
    return b;
  });
}

const shape: fc.Arbitrary<Shape> = fc.record({
  v6: fc.boolean(),
  isUdp: fc.boolean(),
  flow: fc.integer({ min: 1, max: 3 }),
  size: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(36, 1000) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 1400 }) },
  ),
  hasChecksum: fc.boolean(),
  isDamaged: fc.integer({ min: 0, max: 20 }).map((n) => n === 0),
  ttl: fc.integer({ min: 0, max: 20 }).map((n) => (n === 0 ? 63 : 64)),
});
/** Runs of packets of one kind, so that there is something to merge. */
const shapes = fc
  .array(fc.tuple(shape, fc.integer({ min: 1, max: 12 })), { maxLength: 8 })
  .map((runs) => runs.flatMap(([one, times]) => Array.from({ length: times }, () => one)));

const text = (packet: Uint8Array) => Buffer.from(packet).toString('hex');
const flowOf = (packet: Uint8Array) => {
  const v6 = packet[0]! >> 4 === 6;
  const header = v6 ? ipv6.HEADER_LEN : ipv4.HEADER_LEN;
  return `${v6} ${packet[v6 ? 6 : 9]} ${text(packet.subarray(header, header + 4))}`;
};
function byFlow(packets: readonly Uint8Array[]): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const packet of packets) {
    const flow = flowOf(packet);
    flows.set(flow, [...(flows.get(flow) ?? []), text(packet)]);
  }
  return flows;
}

needs([ADDON], 'coalesce', () => {
  const file = join(tempFolder(), 'device');

  it('merges nothing that the kernel would not split into the same packets, in the order of each flow', () => {
    fc.assert(
      fc.property(shapes, fc.constantFrom(1 as const, 2 as const), (kinds, vnet) => {
        const packets = packetsOf(kinds);
        const out = written(file, packets, vnet);
        expect(byFlow(out.flatMap(split))).toEqual(byFlow(packets));
        if (vnet === 1) expect(out.some((one) => one[1] === GSO.udp)).toBe(false);
      }),
      { numRuns: RUNS },
    );
  });

  const datagram: Shape = {
    v6: false,
    isUdp: true,
    flow: 1,
    size: 36,
    hasChecksum: true,
    isDamaged: false,
    ttl: 64,
  };
  const sizes = (out: readonly Uint8Array[]) => out.map((one) => split(one).length);

  it.each([false, true])(
    'merges up to 64 datagrams of a flow where the device takes them (IPv6: %s)',
    (v6) => {
      const packets = packetsOf(Array.from({ length: 70 }, () => ({ ...datagram, v6 })));
      expect(sizes(written(file, packets, 2))).toEqual([64, 6]);
      expect(sizes(written(file, packets, 1))).toEqual(Array.from({ length: 70 }, () => 1));
    },
  );

  it('ends a run with a shorter datagram, and begins one with a longer', () => {
    const of = (...lengths: number[]) => packetsOf(lengths.map((size) => ({ ...datagram, size })));
    expect(sizes(written(file, of(100, 100, 40, 100, 100), 2))).toEqual([3, 2]);
    expect(sizes(written(file, of(40, 100, 100), 2))).toEqual([1, 2]);
  });

  it('leaves alone what has no checksum, or a wrong one, or no data', () => {
    const one = (change: Partial<Shape>) =>
      sizes(
        written(file, packetsOf([datagram, datagram, { ...datagram, ...change }, datagram, datagram]), 2),
      );
    expect(one({})).toEqual([5]);
    expect(one({ hasChecksum: false })).toEqual([2, 1, 2]);
    expect(one({ isDamaged: true })).toEqual([2, 1, 2]);
    expect(one({ size: 0 })).toEqual([2, 1, 2]);
    expect(one({ ttl: 63 })).toEqual([2, 1, 2]);
  });

  it('keeps flows that take turns apart', () => {
    const packets = packetsOf(Array.from({ length: 12 }, (_, i) => ({ ...datagram, flow: 1 + (i % 3) })));
    expect(sizes(written(file, packets, 2))).toEqual([4, 4, 4]);
  });
});
