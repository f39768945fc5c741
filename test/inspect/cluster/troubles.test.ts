/**
 * The troubles of pcaps/diagnose as sysdumps, without capture and Secret: each is named wherever states, boot ids or counters
 * show it. docs/diagnose.md has the same as a table.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { sysdumpOfTrouble, TROUBLES } from '../../../scripts/sysdump/from-kernel.ts';
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
