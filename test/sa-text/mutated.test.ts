/**
 * Texts that people have, changed anywhere: nothing stops a reader but an {@link InputError}, and nothing is lost in
 * silence. Each word of an `ip xfrm` text is in a field, or its line is among what was not understood or could not be read;
 * each row of a table is an SA, or left out by name.
 *
 * `ESPLANE_FUZZ_RUNS=200000 npx vitest run test/sa-text/mutated.test.ts`
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { decodeText } from '../../src/base/decode-text.ts';
import { InputError } from '../../src/base/errors.ts';
import { seededBytes } from '../../src/base/rng.ts';
import { readBlock } from '../../src/sa-text/dsb-csv.ts';
import { readEspSa } from '../../src/sa-text/esp-sa.ts';
import { KEYWORDS } from '../../src/sa-text/words.ts';
import { parseXfrm } from '../../src/sa-text/xfrm-parse.ts';
import { statesOf } from '../../src/sa-text/xfrm-sas.ts';
import type { XfrmTree } from '../../src/sa-text/xfrm-tree.ts';
import { CAPTURES, needs, SHARED, shared } from '../support/needs.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 500);
const LONGEST = 24_000;

/** Texts below folders, with their names. */
function textsIn(...folders: readonly string[]): { name: string; text: string }[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name}`)
      .filter((name) => statSync(name).isFile() && statSync(name).size <= LONGEST)
      .filter((name) => !/\.(pcap|pcapng|json|yaml|mjs|py|sh|zst|gz)$/.test(name))
      .map((name) => ({ name, text: decodeText(readFileSync(name)) })),
  );
}

/** The parts of words that can be in a field. */
function tokens(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[\s,()/]+/)
    .filter((part) => part !== '');
}

/** The forms in which a field may have one: as it stands, without `0x`, as a number. */
function formsOf(token: string): string[] {
  const bare = token.replace(/^0x/, '');
  const number = /^(0x[0-9a-f]{1,8}|\d{1,15})$/.test(token) ? [String(Number(token))] : [];
  // `seq 0x00000012` is decimal all the same.
  const decimal = /^\d{1,15}$/.test(bare) ? [String(Number(bare))] : [];
  return [token, bare, ...number, ...decimal];
}

/** All that is in the fields of a tree. */
function valuesOf(value: unknown, found = new Set<string>()): Set<string> {
  if (typeof value === 'string' || typeof value === 'number')
    for (const one of tokens(String(value)).flatMap(formsOf)) found.add(one);
  else if (Array.isArray(value)) for (const one of value) valuesOf(one, found);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) {
      if (name !== 'origin' && name !== 'line' && name !== 'damaged') valuesOf(one, found);
      if (one === true || typeof one === 'number') for (const part of tokens(name)) found.add(part);
    }
  }
  return found;
}

/** Lines of what is not understood or cannot be read: of an entry with such a field all of them, as it is left out whole. */
function namedLines({ states, policies, events, unread, passed }: XfrmTree, last: number): Set<number> {
  const entries = [...states, ...policies, ...events];
  const lineOf = ({ origin }: { readonly origin: string }) => Number(origin.split(':').at(-1));
  const heads = entries.map(lineOf).sort((a, b) => a - b);
  const isOdd = (entry: (typeof entries)[number]): boolean => {
    if ('event' in entry) {
      const end = heads.find((head) => head > lineOf(entry)) ?? last + 1;
      const hasUnread = unread.some(({ line }) => line >= lineOf(entry) && line < end);
      return hasUnread || [entry.state, entry.policy].some((one) => one !== null && isOdd(one));
    }
    // A state whose key is cut off is one without a key, and is told.
    const isKeyless = 'algorithms' in entry && entry.algorithms.some(({ key }) => key === undefined);
    return isKeyless || entry.damaged.length > 0;
  };
  const named = new Set([...unread.map(({ line }) => line), ...passed]);
  for (const entry of entries.filter(isOdd)) {
    const end = heads.find((head) => head > lineOf(entry)) ?? last + 1;
    for (let line = lineOf(entry); line < end; line++) named.add(line);
  }
  return named;
}

/** Words that are neither in a field nor in a line that is named. */
function lostIn(
  text: string,
  tree: XfrmTree,
  syntax: ReadonlySet<string>,
): { line: number; token: string }[] {
  const values = valuesOf([tree.states, tree.policies, tree.events, tree.counts, tree.stat]);
  const named = namedLines(tree, text.split('\n').length);
  const lines = text.split('\n');
  // Of counters that stand twice the sum is in the tree.
  const nameOf = (line: string) =>
    /^\s*(?:Xfrm\w+(?=\s+\d+\s*$)|SAD|SPD (?:IPv\d|IN|\w+))/.exec(line)?.[0].trim();
  const names = lines.flatMap((line) => nameOf(line) ?? []);
  const isSummed = (line: string) => names.filter((name) => name === nameOf(line)).length > 1;
  return lines.flatMap((line, i) =>
    named.has(i + 1) || isSummed(line)
      ? []
      : tokens(line.replace(/^[\s>*_`|.-]+/, ''))
          .filter((token) => !syntax.has(token) && !formsOf(token).some((form) => values.has(form)))
          .map((token) => ({ line: i + 1, token })),
  );
}

