/**
 * Captures of pings through a Linux kernel's IPsec, with the states as `ip` prints them: those kept in `pcaps/kernel`
 * anywhere, and new ones where a kernel can be run.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/base/bytes.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { frames } from '../capture/made.ts';
import { decryptFile } from '../support/decrypt.ts';
import { needs, program } from '../support/needs.ts';
import { runInUml, UML_NEEDS } from '../support/uml.ts';

const KEPT = fileURLToPath(new URL('../../pcaps/kernel/', import.meta.url));
const ETHERNET_LEN = 14;

interface Expected {
  readonly name: string;
  readonly pings: number;
  /** Number of the first packet in either direction. */
  readonly first: bigint;
}

const CAPTURES: readonly Expected[] = [
  { name: 'gcm128-esn', pings: 10, first: 0xffff_fffbn },
  { name: 'cbc-udp', pings: 6, first: 1n },
];

/** An IP packet without what a router changes. */
function unrouted(hex: string): string {
  const packet = fromHex(hex)!;
  if (packet[0]! >>> 4 === 6) ipv6.setHopLimit(packet, 0, 0);
  else {
    ipv4.setTtl(packet, 0, 0);
    ipv4.fillChecksum(packet, 0);
  }
  return toHex(packet);
}

/** Every packet opens, in the order and with the numbers in which it was sent, to what the pod has in the clear. */
async function check(folder: string, { name, pings, first }: Expected): Promise<void> {
  const lines = await decryptFile(
    `${folder}${name}.pcap`,
    { xfrmState: [`${folder}${name}.xfrm_state.txt`] },
    new NodeEngine(),
  );
  const clear = frames(readFileSync(`${folder}${name}.clear.pcap`)).map(({ frame }) =>
    frame.slice(2 * ETHERNET_LEN),
  );
  expect(clear).toHaveLength(2 * pings);
  expect(lines.map(({ verdict, seq }) => `${verdict} ${seq}`)).toEqual(
    // A request, then its reply: one number in each direction.
    clear.map((_, i) => `ok ${first + BigInt(i >> 1)}`),
  );
  expect(lines.map(({ inner }) => unrouted(inner!))).toEqual(clear.map(unrouted));
  for (const [row, , count] of readFileSync(`${folder}${name}.xfrm_stat`, 'utf8').matchAll(
    /^(\w+)\s+(\d+)$/gm,
  )) {
    expect(Number(count), row).toBe(0);
  }
}

describe('captures of a kernel that are kept', () => {
  it.each(CAPTURES)('$name', (each) => check(KEPT, each));
});

needs(
  [
    ...UML_NEEDS,
    ...['tcpdump', 'ping'].map((name) => program(name, name === 'ping' ? 'iputils-ping' : name)),
  ],
  'captures of a kernel that are made now, as pcaps/kernel/make.sh makes them',
  () => {
    const folder = `${mkdtempSync(join(tmpdir(), 'esplane-captures-'))}/`;
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    beforeAll(async () => {
      const script = readFileSync(`${KEPT}make.sh`, 'utf8');
      const { files, stderr, exit } = await runInUml(script, { timeout: 90_000 });
      expect(exit, stderr).toBe(0);
      for (const [file, bytes] of files) {
        writeFileSync(`${folder}${file}`, bytes);
        if (process.env['ESPLANE_KEEP_CAPTURES'] === '1') writeFileSync(`${KEPT}${file}`, bytes);
      }
    }, 100_000);

    it.each(CAPTURES)('$name', (each) => check(folder, each));
  },
);
