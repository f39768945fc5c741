import { describe, expect, it } from 'vitest';
import { flipBit } from '../../src/base/bytes.ts';
import { decrementHopLimit } from '../../src/ipsec/hop-limit.ts';
import { Ledger } from '../../src/sim/ledger.ts';
import { text, udpPacket } from '../../src/sim/traffic.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { ip } from '../support/cilium-cluster.ts';

const packet = udpPacket({ src: ip('10.0.0.1'), dst: ip('10.0.0.2'), srcPort: 1, dstPort: 2 }, text(50));
const packet6 = udpPacket({ src: ip('fd00::1'), dst: ip('fd00::2'), srcPort: 1, dstPort: 2 }, text(50));

function hops(bytes: Uint8Array, count: number): Uint8Array {
  const copy = bytes.slice();
  for (let i = 0; i < count; i++) decrementHopLimit(copy, 0);
  return copy;
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  flipBit(copy, bit);
  return copy;
}

describe('the books', () => {
  it.each([
    ['the packet, so many hops later', hops(packet, 2), 'identical'],
    ['too few hops', hops(packet, 1), 'altered'],
    ['too many hops', hops(packet, 3), 'altered'],
    ['one bit of the payload', flipped(hops(packet, 2), 40 * 8), 'damaged'],
    ['one bit of the header', flipped(hops(packet, 2), 5 * 8), 'damaged'],
    ['cut off', hops(packet, 2).subarray(0, 60), 'damaged'],
    ['IPv6, so many hops later', hops(packet6, 2), 'identical'],
    ['IPv6: a bit of the flow label, which no checksum covers', flipped(hops(packet6, 2), 12), 'altered'],
    ['IPv6: a bit of the payload', flipped(hops(packet6, 2), 60 * 8), 'damaged'],
  ] as const)('%s: %s', (_, bytes, want) => {
    const ledger = new Ledger();
    for (const sent of [packet, packet6]) ledger.send(sent, 'web', 2, true);
    expect(ledger.arrive(bytes, 'web')).toBe(want);
    expect(ledger.arrivals).toEqual({ identical: 0, damaged: 0, altered: 0, [want]: 1 });
    expect(ledger.arrivedProtected).toBe(want === 'identical' ? 1 : 0);
  });

  it('sees a packet that came to the wrong host', () => {
    const ledger = new Ledger();
    ledger.send(packet, 'web', 2, true);
    expect(ledger.arrive(hops(packet, 2), 'cache')).toBe('altered');
  });

  it('sees one with a changed byte and a checksum that fits', () => {
    const ledger = new Ledger();
    ledger.send(packet, 'web', 2, true);
    const forged = hops(packet, 2);
    ipv4.setTos(forged, 0, 4);
    ipv4.fillChecksum(forged);
    expect(ledger.arrive(forged, 'web')).toBe('altered');
  });

  it('counts what arrives more often than it was sent', () => {
    const ledger = new Ledger();
    ledger.send(packet, 'web', 2, true);
    ledger.send(packet, 'web', 2, true);
    for (let i = 0; i < 3; i++) expect(ledger.arrive(hops(packet, 2), 'web')).toBe('identical');
    expect(ledger).toMatchObject({ sent: 2, sentProtected: 2, arrived: 3, repeated: 1 });
  });

  it('does not mind twins in the clear', () => {
    const ledger = new Ledger();
    ledger.send(packet, 'database', 1, false);
    for (let i = 0; i < 3; i++) ledger.arrive(hops(packet, 1), 'database');
    expect(ledger).toMatchObject({ sent: 1, sentProtected: 0, arrivedProtected: 0, repeated: 0 });
  });
});
