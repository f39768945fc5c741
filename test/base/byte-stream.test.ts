import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteStream } from '../../src/base/byte-stream.ts';

/** Chunks of these sizes, whose memory is used again for the next one. */
async function* chunks(sizes: readonly number[], onClose?: () => void): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.max(1, ...sizes));
  let next = 0;
  try {
    for (const size of sizes) {
      for (let i = 0; i < size; i++) buffer[i] = next++;
      yield buffer.subarray(0, size);
      buffer.fill(0xee);
    }
  } finally {
    onClose?.();
  }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => (from + i) & 255);

describe('ByteStream', () => {
  it('hands out every byte once, in order, however it is asked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(20), { maxLength: 12 }),
        fc.array(fc.tuple(fc.constantFrom('head', 'take', 'skip', 'upTo'), fc.nat(25)), { maxLength: 12 }),
        async (sizes, steps) => {
          const stream = new ByteStream(chunks(sizes));
          const end = sizes.reduce((sum, size) => sum + size, 0);
          let at = 0;
          for (const [what, length] of steps) {
            const to = Math.min(end, at + length);
            const should = numbers(at, to);
            if (what === 'head') {
              expect([...(await stream.head(length))]).toEqual(should);
              continue;
            }
            if (what === 'take') expect([...(await stream.take(length))]).toEqual(should);
            else if (what === 'skip') expect(await stream.skip(length)).toBe(to - at);
            else {
              const got: number[] = [];
              for await (const chunk of stream.upTo(length)) got.push(...chunk);
              expect(got).toEqual(should);
            }
            at = to;
          }
          const rest: number[] = [];
          for await (const chunk of stream.all()) rest.push(...chunk);
          expect(rest).toEqual(numbers(at, end));
        },
      ),
    );
  });

  it('is closed once, at its end or before', async () => {
    for (const read of [0, 1, 100]) {
      let closed = 0;
      const stream = new ByteStream(chunks([5, 5], () => closed++));
      for await (const chunk of stream.all()) if (chunk.length < read) break;
      expect(closed).toBe(1);
      await stream.close();
      expect(closed).toBe(1);
      expect((await stream.take(3)).length).toBe(0);
    }
  });

  it('throws an error each time, until it is closed', async () => {
    async function* failing() {
      yield Uint8Array.of(1, 2);
      throw new Error('gone');
    }
    const stream = new ByteStream(failing());
    expect([...(await stream.take(1))]).toEqual([1]);
    expect([...(await stream.take(1))]).toEqual([2]);
    await expect(stream.take(5)).rejects.toThrow('gone');
    await expect(stream.head(1)).rejects.toThrow('gone');
    await stream.close();
    expect((await stream.take(5)).length).toBe(0);
  });
});