/** Small whole numbers by chance. */
function dice(seed: number): (below: number) => number {
  const bytes = seededBytes(seed);
  const four = new Uint8Array(4);
  return (below) => {
    bytes(four);
    return (((four[0]! << 24) | (four[1]! << 16) | (four[2]! << 8) | four[3]!) >>> 0) % below;
  };
}

const ODD = [
  'zq7x',
  '70123',
  '0x7fab',
  '-',
  'src',
  'proto',
  '10.9.8.7',
  '99999999999',
  'ffff0',
  'esp2',
  '<<x>>',
  '7/9',
];

/** Changes some words, or whole lines, of a text: what stands before the first word of a line stays. */
function mutated(text: string, roll: (below: number) => number): string {
  const lines = text.split('\n');
  for (let n = roll(3) + 1; n > 0; n--) {
    const at = roll(lines.length);
    const [, indent = '', rest = ''] = /^([\s>*_`|.]*)(.*)$/s.exec(lines[at]!) ?? [];
    const words = rest.split(' ');
    const word = roll(words.length);
    switch (roll(9)) {
      case 0:
        words[word] = ODD[roll(ODD.length)]!;
        break;
      case 1:
        words.splice(word, 0, ODD[roll(ODD.length)]!);
        break;
      case 2:
        words.splice(word, 1);
        break;
      case 3:
        words[word] = words[word]!.slice(0, -1);
        break;
      case 4:
        words[word] = `${words[word]}7`;
        break;
      case 5:
        words.length = word;
        break;
      case 6:
        words.reverse();
        break;
      case 7:
        lines.splice(at, 1, ...(roll(2) === 0 ? [] : [lines[at]!, lines[at]!]));
        continue;
      default: {
        const other = roll(lines.length);
        [lines[at], lines[other]] = [lines[other]!, lines[at]!];
        continue;
      }
    }
    lines[at] = indent + words.join(' ');
  }
  return lines.join('\n');
}

function unlessRefused<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

needs([shared('cases'), shared('captures')], 'texts of people and of kernels, changed anywhere', () => {
  const folders = [
    `${SHARED}cases/texts`,
    `${SHARED}cases/captures`,
    CAPTURES,
    `${SHARED}captures-linux-7.2`,
  ];
  const all = textsIn(...folders);
  const xfrm = all.filter(
    ({ name, text }) => !/esp_sa|README|CASE/.test(name) && unlessRefused(() => parseXfrm(text, name)),
  );
  const tables = all.filter(({ text }) => /^"(IPv4|IPv6|Any)",/m.test(text));
  /** Words of the grammar: of the texts as they were printed those that are in no field, such as `(bytes)`, and names. */
  const syntax = new Set([
    ...xfrm.flatMap(({ name, text }) =>
      lostIn(text, parseXfrm(text, name), new Set()).map(({ token }) => token),
    ),
    ...KEYWORDS,
    'policy',
    // No limit.
    '0',
  ]);

  it('are many', () => {
    expect(xfrm.length).toBeGreaterThan(80);
    expect(tables.length).toBeGreaterThan(8);
    expect(syntax.size).toBeLessThan(400);
  });

  it('lose no word of `ip xfrm`', () => {
    const roll = dice(0x13);
    let read = 0;
    for (let i = 0; i < RUNS; i++) {
      const { name, text } = xfrm[roll(xfrm.length)]!;
      const changed = mutated(text, roll);
      const tree = unlessRefused(() => parseXfrm(changed, 'f'));
      if (!tree) continue;
      read++;
      expect({ name, changed, lost: lostIn(changed, tree, syntax) }).toEqual({ name, changed, lost: [] });
      const { sas, keyless, omitted } = statesOf(tree);
      expect(sas.length + keyless.length + omitted.length).toBeGreaterThanOrEqual(tree.states.length);
    }
    expect(read).toBeGreaterThan(RUNS / 2);
  });

  it('lose no row of a table', () => {
    const roll = dice(0x5a);
    for (let i = 0; i < RUNS; i++) {
      const { text } = tables[roll(tables.length)]!;
      const changed = mutated(text.replaceAll('","', '", "'), roll);
      const rows = changed
        .split('\n')
        .filter((line) => line.trim() !== '' && !line.trim().startsWith('#')).length;
      for (const { sas, omitted } of [readEspSa(changed, 'f'), readBlock(changed, 'f')]) {
        const more = Number(/^and (\d+) more/.exec(omitted.at(-1)?.why ?? '')?.[1] ?? 0);
        const left = more > 0 ? omitted.length - 1 + more : omitted.length;
        expect({ changed, out: new Set(sas.map(({ origin }) => origin)).size + left }).toEqual({
          changed,
          out: rows,
        });
      }
    }
  });
});
