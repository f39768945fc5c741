import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Files, gzip, tar, zip } from '../../../scripts/sysdump/archives.ts';
import { EsplaneError } from '../../../src/base/errors.ts';
import {
  Budget,
  type FileBytes,
  memoryFile,
  type WalkOptions,
  walk,
} from '../../../src/inspect/files/walk.ts';
import { zstdBomb } from '../../support/zstd-bomb.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 50);

const LONG = Array.from({ length: 20_000 }, (_, i) => `line ${i}: ${Math.sin(i)}\n`).join('');
const FILES: Files = [
  ['top/a.txt', 'one'],
  ['top/cmd/empty.txt', ''],
  ['top/cmd/long.txt', LONG],
  [`top/${'deep/'.repeat(60)}b`, 'two'],
  ['top/größe', 'three'],
];
const NAMES = FILES.map(([name]) => name);

interface Walked {
  /** Texts by name, without that of the given file. */
  readonly texts: Readonly<Record<string, string>>;
  readonly damage: readonly string[];
  /** What walk() threw. */
  readonly error: string | undefined;
}

async function walked(file: FileBytes | Uint8Array, options: Partial<WalkOptions> = {}): Promise<Walked> {
  const texts: Record<string, string> = {};
  const damage: string[] = [];
  let error: string | undefined;
  try {
    const given = file instanceof Uint8Array ? memoryFile('f', file) : file;
    for await (const entry of walk(given, { onDamage: ({ message }) => damage.push(message), ...options })) {
      try {
        const text = await entry.text();
        texts[entry.path.slice(1).join('/')] = text;
        const head = new TextDecoder().decode(entry.head);
        expect(text.startsWith(head.replace(/\ufffd$/, ''))).toBe(true);
      } catch (thrown) {
        if (!(thrown instanceof EsplaneError)) throw thrown;
        damage.push(thrown.message);
      }
    }
  } catch (thrown) {
    if (!(thrown instanceof EsplaneError)) throw thrown;
    error = thrown.message;
  }
  return { texts, damage, error };
}

/** Where the files of a zip begin, and its directory. */
function zipStarts(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const starts: number[] = [];
  const end = bytes.length - 22;
  const directory = view.getUint32(end + 16, true);
  for (let at = directory; at < end; at += 46 + view.getUint16(at + 28, true))
    starts.push(view.getUint32(at + 42, true));
  return [...starts, directory];
}

const all = { texts: Object.fromEntries(FILES), damage: [], error: undefined };

describe('walk', () => {
  it('yields a file that is no archive as it is', async () => {
    expect(await walked(new TextEncoder().encode('text'))).toEqual({ ...all, texts: { '': 'text' } });
    expect(await walked(new Uint8Array(0))).toEqual({ ...all, texts: { '': '' } });
    for await (const entry of walk(memoryFile('f', new Uint8Array(9)), { onDamage: () => {} })) {
      expect([entry.name, entry.path, entry.file?.size]).toEqual(['f', ['f'], 9]);
    }
  });

  it('goes through tar, zip and gzip', async () => {
    const packed = tar(FILES);
    expect(await walked(packed)).toEqual(all);
    expect(await walked(gzip(packed))).toEqual(all);
    expect(await walked(tar(FILES, 'gnu'))).toEqual(all);
    expect(await walked(zip(FILES))).toEqual(all);
    expect(await walked(zip(FILES, { streamed: false }))).toEqual(all);
    expect(await walked(zip(FILES, { stored: true }))).toEqual(all);
    expect(await walked(zip([]))).toEqual({ ...all, texts: {} });
    expect(await walked(gzip(new TextEncoder().encode(LONG)))).toEqual({ ...all, texts: { '': LONG } });
  });

  it('goes through archives in archives, a zip in another too', async () => {
    const inner = gzip(tar(FILES));
    const outer = zip([
      ['s/first', '1'],
      ['s/bugtool.tar.gz', inner],
      ['s/inner.zip', zip([['x', gzip(new TextEncoder().encode('2'))]])],
      ['s/last', '3'],
    ]);
    const { texts, damage, error } = await walked(outer);
    expect([damage, error]).toEqual([[], undefined]);
    expect(Object.keys(texts)).toEqual([
      's/first',
      ...NAMES.map((name) => `s/bugtool.tar.gz/${name}`),
      's/inner.zip/x',
      's/last',
    ]);
    expect(texts['s/inner.zip/x']).toBe('2');
    expect((await walked(tar([['z', outer]]))).texts['z/s/last']).toBe('3');
  });

  it('unpacks of a zip what is wanted alone, and reads no other part of the file', async () => {
    const bytes = zip([...FILES, ['other', new Uint8Array(1 << 20).map((_, i) => (i * i) >> 3)]], {
      stored: true,
    });
    let most = 0;
    const file: FileBytes = {
      name: 'f',
      size: bytes.length,
      read: async (at, length) => {
        most += length;
        return bytes.subarray(at, at + length);
      },
    };
    const { texts } = await walked(file, { wants: (path) => path.at(-1) === 'a.txt' });
    expect(texts).toEqual({ 'top/a.txt': 'one' });
    expect(most).toBeLessThan(100_000);
    const named = await walked(tar(FILES), { wants: (path) => path.at(-1) === 'long.txt' });
    expect(named.texts).toEqual({ 'top/cmd/long.txt': LONG });
  });

  it('goes on where entries are not read, or not to their end', async () => {
    for (const bytes of [tar(FILES), zip(FILES), gzip(tar(FILES))]) {
      const names: string[] = [];
      for await (const entry of walk(memoryFile('f', bytes), { onDamage: () => expect.unreachable() })) {
        names.push(entry.path.slice(1).join('/'));
        if (names.length % 2 === 0) for await (const _ of entry.chunks()) break;
      }
      expect(names).toEqual(NAMES);
    }
  });

  it('can be left at any time', async () => {
    for (const bytes of [tar(FILES), zip(FILES), gzip(tar(FILES))]) {
      for await (const entry of walk(memoryFile('f', bytes), { onDamage: () => expect.unreachable() })) {
        for await (const _ of entry.chunks()) break;
        break;
      }
    }
  });

  it('takes names for names', async () => {
    const { texts } = await walked(
      tar([
        ['../../etc/passwd', 'x'],
        ['/abs', 'y'],
        ['./a\\b', 'z'],
      ]),
    );
    expect(texts).toEqual({ '../../etc/passwd': 'x', abs: 'y', 'a/b': 'z' });
  });
});

