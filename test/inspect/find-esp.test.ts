import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex, toHex, u32 } from '../../src/base/bytes.ts';
import type { FrameInfo } from '../../src/capture/frame.ts';
import { captureReader } from '../../src/capture/reader.ts';
import {
  Carrier,
  carrierText,
  EspFinder,
  type FoundSink,
  MOST_CARRIERS,
  noFrames,
  type Quote,
} from '../../src/inspect/find-esp.ts';
import { CARRIED, ESP_PACKET, ESP_PACKET_V6, ethernet, ip, ip6 } from '../support/carried.ts';
import { needs, SHARED, shared } from '../support/needs.ts';

interface Found {
  readonly spi: number;
  readonly packet: string;
  readonly carrier: Carrier;
}

function finder(more: Partial<FoundSink> = {}) {
  const found: Found[] = [];
  const others: string[] = [];
  const quotes: Quote[] = [];
  const one = new EspFinder(
    {
      udpPorts: [4500],
      sink: {
        esp: (b, at, end, _info, carrier, place) =>
          found.push({
            spi: u32(b, place.espAt),
            packet: toHex(b, at, Math.min(end, place.espEnd)),
            carrier,
          }),
        other: (b, at, end) => others.push(toHex(b, at, end)),
        quote: (quote) => quotes.push(quote),
        ...more,
      },
    },
    noFrames(),
  );
  return { one, found, others, quotes };
}

function infoOf(linkType: number): FrameInfo {
  return {
    number: 1,
    seconds: 0,
    nanoseconds: 0,
    hasTime: true,
    linkType,
    interfaceId: 0,
    originalLength: 0,
    byte: 0,
  };
}

function look(frame: Uint8Array, linkType: number, more: Partial<FoundSink> = {}) {
  const all = finder(more);
  all.one.frame(frame, 0, frame.length, infoOf(linkType));
  return all;
}

function read(file: string) {
  const all = finder();
  const reader = captureReader(file, {
    frame: (b, at, end, info) => all.one.frame(b, at, end, info),
  });
  reader.feed(readFileSync(file));
  reader.end();
  return all;
}

describe('ESP is found in', () => {
  it.each(CARRIED.map((one) => [one.name, one] as const))('%s', (_name, one) => {
    const { one: by, found } = look(one.frame, one.linkType);
    expect(found).toHaveLength(1);
    const { spi, packet, carrier } = found[0]!;
    expect(spi).toBe(0x12345678);
    // IPv6 options that stood before AH stand before ESP then.
    if (!one.name.startsWith('AH behind options'))
      expect([toHex(ESP_PACKET), toHex(ESP_PACKET_V6)]).toContain(packet);
    expect(carrier.kinds()).toEqual(one.carriers ?? []);
    expect(carrier.vni).toBe(one.vni ?? -1);
    expect(by.totals).toMatchObject({ frames: 1, other: 0, broken: 0 });
    expect(by.totals.notRead.size).toBe(0);
  });

  it.each(CARRIED.map((one) => [one.name, one] as const))(
    '%s, cut off anywhere: no more than one, and no fault',
    (_name, one) => {
      for (let end = 0; end < one.frame.length; end++) {
        // What lies behind the end must not matter.
        const seen = [0x00, 0xff].map((fill) => {
          const b = new Uint8Array(one.frame.length + 80).fill(fill);
          b.set(one.frame.subarray(0, end), 16);
          const { one: by, found, others } = finder();
          by.frame(b, 16, 16 + end, infoOf(one.linkType));
          const { notRead, ...totals } = by.totals;
          return JSON.stringify([found.map(({ packet }) => packet), others, totals, [...notRead]]);
        });
        expect(seen[0], `cut to ${end}`).toBe(seen[1]);
      }
    },
  );

  it('AH, which is taken off, counted, and leaves options of IPv6 in place', () => {
    const [plain, behind] = ['AH', 'AH behind options in IPv6'].map((name) =>
      look(CARRIED.find((one) => one.name === name)!.frame, 1),
    );
    expect(plain!.one.totals.skippedAh).toBe(1);
    const esp = [...hex('32 00 010400000000'), ...ESP_PACKET_V6.subarray(40)];
    expect(behind!.found[0]!.packet).toBe(toHex(ip6(0, Uint8Array.from(esp))));
  });

  it('fragments of a carrier, put together', () => {
    const whole = ip(47, Uint8Array.from([...hex('0000 0800'), ...ESP_PACKET]));
    const { one, found } = finder();
    const cut = 20 + 24;
    const parts = [whole.slice(0, cut), Uint8Array.from([...whole.slice(0, 20), ...whole.slice(cut)])];
    parts.forEach((part, i) => {
      part[3] = part.length;
      part.set(i === 0 ? [0x20, 0] : [0, 3], 6);
      one.frame(part, 0, part.length, infoOf(101));
    });
    expect(found.map(({ carrier }) => carrier.kinds())).toEqual([['gre']]);
  });
});

