import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseXfrm } from '../../src/sa-text/xfrm-parse.ts';
import type { XfrmEvent, XfrmPolicy, XfrmState, XfrmTree } from '../../src/sa-text/xfrm-tree.ts';
import { arbitraryEvent, arbitraryPolicy, arbitraryState } from '../support/arbitrary-xfrm.ts';
import { printEvent, printPolicy, printState, tidy } from '../support/iproute2.ts';
import { CAPTURES, CASES, CASES_NEED, needs, SHARED, shared } from '../support/needs.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 50);

/** All that was read, as iproute2 prints it, in its order. */
function printed({ states, policies, events }: XfrmTree): string {
  const lineOf = ({ origin }: { readonly origin: string }) => Number(origin.split(':').at(-1));
  return [
    ...states.map((one) => [lineOf(one), printState(one)] as const),
    ...policies.map((one) => [lineOf(one), printPolicy(one)] as const),
    ...events.map((one) => [lineOf(one), printEvent(one)] as const),
  ]
    .sort(([a], [b]) => a - b)
    .map(([, text]) => text)
    .join('\n');
}

/** Without what depends on where a state stands in a text. */
function plain<T extends XfrmState | XfrmPolicy | XfrmEvent>(one: T): unknown {
  return JSON.parse(
    JSON.stringify(one, (name, value) => (['line', 'origin', 'text'].includes(name) ? undefined : value)),
  );
}

/** Of iproute2's lines: its first is not indented, the others are. */
const nested = (text: string) => text.split('\n').join('\n\t');

describe('what iproute2 prints', () => {
  it('of a state is read and printed again without loss', () => {
    fc.assert(
      fc.property(arbitraryState('x:1'), (state) => {
        const tree = parseXfrm(nested(printState(state)), 'x');
        expect(tree.unread).toEqual([]);
        expect(tree.states.map(plain)).toEqual([plain(state)]);
      }),
      { numRuns: RUNS },
    );
  });

  it('of a policy is read and printed again without loss', () => {
    fc.assert(
      fc.property(arbitraryPolicy('x:1'), (policy) => {
        const tree = parseXfrm(nested(printPolicy(policy)), 'x');
        expect(tree.unread).toEqual([]);
        expect(tree.policies.map(plain)).toEqual([plain(policy)]);
      }),
      { numRuns: RUNS },
    );
  });

  it('of an event is read and printed again without loss', () => {
    fc.assert(
      fc.property(arbitraryEvent('x:1'), (event) => {
        const name = event.event[0]!.toUpperCase() + event.event.slice(1);
        const text = printEvent(event.text === '' ? { ...event, text: name } : event);
        const tree = parseXfrm(nested(text), 'x');
        expect(tree.unread).toEqual([]);
        expect(tree.events.map(plain)).toEqual([plain(event)]);
      }),
      { numRuns: RUNS },
    );
  });

  it('many times over and in any order is read without loss, also unindented', () => {
    const one = fc.oneof(arbitraryState('x:1').map(printState), arbitraryPolicy('x:1').map(printPolicy));
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 6 }), fc.boolean(), (texts, isNested) => {
        const text = texts.map((each) => (isNested ? nested(each) : each)).join('\n');
        const tree = parseXfrm(text, 'x');
        expect(tree.unread).toEqual([]);
        expect(printed(tree)).toBe(tidy(text));
      }),
      { numRuns: RUNS },
    );
  });
});

/** Texts of `ip xfrm` below a folder. */
function textsIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /(?:state|policy|monitor)[\w.]*\.txt$/.test(file) && !file.includes('count'))
    .map((file) => `${folder}/${file}`)
    .sort();
}

needs([shared('captures')], 'the texts of real kernels', () => {
  const files = [CAPTURES, `${SHARED}captures-linux-7.2`].flatMap((folder) => {
    try {
      return textsIn(folder);
    } catch {
      return [];
    }
  });

  it('are read and printed again without loss', () => {
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      const text = readFileSync(file, 'utf8');
      if (text.trim() === '') continue;
      const tree = parseXfrm(text, file);
      expect([file, tree.unread]).toEqual([file, []]);
      expect(printed(tree)).toBe(tidy(text));
    }
  });
});

const STATE = `src 10.0.0.1 dst 10.0.0.2
	proto esp spi 0x00000003 reqid 1 mode tunnel
	replay-window 0 flag esn
	aead rfc4106(gcm(aes)) 0x4142434445464748494a4b4c4d4e4f5001020304 128
	anti-replay esn context:
	 seq-hi 0x0, seq 0x5, oseq-hi 0x0, oseq 0x0
	 replay_window 64, bitmap-length 2
	 0000001f 00000000 
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
	dir in
`;
const POLICY = `src 10.0.0.0/24 dst 10.1.0.0/24 proto tcp dport 80 
	dir out priority 7 ptype main 
	tmpl src 10.9.0.1 dst 10.9.0.2
		proto esp reqid 1 mode tunnel
`;

