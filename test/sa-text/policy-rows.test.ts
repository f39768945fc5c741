/** Rows of policies are what the reader of trees makes of the same text, whatever form it has. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressIds, NO_ADDRESS, PrefixIds } from '../../src/sa-text/address-ids.ts';
import { type PolicyRow, policyRow, readPolicyRows, rowOfPolicy } from '../../src/sa-text/policy-rows.ts';
import { policiesOf } from '../../src/sa-text/to-policy.ts';
import { parseXfrm } from '../../src/sa-text/xfrm-parse.ts';
import { arbitraryChange, arbitraryPolicy } from '../support/arbitrary-xfrm.ts';
import { printPolicy } from '../support/iproute2.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 100);

const newIds = () => ({ addresses: new AddressIds(), prefixes: new PrefixIds() });

function plain(row: PolicyRow, { addresses, prefixes }: ReturnType<typeof newIds>): object {
  return {
    ...row,
    dst: prefixes.textOf(row.dst),
    from: row.from === NO_ADDRESS ? '' : addresses.textOf(row.from),
  };
}

function rows(text: string) {
  const ids = newIds();
  const found: object[] = [];
  const read = readPolicyRows(new TextEncoder().encode(text), 'x', ids, (row) => found.push(plain(row, ids)));
  return { found, ...read };
}

function byTree(text: string) {
  const ids = newIds();
  return policiesOf(parseXfrm(text, 'x', { mayBeNothing: true })).policies.map((policy) => {
    const row = policyRow();
    rowOfPolicy(policy, ids, row);
    return plain(row, ids);
  });
}

const LIMITS =
  '\tlifetime config:\n\t  limit: soft (INF)(bytes), hard (INF)(bytes)\n\t  limit: soft (INF)(packets), hard (INF)(packets)\n' +
  '\t  expire add: soft 0(sec), hard 0(sec)\n\t  expire use: soft 0(sec), hard 0(sec)\n';
const USUAL =
  'src 0.0.0.0/0 dst 10.20.0.0/16 \n\tdir out priority 0 ptype main \n\tmark 0x3e00/0xff00 \n\ttmpl src 10.0.0.1 dst 10.0.0.2\n\t\tproto esp spi 0x00000003 reqid 1 mode tunnel\n' +
  'src 0.0.0.0/0 dst 10.10.0.0/16 \n\tdir in priority 0 ptype main \n\ttmpl src 10.0.0.2 dst 10.0.0.1\n\t\tproto esp reqid 1 mode tunnel\n\t\tlevel use \n' +
  `src 10.0.0.1/32 dst 10.0.0.2/32 uid 0\n\tdir out action allow index 1 priority 0 ptype main share any flag  (0x00000000)\n${LIMITS}` +
  '\tlifetime current:\n\t  0(bytes), 0(packets)\n\t  add 2026-11-23 00:52:36 use -\n\tmark 0x3e00/0xff00 \n\ttmpl src 10.0.0.1 dst 10.0.0.2\n' +
  '\t\tproto esp spi 0x00000003(3) reqid 1(0x00000001) mode tunnel\n\t\tlevel required share any \n\t\tenc-mask ffffffff auth-mask ffffffff comp-mask ffffffff\n' +
  `src ::/0 dst ::/0 uid 0\n\tdir out action block priority 100 ptype main share any flag  (0x00000000)\n${LIMITS}\tmark 0xe00/0xf00 \n`;

describe('rows of policies', () => {
  it('say what they select and do', () => {
    expect(rows(USUAL).found).toEqual([
      {
        direction: 'out',
        isSocket: false,
        blocks: false,
        hasEsp: true,
        dst: '10.20.0.0/16',
        from: '10.0.0.1',
      },
      {
        direction: 'in',
        isSocket: false,
        blocks: false,
        hasEsp: true,
        dst: '10.10.0.0/16',
        from: '10.0.0.2',
      },
      {
        direction: 'out',
        isSocket: false,
        blocks: false,
        hasEsp: true,
        dst: '10.0.0.2/32',
        from: '10.0.0.1',
      },
      { direction: 'out', isSocket: false, blocks: true, hasEsp: false, dst: '::/0', from: '' },
    ]);
  });

  it('are those of the tree, for policies of every kind', () => {
    fc.assert(
      fc.property(fc.array(arbitraryPolicy('x:1'), { maxLength: 5 }), (policies) => {
        const text = `${policies.map((one) => printPolicy(one).split('\n').join('\n\t')).join('\n')}\n${USUAL}`;
        expect(rows(text).found).toEqual(byTree(text));
      }),
      { numRuns: RUNS / 2 },
    );
  });

  it('are those of the tree, whatever was changed in a text of the usual form', () => {
    fc.assert(
      fc.property(arbitraryChange(USUAL), (text) => {
        expect(rows(text).found).toEqual(byTree(text));
      }),
      { numRuns: 2 * RUNS },
    );
  });
});
