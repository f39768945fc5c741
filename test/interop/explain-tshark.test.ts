/** Every field that Wireshark knows under the same name must lie where Wireshark has it, and hold the same. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { Field, Packet } from '../../src/inspect/explain/tree.ts';
import { explainerWith, framesOf } from '../support/explain.ts';
import { CAPTURES, needs, program, shared } from '../support/needs.ts';

/** Ours, where it is not Wireshark's. */
const OTHER_NAMES: Readonly<Record<string, string>> = { 'esp.seq': 'esp.sequence' };
/** Whole layers, which Wireshark counts differently, and bytes that it takes apart further or together with others. */
const OTHER_RANGE = new Set([
  ...['eth', 'ip', 'ipv6', 'udp', 'tcp', 'icmp', 'icmpv6', 'vxlan', 'esp', 'arp', 'data'],
  ...['vxlan.flags', 'tcp.flags'],
]);

/** One field of `tshark -T json -x`: hexadecimal digits, place, length, mask. */
type Raw = readonly [hex: string, at: number, len: number, mask: number, type: number];

function isRaw(value: unknown): value is Raw {
  return Array.isArray(value) && typeof value[0] === 'string' && value.length === 5;
}

/** All fields of one packet by name. */
function rawFields(node: unknown, into = new Map<string, Raw[]>()): Map<string, Raw[]> {
  if (typeof node !== 'object' || node === null) return into;
  for (const [key, value] of Object.entries(node)) {
    if (key.endsWith('_raw')) {
      const name = key.slice(0, -4);
      const raws = isRaw(value) ? [value] : Array.isArray(value) ? value.filter(isRaw) : [];
      into.set(name, [...(into.get(name) ?? []), ...raws]);
    } else if (Array.isArray(value)) for (const each of value) rawFields(each, into);
    else rawFields(value, into);
  }
  return into;
}

function dissectAll(file: string): Map<string, Raw[]>[] {
  const run = spawnSync(
    'tshark',
    [
      ...['-n', '-r', file, '-T', 'json', '-x', '--no-duplicate-keys', '-d', 'udp.port==8472,vxlan'],
      ...[
        '-o',
        'ip.defragment:FALSE',
        '-o',
        'ipv6.defragment:FALSE',
        '-o',
        'tcp.desegment_tcp_streams:FALSE',
      ],
    ],
    { encoding: 'utf8', maxBuffer: 2 ** 28 },
  );
  expect(run.status, run.stderr).toBe(0);
  return (JSON.parse(run.stdout) as { _source: { layers: unknown } }[]).map(({ _source }) =>
    rawFields(_source.layers),
  );
}

function* flat(fields: readonly Field[]): Generator<Field> {
  for (const field of fields) {
    yield field;
    yield* flat(field.children);
  }
}

/** Does tshark say the same of a field? */
function agrees({ bytes }: Packet, { at, end, bits, value }: Field, [hex, rawAt, len, mask]: Raw): boolean {
  if (!bits) return rawAt === at && len === end - at && hex === bytes.slice(2 * at, 2 * end);
  // Of some parts of a byte it gives the whole byte and no mask.
  if (mask === 0) return hex === bytes.slice(2 * rawAt, 2 * (rawAt + len));
  let width = 0;
  for (let m = mask; m > 0; m = Math.floor(m / 2)) width += m % 2;
  return width === bits[1] && Number.parseInt(hex, 16) === value;
}

needs([program('tshark', 'tshark'), shared('captures')], 'fields as tshark reads them', () => {
  describe.each([
    ['native-v4/wire.pcap', ['eth.dst', 'ip.ttl', 'ip.checksum', 'ip.flags.df', 'esp.spi', 'esp.seq']],
    [
      'native-v4/pod1.pcap',
      ['tcp.flags.syn', 'tcp.options.mss', 'tcp.seq_raw', 'udp.length', 'icmp.seq', 'ip.dsfield.ecn'],
    ],
    ['native-v6/wire.pcap', ['ipv6.flow', 'ipv6.plen', 'esp.spi']],
    ['native-v6/pod1.pcap', ['ipv6.hlim', 'ipv6.tclass.dscp', 'icmpv6.type', 'icmpv6.echo.sequence_number']],
    ['esp-in-vxlan/wire.pcap', ['vxlan.vni', 'udp.srcport', 'esp.spi']],
    ['fragments/wire.pcap', ['ip.flags.mf', 'ip.frag_offset', 'ip.id']],
    ['faults-esn/wire.pcap', ['esp.spi']],
  ])('%s', (name, least) => {
    it('lie and read the same', async () => {
      const file = `${CAPTURES}/${name}`;
      const theirs = dissectAll(file);
      const explainer = await explainerWith();
      const compared = new Set<string>();
      for (const { bytes, info } of framesOf(file)) {
        const { packet } = explainer.explain(bytes, 0, bytes.length, info);
        const fields = theirs[info.number - 1]!;
        for (const field of flat(packet.layers)) {
          const raws = fields.get(OTHER_NAMES[field.id] ?? field.id);
          if (!raws || raws.length === 0 || OTHER_RANGE.has(field.id)) continue;
          compared.add(field.id);
          const ours = `${info.number} ${field.id} ${field.at} ${field.end} ${field.value}`;
          expect(raws.some((raw) => agrees(packet, field, raw)) ? ours : raws).toBe(ours);
        }
      }
      expect([...compared]).toEqual(expect.arrayContaining(least));
    });
  });
});
