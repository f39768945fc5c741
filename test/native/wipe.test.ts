/**
 * Key schedules are wiped when a key is removed and when its engine is closed: a process of its own makes keys that
 * nothing else in its memory holds, and this one looks for their bytes in `/proc/PID/mem`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { nativeProblem } from '../../src/crypto/native.ts';
import { ADDON, needs, ROOT } from '../support/needs.ts';

const KEEPER = fileURLToPath(new URL('key-keeper.mjs', import.meta.url));
const ADDON_FILE = fileURLToPath(new URL('../../native/build/Release/esplane.node', import.meta.url));

/** As key-keeper.mjs makes it. */
const keyBytes = (len: number, n: number) =>
  Buffer.from(Array.from({ length: len }, (_, i) => (i * 73 + n * 151 + ((i * n) ^ 0x5d)) & 255));

/** How often `needle` stands in the memory that the process can write to. */
function count(pid: number, needle: Buffer): number {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  let found = 0;
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const range = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
      if (!range) continue;
      const [from, to] = [Number.parseInt(range[1]!, 16), Number.parseInt(range[2]!, 16)];
      const bytes = Buffer.alloc(to - from);
      let got = 0;
      try {
        got = readSync(memory, bytes, 0, bytes.length, from);
      } catch {
        continue; // gone meanwhile, or a page that may not be read
      }
      for (let at = bytes.indexOf(needle); at >= 0 && at < got; at = bytes.indexOf(needle, at + 1)) found++;
    }
  } finally {
    closeSync(memory);
  }
  return found;
}

/** As `native/src/keys.h` numbers ciphers and MACs. */
const AEAD = { mac: 0, hash: '', macKey: 0, iv: 8, icv: 16 };
const SUITES = [
  { ...AEAD, name: 'AES-GCM-128', cipher: 0, cipherName: 'aes-128-gcm', key: 16 },
  { ...AEAD, name: 'AES-GCM-192', cipher: 0, cipherName: 'aes-192-gcm', key: 24 },
  { ...AEAD, name: 'AES-GCM-256', cipher: 0, cipherName: 'aes-256-gcm', key: 32 },
  { ...AEAD, name: 'AES-GMAC-128', cipher: 1, cipherName: 'aes-128-gcm', key: 16 },
  { ...AEAD, name: 'ChaCha20-Poly1305', cipher: 2, cipherName: 'chacha20-poly1305', key: 32 },
  {
    ...{ name: 'AES-CBC-128 with HMAC-SHA256', cipher: 4, cipherName: 'aes-128-cbc', key: 16 },
    ...{ mac: 1, hash: 'sha256', macKey: 32, iv: 16, icv: 16 },
  },
  { ...AEAD, name: 'AES-CCM-128', cipher: 3, cipherName: 'aes-128-ccm', key: 16 },
  {
    ...{ name: 'AES-CTR-128 with XCBC', cipher: 5, cipherName: 'aes-128-ctr', key: 16 },
    ...{ mac: 2, hash: '', macKey: 16, iv: 8, icv: 12 },
  },
];

needs([ADDON, ROOT], 'key schedules', () => {
  const engines = (['openssl', 'ipsec-mb'] as const).filter((name) => nativeProblem(name) === undefined);
  it.each(engines)(
    'are wiped by %s, when keys are removed and when the engine is closed',
    async (engine) => {
      const child: ChildProcess = spawn(
        process.execPath,
        [KEEPER, ADDON_FILE, engine === 'ipsec-mb' ? '1' : '0', JSON.stringify(SUITES)],
        { stdio: ['pipe', 'pipe', 'inherit'] },
      );
      const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
      const step = async (want: string) => {
        expect((await lines.next()).value).toBe(want);
        const found = SUITES.map(({ key }, n) => count(child.pid!, keyBytes(key, n + 1)));
        const macs = SUITES.map(({ macKey }, n) =>
          macKey > 0 ? count(child.pid!, keyBytes(macKey, n + 101)) : 0,
        );
        child.stdin!.write('\n');
        return { found, macs };
      };
      try {
        const there = await step('made');
        // The first round key of AES is the key, and ChaCha20 has no other.
        for (const [n, found] of there.found.entries()) expect(found, SUITES[n]!.name).toBeGreaterThan(0);
        const removed = await step('removed one half');
        removed.found.forEach((found, n) => {
          if (n % 2 === 0) expect(found, `${SUITES[n]!.name}, removed`).toBe(0);
          else expect(found, `${SUITES[n]!.name}, still there`).toBeGreaterThan(0);
        });
        const closed = await step('closed');
        expect(closed.found).toEqual(SUITES.map(() => 0));
        expect(closed.macs).toEqual(SUITES.map(() => 0));
      } finally {
        child.kill('SIGKILL');
      }
    },
    60_000,
  );
});
