import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { InputError } from '../../src/base/errors.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { writeScapy } from '../../src/sa-text/scapy.ts';
import { parseXfrmState, readStates } from '../../src/sa-text/xfrm-sas.ts';
import { writeXfrmState } from '../../src/sa-text/xfrm-write.ts';
import { formatAddress, formatPrefix } from '../../src/wire/address.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 200);
const KEY = '4142434445464748494a4b4c4d4e4f5001020304';

/** Printed by Linux 6.1 and iproute2 6.1, `ip -s xfrm state`. */
const FULL = `src 10.0.0.1 dst 10.0.0.2
\tproto esp spi 0x00000003(3) reqid 1(0x00000001) mode tunnel
\treplay-window 0 seq 0x00000000 flag noecn esnextra_flag dont-encap-dscp (0x10000001)
\tmark 0x3e00/0xff00 output-mark 0xe00/0xf00
\taead rfc4106(gcm(aes)) 0x${KEY} (160 bits) 128
\tencap type espinudp sport 4500 dport 4501 addr 0.0.0.0
\tanti-replay esn context:
\t seq-hi 0x1, seq 0x2e, oseq-hi 0x2, oseq 0xfffffff0
\t replay_window 128, bitmap-length 4
\t 00000000 00000000 00000000 00003fff 
\tcrypto offload parameters: dev eth0 dir out mode packet
\tif_id 0x5
\ttfcpad 100
\tdir in
\tpcpu-num 3
\tsel src ::/0 dst fd00::/16 uid 0
\tlifetime config:
\t  limit: soft (INF)(bytes), hard 1000000(bytes)
\t  limit: soft 10(packets), hard 18446744073709551614(packets)
\t  expire add: soft 0(sec), hard 30(sec)
\t  expire use: soft 0(sec), hard 0(sec)
\tlifetime current:
\t  9130(bytes), 46(packets)
\t  add 2026-11-23 01:41:57 use 2026-11-23 01:42:00
\tstats:
\t  replay-window 5 replay 6 failed 15
\tsecurity context system_u:object_r:ipsec_spd_t:s0 
`;

/** The least that `ip xfrm state` prints. */
function state(over: { proto?: string; window?: string; algorithms?: string; more?: string } = {}): string {
  return [
    'src 10.0.0.1 dst 10.0.0.2',
    `\t${over.proto ?? 'proto esp spi 0x00000003 reqid 1 mode tunnel'}`,
    `\t${over.window ?? 'replay-window 0 '}`,
    `\t${over.algorithms ?? `aead rfc4106(gcm(aes)) 0x${KEY} 128`}`,
    ...(over.more === undefined ? [] : [`\t${over.more}`]),
    '',
  ].join('\n');
}

