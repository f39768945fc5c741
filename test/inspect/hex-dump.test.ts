import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { InputError } from '../../src/base/errors.ts';
import { parseHexDump } from '../../src/inspect/hex-dump.ts';
import { needs, SHARED, shared } from '../support/needs.ts';
import { counting } from '../support/sa.ts';

const BYTES = counting(37, 0x41);
const HEX = toHex(BYTES);

const pairs = (b: Uint8Array, gap = ' ') => Array.from(b, (v) => v.toString(16).padStart(2, '0')).join(gap);
const ascii = (b: Uint8Array) =>
  Array.from(b, (v) => (v > 32 && v < 127 ? String.fromCharCode(v) : '.')).join('');

/** The lines of a dump: what stands before and behind the bytes differs from tool to tool. */
function dump(b: Uint8Array, line: (offset: string, row: Uint8Array) => string, digits: number): string {
  let text = '';
  for (let at = 0; at < b.length; at += 16) {
    text += `${line(at.toString(16).padStart(digits, '0'), b.subarray(at, at + 16))}\n`;
  }
  return text;
}

const skb = (b: Uint8Array, kind: string) =>
  dump(b, (o, row) => `[  123.456789] skb ${kind}:   ${o}: ${pairs(row)}`, 8);
const cArray = (b: Uint8Array) =>
  `/* Frame (${b.length} bytes) */\nstatic const unsigned char pkt1[${b.length}] = {\n${dump(b, (_o, row) => `0x${pairs(row, ', 0x')}, /* ${ascii(row)}{} */`, 8)}};\n`;

const words = (b: Uint8Array) => toHex(b).replace(/(.{4})(?=.)/g, '$1 ');
const FORMATS: readonly (readonly [string, (b: Uint8Array) => string])[] = [
  ['digits', (b) => toHex(b)],
  ['upper case, 0x', (b) => `0x${toHex(b).toUpperCase()}`],
  ['pairs with colons', (b) => pairs(b, ':')],
  ['words on lines', (b) => words(b).replace(/(.{20})/g, '$1\n')],
  ['an array in C', (b) => `{ ${Array.from(b, (v) => `0x${v.toString(16).padStart(2, '0')}`).join(', ')} }`],
  [
    'a string with escapes',
    (b) => `"${Array.from(b, (v) => `\\x${v.toString(16).padStart(2, '0')}`).join('')}"`,
  ],
  ['skb_dump of a kernel', (b) => `kernel: ${skb(b, 'linear')}`],
  [
    'skb_dump with room around, and pages',
    (b) =>
      `[    1.0] skb len=37 headroom=2 headlen=20\n${skb(Uint8Array.of(1, 2), 'headroom')}${skb(b.subarray(0, 20), 'linear')}${skb(b.subarray(20, 30), 'frag')}${skb(b.subarray(30), 'frag')}`,
  ],
  ['an array in C that Wireshark writes', cArray],
  [
    'xxd -i',
    (b) => `unsigned char hx_bin[] = {\n  0x${pairs(b, ', 0x')}\n};\nunsigned int hx_bin_len = 37;\n`,
  ],
  ['an array in C of decimal numbers', (b) => `uint8_t p[] = { ${b.join(', ')} };`],
  ['xxd', (b) => dump(b, (o, row) => `${o}: ${words(row).padEnd(39)}  ${ascii(row)}`, 8)],
  ['xxd, upper case offsets', (b) => dump(b, (o, row) => `${o.toUpperCase()}: ${words(row)}`, 8)],
  [
    'hexdump -C',
    (b) =>
      `${dump(
        b,
        (o, row) =>
          `${o}  ${pairs(row.subarray(0, 8))}  ${pairs(row.subarray(8))}`
            .trimEnd()
            .padEnd(60)
            .concat(`|${ascii(row)}|`),
        8,
      )}00000025\n`.replace(/00000025\n$/, ''),
  ],
  [
    'tcpdump -X',
    (b) =>
      `12:00:00.1 IP 10.0.0.1 > 10.0.0.2: ESP, length 64\n${dump(b, (o, row) => `\t0x${o}:  ${words(row).padEnd(39)}  ${ascii(row)}`, 4)}`,
  ],
  ['tcpdump -x', (b) => dump(b, (o, row) => `\t0x${o}:  ${words(row)}`, 4)],
  ['Wireshark', (b) => dump(b, (o, row) => `${o}   ${pairs(row).padEnd(47)}   ${ascii(row)}`, 4)],
  ['tshark -x', (b) => dump(b, (o, row) => `${o}  ${pairs(row).padEnd(47)}   ${ascii(row)}`, 4)],
  ['Windows line ends', (b) => dump(b, (o, row) => `${o}   ${pairs(row)}`, 4).replaceAll('\n', '\r\n')],
  ['od -A x -t x1', (b) => dump(b, (o, row) => `${o} ${pairs(row)}`, 6)],
];

