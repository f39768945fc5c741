import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import { ipAt } from '../../src/wire/carrier.ts';
import * as linkType from '../../src/wire/link-type.ts';
import { amid, PING, PING_V6, VXLAN_ARP } from './packets.ts';

const MACS = '82606dfdc436 9e0b002aca29';
const COOKED = '0000 0001 0006 9e0b002aca290000';
const SLL2 = '0000 00000002 0001 00 06 9e0b002aca290000';

describe('ipAt', () => {
  it.each([
    ['Ethernet, IPv4', 1, `${MACS} 0800 45`, 14],
    ['Ethernet, IPv6', 1, `${MACS} 86dd 60`, 14],
    ['Ethernet, VLAN', 1, `${MACS} 8100 0005 0800 45`, 18],
    ['Ethernet, two VLAN tags', 1, `${MACS} 88a8 0005 8100 0006 86dd 60`, 22],
    ['raw, IPv4', 101, '45', 0],
    ['raw, IPv6', 101, '60', 0],
    ["raw by BSD's number", 12, '45', 0],
    ["raw by OpenBSD's number", 14, '60', 0],
    ['raw IPv4', 228, '45', 0],
    ['raw IPv6', 229, '60', 0],
    ['cooked, IPv4', 113, `${COOKED} 0800 45`, 16],
    ['cooked, IPv6', 113, `${COOKED} 86dd 60`, 16],
    ['cooked, VLAN', 113, `${COOKED} 8100 0005 0800 45`, 20],
    ['cooked v2, IPv4', 276, `0800 ${SLL2} 45`, 20],
    ['cooked v2, IPv6', 276, `86dd ${SLL2} 60`, 20],
    ['cooked v2, VLAN', 276, `8100 ${SLL2} 0005 0800 45`, 24],
    ['loopback of a little-endian host', 0, '02000000 45', 4],
    ['loopback of a big-endian host', 0, '00000002 45', 4],
    ['loopback, IPv6 on macOS', 0, '1e000000 60', 4],
    ['loopback, IPv6 on FreeBSD', 0, '1c000000 60', 4],
    ['loopback, IPv6 on NetBSD', 0, '18000000 60', 4],
    ['loopback, IPv6 on Windows', 0, '17000000 60', 4],
    ['loopback, IPv6 on Linux', 0, '0a000000 60', 4],
    ['OpenBSD loopback', 108, '00000018 60', 4],
  ])('%s', (_name, type, text, want) => {
    const b = hex(text);
    expect(ipAt(type, b, 0, b.length)).toBe(want);
    for (const fill of [0x00, 0x45, 0x81]) {
      const slab = amid(b, 3, 30, fill);
      expect(ipAt(type, slab, 3, 3 + b.length), 'in a slab').toBe(3 + want);
      // One byte less, and the first byte of IP is gone; nothing shorter is IP either.
      for (let end = 3; end < 3 + b.length; end++) {
        expect(ipAt(type, slab, 3, end), `cut to ${end - 3}`).toBe(-1);
      }
    }
  });

  it.each([
    ['ARP', 1, `${MACS} 0806 45`],
    ['an 802.3 length', 1, `${MACS} 0026 45`],
    ['a type that the version contradicts', 1, `${MACS} 0800 60`],
    ['the other way round', 1, `${MACS} 86dd 45`],
    ['more VLAN tags than we follow', 1, `${MACS} ${'8100 0001'.repeat(5)} 0800 45`],
    ['raw, but neither version', 101, '55'],
    ['raw, version 0', 101, '00'],
    ['raw IPv4 with IPv6', 228, '60'],
    ['raw IPv6 with IPv4', 229, '45'],
    ['cooked ARP', 113, `${COOKED} 0806 45`],
    ['cooked v2 ARP', 276, `0806 ${SLL2} 45`],
    ['loopback of another family', 0, '07000000 45'],
    ['a family with rubbish in it', 0, '020000ff 45'],
    ['a link type we do not know', 147, `${MACS} 0800 45`],
  ])('is -1 for %s', (_name, type, text) => {
    const b = hex(text);
    expect(ipAt(type, b, 0, b.length)).toBe(-1);
  });

  it('finds IP in real frames', () => {
    for (const frame of [PING, PING_V6, VXLAN_ARP]) {
      expect(ipAt(linkType.LINK_ETHERNET, frame, 0, frame.length)).toBe(14);
    }
    expect(ipAt(linkType.LINK_ETHERNET, VXLAN_ARP, 50, VXLAN_ARP.length)).toBe(-1); // ARP inside
  });
});

describe('link type names', () => {
  it('names what it knows, numbers what it does not', () => {
    const known = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276];
    for (const type of known) {
      expect(linkType.isKnownLinkType(type), `${type}`).toBe(true);
      expect(linkType.linkTypeName(type), `${type}`).not.toMatch(/^link type/);
    }
    expect(linkType.isKnownLinkType(220)).toBe(false);
    expect(linkType.linkTypeName(220)).toBe('link type 220 (USB, Linux)');
    expect(linkType.linkTypeName(147)).toBe('link type 147');
  });
});
