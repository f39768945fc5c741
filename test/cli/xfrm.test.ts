import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { XfrmJson } from '../../src/sa-text/xfrm-json.ts';
import { esplane } from '../support/cli.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

const FOLDER = `${CAPTURES}/native-v4`;
const STATE = `${FOLDER}/n2.xfrm_state.txt`;
const POLICY = `${FOLDER}/n2.xfrm_policy.txt`;

needs([shared('captures')], 'esplane xfrm', () => {
  it('reads files of any kind, and standard input', () => {
    const { code, stdout } = esplane(['xfrm', STATE, POLICY, '-'], readFileSync(`${FOLDER}/n2.xfrm_stat`));
    expect(code).toBe(0);
    const { states, policies, stat } = JSON.parse(stdout) as XfrmJson;
    expect(states[0]).toMatchObject({ spi: 3, flags: ['esn'], origin: `${STATE}:1` });
    expect(policies.length).toBeGreaterThan(0);
    expect(stat).toHaveProperty('XfrmInStateProtoError');
  });

  it('writes commands, with keys only for who asks', () => {
    const key = /0x[0-9a-f]{40}/.exec(readFileSync(STATE, 'utf8'))![0];
    const hidden = esplane(['xfrm', '--commands', STATE, POLICY]);
    expect(hidden.code).toBe(0);
    expect(hidden.stdout).toContain('ip xfrm policy add src 10.244.1.0/24 dst 10.244.2.0/24 dir in');
    expect(hidden.stdout).not.toContain(key.slice(2));
    expect(esplane(['xfrm', STATE]).stdout).not.toContain(key.slice(2));
    expect(esplane(['xfrm', '--commands', '--show-keys', STATE]).stdout).toContain(key);
  });

  it('says what is no such text', () => {
    const { code, stderr } = esplane(['xfrm', '-'], 'hello\n');
    expect(code).toBe(2);
    expect(stderr).toMatch(/^esplane: -:1: neither `ip xfrm` text nor/);
  });
});
