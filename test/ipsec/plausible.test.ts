import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { padLength, writeTrailer } from '../../src/ipsec/padding.ts';
import { isPlausible } from '../../src/ipsec/plausible.ts';
import { udp4, udp6 } from '../support/datagram.ts';

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