describe('texts as people have them', () => {
  const expected = [plain(parseXfrm(STATE, 'x').states[0]!), plain(parseXfrm(POLICY, 'x').policies[0]!)];
  const each = (edit: (line: string) => string) => (STATE + POLICY).split('\n').map(edit).join('\n');

  it.each<[string, string]>([
    ['with Windows line ends', each((line) => `${line}\r`)],
    ['with all indentation lost', each((line) => line.trim())],
    ['with dots for tabs', each((line) => line.replace(/^\t+/, '.'))],
    ['with a byte order mark', `\ufeff${STATE}${POLICY}`],
    ['quoted in mail', each((line) => `> ${line}`)],
    ['quoted twice', each((line) => `>> ${line}`)],
    ['in bold', each((line) => (line.startsWith('src') ? `**${line.trim()}**` : line))],
    ['with bold addresses', each((line) => line.replace(/^src (\S+)/, 'src **$1**'))],
    ['in code of Markdown', each((line) => (line === '' ? '```' : line))],
    ['with the underscore of italics', `_${STATE}${POLICY}`],
    ['of ip -o', `${STATE.trim().replaceAll('\n', '\\')}\n${POLICY.trim().replaceAll('\n', '\\')}\n`],
    [
      'on one line each',
      `${STATE.trim().replaceAll(/\s*\n\s*/g, ' ')}\n${POLICY.trim().replaceAll(/\s*\n\s*/g, ' ')}\n`,
    ],
    [
      'between prompts and headlines',
      `root@n1:~# ip xfrm state\n${STATE}== policies ==\n${POLICY}root@n1:~#\n`,
    ],
    ['of several namespaces', `[nsid current]${STATE}[nsid 3]${POLICY}`],
    [
      'with times',
      `[2026-11-29T19:40:18.569024] ${STATE}Timestamp: Sun Nov 29 19:40:18 2026 1 usec\n${POLICY}`,
    ],
  ])('%s', (_, text) => {
    const { states, policies, unread } = parseXfrm(text, 'x');
    const [state, policy] = [...states, ...policies].map(({ time: _t, nsid: _n, ...rest }) =>
      plain(rest as XfrmState),
    );
    expect([state, policy]).toEqual(expected);
    expect(unread).toEqual([]);
  });

  it('say when and where', () => {
    const { states, policies } = parseXfrm(
      `[2026-11-29T19:40:18.5] [nsid 3]${STATE}Timestamp: today 1 usec\n${POLICY}`,
      'x',
    );
    expect(states[0]).toMatchObject({ time: '2026-11-29T19:40:18.5', nsid: '3' });
    expect(policies[0]).toMatchObject({ time: 'today 1 usec' });
  });

  it.each([
    ['<<Keys hidden>>'],
    ['[hash:63e8cdc1c7ff5cd8e0bbd83a9cfd1bba6ca50a8b6e8dc77e2ee6d3f3b43c0c21]'],
    ['[redacted]'],
    ['<snip>'],
    ['0xXXXX'],
    ['0x****'],
    ['0x4142434445464748…'],
    ['REDACTED KEY'],
  ])('with %s in the place of the key', (shown) => {
    const text = STATE.replace(/0x4142\w+/, shown);
    const [algorithm] = parseXfrm(text, 'x').states[0]!.algorithms;
    expect(algorithm).toMatchObject({ name: 'rfc4106(gcm(aes))', icvBits: 128 });
    expect(algorithm).not.toHaveProperty('key');
    if (shown.startsWith('[hash')) expect(algorithm).toHaveProperty('keyHash', shown.slice(6, -1));
    expect(parseXfrm(text, 'x').unread).toEqual([]);
  });

  it('name what is not understood, and where a value cannot be read', () => {
    const { states, unread } = parseXfrm(`${STATE}\tquantum-shield level 9\n\tif_id many\n\ttfcpad 7\n`, 'x');
    expect(unread).toEqual([{ line: 11, word: 'quantum-shield' }]);
    expect(states[0]).toMatchObject({ ifId: null, tfcPad: 7, damaged: [{ line: 12, field: 'if_id' }] });
  });
});

