/**
 * Files made to hurt, as a user would meet them: the command ends with an answer or a clear line, in a heap of 512 MB.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { block, bytes, iface, int, section, text } from '../capture/made.ts';
import { MAIN, tempFolder } from '../support/cli.ts';

const PCAPS = fileURLToPath(new URL('../../pcaps/linux-6.1/faults-esn', import.meta.url));
const SAS = ['--keys', `${PCAPS}/keys`, '--nodes', `${PCAPS}/ciliumnodes.json`];
const AES = '4142434445464748494a4b4c4d4e4f5001020304';
const MB = 1 << 20;
const folder = tempFolder();
const START = bytes(section('little'), iface('little', 101));

/** Writes a file of parts. */
function made(name: string, ...parts: readonly (Uint8Array | string)[]): string {
  const file = join(folder, name);
  const fd = openSync(file, 'w');
  for (const part of parts) writeSync(fd, part as Uint8Array);
  closeSync(fd);
  return file;
}

function run(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--max-old-space-size=512', MAIN, ...args],
    { encoding: 'utf8', timeout: 60_000, maxBuffer: 64 * MB },
  );
  expect(stderr).not.toMatch(/^ {4}at /m);
  return { code: status, stdout, stderr };
}

/** A block of which the body is too long to be made from a list of numbers. */
function longBlock(type: number, body: Uint8Array): Uint8Array {
  const b = new Uint8Array(12 + body.length);
  b.set(int('little', 4, type));
  b.set(int('little', 4, b.length), 4);
  b.set(body, 8);
  b.set(int('little', 4, b.length), b.length - 4);
  return b;
}

function secretsBlock(csv: string): Uint8Array {
  const data = text(csv);
  const body = new Uint8Array(8 + ((data.length + 3) & ~3));
  body.set(int('little', 4, 0x45535053));
  body.set(int('little', 4, data.length), 4);
  body.set(data, 8);
  return longBlock(10, body);
}

describe('a hostile pcapng', () => {
  it('of 2,000,000 interfaces is refused', () => {
    const one = iface('little', 101);
    const many = new Uint8Array(one.length * 100_000);
    for (let i = 0; i < 100_000; i++) many.set(one, i * one.length);
    const file = made('interfaces.pcapng', section('little'), ...Array<Uint8Array>(20).fill(many));
    const { code, stderr } = run('decrypt', '-q', file, ...SAS);
    expect(stderr).toMatch(
      /at byte \d+: more than 65,536 interfaces in one section \(frames read before it: 0\)/,
    );
    expect(code).toBe(2);
  });

  it('of 13,000,000 comments on one frame is written with 1,000 of them', () => {
    const body = new Uint8Array(20 + 50 * MB);
    for (let at = 20; at < body.length; at += 4) body[at] = 1;
    const file = made('comments.pcapng', START, longBlock(6, body));
    const { code, stderr } = run('decrypt', '-q', file, ...SAS, '-w', join(folder, 'out.pcapng'), '--wire');
    expect(stderr).toContain(
      'comments.pcapng: 13,106,200 comments left out, the first in the block at byte 48: a block may have 1,000, of 1 MiB together',
    );
    expect(code).toBe(0);
  });

  it('with a field of 12 MB in its secrets is refused', () => {
    const file = made(
      'field.pcapng',
      START,
      secretsBlock(`"IPv4","10.0.0.1","10.0.0.2","0x3","${'a'.repeat(12 * MB)}"\n`),
    );
    const { code, stderr } = run('decrypt', '-q', file);
    expect(stderr).toMatch(/field\.pcapng \(secrets\):1: the line has more than 65,536 characters/);
    expect(code).toBe(2);
  });

  it('with more SAs than a capture may bring is refused', () => {
    const row = `"IPv4","10.0.0.1","10.0.0.2","0x3","AES-GCM with 16 octet ICV [RFC4106]","0x${AES}","NULL",""\n`;
    const some = secretsBlock(row.repeat(40_000));
    const file = made('sas.pcapng', START, ...Array<Uint8Array>(10).fill(some));
    const { code, stderr } = run('decrypt', '-q', file);
    expect(stderr).toMatch(/sas\.pcapng \(secrets\): more than 100,000 SAs, policies or nodes/);
    expect(code).toBe(2);
  });
});