it('any bytes, and frames that were changed: the same whatever lies behind them', () => {
  const seeds = CARRIED.map(({ frame, linkType }) => ({ frame, linkType }));
  const types = [...new Set(seeds.map(({ linkType }) => linkType))];
  const frames = fc.oneof(
    fc.record({ frame: fc.uint8Array({ maxLength: 200 }), linkType: fc.constantFrom(...types) }),
    fc
      .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(150), fc.nat(255)), { maxLength: 5 }))
      .map(([{ frame, linkType }, changes]) => {
        const b = frame.slice();
        for (const [at, value] of changes) if (at < b.length) b[at] = value;
        return { frame: b, linkType };
      }),
  );
  fc.assert(
    fc.property(frames, ({ frame, linkType }) => {
      const seen = [0x00, 0xff].map((fill) => {
        const b = new Uint8Array(frame.length + 64).fill(fill);
        b.set(frame, 32);
        const { one: by, found, others, quotes } = finder();
        by.frame(b, 32, 32 + frame.length, infoOf(linkType));
        const { notRead, ...totals } = by.totals;
        return JSON.stringify([found.map(({ packet }) => packet), others, quotes, totals, [...notRead]]);
      });
      expect(seen[0]).toBe(seen[1]);
    }),
    { numRuns: Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 2000) },
  );
});

describe('depth', () => {
  const nested = (depth: number) => {
    let packet: Uint8Array = ESP_PACKET;
    for (let i = 0; i < depth; i++) packet = ip(4, packet);
    return packet;
  };

  it('is bounded, and what lies deeper is counted', () => {
    expect(look(nested(MOST_CARRIERS), 101).found).toHaveLength(1);
    const deeper = look(nested(MOST_CARRIERS + 1), 101);
    expect(deeper.found).toHaveLength(0);
    expect([...deeper.one.totals.notRead]).toEqual([
      [`more than ${MOST_CARRIERS} carriers in one another`, 1],
    ]);
  });

  it('of headers without IP between them is bounded too', () => {
    let frame = ethernet('0800', ESP_PACKET);
    for (let i = 0; i < 40; i++) frame = ethernet('6558', frame);
    const { one, found } = look(frame, 1);
    expect(found).toHaveLength(0);
    expect(one.totals.notRead.size).toBe(1);
  });

  it('of 65,535 bytes of headers costs no more than their number', () => {
    for (const frame of [
      new Uint8Array(65_535).fill(0x81),
      Uint8Array.from({ length: 65_535 }, (_, i) => [0x88, 0x47][i % 2]!),
    ])
      for (const linkType of [1, 9, 51, 104, 105, 107, 113, 127, 192, 239, 258, 276])
        expect(look(frame, linkType).found).toHaveLength(0);
  });
});

describe('what is not looked into', () => {
  it.each([
    ['link type 220 (USB, Linux)', 220, hex('00')],
    ['link type 147', 147, hex('00')],
    ['MACsec (EtherType 0x88e5)', 1, ethernet('88e5', hex('00'))],
    ['EtherType 0x1234', 1, ethernet('1234', hex('00'))],
    ['IPComp (IP protocol 108)', 101, ip(108, hex('04000000'))],
    ['IP protocol 201', 101, ip(201, hex('00'))],
    ['L2TP (UDP port 1701)', 101, ip(17, hex('06a506a50018 0000 0002 0001 0001 ff03 0021 45000000'))],
    ['encrypted IEEE 802.11', 105, hex(`0841 0000 ${'02'.repeat(18)} 1000 ${'aa'.repeat(40)}`)],
    ['damaged or cut-off GRE', 101, ip(47, hex('b000 0800'))],
    ['GRE with routing', 101, ip(47, hex('4000 0800 00000000'))],
    ['compressed PPP', 9, hex('00fd 00')],
    [
      'TCP on port 4500, which may hold ESP (RFC 9329)',
      101,
      ip(6, hex(`1194 c350 00000000 00000000 5010 0000 0000 0000 00`)),
    ],
    ['WireGuard', 101, ip(17, hex(`ca6c ca6c 0048 0000 04000000 ${'11'.repeat(60)}`))],
  ])('has a name: %s', (name, linkType, frame) => {
    const { one, found } = look(frame, linkType);
    expect(found).toHaveLength(0);
    expect([...one.totals.notRead]).toEqual([[name, 1]]);
    expect(one.totals.other).toBe(0);
  });

  it.each([
    ['ARP', 1, ethernet('0806', new Uint8Array(28))],
    ['spanning tree', 1, ethernet('0026', hex(`424203 ${'00'.repeat(35)}`))],
    ['TCP', 101, ip(6, hex(`0050 c350 00000000 00000000 5010 0000 0000 0000 00`))],
    ['DNS', 101, ip(17, hex(`0035 c350 0028 0000 ${'04'.repeat(32)}`))],
    ['LCP', 9, hex('c021 01')],
    ['a beacon', 105, hex(`8000 ${'00'.repeat(40)}`)],
  ])('is not: %s carries nothing', (_name, linkType, frame) => {
    const { one } = look(frame, linkType);
    expect(one.totals).toMatchObject({ other: 1 });
    expect(one.totals.notRead.size).toBe(0);
  });

  it('takes a bounded number of names', () => {
    const { one } = finder();
    for (let type = 0x1000; type < 0x1400; type++) {
      const frame = ethernet(type.toString(16), hex('00'));
      one.frame(frame, 0, frame.length, infoOf(1));
    }
    expect(one.totals.notRead.size).toBeLessThanOrEqual(65);
    expect([...one.totals.notRead.values()].reduce((a, b) => a + b)).toBe(0x400);
    expect(one.totals.notRead.get('other kinds')).toBe(0x400 - 64);
  });
});

