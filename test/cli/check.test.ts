import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { esplane, tempFolder } from '../support/cli.ts';
import { CAPTURES } from '../support/needs.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ONE_WAY = [join(ROOT, 'pcaps/diagnose/one-way.pcap'), join(ROOT, 'pcaps/diagnose/nodes.json')];
const NATIVE = `${CAPTURES}/native-v4`;

describe('esplane check', () => {
  it('says no, as docs/check.md and the README show it', () => {
    const { stdout, code } = esplane(['check', ...ONE_WAY]);
    expect(code).toBe(1);
    const shown = readFileSync(`${ROOT}docs/check.md`, 'utf8').match(
      /begin: check -->\n\n([\s\S]*?)\n<!-- end/,
    );
    const lines = shown![1]!.trimEnd().split('\n').slice(1);
    expect(stdout.replaceAll(ROOT, '').trimEnd().split('\n')).toEqual(lines.map((line) => line.slice(4)));
    const quiet = esplane(['check', ...ONE_WAY, '-q']);
    expect(quiet.code).toBe(1);
    expect(readFileSync(`${ROOT}README.md`, 'utf8')).toContain(`-q\n    ${quiet.stdout}`);
  });

  it('says yes, with and without keys', () => {
    const files = [`${NATIVE}/wire.pcap`, `${NATIVE}/ciliumnodes.json`];
    const without = esplane(['check', ...files, '-q']);
    expect(without.code).toBe(0);
    expect(without.stdout).toMatch(/^Encrypted, if .*: all of 74 packets between nodes were in ESP/);
    const { code, stdout } = esplane(['check', ...files, '--keys', `${NATIVE}/keys`, '--json']);
    expect(code).toBe(0);
    const objects = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, { esp?: number; verdict: string }>);
    expect(objects.map((object) => Object.keys(object)[0])).toEqual([
      ...['nodes', 'nodes', 'pods', 'pods', 'summary'],
    ]);
    expect(objects.at(-1)).toMatchObject({ summary: { schema: 1, verdict: 'encrypted', esp: 74, clear: 0 } });
  });

  it('says that it cannot say', () => {
    const inPod = esplane(['check', `${NATIVE}/pod1.pcap`, `${NATIVE}/ciliumnodes.json`, '-q']);
    expect(inPod.code).toBe(3);
    expect(inPod.stdout).toContain('taken where the pods are');
    expect(esplane(['check', `${NATIVE}/pod1.pcap`, '-q']).code).toBe(3);
  });

  it('refuses what holds no capture, and says what a damaged one showed', () => {
    const none = esplane(['check', `${NATIVE}/ciliumnodes.json`, `${NATIVE}/keys`]);
    expect(none).toMatchObject({ code: 2, stdout: '' });
    expect(none.stderr).toContain('there is no capture among them');
  });

  it('judges what is asked for, and by SPI, verdict and reason chooses rows alone', () => {
    const asked = esplane(['check', ...ONE_WAY, '-q', '--ip', '10.244.1.0/24', '-c', '3']);
    expect(asked.code).toBe(1);
    expect(asked.stdout).toMatch(/^Not encrypted, of the pairs asked for, in the first 3 frames: 1 packet /);
    const other = esplane(['check', ...ONE_WAY, '-q', '--node', 'node-9']);
    expect(other.code).toBe(3);
    expect(other.stdout).toContain(
      'Left out: 6 packets in the clear between pods of different nodes, 6 in ESP.',
    );
    const times = esplane(['check', ...ONE_WAY, '--time', 'relative']);
    expect(times.stdout).toMatch(
      /In the clear\n {2}10\.244\.2\.20 > 10\.244\.1\.10: frames 3 to 18, 0\.\d+ to 0\.\d+\n/,
    );
    const [sentence] = esplane(['check', ...ONE_WAY, '-q']).stdout.split('\n');
    const rest = [
      ['--spi', '3', 1, 'Not shown: 1 pair of nodes and 2 pairs of pods, with 6 packets in the clear.'],
      ['--spi', '4', 0, 'Not shown: 2 pairs of nodes and 2 pairs of pods, with 6 packets in the clear.'],
      ['--verdict', 'unopened', 1, 'only choose the rows shown.'],
      ['--verdict', 'ok', 0, 'because no key is at hand for any'],
      ['--reason', 'bad-icv', 0, 'give keys, or states with keys.'],
    ] as const;
    for (const [option, value, shown, line] of rest) {
      const { code, stdout } = esplane(['check', ...ONE_WAY, option, value]);
      const page = stdout.replaceAll(/\s+/g, ' ');
      expect(code).toBe(1);
      expect(page).toContain(sentence);
      expect(page).toContain('The sentence counts all packets; --spi, --verdict and --reason only choose');
      expect(page).toContain(line);
      expect(page.includes('node-1 > node-2')).toBe(shown === 1);
      expect(page).not.toContain('node-2 > node-1 0 6');
    }
    const quiet = esplane(['check', ...ONE_WAY, '--spi', '4', '-q']);
    expect(quiet).toMatchObject({ code: 1, stdout: `${sentence}\n` });
    expect(esplane(['check', ...ONE_WAY, '--reason', 'nonsense'])).toMatchObject({ code: 2, stdout: '' });
  });

  it("tells what nodes dropped, by Hubble's flows, and judges as without", () => {
    const file = join(tempFolder(), 'flows.json');
    const flow = {
      verdict: 'DROPPED',
      drop_reason_desc: 'UNENCRYPTED_TRAFFIC',
      time: '2026-11-25T19:32:23Z',
    };
    writeFileSync(file, `${JSON.stringify({ flow, node_name: 'kind/node-2' })}\n`.repeat(2));
    const said =
      'node-2 dropped 2 packets in the clear, as strict mode asks for (Hubble: UNENCRYPTED_TRAFFIC, at 2026-11-25T19:32:23.000Z).';
    const { code, stdout } = esplane(['check', ...ONE_WAY, file]);
    expect(code).toBe(1);
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(`What nodes dropped - ${said} What is not known -`);
    const json = esplane(['check', ...ONE_WAY, file, '--json', '-q']).stdout;
    expect(JSON.parse(json)).toMatchObject({ summary: { verdict: 'not-encrypted', hubble: [said] } });
    const diagnosis = JSON.parse(esplane(['diagnose', ...ONE_WAY, file, '--json']).stdout) as object;
    expect(diagnosis).toMatchObject({
      findings: expect.arrayContaining([
        expect.objectContaining({
          code: 'unencrypted-dropped',
          node: 'node-2',
          count: 2,
          firstTime: '1795635143.000000',
        }),
      ]),
    });
  });

  it('names pods', () => {
    const list = join(tempFolder(), 'pods.json');
    writeFileSync(
      list,
      JSON.stringify({
        kind: 'Pod',
        metadata: { name: 'web', namespace: 'shop' },
        status: { podIP: '10.244.2.20' },
      }),
    );
    for (const pods of [['--pods', list], [list]]) {
      const { code, stdout } = esplane(['check', ...ONE_WAY, ...pods, '--pod', 'shop/web']);
      expect(code).toBe(1);
      expect(stdout).toContain('10.244.2.20 (shop/web) > 10.244.1.10 ');
    }
    expect(esplane(['check', ...ONE_WAY, '--pod', 'shop/web'])).toMatchObject({ code: 2, stdout: '' });
  });
});
