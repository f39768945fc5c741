/** `esplane decrypt -w … --wire --with-secrets`: one file for Wireshark, tried with tshark. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { captureReader } from '../../src/capture/reader.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { readLines } from '../support/decrypt.ts';
import { CAPTURES, needs, program, shared } from '../support/needs.ts';
import { dissect } from '../support/tshark.ts';

needs(
  [program('tshark', 'tshark'), program('capinfos', 'tshark'), shared('captures')],
  'a capture with its keys in tshark',
  () => {
    const folder = tempFolder();

    it.each(['native-v4', 'native-v6', 'rotation', 'cbc-sha256', 'esp-in-vxlan', 'global-key-v4'])(
      '%s',
      (name) => {
        const from = `${CAPTURES}/${name}`;
        const out = `${folder}/${name}.pcapng`;
        const sas = [
          '--xfrm-state',
          `${from}/${name === 'rotation' ? 'n2.xfrm_state.rotating.txt' : 'n2.xfrm_state.txt'}`,
        ];
        const args = ['-w', out, '--wire', '--with-secrets'];
        expect(esplane(['decrypt', `${from}/wire.pcap`, ...sas, ...args]).code).toBe(0);
        let table = '';
        let blocks = 0;
        const reader = captureReader(out, {
          frame: () => {},
          secrets: (_, data) => {
            blocks++;
            table += new TextDecoder().decode(data);
          },
        });
        reader.feed(readFileSync(out));
        reader.end();
        const about = execFileSync('capinfos', ['-M', out], { encoding: 'utf8' });
        expect(about).toMatch(new RegExp(`Number of decryption secrets in file: *${blocks}\\b`));
        // tshark 4.0 passes over the block. Its lines are those of the table that every version reads.
        const { rows } = dissect(
          out,
          table,
          ['frame.number', 'esp.icv_good', 'esp.contained_data'],
          ['-d', 'udp.port==8472,vxlan', '-Y', 'esp'],
        );
        const good = readLines(`${from}/expected.jsonl`).filter(({ verdict }) => verdict === 'ok');
        const inner = new Map(rows.map(([frame, , data = '']) => [Number(frame), data.replaceAll(':', '')]));
        for (const line of good) expect(inner.get(line.frame), `frame ${line.frame}`).toBe(line.inner);
        // 4.0 checks no ICV under ESN (Wireshark does from 4.6, with the last two fields).
        if (name === 'global-key-v4') expect(rows.filter(([, icv]) => icv === '1')).toHaveLength(good.length);
        expect(blocks).toBe(table.trim().split('\n').length);
      },
    );
  },
);
