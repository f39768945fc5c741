/**
 * The chapter about keys: lines taken apart, and two ends that may not agree.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import { deriveKey } from '../../../src/cilium/derive.ts';
import { type ReadLine, readLine } from '../../../src/web/model/key-line.ts';
import { BOOT_IDS, ENDS, isBootId, REBOOTED, twoEnds } from '../../../src/web/model/two-ends.ts';
import { address } from '../../support/sa.ts';

const GCM = '3+ rfc4106(gcm(aes)) 44434241343332312423222114131211f4f3f2f1 128';
const CBC = '3 hmac(sha256) 0123456789abcdef0123456789abcdef cbc(aes) fedcba9876543210fedcba9876543210';

function good(read: ReadLine) {
  if ('problem' in read) throw new Error(read.problem);
  return read;
}

describe('a line', () => {
  it('falls into its parts', () => {
    const parts = good(readLine(GCM)).parts.map(({ id, text }) => [id, text]);
    expect(parts).toEqual([
      ['id', '3'],
      ['plus', '+'],
      ['algorithm', 'rfc4106(gcm(aes))'],
      ['key', '44434241343332312423222114131211'],
      ['salt', 'f4f3f2f1'],
      ['icv', '128'],
    ]);
    expect(good(readLine(CBC)).parts.map(({ id }) => id)).toEqual(['id', 'auth', 'auth-key', 'enc', 'key']);
  });

  it('leaves out nothing but spaces', () => {
    for (const line of [GCM, `${GCM}\n`, CBC, GCM.replace('4443', '0x4443')]) {
      const all = good(readLine(line))
        .parts.map(({ text }) => text)
        .join('');
      expect(all).toBe(line.replace(/\s/g, ''));
    }
  });

  it('that is wrong is named without its key', () => {
    const read = readLine(GCM.replace('3+', '16+'));
    expect(read).toEqual({ problem: expect.stringContaining('key id is above 15') });
    expect(JSON.stringify(read)).not.toContain('4443');
    for (const line of ['', '\0', 'x'.repeat(10_000), GCM + GCM, `${GCM}\n${GCM}`])
      expect(readLine(line)).toHaveProperty('problem');
  });
});

describe('two ends', () => {
  const { key } = good(readLine(GCM));

  it('derive as the core does', () => {
    const [out] = twoEnds({ key, family: 4, atOne: BOOT_IDS, atTwo: BOOT_IDS });
    const base = fromHex('44434241343332312423222114131211f4f3f2f1')!;
    const [one, two] = ENDS[4].map(address);
    const want = toHex(deriveKey(base, one!, two!, ...BOOT_IDS));
    expect(out.sender.key + out.sender.salt).toBe(want);
    const hashed = out.sender.inputs.map(({ bytes }) => toHex(bytes)).join('');
    expect(hashed).toMatch(/^44434241343332312423222114131211f4f3f2f10af401010af40201/);
    expect(hashed).toHaveLength(2 * (20 + 4 + 4 + 36 + 36));
  });

  it.each([4, 6] as const)(
    'agree over IPv%i while they believe the same, each way with keys of its own',
    (family) => {
      for (const line of [GCM, CBC]) {
        const ways = twoEnds({ key: good(readLine(line)).key, family, atOne: BOOT_IDS, atTwo: BOOT_IDS });
        expect(ways.map(({ outcome }) => outcome)).toEqual(['delivered', 'delivered']);
        expect(ways[0].sender.key).not.toBe(ways[1].sender.key);
      }
    },
  );

  it('agree on nothing once one of them has an old boot id', () => {
    const ways = twoEnds({ key, family: 4, atOne: BOOT_IDS, atTwo: [BOOT_IDS[0], REBOOTED] });
    for (const { agree, outcome } of ways) {
      expect(agree).toBe(false);
      expect(outcome).toEqual({ reason: expect.any(String), counter: 'XfrmInStateProtoError' });
    }
  });

  it('deliver exactly when they agree', () => {
    const bootId = fc.constantFrom(...BOOT_IDS, REBOOTED);
    const pair = fc.tuple(bootId, bootId);
    fc.assert(
      fc.property(pair, pair, (atOne, atTwo) => {
        const same = atOne[0] === atTwo[0] && atOne[1] === atTwo[1];
        for (const { outcome, agree } of twoEnds({ key, family: 6, atOne, atTwo })) {
          expect(agree).toBe(same);
          expect(outcome === 'delivered').toBe(same);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('know what is no boot id', () => {
    expect(isBootId(BOOT_IDS[0])).toBe(true);
    expect(isBootId(BOOT_IDS[0].slice(1))).toBe(false);
  });
});
