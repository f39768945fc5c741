/**
 * What two SAs have to share for one row to be of both.
 */
import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import { aead } from '../../src/crypto/suite.ts';
import { rowIdentity } from '../../src/ipsec/row-identity.ts';
import { address, saConfig } from '../support/sa.ts';

describe('the identity of a row', () => {
  const text = (given: Parameters<typeof saConfig>[0], twin?: number) =>
    Buffer.from(rowIdentity(saConfig(given), twin)).toString('hex');

  it('is that of number space and key, not of marks, windows and modes', () => {
    const same = text({});
    expect(
      text({ mark: { value: 1, mask: 1 }, reqid: 7, mode: 'transport', replayWindow: 32, origin: 'other' }),
    ).toBe(same);
    const others = [
      text({ spi: 4 }),
      text({ esn: false }),
      text({ src: address('192.0.2.3') }),
      text({ dst: address('192.0.2.3') }),
      text({ keys: aead('rfc4106(gcm(aes))', hex('4142434445464748494a4b4c4d4e4f5001020305'), 128) }),
      text({ keys: aead('rfc4106(gcm(aes))', hex('4142434445464748494a4b4c4d4e4f5101020304'), 128) }),
      text({ keys: aead('rfc4106(gcm(aes))', hex('4142434445464748494a4b4c4d4e4f5001020304'), 96) }),
      text({}, 1),
    ];
    expect(new Set([same, ...others]).size).toBe(others.length + 1);
  });

  it('does not hold the key', () => {
    expect(text({})).not.toContain('4142434445');
    expect(text({})).toHaveLength(40);
  });
});
