/** Rows of states are what the reader of trees makes of the same text, whatever form it has. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressIds } from '../../src/sa-text/address-ids.ts';
import { readStateRows, rowOfState, stateRow } from '../../src/sa-text/state-rows.ts';
import { parseXfrm } from '../../src/sa-text/xfrm-parse.ts';
import type { XfrmState } from '../../src/sa-text/xfrm-tree.ts';
import { arbitraryChange, arbitraryState } from '../support/arbitrary-xfrm.ts';
import { printState } from '../support/iproute2.ts';
import { HERE_TEXTS } from '../support/state-texts.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 100);
const encode = (text: string) => new TextEncoder().encode(text);

/** Rows with addresses as text, in the order of their lines. */
function rows(text: string) {
  const ids = new AddressIds();
  const found: object[] = [];
  const read = readStateRows(encode(text), 'x', ids, {
    row: (row) =>
      found.push({ ...row, hash: [...row.hash], src: ids.textOf(row.src), dst: ids.textOf(row.dst) }),
  });
  return { found, omitted: read.omitted };
}

/** The same by way of the tree. */
function byTree(text: string) {
  const ids = new AddressIds();
  const row = stateRow();
  const found: object[] = [];
  for (const state of parseXfrm(text, 'x', { mayBeNothing: true }).states) {
    if (rowOfState(state, ids, row)) continue;
    found.push({ ...row, hash: [...row.hash], src: ids.textOf(row.src), dst: ids.textOf(row.dst) });
  }
  return found;
}

/** With iproute2's tabs and blanks. */
function asPrinted(state: XfrmState): string {
  const inner = /^(?:limit:|expire |add |\d+\(bytes\)|replay-window \d+ replay)/;
  const ofContext = /^(?:seq-hi|replay_window|(?:[0-9a-f]{8} ?)+$)/;
  return printState(state)
    .split('\n')
    .map((line, i) =>
      i === 0 ? line : `\t${inner.test(line) ? '  ' : ofContext.test(line) ? ' ' : ''}${line}`,
    )
    .join('\n');
}

/** States as Cilium makes them, so that most have the usual form. */
const usual = arbitraryState('x:1').map(
  (state): XfrmState => ({
    ...state,
    src: '10.0.0.1',
    dst: '10.0.0.2',
    proto: 'esp',
    mode: 'tunnel',
    spi: (state.spi ?? 0) || 3,
    flags: state.flags.includes('esn') ? ['af-unspec', 'esn'] : [],
    extraFlags: [],
    algorithms: [
      {
        type: 'aead',
        name: 'rfc4106(gcm(aes))',
        keyBits: state.use === null ? null : 160,
        icvBits: 128,
        line: 4,
        ...((state.spi ?? 0) % 2 === 0
          ? { keyHash: 'ab12'.repeat(16) }
          : { key: '00112233445566778899aabbccddeeff01020304' }),
      },
    ],
    encap: null,
    coa: null,
    selector: null,
    offload: null,
    ifId: null,
    tfcPad: null,
    pcpuNum: null,
    natKeepalive: null,
    iptfs: null,
    secctx: null,
    lastUsed: null,
    lifetime: state.lifetime && {
      softBytes: null,
      hardBytes: null,
      softPackets: null,
      hardPackets: null,
      softAddSeconds: null,
      hardAddSeconds: null,
      softUseSeconds: null,
      hardUseSeconds: null,
    },
  }),
);

describe('rows of states', () => {
  it('are those of the tree, for states of every kind', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(arbitraryState('x:1'), usual), { maxLength: 6 }), (states) => {
        const text = `${states.map(asPrinted).join('\n')}\n`;
        expect(rows(text).found).toEqual(byTree(text));
      }),
      { numRuns: RUNS / 2 },
    );
  });

  it('are those of the tree, whatever was changed in a text of the usual form', () => {
    const whole = HERE_TEXTS.usual;
    expect(rows(whole).found).toHaveLength(4);
    fc.assert(
      fc.property(arbitraryChange(whole), (text) => {
        expect(rows(text).found).toEqual(byTree(text));
      }),
      { numRuns: RUNS },
    );
  });

  it('say what is left out, and in which line', () => {
    const text = HERE_TEXTS.usual.replace('proto esp', 'proto ah');
    expect(rows(text).found).toHaveLength(3);
    expect(rows(text).omitted).toEqual([{ origin: 'x:1', why: 'the state is left out: its protocol is ah' }]);
  });
});
