import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalBytes, hex, putU16, putU32, toHex } from '../../src/base/bytes.ts';
import { xorshift32 } from '../../src/base/rng.ts';
import { ipAt } from '../../src/wire/carrier.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { FRAGMENT } from '../../src/wire/ipv6-extensions.ts';
import { LINK_ETHERNET } from '../../src/wire/link-type.ts';
import { FRAGMENT_COST, Reassembler } from '../../src/wire/reassembly.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';
import { amid, capturedFrames, ETH, PING, PING_V6 } from './packets.ts';

/** An IPv4 packet of `len` payload bytes that count up. */
function whole4(len: number, changes: Partial<ipv4.Header> = {}): Uint8Array {
  const header = { ...ipv4.parse(PING, ETH), dontFragment: false, totalLength: 20 + len, ...changes };
  const packet = new Uint8Array(20 + header.options.length + len);
  ipv4.emit({ ...header, totalLength: packet.length }, packet);
  for (let i = 0; i < len; i++) packet[packet.length - len + i] = i;
  return packet;
}

/** The piece `[from, to)` of a packet's payload, as a router makes it. */
function piece4(
  packet: Uint8Array,
  from: number,
  to: number,
  changes: Partial<ipv4.Header> = {},
): Uint8Array {
  const header = ipv4.parse(packet);
  const len = ipv4.headerLen(packet);
  const out = new Uint8Array(len + to - from);
  ipv4.emit(
    {
      ...header,
      totalLength: out.length,
      fragmentOffset: from,
      moreFragments: len + to < packet.length,
      ...changes,
    },
    out,
  );
  out.set(packet.subarray(len + from, len + to), len);
  return out;
}

/** Hop-by-hop options, then `upper`. */
const HOP_BY_HOP = (upper: number) => Uint8Array.of(upper, 0, 1, 4, 0, 0, 0, 0);

/** An IPv6 packet of `len` payload bytes that count up; with or without hop-by-hop options before them. */
function whole6(len: number, options = false, upper = 17): Uint8Array {
  const head = options ? 8 : 0;
  const packet = new Uint8Array(40 + head + len);
  ipv6.emit(
    { ...ipv6.parse(PING_V6, ETH), payloadLength: head + len, nextHeader: options ? 0 : upper },
    packet,
  );
  if (options) packet.set(HOP_BY_HOP(upper), 40);
  for (let i = 0; i < len; i++) packet[40 + head + i] = i;
  return packet;
}

function piece6(
  packet: Uint8Array,
  from: number,
  to: number,
  { id = 0xcafe0001, ecn = 0, more = undefined as boolean | undefined } = {},
): Uint8Array {
  const head = packet[6] === 0 ? 48 : 40;
  const nextAt = packet[6] === 0 ? 40 : 6;
  const out = new Uint8Array(head + 8 + to - from);
  out.set(packet.subarray(0, head));
  out[head] = packet[nextAt]!;
  out[nextAt] = FRAGMENT;
  putU16(out, head + 2, from | ((more ?? head + to < packet.length) ? 1 : 0));
  putU32(out, head + 4, id);
  ipv6.setPayloadLength(out, 0, out.length - 40);
  ipv6.setTrafficClass(out, 0, ecn);
  out.set(packet.subarray(head + from, head + to), head + 8);
  return out;
}

/** Gives fragments to a reassembler; what comes out, undefined for those that completed nothing. */
function feed(r: Reassembler, fragments: readonly Uint8Array[], now = 0): (Uint8Array | undefined)[] {
  // Each one amid other bytes, as in a frame: they must not count.
  return fragments.map((f, i) => r.add(amid(f, 14, 6, i), 14, 14 + f.length, now));
}

