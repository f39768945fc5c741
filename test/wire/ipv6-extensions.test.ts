import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import * as extensions from '../../src/wire/ipv6-extensions.ts';
import { amid, ETH, PING_V6 } from './packets.ts';

const { HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY } = extensions;
const UDP = 17;
const ESP = 50;

/** A header of the usual kind: next, length in 8 bytes less one, zeros. */
function header(next: number, bytes: number): number[] {
  return [next, bytes / 8 - 1, ...new Array<number>(bytes - 2).fill(0)];
}

/** An IPv6 packet: headers as [number, bytes or content], then 8 bytes of an upper layer. */
function chain(kinds: readonly (number | readonly [number, string])[], upper: number): Uint8Array {
  const b: number[] = [...PING_V6.subarray(ETH, ETH + 40)];
  let nextAt = 6;
  for (const kind of kinds) {
    const [number, content] = typeof kind === 'number' ? [kind, undefined] : kind;
    b[nextAt] = number;
    nextAt = b.length;
    b.push(...(content === undefined ? header(0, 8) : hex(content)));
  }
  b[nextAt] = upper;
  b.push(1, 2, 3, 4, 5, 6, 7, 8);
  return Uint8Array.from(b);
}

/** Walks a packet that stands in the middle of a slab; offsets come back counted from the packet's start. */
function walk(packet: Uint8Array) {
  const slab = amid(packet, 9, 50, 0x2b);
  const w = extensions.walk;
  const fault = w.run(slab, 9, 9 + packet.length);
  const rel = (at: number) => (at < 0 ? at : at - 9);
  return {
    fault,
    protocol: w.protocol,
    at: rel(w.at),
    nextAt: rel(w.nextAt),
    fragmentAt: rel(w.fragmentAt),
    fragmentNextAt: rel(w.fragmentNextAt),
    transportAt: rel(w.transportAt),
    transportNextAt: rel(w.transportNextAt),
  };
}

