/** The built addon carries the compiler's and the linker's guards: read from its ELF tables, without another program. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ADDON, needs } from '../support/needs.ts';

const FILE = fileURLToPath(new URL('../../native/build/Release/esplane.node', import.meta.url));
/** Numbers of elf(5). */
const PT = { LOAD: 1, DYNAMIC: 2, GNU_STACK: 0x6474e551, GNU_RELRO: 0x6474e552 };
const PF_X = 1;
const DT = { STRTAB: 5, SYMTAB: 6, FLAGS: 30, FLAGS_1: 0x6ffffffb };
const DF_BIND_NOW = 8n;
const DF_1_NOW = 1n;

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** Segments, dynamic entries and names of the dynamic symbols of a 64-bit little-endian ELF file. */
function readElf(bytes: Buffer) {
  expect([...bytes.subarray(0, 6)]).toEqual([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  const u64 = (at: number) => Number(bytes.readBigUInt64LE(at));
  const segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, k): Segment => {
    const at = u64(32) + k * bytes.readUInt16LE(54);
    return {
      type: bytes.readUInt32LE(at),
      flags: bytes.readUInt32LE(at + 4),
      offset: u64(at + 8),
      address: u64(at + 16),
      size: u64(at + 32),
    };
  });
  const fileOffset = (address: number) => {
    const in_ = segments.find(
      (s) => s.type === PT.LOAD && address >= s.address && address < s.address + s.size,
    )!;
    return address - in_.address + in_.offset;
  };
  const dynamic = new Map<number, bigint>();
  const table = segments.find(({ type }) => type === PT.DYNAMIC)!;
  for (let at = table.offset; at < table.offset + table.size; at += 16)
    dynamic.set(u64(at), bytes.readBigUInt64LE(at + 8));
  const strings = fileOffset(Number(dynamic.get(DT.STRTAB)!));
  // The string table follows the symbols, of 24 bytes each.
  const symbols = fileOffset(Number(dynamic.get(DT.SYMTAB)!));
  const names: string[] = [];
  for (let at = symbols; at + 24 <= strings; at += 24) {
    const name = strings + bytes.readUInt32LE(at);
    names.push(bytes.toString('latin1', name, bytes.indexOf(0, name)));
  }
  return { segments, dynamic, names };
}

needs([ADDON], 'guards of the built addon', () => {
  const { segments, dynamic, names } = readElf(readFileSync(FILE));

  it('resolves everything when it is loaded, and is read-only from then on (full RELRO)', () => {
    const isNow =
      ((dynamic.get(DT.FLAGS) ?? 0n) & DF_BIND_NOW) !== 0n ||
      ((dynamic.get(DT.FLAGS_1) ?? 0n) & DF_1_NOW) !== 0n;
    expect(isNow).toBe(true);
    expect(segments.some(({ type }) => type === PT.GNU_RELRO)).toBe(true);
  });

  it('has a stack that is no code', () => {
    const stack = segments.filter(({ type }) => type === PT.GNU_STACK);
    expect(stack.map(({ flags }) => flags & PF_X)).toEqual([0]);
  });

  it('checks its stack frames, and copies whose bounds the compiler knows', () => {
    expect(names).toContain('__stack_chk_fail');
    expect(names.filter((name) => /^__(?!stack)\w+_chk$/.test(name)).length).toBeGreaterThan(0);
  });
});