describe('IPv4 reassembly', () => {
  const packet = whole4(100);
  const [a, b, c] = [piece4(packet, 0, 40), piece4(packet, 40, 80), piece4(packet, 80, 100)];

  it.each([
    ['in order', [a, b, c]],
    ['backwards', [c, b, a]],
    ['first one last', [b, c, a]],
    ['middle one last', [a, c, b]],
    ['with duplicates on the way', [a, a, c, c, a, b]],
  ])('puts together %s', (_name, fragments) => {
    const r = new Reassembler();
    const out = feed(r, fragments);
    expect(out.pop()).toEqual(packet);
    expect(out.every((v) => v === undefined)).toBe(true);
    expect(r.stats).toEqual({
      completed: 1,
      timedOut: 0,
      evicted: 0,
      overlapping: 0,
      duplicates: fragments.length - 3,
      malformed: 0,
    });
    expect([r.pending, r.bytes]).toEqual([0, 0]);
  });

  it('keeps the first fragment’s header: its options, its TTL, its DF', () => {
    const optioned = whole4(64, { options: hex('94040000'), dontFragment: true });
    const first = piece4(optioned, 0, 32, { ttl: 9 });
    const last = piece4(optioned, 32, 64, { ttl: 3, tos: 0xfc });
    const [, out] = feed(new Reassembler(), [first, last]);
    expect(ipv4.check(out!)).toBeUndefined();
    expect(ipv4.checksumOk(out!)).toBe(true);
    expect(ipv4.parse(out!)).toEqual({ ...ipv4.parse(optioned), ttl: 9 });
    expect(toHex(out!, 24)).toBe(toHex(optioned, 24));
  });

  it.each([
    ['source', { src: hex('0a000001') }],
    ['destination', { dst: hex('0a000001') }],
    ['id', { id: 1 }],
    ['protocol', { protocol: 50 }],
  ])('does not mix datagrams of another %s', (_name, changes) => {
    const r = new Reassembler();
    expect(feed(r, [a, b, piece4(packet, 80, 100, changes)])).toEqual([undefined, undefined, undefined]);
    expect(r.pending).toBe(2);
    expect(feed(r, [c])).toEqual([packet]);
  });

  it('works on many datagrams at once', () => {
    const r = new Reassembler();
    const packets = Array.from({ length: 50 }, (_, i) => whole4(24 + i, { id: i }));
    feed(
      r,
      packets.map((p) => piece4(p, 16, p.length - 20)),
    );
    expect(r.pending).toBe(50);
    expect(
      feed(
        r,
        packets.map((p) => piece4(p, 0, 16)),
      ),
    ).toEqual(packets);
  });

  it('starts anew after completion: the id may be used again', () => {
    const r = new Reassembler();
    expect(feed(r, [a, b, c, a, b, c]).filter(Boolean)).toEqual([packet, packet]);
  });

  // Linux: inet_frag_queue_insert.
  it.each([
    ['over the start of a piece', [b, piece4(packet, 32, 48)]],
    ['over the end of a piece', [b, piece4(packet, 72, 88)]],
    ['around a piece', [b, piece4(packet, 32, 88)]],
    ['over two pieces that came backwards', [b, a, piece4(packet, 32, 48)]],
    ['exactly over two pieces that came backwards', [b, a, piece4(packet, 0, 80)]],
    ['one block over', [a, piece4(packet, 32, 80)]],
  ])('drops the datagram when a fragment lies %s', (_name, fragments) => {
    const r = new Reassembler();
    expect(feed(r, fragments).every((v) => v === undefined)).toBe(true);
    expect(r.stats).toMatchObject({ overlapping: 1, duplicates: 0, completed: 0 });
    expect([r.pending, r.bytes]).toEqual([0, 0]);
    // What comes later starts anew, and completes alone only if it is complete.
    expect(feed(r, [c])).toEqual([undefined]);
    expect(feed(r, [a, b])).toEqual([undefined, packet]);
  });

  it.each([
    ['the same piece', [a, a]],
    ['a part of a piece', [a, piece4(packet, 8, 24)]],
    ['two pieces in one, after they came in order', [a, b, piece4(packet, 0, 80)]],
  ])('ignores %s', (_name, fragments) => {
    const r = new Reassembler();
    feed(r, fragments);
    expect(r.stats).toMatchObject({ overlapping: 0, duplicates: 1 });
    expect(r.pending).toBe(1);
  });

  it('keeps the bytes that came first', () => {
    const other = c.slice().fill(0xff, 20);
    const [, , , , out] = feed(new Reassembler(), [c, a, other, a, b]);
    expect(out).toEqual(packet);
  });

  it.each([
    ['a second end, before the first', [c, piece4(packet, 40, 48, { moreFragments: false })]],
    ['a second end, behind the first', [c, piece4(whole4(200), 160, 200)]],
    ['data behind the end', [c, piece4(whole4(200), 104, 112)]],
    ['an end before data', [piece4(whole4(200), 104, 112), c]],
    ['an empty fragment', [a, piece4(packet, 40, 40)]],
    ['less than a block, with more to follow', [a, piece4(packet, 40, 47)]],
  ])('drops the datagram for %s', (_name, fragments) => {
    const r = new Reassembler();
    feed(r, fragments);
    expect(r.stats).toMatchObject({ malformed: 1, overlapping: 0 });
    expect([r.pending, r.bytes]).toEqual([0, 0]);
  });

  it('counts whole blocks only where more fragments follow, as Linux does', () => {
    const r = new Reassembler();
    // 45 bytes, 5 of them too many.
    expect(feed(r, [piece4(packet, 0, 45), b, c])).toEqual([undefined, undefined, packet]);
    expect(r.stats.overlapping).toBe(0);
  });

  it('refuses more than 65535 bytes in all', () => {
    // 65528 + 8 reaches beyond what a length can say: this fragment alone is dropped.
    const r = new Reassembler();
    const beyond = piece4(whole4(8), 0, 8, { fragmentOffset: 65528, moreFragments: false });
    expect(feed(r, [a, beyond])).toEqual([undefined, undefined]);
    expect(r.stats.malformed).toBe(1);
    expect(r.pending).toBe(1);
  });

  it.each([
    ['the longest packet there is', 65515, 65535],
    ['one byte more', 65516, undefined],
  ])('counts the header too: %s', (_name, len, want) => {
    const r = new Reassembler();
    const first = piece4(whole4(65504), 0, 65504, { moreFragments: true });
    const tail = whole4(len - 65504);
    const last = piece4(tail, 0, len - 65504, { fragmentOffset: 65504 });
    const [, out] = feed(r, [first, last]);
    expect(out?.length).toBe(want);
    expect(r.stats.completed + r.stats.malformed).toBe(1);
    expect([r.pending, r.bytes]).toEqual([0, 0]);
  });

  it('takes no packet that is whole, cut off or damaged', () => {
    const r = new Reassembler();
    const bad = [
      packet,
      a.subarray(0, 30),
      a.subarray(0, 10),
      hex(''),
      hex('12345678'),
      a.map((v, i) => (i === 0 ? 0x42 : v)),
    ];
    expect(feed(r, bad)).toEqual(bad.map(() => undefined));
    expect(r.stats.malformed).toBe(bad.length);
    expect(r.pending).toBe(0);
  });

  it('tells fragments from whole packets', () => {
    const r = new Reassembler();
    expect([a, b, c].map((f) => r.isFragment(f))).toEqual([true, true, true]);
    expect(
      [packet, whole4(8, { dontFragment: true }), hex(''), a.subarray(0, 19)].map((f) => r.isFragment(f)),
    ).toEqual([false, false, false, false]);
    expect(r.isFragment(amid(b, 7, 0, 0), 7)).toBe(true);
  });
});

