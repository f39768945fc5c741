/**
 * What readers of captures make of a conformance test: tshark's check of ICVs, and scapy's decryption, which has no window
 * and looks at nothing behind the ICV.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { readVerdicts, type VerdictLine } from '../../src/conform/folder.ts';
import type { LedgerRow } from '../../src/conform/ledger.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { needs, program } from '../support/needs.ts';
import { SCAPY, SCAPY_PYTHON } from '../support/python.ts';
import { dissect } from '../support/tshark.ts';

const folder = tempFolder();
const at = (name: string) => join(folder, 'test', name);

/** Decrypts each frame by itself and writes what comes out. */
const SCAPY_READS = `
import json, sys
from scapy.layers.inet import IP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import raw
from scapy.utils import PcapNgReader, PcapWriter

folder = sys.argv[1]
with open(folder + "/sas.json") as file:
    sa = json.load(file)[0]
key = bytes.fromhex((sa["keys"]["key"] + sa["keys"]["salt"]).replace("0x", ""))
opener = SecurityAssociation(
    ESP, spi=sa["spi"], crypt_algo="AES-GCM", crypt_key=key, tunnel_header=IP(src=sa["src"], dst=sa["dst"])
)
out = PcapWriter(folder + "/scapy.pcap", linktype=101)
for frame in PcapNgReader(folder + "/wire.pcapng"):
    try:
        out.write(raw(opener.decrypt(IP(raw(frame.payload)))))
    except Exception:
        pass  # What it raises for frames that it refuses is of many kinds.
out.close()
`;

needs([program('tshark', 'tshark'), SCAPY], 'a conformance test', () => {
  let verdicts: readonly VerdictLine[] = [];
  beforeAll(() => {
    expect(esplane(['conform', 'make', '--suite', 'rfc4106(gcm(aes))', '-o', at('')])).toMatchObject({
      code: 0,
    });
    verdicts = readVerdicts(readFileSync(at('verdicts.jsonl'), 'utf8'), 'verdicts.jsonl');
  });

  it('has the ICVs that tshark finds', () => {
    const { rows } = dissect(
      at('wire.pcapng'),
      readFileSync(at('esp_sa'), 'utf8'),
      ['frame.number', 'esp.icv_good'],
      ['-E', 'occurrence=f'],
    );
    const found = rows.flatMap(([frame, good]) =>
      good ? [{ line: verdicts[Number(frame) - 1]!, good: good === '1' }] : [],
    );
    expect(found.length).toBeGreaterThan(300);
    // It reads no plaintext shorter than a trailer.
    const wrong = found.filter(
      ({ line, good }) => good === (line.reason === 'bad-icv') && line.behaviour !== 'text of 0 or 1 bytes',
    );
    // Without a window numbers do not matter, so a forged packet fails whatever its number is.
    expect(wrong.filter(({ line, good }) => good || !line.reason?.startsWith('replay-'))).toEqual([]);
  });

  it('tells what scapy does not do', () => {
    const run = spawnSync(SCAPY_PYTHON!, ['-c', SCAPY_READS, at('')], { encoding: 'utf8' });
    expect(run.status, run.stderr).toBe(0);
    const { stdout, code } = esplane(['conform', 'judge', at(''), '--decrypted', at('scapy.pcap'), '--json']);
    expect(code).toBe(1);
    const rows = stdout
      .trim()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LedgerRow);
    const differing = rows.filter((row) => row.differing.length > 0);
    // All that is to be accepted comes out, but it merges no ECN.
    expect(
      differing.filter(({ expected }) => expected === 'accepted').map(({ behaviour }) => behaviour),
    ).toEqual(['ECN and DSCP']);
    const causes = new Set(
      differing.map(({ expected, behaviour }) => (expected === 'XfrmInStateSeqError' ? 'window' : behaviour)),
    );
    expect([...causes].sort()).toEqual([
      'ECN and DSCP',
      'dummy',
      'no IP inside',
      'the other IP version',
      'window',
    ]);
  });
});
