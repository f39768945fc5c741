import { expect, it } from 'vitest';
import { decryptMark, encryptMark, MAGIC_ENCRYPT, outputMark } from '../../src/cilium/mark.ts';

it('puts node id, key id and magic in their places', () => {
  // docs/cilium.md, "Marks": key 3, node id 0xcb9
  expect(encryptMark(0xcb9, 3)).toEqual({ value: 0x0cb93e00, mask: 0xffffff00 });
  expect(decryptMark(0xcb9)).toEqual({ value: 0x0cb90d00, mask: 0xffff0f00 });
});

it('stays unsigned for node ids above 0x7fff', () => {
  expect(encryptMark(0xffff, 15).value).toBe(0xfffffe00);
  expect(decryptMark(0x8000).value).toBe(0x80000d00);
});

it('clears node and key id after xfrm, from 1.15 on', () => {
  expect(outputMark(MAGIC_ENCRYPT, true)).toEqual({ value: 0xe00, mask: 0xffffff00 });
  expect(outputMark(MAGIC_ENCRYPT, false)).toEqual({ value: 0xe00, mask: 0xf00 });
});
