import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { writeXfrmCommands } from '../../src/sa-text/xfrm-commands.ts';
import { xfrmJson } from '../../src/sa-text/xfrm-json.ts';
import { parseXfrm as parseTree } from '../../src/sa-text/xfrm-parse.ts';
import { parseXfrmState } from '../../src/sa-text/xfrm-sas.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

const parseXfrm = (text: string, source: string, showKeys = false) =>
  xfrmJson([parseTree(text, source)], { showKeys });

const KEY = '0x64ad37a9d8a8f20fb2e74ef6000f9d580898719f';

/** Cilium's own fixture, without -s. */
const CILIUM = `src 10.84.1.32 dst 10.84.0.30
	proto esp spi 0x00000003 reqid 1 mode tunnel
	replay-window 0 
	mark 0x3cb23e00/0xffffff00 output-mark 0xe00/0xf00
	aead rfc4106(gcm(aes)) ${KEY} 128
	anti-replay context: seq 0x0, oseq 0xc3, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0
`;

const POLICY = `src 0.0.0.0/0 dst 10.20.0.0/16 uid 0
	dir out action allow index 1 priority 7 ptype main share any flag localok (0x00000001)
	lifetime config:
	  limit: soft (INF)(bytes), hard 1000(bytes)
	  limit: soft (INF)(packets), hard (INF)(packets)
	  expire add: soft 0(sec), hard 60(sec)
	  expire use: soft 0(sec), hard 0(sec)
	lifetime current:
	  0(bytes), 0(packets)
	  add 2026-11-23 00:52:36 use -
	mark 0x3e00/0xff00 
	tmpl src 10.0.0.1 dst 10.0.0.2
		proto esp spi 0x00000003(3) reqid 1(0x00000001) mode tunnel
		level required share any 
		enc-mask ffffffff auth-mask ffffffff comp-mask ffffffff
	tmpl src 0.0.0.0 dst 0.0.0.0
		proto ah spi 0x00000000(0) reqid 0(0x00000000) mode transport
		level use share any 
`;

describe('states', () => {
  it('are read as they are printed', () => {
    const { states } = parseXfrm(CILIUM, 'n1');
    expect(states).toEqual([
      {
        src: '10.84.1.32',
        dst: '10.84.0.30',
        proto: 'esp',
        spi: 3,
        reqid: 1,
        mode: 'tunnel',
        replayWindow: 0,
        flags: [],
        seq: null,
        mark: { value: 0x3cb23e00, mask: 0xffffff00 },
        outputMark: { value: 0xe00, mask: 0xf00 },
        algorithms: [{ type: 'aead', name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128 }],
        encap: null,
        coa: null,
        antiReplay: {
          esn: false,
          seqHi: 0,
          seq: 0,
          oseqHi: 0,
          oseq: 0xc3,
          window: null,
          bitmap: ['00000000'],
        },
        selector: {
          src: '0.0.0.0/0',
          dst: '0.0.0.0/0',
          proto: null,
          sport: null,
          dport: null,
          type: null,
          code: null,
          key: null,
          dev: null,
          uid: null,
        },
        lifetime: null,
        use: null,
        stats: null,
        offload: null,
        ifId: null,
        tfcPad: null,
        direction: null,
        pcpuNum: null,
        natKeepalive: null,
        iptfs: null,
        secctx: null,
        lastUsed: null,
        damaged: [],
        origin: 'n1:1',
      },
    ]);
  });

  it('keep their keys to themselves unless they are asked for', () => {
    expect(JSON.stringify(parseXfrm(CILIUM, 'n1'))).not.toContain(KEY.slice(2));
    expect(parseXfrm(CILIUM, 'n1', true).states[0]!.algorithms[0]!.key).toBe(KEY.slice(2));
  });

  it('with hidden keys, of other protocols, with all that newer kernels print', () => {
    const { states } = parseXfrm(
      `src 10.0.0.1 dst 10.0.0.2
	proto esp spi 0x00000003 reqid 1 mode tunnel
	replay-window 0 flag decap-dscp esn extra_flag oseq-may-wrap (0x10000004)
	auth-trunc hmac(sha256) <<Keys hidden>> 128
	enc cbc(aes) <<Keys hidden>>
	encap type espinudp sport 4500 dport 4501 addr 0.0.0.0
	lastused 2026-11-23 01:42:00
	crypto offload parameters: dev eth0 dir out mode packet
	sel src 0.0.0.0/0 dst 0.0.0.0/0 proto tcp dport 80 dev eth1
	if_id 0x2a
	tfcpad 1400
	dir out
src 10.0.0.1 dst 10.0.0.2
	proto comp spi 0x0000cafe reqid 0 mode transport
	comp deflate
`,
      'n1',
    );
    expect(states[0]).toMatchObject({
      flags: ['decap-dscp', 'esn', 'oseq-may-wrap'],
      algorithms: [
        { type: 'auth-trunc', name: 'hmac(sha256)', keyBits: null, icvBits: 128 },
        { type: 'enc', name: 'cbc(aes)', keyBits: null, icvBits: null },
      ],
      encap: { type: 'espinudp', sport: 4500, dport: 4501, addr: '0.0.0.0' },
      lastUsed: '2026-11-23 01:42:00',
      offload: { dev: 'eth0', dir: 'out', mode: 'packet' },
      selector: { proto: 'tcp', dport: 80, dev: 'eth1' },
      ifId: 42,
      tfcPad: 1400,
      direction: 'out',
    });
    expect(states[1]).toMatchObject({ proto: 'comp', algorithms: [{ type: 'comp', name: 'deflate' }] });
  });
});