needs([CASES_NEED], 'texts of the cases', () => {
  const read = (file: string) => parseXfrm(readFileSync(`${CASES}texts/${file}`, 'utf8'), 'x');

  it('case texts 11: without indentation', () => {
    const { states, policies, unread } = read('11-unindented-paste/unindented.txt');
    expect(states).toMatchObject([
      { src: '2001:db8:1::45', spi: 0x32af1f6d, flags: ['af-unspec', 'esn'], direction: 'in' },
    ]);
    expect(states[0]!.antiReplay).toMatchObject({ seq: 5, window: 128 });
    expect(policies).toMatchObject([{ direction: 'out', templates: [{ src: '10.9.0.1', reqid: 16389 }] }]);
    expect(unread).toEqual([]);
  });

  it('case texts 11: with dots for tabs, one policy a line, and an underscore before the first', () => {
    const { states, unread } = read('11-unindented-paste/ctf.txt');
    expect(states).toMatchObject([
      { spi: 0xfab21777, flags: ['20'], algorithms: [{ type: 'auth' }, { type: 'enc' }] },
    ]);
    const lines = read('11-unindented-paste/oneline-pol.txt');
    expect(lines.policies).toMatchObject([
      { direction: 'out', templates: [{ dst: '10.2.1.2' }] },
      { direction: 'fwd' },
    ]);
    const pasted = read('11-unindented-paste/618.txt');
    expect(pasted.policies).toMatchObject([{ direction: 'out', ifId: 1 }, { direction: 'fwd' }]);
    expect([unread, lines.unread, pasted.unread]).toEqual([[], [], []]);
  });

  it('case texts 13: events say which SA and packet they are of', () => {
    const { events, unread } = read('13-monitor-events/mon.txt');
    const id = { dst: '10.1.0.1', proto: 'esp', spi: 0xc000001b };
    expect(events).toMatchObject([
      { event: 'expired', hard: true, state: { spi: 0xc000001b } },
      { event: 'updated', state: { spi: 0xc000001b } },
      { event: 'deleted', state: { spi: 0xc000001b } },
      {
        event: 'acquire',
        selector: { src: '10.1.1.1/32', proto: 'icmp', type: 8, code: 0 },
        policy: { selector: { dst: '10.1.0.0/16' }, templates: [{ reqid: 1 }] },
      },
      { event: 'async', id: { ...id, src: '10.1.1.1', reqid: 1 } },
      { event: 'mapping', id: { ...id, reqid: 0x101010a }, mapping: { to: '0.0.0.0:61234' } },
      { event: 'flushed' },
      { event: 'flushed' },
    ]);
    expect(unread).toEqual([]);
  });

  it.each([
    ['ts', { time: '2026-11-29T19:40:18.569024' }],
    ['nsid', { nsid: 'current' }],
  ])('case texts 13: %s stands before a state', (name, said) => {
    const { states, passed, unread } = read(`13-monitor-events/mon-${name}.txt`);
    expect(states).toMatchObject([{ spi: 3, antiReplay: { oseqHi: 2, window: 1024 }, ...said }]);
    expect([passed, unread]).toEqual([[], []]);
  });
});

it('takes no word of the next line for a mask that is cut off', () => {
  const cut = `${POLICY}\t\tlevel required share any \n\t\tenc-mask ffffffff auth-mask ffffffff comp-mask\n\tif_id 0x2a\n`;
  expect(parseXfrm(cut, 'x').policies[0]).toMatchObject({ ifId: 0x2a, templates: [{ masks: { comp: '' } }] });
});

it('counts nothing of a line of counts that is not understood', () => {
  const whole = '\t SPD buckets: count 7 Max 1048576\n';
  const { counts, unread } = parseXfrm(`\t SPD count 7 Max 1048576\n${whole}`, 'x');
  expect(counts).toEqual({ 'SPD buckets': 7, 'SPD max': 1048576 });
  expect(unread).toEqual([{ line: 1, word: 'SPD' }]);
});

it('refuses an entry that no kernel prints, and keeps a bounded number of what it does not understand', () => {
  expect(() => parseXfrm(`${STATE}${'\tx\n'.repeat(11_000)}`, 'x')).toThrow(/more than 10000 words/);
  const odd = `${STATE}${'\tx\n'.repeat(900)}`;
  expect(parseXfrm(odd.repeat(20), 'x').unread).toHaveLength(10_000);
});

// Nothing is lost in silence: whatever is done to a text, each of its words is in a field or in what was not read.
it('reads texts that were changed anywhere without a fault, and without losing an entry', () => {
  const heads = (text: string) => text.split('\n').filter((line) => /^src \S+ dst \S/.test(line)).length;
  const text = STATE + POLICY + STATE;
  fc.assert(
    fc.property(
      fc.nat(text.length),
      fc.nat(20),
      fc.string({ unit: 'binary', maxLength: 5 }),
      (at, cut, put) => {
        const changed = text.slice(0, at) + put + text.slice(at + cut);
        if (heads(changed) === 0) return;
        const { states, policies } = parseXfrm(changed, 'x');
        expect(states.length + policies.length).toBeGreaterThanOrEqual(heads(changed));
      },
    ),
    { numRuns: RUNS },
  );
});