describe('congestion marks of fragments (RFC 3168 §5.3)', () => {
  const packet = whole4(48);
  const [NOT, ECT1, ECT0, CE] = [0, 1, 2, 3];

  it.each([
    [[NOT, NOT], NOT],
    [[ECT0, ECT0], ECT0],
    [[ECT0, ECT1], ECT0],
    [[ECT0, CE], CE],
    [[ECT1, CE], CE],
    [[CE, ECT0], CE],
    [[CE, CE], CE],
    [[NOT, ECT0], undefined],
    [[NOT, CE], undefined],
    [[CE, NOT], undefined],
  ])('%j make %s', (marks, want) => {
    const r = new Reassembler();
    const [, v4] = feed(r, [
      piece4(packet, 0, 24, { tos: 0xb8 | marks[0]! }),
      piece4(packet, 24, 48, { tos: 0xb8 | marks[1]! }),
    ]);
    expect(v4 && [ipv4.dscp(v4), ipv4.ecn(v4), ipv4.checksumOk(v4)]).toEqual(
      want === undefined ? undefined : [46, want, true],
    );
    const six = whole6(48);
    const [, v6] = feed(r, [
      piece6(six, 0, 24, { ecn: 0xb8 | marks[0]! }),
      piece6(six, 24, 48, { ecn: 0xb8 | marks[1]! }),
    ]);
    expect(v6 && [ipv6.dscp(v6), ipv6.ecn(v6)]).toEqual(want === undefined ? undefined : [46, want]);
    expect(r.stats.malformed).toBe(want === undefined ? 2 : 0);
    expect([r.pending, r.bytes]).toEqual([0, 0]);
  });
});