describe('policies', () => {
  it('are read as they are printed, and written as the command that sets them up', () => {
    const { policies } = parseXfrm(POLICY, 'n1');
    expect(policies).toMatchObject([
      {
        direction: 'out',
        index: 1,
        priority: 7,
        flags: ['localok'],
        mark: { value: 0x3e00, mask: 0xff00 },
        lifetime: { hardBytes: '1000', softBytes: null, hardAddSeconds: 60 },
        use: { added: '2026-11-23 00:52:36', used: null },
        templates: [
          { proto: 'esp', spi: 3, reqid: 1, mode: 'tunnel', level: 'required' },
          { proto: 'ah', spi: null, reqid: 0, mode: 'transport', level: 'use' },
        ],
      },
    ]);
    expect(writeXfrmCommands([parseTree(POLICY, 'n1')], { showKeys: true, note: () => {} })).toBe(
      'ip xfrm policy add src 0.0.0.0/0 dst 10.20.0.0/16 dir out mark 0x3e00 mask 0xff00 priority 7 flag localok limit byte-hard 1000 limit time-hard 60' +
        ' tmpl src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x00000003 reqid 1 mode tunnel' +
        ' tmpl src 0.0.0.0 dst 0.0.0.0 proto ah reqid 0 mode transport level use\n',
    );
  });
});

it('counts, with and without -s', () => {
  const { counts } = parseXfrm(
    `\t SAD count 3 (buckets count 8 Max 1048576)\n\t SPD IN  1 OUT 2 FWD 0 (Sock: IN 4 OUT 0 FWD 0)\n\t SPD buckets: count 8 Max 1048576\n`,
    'n1',
  );
  expect(counts).toMatchObject({
    'SAD count': 3,
    'SAD buckets': 8,
    'SPD IN': 1,
    'SPD OUT': 2,
    'SPD FWD': 0,
    'SPD socket IN': 4,
  });
  expect(parseXfrm('\t SAD count 0\n', 'n1').counts).toEqual({ 'SAD count': 0 });
});

it('events of a monitor, between states', () => {
  const { events, states, policies } = parseXfrm(
    `${CILIUM}Deleted ${CILIUM}Updated ${POLICY}Flushed state proto esp 
Async event  (0x10)  replay update 
	src 10.0.0.1 dst 10.0.0.2  reqid 0x1 protocol esp  SPI 0x3
`,
    'm',
  );
  expect(states).toHaveLength(1);
  expect(policies).toHaveLength(0);
  expect(
    events.map(({ event, state, policy }) => [event, state?.spi ?? null, policy?.priority ?? null]),
  ).toEqual([
    ['deleted', 3, null],
    ['updated', null, 7],
    ['flushed', null, null],
    ['async', null, null],
  ]);
});

needs([shared('captures')], 'texts of a Linux kernel', () => {
  const folders = readdirSync(CAPTURES, { withFileTypes: true }).filter((entry) => entry.isDirectory());

  it.each(folders.map(({ name }) => name))('%s', (name) => {
    for (const node of ['n1', 'n2']) {
      const read = (what: string) => readFileSync(`${CAPTURES}/${name}/${node}.${what}`, 'utf8');
      const [state, policy, stat] = [read('xfrm_state.txt'), read('xfrm_policy.txt'), read('xfrm_stat')];
      const trees = [parseTree(state, 's'), parseTree(policy, 'p'), parseTree(stat, 't')];
      const all = xfrmJson(trees, { showKeys: false });
      expect(all.unread).toEqual([]);
      // The same as the readers of the data plane see.
      const sas = parseXfrmState(state, 's');
      expect(all.states.map(({ src, dst, spi, mode, reqid }) => [src, dst, spi, mode, reqid])).toEqual(
        sas.map((sa) => [formatAddress(sa.src), formatAddress(sa.dst), sa.spi, sa.mode, sa.reqid]),
      );
      for (const [i, { antiReplay, use, stats }] of all.states.entries()) {
        expect(antiReplay).toMatchObject({ ...sas[i]!.sequence });
        expect(antiReplay!.bitmap.length).toBe(
          antiReplay!.window === null ? 1 : Math.ceil(antiReplay!.window / 32),
        );
        expect(Number(use!.packets)).toBeGreaterThanOrEqual(0);
        expect(stats).not.toBeNull();
      }
      expect(all.policies).toHaveLength(readPolicies(policy, 'p').policies.length);
      expect(all.policies.length).toBeGreaterThan(0);
      expect(Object.keys(all.stat)).toHaveLength(stat.trim().split('\n').length);
      // One text with all of it reads the same.
      const joined = parseXfrm(`${state}${policy}${stat}`, 'x');
      expect(joined.stat).toEqual(all.stat);
      expect(joined.states).toHaveLength(all.states.length);
      expect(joined.policies).toHaveLength(all.policies.length);
    }
  });
});

describe('bad input', () => {
  it('of no kind is an error', () => {
    expect(() => parseXfrm('hello\nworld', 'x')).toThrow(InputError);
    expect(() => parseXfrm('src 10.0.0.1 dst\n\tproto esp\n', 'x')).toThrow(/^x:1: neither/);
    expect(parseXfrm('', 'x').states).toEqual([]); // a kernel without states prints nothing
  });

  it('never fails otherwise, wherever it is cut and changed', () => {
    const text = `${CILIUM}${POLICY}Deleted ${CILIUM}XfrmInError \t0\n`;
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(text.length), fc.string(), (from, to, put) => {
        try {
          parseXfrm(text.slice(0, from) + put + text.slice(to), 'x');
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
        }
      }),
      { numRuns: Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 1000) },
    );
  });
});
