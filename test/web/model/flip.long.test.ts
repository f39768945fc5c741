/**
 * Every bit of every packet of the page, flipped on the way to a real node.
 */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { arriveWith, send } from '../../../src/web/model/altered.ts';
import { fateOf, hitBy } from '../../../src/web/model/fate.ts';
import { altered, formatFlips, mend, parseFlips, toggled } from '../../../src/web/model/flip.ts';
import { protectionOf } from '../../../src/web/model/places.ts';
import { PACKETS, packetOf } from '../../../src/web/packets/packets.ts';

/** The fates of the outer fields, by field: `dropped XfrmInNoStates`. Of long fields one bit a byte is flipped. */
function fatesByField(id: string, isMended = true): Record<string, string[]> {
  const packet = packetOf(id)!;
  const sent = send(packet);
  const fates: Record<string, string[]> = {};
  const end = sent.places.find(({ name }) => name === 'esp.iv')!.at;
  for (let byte = 0; byte < end; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      const flips = [{ byte, bit }];
      const { name, at, end: behind } = hitBy(sent.places, flips[0]!)!;
      if (behind - at > 4 && bit !== byte % 8) continue;
      const bytes = altered(packet.shown.bytes, flips);
      if (isMended) mend(sent.explanation.packet, bytes, flips);
      const { outcome, counter } = fateOf(packet, sent.places, bytes, flips, undefined);
      const fate = counter ? `${outcome} ${counter.name}` : outcome;
      fates[name] ??= [];
      if (!fates[name].includes(fate)) fates[name].push(fate);
    }
  }
  return fates;
}

const V4_OUTER = {
  'eth.dst': ['ignored'],
  'eth.src': ['unnoticed'],
  'eth.type': ['dropped rx_dropped'],
  'ip.dsfield.dscp': ['unnoticed'],
  'ip.dsfield.ecn': ['unnoticed'],
  'ip.id': ['unnoticed'],
  'ip.flags.rb': ['unnoticed'],
  'ip.flags.df': ['unnoticed'],
  'ip.flags.mf': ['waits IpReasmFails'],
  'ip.frag_offset': ['waits IpReasmFails'],
  'ip.ttl': ['unnoticed'],
  'ip.proto': ['dropped IpInUnknownProtos'],
  'ip.checksum': ['dropped IpInHdrErrors'],
};

describe('one bit, and checksums mended', () => {
  it('native IPv4', () => {
    const fates = fatesByField('native-v4');
    expect(fates).toMatchObject({
      ...V4_OUTER,
      'ip.hdr_len': ['dropped IpInHdrErrors'],
      'ip.src': ['dropped cilium_drop_count_total'],
      'ip.dst': ['dropped IpExtInNoRoutes'],
      'esp.spi': ['dropped XfrmInNoStates'],
    });
    // Longer than what came; or shorter, so that the ICV is not where it is looked for.
    expect(fates['ip.len']).toEqual(['dropped IpExtInTruncatedPkts', 'dropped XfrmInStateProtoError']);
    // Number 5, after 1 to 4: flipped into 1 or 4 it is a replay; into anything else the ICV gives it away.
    expect(fates['esp.seq']).toEqual(['dropped XfrmInStateProtoError', 'dropped XfrmInStateSeqError']);
  });

  it('native IPv6, which has counters of its own', () => {
    expect(fatesByField('native-v6')).toMatchObject({
      'ipv6.version': ['dropped Ip6InHdrErrors'],
      'ipv6.tclass.dscp': ['unnoticed'],
      'ipv6.tclass.ecn': ['unnoticed'],
      'ipv6.flow': ['unnoticed'],
      'ipv6.plen': ['dropped Ip6InTruncatedPkts', 'dropped XfrmInStateProtoError'],
      'ipv6.nxt': ['dropped Ip6InUnknownProtos'],
      'ipv6.hlim': ['unnoticed'],
      'ipv6.src': ['dropped cilium_drop_count_total'],
      'ipv6.dst': ['dropped Ip6InNoRoutes'],
      'esp.spi': ['dropped XfrmInNoStates'],
    });
  });

  it('ESP in VXLAN: what carries it is nobody’s to vouch for', () => {
    expect(fatesByField('esp-in-vxlan')).toMatchObject({
      ...V4_OUTER,
      'ip.src': ['unnoticed'],
      'udp.srcport': ['unnoticed'],
      'udp.dstport': ['dropped UdpNoPorts'],
      'udp.checksum': ['dropped UdpInCsumErrors'],
      'vxlan.flags': ['dropped'],
      'vxlan.reserved24': ['dropped'],
      'vxlan.vni': ['unnoticed'],
      'vxlan.reserved8': ['dropped'],
      'eth.dst~2': ['unnoticed'],
      'ip.flags.mf~2': ['waits IpReasmFails'],
      'ip.proto~2': ['dropped IpInUnknownProtos'],
      'ip.ttl~2': ['unnoticed'],
      'esp.spi': ['dropped XfrmInNoStates'],
    });
  });

  it('without a window a number is no replay', () => {
    expect(fatesByField('global-key')['esp.seq']).toEqual(['dropped XfrmInStateProtoError']);
  });
});

