import { describe, expect, it } from 'vitest';
import { hex, u16, u32 } from '../../src/base/bytes.ts';
import { captureFilter } from '../../src/link/capture-filter.ts';
import { CARRIED, ethernet, ip, ip6 } from '../support/carried.ts';

const NET_AT = 14;

/** Runs a classic BPF program as the kernel does, for an Ethernet frame. @returns whether the frame passes */
function passes(program: Uint8Array, frame: Uint8Array): boolean {
  const view = new DataView(program.buffer);
  let a = 0;
  let x = 0;
  for (let pc = 0; pc < program.length / 8; pc++) {
    const code = view.getUint16(pc * 8, true);
    const k = view.getInt32(pc * 8 + 4, true);
    const at = k === -0x1000 ? 12 : k + 0x10_0000 + NET_AT;
    const jump = (holds: boolean) => {
      pc += view.getUint8(pc * 8 + (holds ? 2 : 3));
    };
    if (code === 0x06) return k !== 0;
    if (code === 0x15) jump(a === k >>> 0);
    else if (code === 0x45) jump((a & k) !== 0);
    else if (code === 0xb1) x = 4 * (frame[at]! & 0xf);
    else {
      const from = code === 0x48 ? at + x : at;
      const len = code === 0x30 ? 1 : 2;
      // What lies behind the end drops the frame.
      if (from + len > frame.length) return false;
      a = len === 1 ? frame[from]! : u16(frame, from);
    }
  }
  throw new Error('the program has no end');
}

/** By their looks alone: a filter does not read so far. */
const BY_LOOKS = /a port of its own|SNAP|LLC/;

describe('the filter of a live capture', () => {
  const filter = captureFilter();

  it.each(
    CARRIED.filter(({ linkType, name }) => linkType === 1 && !BY_LOOKS.test(name)).map((one) => [
      one.name,
      one.frame,
    ]),
  )('lets pass %s', (_name, frame) => {
    expect(passes(filter, frame as Uint8Array)).toBe(true);
  });

  it.each([
    ['ARP', ethernet('0806', new Uint8Array(28))],
    ['TCP', ethernet('0800', ip(6, new Uint8Array(20)))],
    ['UDP of another port', ethernet('0800', ip(17, hex('0035 c350 0008 0000')))],
    ['ping', ethernet('86dd', ip6(58, new Uint8Array(8)))],
  ])('drops %s', (_name, frame) => {
    expect(passes(filter, frame)).toBe(false);
  });

  it('takes ports, and all UDP where there are too many for a jump', () => {
    const to = (port: number) => ethernet('0800', ip(17, hex(`c350 ${port.toString(16)} 0008 0000`)));
    expect(passes(captureFilter([7777]), to(7777))).toBe(true);
    for (const n of [20, 30, 40, 100, 1000]) {
      const many = captureFilter(Array.from({ length: n }, (_, i) => 20_000 + i));
      expect(u32(many, 0)).toBe(u32(filter, 0));
      expect(passes(many, to(20_000 + n - 1)), `${n} ports`).toBe(true);
      expect(
        passes(many, ethernet('86dd', ip6(17, hex(`c350 ${(20_000 + n - 1).toString(16)} 0008 0000`)))),
      ).toBe(true);
      expect(passes(many, ethernet('0800', ip(6, new Uint8Array(20))))).toBe(false);
      expect(passes(many, ethernet('0800', ip(50, new Uint8Array(20))))).toBe(true);
    }
  });
});
