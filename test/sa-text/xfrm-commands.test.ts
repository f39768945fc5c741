import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { writeXfrmCommands } from '../../src/sa-text/xfrm-commands.ts';
import { parseXfrm } from '../../src/sa-text/xfrm-parse.ts';
import { CASES, CASES_NEED, needs } from '../support/needs.ts';

const KEY = '4142434445464748494a4b4c4d4e4f5001020304';

/** The commands for a text, and what was said of it. */
function commands(text: string, showKeys = true): { text: string; notes: string[] } {
  const notes: string[] = [];
  const note = (line: string) => notes.push(line);
  return { text: writeXfrmCommands([parseXfrm(text, 'n1')], { showKeys, note }), notes };
}

const state = (lines: string, proto = 'esp', spi = '0x00000003') =>
  `src 10.0.0.1 dst 10.0.0.2\n\tproto ${proto} spi ${spi} reqid 1 mode tunnel\n${lines
    .split('\n')
    .map((line) => `\t${line}\n`)
    .join('')}`;
const GCM = `aead rfc4106(gcm(aes)) 0x${KEY} (160 bits) 128`;
const HEAD = 'ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x00000003 reqid 1 mode tunnel';

it.each([
  ['an interface id', `replay-window 0 flag af-unspec\n${GCM}\nif_id 0x2a`, ' 128 if_id 0x2a'],
  ['TFC padding', `replay-window 0 flag af-unspec\n${GCM}\ntfcpad 1400`, ' 128 tfcpad 1400'],
  [
    'offload to a device',
    `replay-window 0 flag af-unspec\n${GCM}\ncrypto offload parameters: dev eth0 dir out mode crypto`,
    ' 128 offload dev eth0 dir out',
  ],
  [
    'offload of whole packets',
    `replay-window 0 flag af-unspec\n${GCM}\ncrypto offload parameters: dev eth0 dir in mode packet`,
    ' 128 offload packet dev eth0 dir in',
  ],
  [
    'a selector of one port',
    `replay-window 32 \n${GCM}\nsel src 10.1.0.0/16 dst 10.2.0.0/16 proto tcp sport 80 dport 443 dev eth1 `,
    ' 128 sel src 10.1.0.0/16 dst 10.2.0.0/16 dev eth1 proto tcp sport 80 dport 443',
  ],
  [
    'ESP in TCP',
    `replay-window 0 flag af-unspec\n${GCM}\nencap type espintcp sport 4500 dport 4501 addr 10.9.9.9`,
    ' 128 encap espintcp 4500 4501 10.9.9.9',
  ],
  [
    'limits of time',
    `replay-window 0 flag af-unspec\n${GCM}\nlifetime config:\n  limit: soft (INF)(bytes), hard 18446744073709551614(bytes)
  limit: soft (INF)(packets), hard (INF)(packets)\n  expire add: soft 10(sec), hard 20(sec)\n  expire use: soft 0(sec), hard 30(sec)`,
    ' 128 limit byte-hard 18446744073709551614 limit time-soft 10 limit time-hard 20 limit time-use-hard 30',
  ],
])('copies %s', (_, lines, words) => {
  const { text, notes } = commands(state(lines));
  expect(notes).toEqual([]);
  expect(text).toContain(HEAD);
  expect(text.trimEnd().endsWith(words), text).toBe(true);
});

it('copies states that esplane does not run', () => {
  const text =
    state(`replay-window 0 flag af-unspec\nauth-trunc hmac(sha1) 0x${KEY} (160 bits) 96`, 'ah') +
    state('replay-window 0 flag af-unspec\ncomp deflate', 'comp', '0x0000cafe');
  expect(commands(text)).toEqual({
    text:
      `ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto ah spi 0x00000003 reqid 1 mode tunnel replay-window 0 flag af-unspec auth-trunc 'hmac(sha1)' 0x${KEY} 96\n` +
      'ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto comp spi 0x0000cafe reqid 1 mode tunnel replay-window 0 flag af-unspec comp deflate\n',
    notes: [],
  });
});

it('leaves out, and names, what no command makes', () => {
  const text =
    state('replay-window 0', 'esp', '0x00000000') +
    state('replay-window 0', '4', '0x0a000001') +
    state('replay-window 0') +
    state(`replay-window 0\n${GCM}`).replace('mode tunnel', 'mode 5') +
    state(`replay-window 0 flag af-unspec\n${GCM}`);
  const made = commands(text);
  expect(made.text.trimEnd().split('\n')).toEqual([
    `${HEAD} replay-window 0 flag af-unspec aead 'rfc4106(gcm(aes))' 0x${KEY} 128`,
  ]);
  expect(made.notes).toEqual([
    'n1:1: the state is left out: it has no SPI: it waits for its key exchange',
    'n1:4: the state is left out: ip adds no state of its protocol',
    'n1:7: the state is left out: it has no algorithm: it waits for its key exchange, or lines are missing',
    'n1:10: the state is left out: iproute2 6.1 has no name for its mode',
  ]);
});

