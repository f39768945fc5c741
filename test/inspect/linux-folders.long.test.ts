/**
 * Captures of Linux 7.2, each with what its kernel counted: `decrypt` gives each packet the verdict, the counter and the
 * bytes that the kernel gave it, and `diagnose` sums to the kernel's `/proc/net/xfrm_stat`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NativeEngine } from '../../src/crypto/native.ts';
import { DROPS } from '../../src/ipsec/drop.ts';
import { parseXfrmStat } from '../../src/sa-text/xfrm-stat.ts';
import { decryptFile, readLines } from '../support/decrypt.ts';
import { diagnoseFile, xfrmStatOf } from '../support/diagnose.ts';
import { ADDON, needs, SHARED, shared } from '../support/needs.ts';

const LINUX = `${SHARED}captures-linux-7.2/`;
const RECEIVER = '192.168.7.2';
const FOLDERS = existsSync(LINUX)
  ? readdirSync(LINUX).filter((name) => existsSync(`${LINUX}${name}/wire.pcap`))
  : [];

const engine = () => new NativeEngine('openssl');

/** The texts that `flags.json` gives to `decrypt`. */
function statesOf(folder: string): string[] {
  const { xfrm } = JSON.parse(readFileSync(`${folder}flags.json`, 'utf8')) as { xfrm: string[] };
  return xfrm.filter((arg) => arg.startsWith('@')).map((arg) => folder + arg.slice(1));
}

/** The counter of each frame of a fuzz folder; empty for none. */
function verdictsOf(folder: string): string[] {
  const lines = readFileSync(`${folder}verdicts.jsonl`, 'utf8').trim().split('\n');
  return lines.map((line) => (JSON.parse(line) as { counter: string }).counter);
}

/** What the receiving kernel counted: its own text, or the sum of what rose for each frame. */
function countedIn(folder: string): Record<string, number> {
  if (existsSync(`${folder}n2.xfrm_stat`)) return xfrmStatOf(`${folder}n2.xfrm_stat`);
  const rows: Record<string, number> = {};
  for (const row of verdictsOf(folder)) if (row !== '') rows[row] = (rows[row] ?? 0) + 1;
  return rows;
}

needs([shared('captures-linux-7.2'), ADDON], 'captures of Linux 7.2', () => {
  it('are all here', () => {
    expect(FOLDERS.length).toBeGreaterThanOrEqual(45);
  });

  // What `decrypt` makes of IP-TFS has a test of its own.
  const opened = FOLDERS.filter((name) => !name.startsWith('iptfs-'));
  it.each(opened)('decrypt %s', async (name) => {
    const folder = `${LINUX}${name}/`;
    const all = await decryptFile(`${folder}wire.pcap`, { xfrmState: statesOf(folder) }, engine());
    // What lies in the ESP of another packet is of the frame of that one.
    const got = all.filter(({ carriers }) => !carriers?.includes('esp'));
    if (existsSync(`${folder}verdicts.jsonl`)) {
      const want = verdictsOf(folder).map((counter, i) => ({ frame: i + 1, counter }));
      expect(got.map(({ frame, counter }) => ({ frame, counter: counter ?? '' }))).toEqual(want);
      return;
    }
    const want = readLines(`${folder}expected.jsonl`);
    expect(got).toHaveLength(want.length);
    for (const [i, { frame, spi, seq, verdict, counter, inner }] of got.entries())
      expect(want[i], `frame ${frame}`).toMatchObject({ frame, spi, seq, verdict, counter, inner });
  });

  it.each(FOLDERS)('diagnose %s', async (name) => {
    const folder = `${LINUX}${name}/`;
    const given = { xfrmState: statesOf(folder), xfrmPolicy: [`${folder}n2.xfrm_policy.txt`] };
    const { receivers } = await diagnoseFile(`${folder}wire.pcap`, given, engine());
    for (const { address, counters } of receivers)
      expect(counters, address).toEqual(address === RECEIVER ? countedIn(folder) : {});
  });

  it('have the rows of 7.2 in xfrm_stat', () => {
    const rows = [...parseXfrmStat(readFileSync(`${LINUX}dir-esn/n2.xfrm_stat`, 'utf8'), 'n2').keys()];
    expect(rows).toHaveLength(32);
    for (const { counter, reason } of DROPS) if (counter !== null) expect(rows, reason).toContain(counter);
  });
});
