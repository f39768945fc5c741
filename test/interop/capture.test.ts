import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import type { FrameSink } from '../../src/capture/frame.ts';
import { PcapWriter } from '../../src/capture/pcap-writer.ts';
import { SECRETS_TYPE_ESP } from '../../src/capture/pcapng.ts';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { type Event, frames, readAll, Sink } from '../capture/made.ts';
import { CAPTURES, needs, program, shared } from '../support/needs.ts';

const ETHERNET = 1;
const RAW_IP = 101;
/** An ESP packet of SPI 3, number 1: 10.0.0.1 to 10.0.0.2, 20 + 8 + 5 bytes. */
const ESP = hex('45000021000040004032 26a9 0a000001 0a000002 00000003 00000001 0001020304');
const FRAME = new Uint8Array([...hex('020000000002 020000000001 0800'), ...ESP]);
const TIMES = [
  [1_795_394_867, 120_034_567],
  [1_795_394_867, 999_999_999],
  [0, 1],
  [4_294_967_295, 0],
] as const;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'esplane-capture-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(name: string, ...args: readonly string[]): string {
  return execFileSync(name, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function save(name: string, calls: (sink: Sink) => { flush(): void }): string {
  const sink = new Sink();
  calls(sink).flush();
  const path = join(folder, name);
  writeFileSync(path, sink.file);
  return path;
}

function load(path: string): Uint8Array {
  return new Uint8Array(readFileSync(path));
}

/** What tshark says of each frame, as rows of columns. */
function tshark(path: string, ...fields: readonly string[]): string[][] {
  const args = ['-n', '-r', path, '-T', 'fields', '-E', 'aggregator=|', ...fields.flatMap((f) => ['-e', f])];
  const lines = run('tshark', ...args).split('\n');
  return lines.slice(0, -1).map((line) => line.split('\t'));
}

function writeTimes(writer: FrameSink): void {
  for (const [seconds, nanoseconds] of TIMES) {
    const meta = { seconds, nanoseconds, interfaceId: 0, originalLength: FRAME.length };
    writer.frame(FRAME, 0, FRAME.length, { ...meta, number: 0, hasTime: true, linkType: ETHERNET, byte: 0 });
  }
}

/** The same frames, whatever file they lie in. */
function core(file: Uint8Array): unknown[] {
  return frames(file).map(({ frame, seconds, nanoseconds, originalLength, linkType }) => [
    frame,
    seconds,
    nanoseconds,
    originalLength,
    linkType,
  ]);
}

needs([program('tshark', 'tshark'), program('capinfos', 'tshark')], 'Wireshark reads what we write', () => {
  const exact = TIMES.map(([s, ns]) => [
    `${s}.${String(ns).padStart(9, '0')}`,
    '3',
    '1',
    String(FRAME.length),
  ]);
  const fields = ['frame.time_epoch', 'esp.spi', 'esp.sequence', 'frame.len'];

  it('pcapng: times to the nanosecond', () => {
    const path = save('times.pcapng', (sink) => {
      const writer = new PcapngWriter(sink.write);
      writer.interface({ linkType: ETHERNET, snapLength: 0 });
      writeTimes(writer);
      return writer;
    });
    expect(tshark(path, ...fields).map(spi)).toEqual(exact);
  });

  it.each(['us', 'ns'] as const)('pcap: times in %s', (resolution) => {
    const path = save(`times-${resolution}.pcap`, (sink) => {
      const writer = new PcapWriter(sink.write, { linkType: ETHERNET, resolution });
      writeTimes(writer);
      return writer;
    });
    const cut = exact.map(([t = '', ...rest]) => [`${t.slice(0, -3)}000`, ...rest]);
    expect(tshark(path, ...fields).map(spi)).toEqual(resolution === 'us' ? cut : exact);
  });

  it('comments, interfaces, link types, lengths on the wire and secrets', () => {
    const path = save('rich.pcapng', (sink) => {
      const writer = new PcapngWriter(sink.write);
      const eth = writer.interface({
        linkType: ETHERNET,
        snapLength: 0,
        name: 'eth0',
        description: 'outside',
      });
      const tun = writer.interface({ linkType: RAW_IP, snapLength: 0, name: 'tun0' });
      writer.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode('"IPv4","10.0.0.1","10.0.0.2","0x3"\n'));
      const meta = { seconds: 1, nanoseconds: 2, originalLength: 1500 };
      writer.comment('first');
      writer.comment('grüße, "two"');
      writer.frame(FRAME, 0, FRAME.length, { ...meta, interfaceId: eth });
      writer.frame(FRAME, 14, FRAME.length, { ...meta, interfaceId: tun });
      writer.comment('on the second interface');
      writer.frame(ESP, 0, ESP.length, { ...meta, interfaceId: tun });
      return writer;
    });
    const say = [
      'frame.interface_name',
      'frame.encap_type',
      'frame.len',
      'frame.cap_len',
      'esp.sequence',
      'frame.comment',
    ];
    expect(tshark(path, ...say)).toEqual([
      ['eth0', '1', '1500', '47', '1', 'first|grüße, "two"'],
      ['tun0', '7', '1500', '33', '1', ''],
      ['tun0', '7', '1500', '33', '1', 'on the second interface'],
    ]);
    const about = run('capinfos', '-M', path);
    expect(about).toMatch(/Number of decryption secrets in file: *1/);
    expect(about).toMatch(/Number of interfaces in file: *2/);
    expect(about).toMatch(/Capture application: *esplane/);
    expect(about).toMatch(/Description = outside/);
  });

  it('a file of several sections', () => {
    const path = save('sections.pcapng', (sink) => {
      const writer = new PcapngWriter(sink.write);
      for (const linkType of [ETHERNET, RAW_IP]) {
        writer.section({ comments: [`link type ${linkType}`] });
        writer.interface({ linkType, snapLength: 0 });
        const at = linkType === ETHERNET ? 0 : 14;
        writer.frame(FRAME, at, FRAME.length, {
          seconds: 1,
          nanoseconds: 0,
          interfaceId: 0,
          originalLength: 47 - at,
        });
      }
      return writer;
    });
    expect(tshark(path, 'frame.len', 'ip.src')).toEqual([
      ['47', '10.0.0.1'],
      ['33', '10.0.0.1'],
    ]);
  });
});