describe('IPv6 reassembly', () => {
  it.each([false, true])('puts together, options before the fragment header: %s', (options) => {
    const packet = whole6(100, options);
    const [a, b, c] = [piece6(packet, 0, 40), piece6(packet, 40, 80), piece6(packet, 80, 100)];
    for (const order of [
      [a, b, c],
      [c, a, b],
      [b, c, a],
    ]) {
      const r = new Reassembler();
      expect(order.every((f) => r.isFragment(f))).toBe(true);
      expect(feed(r, order)).toEqual([undefined, undefined, packet]);
      expect(r.stats).toMatchObject({ completed: 1, malformed: 0 });
    }
  });

  it('takes headers and next header from the first fragment', () => {
    const packet = whole6(48, false, 50);
    const first = piece6(packet, 0, 24);
    const last = piece6(packet, 24, 48);
    last[40] = 17; // RFC 8200 §4.5: only the first one's counts
    ipv6.setHopLimit(first, 0, 9);
    const [, out] = feed(new Reassembler(), [last, first]);
    const want = packet.slice();
    ipv6.setHopLimit(want, 0, 9);
    expect(out).toEqual(want);
  });

  it('does not mix ids', () => {
    const packet = whole6(48);
    const r = new Reassembler();
    expect(feed(r, [piece6(packet, 0, 24), piece6(packet, 24, 48, { id: 1 })])).toEqual([
      undefined,
      undefined,
    ]);
    expect(r.pending).toBe(2);
  });

  it('drops the datagram for an overlap (RFC 5722), not for a duplicate', () => {
    const packet = whole6(100);
    const r = new Reassembler();
    feed(r, [piece6(packet, 0, 40), piece6(packet, 0, 40), piece6(packet, 32, 80)]);
    expect(r.stats).toMatchObject({ duplicates: 1, overlapping: 1 });
    expect(r.pending).toBe(0);
  });

  it('drops a fragment alone when it is not whole blocks, or reaches too far', () => {
    const packet = whole6(100);
    const r = new Reassembler();
    const far = piece6(whole6(8), 0, 8, { more: false });
    putU16(far, 42, 65528);
    expect(feed(r, [piece6(packet, 0, 40), piece6(packet, 40, 77), far])).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(r.stats.malformed).toBe(2);
    expect(feed(r, [piece6(packet, 40, 100)])).toEqual([packet]);
  });

  it('leaves a lone fragment header to the walk (RFC 6946)', () => {
    const packet = whole6(48);
    const atomic = piece6(packet, 0, 48);
    const r = new Reassembler();
    expect(r.isFragment(atomic)).toBe(false);
    expect(feed(r, [atomic])).toEqual([undefined]);
    expect(r.stats.malformed).toBe(1);
  });

  it('does not take a first fragment without all its headers (RFC 8200 §4.5)', () => {
    const packet = whole6(48, false, 60);
    // Destination options of 32 bytes, of which the first fragment has 24.
    packet[40] = 17;
    packet[41] = 3;
    const r = new Reassembler();
    expect(r.isFragment(piece6(packet, 0, 24))).toBe(false);
    expect(r.isFragment(piece6(packet, 0, 32))).toBe(true);
  });
});

