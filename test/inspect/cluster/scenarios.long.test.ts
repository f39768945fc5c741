/** The scenarios of examples/ as sysdumps, at their end: docs/diagnose.md has the same as a table. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sysdumpOfScenario } from '../../../scripts/sysdump/from-scenario.ts';
import { NodeEngine } from '../../../src/crypto/node.ts';
import { parseScenario } from '../../../src/sim/scenario.ts';
import { judgeSysdump } from '../../support/judge-sysdump.ts';

const FOUND: Readonly<Record<string, readonly string[]>> = {
  'agent-restart': ['packets-refused'],
  'bad-line': ['packets-refused', 'kernel-drops'],
  'clear-before-ipcache': [],
  'key-changed': ['wrong-key', 'kernel-drops'],
  'mtu-hole': [],
  'node-joins': [],
  'node-removed': ['sa-gone'],
  partition: [],
  'peer-without-key': ['sa-gone', 'policy-missing', 'sender-drops'],
  reboot: ['packets-refused'],
  reordering: ['packets-refused', 'kernel-drops'],
  replay: ['packets-refused'],
  rotation: [],
  'rotation-old-order': [],
  'sequence-exhausted': ['sequence-near-end'],
  'stale-boot-id': ['wrong-key', 'packets-refused', 'kernel-drops'],
  strict: [],
};

it.each(Object.entries(FOUND))(
  'of %s',
  async (name, codes) => {
    const scenario = parseScenario(readFileSync(`examples/${name}.yaml`, 'utf8'), name);
    const { findings, conclusion } = await judgeSysdump(sysdumpOfScenario(scenario, new NodeEngine()));
    expect([...new Set(findings.map(({ code }) => code))]).toEqual(codes);
    if (findings.length === 0) expect(conclusion).toMatchObject({ code: 'clean', basis: 'told' });
  },
  120_000,
);