it('names fields that no command expresses, once for all states', () => {
  const one = state(`replay-window 0 flag af-unspec\n${GCM}\ndir in\npcpu-num 0`);
  expect(commands(one + one).notes).toEqual([
    'n1:1: dir (iproute2 takes it from 6.10) is left out, here and in 1 more',
    'n1:1: pcpu-num (iproute2 takes it from 6.14) is left out, here and in 1 more',
  ]);
});

it.each([
  ['ICMPv6 by type', 'src ::/0 dst ::/0 proto ipv6-icmp type 135 ', 'proto ipv6-icmp type 135'],
  ['ICMP by type and code', 'src ::/0 dst ::/0 proto icmp type 8 code 0 ', 'proto icmp type 8 code 0'],
  ['GRE by key', 'src 10.1.0.0/16 dst 10.2.0.0/16 proto gre key 42 ', 'proto gre key 42'],
])('copies a policy for %s', (_, head, words) => {
  const { text, notes } = commands(`${head}\n\tdir out priority 1 ptype main \n`);
  expect(notes).toEqual([]);
  expect(text).toContain(` ${words} dir out priority 1\n`);
});

it('copies offload, security context and flags without a name of a policy', () => {
  const text = `src 10.1.0.0/16 dst 10.2.0.0/16
\tsecurity context system_u:object_r:ipsec_spd_t:s0
\tdir out priority 1 ptype main flag 4
\tcrypto offload parameters: dev lo mode packet
\tif_id 0x2a
`;
  expect(commands(text)).toEqual({
    text: 'ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out ctx system_u:object_r:ipsec_spd_t:s0 priority 1 flag 0x4 if_id 0x2a offload packet dev lo\n',
    notes: [],
  });
});

it('has a word in the place of a key that was not asked for, and nothing where none is', () => {
  const text = state(
    `replay-window 0 flag af-unspec\nauth-trunc hmac(sha1) 0x${KEY} (160 bits) 96\nenc ecb(cipher_null)`,
  );
  expect(commands(text, false).text).toContain(
    "'hmac(sha1)' '0x<<hidden: use --show-keys>>' 96 enc 'ecb(cipher_null)' ''",
  );
  expect(commands(text).text).toContain(`'hmac(sha1)' 0x${KEY} 96 enc 'ecb(cipher_null)' ''`);
});

it.each([
  [
    'hidden by ip',
    'aead rfc4106(gcm(aes)) <<Keys hidden>> 128',
    /n1:1: the state is left out: its key is hidden, or cut off/,
  ],
  ['cut off', `aead rfc4106(gcm(aes)) 0x${KEY.slice(8)} (160 bits) 128`, /its key is hidden, or cut off/],
  ['without the length of its ICV', `aead rfc4106(gcm(aes)) 0x${KEY}`, /the length of its ICV is missing/],
])('refuses a key that is %s, and does not repeat it', (_, line, problem) => {
  const run = () => commands(state(`replay-window 0\n${line}`));
  expect(run).toThrow(problem);
  expect(run).not.toThrow(KEY.slice(8));
});

it('refuses a state that is cut off', () => {
  expect(() => commands('src 10.0.0.1 dst 10.0.0.2\n\tproto esp spi 0x00000003\n')).toThrow(/is cut off/);
});

it('quotes for the shell what is no plain word', () => {
  const { text } = commands(state(`replay-window 0\n${GCM}\nsel src $(reboot) dst ;ls dev \`x\``));
  expect(text).toContain("sel src '$(reboot)' dst ';ls' dev '`x`'\n");
});

needs([CASES_NEED], 'texts of the cases', () => {
  const of = (file: string) => commands(readFileSync(`${CASES}texts/12-xfrm-loses-fields/${file}`, 'utf8'));

  it.each([
    ['icmp-gre.policy', /proto gre key 42 /, 7],
    ['icmp-gre.policy', /proto ipv6-icmp type 136 dir fwd[\s\S]*proto ipv6-icmp type 135 dir fwd/, 7],
    ['offload.policy', / offload packet dev lo /, 1],
    ['cpu-acquire.policy', / flag 0x4 /, 1],
    ['secctx.state', / ctx system_u:object_r:ipsec_spd_t:s0$/m, 1],
    ['window128-no-esn.state', / replay-window 128 replay-seq 0x9 flag af-unspec aead /, 1],
  ])('case texts 12: %s loses nothing', (file, expected, count) => {
    const { text, notes } = of(file);
    expect(text).toMatch(expected);
    expect(text.match(/^ip xfrm /gm)).toHaveLength(count);
    expect(notes).toEqual([]);
  });

  it('case texts 12: what ip does not take is named', () => {
    expect(of('pcpu.state').notes).toEqual([
      'n1:1: dir (iproute2 takes it from 6.10) is left out',
      'n1:1: pcpu-num (iproute2 takes it from 6.14) is left out',
    ]);
    expect(() => of('iptfs.state')).toThrow(/no name for its mode/);
    expect(() => of('route2.state')).toThrow(/ip adds no state of its protocol/);
  });
});
