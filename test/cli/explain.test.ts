import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import type { Explanation } from '../../src/inspect/explain/tree.ts';
import { esplane } from '../support/cli.ts';
import { framesOf } from '../support/explain.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

const FOLDER = `${CAPTURES}/faults-esn`;
const CAPTURE = `${FOLDER}/wire.pcap`;
const SAS = ['--keys', `${FOLDER}/keys`, '--nodes', `${FOLDER}/ciliumnodes.json`];

needs([shared('captures')], 'esplane explain', () => {
  it('explains a frame with the window as it stood there', () => {
    const { code, stdout } = esplane(['explain', CAPTURE, '--frame', '55', '--json', ...SAS]);
    expect(code).toBe(0);
    const explanation = JSON.parse(stdout) as Explanation;
    expect(explanation).toMatchObject({ frame: 55, time: '1795398009.548665', linkType: 1, stops: [] });
    const esp = explanation.packet.layers.find(({ id }) => id === 'esp')!;
    expect(esp.security).toMatchObject({
      verdict: 'drop',
      counter: 'XfrmInStateSeqError',
      window: { before: { top: '42' }, after: { top: '42' } },
    });
  });

  it.each([60, 80, 100, 160])('keeps to %i columns', (width) => {
    const { code, stdout } = esplane(['explain', CAPTURE, '--frame', '54', '--width', String(width), ...SAS]);
    expect(code).toBe(0);
    expect(stdout).toContain('Sequence number: 42');
    expect(stdout).toContain('Decrypted, 1102 bytes');
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(width);
  });

  it('takes digits, and a dump on standard input', () => {
    const { bytes } = framesOf(CAPTURE)[53]!;
    const digits = esplane(['explain', toHex(bytes), '--json', ...SAS]);
    const rows = toHex(bytes).match(/.{1,32}/g)!;
    const text = rows
      .map((row, i) => `${(16 * i).toString(16).padStart(4, '0')}   ${row.replace(/../g, '$& ')}\n`)
      .join('');
    const dump = esplane(['explain', '-', '--json', ...SAS], text);
    expect(digits.code).toBe(0);
    expect(JSON.parse(digits.stdout)).toMatchObject({ frame: null, time: null, linkType: 1 });
    expect(JSON.parse(dump.stdout)).toMatchObject({ packet: { bytes: toHex(bytes) } });
    const files = SAS.filter((arg) => !arg.startsWith('--'));
    for (const args of [
      [toHex(bytes, 0, 14), toHex(bytes, 14), ...files],
      ['-', ...files],
    ])
      expect(esplane(['explain', ...args, '--json'], text).stdout).toBe(digits.stdout);
    const packet = esplane(['explain', toHex(bytes, 14), '--json']);
    expect(JSON.parse(packet.stdout)).toMatchObject({ linkType: 101 });
  });

  it('shows keys to nobody who does not ask', () => {
    const [, , key = ''] = readFileSync(`${FOLDER}/keys`, 'utf8').split(' ');
    const hidden = esplane(['explain', CAPTURE, '--frame', '54', ...SAS]).stdout;
    expect(hidden).toContain('<<hidden: use --show-keys>>');
    expect(hidden).not.toContain(key.slice(-8));
    expect(esplane(['explain', CAPTURE, '--frame', '54', '--show-keys', ...SAS]).stdout).toMatch(
      /salt [0-9a-f]{8} ‖ IV/,
    );
  });

  it.each([
    [['XfrmInStateProtoError'], /^XfrmInStateProtoError {2}a counter\n[\s\S]* bad-icv: Keys differ/],
    [['replayed'], /^replayed {2}a finding[\s\S]*To do: /],
    [
      ['replay-seen', 'stale-boot-id'],
      /^replay-seen[\s\S]*Counted as: XfrmInStateSeqError[\s\S]*\nstale-boot-id /,
    ],
  ])('prints the pages of %j', (names, text) => {
    const { code, stdout, stderr } = esplane(['explain', ...names]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(text);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  describe('unusable input ends with 2 and one line', () => {
    it.each([
      [
        'a frame that is not there',
        ['explain', CAPTURE, '--frame', '86'],
        /there is no frame 86: the capture has 85/,
      ],
      ['a file without --frame', ['explain', CAPTURE], /is a capture\. Say which of its frames/],
      ['a name of no file', ['explain', 'nope.pcap'], /nope\.pcap: no such file/],
      [
        'a name with a slip',
        ['explain', 'XfrmInStateProtError'],
        /no counter, finding or drop has this name\. Did you mean XfrmInStateProtoError\?/,
      ],
      ['no packet', ['explain', SAS[1]!], /there is no packet/],
      ['no digits', ['explain', 'hello'], /packet:1: "h" is no hexadecimal digit/],
      [
        'a link type with a capture',
        ['explain', CAPTURE, '--frame', '1', '--link-type', 'ip'],
        /a capture says it itself/,
      ],
      [
        'a link type that nobody knows',
        ['explain', '00', '--link-type', 'token-ring'],
        /Give one of ethernet/,
      ],
      ['frame 0', ['explain', CAPTURE, '--frame', '0'], /from 1 up/],
    ])('%s', (_, args, message) => {
      const { code, stdout, stderr } = esplane(args);
      expect(code).toBe(2);
      expect(stdout).toBe('');
      expect(stderr).toMatch(message);
    });
  });
});
