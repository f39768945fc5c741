import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { transportOk } from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { amid, ETH, PING, PING_V6, scratch } from './packets.ts';

const P1 = parseAddress('10.244.1.10')!;
const P2 = parseAddress('10.244.2.20')!;

describe('icmp', () => {
  it('reads a real echo request', () => {
    expect(icmp.check(PING, ETH + 20)).toBeUndefined();
    expect(icmp.parse(PING, ETH + 20)).toEqual({
      type: icmp.ECHO_REQUEST,
      code: 0,
      checksum: 0x07a4,
      echoId: 882,
      echoSeq: 1,
    });
    expect(icmp.type(PING_V6, ETH + 40)).toBe(icmp.V6_ECHO_REQUEST);
  });

  it('writes it back, and nothing else', () => {
    const out = scratch(12);
    expect(icmp.emit(icmp.parse(PING, ETH + 20), out, 2)).toBe(8);
    expect(toHex(out)).toBe(`a5a5${toHex(PING, ETH + 20, ETH + 28)}a5a5`);
  });

  it('points at a header that is cut off', () => {
    const slab = amid(hex('08000000000000'), 3, 9, 0);
    const fault = { layer: 'icmp', at: 0, problem: 'header needs 8 bytes, has 7' };
    expect(icmp.check(slab, 3, 10)).toEqual(fault);
    expect(() => icmp.parse(slab, 3, 10)).toThrow(new WireError(fault));
  });
});

describe('echoPacket', () => {
  it('makes the ping that Linux made', () => {
    const data = PING.slice(ETH + 28);
    const made = icmp.echoPacket({ src: P1, dst: P2, reply: false, id: 882, seq: 1, data });
    ipv4.setId(made, 0, 0x418a); // the only thing Linux chose otherwise
    ipv4.fillChecksum(made);
    expect(made).toEqual(PING.slice(ETH));
  });

  it('makes the ping that Linux made, IPv6', () => {
    const ip = PING_V6.subarray(ETH);
    const { src, dst } = ipv6.parse(ip);
    const made = icmp.echoPacket({ src, dst, reply: false, id: 0x365, seq: 1, data: ip.slice(48) });
    ipv6.setFlowLabel(made, 0, 0xf49cb);
    expect(made).toEqual(ip.slice());
  });

  it('makes replies, with the TTL that is asked for', () => {
    const v4 = icmp.echoPacket({
      src: P2,
      dst: P1,
      reply: true,
      id: 1,
      seq: 2,
      data: hex('70696e67'),
      ttl: 3,
    });
    expect(ipv4.check(v4)).toBeUndefined();
    expect([ipv4.ttl(v4), ipv4.checksumOk(v4), v4.length]).toEqual([3, true, 32]);
    expect(icmp.parse(v4, 20)).toMatchObject({ type: icmp.ECHO_REPLY, code: 0, echoId: 1, echoSeq: 2 });
    expect(transportOk(v4, 0, icmp.PROTOCOL, 20, v4.length)).toBe(true);

    const src = parseAddress('fd00::2')!;
    const dst = parseAddress('fd00::1')!;
    const v6 = icmp.echoPacket({ src, dst, reply: true, id: 1, seq: 2, data: hex('70696e67'), ttl: 3 });
    expect(ipv6.check(v6)).toBeUndefined();
    expect(ipv6.parse(v6)).toMatchObject({
      hopLimit: 3,
      payloadLength: 12,
      nextHeader: icmp.PROTOCOL_V6,
      src,
      dst,
    });
    expect(icmp.type(v6, 40)).toBe(icmp.V6_ECHO_REPLY);
    expect(transportOk(v6, 0, icmp.PROTOCOL_V6, 40, v6.length)).toBe(true);
  });

  it('refuses to ping from one family to the other', () => {
    const dst = parseAddress('fd00::1')!;
    expect(() => icmp.echoPacket({ src: P1, dst, reply: false, id: 1, seq: 1, data: hex('') })).toThrow(
      RangeError,
    );
  });
});