describe('ESP that an ICMP error sends back', () => {
  it('is no ESP, and is reported', () => {
    const error = ip(
      1,
      Uint8Array.from([...hex('03020000 00000000'), ...ESP_PACKET.subarray(0, 28)]),
      '192.0.2.2',
      '192.0.2.1',
    );
    const { one, found, quotes, others } = look(error, 101);
    expect(found).toHaveLength(0);
    expect(others).toHaveLength(1);
    expect(one.totals).toMatchObject({ quotes: 1, other: 0 });
    expect(quotes).toEqual([
      {
        isV6: false,
        type: 3,
        code: 2,
        from: '192.0.2.2',
        src: '192.0.2.1',
        dst: '192.0.2.2',
        spi: 0x12345678,
      },
    ]);
  });

  it('in ICMPv6, and with too little of it for an SPI', () => {
    const error = ip6(58, Uint8Array.from([...hex('04010000 00000006'), ...ESP_PACKET_V6.subarray(0, 42)]));
    const { quotes } = look(error, 101);
    expect(quotes).toMatchObject([{ isV6: true, type: 4, code: 1, spi: undefined }]);
  });

  it('is not in an echo, nor in an error that sends back something else', () => {
    const echo = ip(1, Uint8Array.from([...hex('08000000 00000000'), ...ESP_PACKET]));
    const other = ip(1, Uint8Array.from([...hex('03020000 00000000'), ...ip(17, new Uint8Array(8))]));
    for (const packet of [echo, other])
      expect(look(packet, 101).one.totals).toMatchObject({ quotes: 0, other: 1 });
  });
});

describe('packets that came out of ESP', () => {
  it('are looked into for ESP alone, and not counted', () => {
    const { one, found, others } = finder();
    const inside = (packet: Uint8Array) =>
      one.inside(packet, 0, packet.length, infoOf(101), Carrier.NONE.with('esp'));
    expect(inside(ip(17, new Uint8Array(8)))).toBe(false);
    expect(inside(ip(47, Uint8Array.from([...hex('0000 0800'), ...ESP_PACKET])))).toBe(true);
    expect(inside(ESP_PACKET)).toBe(true);
    expect(found.map(({ carrier }) => carrierText(carrier))).toEqual(['ESP, GRE', 'ESP']);
    expect(others).toEqual([]);
    expect(one.totals).toEqual(noFrames());
  });
});

needs([shared('cases')], 'the cases', () => {
  const folder = `${SHARED}cases/captures/`;
  const files = readdirSync(folder)
    .filter((name) => /^2[0-5]-/.test(name))
    .flatMap((name) => readdirSync(folder + name).map((file) => `${name}/${file}`))
    .filter((file) => file.endsWith('.pcap'));

  it.each(files)('case captures %s: the 3 ESP packets that tshark sees', (file) => {
    expect(read(folder + file).found.map(({ spi }) => spi)).toEqual([0x12345678, 0x12345678, 0x12345678]);
  });

  it('case captures 10: frames of another interface do not end the reading', () => {
    const { one, found } = read(`${folder}10-mixed-link-types/in.pcapng`);
    expect(found).toHaveLength(6);
    expect(one.totals).toMatchObject({ frames: 16, other: 10 });
  });

  it('case captures 12: ESP that comes back in an ICMP error is told apart', () => {
    const { one, found, quotes } = read(`${folder}12-icmp-protocol-unreachable/in.pcap`);
    expect(found).toHaveLength(4);
    expect(one.totals.quotes).toBe(4);
    expect(quotes[0]).toMatchObject({ from: '10.0.0.2', type: 3, code: 2, dst: '10.0.0.2', spi: 0xa });
  });

  it.each(['lt-nflog', 'lt-enc109', 'lt-ppp9'])('case texts 17: %s', (name) => {
    expect(read(`${SHARED}cases/texts/17-nflog/${name}.pcap`).found.map(({ spi }) => spi)).toEqual([3, 3, 3]);
  });
});
