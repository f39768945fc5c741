import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { parseEspSa } from '../../src/sa-text/esp-sa.ts';
import { parseXfrmState } from '../../src/sa-text/xfrm-sas.ts';
import { writeXfrmState } from '../../src/sa-text/xfrm-write.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { anySa, EVERY_SUITE, KEY_MARK } from '../support/arbitrary-sa.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 200);
const KEY = '0x4142434445464748494a4b4c4d4e4f5001020304';
const ANY4 = { src: parsePrefix('0.0.0.0/0')!, dst: parsePrefix('0.0.0.0/0')! };

const CILIUM = `src 10.0.0.1 dst 10.0.0.2
	proto esp spi 0x00000003 reqid 1 mode tunnel
	replay-window 0 flag esn
	mark 0x3e00/0xff00 output-mark 0xe00/0xf00
	aead rfc4106(gcm(aes)) ${KEY} 128
	anti-replay esn context:
	 seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0
	 replay_window 1024, bitmap-length 32
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
`;
const [BASE] = parseXfrmState(CILIUM, 'x') as [SaConfig];

function written(over: Partial<SaConfig> = {}): string {
  return writeXfrmState([{ ...BASE, ...over }], { showKeys: true });
}

function suite(name: string): SaConfig['keys'] {
  return EVERY_SUITE.find(([known]) => known === name)![1];
}

describe('writeXfrmState', () => {
  it('says what Linux cannot have, and what is assumed', () => {
    const cbc = '"AES-CBC [RFC3602]","aescbcencryption"';
    const rows = [
      `"IPv4","*","*","3",${cbc},"HMAC-SHA-1-96 [RFC2404]","hmacsha1authenticati"`,
      `"IPv4","*","10.0.0.2","3",${cbc},"ANY 96 bit authentication [no checking]",""`,
      `"IPv4","*","10.0.0.2","3",${cbc},"HMAC-SHA-1-96 [RFC2404]","hmacsha1authenticati"`,
    ];
    const lines = writeXfrmState(parseEspSa(rows.join('\n'), 'x'), { showKeys: true }).split('\n');
    expect(lines.slice(0, 3)).toEqual([
      '# x:1: it has wildcards, and Linux has none',
      '# x:2: its integrity algorithm is not known, and Linux passes no ICV over',
      '# x:3: says neither mode nor UDP: tunnel mode and no UDP are assumed',
    ]);
    expect(lines.slice(3)).toEqual([expect.stringMatching(/^ip xfrm state add src 0\.0\.0\.0 /), '']);
  });

  it("writes Cilium's state as a command for the shell", () => {
    expect(written()).toBe(
      `ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x00000003 reqid 1 mode tunnel replay-window 1024 flag esn mark 0x3e00 mask 0xff00 output-mark 0xe00 mask 0xf00 aead 'rfc4106(gcm(aes))' ${KEY} 128 sel src 0.0.0.0/0 dst 0.0.0.0/0\n`,
    );
  });

  it.each<[string, Partial<SaConfig>, string]>([
    [
      'integrity and encryption',
      { keys: suite('cbc-128+hmac(sha256)/96') },
      " auth-trunc 'hmac(sha256)' 0xc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3 96 enc 'cbc(aes)' 0xc0c1c2c3c4c5c6c7c8c9cacbcccdcecf sel ",
    ],
    ['NULL encryption', { keys: suite('null+hmac(sha256) 128') }, " 128 enc 'ecb(cipher_null)' '' sel "],
    ['no integrity', { keys: suite('cbc without integrity') }, " mask 0xf00 enc 'cbc(aes)' 0xc0c1"],
    [
      'flags of both kinds',
      { esn: false, flags: ['noecn', 'dont-encap-dscp', 'icmp'] },
      ' flag noecn icmp extra-flag dont-encap-dscp mark ',
    ],
    [
      'counters',
      { sequence: { seqHi: 1, seq: 2, oseqHi: 3, oseq: 0xfffffff0 } },
      ' replay-seq 0x2 replay-oseq 0xfffffff0 replay-seq-hi 0x1 replay-oseq-hi 0x3 flag ',
    ],
    [
      'counters without ESN',
      { esn: false, sequence: { seqHi: 0, seq: 0, oseqHi: 0, oseq: 5 } },
      ' replay-window 1024 replay-oseq 0x5 mark ',
    ],
    ['ESP in UDP', { encap: { sport: 4500, dport: 4501 } }, ' 128 encap espinudp 4500 4501 0.0.0.0 sel '],
    [
      'limits',
      { lifetime: { softPackets: 10, hardBytes: 2 ** 40 } },
      ' limit byte-hard 1099511627776 limit packet-soft 10 sel ',
    ],
    ['transport mode', { mode: 'transport' }, ' mode transport '],
  ])('writes %s', (_, over, words) => {
    expect(written(over)).toContain(words);
  });

  it('leaves the inner family open where no selector says which', () => {
    const { selector, ...open } = BASE;
    const text = writeXfrmState([open], { showKeys: true });
    expect(text).toContain(' flag esn af-unspec ');
    expect(text).not.toContain(' sel ');
    expect(writeXfrmState([{ ...open, mode: 'transport' }], { showKeys: true })).not.toContain('af-unspec');
    expect(written({ selector: ANY4 })).not.toContain('af-unspec');
  });

  it('gives ESN the window that Linux insists on', () => {
    expect(written({ replayWindow: 0 })).toContain(' replay-window 32 flag esn ');
    expect(written({ replayWindow: 0, esn: false })).toContain(' replay-window 0 mark ');
  });

  it('hides keys unless they are asked for, so that no shell or kernel takes the rest', () => {
    expect(writeXfrmState([BASE], { showKeys: false })).toContain(
      " aead 'rfc4106(gcm(aes))' '0x<<hidden: use --show-keys>>' 128 ",
    );
    fc.assert(
      fc.property(anySa, (sa) => {
        expect(writeXfrmState([sa], { showKeys: false })).not.toContain(KEY_MARK);
      }),
      { numRuns: 100 },
    );
  });

  it('is one line of plain words, whatever the SA', () => {
    fc.assert(
      fc.property(anySa, (sa) => {
        expect(writeXfrmState([sa], { showKeys: true })).toMatch(
          /^ip xfrm state add( ([\w./:,-]+|'[\w(),]*'))+\n$/,
        );
      }),
      { numRuns: RUNS },
    );
  });
});