it('left alone, the IPv4 checksum notices every bit of its header', () => {
  const fates = fatesByField('native-v4', false);
  for (const [name, outcomes] of Object.entries(fates)) {
    if (!name.startsWith('ip.') || name === 'ip.version') continue;
    expect(outcomes, name).toEqual([
      name === 'ip.len' ? 'dropped IpExtInTruncatedPkts' : 'dropped IpInHdrErrors',
    ]);
  }
});

describe.each(PACKETS.map((packet) => [packet.id, packet] as const))('%s', (_, packet) => {
  const sent = send(packet);
  const protection = protectionOf(sent.explanation.packet);

  it('lets no flipped bit of ESP through; node and explanation agree; and why is said in whole sentences', () => {
    for (const [byte, kind] of protection.entries()) {
      const flip = { byte, bit: byte % 8 };
      const { fate, explanation } = arriveWith(sent, [flip], true);
      const { field } = hitBy(sent.places, flip)!;
      if (field.id.startsWith('esp.')) {
        expect(fate!.outcome, `byte ${byte}`).toBe('dropped');
        const esp = explanation.packet.layers.find(({ id }) => id === 'esp')!;
        expect(esp.security!.counter, `byte ${byte}`).toBe(fate!.counter!.name);
      } else expect(kind, `byte ${byte}`).toBe('none');
      for (const text of [fate!.headline, ...fate!.why]) {
        expect(text, `byte ${byte}`).toMatch(/^[A-Z].*[.?!]$/);
        expect(text, `byte ${byte}`).not.toMatch(/undefined|null|not look at it\.$/);
      }
      expect(fate!.why.length, `byte ${byte}`).toBeGreaterThan(0);
    }
  });
});

describe('several bits', () => {
  it('are notices of congestion only together, and go inwards only where that is understood', () => {
    const sent = send(packetOf('native-v4')!);
    const ce = parseFlips('15.0,15.1', sent.packet.shown.bytes.length);
    expect(arriveWith(sent, ce, true).fate!.outcome).toBe('unnoticed'); // a ping does not understand it
    const overlay = arriveWith(send(packetOf('esp-in-vxlan')!), ce, true).fate!;
    expect(overlay).toMatchObject({ outcome: 'dropped', counter: { name: 'rx_errors' } });
  });

  it('are the packet that was sent when they are flipped back', () => {
    const sent = send(packetOf('native-v4')!);
    let flips = toggled([], { byte: 22, bit: 0 });
    flips = toggled(flips, { byte: 70, bit: 3 });
    flips = toggled(flips, { byte: 22, bit: 0 });
    expect(formatFlips(flips)).toBe('70.3');
    flips = toggled(flips, { byte: 70, bit: 3 });
    expect(formatFlips(flips)).toBeUndefined();
    const { bytes, fate } = arriveWith(sent, flips, true);
    expect(toHex(bytes)).toBe(toHex(sent.packet.shown.bytes));
    expect(fate).toBeUndefined();
  });

  it.each([
    ['22.0,22.0,70.3', '22.0,70.3'],
    ['22.8,22.-1,x,,1e3.0,99999.0', undefined],
    ['154.0,153.7', '153.7'],
  ])('%s in an address are %s', (typed, want) => {
    expect(formatFlips(parseFlips(typed, 154))).toBe(want);
  });
});
