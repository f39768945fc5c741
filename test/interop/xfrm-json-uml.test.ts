/** Text of a real kernel, as JSON, as commands, into another kernel, and out again: it must say the same. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { writeXfrmCommands } from '../../src/sa-text/xfrm-commands.ts';
import { type XfrmJson, xfrmJson } from '../../src/sa-text/xfrm-json.ts';
import { parseXfrm as parseTree } from '../../src/sa-text/xfrm-parse.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';
import { runInUml, UML_NEEDS } from '../support/uml.ts';

const FOLDERS = ['native-v4', 'native-v6', 'cbc-sha256', 'global-key-v4', 'faults-window64'];

/** A policy of everything that commands can say. */
const ODD = `src 10.1.0.0/16 dst 10.20.0.0/16 proto tcp sport 80 dport 443 
	dir out action block priority 7 ptype main 
	mark 0x3e00/0xff00 
src 10.1.0.0/16 dst 10.30.0.0/16 
	dir in priority 9 ptype main 
	tmpl src 10.0.0.1 dst 10.0.0.2
		proto esp spi 0x00000003 reqid 1 mode tunnel
		level use 
	tmpl src 0.0.0.0 dst 0.0.0.0
		proto ah reqid 2 mode transport
`;

/** How the state of an SA without limits that has carried nothing goes on. */
const UNLIMITED = `	lifetime config:
	  limit: soft (INF)(bytes), hard (INF)(bytes)
	  limit: soft (INF)(packets), hard (INF)(packets)
	  expire add: soft 0(sec), hard 0(sec)
	  expire use: soft 0(sec), hard 0(sec)
	lifetime current:
	  0(bytes), 0(packets)
	  add 2026-11-23 00:52:36 use -
	stats:
	  replay-window 0 replay 0 failed 0
`;

/** States of everything that commands can say, as Linux 6.1 prints them. */
const ODD_STATES = `src 10.0.0.1 dst 10.0.0.2
	proto esp spi 0x00000901 reqid 1(0x00000001) mode tunnel
	replay-window 0 seq 0x00000000 flag af-unspec (0x00100000)
	aead rfc4106(gcm(aes)) 0x${'a7'.repeat(20)} (160 bits) 128
	anti-replay context: seq 0x0, oseq 0x7, bitmap 0x00000000
	lifetime config:
	  limit: soft (INF)(bytes), hard 18446744073709551614(bytes)
	  limit: soft 100(packets), hard (INF)(packets)
	  expire add: soft 1000(sec), hard 2000(sec)
	  expire use: soft 0(sec), hard 3000(sec)
	lifetime current:
	  0(bytes), 0(packets)
	  add 2026-11-23 00:52:36 use -
	stats:
	  replay-window 0 replay 0 failed 0
	if_id 0x2a
	tfcpad 1400
src 10.0.0.1 dst 10.0.0.2
	proto esp spi 0x00000902 reqid 2(0x00000002) mode transport
	replay-window 32 seq 0x00000000 flag  (0x00000000)
	auth-trunc hmac(sha256) 0x${'b1'.repeat(32)} (256 bits) 128
	enc cbc(aes) 0x${'c2'.repeat(16)} (128 bits)
	encap type espinudp sport 4500 dport 4501 addr 10.9.9.9
	anti-replay context: seq 0x5, oseq 0x0, bitmap 0x00000000
${UNLIMITED}	sel src 10.1.0.0/16 dst 10.2.0.0/16 proto tcp sport 80 dport 443 uid 0
src fd00::1 dst fd00::2
	proto ah spi 0x00000903 reqid 3(0x00000003) mode tunnel
	replay-window 0 seq 0x00000000 flag af-unspec (0x00100000)
	mark 0x3e00/0xff00 output-mark 0xe00/0xf00
	auth-trunc hmac(sha1) 0x${'d3'.repeat(20)} (160 bits) 96
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
${UNLIMITED}src 10.0.0.1 dst 10.0.0.2
	proto comp spi 0x00000904 reqid 4(0x00000004) mode transport
	replay-window 0 seq 0x00000000 flag  (0x00000000)
	comp deflate 
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
${UNLIMITED}	sel src 0.0.0.0/0 dst 0.0.0.0/0 uid 0
`;