describe('bounds', () => {
  const packet = whole4(48);
  const first = (id: number) => piece4(packet, 0, 24, { id });
  const last = (id: number) => piece4(packet, 24, 48, { id });
  const six = whole6(48);

  it('forgets after 30 s in IPv4 and 60 s in IPv6, counted from the first fragment', () => {
    const r = new Reassembler();
    feed(r, [first(1), piece6(six, 0, 24)], 1000);
    feed(r, [piece4(packet, 40, 48, { id: 1 })], 20_000); // does not wind the clock up again
    r.expire(30_999);
    expect([r.pending, r.stats.timedOut]).toEqual([2, 0]);
    r.expire(31_000);
    expect([r.pending, r.stats.timedOut]).toEqual([1, 1]);
    r.expire(60_999);
    expect(r.pending).toBe(1);
    expect(feed(r, [piece6(six, 24, 48)], 61_000)).toEqual([undefined]);
    expect([r.pending, r.stats.timedOut]).toEqual([1, 2]);
  });

  it('drops in time, too, when the clock is set back', () => {
    const r = new Reassembler();
    const hour = 3_600_000;
    const add = (id: number, now: number) => feed(r, [first(id)], now);
    add(1, hour);
    add(2, hour + 10);
    r.expire(0);
    expect(r.pending).toBe(2);
    add(3, 20_000);
    r.expire(29_999);
    expect(r.pending).toBe(3);
    r.expire(30_000);
    expect([r.pending, r.stats.timedOut], 'the two from the future').toEqual([1, 2]);
    r.expire(50_000);
    expect([r.pending, r.bytes, r.stats.timedOut]).toEqual([0, 0, 3]);
  });

  it('bears times that jitter, as in a capture of several interfaces', () => {
    const r = new Reassembler();
    feed(r, [first(1)], 100);
    for (let k = 0; k < 50_000; k++) r.expire(k % 2 === 0 ? 100 : 99);
    expect(r.pending).toBe(1);
    r.expire(100 + 29_000);
    expect(r.pending).toBe(1);
  });

  it('takes other times', () => {
    const r = new Reassembler({ timeoutV4: 10, timeoutV6: 5 });
    feed(r, [first(1), piece6(six, 0, 24)], 0);
    r.expire(5);
    expect(r.pending).toBe(1);
    r.expire(10);
    expect(r.pending).toBe(0);
  });

  it('bears a clock that jumps back, as captures have', () => {
    const r = new Reassembler();
    feed(r, [first(1)], 1e9);
    expect(feed(r, [last(1)], 0)[0]?.length).toBe(68);
  });

  it.each([
    ['IPv4', [first(1), piece6(six, 0, 24), first(2)], last(1), piece6(six, 24, 48)],
    ['IPv6', [piece6(six, 0, 24), first(1), first(2)], piece6(six, 24, 48), last(1)],
  ])('evicts the oldest of both families when there are too many: %s', (_name, full, lost, kept) => {
    const r = new Reassembler({ maxDatagrams: 3 });
    for (const [now, f] of full.entries()) feed(r, [f], now);
    expect([r.pending, r.stats.evicted]).toEqual([3, 0]);
    feed(r, [first(3)], 4);
    expect([r.pending, r.stats.evicted]).toEqual([3, 1]);
    // The younger ones still complete; of the oldest, a late fragment is all there is.
    for (const f of [kept, last(2), last(3)]) expect(feed(r, [f], 5)[0]).toBeDefined();
    expect(feed(r, [lost], 5)).toEqual([undefined]);
    expect(r.pending).toBe(1);
  });

  it('counts payload, first headers and a cost per fragment', () => {
    const r = new Reassembler();
    feed(r, [last(1)]);
    expect(r.bytes).toBe(24 + FRAGMENT_COST);
    feed(r, [first(2)]);
    expect(r.bytes).toBe(24 + FRAGMENT_COST + 20 + 24 + FRAGMENT_COST);
  });

  it('evicts the oldest when memory runs out, and counts small fragments at their cost', () => {
    const room = 10 * (FRAGMENT_COST + 100);
    const r = new Reassembler({ maxBytes: room });
    for (let id = 0; id < 1000; id++) {
      feed(r, [piece4(packet, 8, 16, { id })], id);
      expect(r.bytes).toBeLessThanOrEqual(room);
    }
    expect(r.pending).toBe(Math.floor(room / (FRAGMENT_COST + 8)));
    expect(r.stats.evicted).toBe(1000 - r.pending);
  });

  it('gives up a datagram that alone is more than memory', () => {
    const r = new Reassembler({ maxBytes: 100 });
    expect(feed(r, [first(1), last(1)])).toEqual([undefined, undefined]);
    expect([r.pending, r.bytes, r.stats.evicted]).toEqual([0, 0, 2]);
  });

  it('keeps nothing of the frames it was given', () => {
    const r = new Reassembler();
    const frame = first(1);
    r.add(frame, 0, frame.length, 0);
    frame.fill(0xa5);
    expect(toHex(feed(r, [last(1)])[0]!, 20)).toBe(toHex(packet, 20));
  });
});

