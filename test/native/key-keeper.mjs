/**
 * Gives keys to an engine and keeps no copy: `key-keeper.mjs ADDON IPSEC-MB SUITES`. Says each step in a line and
 * waits for one, so that another process can look at its memory.
 */
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [file, ipsecMb, suites] = process.argv.slice(2);
const addon = createRequire(import.meta.url)(file);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = async (line) => {
  process.stdout.write(`${line}\n`);
  await answers.next();
};

/** By arithmetic, straight into its place: nothing else in memory shall hold it. */
function keyBytes(len, n) {
  // With a buffer made first: small arrays lie in the heap of V8, which would move and copy them.
  const key = new Uint8Array(new ArrayBuffer(len));
  for (let i = 0; i < len; i++) key[i] = (i * 73 + n * 151 + ((i * n) ^ 0x5d)) & 255;
  return key;
}

const engine = addon.cipherOpen(Number(ipsecMb));
const slab = new Uint8Array(4096);
const tables = new Uint8Array(43);
const words = new Uint32Array(tables.buffer, 0, 3);
const handles = JSON.parse(suites).map((suite, n) => {
  const key = keyBytes(suite.key, n + 1);
  const macKey = keyBytes(suite.macKey, n + 101);
  const handle = addon.cipherAddKey(
    engine,
    suite.cipher,
    suite.cipherName,
    suite.mac,
    suite.hash,
    key,
    macKey,
    suite.iv,
    suite.icv,
    suite.iv > 0 && suite.cipher === 4 ? suite.iv : 1,
  );
  key.fill(0);
  macKey.fill(0);
  if (handle < 0) throw new Error(`${suite.name}: ${handle}`);
  // At work once in each direction: what that leaves on the stack counts too.
  words.set([64, 1424, handle]);
  tables.set([8, suite.icv, 9], 40);
  addon.cipherSeal(engine, slab, tables, 1);
  addon.cipherOpenRows(engine, slab, tables, 1);
  if (tables[42] !== 0) throw new Error(`${suite.name}: what was sealed does not open`);
  return handle;
});
await say('made');
for (const [n, handle] of handles.entries()) if (n % 2 === 0) addon.cipherRemoveKey(engine, handle);
await say('removed one half');
addon.cipherClose(engine);
await say('closed');
