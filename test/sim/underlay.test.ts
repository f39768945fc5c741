import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { Underlay } from '../../src/sim/underlay.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { ip } from '../support/cilium-cluster.ts';
import { batchOf, received } from '../support/frames.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

function threePorts(queue = 100) {
  const clock = new VirtualClock();
  const underlay = new Underlay();
  const ends = [1, 2, 3].map((n) => {
    const { a, b } = memoryPair(clock, { name: `port-${n}`, queue });
    underlay.connect(`port-${n}`, b, [parsePrefix(`10.0.${n}.0/24`)!, parsePrefix(`fd00:${n}::/64`)!]);
    return { link: a, got: received(a) };
  });
  return { clock, underlay, ends };
}

const to = (n: number) => ipv4Packet(60, { dst: ip(`10.0.${n}.9`) });
const to6 = (n: number) => ipv6Packet(60, { dst: ip(`fd00:${n}::9`) });

describe('the underlay', () => {
  it('passes each frame to the port that has its destination', () => {
    const { clock, underlay, ends } = threePorts();
    const frames = [to(2), to(3), to(2), to6(3), to(1)];
    ends[0]!.link.send(batchOf(frames));
    clock.run();
    expect(ends.map(({ got }) => got)).toEqual([[frames[4]], [frames[0], frames[2]], [frames[1], frames[3]]]);
    expect(underlay).toMatchObject({ nowhere: 0, refused: 0, injected: 0 });
  });

  it('counts what is for nobody, or no IP at all', () => {
    const { clock, underlay, ends } = threePorts();
    ends[0]!.link.send(
      batchOf([
        to(9),
        Uint8Array.of(0x45, 0),
        Uint8Array.of(0xff),
        new Uint8Array(60),
        to6(2).subarray(0, 39),
      ]),
    );
    clock.run();
    expect(underlay.nowhere).toBe(5);
    expect(ends.flatMap(({ got }) => got)).toEqual([]);
  });

  it('shows every frame before it goes on, and lets it be changed', () => {
    const { clock, underlay, ends } = threePorts();
    const seen: string[] = [];
    underlay.onFrame = (b, at, end, port) => {
      seen.push(`${port} ${end - at}`);
      b[at + 59] = 0xee;
    };
    ends[0]!.link.send(batchOf([to(2)]));
    clock.run();
    expect(seen).toEqual(['port-2 60']);
    expect(ends[1]!.got[0]?.[59]).toBe(0xee);
  });

  it('sends frames that nobody sent', () => {
    const { clock, underlay, ends } = threePorts();
    underlay.inject(to(3));
    clock.run();
    expect(ends[2]!.got).toEqual([to(3)]);
    expect(underlay.injected).toBe(1);
  });

  it('counts what met a full queue', () => {
    const { clock, underlay, ends } = threePorts(4);
    ends[0]!.link.send(batchOf([to(2), to(2), to(2), to(2)]));
    ends[2]!.link.send(batchOf([to(2), to(2)]));
    clock.run();
    expect(ends[1]!.got).toHaveLength(4);
    expect(underlay.refused).toBe(2);
  });
});