describe('the walk to the upper layer', () => {
  it('has nothing to step over in a ping', () => {
    expect(walk(PING_V6.subarray(ETH))).toEqual({
      fault: undefined,
      protocol: 58,
      at: 40,
      nextAt: 6,
      fragmentAt: -1,
      fragmentNextAt: -1,
      transportAt: 40,
      transportNextAt: 6,
    });
  });

  it('steps over every kind, by its own length', () => {
    const packet = chain(
      [
        [HOP_BY_HOP, `0001${'00'.repeat(14)}`], // 16 bytes
        DESTINATION,
        [ROUTING, `0002${'00'.repeat(22)}`], // 24 bytes
        [FRAGMENT, '0000000000000001'], // alone: a whole packet
        MOBILITY,
        [extensions.HIP, '0000000000000000'],
        [extensions.SHIM6, '0000000000000000'],
      ],
      UDP,
    );
    expect(walk(packet)).toMatchObject({
      fault: undefined,
      protocol: UDP,
      at: 120,
      nextAt: 112,
      fragmentAt: 88,
    });
    expect(packet[112]).toBe(UDP);
  });

  it.each([ESP, AUTHENTICATION, 6, 59, 41, 4, 255])('stops at protocol %i', (upper) => {
    expect(walk(chain([HOP_BY_HOP], upper))).toMatchObject({
      fault: undefined,
      protocol: upper,
      at: 48,
      nextAt: 40,
    });
  });

  it('finds ESP behind a lone fragment header, and the byte that names it', () => {
    const packet = chain([[FRAGMENT, '0000000000000007']], ESP);
    expect(walk(packet)).toMatchObject({
      protocol: ESP,
      at: 48,
      nextAt: 40,
      fragmentAt: 40,
      fragmentNextAt: 6,
    });
    expect(extensions.isFragment(packet, 40)).toBe(false); // RFC 6946
    packet[43] = 0x06; // reserved bits: ignored on receipt
    expect(extensions.isFragment(packet, 40)).toBe(false);
  });

  it('goes on behind a first fragment, where the headers are', () => {
    const packet = chain([HOP_BY_HOP, [FRAGMENT, '00000001cafe0001'], DESTINATION], UDP);
    expect(walk(packet)).toMatchObject({ protocol: UDP, at: 64, fragmentAt: 48, fragmentNextAt: 40 });
    expect([extensions.isFragment(packet, 48), extensions.fragmentOffset(packet, 48)]).toEqual([true, 0]);
    expect(extensions.moreFragments(packet, 48)).toBe(true);
    expect(extensions.fragmentId(packet, 48)).toBe(0xcafe0001);
  });

  it('stops at a later fragment: what follows is no header', () => {
    const packet = chain([HOP_BY_HOP, [FRAGMENT, '000005a8cafe0001'], DESTINATION], UDP);
    expect(walk(packet)).toMatchObject({
      fault: undefined,
      protocol: FRAGMENT,
      at: 48,
      nextAt: 40,
      fragmentAt: 48,
    });
    expect(extensions.fragmentOffset(packet, 48)).toBe(1448);
    expect(extensions.moreFragments(packet, 48)).toBe(false);
  });

  it('reports the fragment header that makes it a piece, where there are two', () => {
    const inner = chain(
      [
        [FRAGMENT, '0000000000000007'],
        [FRAGMENT, '0000000100000008'],
      ],
      UDP,
    );
    expect(walk(inner)).toMatchObject({ fragmentAt: 48, fragmentNextAt: 40 });
    const outer = chain(
      [
        [FRAGMENT, '0000000100000007'],
        [FRAGMENT, '0000000100000008'],
      ],
      UDP,
    );
    expect(walk(outer)).toMatchObject({ fragmentAt: 40, fragmentNextAt: 6 });
  });

  it('points at the header that is cut off', () => {
    const packet = chain([HOP_BY_HOP, [ROUTING, `0003${'00'.repeat(30)}`]], UDP);
    expect(walk(packet.subarray(0, 52)).fault).toEqual({
      layer: 'ipv6',
      at: 48,
      problem: 'extension header 43 needs 8 bytes, has 4',
    });
    expect(walk(packet.subarray(0, 72)).fault).toEqual({
      layer: 'ipv6',
      at: 48,
      problem: 'extension header 43 needs 32 bytes, has 24',
    });
    // Where nothing of the upper layer is left, the walk is still good.
    expect(walk(packet.subarray(0, 80))).toMatchObject({ fault: undefined, protocol: UDP, at: 80 });
  });

  it('gives up on a chain without end', () => {
    const most = new Array<number>(extensions.MAX_EXTENSIONS).fill(DESTINATION);
    expect(walk(chain(most, UDP)).fault).toBeUndefined();
    expect(walk(chain([...most, DESTINATION], UDP)).fault).toEqual({
      layer: 'ipv6',
      at: 40 + 16 * 8,
      problem: 'more than 16 extension headers',
    });
  });

  it('forgets the packet before', () => {
    const first = chain([HOP_BY_HOP, [FRAGMENT, '000005a8cafe0001']], UDP);
    const plain = PING_V6.subarray(ETH);
    const w = extensions.walk;
    w.run(first, 0, first.length);
    w.run(plain, 0, plain.length);
    expect({ ...w }).toEqual({
      protocol: 58,
      at: 40,
      nextAt: 6,
      fragmentAt: -1,
      fragmentNextAt: -1,
      transportAt: 40,
      transportNextAt: 6,
    });
  });
});

describe('where ESP goes in transport mode (RFC 4303 §3.1.1)', () => {
  it.each([
    ['no extension headers', [], 40, 6],
    ['hop-by-hop stays clear', [HOP_BY_HOP], 48, 40],
    ['routing stays clear', [ROUTING], 48, 40],
    ['options for the receiver go inside', [DESTINATION], 40, 6],
    ['options before a routing header stay clear', [DESTINATION, ROUTING], 56, 48],
    ['options behind a routing header go inside', [ROUTING, DESTINATION], 48, 40],
    ['the full order of RFC 8200', [HOP_BY_HOP, DESTINATION, ROUTING, DESTINATION], 64, 56],
    [
      'an atomic fragment header goes inside',
      [HOP_BY_HOP, [FRAGMENT, '0000000000000001'], DESTINATION],
      48,
      40,
    ],
    ['routing behind a fragment header does not count', [[FRAGMENT, '0000000000000001'], ROUTING], 40, 6],
    ['AH goes inside', [HOP_BY_HOP, [AUTHENTICATION, `0004${'00'.repeat(22)}`]], 48, 40],
    ['mobility goes inside', [MOBILITY, ROUTING], 40, 6],
  ] as const)('%s', (_name, kinds, transportAt, transportNextAt) => {
    expect(walk(chain(kinds, UDP))).toMatchObject({ fault: undefined, transportAt, transportNextAt });
  });
});
