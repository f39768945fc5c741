import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import { EspPlace, espPorts } from '../../src/ipsec/esp-place.ts';

/** Bytes before the packet: it rarely begins at 0. */
const AT = 5;
const SRC4 = 'c0000201';
const DST4 = 'c0000202';
const SRC6 = '20010db8000000000000000000000001';
const DST6 = '20010db8000000000000000000000002';
const ESP = '00000003 00000001';

const word = (n: number) => n.toString(16).padStart(4, '0');
const byte = (n: number) => n.toString(16).padStart(2, '0');

/** An IPv4 packet. @param fragment flags and offset @param options in hexadecimal, a multiple of 4 bytes */
function v4(protocol: number, payload: string, { fragment = '0000', options = '', longer = 0 } = {}): string {
  const header = 20 + options.length / 2;
  const total = header + payload.replaceAll(' ', '').length / 2 + longer;
  return `${byte(0x40 + header / 4)}00${word(total)}0000${fragment}40${byte(protocol)}0000${SRC4}${DST4}${options}${payload}`;
}

function v6(next: number, payload: string, longer = 0): string {
  const length = payload.replaceAll(' ', '').length / 2 + longer;
  return `60000000${word(length)}${byte(next)}40${SRC6}${DST6}${payload}`;
}

function udp(
  sport: number,
  dport: number,
  data: string,
  length = 8 + data.replaceAll(' ', '').length / 2,
): string {
  return `${word(sport)}${word(dport)}${word(length)}0000${data}`;
}

/** Looks at a packet in the middle of other bytes, which look like ESP over UDP in IPv4 themselves. */
function look(
  packet: string,
  { ports, end = 0, behind = '' }: { ports?: number[]; end?: number; behind?: string } = {},
) {
  const bytes = hex(`4511003245${packet}${behind}${'45'.repeat(40)}`.replaceAll(' ', ''));
  const length = packet.replaceAll(' ', '').length / 2;
  const place = new EspPlace(ports);
  const kind = place.find(bytes, AT, AT + length + end);
  const from = (at: number) => at - AT;
  const { outerAt, srcAt, dstAt, protocolAt, udpAt, espAt, espEnd, ...rest } = place;
  const { version, addressLen, cut } = rest;
  return {
    kind,
    version,
    addressLen,
    cut,
    places: [outerAt, srcAt, dstAt, protocolAt, espAt, espEnd].map(from),
    udp: udpAt < 0 ? udpAt : from(udpAt),
  };
}

const body = `${ESP}${'11'.repeat(24)}`;
const bodyLen = 32;

