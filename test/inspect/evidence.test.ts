/**
 * Which SA a packet belongs to, by all that is known: as a kernel looks it up.
 */
import { describe, expect, it } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { decryptFile } from '../support/decrypt.ts';
import { needs, SHARED, shared } from '../support/needs.ts';
import { address, saConfig } from '../support/sa.ts';

const CASES = `${SHARED}/cases/texts`;

needs([shared('cases')], 'cases', () => {
  const lines = async (folder: string, capture: string, texts: readonly string[]) => {
    const xfrmState = texts.map((text) => `${CASES}/${folder}/${text}`);
    const found = await decryptFile(`${CASES}/${folder}/${capture}`, { xfrmState }, new NodeEngine());
    return found.map(({ verdict, counter }) => counter ?? verdict);
  };

  it('case texts 03: a state is found by destination and SPI, whatever the source is', async () => {
    expect(await lines('03-other-source', 'othersrc.pcap', ['othersrc.state'])).toEqual(['ok', 'ok']);
    expect(new Set(await lines('03-other-source', 'natt.pcap', ['natt.state']))).toEqual(new Set(['ok']));
  });

  it('case texts 04: the selector is matched with protocol and ports', async () => {
    expect(await lines('04-state-selector-ports', 'sel.pcap', ['sel.state'])).toEqual(
      Array.from({ length: 3 }, () => 'XfrmInStateMismatch'),
    );
  });

  it("case texts 07: the receiver's window judges, in any order of the texts", async () => {
    const texts = ['dir-out.txt', 'dir-in-same.txt'];
    for (const order of [texts, texts.toReversed()]) {
      const found = await lines('07-dir-out-window', 'esn-reorder.pcap', order);
      expect(found.filter((one) => one === 'ok')).toHaveLength(7);
      expect(found).toHaveLength(9);
    }
  });
});

describe('evidence', () => {
  const find = (states: readonly SaConfig[], src: string) => {
    const evidence = new Evidence({ states: [{ file: 'n2.txt', sas: states, keyless: [] }] });
    return evidence.resolve(src, '192.0.2.2', 3);
  };
  const here = { sequence: { seqHi: 0, seq: 9, oseqHi: 0, oseq: 0 } };
  const own = saConfig({ ...here, origin: 'own' });
  const other = saConfig({ ...here, src: address('192.0.2.77'), origin: 'other', replayWindow: 64 });
  const marked = { mark: { value: 0xd00, mask: 0xf00 } };

  it('takes the states of the source first, then those that ask for no mark', () => {
    expect(find([other, own], '192.0.2.1').held.map(({ sa }) => sa.origin)).toEqual(['own']);
    expect(find([other], '192.0.2.1')).toMatchObject({ atReceiver: 'held', candidates: [other] });
    expect(find([{ ...other, ...marked }], '192.0.2.1')).toMatchObject({
      atReceiver: 'missing',
      candidates: [],
    });
    expect(find([{ ...own, ...marked }], '192.0.2.1').atReceiver).toBe('held');
  });

  describe('of states with a line `dir`', () => {
    const sent = { sequence: { seqHi: 0, seq: 0, oseqHi: 0, oseq: 9 } };
    const to = saConfig({ direction: 'out', origin: 'to' });
    const back = saConfig({ src: to.dst, dst: to.src, spi: 4, direction: 'out', origin: 'back' });
    const holders = (...texts: (readonly SaConfig[])[]) => {
      const states = texts.map((sas, i) => ({ file: `${i}.txt`, sas, keyless: [] }));
      return new Evidence({ states }).states.map(({ sa, holder }) => `${sa.origin} ${holder}`);
    };

    it('goes by it where nothing was counted', () => {
      expect(holders([to, { ...back, direction: 'in' }])).toEqual(['to 192.0.2.1', 'back 192.0.2.1']);
      expect(holders([to])).toEqual(['to 192.0.2.1']);
    });

    it('knows one that is wrong by what the others have counted', () => {
      expect(holders([to, { ...back, ...sent }])).toEqual(['to 192.0.2.2', 'back 192.0.2.2']);
    });

    it('does not say whose they are where they contradict each other', () => {
      expect(holders([to, back])).toEqual(['to undefined', 'back undefined']);
    });

    it('believes a text that holds both ends of an SA', () => {
      const all = [to, back, { ...to, direction: 'in' as const }, { ...back, direction: 'in' as const }];
      expect(holders(all)).toEqual([...['to 192.0.2.1', 'back 192.0.2.2', 'to 192.0.2.2', 'back 192.0.2.1']]);
    });

    it("opens with the sender's, whose direction is the other one", () => {
      const evidence = new Evidence({ states: [{ file: 'n1.txt', sas: [to], keyless: [] }] });
      const { candidates } = evidence.resolve('192.0.2.1', '192.0.2.2', 3);
      expect(candidates.map(({ direction, origin }) => [direction, origin])).toEqual([[undefined, 'to']]);
    });
  });
});