describe('damage is a sentence, and what is whole is read', () => {
  const files: Files = [...FILES.slice(0, 3), ['last', LONG]];

  it('a tar that is cut off', async () => {
    const bytes = tar(files);
    for (const archive of [
      bytes.slice(0, -5000),
      gzip(bytes.slice(0, -5000)),
      bytes.slice(0, bytes.length - 1024),
    ]) {
      const { texts, damage, error } = await walked(archive);
      expect(error).toBeUndefined();
      expect(damage).toEqual([
        expect.stringMatching(
          /^f.*: the tar archive is damaged or cut off: .*; [34] files before that are whole and used\. Copy the file again\.$/,
        ),
      ]);
      expect(Object.keys(texts)).toEqual(expect.arrayContaining(['top/a.txt', 'top/cmd/long.txt']));
    }
  });

  it('gzip that is cut off', async () => {
    const bytes = gzip(tar(files));
    const { texts, damage } = await walked(bytes.slice(0, bytes.length * 0.75));
    expect(damage).toEqual([
      'f: the gzip data is damaged or cut off; 3 files before that are whole and used. Copy the file again, or unpack it yourself.',
    ]);
    expect(texts['top/cmd/long.txt']).toBe(LONG);
    expect(texts['last']).toBeUndefined();
  });

  it('gzip that is cut off, in a file that is not read', async () => {
    const bytes = gzip(tar(files));
    const damage: string[] = [];
    const options = { onDamage: ({ message }: Error) => damage.push(message) };
    const names: string[] = [];
    for await (const { path } of walk(memoryFile('f', bytes.slice(0, bytes.length * 0.75)), options))
      names.push(path.at(-1)!);
    expect(names).toEqual(['a.txt', 'empty.txt', 'long.txt', 'last']);
    expect(damage).toEqual([
      'f: the gzip data is damaged or cut off; 3 files before that are whole and used. Copy the file again, or unpack it yourself.',
    ]);
  });

  it('zstd that is cut off', async () => {
    const bytes = tar(files);
    // One block of bytes as they are, and another that is not whole.
    const at = 100_000;
    const block = (length: number) => [length << 3, (length << 3) >> 8, (length << 3) >> 16];
    const frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, ...block(at), ...bytes.slice(0, at), ...block(900)];
    const { texts, damage } = await walked(Uint8Array.from([...frame, ...bytes.slice(at, at + 500)]));
    expect(damage).toEqual([
      'f: the zstd data is damaged or cut off; 2 files before that are whole and used. Copy the file again, or unpack it yourself.',
    ]);
    expect(Object.keys(texts)).toEqual(['top/a.txt', 'top/cmd/empty.txt']);
  });

  it.each([true, false])(
    'a zip that is cut off, wherever that is (sizes behind the data: %s)',
    async (streamed) => {
      const bytes = zip(files, { streamed });
      const cut = 'f: the zip is cut off: its directory, which is at its end, is missing';
      const lost = (name: string) =>
        `${name} is not whole, and what came after it is not there. Copy the file again.`;
      // Where each file ends, by the directory.
      const starts = zipStarts(bytes);
      for (const [i, end] of [...starts.slice(1), bytes.length - 22].entries()) {
        const { texts, damage, error } = await walked(bytes.slice(0, end - 1));
        const whole = i === files.length ? files : files.slice(0, i);
        expect([Object.keys(texts), error]).toEqual([whole.map(([name]) => name), undefined]);
        expect(texts).toEqual(Object.fromEntries(whole));
        const said =
          whole.length === 1 ? '1 file before that is whole' : `${whole.length} files before that are whole`;
        expect(damage).toEqual([
          whole.length === 0
            ? `${cut}. Copy the file again.`
            : i === files.length
              ? `${cut}; ${said} and used. Copy the file again.`
              : `${cut}; ${said} and used; ${lost(files[i]![0])}`,
        ]);
      }
    },
  );

  it('a zip that is cut off, in another archive, with checksums and limits as ever', async () => {
    const cut = zip(files).slice(0, -600);
    const inner = await walked(tar([['in.zip', cut]]));
    expect(Object.keys(inner.texts)).toEqual([
      'in.zip/top/a.txt',
      'in.zip/top/cmd/empty.txt',
      'in.zip/top/cmd/long.txt',
    ]);
    const changed = zip(files, { streamed: false }).slice(0, -600);
    changed[14]! ^= 1;
    const { texts, damage } = await walked(changed, { crc32 });
    expect(Object.keys(texts)).toEqual(['top/cmd/empty.txt', 'top/cmd/long.txt']);
    expect(damage[0]).toBe('f/top/a.txt: is damaged: its checksum is another. Copy the file again.');
    const few = await walked(cut, { budget: new Budget({ entries: 2 }) });
    expect(few.error).toMatch(/hold more than 2 files/);
    const small = await walked(cut, { budget: new Budget({ directory: 100 }) });
    expect(small.damage[0]).toMatch(/the directory of the zip is longer than 100 bytes/);
    const bomb = zip([['bomb', new Uint8Array(2 << 20)]]).slice(0, -60);
    const burst = await walked(bomb, { budget: new Budget({ ratio: 10, ratioFrom: 1 << 20 }) });
    expect(burst.damage[0]).toMatch(/unpacks to more than 10 times the size of f/);
  });

  it('one archive of several, in another', async () => {
    const whole = gzip(tar([['cmd/hostname', 'n1']]));
    const cut = gzip(
      tar([
        ['cmd/a', 'a'],
        ['cmd/hostname', LONG],
      ]),
    );
    const { texts, damage } = await walked(
      zip([
        ['one.tar.gz', cut.slice(0, cut.length / 2)],
        ['two.tar.gz', whole],
      ]),
    );
    expect(Object.keys(texts)).toEqual(['one.tar.gz/cmd/a', 'two.tar.gz/cmd/hostname']);
    expect(damage).toEqual([
      expect.stringMatching(
        /^f\/one\.tar\.gz: the gzip data is damaged or cut off; 1 file before that is whole and used\./,
      ),
    ]);
  });

  it('an entry that is encrypted', async () => {
    const secret = zip([['a', 'x']], { encrypted: true });
    const { damage } = await walked(
      zip([
        ['in.zip', secret],
        ['b', 'y'],
      ]),
    );
    expect(damage).toEqual(['f/in.zip/a: is encrypted. Unpack it yourself, with its password.']);
  });

  it('a zip that is cut off, and encrypted in a way that is not read', async () => {
    const bytes = zip([
      ['a', 'x'],
      ['b', 'y'],
    ]).slice(0, -30);
    // Bits 0 and 6 of the flags of the first local header: "strong encryption".
    bytes[6]! |= 0x41;
    expect(await walked(bytes)).toEqual({
      texts: {},
      damage: ['f: the zip is damaged (strong encryption is not supported). Copy the file again.'],
    });
  });

  it('bytes of a zip that are changed', async () => {
    const bytes = zip(FILES);
    bytes.fill(0x55, 100, 140);
    const { texts, damage } = await walked(bytes);
    expect(damage.length).toBeGreaterThan(0);
    for (const line of damage)
      expect(line).toMatch(/^f.*: the zip is damaged \(.*\)\. Copy the file again\.$/);
    expect(texts['top/größe']).toBe('three');
  });

  it('a file that cannot be read any more', async () => {
    const bytes = zip(files);
    const gone: FileBytes = {
      name: 'f',
      size: bytes.length,
      read: async (at, n) => (at > 0 ? new Uint8Array(0) : bytes.subarray(0, n)),
    };
    expect((await walked(gone)).damage).toEqual(['f: the zip is cut off or damaged. Copy the file again.']);
  });
});

