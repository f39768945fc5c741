import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fragment, fragmentCount, mayFragment } from '../../src/ipsec/fragment.ts';
import { Batch } from '../../src/wire/packet.ts';
import { Reassembler } from '../../src/wire/reassembly.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

const cuttable = (len: number) => ipv4Packet(len, { dontFragment: false, protocol: 50 });

describe('fragment', () => {
  it('makes pieces that fit, and that a receiver puts together to the same packet', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.integer({ min: 100, max: 9000 }),
        fc.integer({ min: 80, max: 1500 }),
        fc.nat({ max: 0xffff_ffff }),
        (v4, len, mtu, id) => {
          const packet = v4 ? cuttable(len) : ipv6Packet(len, { nextHeader: 50 });
          const batch = new Batch({ capacity: 1, maxPacket: 9200 });
          batch.push(packet);
          const out = new Batch({ capacity: 600, maxPacket: 1500 });
          const made = fragment(batch, 0, mtu, id, out);
          expect(made).toBe(fragmentCount(v4 ? 4 : 6, len, mtu));
          expect(made).toBe(out.count);
          expect(batch.copy(0), 'the packet itself is left as it was').toEqual(packet);
          const reassembler = new Reassembler();
          let whole: Uint8Array | undefined;
          for (let k = 0; k < made; k++) {
            expect(out.length[k]).toBeLessThanOrEqual(mtu);
            whole = reassembler.add(out.slab, out.offset[k]!, out.offset[k]! + out.length[k]!, 0) ?? whole;
          }
          if (made > 1) expect(whole).toEqual(packet);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('appends nothing when the pieces do not all have room', () => {
    const batch = new Batch({ capacity: 1, maxPacket: 9200 });
    batch.push(cuttable(3000));
    const out = new Batch({ capacity: 2 });
    expect(fragment(batch, 0, 1400, 1, out)).toBe(0);
    expect(out.count).toBe(0);
  });

  it('asks the header whether a packet may be cut', () => {
    expect(mayFragment(cuttable(100), 0)).toBe(true);
    expect(mayFragment(ipv4Packet(100, { dontFragment: true }), 0)).toBe(false);
    expect(mayFragment(ipv6Packet(100), 0)).toBe(true);
  });
});
