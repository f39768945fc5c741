/**
 * `esplane suites`: every algorithm of ESP, which backends have it here, and what is weak about it.
 * @module
 */
import { type Command, Option } from 'commander';
import { AEADS, CIPHERS, MACS } from '../crypto/algorithms.ts';
import type { Engine } from '../crypto/engine.ts';
import { suiteCheck } from '../crypto/lacking.ts';
import { type NativeName, nativeProblem } from '../crypto/native.ts';
import { aead, authenc, type KeyMaterial, weaknesses } from '../crypto/suite.ts';
import { ENGINE_NAMES, makeEngine } from './engine.ts';
import { printLine } from './output.ts';
import { paintFor } from './paint.ts';

const EXAMPLE = `
Example:
  $ esplane suites
  $ esplane suites --json | jq -r 'select(.weak == null) | .name'

Any integrity goes with any encryption. docs/suites.md says more of each.`;

const KINDS = ['aead', 'integrity', 'encryption'] as const;

/** One algorithm. */
export interface SuiteLine {
  readonly kind: (typeof KINDS)[number];
  /** As Linux names it, and the shorter name that it takes, too. */
  readonly name: string;
  readonly short: string | null;
  /** Where it is written down for ESP; null where it never was. */
  readonly rfc: number | null;
  /** Lengths of keys in bytes, salt included; null where any will do. */
  readonly keyBytes: readonly number[] | null;
  /** Lengths of ICVs in bits: of integrity the default and the full length. */
  readonly icvBits: readonly number[];
  /** Engines that have it here, the quickest first. */
  readonly engines: readonly string[];
  /** Lengths of keys in bytes that none of them has, though others they have. */
  readonly missing: readonly number[];
  /** Why it is weak; null where it is not. */
  readonly weak: string | null;
}

/** Adds the command. */
export function suitesCommand(program: Command): void {
  program
    .command('suites')
    .description('List every algorithm of ESP: names, keys, which backends have it here, and what is weak.')
    .addOption(new Option('--kind <kind>', 'only these').choices(KINDS))
    .option('--json', 'one JSON object a line')
    .addHelpText('after', EXAMPLE)
    .action(async ({ kind, json }: { kind?: string; json?: boolean }) => {
      const lines = suiteLines(await enginesHere()).filter(
        (line) => kind === undefined || line.kind === kind,
      );
      if (json) for (const line of lines) printLine(JSON.stringify(line));
      else print(lines);
    });
}

/** The engines that can be had here, the quickest first. */
export async function enginesHere(): Promise<Engine[]> {
  const names = ENGINE_NAMES.filter((name) => name !== 'auto');
  const isHere = (name: string) =>
    name === 'node' || name === 'noble' || nativeProblem(name as NativeName) === undefined;
  return Promise.all(names.filter(isHere).map(makeEngine));
}

/** The table. */
export function suiteLines(engines: readonly Engine[]): SuiteLine[] {
  const checks = engines.map((engine) => ({ name: engine.name, problemOf: suiteCheck(engine) }));
  const zeros = (length: number) => new Uint8Array(length);
  const line = (
    kind: SuiteLine['kind'],
    row: { readonly name: string; readonly short?: string; readonly rfc?: number },
    keyBytes: readonly number[] | undefined,
    icvBits: readonly number[],
    make: (key: Uint8Array) => KeyMaterial,
  ): SuiteLine => {
    const keys = (keyBytes ?? [ANY_LENGTH]).map((length) => make(zeros(length)));
    const having = checks.map(({ name, problemOf }) => ({
      name,
      keys: keys.map((one) => problemOf(one) === undefined),
    }));
    const some = having.filter((engine) => engine.keys.includes(true));
    const weak = weaknesses(keys[0]!).find((reason) => reason.startsWith(`${row.name}: `));
    return {
      kind,
      name: row.name,
      short: row.short ?? null,
      rfc: row.rfc ?? null,
      keyBytes: keyBytes ?? null,
      icvBits,
      engines: some.map(({ name }) => name),
      missing:
        some.length === 0
          ? []
          : (keyBytes ?? []).filter((_, i) => !some.some((engine) => engine.keys[i] === true)),
      weak: weak?.slice(row.name.length + 2) ?? null,
    };
  };
  return [
    ...AEADS.map((row) =>
      line(
        'aead',
        row,
        row.keyLens.map((length) => length + row.saltLen),
        row.icvBits,
        (key) => aead(row.name, key, row.icvBits.at(-1)!),
      ),
    ),
    ...MACS.map((row) =>
      line('integrity', row, row.keyLens, [...new Set([row.defaultBits, row.fullBits])], (key) =>
        authenc(row.name, key, 'ecb(cipher_null)', zeros(0)),
      ),
    ),
    ...CIPHERS.map((row) =>
      line(
        'encryption',
        row,
        row.keyLens.map((length) => length + row.saltLen),
        [],
        (key) => authenc('hmac(sha256)', zeros(ANY_LENGTH), row.name, key),
      ),
    ),
  ];
}

/** Of a key that may have any. */
const ANY_LENGTH = 32;

function print(lines: readonly SuiteLine[]): void {
  const paint = paintFor(process.stdout);
  const rows = [
    ['name', 'also', 'RFC', 'key bytes', 'ICV bits', 'engines here', 'strength'],
    ...lines.map(({ name, short, rfc, keyBytes, icvBits, engines, missing, weak }) => [
      name,
      short ?? '',
      rfc === null ? '-' : String(rfc),
      lengths(keyBytes),
      icvBits.join(', ') || '-',
      `${engines.join(', ') || 'none: esplane doctor says what to install'}${missing.length > 0 ? ` (no key of ${missing.join(', ')})` : ''}`,
      weak === null ? 'good' : `weak: ${weak}`,
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const [i, row] of rows.entries()) {
    const text = row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
    printLine(i > 0 && lines[i - 1]!.weak !== null ? paint.yellow(text) : text);
  }
}

/** `16, 24, 32`, or `4 to 56`. */
function lengths(bytes: readonly number[] | null): string {
  if (bytes === null) return 'any';
  return bytes.length > 4 ? `${bytes[0]} to ${bytes.at(-1)}` : bytes.join(', ');
}
