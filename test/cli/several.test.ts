/** Captures of both ends, as a simulated network made them. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { FrameInfo } from '../../src/capture/frame.ts';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { sender } from '../support/diagnose.ts';
import { pcapOf } from '../support/pcap.ts';
import { address, ipv4Packet, saConfig } from '../support/sa.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let folder = '';
beforeAll(() => {
  folder = tempFolder();
});

/** The captures of node-1 and node-2 of a scenario. */
function run(scenario: string): [string, string] {
  const out = join(folder, scenario);
  expect(esplane(['run', `examples/${scenario}.yaml`, '-w', out]).code).toBe(0);
  return [join(out, 'node-1.pcapng'), join(out, 'node-2.pcapng')];
}

/** The same capture by a clock that is ahead, with names of its own, and what of its frames is kept. */
function shifted(file: string, name: string, ahead: number, keep: (info: FrameInfo) => boolean = () => true) {
  const parts: Uint8Array[] = [];
  const writer = new PcapngWriter((b) => parts.push(b.slice()));
  const reader = captureReader(file, {
    section: (section) => writer.section(section),
    interface: (description) => writer.interface(description),
    secrets: (type, data) => writer.secrets(type, data),
    frame: (b, at, end, info) => {
      if (keep(info)) writer.frame(b, at, end, { ...info, seconds: info.seconds + ahead });
    },
  });
  reader.feed(readFileSync(file));
  reader.end();
  writer.flush();
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

interface Diagnosis {
  readonly findings: {
    code: string;
    summary: string;
    count: number;
    basis: string;
    spi: number | null;
    frames: number[];
    files: string[];
  }[];
  readonly places: { files: string[]; node: string | null; basis: string | null }[];
  readonly clocks: { ahead: number; packets: number }[];
  readonly ways: {
    from: string;
    to: string;
    basis: string | null;
    both: number;
    lost: number;
    lostLonger: number;
  }[];
}

function diagnose(...args: string[]): Diagnosis {
  const { stdout, code, stderr } = esplane(['diagnose', ...args, '--json']);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Diagnosis;
}

const codes = ({ findings }: Diagnosis) => [...new Set(findings.map(({ code }) => code))].sort();

describe('captures of both ends', () => {
  it('show a hole for long packets, whatever the clocks and the files’ names say', () => {
    const [one, two] = run('mtu-hole');
    const told = diagnose(one, two);
    expect(told.places.map(({ node, basis }) => [node, basis])).toEqual([
      ['node-1', 'told'],
      ['node-2', 'told'],
    ]);
    expect(told.findings[0]).toMatchObject({ code: 'mtu-hole', count: 125 });
    expect(told.findings[0]!.summary).toMatch(
      /125 packets of 1,432 bytes and more left node-1 and never came to node-2/,
    );
    const late = shifted(two, 'late.pcapng', 7200);
    const ahead = diagnose(shifted(one, 'early.pcapng', 0), late);
    expect(ahead.clocks[0]!.ahead).toBeCloseTo(7200, 3);
    expect(ahead.places.map(({ node, basis }) => [node, basis])).toEqual([
      ['node-1', 'assumed'],
      ['node-2', 'assumed'],
    ]);
    expect(ahead.findings.filter(({ code }) => code === 'mtu-hole').map(({ count }) => count)).toEqual(
      told.findings.filter(({ code }) => code === 'mtu-hole').map(({ count }) => count),
    );
    const option = diagnose('--at', 'node-2=late.pcapng', shifted(one, 'x.pcapng', 0), late);
    expect(option.places.map(({ node, basis }) => [node, basis])).toEqual([
      ['node-1', 'assumed'],
      ['node-2', 'told'],
    ]);
  });

  it('show loss on a bad line, and what came twice; what one end alone has is no loss', () => {
    const [one, two] = run('bad-line');
    const whole = diagnose(one, two);
    expect(codes(whole)).toEqual([
      ...['altered', 'duplicated-on-the-way', 'lost-on-the-way', 'missing-numbers', 'replayed'],
    ]);
    const short = shifted(two, 'short.pcapng', 0, ({ number }) => number > 300 && number <= 600);
    const some = diagnose('--at', 'node-2=short.pcapng', one, short);
    const [way] = some.ways.filter(({ to }) => to === 'node-2');
    expect(way!.lost).toBeLessThan(20);
    expect(way!.both).toBeGreaterThan(250);
  });

  it('find nothing where nothing is wrong, and count no packet twice', () => {
    const files = run('rotation');
    const alone = files.map((file) => esplane(['decrypt', file, '-q']).stderr);
    expect(alone[0]).toMatch(/ 0 dropped/);
    const { stderr } = esplane(['decrypt', ...files, '-q']);
    expect(stderr).toMatch(/ESP packets: [\d,]+ decrypted, 0 dropped\n/);
    expect(stderr).toContain('and count there');
    expect(codes(diagnose(...files))).toEqual([]);
    expect(esplane(['check', ...files, '-q'])).toMatchObject({ code: 0 });
  });

  it('with a wrong --at are refused', () => {
    const [one, two] = run('mtu-hole');
    expect(esplane(['diagnose', one, two, '--at', 'node-1=nope.pcap'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nope.pcap is none of the captures'),
    });
    expect(esplane(['diagnose', one, two, '--at', 'node-1']).stderr).toContain('is not NODE=FILE');
  });

  describe('in the clear', () => {
    const NODES = `${ROOT}pcaps/diagnose/nodes.json`;
    const ends = { src: address('10.244.1.10'), dst: address('10.244.2.20'), ttl: 63 };
    const UDP = 17;
    const TCP = 6;
    const packet = (id: number, protocol: number, len = 100) => ipv4Packet(len, { ...ends, id, protocol });
    const seq = <T>(n: number, make: (i: number) => T) => Array.from({ length: n }, (_, i) => make(i));

    /** Both captures, of the nodes that they are called after: the second one is a millisecond late. */
    function lossOf(
      one: readonly Uint8Array[],
      two: readonly (Uint8Array | undefined)[],
    ): Diagnosis['findings'] {
      const at = mkdtempSync(join(folder, 'clear-'));
      const files = [one, two].map((frames, i) => {
        const file = join(at, `node-${i + 1}.pcap`);
        writeFileSync(file, pcapOf(frames, LINK_RAW, i * 1e6));
        return file;
      });
      return diagnose(...files, NODES).findings.filter(({ code }) => code === 'lost-on-the-way');
    }

    it('loss is said, of each protocol that both places have', () => {
      const sent = seq(60, (i) => packet(i + 1, i % 2 === 0 ? UDP : TCP));
      const came = sent.map((frame, i) => ([20, 40, 41].includes(i) ? undefined : frame));
      expect(lossOf(sent, came)).toMatchObject([
        {
          summary:
            '10.244.1.10 > 10.244.2.20, UDP in the clear: 2 of 30 packets left node-1 and never came to node-2, as far as its capture shows.',
          count: 2,
          basis: 'seen',
          frames: [21, 41],
          files: ['node-1.pcap', 'node-1.pcap'].map((name) => expect.stringContaining(name)),
        },
        { count: 1, frames: [42], spi: null },
      ]);
      // Of what the other place has none of, it may not have been asked.
      expect(
        lossOf(
          sent,
          came.map((frame, i) => (i % 2 === 0 ? frame : undefined)),
        ),
      ).toMatchObject([{ count: 2 }]);
      expect(lossOf(sent, sent)).toEqual([]);
    });

    it('is not said of what may have been cut into pieces, or of copies of what ESP carries', () => {
      const sent = seq(60, (i) => packet(i + 1, TCP, i === 30 ? 9000 : 100));
      const cut = sent.map((frame, i) => (i === 30 ? packet(500, TCP, 1400) : frame));
      expect(lossOf(sent, cut)).toEqual([]);
      const send = sender(saConfig({ src: address('10.244.1.1'), dst: address('10.244.2.1') }));
      const both = seq(60, (i) => (i % 2 === 0 ? packet(i + 1, UDP) : send(packet(i, UDP))));
      const lost = both.map((frame, i) => (i === 30 || i === 31 ? undefined : frame));
      expect(lossOf(both, lost)).toMatchObject([{ count: 1, spi: 3 }]);
    });
  });
});
