/**
 * Captures of one trouble each, made with a Linux kernel in User-mode Linux and kept in `pcaps/diagnose`: the diagnosis
 * counts what the kernels counted, and finds what was done to them.
 *
 * With ESPLANE_KEEP_CAPTURES=1 they are made anew first, which takes a minute or two.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { codesOf, diagnoseFile, xfrmStatOf } from '../support/diagnose.ts';
import { needs, program } from '../support/needs.ts';
import { runInUml, UML_NEEDS } from '../support/uml.ts';

const FOLDER = fileURLToPath(new URL('../../pcaps/diagnose/', import.meta.url));

/** What stands beside a capture. */
interface Expected {
  readonly keys?: readonly string[];
  readonly nodes?: readonly string[];
  /** Whether the policies are to be given, too. */
  readonly policy?: boolean;
  readonly findings: readonly string[];
  readonly notes?: readonly string[];
}

const NAMES = readdirSync(FOLDER).flatMap((file) => /^(.*)\.expected\.json$/.exec(file)?.[1] ?? []);

function load(name: string) {
  const expected = JSON.parse(readFileSync(`${FOLDER}${name}.expected.json`, 'utf8')) as Expected;
  const given = {
    keys: (expected.keys ?? []).map((file) => `${FOLDER}${file}`),
    nodes: (expected.nodes ?? []).map((file) => `${FOLDER}${file}`),
    xfrmState: ['n2', 'n1'].map((node) => `${FOLDER}${name}.${node}.xfrm_state.txt`),
    xfrmPolicy: expected.policy ? ['n2', 'n1'].map((node) => `${FOLDER}${name}.${node}.xfrm_policy.txt`) : [],
  };
  return { expected, given };
}

async function check(name: string): Promise<void> {
  const { expected, given } = load(name);
  const { receivers, findings, notes } = await diagnoseFile(`${FOLDER}${name}.pcap`, given);
  expect(codesOf(findings)).toEqual(expected.findings);
  expect(codesOf(notes)).toEqual(expected.notes ?? []);
  for (const { node, address, counters } of receivers) {
    const kernel = xfrmStatOf(
      `${FOLDER}${name}.${node === 'node-1' || address === '10.244.1.1' ? 'n1' : 'n2'}.xfrm_stat`,
    );
    const inbound = Object.entries(kernel).filter(([row]) => row.startsWith('XfrmIn'));
    expect(counters, address).toEqual(Object.fromEntries(inbound));
  }
}

if (process.env['ESPLANE_KEEP_CAPTURES'] === '1') {
  needs(
    [...UML_NEEDS, program('tcpdump', 'tcpdump'), program('ping', 'iputils-ping'), program('tc', 'iproute2')],
    'captures of troubles',
    () => {
      it('are made as pcaps/diagnose/make.sh makes them', async () => {
        const script = readFileSync(`${FOLDER}make.sh`, 'utf8');
        const modules = ['sch_prio', 'sch_netem', 'cls_u32'];
        const { files, stderr, exit } = await runInUml(script, { timeout: 290_000, modules });
        expect(exit, stderr).toBe(0);
        for (const [file, bytes] of files) writeFileSync(`${FOLDER}${file}`, bytes);
      }, 300_000);
    },
  );
}

describe('captures of troubles', () => {
  it('are all here', () => {
    expect(NAMES).toHaveLength(10);
  });

  it.each(NAMES)('%s', (name) => check(name));
});
