import { readFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EsplaneError, InputError } from '../../src/base/errors.ts';
import { type Compression, compressionOf, unpacked } from '../../src/capture/compression.ts';
import { decompress } from '../../src/capture/decompress.ts';
import { needs, SHARED, shared } from '../support/needs.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 300);

/** A chunk is the reader's own until the next one is asked for: its memory is used again. */
async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
  }
}

/** `toEqual` looks at each byte by itself, which takes seconds. */
function expectSame(is: Uint8Array, should: Uint8Array): void {
  expect(is.length).toBe(should.length);
  expect(Buffer.compare(is, should)).toBe(0);
}

interface Unpacked {
  readonly bytes: Uint8Array;
  readonly error: unknown;
}

async function unpack(packed: Uint8Array, compression: Compression, size = 1000): Promise<Unpacked> {
  const parts: Uint8Array[] = [];
  let error: unknown;
  try {
    for await (const chunk of decompress(chunks(packed, size), compression, 'f')) parts.push(chunk.slice());
  } catch (thrown) {
    error = thrown;
  }
  return { bytes: new Uint8Array(Buffer.concat(parts)), error };
}

const text = new TextEncoder().encode(
  Array.from({ length: 20_000 }, (_, i) => `${i} ${Math.sin(i)}\n`).join(''),
);

/** Blocks of a zstd frame: bytes as they are, or one byte so many times. */
function frame(blocks: readonly (Uint8Array | readonly [byte: number, times: number])[], window = 0x50) {
  const parts: Uint8Array[] = [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, window)];
  for (const [i, block] of blocks.entries()) {
    const isRaw = block instanceof Uint8Array;
    const size = isRaw ? block.length : block[1];
    const word = (size << 3) | (isRaw ? 0 : 2) | (i === blocks.length - 1 ? 1 : 0);
    parts.push(Uint8Array.of(word & 255, (word >> 8) & 255, word >> 16));
    parts.push(isRaw ? block : Uint8Array.of(block[0]));
  }
  return new Uint8Array(Buffer.concat(parts));
}

const packed: Readonly<Record<Compression, Uint8Array>> = {
  gzip: new Uint8Array(gzipSync(text)),
  zstd: frame(
    Array.from({ length: Math.ceil(text.length / 5000) }, (_, i) => text.slice(5000 * i, 5000 * i + 5000)),
  ),
};

