/**
 * Nothing is timed before this: a file sent through a contender arrives as it was, and meanwhile the wire is watched.
 *
 * On the wire there must be the contender's own packets and no others, so no packet of the pods in the clear. The
 * file has a mark in every 512 bytes that must not be found in any frame. The contenders without a cipher show that the
 * search would find it: there it must be.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ended, must, sleep, until } from './network.mjs';

const PEER = fileURLToPath(new URL('./file-peer.pl', import.meta.url));
const SIZE = 2 ** 21;
const MARK_EVERY = 512;

/** @throws {Error} that says what differed */
export async function agree(pair, { wire, readable, tap = 'in' }, { from, to }) {
  // The first packets wait for addresses and compilers.
  await pair.runIn(0, 'ping', '-c', '3', '-i', '0.2', '-W', '5', '-I', from, to);
  const { file, bytes, mark } = makeFile(pair.folder);
  const taps = [];
  for (const where of [0, 1]) taps.push(await startTap(pair, where, tap));
  const got = await sendFile(pair, from, to, file);
  const dumps = [];
  for (const { stop } of taps) dumps.push(await stop());
  if (!got.equals(bytes))
    throw new Error(`a file of ${SIZE} bytes did not arrive as it was sent, but ${got.length} bytes`);
  let seen = 0;
  let marks = 0;
  for (const dump of dumps) {
    seen += await count(dump, wire);
    const others = await count(dump, `not (${wire}) and not arp and not ip6`);
    if (others > 0) throw new Error(`${others} packets on the wire are not "${wire}"`);
    if (readFileSync(dump).includes(mark)) marks++;
  }
  if (seen === 0) throw new Error(`no packet on the wire is "${wire}"`);
  if (readable !== marks > 0)
    throw new Error(readable ? 'the text is not on the wire' : 'the text can be read on the wire');
  for (const path of [file, ...dumps]) rmSync(path);
}

function makeFile(folder) {
  const bytes = randomBytes(SIZE);
  const mark = randomBytes(24);
  for (let at = 0; at < SIZE; at += MARK_EVERY) mark.copy(bytes, at);
  const file = join(folder, 'file');
  writeFileSync(file, bytes);
  return { file, bytes, mark };
}

/** Returns what came out at the other end. */
async function sendFile(pair, from, to, file) {
  const received = `${file}-received`;
  const receiver = pair.startIn(1, ['perl', PEER, 'receive', to, received], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  receiver.stdout.on('data', (bytes) => {
    said += bytes;
  });
  await until(() => said.includes('ready') || receiver.exitCode !== null, 20_000, `a listener on ${to}`);
  await pair.runIn(0, 'perl', PEER, 'send', from, to, file);
  await Promise.race([ended(receiver), sleep(20_000)]);
  const got = readFileSync(received);
  rmSync(received);
  return got;
}

/** tcpdump on one end of the wire, of whole frames. */
async function startTap(pair, where, direction) {
  const path = join(pair.folder, `wire-${where}.pcap`);
  const child = pair.startIn(
    where,
    ['tcpdump', '-i', 'v', '-Q', direction, '-s', '0', '-B', '65536', '-Z', 'root', '-U', '-w', path],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (bytes) => {
    said += bytes;
  });
  await until(() => said.includes('listening on') || child.exitCode !== null, 10_000, 'tcpdump');
  if (child.exitCode !== null) throw new Error(said);
  return {
    async stop() {
      child.kill('SIGINT');
      await ended(child);
      const dropped = /(\d+) packets? dropped by kernel/.exec(said)?.[1];
      if (dropped !== '0') throw new Error(`tcpdump missed ${dropped ?? 'an unknown number of'} packets`);
      return path;
    },
  };
}

async function count(dump, filter) {
  const text = await must('tcpdump', '-r', dump, '-nn', '-t', '-q', filter);
  return text.split('\n').filter(Boolean).length;
}