// The obvious version: an array of 65536 places, and the runs that Linux would have.
class PlainReassembler {
  readonly bytes = new Array<number | undefined>(70_000);
  runs: [number, number][] = [];
  len = 0;
  last = false;

  add(at: number, piece: readonly number[], more: boolean): 'taken' | 'duplicate' | 'killed' {
    const end = at + piece.length;
    if (!more ? end < this.len || (this.last && end !== this.len) : this.last && end > this.len)
      return 'killed';
    if (!more) this.last = true;
    this.len = Math.max(this.len, end);
    if (piece.length === 0) return 'killed';
    const inside = this.runs.some(([f, t]) => at >= f && end <= t);
    const touches = piece.some((_, i) => this.bytes[at + i] !== undefined);
    if (inside) return 'duplicate';
    if (touches) return 'killed';
    for (const [i, v] of piece.entries()) this.bytes[at + i] = v;
    const tail = this.runs.reduce<[number, number] | undefined>(
      (m, r) => (!m || r[1] > m[1] ? r : m),
      undefined,
    );
    if (tail && tail[1] === at) tail[1] = end;
    else this.runs.push([at, end]);
    return 'taken';
  }

  result(): number[] | undefined {
    const got = this.bytes.slice(0, this.len);
    return this.last && !got.includes(undefined) ? (got as number[]) : undefined;
  }
}

