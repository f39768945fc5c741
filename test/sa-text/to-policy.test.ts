import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { omissionLine } from '../../src/sa-text/omission.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { formatAddress, formatPrefix } from '../../src/wire/address.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 200);

const PLAIN = `src 0.0.0.0/0 dst 10.20.0.0/16 
	dir out priority 7 ptype main 
	mark 0x3e00/0xff00 
	tmpl src 10.0.0.1 dst 10.0.0.2
		proto esp spi 0x00000003 reqid 1 mode tunnel
src 0.0.0.0/0 dst 10.10.0.0/16 
	dir in priority 0 ptype main 
	mark 0xd00/0xf00 
	tmpl src 10.0.0.2 dst 10.0.0.1
		proto esp reqid 1 mode tunnel
		level use 
	tmpl src :: dst ::
		proto comp reqid 2 mode transport
src 0.0.0.0/0 dst 0.0.0.0/0 
	socket in priority 0 ptype main 
src 0.0.0.0/0 dst 10.30.0.0/16 
	dir fwd action block priority 2147483647 ptype main 
`;

/** The first of them. */
const ONE = `${PLAIN.split('\n').slice(0, 5).join('\n')}\n`;

const STATS = `src 0.0.0.0/0 dst 10.20.0.0/16 uid 0
	dir out action allow index 1 priority 7 ptype main share any flag  (0x00000000)
	lifetime config:
	  limit: soft (INF)(bytes), hard (INF)(bytes)
	  limit: soft (INF)(packets), hard (INF)(packets)
	  expire add: soft 0(sec), hard 0(sec)
	  expire use: soft 0(sec), hard 0(sec)
	lifetime current:
	  0(bytes), 0(packets)
	  add 2026-11-23 00:52:36 use -
	mark 0x3e00/0xff00 
	tmpl src 10.0.0.1 dst 10.0.0.2
		proto esp spi 0x00000003(3) reqid 1(0x00000001) mode tunnel
		level required share any 
		enc-mask ffffffff auth-mask ffffffff comp-mask ffffffff
`;

/** With addresses as text. */
function plain(text: string) {
  return readPolicies(text, 'p').policies.map(({ selector: { src, dst, ...upper }, templates, ...rest }) => ({
    src: formatPrefix(src),
    dst: formatPrefix(dst),
    ...upper,
    ...rest,
    templates: templates.map((t) => ({ ...t, src: formatAddress(t.src), dst: formatAddress(t.dst) })),
  }));
}

const FIRST = {
  src: '0.0.0.0/0',
  dst: '10.20.0.0/16',
  direction: 'out',
  socket: false,
  action: 'allow',
  priority: 7,
  mark: { value: 0x3e00, mask: 0xff00 },
  origin: 'p:1',
  templates: [
    { src: '10.0.0.1', dst: '10.0.0.2', proto: 'esp', spi: 3, reqid: 1, mode: 'tunnel', optional: false },
  ],
};

