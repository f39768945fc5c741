import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EsplaneError } from '../../src/base/errors.ts';
import { SECRETS_TYPE_ESP } from '../../src/capture/pcapng.ts';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import {
  block,
  bytes,
  counting,
  type Event,
  iface,
  int,
  options,
  packet,
  pad,
  pcapHeader,
  pcapRecord,
  readAll,
  Sink,
  section,
  text,
} from './made.ts';

const META = { seconds: 1_795_394_867, nanoseconds: 120_034_567, interfaceId: 0, originalLength: 5 };
const TICKS = 1_795_394_867_120_034_567n;
const LE = 'little';
const ESPLANE = section(LE, options(LE, [4, text('esplane')]));

function write(calls: (writer: PcapngWriter) => void): Uint8Array {
  const sink = new Sink();
  const writer = new PcapngWriter(sink.write);
  calls(writer);
  writer.flush();
  return sink.file;
}

/** Through a reader into a writer. */
function convert(file: Uint8Array): Uint8Array {
  return write((writer) => {
    const reader = captureReader('made', writer);
    reader.feed(file);
    reader.end();
  });
}

describe('PcapngWriter', () => {
  it('writes the blocks of the draft, byte for byte', () => {
    const room = bytes(0xa5, counting(5), 0xa5);
    const file = write((writer) => {
      expect(writer.interface({ linkType: 1, snapLength: 0, name: 'eth0' })).toBe(0);
      expect(writer.interface({ linkType: 113, snapLength: 96 })).toBe(1);
      writer.secrets(SECRETS_TYPE_ESP, counting(5));
      writer.comment('one');
      writer.comment('zwei ü');
      writer.frame(room, 1, 6, META);
      writer.frame(room, 1, 1, { ...META, interfaceId: 1 });
    });
    expect(file).toEqual(
      bytes(
        ESPLANE,
        iface(LE, 1, options(LE, [2, text('eth0')], [9, bytes(9)])),
        iface(LE, 113, options(LE, [9, bytes(9)]), 96),
        block(LE, 10, int(LE, 4, 0x45535053), int(LE, 4, 5), pad(counting(5))),
        packet(LE, 0, TICKS, counting(5), options(LE, [1, text('one')], [1, text('zwei ü')])),
        packet(LE, 1, TICKS, counting(0), bytes(), 5),
      ),
    );
  });

  it('writes zeros for padding, although its buffer holds older bytes', () => {
    const sink = new Sink();
    const writer = new PcapngWriter(sink.write);
    writer.interface({ linkType: 1, snapLength: 0 });
    for (const fill of [0xff, 0]) {
      writer.frame(new Uint8Array(1000).fill(0xff), 0, 1000, META);
      writer.flush();
      sink.parts.length = 0;
      for (let len = 0; len < 8; len++) {
        writer.comment('x'.repeat(len));
        writer.secrets(1, new Uint8Array(len).fill(fill));
        writer.frame(new Uint8Array(len).fill(fill), 0, len, META);
      }
      writer.flush();
      const want = counting(8).reduce<Uint8Array>((all, len) => {
        const data = new Uint8Array(len).fill(fill);
        const dsb = block(LE, 10, int(LE, 4, 1), int(LE, 4, len), pad(data));
        return bytes(all, dsb, packet(LE, 0, TICKS, data, options(LE, [1, text('x'.repeat(len))]), 5));
      }, bytes());
      expect(sink.file).toEqual(want);
    }
  });

  it('makes a file of nothing but a section', () => {
    expect(write(() => {})).toEqual(ESPLANE);
  });

  it('starts interfaces anew in each section', () => {
    const file = write((writer) => {
      writer.section({ comments: ['first'], os: 'Linux', hardware: 'box' });
      writer.interface({ linkType: 1, snapLength: 0 });
      writer.section({ application: 'other' });
      expect(writer.interface({ linkType: 113, snapLength: 0 })).toBe(0);
    });
    expect(readAll(file)).toMatchObject([
      { section: { application: 'esplane', comments: ['first'], os: 'Linux', hardware: 'box' } },
      { interface: { linkType: 1 } },
      { section: { application: 'other' } },
      { interface: { linkType: 113 } },
    ]);
  });

  it('refuses a frame of an interface that it does not know', () => {
    const writer = new PcapngWriter(() => {});
    expect(() => writer.frame(counting(1), 0, 1, META)).toThrow(EsplaneError);
    writer.interface({ linkType: 1, snapLength: 0 });
    writer.section({});
    expect(() => writer.frame(counting(1), 0, 1, META)).toThrow(EsplaneError);
  });

  it('gives the same bytes for the same calls, whenever it is flushed', () => {
    const once = (flush: boolean) =>
      write((writer) => {
        writer.interface({ linkType: 1, snapLength: 0 });
        for (let i = 0; i < 500; i++) {
          writer.comment(`frame ${i}`);
          writer.frame(counting(200), 0, 1 + (i % 200), { ...META, nanoseconds: i });
          if (flush) writer.flush();
        }
      });
    expect(once(true)).toEqual(once(false));
  });
});

