/** Text of a real kernel, as JSON, as commands, into another kernel, and out again: it must say the same. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseXfrm, type XfrmJson } from '../../src/inspect/xfrm-json.ts';
import { writeXfrmPolicy } from '../../src/inspect/xfrm-policy-write.ts';
import { parseXfrmState } from '../../src/inspect/xfrm-state.ts';
import { writeXfrmState } from '../../src/inspect/xfrm-write.ts';
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

needs([...UML_NEEDS, shared('captures')], 'ip xfrm text through JSON and commands into a kernel', () => {
  it('comes out the same', async () => {
    const files: Record<string, string> = {};
    const texts = new Map<string, { state: string; policy: string }>();
    for (const name of FOLDERS) {
      const state = readFileSync(`${CAPTURES}/${name}/n2.xfrm_state.txt`, 'utf8');
      const policy = `${readFileSync(`${CAPTURES}/${name}/n2.xfrm_policy.txt`, 'utf8')}${ODD}`;
      texts.set(name, { state, policy });
      files[`${name}.sh`] =
        writeXfrmState(parseXfrmState(state, name), { showKeys: true }) +
        writeXfrmPolicy(parseXfrm(policy, name).policies);
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
    const { files: out } = await runInUml(`touch said\n${script}\n${monitor}`, { timeout: 120_000, files });
    const text = (name: string) => new TextDecoder().decode(out.get(name));
    expect(text('said')).toBe('');
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