/** What stays when states are set up again: not times, what was used, indices and what has been seen. */
function lasting({ states, policies }: XfrmJson) {
  return {
    states: states
      .map(({ origin: _o, use: _u, stats: _s, antiReplay, ...rest }) => ({
        ...rest,
        antiReplay: antiReplay && { ...antiReplay, bitmap: antiReplay.bitmap.length },
      }))
      .sort((a, b) => `${a.src}${a.dst}${a.spi}`.localeCompare(`${b.src}${b.dst}${b.spi}`)),
    policies: policies
      .map(({ origin: _o, use: _u, index: _i, lifetime: _l, ...rest }) => rest)
      .map((policy) => JSON.stringify({ ...policy, selector: { ...policy.selector, uid: 0 } }))
      .sort(),
  };
}

const parseXfrm = (text: string, source: string, showKeys = false) =>
  xfrmJson([parseTree(text, source)], { showKeys });

needs([...UML_NEEDS, shared('captures')], 'ip xfrm text through JSON and commands into a kernel', () => {
  it('comes out the same', async () => {
    const files: Record<string, string> = {};
    const notes: string[] = [];
    const note = (line: string) => notes.push(line);
    const texts = new Map<string, { state: string; policy: string }>();
    for (const name of FOLDERS) {
      const state = `${readFileSync(`${CAPTURES}/${name}/n2.xfrm_state.txt`, 'utf8')}${ODD_STATES}`;
      const policy = `${readFileSync(`${CAPTURES}/${name}/n2.xfrm_policy.txt`, 'utf8')}${ODD}`;
      texts.set(name, { state, policy });
      files[`${name}.sh`] = writeXfrmCommands([parseTree(state, name), parseTree(policy, name)], {
        showKeys: true,
        note,
      });
    }
    const script = FOLDERS.map(
      (name) => `
      ip xfrm state flush; ip xfrm policy flush
      sh ${name}.sh >> said 2>&1
      ip -s xfrm state > ${name}.state; ip xfrm policy > ${name}.policy; ip -s xfrm state count > ${name}.count
      ip -s xfrm policy count >> ${name}.count; cat /proc/net/xfrm_stat > ${name}.stat`,
    ).join('\n');
    const monitor = `
      ip xfrm monitor > monitor & sleep 1
      ip xfrm state delete src 10.244.2.1 dst 10.244.1.1 proto esp spi 3
      ip xfrm policy flush; ip xfrm state flush; sleep 1; kill $!`;
    const { files: out } = await runInUml(`touch said\n${script}\n${monitor}`, {
      timeout: 120_000,
      files,
      modules: ['ipcomp', 'deflate', 'ah6'],
    });
    const text = (name: string) => new TextDecoder().decode(out.get(name));
    expect(text('said')).toBe('');
    expect(notes).toEqual([]);
    for (const name of FOLDERS) {
      const { state, policy } = texts.get(name)!;
      const read = (what: string) => parseXfrm(text(`${name}.${what}`), what, true);
      expect(lasting(read('state')).states, name).toEqual(lasting(parseXfrm(state, name, true)).states);
      expect(lasting(read('policy')).policies, name).toEqual(lasting(parseXfrm(policy, name)).policies);
      const { counts } = read('count');
      expect(counts['SAD count']).toBe(parseXfrm(state, name).states.length);
      expect(Number(counts['SPD IN'])).toBeGreaterThan(0);
      expect(Object.keys(read('stat').stat)).toContain('XfrmInStateSeqError');
    }
    const { events } = parseXfrm(text('monitor'), 'monitor');
    expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['deleted', 'flushed']));
    expect(events[0]).toMatchObject({ event: 'deleted', state: { src: '10.244.2.1', spi: 3 } });
  }, 140_000);
});