describe('readPolicies', () => {
  it('reads policies with their templates', () => {
    const [first, second, third, fourth, ...none] = plain(PLAIN);
    expect(none).toEqual([]);
    expect(first).toEqual(FIRST);
    expect(second).toMatchObject({
      direction: 'in',
      templates: [
        { src: '10.0.0.2', optional: true },
        { src: '::', proto: 'comp', reqid: 2, mode: 'transport', optional: false },
      ],
    });
    expect(second!.templates[0]).not.toHaveProperty('spi');
    expect(third).toMatchObject({ socket: true, direction: 'in', templates: [] });
    expect(fourth).toMatchObject({ direction: 'fwd', action: 'block', priority: 2147483647 });
  });

  it('reads the same from ip -s, and from pasted text', () => {
    expect(plain(STATS)).toEqual([FIRST]);
    expect(plain(STATS.replaceAll('\t', '  ').replaceAll('\n', '\r\n'))).toEqual([FIRST]);
    expect(plain(STATS.replace(/^\s+/gm, ''))).toEqual([FIRST]);
    expect(plain(STATS.trimEnd().replaceAll('\n', '\\'))).toEqual([FIRST]);
  });

  it('passes over states and prompts', () => {
    const state = 'src 10.0.0.1 dst 10.0.0.2\n\tproto esp spi 0x00000003 reqid 1 mode tunnel\n\tdir in\n';
    expect(plain(`# ip xfrm policy\n${STATS}$ ip xfrm state\n\tdir in\n${state}`)).toEqual([
      { ...FIRST, origin: 'p:2' },
    ]);
    expect(plain('')).toEqual([]);
  });

  it.each([
    ['another text', 'hello\nworld\n', /^p:1: neither `ip xfrm` text/],
    ['a bad prefix', ONE.replace('10.20.0.0/16', '10.20.0.0/33'), /^p:1: .*its selector cannot be read/],
    ['no direction', 'src 0.0.0.0/0 dst 0.0.0.0/0\n\tmark 1/1\n', /^p:1: .*it has no line `dir …`/],
    ['a strange direction', ONE.replace('dir out', 'dir up'), /^p:1: .*it has no line `dir …`/],
    ['a bad priority', ONE.replace('priority 7', 'priority x'), /^p:1: .*its field priority cannot be read/],
    [
      'a bad template',
      ONE.replace('tmpl src 10.0.0.1', 'tmpl src 10.0.0'),
      /^p:1: .*a template of it cannot/,
    ],
    ['a bad SPI', ONE.replace('0x00000003', '0x000000031'), /^p:1: .*its field spi cannot be read/],
  ])('of %s says what is wrong, and leaves the others as they are', (_, text, message) => {
    expect(() => readPolicies(text, 'p')).toThrow(message);
    expect(() => readPolicies(text, 'p')).toThrow(InputError);
    const { policies, omitted } = readPolicies(`${text}${STATS}`, 'p');
    expect(policies).toHaveLength(1);
    expect(text.startsWith('hello') || omitted.some((one) => message.test(omissionLine(one)))).toBe(true);
  });

  it('reads protocol, ports, ICMP types and interface, by which the kernel matches too', () => {
    const head = (text: string, more = '') =>
      readPolicies(`${text}\n\tdir out priority 1 \n${more}`, 'p').policies[0]!;
    expect(head('src 10.0.0.0/8 dst 10.1.0.0/16 proto tcp sport 80 dport 443 ').selector).toMatchObject({
      proto: 6,
      sport: 80,
      dport: 443,
    });
    expect(head('src ::/0 dst ::/0 proto ipv6-icmp type 135 code 0 ').selector).toMatchObject({
      proto: 58,
      sport: 135,
      dport: 0,
    });
    expect(head('src 10.0.0.0/8 dst 10.1.0.0/16 proto gre key 65538 ').selector).toMatchObject({
      proto: 47,
      sport: 1,
      dport: 2,
    });
    expect(head('src 10.0.0.0/8 dst 10.1.0.0/16 dev eth0 ', '\tif_id 0x2a\n')).toMatchObject({
      dev: 'eth0',
      ifId: 42,
    });
  });

  it('reads a text that was damaged, or refuses it with an InputError and nothing else', () => {
    let omitted = 0;
    const text = PLAIN + STATS;
    fc.assert(
      fc.property(
        fc.nat(text.length),
        fc.nat(12),
        fc.string({ unit: 'binary', maxLength: 4 }),
        (at, cut, put) => {
          try {
            omitted += readPolicies(text.slice(0, at) + put + text.slice(at + cut), 'p').omitted.length;
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
          }
        },
      ),
      { numRuns: RUNS },
    );
    expect(omitted).toBeGreaterThan(0);
  });
});

needs([shared('captures')], 'readPolicies on the texts of a real kernel', () => {
  const files = readdirSync(`${CAPTURES}`, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('xfrm_policy.txt'))
    .sort();

  it.each(files)('%s', (file) => {
    const text = readFileSync(`${CAPTURES}/${file}`, 'utf8');
    const policies = readPolicies(text, file).policies;
    const all = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]!);
    expect(policies.length).toBeGreaterThan(0);
    expect(policies.map(({ selector }) => formatPrefix(selector.src))).toEqual(all(/^src (\S+)/gm));
    expect(policies.map(({ direction }) => direction)).toEqual(all(/^\tdir (\w+)/gm));
    expect(policies.flatMap(({ templates }) => templates.map(({ dst }) => formatAddress(dst)))).toEqual(
      all(/tmpl src \S+ dst (\S+)/g),
    );
  });
});