describe('a reader into a writer', () => {
  it('keeps sections, interfaces, comments, secrets and times', () => {
    const file = bytes(
      section(
        'big',
        options('big', [1, text('s')], [2, text('box')], [3, text('Linux')], [4, text('dumpcap')]),
      ),
      iface(
        'big',
        1,
        options(
          'big',
          [1, text('i')],
          [2, text('eth0')],
          [3, text('d')],
          [9, bytes(0x8a)],
          [12, text('o')],
          [15, text('h')],
        ),
      ),
      block('big', 10, int('big', 4, 0x544c534b), int('big', 4, 3), pad(counting(3))),
      packet(
        'big',
        0,
        1_795_394_867n * 1024n + 1n,
        counting(7),
        options('big', [1, text('c1')], [1, text('c2')]),
        99,
      ),
      section(LE, options(LE, [4, text('other')])),
      iface(LE, 276),
      packet(LE, 0, 5n, counting(1)),
    );
    const place = (e: Event) => ('frame' in e ? { ...e, byte: 0 } : e); // blocks move, all else stays
    expect(readAll(convert(file)).map(place)).toEqual(readAll(file).map(place));
    expect(convert(convert(file))).toEqual(convert(file));
  });

  it('turns pcap into pcapng', () => {
    const file = bytes(pcapHeader('big', { link: 113 }), pcapRecord('big', 7, 8, counting(9), 60));
    expect(readAll(convert(file))).toMatchObject([
      { section: { application: 'esplane' } },
      { interface: { linkType: 113, snapLength: 65535 } },
      { frame: '000102030405060708', seconds: 7, nanoseconds: 8000, originalLength: 60, linkType: 113 },
    ]);
  });

  it('brings back whatever is written', () => {
    const frame = fc.record({
      b: fc.uint8Array({ maxLength: 300 }),
      seconds: fc.nat(2 ** 34),
      nanoseconds: fc.nat(999_999_999),
      interfaceId: fc.nat(2),
      originalLength: fc.nat(70_000),
      comments: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), (list) => {
        const links = [1, 113, 276];
        const file = write((writer) => {
          for (const linkType of links) writer.interface({ linkType, snapLength: 0 });
          for (const f of list) {
            for (const c of f.comments) writer.comment(c);
            writer.frame(f.b, 0, f.b.length, f);
          }
        });
        const want = list.flatMap(({ b, comments, ...meta }) => [
          // A reader takes zero bytes at the end of a text for padding.
          ...comments.map((comment) => ({ comment: comment.replace(/\0+$/, '') })),
          {
            ...meta,
            frame: Buffer.from(b).toString('hex'),
            linkType: links[meta.interfaceId],
            hasTime: true,
          },
        ]);
        expect(readAll(file).slice(4)).toMatchObject(want);
      }),
    );
  });
});