function failure(text: string): InputError {
  try {
    parseXfrmState(text, 'n2.txt');
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('parseXfrmState', () => {
  it('reads everything that ip -s prints', () => {
    const [sa, ...none] = parseXfrmState(FULL, 'n2.txt');
    expect(none).toEqual([]);
    const { src, dst, keys, selector, ...rest } = sa!;
    expect([formatAddress(src), formatAddress(dst)]).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(toHex(keys.key()) + toHex(keys.salt())).toBe(KEY);
    expect(keys.suite).toMatchObject({ name: 'rfc4106(gcm(aes))', keyLen: 16, icvLen: 16 });
    expect([formatPrefix(selector!.src), formatPrefix(selector!.dst)]).toEqual(['::/0', 'fd00::/16']);
    expect(rest).toEqual({
      spi: 3,
      offloadedTo: 'eth0',
      ifId: 5,
      counted: { failed: 15, replay: 6, replayWindow: 5 },
      mode: 'tunnel',
      esn: true,
      replayWindow: 128,
      reqid: 1,
      mark: { value: 0x3e00, mask: 0xff00 },
      outputMark: { value: 0xe00, mask: 0xf00 },
      encap: { sport: 4500, dport: 4501 },
      flags: ['noecn', 'dont-encap-dscp'],
      lifetime: { hardBytes: 1_000_000, softPackets: 10, hardAddSeconds: 30 },
      sequence: { seqHi: 1, seq: 0x2e, oseqHi: 2, oseq: 0xffff_fff0 },
      direction: 'in',
      cpu: 3,
      origin: 'n2.txt:1',
    });
  });

  it('reads what a plain `ip xfrm state` leaves out as absent', () => {
    const [sa] = parseXfrmState(state(), 'x');
    expect(Object.keys(sa!).sort()).toEqual(
      ['dst', 'esn', 'flags', 'keys', 'mode', 'origin', 'replayWindow', 'reqid', 'spi', 'src'].sort(),
    );
    expect(sa).toMatchObject({ esn: false, flags: [], replayWindow: 0 });
  });

  it('takes the window of the context before the one of the header', () => {
    const context =
      'anti-replay esn context:\n\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0\n\t replay_window 64, bitmap-length 2\n\t 00000000 00000000 ';
    expect(parseXfrmState(state({ more: context }), 'x')[0]).toMatchObject({ replayWindow: 64, esn: false });
    expect(parseXfrmState(state({ window: 'replay-window 32 ' }), 'x')[0]).toMatchObject({
      replayWindow: 32,
    });
    const old = state({
      window: 'replay-window 32 ',
      more: 'anti-replay context: seq 0x10, oseq 0xc3, bitmap 0x0000ffff',
    });
    expect(parseXfrmState(old, 'x')[0]).toMatchObject({
      replayWindow: 32,
      sequence: { seqHi: 0, seq: 0x10, oseqHi: 0, oseq: 0xc3 },
    });
  });

  it.each([
    [
      'mark 0x3cb23e00/0xffffff00 output-mark 0xe00/0xf00',
      { value: 0x3cb23e00, mask: 0xffffff00 },
      { value: 0xe00, mask: 0xf00 },
    ],
    ['mark 0/0xff ', { value: 0, mask: 0xff }, undefined],
    ['output-mark 0x5/0xffffffff', undefined, { value: 5, mask: 0xffffffff }],
    ['output-mark 0xd00', undefined, { value: 0xd00, mask: 0xffffffff }],
  ])('reads marks: %s', (more, mark, outputMark) => {
    const [sa] = parseXfrmState(state({ more }), 'x');
    expect(sa!.mark).toEqual(mark);
    expect(sa!.outputMark).toEqual(outputMark);
  });

  it.each([
    ['replay-window 0 flag af-unspec', ['af-unspec'], false],
    ['replay-window 0 seq 0x00000000 flag  (0x00000000)', [], false],
    [
      'replay-window 0 seq 0x00000000 flag wildrecv icmp align4 (0x01011000)',
      ['wildrecv', 'icmp', 'align4'],
      false,
    ],
    ['replay-window 0 flag esn', [], true],
    [
      'replay-window 0 seq 0x00000000 flag decap-dscp extra_flag oseq-may-wrap (0x00000010)',
      ['decap-dscp', 'oseq-may-wrap'],
      false,
    ],
  ])('reads flags: %s', (window, flags, esn) => {
    expect(parseXfrmState(state({ window }), 'x')[0]).toMatchObject({ flags, esn });
  });

  it.each([
    [`aead rfc4106(gcm(aes)) 0x${KEY} 64`, 'rfc4106(gcm(aes))', 64],
    [`aead rfc4543(gcm(aes)) 0x${KEY} (160 bits) 128`, 'rfc4543(gcm(aes))', 128],
    [
      `aead rfc7539esp(chacha20,poly1305) 0x${'07'.repeat(36)} (288 bits) 128`,
      'rfc7539esp(chacha20,poly1305)',
      128,
    ],
    [
      `auth-trunc hmac(sha256) 0x${'aa'.repeat(32)} (256 bits) 128\n\tenc cbc(aes) 0x${'bb'.repeat(16)} (128 bits)`,
      'authenc(hmac(sha256),cbc(aes))',
      128,
    ],
    [
      `auth hmac(sha256) 0x${'aa'.repeat(32)}\n\tenc cbc(aes) 0x${'bb'.repeat(32)}`,
      'authenc(hmac(sha256),cbc(aes))',
      96,
    ],
    [
      `auth-trunc hmac(sha1) 0x0102 (16 bits) 96\n\tenc ecb(cipher_null) `,
      'authenc(hmac(sha1),ecb(cipher_null))',
      96,
    ],
    [
      `auth-trunc hmac(sha1) 0x0102 96\n\tenc ecb(cipher_null) 0x (0 bits)`,
      'authenc(hmac(sha1),ecb(cipher_null))',
      96,
    ],
    ['auth-trunc digest_null  0\n\tenc ecb(cipher_null) ', 'authenc(digest_null,ecb(cipher_null))', 0],
    [`enc cbc(aes) 0x${'bb'.repeat(16)}`, 'authenc(digest_null,cbc(aes))', 0],
    // An HMAC with an empty key, as ip prints it: Linux takes it.
    [
      `auth-trunc hmac(sha256)  128\n\tenc cbc(aes) 0x${'bb'.repeat(16)} (128 bits)`,
      'authenc(hmac(sha256),cbc(aes))',
      128,
    ],
  ])('reads algorithms: %s', (algorithms, name, icvBits) => {
    const { suite } = parseXfrmState(state({ algorithms }), 'x')[0]!.keys;
    expect(suite).toMatchObject({ name, icvLen: icvBits / 8 });
  });

  it('goes by the selector that is printed, and takes both families where none is', () => {
    const window = 'replay-window 0 flag af-unspec';
    expect(parseXfrmState(state({ window }), 'x')[0]!.selector).toBeUndefined();
    const [sa] = parseXfrmState(state({ window, more: 'sel src ::/0 dst ::/0 ' }), 'x');
    expect(formatPrefix(sa!.selector!.src)).toBe('::/0');
  });

  it('leaves out other protocols and empty states, and says so', () => {
    const ah = state({
      proto: 'proto ah spi 0x00000009 reqid 0 mode beet',
      algorithms: 'auth-trunc hmac(sha1) <<Keys hidden>> 96',
    });
    const acquire = state({ proto: 'proto esp spi 0x00000000 reqid 1 mode tunnel', algorithms: '' });
    const notes: string[] = [];
    const sas = parseXfrmState(ah + acquire + state(), 'n2.txt', (line) => notes.push(line));
    expect(sas.map((sa) => sa.origin)).toEqual(['n2.txt:9']);
    expect(notes).toEqual([
      'n2.txt:1: the state is left out: its protocol is ah',
      'n2.txt:5: the state is left out: it has no SPI: it waits for its key exchange',
    ]);
  });

  it('says what helps where the text is whole', () => {
    const unknown = state({ algorithms: `aead rfc4106(gcm(foo)) 0x${KEY} 128` });
    expect(failure(unknown).message).toMatch(/known are .*\. Check the line: `esplane suites` lists each/);
    const ah = state({ proto: 'proto ah spi 0x00000009 reqid 0 mode tunnel' });
    expect(failure(ah).message).toMatch(/its protocol is ah\. Give the states of other SAs/);
    const cut = state({ algorithms: `aead rfc4106(gcm(aes)) 0x${KEY}` });
    expect(failure(cut).message).toMatch(/its ICV is missing\. Give the whole text/);
  });

  it('gives ESN a window where none is printed', () => {
    expect(parseXfrmState(state({ window: 'replay-window 0 flag esn' }), 'x')[0]).toMatchObject({
      esn: true,
      replayWindow: 1024,
    });
  });

  it('reads nothing from nothing: a node without states prints an empty text', () => {
    expect(parseXfrmState('', 'x')).toEqual([]);
    expect(parseXfrmState(' \r\n\n', 'x')).toEqual([]);
  });

  describe('does not mind how the text came here', () => {
    const content = (sas: readonly SaConfig[]) =>
      sas.map(({ origin, keys, ...sa }) => [sa, toHex(keys.key()), toHex(keys.salt()), keys.suite]);
    const expected = content(parseXfrmState(FULL + state(), 'x'));
    const same = (text: string) => {
      const sas = parseXfrmState(text, 'x');
      expect(content(sas)).toEqual(expected);
      return sas.map((sa) => sa.origin);
    };

    it('with Windows line ends', () => {
      expect(same((FULL + state()).replaceAll('\n', '\r\n'))).toEqual(['x:1', 'x:28']);
    });

    it('with spaces for tabs, and all of it indented', () => {
      same((FULL + state()).replaceAll('\t', '    '));
      same((FULL + state()).replace(/^(?=.)/gm, '  '));
    });

    it('with all indentation lost', () => {
      same((FULL + state()).replace(/^\s+/gm, ''));
    });

    it('from several nodes, with prompts, headlines and garbage between and after', () => {
      const text = `root@node-1:/home/cilium# ip -s xfrm state\n${FULL}root@node-1:/home/cilium# exit\n\n=== node-2 ===\n\n${state()}$ mark this\n\tdir out\nreplay-window 7\nbye\n`;
      expect(same(text)).toEqual(['x:2', 'x:33']);
    });

    it('from ip -o, which puts a state on one line', () => {
      const oneLine = (text: string) => `${text.trimEnd().replaceAll('\n', '\\')}\\\n`;
      expect(same(oneLine(FULL) + oneLine(state()))).toEqual(['x:1', 'x:2']);
    });

    it('with lines that only newer kernels print', () => {
      same(FULL.replace('\tif_id', '\tiptfs-opts dont-frag pkt-size 0\n\tif_id') + state());
    });
  });

  it.each(['mode 5', 'mode iptfs'])('takes IP-TFS, %s, with what its receiver goes by', (mode) => {
    const head = { proto: `proto esp spi 0x00000003 reqid 1 ${mode}` };
    const text = `${state(head).trimEnd()}\n\tiptfs-opts drop-time 500000 reorder-window 5\n`;
    expect(parseXfrmState(text, 'x')).toMatchObject([
      { mode: 'iptfs', iptfs: { reorderWindow: 5, dropTime: 500 } },
    ]);
    const [sa] = parseXfrmState(state(head), 'x');
    expect(sa).toMatchObject({ mode: 'iptfs' });
    expect(sa).not.toHaveProperty('iptfs');
    // What no other program is known to read is not written as something else.
    expect(writeXfrmState([sa!], { showKeys: true })).toMatch(/^# x:1: it is in IP-TFS.*\n$/);
    expect(writeScapy([sa!], { showKeys: true })).toContain('# x:1: scapy 2.5 has no IP-TFS');
  });

  describe('says what is wrong, and where', () => {
    it.each<[string, string, RegExp]>([
      [
        'hidden keys',
        state({ algorithms: 'aead rfc4106(gcm(aes)) <<Keys hidden>> 128' }),
        /^n2\.txt:1: .*its key is hidden, .*\. Run `ip -s xfrm state` as root, without `nokeys`\.$/,
      ],
      [
        'keys that a sysdump took out',
        state({ algorithms: 'aead rfc4106(gcm(aes)) [hash:6b86b273] 128' }),
        /^n2\.txt:1: .*its key is hidden/,
      ],
      [
        'keys that someone took out',
        state({ algorithms: 'auth-trunc hmac(sha256)  128\n\tenc cbc(aes) ' }),
        /^n2\.txt:1: .*its key is hidden/,
      ],
      [
        'a line that is cut off before its key',
        state({ algorithms: `auth-trunc hmac(sha256) \n\tenc cbc(aes) 0x${'bb'.repeat(16)}` }),
        /^n2\.txt:1: .*its key is hidden/,
      ],
      [
        'a key cut off',
        state({ algorithms: `aead rfc4106(gcm(aes)) 0x${KEY.slice(1)} 128` }),
        /^n2\.txt:1: .*its key is hidden, cut off/,
      ],
      [
        'a key shorter than it says',
        state({ algorithms: `auth-trunc hmac(sha1) 0x${KEY} (168 bits) 96` }),
        /^n2\.txt:1: .*its key is hidden, cut off/,
      ],
      [
        'a key that the cipher does not have',
        state({ algorithms: `aead rfc4106(gcm(aes)) 0x${KEY.slice(2)} 128` }),
        /^n2\.txt:4: .*rfc4106\(gcm\(aes\)\): key of 19 bytes; it takes 20, 28, 36/,
      ],
      [
        'a cipher that esplane does not have',
        state({ algorithms: `auth-trunc hmac(sha1) 0x0102 96\n\tenc cbc(rc5) 0x${KEY}` }),
        /^n2\.txt:5: .*unknown encryption algorithm "cbc\(rc5\)"/,
      ],
      [
        'no name before the key',
        state({ algorithms: `enc ${KEY}` }),
        /^n2\.txt:1: .*its key is hidden, cut off or not there/,
      ],
      [
        'no ICV length',
        state({ algorithms: `aead rfc4106(gcm(aes)) 0x${KEY}` }),
        /^n2\.txt:4: .*the length of its ICV is missing/,
      ],
      [
        'no algorithm',
        state({ algorithms: 'sel src 0.0.0.0/0 dst 0.0.0.0/0' }),
        /^n2\.txt:1: .*its key is hidden, cut off or not there/,
      ],
      [
        'no encryption',
        state({ algorithms: 'auth-trunc hmac(sha1) 0x0102 96' }),
        /^n2\.txt:4: .*it has no encryption algorithm/,
      ],
      ['a text that stops', 'src 10.0.0.1 dst 10.0.0.2\n', /^n2\.txt:1: .*it has no line `proto …`/],
      [
        'an SPI of 33 bits',
        state({ proto: 'proto esp spi 0x100000003 reqid 1 mode tunnel' }),
        /^n2\.txt:2: .*its field spi cannot be read/,
      ],
      [
        'a window that Linux does not have',
        state({ window: 'replay-window 4097 ' }),
        /^n2\.txt:1: .*its replay window is above 4096/,
      ],
      [
        'a mode of another kind',
        state({ proto: 'proto esp spi 0x00000003 reqid 1 mode beet' }),
        /^n2\.txt:1: .*its mode is beet; esplane has tunnel, transport and iptfs/,
      ],
      [
        'ESP in TCP',
        state({ more: 'encap type espintcp sport 4500 dport 4500 addr 0.0.0.0' }),
        /^n2\.txt:1: .*its encapsulation is espintcp; esplane has espinudp/,
      ],
      [
        'a port beyond 65535',
        state({ more: 'encap type espinudp sport 4500 dport 65536 addr 0.0.0.0' }),
        /^n2\.txt:1: .*its UDP ports cannot be read/,
      ],
      ['a bad mark', state({ more: 'mark 0xzz/0xff' }), /^n2\.txt:5: .*its field mark cannot be read/],
      [
        'a bad limit',
        state({ more: 'limit: soft x(bytes), hard (INF)(bytes)' }),
        /^n2\.txt:5: .*its field limit: cannot be read/,
      ],
      [
        'a selector of two families',
        state({ more: 'sel src ::/0 dst 0.0.0.0/0' }),
        /^n2\.txt:1: .*its selector cannot be read/,
      ],
      [
        'addresses of two families',
        state().replace('10.0.0.2', 'fd00::1'),
        /^n2\.txt:1: .*its addresses are of different IP versions/,
      ],
      [
        'policies instead of states',
        'src 0.0.0.0/0 dst 10.20.0.0/16 \n\tdir out priority 0 ptype main \n',
        /^n2\.txt: this is the text of `ip xfrm policy`/,
      ],
      ['another file', '\n{"kind":"Secret"}\n', /^n2\.txt:2: neither `ip xfrm` text/],
    ])('%s', (_, text, message) => {
      expect(failure(text).message).toMatch(message);
      // Beside one that can be used it is left out, and the reason is the same.
      if (text.includes('/0 dst') || text.startsWith('\n')) return;
      const notes: string[] = [];
      expect(parseXfrmState(`${text}${state()}`, 'n2.txt', (line) => notes.push(line))).toHaveLength(1);
      expect(notes).toEqual([
        expect.stringMatching(new RegExp(message.source.replace(/\\\. (Run|Give).*$/, ''))),
      ]);
    });
  });

  it('takes a state whose key is hidden without a selector that is cut out, and says so', () => {
    const text = state({ more: 'sel src <snip>::20/128 dst <snip>::1/128' });
    expect(failure(text).message).toMatch(/its selector cannot be read/);
    const { sas, keyless, omitted } = readStates(text.replace(`0x${KEY}`, '<snip>'), 'n2.txt');
    expect([sas, keyless]).toMatchObject([[], [{ spi: 3, isSelectorHidden: true }]]);
    expect(keyless[0]).not.toHaveProperty('selector');
    expect(omitted).toEqual([
      { origin: 'n2.txt:1', why: 'the selector cannot be read: the state is taken without it' },
    ]);
  });

  // Whatever happens to a text, it is read or refused in one line, in time, and without its keys.
  it('names no field by a key that stands where its name should', () => {
    const said: string[] = [];
    const twice = `\tlifetime ${KEY}\n`.repeat(2);
    expect(parseXfrmState(state({ more: twice }), 'f', (line) => said.push(line))).toHaveLength(1);
    expect(said.join()).not.toContain(KEY);
  });

  it('reads damaged texts or refuses them with an InputError, never with a key in what it says', () => {
    const base = (FULL + state()).split('\n');
    const damage = fc.oneof(
      fc.record({ kind: fc.constant('cut' as const), at: fc.nat(base.join('\n').length) }),
      fc.record({ kind: fc.constant('drop' as const), at: fc.nat(base.length - 1) }),
      fc.record({ kind: fc.constant('twice' as const), at: fc.nat(base.length - 1) }),
      fc.record({
        kind: fc.constant('put' as const),
        at: fc.nat(base.join('\n').length),
        text: fc.string({ unit: 'binary', maxLength: 6 }),
      }),
      fc.record({
        kind: fc.constant('word' as const),
        at: fc.nat(base.length - 1),
        text: fc.constantFrom('0x', '', '-1', '4294967296', '(', 'esp', KEY, '<<Keys'),
      }),
    );
    let refused = 0;
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (damages) => {
        let lines = [...base];
        for (const d of damages) {
          const text = lines.join('\n');
          if (d.kind === 'cut') lines = text.slice(0, d.at).split('\n');
          else if (d.kind === 'drop') lines.splice(d.at, 1);
          else if (d.kind === 'twice') lines.splice(d.at, 0, lines[d.at] ?? '');
          else if (d.kind === 'put') lines = `${text.slice(0, d.at)}${d.text}${text.slice(d.at)}`.split('\n');
          else lines[d.at] = (lines[d.at] ?? '').replace(/\S+(?=\s*$)/, d.text);
        }
        try {
          parseXfrmState(lines.join('\n'), 'f', (line) => {
            expect(line).not.toMatch(/[0-9a-f]{20}/);
            refused++;
          });
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
          const { message } = error as InputError;
          expect(message).toMatch(/^f(:\d+)?: [^\n]+$/);
          expect(message).not.toMatch(/[0-9a-f]{20}/);
          refused++;
        }
      }),
      { numRuns: RUNS },
    );
    expect(refused).toBeGreaterThan(0);
  });
});

needs([shared('captures')], 'parseXfrmState on the texts of a real kernel', () => {
  const files = readdirSync(`${CAPTURES}`, { recursive: true, encoding: 'utf8' })
    .filter((file) => /xfrm_state.*\.txt$/.test(file))
    .sort();

  it.each(files)('%s', (file) => {
    const text = readFileSync(`${CAPTURES}/${file}`, 'utf8');
    const sas = parseXfrmState(text, file);
    // Every figure of the text is found again by a plain search for it.
    const all = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]!);
    expect(sas.length).toBe(all(/^(src) /gm).length);
    expect(sas.length).toBeGreaterThan(0);
    expect(sas.map((sa) => formatAddress(sa.src))).toEqual(all(/^src (\S+)/gm));
    expect(sas.map((sa) => String(sa.spi))).toEqual(all(/spi 0x[0-9a-f]+\((\d+)\)/g));
    expect(sas.map((sa) => sa.esn)).toEqual(all(/flag (.*)\(/g).map((flags) => flags.includes('esn')));
    expect(sas.map((sa) => sa.sequence!.oseq.toString(16))).toEqual(all(/, oseq 0x([0-9a-f]+)/g));
    expect(sas.map((sa) => sa.sequence!.seq.toString(16))).toEqual(all(/ seq 0x([0-9a-f]+), oseq/g));
    expect(sas.map(({ keys }) => toHex(keys.key()) + toHex(keys.salt()))).toEqual(
      all(/(?:aead|enc) \S+ 0x([0-9a-f]+)/g),
    );
    const windows = all(/replay_window (\d+)/g);
    if (windows.length > 0) expect(sas.map((sa) => String(sa.replayWindow))).toEqual(windows);
    for (const sa of sas) {
      expect(sa.mode).toBe('tunnel');
      expect(sa.selector!.src.address.length).toBe(sa.src.length);
      expect(sa.lifetime).toBeUndefined();
    }
  });
});