describe('where ESP lies', () => {
  it.each<[string, string, object]>([
    [
      'in IPv4',
      v4(50, body),
      { kind: 'esp', version: 4, addressLen: 4, places: [0, 12, 16, 9, 20, 52], udp: -1 },
    ],
    [
      'in IPv4 with options',
      v4(50, body, { options: '01010101' }),
      { kind: 'esp', version: 4, addressLen: 4, places: [0, 12, 16, 9, 24, 56], udp: -1 },
    ],
    [
      'in IPv6',
      v6(50, body),
      { kind: 'esp', version: 6, addressLen: 16, places: [0, 8, 24, 6, 40, 72], udp: -1 },
    ],
    [
      'behind a header of IPv6 options',
      v6(0, `3200010400000000${body}`),
      { kind: 'esp', version: 6, addressLen: 16, places: [0, 8, 24, 40, 48, 80], udp: -1 },
    ],
    [
      'behind an atomic fragment header',
      v6(44, `3200000000000007${body}`),
      { kind: 'esp', version: 6, places: [0, 8, 24, 40, 48, 80], udp: -1 },
    ],
    ['in UDP', v4(17, udp(40_000, 4500, body)), { kind: 'esp', places: [0, 12, 16, 9, 28, 60], udp: 20 }],
    [
      'in UDP from 4500',
      v4(17, udp(4500, 40_000, body)),
      { kind: 'esp', places: [0, 12, 16, 9, 28, 60], udp: 20 },
    ],
    [
      'in UDP in IPv6',
      v6(17, udp(4500, 4500, `${body}${'22'.repeat(8)}`)),
      { kind: 'esp', places: [0, 8, 24, 6, 48, 88], udp: 40 },
    ],
    ['not where there is none: IPv4', v4(50, ''), { kind: 'esp', places: [0, 12, 16, 9, 20, 20] }],
    ['in a first fragment', v4(50, body, { fragment: '2000' }), { kind: 'fragment' }],
    ['in a later fragment', v4(50, body, { fragment: '0001' }), { kind: 'fragment' }],
    ['with DF alone set', v4(50, body, { fragment: '4000' }), { kind: 'esp' }],
    [
      'in a fragment with options',
      v4(50, body, { fragment: '2000', options: '01010101' }),
      { kind: 'fragment' },
    ],
    ['in a fragment of IPv6', v6(44, `3200000100000007${body}`), { kind: 'fragment' }],
    ['nowhere: TCP', v4(6, body), { kind: 'other', udp: -1 }],
    ['nowhere: TCP with ports of ESP', v4(6, udp(4500, 4500, body)), { kind: 'other', udp: -1 }],
    ['nowhere: other ports', v4(17, udp(4501, 4499, body)), { kind: 'other', udp: -1 }],
    ['nowhere: no whole UDP header', v4(17, '11941194 000f00'), { kind: 'other', udp: -1 }],
    ['nowhere: a UDP header alone', v4(17, udp(4500, 4500, '')), { kind: 'short', udp: 20 }],
    ['nowhere: UDP shorter than its header', v4(17, udp(4500, 4500, body, 7)), { kind: 'broken' }],
    ['nowhere: another IP version', `50${v4(50, body).slice(2)}`, { kind: 'broken' }],
    ['nowhere: a header length below 20', `44${v4(50, body).slice(2)}`, { kind: 'broken' }],
    ['nowhere: a total length below the header', `45000013${v4(50, body).slice(8)}`, { kind: 'broken' }],
    ['nowhere: half an IPv6 header', v6(50, '').slice(0, 60), { kind: 'broken' }],
    ['nowhere: half an IPv4 header', v4(50, '').slice(0, 38), { kind: 'broken' }],
    ['nowhere: no bytes', '', { kind: 'broken' }],
    ['a keepalive', v4(17, udp(4500, 4500, 'ff')), { kind: 'keepalive', udp: 20 }],
    ['IKE', v4(17, udp(4500, 4500, `00000000${'33'.repeat(28)}`)), { kind: 'ike', udp: 20 }],
  ])('%s', (_, packet, expected) => {
    expect(look(packet)).toMatchObject({ cut: false, ...expected });
  });

  it.each([
    ['IPv4', v4, 20],
    ['IPv6', v6, 40],
  ] as const)('is too short in UDP below the length of the IP header: %s', (_, packet, least) => {
    const data = (length: number) => `00000003${'11'.repeat(length - 4)}`;
    expect(look(packet(17, udp(4500, 4500, data(least)))).kind).toBe('esp');
    expect(look(packet(17, udp(4500, 4500, data(least - 1)))).kind).toBe('short');
  });

  it('counts no options of IPv6 to that length', () => {
    const data = `00000003${'11'.repeat(40 - 4)}`;
    expect(look(v6(0, `1100010400000000${udp(4500, 4500, data)}`)).kind).toBe('esp');
  });

  it('ends with the IP packet, and not with the frame', () => {
    const { places, cut } = look(v4(50, body), { end: 6 });
    expect([places.at(-1), cut]).toEqual([20 + bodyLen, false]);
    expect(look(v6(50, body), { end: 6 }).places.at(-1)).toBe(40 + bodyLen);
  });

  it('ends with the UDP datagram, and not with the IP packet', () => {
    const { places } = look(v4(17, `${udp(4500, 4500, body)}9999`));
    expect(places.at(-1)).toBe(28 + bodyLen);
  });

  it.each([
    ['IPv4', v4(50, body, { longer: 9 }), 20],
    ['IPv6', v6(50, body, 9), 40],
  ])(
    'ends with the bytes at hand, and says so, where they are fewer than the packet has: %s',
    (_, packet, header) => {
      const { kind, places, cut } = look(packet);
      expect([kind, places.at(-1), cut]).toEqual(['esp', header + bodyLen, true]);
    },
  );

  it('takes headers of a cut IPv6 packet from the bytes at hand alone', () => {
    expect(look(v6(0, '', 8), { behind: `3200010400000000${body}` }).kind).toBe('broken');
  });

  it('takes headers of IPv6 from its own length alone', () => {
    expect(look(v6(0, ''), { end: 8, behind: `3200010400000000${body}` }).kind).toBe('broken');
  });

  it('forgets the packet before', () => {
    const place = new EspPlace();
    const cut = hex(v4(17, udp(4500, 4500, body), { longer: 4 }).replaceAll(' ', ''));
    expect(place.find(cut, 0, cut.length)).toBe('esp');
    expect([place.udpAt, place.cut]).toEqual([20, true]);
    const whole = hex(v4(50, body).replaceAll(' ', ''));
    place.find(whole, 0, whole.length);
    expect([place.udpAt, place.cut]).toEqual([-1, false]);
  });

  it('says nothing before it has looked', () => {
    const { udpAt, cut, espAt, espEnd, outerAt } = new EspPlace();
    expect([udpAt, cut, espAt, espEnd, outerAt]).toEqual([-1, false, 0, 0, 0]);
  });

  it('is behind the ports that are told', () => {
    const packet = v4(17, udp(5000, 6000, body));
    expect(look(packet).kind).toBe('other');
    for (const port of [5000, 6000]) expect(look(packet, { ports: [4500, port] }).kind).toBe('esp');
    expect(look(v4(17, udp(4500, 4500, body)), { ports: [5000] }).kind).toBe('other');
    expect(look(v4(17, udp(0, 0, body)), { ports: [5000] }).kind).toBe('other');
  });
});

describe('espPorts', () => {
  it('adds 4500 to a list without it, and lets one grow that has it', () => {
    expect(espPorts()).toEqual([4500]);
    expect(espPorts([5000, 6000])).toEqual([4500, 5000, 6000]);
    const own = [6000, 4500];
    expect(espPorts(own)).toBe(own);
  });
});