describe.each(['gzip', 'zstd'] as const)('%s', (compression) => {
  it.each([1, 7, 1000, 1 << 20])('is unpacked from chunks of %d bytes', async (size) => {
    const small = size === 1 ? text.slice(0, 3000) : text;
    const bytes =
      size === 1
        ? compression === 'gzip'
          ? new Uint8Array(gzipSync(small))
          : frame([small])
        : packed[compression];
    expect(compressionOf(bytes)).toBe(compression);
    const unpacked = await unpack(bytes, compression, size);
    expect(unpacked.error).toBeUndefined();
    expectSame(unpacked.bytes, small);
  });

  it('may be of several members', async () => {
    const twice = new Uint8Array([...packed[compression], ...packed[compression]]);
    expect((await unpack(twice, compression)).bytes.length).toBe(2 * text.length);
  });

  it('is unpacked up to where it is cut off', async () => {
    for (const share of [0.2, 0.8, 0.99]) {
      const cut = packed[compression].slice(0, packed[compression].length * share);
      const { bytes, error } = await unpack(cut, compression);
      expect(String(error)).toMatch(`InputError: f: the ${compression} data is damaged or cut off. Copy`);
      expectSame(bytes, text.slice(0, bytes.length));
      expect(bytes.length).toBeGreaterThan(share * text.length - 200_000);
    }
  });

  it('hands on an error of what is read', async () => {
    const failure = new InputError({ source: 'f' }, 'is gone', 'Look for it.');
    async function* failing() {
      yield packed[compression].slice(0, 5000);
      throw failure;
    }
    const all = async () => {
      for await (const _ of decompress(failing(), compression, 'f'));
    };
    await expect(all()).rejects.toBe(failure);
  });

  it('reads no more than is wanted', async () => {
    let isClosed = false;
    async function* endless() {
      try {
        for (;;) yield packed[compression].slice();
      } finally {
        isClosed = true;
      }
    }
    for await (const _ of decompress(endless(), compression, 'f')) break;
    await expect.poll(() => isClosed).toBe(true);
  });

  it('reads no further than it has to while nobody takes what it unpacks', async () => {
    let pieces = 0;
    async function* endless() {
      for (;;) {
        pieces++;
        yield packed[compression].slice();
      }
    }
    const unpacked = decompress(endless(), compression, 'f');
    await unpacked.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(pieces).toBeLessThan(20);
    await unpacked.return(undefined);
  });

  it('gives an answer for every change', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        async (changes) => {
          const changed = packed[compression].slice(0, 2000);
          for (const [at, value] of changes) changed[at] = value;
          const { error } = await unpack(changed, compression);
          expect(error).toBeInstanceOf(EsplaneError);
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe('zstd', () => {
  it('has blocks of one byte, frames to skip, and frames without blocks', async () => {
    const skipped = Uint8Array.of(0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);
    const bytes = new Uint8Array([...skipped, ...frame([[7, 100_000]]), ...frame([new Uint8Array(0)])]);
    const { bytes: whole, error } = await unpack(bytes, 'zstd');
    expect(error).toBeUndefined();
    expectSame(whole, new Uint8Array(100_000).fill(7));
  });

  it('takes no more memory for a frame than zstd does, whichever frame it is', async () => {
    const wide = frame([[7, 10]], 0xa8);
    for (const bytes of [wide, new Uint8Array([...frame([[7, 10]]), ...wide])]) {
      const { error } = await unpack(bytes, 'zstd');
      expect(String(error)).toMatch(
        'f: unpacking this zstd data takes more than 128 MiB of memory. Unpack it',
      );
    }
  });

  it('says that something else follows', async () => {
    const { bytes, error } = await unpack(new Uint8Array([...frame([[7, 10]]), 1, 2, 3, 4]), 'zstd');
    expect(bytes.length).toBe(10);
    expect(String(error)).toMatch('f: the zstd data is damaged');
  });
});

describe('gzip', () => {
  it('is unpacked piece by piece, however much it unpacks to', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(40 << 20)));
    let most = 0;
    let total = 0;
    for await (const chunk of decompress(chunks(bomb, 1 << 20), 'gzip', 'f')) {
      most = Math.max(most, chunk.length);
      total += chunk.length;
    }
    expect(total).toBe(40 << 20);
    expect(most).toBeLessThanOrEqual(64 << 10);
  });

  it('is what node:zlib makes of members, wherever chunks end', async () => {
    const member = fc.tuple(fc.string({ maxLength: 300 }), fc.constantFrom(0, 1, 9));
    await fc.assert(
      fc.asyncProperty(
        fc.array(member, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 400 }),
        fc.nat(20),
        async (members, size, zeros) => {
          const whole = Buffer.concat(members.map(([words, level]) => gzipSync(words, { level })));
          // `gzip` ignores zeros behind the last member, which tapes add.
          const padded = new Uint8Array(Buffer.concat([whole, Buffer.alloc(zeros)]));
          const { bytes, error } = await unpack(padded, 'gzip', size);
          expect(error).toBeUndefined();
          expect(Buffer.compare(bytes, gunzipSync(whole))).toBe(0);
        },
      ),
      { numRuns: RUNS },
    );
  });

  it('says that the checksum or the length is wrong, or that something else follows', async () => {
    const end = packed.gzip.length;
    for (const at of [end - 8, end - 4]) {
      const changed = packed.gzip.slice();
      changed[at]! ^= 1;
      const { bytes, error } = await unpack(changed, 'gzip');
      expectSame(bytes, text);
      expect(String(error)).toMatch('f: the gzip data is damaged');
    }
    const { bytes, error } = await unpack(new Uint8Array([...packed.gzip, 1, 2, 3]), 'gzip');
    expectSame(bytes, text);
    expect(String(error)).toMatch('f: the gzip data is damaged');
  });
});

needs([shared('cases')], 'captures 26: what gzip and zstd make', () => {
  it.each([
    ['gz', 'gzip'],
    ['zst', 'zstd'],
  ] as const)('plain.pcap.%s', async (ending, compression) => {
    const folder = `${SHARED}cases/captures/26-containers`;
    const { bytes, error } = await unpack(
      new Uint8Array(readFileSync(`${folder}/plain.pcap.${ending}`)),
      compression,
    );
    expect(error).toBeUndefined();
    expectSame(bytes, readFileSync(`${folder}/plain.pcap`));
  });
});

describe('a file that may be packed', () => {
  const some = text.subarray(0, 5000);

  it.each([
    ['as it is', some],
    ['of three bytes', some.subarray(0, 3)],
    ['in gzip', new Uint8Array(gzipSync(some))],
    ['empty', new Uint8Array(0)],
  ])('%s', async (name, bytes) => {
    for (const size of [1, 3, 1000]) {
      const parts: Uint8Array[] = [];
      for await (const chunk of unpacked(chunks(bytes, size), 'f', () => decompress))
        parts.push(chunk.slice());
      expectSame(new Uint8Array(Buffer.concat(parts)), name === 'in gzip' ? some : bytes);
    }
  });

  it('is given back when nobody wants the rest', async () => {
    let isClosed = false;
    const source = (async function* () {
      try {
        for (;;) yield text;
      } finally {
        isClosed = true;
      }
    })();
    for await (const chunk of unpacked(source, 'f', () => decompress)) if (chunk.length > 0) break;
    expect(isClosed).toBe(true);
  });
});