describe('limits', () => {
  const limited = (limits: ConstructorParameters<typeof Budget>[0]) => ({ budget: new Budget(limits) });

  it.each([
    ['gzip', async () => gzip(new Uint8Array(8 << 20)), ''],
    ['tar.gz', async () => gzip(tar([['a', new Uint8Array(8 << 20)]])), '/a'],
    ['zip', async () => zip([['a', new Uint8Array(8 << 20)]]), '/a'],
    ['zstd', async () => zstdBomb(64), ''],
    ['gzip in gzip', async () => gzip(gzip(new Uint8Array(8 << 20))), ''],
  ])('on how many times its size a %s unpacks to', async (_, make) => {
    const { damage, error } = await walked(await make(), limited({ ratio: 50, ratioFrom: 1 << 20 }));
    expect([...damage, error].filter(Boolean)[0]).toMatch(
      /^f.*: unpacks to more than 50 times the size of f\. Unpack them yourself, and give the files that matter\.$/,
    );
  });

  it('on all bytes together, whichever files they are in', async () => {
    const options = limited({ unpacked: 3 << 20 });
    const bytes = gzip(new TextEncoder().encode(LONG.repeat(3)));
    expect(LONG.length * 6).toBeGreaterThan(3 << 20);
    expect((await walked(bytes, options)).damage).toEqual([]);
    expect((await walked(bytes, options)).damage).toEqual([
      'f: the archives unpack to more than 3 MiB. Unpack them yourself, and give the files that matter.',
    ]);
    expect((await walked(bytes, options)).error).toMatch('unpack to more than 3 MiB');
  });

  it('on entries', async () => {
    const files: Files = Array.from({ length: 30 }, (_, i) => [`f${i}`, ''] as const);
    for (const bytes of [tar(files), zip(files)]) {
      const { texts, error } = await walked(bytes, limited({ entries: 20 }));
      expect(Object.keys(texts).length).toBe(20);
      expect(error).toBe(
        'f: the archives hold more than 20 files. Unpack them yourself, and give the files that matter.',
      );
    }
  });

  it('on archives within archives', async () => {
    let bytes: Uint8Array = new TextEncoder().encode('x');
    for (let i = 0; i < 9; i++) bytes = gzip(bytes);
    expect((await walked(bytes)).damage).toEqual([
      'f: an archive within 8 others. Unpack it yourself, and give the files that matter.',
    ]);
  });

  it('on texts, and zips in archives', async () => {
    const options = limited({ held: 1000 });
    for (const bytes of [
      zip([['a', LONG]]),
      tar([['a', zip([['b', LONG.slice(0, 5000)]], { stored: true })]]),
    ]) {
      expect((await walked(bytes, options)).damage).toEqual([
        expect.stringMatching(
          /^f\/a: longer than 1000 bytes, which is too long for a (text|zip in another archive)\. Check that/,
        ),
      ]);
    }
  });

  it('on the directory of a zip', async () => {
    const { damage } = await walked(zip(FILES), limited({ directory: 300 }));
    expect(damage).toEqual(['f: the directory of the zip is longer than 300 bytes. Copy the file again.']);
  });
});

describe('any bytes', () => {
  it('get an answer', async () => {
    const inner = gzip(tar(FILES.slice(0, 2)));
    const seeds = [
      tar(FILES.slice(0, 2)),
      inner,
      zip([...FILES.slice(0, 2), ['in.tar.gz', inner]]),
      zip([['in.zip', zip(FILES.slice(0, 2))]]),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(3000), fc.nat(255)), { maxLength: 6 }),
        fc.option(fc.nat(3000)),
        async (seed, changes, cut) => {
          const bytes = seed.slice(0, cut ?? seed.length);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          await walked(bytes);
        },
      ),
      { numRuns: RUNS },
    );
  });
});
