import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { esplane } from '../support/cli.ts';
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
});