describe.each(FORMATS)('%s', (_, format) => {
  it('is read', () => {
    expect(toHex(parseHexDump(format(BYTES), 'test'))).toBe(HEX);
  });

  it('is read whatever the bytes are, and the text beside them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 17, maxLength: 70 }), (b) => {
        // Words on lines that begin with zeros are a dump's that begins at 0. No packet begins with two.
        fc.pre(b[0] !== 0 || b[1] !== 0);
        // A last line may be shorter than the others, and text beside it be made of digits.
        expect(toHex(parseHexDump(format(b), 'test'))).toBe(toHex(b));
      }),
      { numRuns: 200 },
    );
  });
});

it('an array in C is read where the text beside it ends its comment', () => {
  const b = Uint8Array.from([0, 0, 0, 0, 0, 0x2a, 0x2f, 0, 0, 0x2a, 0x2f, 0, 0, 0, 0, 0, 0]);
  expect(toHex(parseHexDump(cArray(b), 'test'))).toBe(toHex(b));
  expect(toHex(parseHexDump('char p[] = { /* a */ 0x45, /* b */ 0x00 };', 'test'))).toBe('4500');
});

describe('what the tools themselves print', () => {
  it.each([['xxd'], ['hexdump -C'], ['od -A x -t x1'], ['od -A x -t x1z']])('%s', (command) => {
    const [name, ...args] = command.split(' ');
    const { stdout, error } = spawnSync(name!, args, { input: BYTES, encoding: 'utf8' });
    if (error) return; // not on every machine; the same formats stand above
    expect(toHex(parseHexDump(stdout, 'test'))).toBe(HEX);
  });
});

describe('what cannot be used', () => {
  it.each([
    ['nothing', '', 'test: no hexadecimal digits'],
    ['words', 'hello', 'test:1: "h" is no hexadecimal digit'],
    ['half a byte', '450', 'test: an odd number of hexadecimal digits'],
    ['a hole', '0000   45 00\n0010   00 01', 'test:2: the dump goes on at byte 16, but 2 have been read'],
    ['two packets', '0000   45 00\n\n0000   45 00', 'test:3: a second packet starts here'],
    [
      'two packets of a kernel',
      skb(BYTES, 'linear') + skb(BYTES, 'linear'),
      'test:4: a second packet starts here',
    ],
    [
      'a hole in a kernel log',
      'x\nskb linear: 00000000: 45 00\nskb linear: 00000010: 00',
      'test:3: the dump goes on',
    ],
    ['two arrays', cArray(BYTES) + cArray(BYTES), 'test: there is more than one array'],
    ['an array of words', 'u16 p[] = { 0x4500, 0x0054 };', 'test: "0x4500" is no byte'],
    ['words that hexdump exchanges', '0000000 0045 5400\n0000010 0000', 'test: these are 16-bit words'],
    ['half a byte in a dump', '0000:  45 0', 'test:1: half a byte'],
    ['too much', '00'.repeat(0x4_0001), 'test: more than 262144 bytes'],
  ])('%s', (_, text, message) => {
    expect(() => parseHexDump(text, 'test')).toThrow(InputError);
    expect(() => parseHexDump(text, 'test')).toThrow(message);
  });

  it('never throws anything else', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom(...'0123abf :|x\n\t.z[]={}/*,', 'skb linear: ', 'skb frag: 00000000: '),
        }),
        (text) => {
          try {
            expect(parseHexDump(text, 'test').length).toBeGreaterThan(0);
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
          }
        },
      ),
      { numRuns: Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 1000) },
    );
  });
});

needs([shared('cases')], 'case texts 23', () => {
  const text = (name: string) => readFileSync(`${SHARED}cases/texts/23-hex-forms/${name}`, 'utf8');

  it('the same packet in an array, in two ways, and in a kernel log', () => {
    const [array, xxdi, skbDump] = ['carray', 'xxdi', 'skbdump'].map((name) =>
      parseHexDump(text(name), name),
    );
    expect(array).toHaveLength(154);
    expect(toHex(xxdi!)).toBe(toHex(array!));
    expect(toHex(skbDump!)).toBe(toHex(array!));
  });

  it('plain hexdump is told what to do', () => {
    expect(() => parseHexDump(text('hexdump-words'), 'f')).toThrow(/16-bit words.*hexdump -C/);
  });
});

it('brackets, comments and lines of a kernel take time by their number', () => {
  for (const piece of ['[', '/*', ']={', 'skb linear: ', '\nskb frag: 00000000: ', '{'])
    expect(() => parseHexDump(piece.repeat(150_000), 'test')).toThrow(InputError);
});
