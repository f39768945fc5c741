/** Super-packets split by the addon, against what the headers have to say by the readers of `src/wire`. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { addon } from '../../src/native/addon.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { Batch } from '../../src/wire/packet.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { ADDON, needs } from '../support/needs.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 300);
const HEADROOM = 128;
const FIN = 1;
const PSH = 8;
const CWR = 0x80;

interface Vnet {
  readonly flags: number;
  readonly type: number;
  readonly headerLen: number;
  readonly size: number;
  readonly start: number;
  readonly offset: number;
}

/** struct virtio_net_hdr. */
function vnetHeader({ flags, type, headerLen, size, start, offset }: Vnet): Uint8Array {
  const b = new Uint8Array(10);
  const view = new DataView(b.buffer);
  view.setUint8(0, flags);
  view.setUint8(1, type);
  view.setUint16(2, headerLen, true);
  view.setUint16(4, size, true);
  view.setUint16(6, start, true);
  view.setUint16(8, offset, true);
  return b;
}

function split(header: Uint8Array, packet: Uint8Array, batch: Batch, from = 0): number {
  const n = addon().tunSplit(header, packet, batch.slab, batch.tables, HEADROOM, from);
  batch.count = Math.max(0, n);
  return n;
}

needs([ADDON], 'segment', () => {
  it('sums bytes, and copies them on the way, of any length and alignment as the plain sum does', () => {
    const store = Buffer.from(
      Uint8Array.from({ length: 1500 }, (_, i) => (i % 7 ? Math.imul(i, i) >>> 4 : 0xff)),
    );
    const target = Buffer.alloc(store.length);
    for (const at of [0, 1, 2, 5, 31, 32, 33]) {
      for (const length of [0, 1, 2, 3, 31, 32, 63, 64, 65, 127, 128, 191, 1399, 1400 + at]) {
        const bytes = store.subarray(at, at + length);
        const want = checksum.sum(bytes, 0, length);
        for (const plain of [0, 1]) {
          target.fill(0);
          expect(addon().tunSum(bytes, target.subarray(33 - at, 33 - at + length), plain)).toBe(want);
          expect(addon().tunSum(bytes, target.subarray(0, 0), plain)).toBe(want);
          const copied = Buffer.concat([Buffer.alloc(33 - at), bytes, Buffer.alloc(target.length)]);
          expect(target.equals(copied.subarray(0, target.length))).toBe(true);
        }
      }
    }
  });

  it('makes of a TCP super-packet the segments that its sender would have sent', () => {
    fc.assert(
      fc.property(
        fc.record({
          v4: fc.boolean(),
          payload: fc.integer({ min: 1, max: 60_000 }),
          size: fc.integer({ min: 500, max: 1448 }),
          flags: fc.nat({ max: 255 }),
          seq: fc.nat({ max: 0xffff_ffff }),
          id: fc.nat({ max: 0xffff }),
          options: fc.integer({ min: 0, max: 10 }),
          tos: fc.nat({ max: 255 }),
        }),
        ({ v4, payload, size, flags, seq, id, options, tos }) => {
          const ipLen = v4 ? 20 : 40;
          const tcpLen = 20 + 4 * options;
          const len = ipLen + tcpLen + payload;
          const packet = v4
            ? ipv4Packet(len, { protocol: 6, id, tos })
            : ipv6Packet(len, { nextHeader: 6, trafficClass: tos });
          const view = new DataView(packet.buffer);
          view.setUint32(ipLen + 4, seq);
          packet[ipLen + 12] = (tcpLen / 4) << 4;
          packet[ipLen + 13] = flags;
          const header = vnetHeader({
            flags: 1,
            type: v4 ? 1 : 4,
            headerLen: ipLen + tcpLen,
            size,
            start: ipLen,
            offset: 16,
          });
          const batch = new Batch({ capacity: 128, maxPacket: 2048 });
          const n = split(header, packet, batch);
          expect(n).toBe(Math.ceil(payload / size));
          let done = 0;
          for (let i = 0; i < n; i++) {
            const segment = batch.copy(i);
            const last = i === n - 1;
            const data = segment.subarray(ipLen + tcpLen);
            expect(data.length).toBe(last ? payload - done : size);
            expect(
              Buffer.compare(
                data,
                packet.subarray(ipLen + tcpLen + done, ipLen + tcpLen + done + data.length),
              ),
            ).toBe(0);
            if (v4) {
              expect(ipv4.check(segment)).toBeUndefined();
              expect(ipv4.checksumOk(segment)).toBe(true);
              expect(ipv4.totalLength(segment, 0)).toBe(segment.length);
              expect(ipv4.parse(segment).id).toBe((id + i) & 0xffff);
              expect(ipv4.tos(segment, 0)).toBe(tos);
            } else {
              expect(ipv6.check(segment)).toBeUndefined();
              expect(ipv6.payloadLength(segment, 0)).toBe(segment.length - 40);
              expect(ipv6.trafficClass(segment, 0)).toBe(tos);
            }
            expect(checksum.transportOk(segment, 0, 6, ipLen, segment.length)).toBe(true);
            expect(tcp.seq(segment, ipLen)).toBe((seq + done) >>> 0);
            const want = flags & (last ? 255 : ~(FIN | PSH)) & (i === 0 ? 255 : ~CWR);
            expect(segment[ipLen + 13]).toBe(want);
            done += data.length;
          }
          expect(done).toBe(payload);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('goes on where the batch was full', () => {
    const packet = ipv4Packet(20 + 20 + 10_000, { protocol: 6 });
    packet[32] = 0x50;
    const header = vnetHeader({ flags: 1, type: 1, headerLen: 40, size: 1000, start: 20, offset: 16 });
    const batch = new Batch({ capacity: 4 });
    const parts: Uint8Array[] = [];
    for (let from = 0; from < 10_000; from += 4000) {
      const n = split(header, packet, batch, from);
      for (let i = 0; i < n; i++) parts.push(batch.copy(i).subarray(40));
    }
    expect(Buffer.concat(parts).equals(packet.subarray(40))).toBe(true);
  });

  it('completes the checksum of a packet that is left to it', () => {
    const packet = ipv4Packet(333, { protocol: 17 });
    packet.set([0x10, 0, 0x20, 0, 313 >> 8, 313 & 255, 0, 0], 20);
    const pseudo = checksum.pseudoSum(packet, 0, 17, 313);
    packet.set([pseudo >>> 8, pseudo & 255], 26);
    const batch = new Batch({ capacity: 1 });
    const header = vnetHeader({ flags: 1, type: 0, headerLen: 0, size: 0, start: 20, offset: 6 });
    expect(split(header, packet, batch)).toBe(1);
    expect(checksum.transportOk(batch.copy(0), 0, 17, 20, 333)).toBe(true);
  });

  it('refuses what makes no sense, and never reaches beyond its slots', () => {
    const bytes = fc.uint8Array({ maxLength: 3000 });
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        bytes,
        fc.constantFrom(0x45, 0x60, 0x4f, 0),
        fc.boolean(),
        (header, packet, first, tame) => {
          if (packet.length > 0) packet[0] = first;
          if (tame) header.set([1, first === 0x60 ? 4 : 1, 0, 0, 0, 2, first === 0x60 ? 40 : 20, 0, 16, 0]);
          const batch = new Batch({ capacity: 3, maxPacket: 900 });
          const n = split(header, packet, batch);
          expect(n).toBeLessThanOrEqual(3);
          for (let i = 0; i < n; i++) {
            expect(batch.offset[i]).toBe(i * batch.slotSize + HEADROOM);
            expect(HEADROOM + batch.length[i]!).toBeLessThanOrEqual(batch.slotSize);
          }
        },
      ),
      { numRuns: RUNS },
    );
  });
});
