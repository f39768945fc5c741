import { describe, expect, it } from 'vitest';
import { parseVersion } from '../../src/cilium/version.ts';
import { encryptionStatus, type StatusFigures, statusJson, statusText } from '../../src/observe/status.ts';

const V118 = parseVersion('1.18');
const V119 = parseVersion('1.19');

const figures = (given: Partial<StatusFigures> = {}): StatusFigures => ({
  keys: 4,
  xfrm: { XfrmOutPolBlock: 1, XfrmInNoStates: 3 },
  sas: [
    { direction: 'out', reqid: 1, seqLo: 0x1e3 },
    { direction: 'out', reqid: 1, seqLo: 7 },
    { direction: 'in', reqid: 1, seqLo: 0xfff },
    { direction: 'out', reqid: 2, seqLo: 0xffff },
  ],
  ...given,
});
const text = (given: Partial<StatusFigures>, version = V118) =>
  statusText(encryptionStatus(figures(given), ['eth0', 'eth1'], version));

describe('encrypt status as text', () => {
  it('is what cilium-dbg prints, byte for byte', () => {
    expect(text({})).toBe(
      [
        'Encryption: IPsec                     ',
        'Decryption interface(s): eth0, eth1',
        'Keys in use: 4                         ',
        'Max Seq. Number: 0x1e3/0xffffffff',
        'Errors: 4                         ',
        '\tXfrmInNoStates: 3                         ',
        '\tXfrmOutPolBlock: 1                         ',
        '',
      ].join('\n'),
    );
  });

  it('has the denominator of the version', () => {
    expect(text({}, V119)).toContain('\nMax Seq. Number: 0x1e3/0xffffffffffffffff\n');
    expect(text({}, parseVersion('1.17'))).toContain('\nMax Seq. Number: 0x1e3/0xffffffff\n');
  });

  it('says N/A before the first packet, and 0 errors', () => {
    expect(text({ sas: [], xfrm: {} })).toMatch(/\nMax Seq\. Number: N\/A\nErrors: 0 {25}\n$/);
  });

  it('says nothing more without keys from 1.19 on', () => {
    expect(text({ keys: 0, sas: [] }, V119)).toBe('Encryption: IPsec                     \n');
    expect(text({ keys: 0, sas: [] })).toContain('\nKeys in use: 0                         \n');
  });
});

describe('encrypt status as JSON', () => {
  it('is what -o json prints', () => {
    expect(statusJson(encryptionStatus(figures(), ['eth0'], V119))).toBe(`{
  "ipsec": {
    "decrypt-interfaces": [
      "eth0"
    ],
    "error-count": 4,
    "keys-in-use": 4,
    "max-seq-number": "0x1e3/0xffffffffffffffff",
    "xfrm-errors": {
      "XfrmInNoStates": 3,
      "XfrmOutPolBlock": 1
    }
  },
  "mode": "IPsec"
}
`);
  });

  it('leaves counts of 0 out, as Go does, and sorts errors by name', () => {
    const parsed = JSON.parse(statusJson(encryptionStatus(figures({ xfrm: {} }), ['eth0'], V118))) as object;
    expect(parsed).toEqual({
      ipsec: { 'decrypt-interfaces': ['eth0'], 'keys-in-use': 4, 'max-seq-number': '0x1e3/0xffffffff' },
      mode: 'IPsec',
    });
    const xfrm = { XfrmInStateSeqError: 1, XfrmFwdHdrError: 2 };
    expect(statusJson(encryptionStatus(figures({ xfrm }), [], V118))).toMatch(
      /XfrmFwdHdrError[\s\S]*XfrmInStateSeqError/,
    );
  });
});