needs([program('tcpdump', 'tcpdump')], 'tcpdump reads what we write', () => {
  it('pcap and pcapng', () => {
    const writers = {
      'plain.pcap': (sink: Sink) => new PcapWriter(sink.write, { linkType: ETHERNET }),
      'plain.pcapng': (sink: Sink) => new PcapngWriter(sink.write),
    };
    for (const [name, make] of Object.entries(writers)) {
      const path = save(name, (sink) => {
        const writer = make(sink);
        writer.interface({ linkType: ETHERNET, snapLength: 0 });
        writeTimes(writer);
        return writer;
      });
      const lines = run('tcpdump', '-n', '-tt', '--nano', '-r', path).split('\n');
      expect(lines[0], name).toMatch(
        /^1795394867\.120034567 IP 10\.0\.0\.1 > 10\.0\.0\.2: ESP\(spi=0x00000003,seq=0x1\)/,
      );
      expect(lines.length, name).toBe(TIMES.length + 1);
    }
  });
});

const tools = ['tshark', 'editcap', 'mergecap'].map((name) => program(name, 'tshark'));
needs([...tools, shared('captures')], 'we read what Wireshark writes', () => {
  const original = `${CAPTURES}/native-v4/wire.pcap`;
  const other = `${CAPTURES}/native-v6/wire.pcap`;

  describe('the same frames as in the capture it was made from', () => {
    it.each([
      ['tshark', 'pcapng', (out: string) => run('tshark', '-r', original, '-w', out, '-F', 'pcapng')],
      ['tshark', 'nsecpcap', (out: string) => run('tshark', '-r', original, '-w', out, '-F', 'nsecpcap')],
      ['editcap', 'pcapng', (out: string) => run('editcap', '-F', 'pcapng', original, out)],
      ['editcap', 'pcap', (out: string) => run('editcap', '-F', 'pcap', original, out)],
    ])('%s, %s', (tool, format, make) => {
      const out = join(folder, `${tool}-${format}`);
      make(out);
      expect(core(load(out))).toEqual(core(load(original)));
    });
  });

  it('mergecap: two interfaces, all frames', () => {
    const out = join(folder, 'merged.pcapng');
    run('mergecap', '-I', 'none', '-a', '-w', out, original, other);
    expect(core(load(out))).toEqual([...core(load(original)), ...core(load(other))]);
    expect(new Set(frames(load(out)).map((f) => f.interfaceId))).toEqual(new Set([0, 1]));
  });

  it('editcap: comments and secrets', () => {
    const out = join(folder, 'comments.pcapng');
    const log = join(folder, 'keys.log');
    writeFileSync(log, 'CLIENT_RANDOM 00 00\n');
    run('editcap', '-a', '2:zweiter, ü', '-a', '3:x', '--inject-secrets', `tls,${log}`, original, out);
    const said = readAll(load(out));
    const comments = said.flatMap((e, i) => ('comment' in e ? [[e.comment, number(said[i + 1])]] : []));
    expect(comments).toEqual([
      ['zweiter, ü', 2],
      ['x', 3],
    ]);
    const [secrets] = said.filter((e) => 'secrets' in e);
    expect(secrets?.type).toBe(0x544c534b); // "TLSK"
    expect(Buffer.from(secrets?.secrets ?? '', 'hex').toString()).toBe('CLIENT_RANDOM 00 00\n');
  });

  it('a snap length: captured and original lengths differ', () => {
    const out = join(folder, 'short.pcapng');
    run('editcap', '-s', '60', '-F', 'pcapng', original, out);
    const want = frames(load(original)).map((f) => [f.frame.slice(0, 120), f.originalLength]);
    expect(frames(load(out)).map((f) => [f.frame, f.originalLength])).toEqual(want);
  });
});

/** tshark prints an SPI as 0x00000003. */
function spi([time = '', spi = '', ...rest]: readonly string[]): string[] {
  return [time, String(Number(spi)), ...rest];
}

function number(e: Event | undefined): number {
  return e && 'frame' in e ? e.number : -1;
}