describe('a hostile text', () => {
  it.each([
    ['esp_sa', '--esp-sa', `"IPv4","10.0.0.1","10.0.0.2","0x3","${'a'.repeat(16 * MB)}","","NULL",""\n`],
    ['ip xfrm state', '--xfrm-state', `src ${'1'.repeat(16 * MB)} dst 10.0.0.1\n`],
  ])('a line of 16 MB of %s', (_, option, content) => {
    const file = made(option.slice(2), content);
    const { code, stderr } = run('sas', option, file);
    expect(stderr).toBe(
      `esplane: ${file}:1: the line has more than 65,536 characters. Check that this is the right file.\n`,
    );
    expect(code).toBe(2);
  });

  it('a Secret of 40,000 data keys', () => {
    const keys = Array.from({ length: 40_000 }, (_, i) => `  k${i}: v\n`).join('');
    const file = made('secret.yaml', `kind: Secret\nmetadata:\n  name: cilium-ipsec-keys\ndata:\n${keys}`);
    const { code, stderr } = run('sas', '--keys', file, '--nodes', `${PCAPS}/ciliumnodes.json`);
    expect(stderr).toMatch(/the Secret has no data key named keys/);
    expect(code).toBe(2);
  });
});

describe('names that would command a terminal', () => {
  const EVIL = '\u001b]0;OWNED\u0007\u001b[2J\u001b[31mAll is well\u001b[0m\r\n\u009b2J\u202e';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  const HOSTILE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

  /** A capture whose secrets name a node so, and one frame of ESP that it sent. */
  function capture(): string {
    const quoted = EVIL.replace(
      /[^ -~]/g,
      (char) => `\\x${(char.charCodeAt(0) & 0xff).toString(16).padStart(2, '0')}`,
    );
    const csv = `# CiliumNode: "${quoted}","10.244.2.1","10.244.2.0/24"\n# CiliumNode: "node-1","10.244.1.1","10.244.1.0/24"\n"IPv4","10.244.1.1","10.244.2.1","0x00000003","AES-GCM with 16 octet ICV [RFC4106]","0x${AES}","NULL",""\n`;
    const esp = new Uint8Array(100);
    esp.set([
      0x45, 0, 0, 100, 0, 0, 0, 0, 64, 50, 0, 0, 10, 244, 1, 1, 10, 244, 2, 1, 0, 0, 0, 3, 0, 0, 0, 9,
    ]);
    const body = bytes(
      int('little', 4, 0),
      int('little', 8, 0),
      int('little', 4, 100),
      int('little', 4, 100),
      esp,
    );
    return made('evil.pcapng', START, secretsBlock(csv), block('little', 6, body));
  }

  it.each([['diagnose'], ['decrypt'], ['explain', '--frame', '1']])('%s', (...args) => {
    const [command = '', ...more] = args;
    const { stdout, stderr } = run(command, capture(), ...more);
    expect(stdout + stderr).not.toMatch(HOSTILE);
    if (command === 'diagnose') expect(stdout).toContain('\\u001b]0;OWNED\\u0007');
  });

  it('a file whose name holds them, in an error and in a page', () => {
    const name = `a${EVIL.replaceAll('/', '')}.pcapng`;
    writeFileSync(join(folder, name), bytes(START, 1));
    for (const args of [
      ['decrypt', join(folder, name), ...SAS],
      ['diagnose', join(folder, name), ...SAS],
      ['sas', '--esp-sa', join(folder, name)],
    ]) {
      const { stdout, stderr } = run(...args);
      expect(stdout + stderr, args[0]).not.toMatch(HOSTILE);
      expect(stdout + stderr, args[0]).toContain('\\u001b[2J');
    }
  });
});
