/**
 * The state file on a real file system: what a node finds there after each kind of end, and what becomes of files that
 * are damaged, short, not its own, or not files.
 */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { StateFile, StateLock, StateRows } from '../../src/cli/state-file.ts';
import { ReplayWindow, startWindow } from '../../src/ipsec/replay.ts';
import { MAX_IDLE, RESERVE } from '../../src/ipsec/row-store.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { sumOf } from '../../src/ipsec/sa-row.ts';
import { SaPlace } from '../../src/ipsec/sa-words.ts';
import { OutboundSequence } from '../../src/ipsec/sequence.ts';
import { PASS } from '../../src/wire/packet.ts';
import { ADDON, needs } from '../support/needs.ts';
import { saConfig } from '../support/sa.ts';

const root = mkdtempSync(join(tmpdir(), 'esplane-state-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const newFolder = () => join(root, `${made++}`, 'node-1');
const FILE = 'sequence-numbers';
/** Words of the header: see docs/state-file.md. */
const BOOT_ID = 2;
const SUM = 11;

interface Opened {
  readonly file: StateFile;
  readonly rows: StateRows;
  readonly said: string[];
  /** In order. */
  end(): void;
  out(config: SaConfig): OutboundSequence;
  window(config: SaConfig): ReplayWindow;
}

function open(folder: string, ...configs: readonly SaConfig[]): Opened {
  const said: string[] = [];
  const lock = new StateLock(folder);
  const file = StateFile.open(folder, { say: (line) => said.push(line), now: Date.now });
  const places = file.prepare(configs);
  file.settle(configs);
  const rows = new StateRows(file.fd);
  const row = (config: SaConfig) => rows.row(places.get(config)!);
  return {
    file,
    rows,
    said,
    end: () => {
      file.close();
      lock.release(true);
    },
    out: (config) => new OutboundSequence(config.esn, 0, 0, row(config)),
    window: (config) => {
      const place = new SaPlace(config.replayWindow, row(config));
      startWindow(place, config.replayWindow);
      return new ReplayWindow(config.replayWindow, config.esn, place);
    },
  };
}

function send(sequence: OutboundSequence, count: number): void {
  for (let k = 0; k < count; k++) if (!sequence.advance()) throw new Error(`stopped after ${k}`);
}

/** What is left of a process that was killed: the file as it is, with no lock. */
function afterKill(folder: string, change: (words: Int32Array) => void = () => {}): string {
  const next = newFolder();
  mkdirSync(next, { recursive: true, mode: 0o700 });
  const bytes = readFileSync(join(folder, FILE));
  const words = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  change(words);
  writeFileSync(join(next, FILE), new Uint8Array(words.buffer), { mode: 0o600 });
  return next;
}

/** As the disk has it after the machine came up again. */
function otherBoot(words: Int32Array): void {
  words[BOOT_ID]! ^= 1;
  words[SUM] = sumOf(words, 0, SUM);
}

const SA = saConfig();

needs([ADDON], 'the state file', () => {
  it('lets a sender pass its reserve when nothing raises it any more, and a killed process still knows the number', () => {
    const folder = newFolder();
    for (const esn of [true, false]) {
      const config = saConfig({ esn, spi: esn ? 3 : 4 });
      const one = open(folder, config);
      const sequence = one.out(config);
      send(sequence, RESERVE);
      expect([sequence.advance(), sequence.isExhausted]).toEqual([false, false]);
      one.rows.release();
      send(sequence, 10);
      const last = sequence.lo;
      const again = open(afterKill(folder), config);
      expect(again.out(config).lo).toBe(last);
      again.end();
      one.end();
    }
  });

  it('goes on exactly after an orderly end', () => {
    const folder = newFolder();
    const first = open(folder, SA);
    send(first.out(SA), 5);
    const window = first.window(SA);
    for (const n of [1, 2, 5]) window.commit(0, n);
    first.end();
    const second = open(folder, SA);
    expect(second.said).toEqual([]);
    expect(second.out(SA).lo).toBe(5);
    const again = second.window(SA);
    expect([1, 2, 3, 4, 5, 6].map((n) => again.check(0, n) === PASS)).toEqual([
      ...[false, false, true, true, false, true],
    ]);
    second.end();
  });

  it('goes on exactly after the process was killed', () => {
    const folder = newFolder();
    const first = open(folder, SA);
    send(first.out(SA), 7);
    first.window(SA).commit(0, 3);
    const second = open(afterKill(folder), SA);
    expect(second.said).toEqual([]);
    expect(second.out(SA).lo).toBe(7);
    expect(second.window(SA).check(0, 2)).toBe(PASS);
    first.end();
    second.end();
  });

  it('goes on behind the reserve after a power failure, with everything below the top seen', () => {
    const folder = newFolder();
    const first = open(folder, SA);
    send(first.out(SA), 7);
    first.window(SA).commit(0, 3);
    const second = open(afterKill(folder, otherBoot), SA);
    expect(second.said).toEqual([]);
    expect(second.out(SA).lo).toBe(RESERVE);
    expect(second.window(SA).check(0, 2)).not.toBe(PASS);
    expect(second.window(SA).check(0, 4)).toBe(PASS);
    first.end();
    second.end();
  });

  it('goes on exactly after an orderly end of the machine', () => {
    const folder = newFolder();
    const first = open(folder, SA);
    send(first.out(SA), 7);
    first.end();
    const second = open(afterKill(folder, otherBoot), SA);
    expect(second.out(SA).lo).toBe(7);
    second.end();
  });

  it('stops an SA at its reserve, and renews it beside the thread that sends', async () => {
    const { file, end, out } = open(newFolder(), SA);
    const sequence = out(SA);
    let sent = 0;
    while (sequence.advance()) sent++;
    expect([sent, sequence.isExhausted]).toEqual([RESERVE, false]);
    file.tick();
    await expect.poll(() => sequence.advance()).toBe(true);
    end();
  });

  it('has SAs of one key, told apart by their marks, in rows of their own', () => {
    const folder = newFolder();
    const twins = [1, 2].map((value) => saConfig({ mark: { value, mask: 3 } }));
    const first = open(folder, ...twins);
    send(first.out(twins[1]!), 3);
    first.end();
    const second = open(folder, ...twins);
    expect(twins.map((sa) => second.out(sa).lo)).toEqual([0, 3]);
    second.end();
  });

  it('goes on from the top where the window has another size', () => {
    const folder = newFolder();
    const first = open(folder, SA);
    send(first.out(SA), 9);
    first.window(SA).commit(0, 50);
    first.end();
    const wide = saConfig({ replayWindow: 4096 });
    const second = open(folder, wide);
    expect(second.out(wide).lo).toBe(9);
    expect(second.window(wide).check(0, 20)).not.toBe(PASS);
    expect(second.window(wide).check(0, 51)).toBe(PASS);
    second.end();
  });

  it('takes counters of a text as the least', () => {
    const folder = newFolder();
    const told = saConfig({ sequence: { seqHi: 0, seq: 40, oseqHi: 1, oseq: 5 } });
    const first = open(folder, told);
    expect([first.out(told).hi, first.out(told).lo, first.window(told).topLo]).toEqual([1, 5, 40]);
    send(first.out(told), 10);
    first.end();
    const second = open(folder, told);
    expect([second.out(told).hi, second.out(told).lo]).toEqual([1, 15]);
    second.end();
  });

  it('remembers an SA that is gone and comes back, and forgets the oldest of too many', () => {
    const folder = newFolder();
    let seconds = 1000;
    const lock = new StateLock(folder);
    const end = () => lock.release(false);
    const file = StateFile.open(folder, { say: () => {}, now: () => seconds * 1000 });
    const rows = new StateRows(file.fd);
    const hold = (configs: readonly SaConfig[]) => {
      seconds++;
      const places = file.prepare(configs);
      file.settle(configs);
      return (config: SaConfig) => new OutboundSequence(true, 0, 0, rows.row(places.get(config)!));
    };
    const small = (spi: number) => saConfig({ spi, replayWindow: 32 });
    const one = small(1);
    send(hold([one])(one), 4);
    const many = Array.from({ length: MAX_IDLE }, (_, k) => small(k + 2));
    hold(many);
    expect(file.count).toEqual({ inUse: MAX_IDLE, idle: 1 });
    expect(hold([one])(one).lo).toBe(4);
    hold(many);
    hold([SA]);
    expect(file.count).toEqual({ inUse: 1, idle: MAX_IDLE });
    const size = lstatSync(join(folder, FILE)).size;
    hold([one]);
    hold(Array.from({ length: MAX_IDLE }, (_, k) => small(k + 20_000)));
    hold(Array.from({ length: MAX_IDLE }, (_, k) => small(k + 40_000)));
    hold(Array.from({ length: MAX_IDLE }, (_, k) => small(k + 60_000)));
    expect(lstatSync(join(folder, FILE)).size).toBeLessThan(3 * size);
    expect(hold([one])(one).lo).toBe(0);
    end();
  });

  it('is for its owner alone', () => {
    const folder = newFolder();
    const { end } = open(folder, SA);
    expect(lstatSync(folder).mode & 0o777).toBe(0o700);
    expect(lstatSync(join(folder, FILE)).mode & 0o777).toBe(0o600);
    expect(existsSync(join(folder, `${FILE}.new`))).toBe(false);
    expect(readFileSync(join(folder, FILE)).includes(Buffer.from(SA.keys.key()))).toBe(false);
    end();
  });

  it('belongs to one node at a time', () => {
    const folder = newFolder();
    const { end } = open(folder, SA);
    expect(() => open(folder, SA)).toThrow(/node-1: another node keeps its state there/);
    end();
    open(folder, SA).end();
  });

  it('follows no link, and writes in no folder that others may write in', () => {
    const folder = newFolder();
    mkdirSync(folder, { recursive: true });
    const elsewhere = join(root, 'elsewhere');
    writeFileSync(elsewhere, 'precious');
    symlinkSync(elsewhere, join(folder, FILE));
    symlinkSync(elsewhere, join(folder, `${FILE}.new`));
    const { end, said } = open(folder, SA);
    expect(said.join()).toMatch(/it is a symbolic link\. It is now sequence-numbers\.bad/);
    expect(readFileSync(elsewhere, 'utf8')).toBe('precious');
    end();
    symlinkSync(folder, join(root, 'link'));
    expect(() => open(join(root, 'link'), SA)).toThrow(/it is no directory|symbolic link/);
    chmodSync(folder, 0o777);
    expect(() => open(folder, SA)).toThrow(/others may write in the directory/);
    expect(() => open('/proc/nowhere', SA)).toThrow(/^\/proc\/nowhere: /);
  });

  it.each([
    ['empty', () => new Uint8Array(0), /it has 0 bytes/],
    ['of another program', () => new Uint8Array(8192).fill(7), /it is no state file of esplane/],
    ['cut', (bytes: Uint8Array) => bytes.subarray(0, 5000), /it has 5000 bytes/],
    [
      'of a later version',
      (bytes: Uint8Array) => bytes.with(4, 9),
      /version 9, this esplane knows version 1/,
    ],
    ['damaged in its header', (bytes: Uint8Array) => bytes.with(12, 9), /its header is damaged/],
  ])('that is %s is put aside', (_, change, problem) => {
    const folder = newFolder();
    open(folder, SA).end();
    writeFileSync(join(folder, FILE), change(readFileSync(join(folder, FILE))));
    const { end, said, out } = open(folder, SA);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(problem);
    expect(said[0]).toMatch(/all SAs begin at sequence number 1/);
    expect(existsSync(join(folder, `${FILE}.bad`))).toBe(true);
    expect(out(SA).lo).toBe(0);
    end();
  });

  it('that is damaged anywhere, or cut, never gives a number again that it vouches for', () => {
    const folder = newFolder();
    const others = [4, 5].map((spi) => saConfig({ spi, replayWindow: 32 }));
    const first = open(folder, SA, ...others);
    const sent = [1000, 70_000, 3];
    [SA, ...others].forEach((config, k) => {
      send(first.out(config), sent[k]!);
    });
    first.window(SA).commit(0, 77);
    const bytes = new Uint8Array(readFileSync(join(folder, FILE)));
    // Where there is something: in the rows' free space a flip is no more than a warning.
    const used = 4096 + 8192;
    const flip = fc.record({ at: fc.nat(used - 1), bit: fc.nat(7) });
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 1 }), fc.option(fc.nat(used)), (flips, cut) => {
        const damaged = bytes.slice(0, cut === null ? undefined : cut - (cut % 4096));
        for (const { at, bit } of flips) if (at < damaged.length) damaged[at]! ^= 1 << bit;
        const next = newFolder();
        mkdirSync(next, { recursive: true, mode: 0o700 });
        writeFileSync(join(next, FILE), damaged);
        const { end, said, out } = open(next, SA, ...others);
        const isDamaged = said.length > 0 || cut !== null;
        [SA, ...others].forEach((config, k) => {
          const { lo } = out(config);
          if (lo < sent[k]!) expect([isDamaged, lo], `SA ${k}: ${JSON.stringify(flips)}`).toEqual([true, 0]);
        });
        end();
        rmSync(next, { recursive: true, force: true });
      }),
      { numRuns: 150 },
    );
    first.end();
  });
});
