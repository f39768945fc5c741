import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex, putU16, u16 } from '../../src/base/bytes.ts';
import {
  checksum,
  checksumAt,
  fillTransport,
  pseudoSum,
  sum,
  transportOk,
  update,
} from '../../src/wire/checksum.ts';
import { ACK_V6, ETH, PING, PING_V6, SYN, UDP } from './packets.ts';

/** RFC 1071 as its text has it: add words, then add carries until none is left. */
function plainSum(b: Uint8Array): number {
  let s = 0n;
  for (let i = 0; i < b.length; i += 2) s += BigInt(((b[i] ?? 0) << 8) | (b[i + 1] ?? 0));
  while (s > 0xffffn) s = (s & 0xffffn) + (s >> 16n);
  return Number(s);
}

describe('sum', () => {
  it('gives the sum of RFC 1071 §3', () => {
    expect(sum(hex('0001f203f4f5f6f7'), 0, 8)).toBe(0xddf2);
  });

  it('takes an odd last byte as the high half', () => {
    expect(sum(hex('000102'), 0, 3)).toBe(0x0201);
  });

  it('is zero for nothing', () => {
    expect(sum(hex('ffff'), 1, 1)).toBe(0);
    expect(sum(hex('ffff'), 1, 1, 0x1234)).toBe(0x1234);
  });

  it('agrees with plain addition, and in two parts', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(150), (b, half) => {
        const cut = Math.min(b.length & ~1, half * 2);
        expect(sum(b, 0, b.length)).toBe(plainSum(b));
        expect(sum(b, cut, b.length, sum(b, 0, cut))).toBe(plainSum(b));
      }),
    );
  });

  it('is exact where it adds up most: 128 KiB of ones', () => {
    const b = new Uint8Array(0x2_0000).fill(0xff);
    expect(sum(b, 0, b.length, 0xffff)).toBe(0xffff);
    expect(sum(b, 0, b.length - 1)).toBe(plainSum(b.subarray(0, b.length - 1)));
  });
});

describe('update', () => {
  it('gives the answer of RFC 1624 §4, where RFC 1141 gives another', () => {
    expect(update(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  it('agrees with computing anew', () => {
    // Data that is not all zero has one checksum; all zeros would have two, and no header is all zeros.
    const words = fc.uint8Array({ minLength: 8, maxLength: 40 }).map((b) => b.subarray(0, b.length & ~1));
    const value = fc.oneof(fc.constantFrom(0, 1, 0xfffe, 0xffff), fc.nat(0xffff));
    fc.assert(
      fc.property(words, fc.nat(1000), value, value, (b, index, from, to) => {
        const at = (index % (b.length / 2 - 1)) * 2;
        putU16(b, b.length - 2, 0x4500);
        putU16(b, at, from);
        const old = checksum(b, 0, b.length);
        putU16(b, at, to);
        expect(update(old, from, to)).toBe(checksum(b, 0, b.length));
      }),
    );
  });
});

describe('pseudoSum', () => {
  it('sums addresses, protocol and length, by version', () => {
    const ip = ETH;
    const v4 = Uint8Array.of(...PING.subarray(ip + 12, ip + 20), 0, 17, 0, 46);
    expect(pseudoSum(PING, ip, 17, 46)).toBe(plainSum(v4));
    const v6 = Uint8Array.of(...PING_V6.subarray(ip + 8, ip + 40), 0, 1, 0, 2, 0, 0, 0, 58);
    expect(pseudoSum(PING_V6, ip, 58, 0x1_0002)).toBe(plainSum(v6));
  });
});

describe('transport checksums', () => {
  const cases = [
    ['ICMP echo', PING, 1, ETH + 20],
    ['ICMPv6 echo', PING_V6, 58, ETH + 40],
    ['UDP', UDP, 17, ETH + 20],
    ['TCP over IPv4', SYN, 6, ETH + 20],
    ['TCP over IPv6', ACK_V6, 6, ETH + 40],
  ] as const;

  it.each(cases)('%s: accepts and rebuilds what Linux sent', (_name, frame, protocol, at) => {
    expect(transportOk(frame, ETH, protocol, at, frame.length)).toBe(true);
    const copy = frame.slice();
    const field = at + checksumAt(protocol);
    copy.fill(0xa5, field, field + 2);
    fillTransport(copy, ETH, protocol, at, copy.length);
    expect(copy).toEqual(frame);
  });

  it.each(cases)('%s: any flipped bit shows', (_name, frame, protocol, at) => {
    for (let i = at; i < frame.length; i++) {
      const copy = frame.slice();
      copy[i] = copy[i]! ^ 0x10;
      expect(transportOk(copy, ETH, protocol, at, copy.length), `byte ${i}`).toBe(false);
    }
  });

  it('counts the addresses, except in ICMP', () => {
    for (const [name, frame, protocol, at] of cases) {
      const copy = frame.slice();
      copy[at - 1] = copy[at - 1]! ^ 1; // last byte of the destination
      expect(transportOk(copy, ETH, protocol, at, copy.length), name).toBe(protocol === 1);
    }
  });

  it('sends a computed zero of UDP as 0xffff', () => {
    const copy = UDP.slice();
    const at = ETH + 20;
    // Make the rest sum to 0xffff: then the checksum computes to zero.
    putU16(copy, at + 6, 0);
    putU16(copy, at, 0);
    const rest = sum(copy, at, copy.length, pseudoSum(copy, ETH, 17, copy.length - at));
    putU16(copy, at, 0xffff - rest);
    fillTransport(copy, ETH, 17, at, copy.length);
    expect(u16(copy, at + 6)).toBe(0xffff);
    expect(transportOk(copy, ETH, 17, at, copy.length)).toBe(true);
  });

  it('takes UDP without a checksum over IPv4, not over IPv6', () => {
    const v4 = UDP.slice();
    putU16(v4, ETH + 26, 0);
    expect(transportOk(v4, ETH, 17, ETH + 20, v4.length)).toBe(true);
    const v6 = PING_V6.slice();
    putU16(v6, ETH + 46, 0);
    expect(transportOk(v6, ETH, 17, ETH + 40, v6.length)).toBe(false);
  });

  it('has no opinion on a protocol it does not know', () => {
    const copy = PING.slice();
    fillTransport(copy, ETH, 132, ETH + 20, copy.length);
    expect(copy).toEqual(PING);
    expect(transportOk(copy, ETH, 132, ETH + 20, copy.length)).toBe(true);
    expect(checksumAt(132)).toBe(-1);
  });

  it('is not there in a message that ends before it', () => {
    expect(transportOk(SYN, ETH, 6, ETH + 20, ETH + 37)).toBe(false);
  });
});
