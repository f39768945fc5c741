import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { dropRow } from '../../src/ipsec/drop.ts';
import { IptfsReceiver, type IptfsTaken, MOST_BYTES } from '../../src/ipsec/iptfs.ts';
import { payloadsOf } from '../support/iptfs.ts';
import { ipv4Packet } from '../support/sa.ts';
import { runHostile, runReordered } from './iptfs-runs.ts';

const joined = (...parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

const A = ipv4Packet(28);
const B = ipv4Packet(60);
const C = ipv4Packet(300);
/** IPv6 without a payload. */
const SIX = joined(hex('6000000000003b40'), new Uint8Array(32));

function payload(offset: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return joined(Uint8Array.of(0, 0, offset >> 8, offset), ...parts);
}

/** What a receiver made of a payload, in words. */
function said({ verdict, isHeld, inners, counted, padLength }: IptfsTaken) {
  const reasonOf = (code: number) => dropRow(code)?.reason ?? 'ok';
  return {
    ...(verdict !== 0 && { verdict: reasonOf(verdict) }),
    ...(isHeld && { isHeld }),
    ...(inners.length > 0 && { inners: inners.map((packet) => toHex(packet)) }),
    ...(counted.length > 0 && { counted: counted.map(reasonOf) }),
    ...(padLength > 0 && { padLength }),
  };
}

/** Gives payloads to a receiver with their numbers, and says what became of each. */
function receive(
  given: readonly (readonly [number: number, bytes: Uint8Array, now?: number])[],
  receiver = new IptfsReceiver(),
) {
  return given.map(([number, bytes, now = 0]) =>
    said(receiver.take(Math.floor(number / 2 ** 32), number % 2 ** 32, bytes, 0, bytes.length, now)),
  );
}

const all = (...packets: readonly Uint8Array[]) => ({ inners: packets.map((packet) => toHex(packet)) });

describe('IP-TFS, received', () => {
  it('takes several packets of both versions out of one payload, and padding', () => {
    expect(receive([[7, payload(0, A, SIX, B, new Uint8Array(9))]])).toEqual([
      { ...all(A, SIX, B), padLength: 9 },
    ]);
  });

  it('reads both sub-types', () => {
    const [sent] = payloadsOf([A], { size: () => 28, congestion: true });
    expect(receive([[1, sent!.bytes]])).toEqual([all(A)]);
  });

  it('puts a packet together over several payloads, with others in front and behind', () => {
    expect(
      receive([
        [1, payload(0, A, C.subarray(0, 100))],
        [2, payload(200, C.subarray(100, 220))],
        [3, payload(80, C.subarray(220), B)],
      ]),
    ).toEqual([all(A), {}, all(C, B)]);
  });

  it.each([1, 3, 5])('goes on where only %i bytes of a packet were in the last payload', (n) => {
    expect(
      receive([
        [1, payload(0, SIX.subarray(0, n))],
        [2, payload(SIX.length - n, SIX.subarray(n), A)],
      ]),
    ).toEqual([{}, all(SIX, A)]);
  });

  it('lets a payload of padding alone come in between', () => {
    expect(
      receive([
        [1, payload(0, C.subarray(0, 100))],
        [2, payload(0, new Uint8Array(50))],
        [3, payload(200, C.subarray(100))],
      ]),
    ).toEqual([{}, { padLength: 50 }, all(C)]);
  });

  it('passes over the end of a packet whose beginning it never saw', () => {
    expect(receive([[9, payload(40, C.subarray(260), A)]])).toEqual([all(A)]);
  });

  it('waits for an earlier number, and delivers in order', () => {
    expect(
      receive([
        [1, payload(0, A)],
        [4, payload(0, C)],
        [3, payload(0, B)],
        [2, payload(0, SIX)],
      ]),
    ).toEqual([all(A), { isHeld: true }, { isHeld: true }, all(SIX, B, C)]);
  });

  it('crosses 2^32 under ESN', () => {
    expect(
      receive([
        [2 ** 32 - 1, payload(0, C.subarray(0, 100))],
        [2 ** 32 + 1, payload(0, A)],
        [2 ** 32, payload(200, C.subarray(100))],
      ]),
    ).toEqual([{}, { isHeld: true }, all(C, A)]);
  });

  it('gives up a gap for a number beyond the window, and drops what comes for it then', () => {
    const receiver = new IptfsReceiver();
    expect(
      receive(
        [
          [1, payload(0, A)],
          [3, payload(0, B)],
          [6, payload(0, C)],
          [2, payload(0, SIX)],
        ],
        receiver,
      ),
    ).toEqual([all(A), { isHeld: true }, { isHeld: true, ...all(B) }, {}]);
    expect(receiver.stats.late).toBe(1);
  });

  it('gives up a gap when its time is over, with the next payload or without', () => {
    const receiver = new IptfsReceiver({ dropTime: 100 });
    expect(
      receive(
        [
          [1, payload(0, A)],
          [3, payload(0, B), 50],
          [4, payload(0, C), 149],
        ],
        receiver,
      ),
    ).toEqual([all(A), { isHeld: true }, { isHeld: true }]);
    expect(receiver.due).toBe(150);
    expect(said(receiver.expire(150))).toEqual(all(B, C));
    expect(receiver.due).toBe(Number.POSITIVE_INFINITY);
    expect(receive([[5, payload(0, SIX), 150]], receiver)).toEqual([all(SIX)]);
  });

  it('forgets a packet whose rest does not come in time, and counts it nowhere, as Linux', () => {
    const receiver = new IptfsReceiver({ dropTime: 100 });
    expect(
      receive(
        [
          [1, payload(0, C.subarray(0, 100)), 0],
          [2, payload(200, C.subarray(100), A), 100],
        ],
        receiver,
      ),
    ).toEqual([{}, all(A)]);
    expect(receiver.stats).toEqual({ abandoned: 0, timedOut: 1, late: 0 });
  });

  it('counts XfrmInIptfsError where the next payload does not go on with the packet in the making', () => {
    const abandoned = { counted: ['iptfs-abandoned'] };
    expect(
      receive([
        [1, payload(0, C.subarray(0, 100))],
        [2, payload(0, A)],
        [3, payload(0, C.subarray(0, 100))],
        [4, payload(150, C.subarray(100, 250), B)],
        [5, payload(0, SIX.subarray(0, 3))],
        [6, payload(2, SIX.subarray(3, 5), A)],
      ]),
    ).toEqual([
      {},
      { ...abandoned, ...all(A) },
      {},
      { ...abandoned, ...all(B) },
      {},
      { ...abandoned, ...all(A) },
    ]);
    expect(
      receive(
        [
          [1, payload(0, C.subarray(0, 100))],
          [3, payload(40, C.subarray(260), A)],
        ],
        new IptfsReceiver({ reorderWindow: 0 }),
      ),
    ).toEqual([{}, { ...abandoned, ...all(A) }]);
  });

  it.each([
    ['no header', hex('000000'), 'iptfs-short'],
    ['half a header of congestion control', joined(hex('01000000'), new Uint8Array(19)), 'iptfs-short'],
    ['an unknown sub-type', payload(0, A).fill(2, 0, 1), 'iptfs-header'],
    ['a packet of tunnel mode', A, 'iptfs-header'],
    ['flags', payload(0, A).fill(1, 1, 2), 'iptfs-header'],
    ['a block that is neither IP nor padding', payload(0, A, hex('5000')), 'iptfs-block'],
    ['IPv4 shorter than its header', payload(0, A, hex('45000013')), 'iptfs-header'],
    ['IPv4 of length 0', payload(0, A, hex('45000000')), 'iptfs-header'],
  ])('refuses %s, and gives nothing of it', (_name, bytes, verdict) => {
    expect(receive([[1, bytes]])).toMatchObject([{ verdict }]);
    expect(receive([[1, bytes]])[0]).not.toHaveProperty('inners');
  });

  it('delivers what the selector of the SA covers', () => {
    const receiver = new IptfsReceiver({}, (packet) => packet.length === A.length);
    expect(receive([[1, payload(0, A, B)]], receiver)).toEqual([
      { ...all(A), counted: ['selector-mismatch'] },
    ]);
  });

  it('keeps no more than so many bytes, however wide the window', () => {
    const receiver = new IptfsReceiver({ reorderWindow: 65_535 });
    const large = payload(0, new Uint8Array(65_000));
    receive([[1, payload(0, A)], ...Array.from({ length: 18 }, (_, i) => [3 + i, large] as const)], receiver);
    // Number 2 was given up, and with it the wait.
    expect(MOST_BYTES / large.length).toBeLessThan(18);
    expect(receiver.due).toBe(Number.POSITIVE_INFINITY);
  });

  it('gives random packets again, cut and aggregated, in any order within the window', () => runReordered(8));

  it('answers hostile payloads with counted drops', () => runHostile(15));
});