describe('against the obvious version', () => {
  it('agrees on every fragment of random mixtures', () => {
    const extra = fc.record({
      at: fc.nat(12).map((v) => v * 8),
      len: fc.nat(4).map((v) => v * 8),
      more: fc.boolean(),
      fill: fc.nat(255),
    });
    // A datagram cut into pieces, some of them twice, with up to two fragments that do not belong; shuffled.
    const mixture = fc
      .record({
        blocks: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 6 }),
        odd: fc.nat(7),
        twice: fc.nat(63),
        extras: fc.array(extra, { maxLength: 2 }),
        seed: fc.nat(),
      })
      .map(({ blocks, odd, twice, extras, seed }) => {
        const next = xorshift32(seed);
        const list: { at: number; len: number; more: boolean; fill: number }[] = [...extras];
        let at = 0;
        for (const [i, n] of blocks.entries()) {
          const more = i < blocks.length - 1;
          const piece = { at, len: n * 8 + (more ? 0 : odd), more, fill: i };
          list.push(piece);
          if ((twice >> i) & 1) list.push(piece);
          at += n * 8;
        }
        return list
          .map((piece) => [next(), piece] as const)
          .sort(([x], [y]) => x - y)
          .map(([, piece]) => piece);
      });
    let completed = 0;
    let killed = 0;
    fc.assert(
      fc.property(mixture, (list) => {
        const r = new Reassembler();
        let plain = new PlainReassembler();
        for (const { at, len, more, fill } of list) {
          if (at === 0 && !more) continue; // that is a whole packet
          const bytes = new Array<number>(len).fill(fill);
          const packet = new Uint8Array(20 + len);
          const header = { ...ipv4.parse(PING, ETH), totalLength: packet.length, fragmentOffset: at };
          ipv4.emit({ ...header, dontFragment: false, moreFragments: more }, packet);
          packet.set(bytes, 20);

          const before = { ...r.stats };
          const out = r.add(packet, 0, packet.length, 0);
          const verdict = plain.add(at, bytes, more);
          const dropped = r.stats.overlapping + r.stats.malformed - before.overlapping - before.malformed;
          expect(dropped).toBe(verdict === 'killed' ? 1 : 0);
          expect(r.stats.duplicates - before.duplicates).toBe(verdict === 'duplicate' ? 1 : 0);
          const want = verdict === 'taken' ? plain.result() : undefined;
          expect(out && [...out.subarray(20)]).toEqual(want);
          if (out) completed++;
          if (verdict === 'killed') killed++;
          if (out || verdict === 'killed') plain = new PlainReassembler();
          if (r.pending === 0) expect(r.bytes).toBe(0);
        }
      }),
      { numRuns: 1000, seed: 1 },
    );
    expect(Math.min(completed, killed)).toBeGreaterThan(100); // the mixtures did both
  });

  it('puts the longest datagram together from the smallest fragments, in any order', () => {
    const packet = new Uint8Array(65535);
    ipv4.emit({ ...ipv4.parse(PING, ETH), dontFragment: false, totalLength: 65535 }, packet);
    const next = xorshift32(5);
    for (let i = 20; i < packet.length; i++) packet[i] = next();
    const offsets = Array.from({ length: Math.ceil(65515 / 8) }, (_, i) => i * 8);
    const shuffled = offsets
      .map((at) => [next(), at] as const)
      .sort(([x], [y]) => x - y)
      .map(([, at]) => at);
    for (const order of [offsets, offsets.toReversed(), shuffled]) {
      const r = new Reassembler();
      let out: Uint8Array | undefined;
      for (const at of order) {
        expect(out).toBeUndefined();
        const f = piece4(packet, at, Math.min(at + 8, 65515));
        out = r.add(f, 0, f.length, 0);
      }
      // Not toEqual: it takes seconds for arrays of this size.
      expect(out !== undefined && equalBytes(out, packet)).toBe(true);
    }
  });
});

needs([shared('captures')], 'reassembly of captures/fragments', () => {
  it('completes each ESP packet at the frame that the kernel had it complete', () => {
    const lines = readFileSync(`${CAPTURES}/fragments/expected.jsonl`, 'utf8').trim().split('\n');
    const want = lines.map((line) => (JSON.parse(line) as { frame: number }).frame);
    const r = new Reassembler();
    const got: number[] = [];
    let fragments = 0;
    for (const [i, frame] of capturedFrames('fragments/wire.pcap').entries()) {
      const at = ipAt(LINK_ETHERNET, frame, 0, frame.length);
      expect(at).toBe(ETH);
      let packet: Uint8Array | undefined = frame.slice(at, at + ipv4.totalLength(frame, at));
      if (r.isFragment(frame, at)) {
        fragments++;
        packet = r.add(frame, at, frame.length, i);
      }
      if (!packet) continue;
      expect(ipv4.check(packet)).toBeUndefined();
      expect(ipv4.checksumOk(packet)).toBe(true);
      expect(ipv4.isFragment(packet)).toBe(false);
      if (ipv4.protocol(packet) === 50) got.push(i + 1);
    }
    expect(fragments).toBeGreaterThan(10);
    expect(got).toEqual(want);
    expect(r.stats).toMatchObject({ malformed: 0, overlapping: 0, duplicates: 0, timedOut: 0, evicted: 0 });
    expect(r.pending).toBe(0);
  });
});
