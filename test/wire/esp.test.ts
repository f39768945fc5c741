import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import * as esp from '../../src/wire/esp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { amid, ESP_HEAD, ETH, scratch } from './packets.ts';

describe('esp header', () => {
  it('reads a real packet', () => {
    expect(ipv4.protocol(ESP_HEAD, ETH)).toBe(esp.PROTOCOL);
    expect(esp.check(ESP_HEAD, ETH + 20)).toBeUndefined();
    expect(esp.parse(ESP_HEAD, ETH + 20)).toEqual({ spi: 3, seq: 1 });
  });

  it('writes it, and nothing else', () => {
    const out = scratch(12);
    expect(esp.emit({ spi: 0xffff_fffe, seq: 0x8000_0001 }, out, 2)).toBe(8);
    expect(toHex(out)).toBe('a5a5fffffffe80000001a5a5');
    expect(esp.parse(out, 2)).toEqual({ spi: 0xffff_fffe, seq: 0x8000_0001 });
  });

  it('points at a header that is cut off', () => {
    const slab = amid(hex('00000003000000'), 3, 9, 0);
    const fault = { layer: 'esp', at: 0, problem: 'header needs 8 bytes, has 7' };
    expect(esp.check(slab, 3, 10)).toEqual(fault);
    expect(() => esp.parse(slab, 3, 10)).toThrow(new WireError(fault));
    expect(esp.check(slab, 3, 11)).toBeUndefined();
  });
});

describe('esp trailer', () => {
  it('is read from the end of the text', () => {
    // "ping", two bytes of padding, pad length 2, next header 4.
    const b = amid(hex('70696e67 0102 02 04'), 5, 7, 0xff);
    const end = 13;
    expect(esp.checkTrailer(b, 5, end)).toBeUndefined();
    expect([esp.padLength(b, end), esp.nextHeader(b, end), esp.payloadEnd(b, end)]).toEqual([2, 4, 9]);
  });

  it.each([
    ['no payload at all', '0004', undefined],
    ['padding that fills the text', '0102 02 04', undefined],
    ['padding longer than the text', '0102 03 04', 'pad length is 3, but only 2 bytes are before it'],
    ['no room for a trailer', '04', 'trailer needs 2 bytes, has 1'],
  ])('%s', (_name, text, problem) => {
    const b = hex(text);
    const slab = amid(b, 5, 7, 0);
    const fault = esp.checkTrailer(slab, 5, 5 + b.length);
    expect(fault?.problem).toBe(problem);
    if (fault) expect(fault.at).toBe(Math.max(0, b.length - 2));
    else expect(esp.payloadEnd(slab, 5 + b.length)).toBeGreaterThanOrEqual(5);
  });
});

describe('what shares UDP port 4500 (RFC 3948)', () => {
  it.each([
    ['a NAT keepalive', 'ff', 'keepalive'],
    ['one byte that is none', 'fe', 'short'],
    ['nothing', '', 'short'],
    ['two bytes of 0xff', 'ffff', 'short'],
    ['the non-ESP marker alone', '00000000', 'ike'],
    ['IKE behind its marker', '00000000 9d2c4f5b6a7e8d1c 0000000000000000 2120220800000000', 'ike'],
    ['an ESP header with nothing behind it', '0000000300000001', 'short'],
    ['ESP', '000000030000000104', 'esp'],
    ['ESP whose SPI starts with zeros', '000000010000000104', 'esp'],
    ['three zero bytes', '000000', 'short'],
  ])('%s', (_name, text, want) => {
    const b = hex(text);
    for (const fill of [0x00, 0xff]) {
      expect(esp.classifyUdp(amid(b, 2, 9, fill), 2, 2 + b.length)).toBe(want);
    }
  });
});
