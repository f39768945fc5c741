import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import type { DeviceLink } from '../../src/link/link.ts';
import { openUdp } from '../../src/link/udp.ts';
import { parseAddress } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { Batch } from '../../src/wire/packet.ts';
import * as udp from '../../src/wire/udp.ts';
import { ADDON, needs, ROOT } from '../support/needs.ts';

const HEADERS = ipv4.HEADER_LEN + udp.HEADER_LEN;
const SRC = parseAddress('127.0.0.1')!;
const DST = parseAddress('127.0.0.2')!;

/** A datagram whose payload is random, but for its first byte, so that the SPI is not zero. */
function datagram(payload: number, seed: number, port = 4500): Uint8Array {
  const b = new Uint8Array(HEADERS + payload);
  seededBytes(seed)(b);
  const head = {
    tos: 0,
    totalLength: b.length,
    id: 0,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
  };
  ipv4.emit({ ...head, ttl: 64, protocol: udp.PROTOCOL, src: SRC, dst: DST, options: new Uint8Array(0) }, b);
  udp.emit({ srcPort: port, dstPort: port, length: b.length - 20, checksum: 0 }, b, 20);
  b[HEADERS] = 1;
  return b;
}

needs([ADDON, ROOT], 'a UDP link that is given runs of datagrams', () => {
  let a: DeviceLink;
  let b: DeviceLink;
  const got: Uint8Array[] = [];

  beforeEach(() => {
    a = openUdp({ address: '127.0.0.1', mtu: 1500 });
    b = openUdp({ address: '127.0.0.2', mtu: 1500, capacity: 96 });
    got.length = 0;
    b.receive((batch) => {
      for (let i = 0; i < batch.count; i++) got.push(batch.copy(i));
    });
  });
  afterEach(() => {
    a.close();
    b.close();
  });

  function carry(sizes: readonly number[]): void {
    const batch = new Batch({ capacity: 200 });
    const sent = sizes.map((size, k) => datagram(size, k + 1));
    for (const packet of sent) batch.push(packet);
    const from = got.length;
    expect(a.send(batch)).toBe(sizes.length);
    while (b.pump() > 0);
    expect(got.length - from, `of ${sizes.join(' ')}`).toBe(sizes.length);
    for (const [k, packet] of sent.entries())
      expect(
        equalBytes(got[from + k]!.subarray(HEADERS), packet.subarray(HEADERS)),
        `datagram ${k} of ${sizes}`,
      ).toBe(true);
  }

  it('brings each as it was, when sizes stay and when they change', () => {
    // What comes merged is received by the size of the run before: right, too long, too short, and more than slots.
    const run = fc.tuple(fc.integer({ min: 8, max: 1472 }), fc.integer({ min: 1, max: 64 }));
    const usual = fc.constantFrom<[number, number]>([1400, 45], [1400, 3], [60, 1], [1401, 45], [100, 64]);
    fc.assert(
      fc.property(fc.array(fc.oneof(run, usual), { minLength: 1, maxLength: 6 }), (runs) => {
        for (const [size, count] of runs) carry(Array.from({ length: count }, () => size));
      }),
      { numRuns: 200 },
    );
  });

  it('brings a run that ends in a shorter one, and one of many runs at once', () => {
    carry([...Array.from({ length: 44 }, () => 1400), 77]);
    carry([...Array.from({ length: 44 }, () => 1400), 77]);
    carry([1400, 1400, 1400, 60, 60, 60, 1400, 1400, 8, 8, 9, 9]);
  });
});

needs([ADDON, ROOT], 'a UDP link', () => {
  // A byte is a keepalive of NAT, and IKE begins with zeros (RFC 3948 §2.2, §2.3); VXLAN has neither.
  it.each([
    ['esp', { received: 2, ignored: 4 }],
    ['vxlan', { received: 6, ignored: 0 }],
  ] as const)('that carries %s hands on what can be it', (carries, want) => {
    const port = 8472;
    const [a, b] = ['127.0.0.1', '127.0.0.2'].map((address) =>
      openUdp({ address, mtu: 1500, carries, port }),
    ) as [DeviceLink, DeviceLink];
    try {
      const got: Uint8Array[] = [];
      b.receive((batch) => {
        for (let i = 0; i < batch.count; i++) got.push(batch.copy(i).subarray(HEADERS));
      });
      const sent = [100, 1, 7, 60, 60, 100].map((size, k) => datagram(size, k + 1, port));
      // Side by side in one run, too.
      for (const packet of sent.slice(3, 5)) packet.fill(0, HEADERS, HEADERS + 4);
      const batch = new Batch({ capacity: 8 });
      for (const packet of sent) batch.push(packet);
      expect(a.send(batch)).toBe(sent.length);
      while (b.pump() > 0);
      expect(b.stats).toMatchObject(want);
      const payloads = sent.map((packet) => packet.subarray(HEADERS));
      expect(got).toEqual(carries === 'esp' ? [payloads[0], payloads[5]] : payloads);
    } finally {
      a.close();
      b.close();
    }
  });

  it('says who may have its port', () => {
    const first = openUdp({ address: '127.0.0.1', mtu: 1500, port: 8472 });
    try {
      expect(() => openUdp({ address: '127.0.0.1', mtu: 1500, port: 8472 })).toThrow(
        /^bind udp 127\.0\.0\.1:8472: EADDRINUSE\. .*vxlan device/,
      );
    } finally {
      first.close();
    }
  });
});
