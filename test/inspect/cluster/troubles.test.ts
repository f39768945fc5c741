/**
 * The troubles of pcaps/diagnose as sysdumps, without capture and Secret: each is named wherever states, boot ids or counters
 * show it. docs/diagnose.md has the same as a table.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { sysdumpOfTrouble, TROUBLES } from '../../../scripts/sysdump/from-kernel.ts';
import { parseKeys } from '../../../src/cilium/keys.ts';
import { parseNodes } from '../../../src/cilium/nodes.ts';
import { DEFAULT_VERSION } from '../../../src/cilium/version.ts';
import { judgeSysdump } from '../../support/judge-sysdump.ts';

const FOLDER = fileURLToPath(new URL('../../../pcaps/diagnose', import.meta.url));

/** Codes of the findings, the row of a counter behind them. */
const FOUND: Readonly<Record<(typeof TROUBLES)[number], readonly string[]>> = {
  'counter-reset': ['counter-reset node-1', 'kernel-drops XfrmInStateProtoError'],
  'key-changed': [
    'wrong-key node-1',
    'kernel-drops XfrmInStateProtoError',
    'kernel-drops XfrmInStateProtoError',
  ],
  // What is lost on the way leaves no trace at the ends.
  'mtu-hole': [],
  'one-way': ['policy-missing node-2'],
  reordered: ['packets-refused node-2', 'kernel-drops XfrmInStateProtoError'],
  'rotation-out-of-step': [
    'rotation-out-of-step node-1',
    'kernel-drops XfrmInNoStates',
    'kernel-drops XfrmInNoStates',
  ],
  'sa-gone': ['sa-gone node-2', 'kernel-drops XfrmInNoStates'],
  // Without the Secret nothing says which boot id it was.
  'stale-boot-id': ['wrong-key node-1', 'kernel-drops XfrmInStateProtoError'],
  'too-big': [],
  'two-senders': ['packets-refused node-2', 'kernel-drops XfrmInStateSeqError'],
};

describe('a sysdump without capture and Secret', () => {
  it.each(TROUBLES)('of %s names what states and counters show', async (trouble) => {
    const { findings, conclusion } = await judgeSysdump(sysdumpOfTrouble(FOLDER, trouble));
    const said = findings.map(({ code, node, counter }) =>
      code.endsWith('-drops') ? `${code} ${counter}` : `${code} ${node}`,
    );
    expect(said).toEqual(FOUND[trouble]);
    for (const { basis } of findings) expect(basis).toBe('told');
    if (findings.length > 0) return;
    expect(conclusion).toMatchObject({ code: 'clean', basis: 'told' });
    expect(conclusion.summary).toContain('Both ends of 2 of 2 SAs hold the same key, in 2 of 2 directions');
  });
});

describe('a sysdump with the Secret', () => {
  const read = (name: string) => readFileSync(`${FOLDER}/${name}`, 'utf8');
  const keysOf = (name: string) => parseKeys(read(name), name, DEFAULT_VERSION);

  it('proves which boot id was out of date', async () => {
    const { findings } = await judgeSysdump(sysdumpOfTrouble(FOLDER, 'stale-boot-id'), {
      keys: keysOf('keys'),
      old: { nodes: parseNodes(read('nodes.old.json'), 'nodes.old.json') },
    });
    expect(findings[0]).toMatchObject({ code: 'stale-boot-id', node: 'node-2', basis: 'told' });
    expect(findings[0]!.summary).toContain(
      'The key of node-2 is that of key id 3 of keys with the boot id 11d3f0aa-52c7-4b0e-8e19-c0ffee7c8d21 that node-1 had in nodes.old.json',
    );
  });

  it('proves that a key was changed under its id', async () => {
    const { findings } = await judgeSysdump(sysdumpOfTrouble(FOLDER, 'key-changed'), {
      keys: keysOf('keys'),
      old: { keys: keysOf('keys.old') },
    });
    expect(findings[0]).toMatchObject({ code: 'key-changed', node: 'node-2' });
    expect(JSON.stringify(findings)).not.toContain('5f1e2d3c');
  });

  it('finds no fault with keys that follow from it', async () => {
    const { findings } = await judgeSysdump(sysdumpOfTrouble(FOLDER, 'mtu-hole'), { keys: keysOf('keys') });
    expect(findings).toEqual([]);
  });
});
