import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { padLength, writeTrailer } from '../../src/ipsec/padding.ts';
import { isPlausible } from '../../src/ipsec/plausible.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { udp4, udp6 } from '../support/datagram.ts';
import { ipv4Packet } from '../support/sa.ts';

/** The text of ESP: payload, padding to a multiple of `align`, trailer. */
function textOf(payload: Uint8Array, next: number, align = 4): Uint8Array {
  const padLen = padLength(payload.length, align);
  const text = new Uint8Array(payload.length + padLen + 2);
  text.set(payload);
  writeTrailer(text, payload.length, padLen, next);
  return text;
}

const says = (text: Uint8Array, isTunnel = false) => isPlausible(text, 0, text.length, isTunnel);
const upper = (packet: Uint8Array) => packet.slice(packet[0]! >>> 4 === 4 ? 20 : 40);

describe('isPlausible', () => {
  it.each([
    ['IPv4', udp4(61), 4],
    ['IPv6', udp6(91), 41],
    ['IPv4 with TFC padding', Uint8Array.from([...udp4(61), ...new Uint8Array(200)]), 4],
    ['a dummy', new Uint8Array(31), 59],
  ])('takes %s in both modes, at every alignment', (_, payload, next) => {
    for (const align of [4, 8, 16]) {
      expect(says(textOf(payload, next, align), true)).toBe(true);
      expect(says(textOf(payload, next, align))).toBe(true);
    }
  });

  it.each([
    ['UDP', upper(udp4(61)), 17],
    ['ICMP', Uint8Array.of(8, 0, 0xf7, 0xfe, 0, 1, 0, 0, 0), 1],
    ['GRE', Uint8Array.from([0x20, 0, 8, 0, 0, 0, 0, 1, 0x45]), 47],
    ['OSPF, where there is padding', new Uint8Array(44), 89],
  ])('takes %s in transport mode only', (_, payload, next) => {
    expect(says(textOf(payload, next, 8))).toBe(true);
    expect(says(textOf(payload, next, 8), true)).toBe(false);
  });

  it('takes no text with wrong padding, length, version or checksum', () => {
    const right = textOf(udp6(91), 41, 16);
    expect(says(right)).toBe(true);
    for (const at of [0, 4, right.length - 3, right.length - 2]) {
      const wrong = right.slice();
      wrong[at]! ^= 0x81;
      expect(says(wrong), `byte ${at}`).toBe(false);
    }
    const four = textOf(udp4(61), 4);
    for (const at of [0, 2, 8, 10, 19]) {
      const wrong = four.slice();
      wrong[at]! ^= 0x10;
      expect(says(wrong), `byte ${at}`).toBe(false);
    }
    expect(says(new Uint8Array(0))).toBe(false);
    expect(says(Uint8Array.of(0, 4))).toBe(false);
  });

  /** `count` bytes that begin with these. */
  const begin = (count: number, ...bytes: number[]) =>
    Uint8Array.from({ length: count }, (_, k) => bytes[k] ?? 0);
  /** A TCP header of five words, with these low bits behind the data offset. */
  const tcp = (bits = 0) => begin(22, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x50 | bits, 0x02);
  const udp = (length: number) => begin(10, 0, 1, 0, 2, 0, length);

  it.each([
    ['TCP', tcp(), 6, true],
    ['TCP with accurate ECN', tcp(1), 6, true],
    ['TCP with a reserved bit', tcp(2), 6, false],
    ['TCP with a header of four words', tcp().fill(0x40, 12, 13), 6, false],
    ['UDP', udp(10), 17, true],
    ['UDP that is longer', udp(9), 17, false],
    ['UDP that is shorter', udp(11), 17, false],
    ['UDP of half a header', begin(6, 0, 1, 0, 2, 0, 6), 17, false],
    ['UDP of a header', begin(8, 0, 1, 0, 2, 0, 8), 17, true],
    ['ICMP of a wrong checksum', Uint8Array.of(8, 0, 0xf7, 0xfd, 0, 1, 0, 0, 0, 0), 1, false],
    ['ICMP of a header', Uint8Array.of(8, 0, 0xf7, 0xfe, 0, 1, 0, 0), 1, true],
    ['ICMP of half a header', Uint8Array.of(8, 0, 0xf7, 0xff), 1, false],
    ...[1, 4, 128, 161].map((type) => [`ICMPv6 of type ${type}`, begin(10, type), 58, true] as const),
    ...[0, 5, 127, 162].map((type) => [`ICMPv6 of type ${type}`, begin(10, type), 58, false] as const),
    ['ICMPv6 of code 8', begin(4, 128, 8), 58, true],
    ['ICMPv6 of code 9', begin(4, 128, 9), 58, false],
    ['ICMPv6 of three bytes', begin(3, 128), 58, false],
    ['GRE of a header', begin(4), 47, true],
    ['GRE of three bytes', begin(3), 47, false],
    ['GRE of version 1', begin(4, 0, 1), 47, true],
    ['GRE of version 2', begin(4, 0, 2), 47, false],
    ['GRE with a reserved bit', begin(4, 4, 0), 47, false],
    ['OSPF without padding', begin(46), 89, false],
    ['a protocol not in use, where there is padding', begin(44), 200, false],
    ['a dummy without padding', begin(30), 59, false],
  ] as const)('looks at headers: %s', (_, payload, next, want) => {
    const text = textOf(payload, next);
    expect(says(text)).toBe(want);
    const around = new Uint8Array(text.length + 60).fill(0xa5);
    around.set(text, 30);
    expect(isPlausible(around, 30, text.length, false), 'with other bytes around').toBe(want);
  });

  it('takes no text whose pad length is more than it has, though padding seems to begin before it', () => {
    const around = Uint8Array.of(1, 2, 3, 9, 59);
    expect(isPlausible(around, 1, 4, false)).toBe(false);
  });

  it('takes IP as long as its payload, and no longer', () => {
    const longer = ipv4Packet(61);
    ipv4.setTotalLength(longer, 0, 62);
    ipv4.fillChecksum(longer, 0);
    expect(says(textOf(longer, 4))).toBe(false);
    expect(says(textOf(udp6(91).slice(0, -1), 41))).toBe(false);
  });

  it('takes less than one in 10,000 texts of a wrong key, in either mode', () => {
    const chance = seededBytes(77);
    const text = new Uint8Array(96);
    let taken = 0;
    for (let i = 0; i < 300_000; i++) {
      chance(text);
      if (says(text)) taken++;
    }
    expect(taken).toBeLessThanOrEqual(30);
  });

  it('reads nothing outside the text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, isTunnel) => {
        const around = new Uint8Array(bytes.length + 200).fill(0x45);
        around.set(bytes, 100);
        expect(isPlausible(around, 100, bytes.length, isTunnel)).toBe(says(bytes, isTunnel));
      }),
    );
  });
});
