/** Forged packets, which no key opens, do not hide the cause of packets that another key opens. */
import { describe, expect, it } from 'vitest';
import { KeyMaterial } from '../../../src/crypto/suite.ts';
import type { SaConfig } from '../../../src/ipsec/sa-config.ts';
import { codesOf, diagnosePackets, sender } from '../../support/diagnose.ts';
import { saConfig } from '../../support/sa.ts';

const config = saConfig({ esn: false });
const packets = (n: number, sa: SaConfig) => {
  const send = sender(sa, 0);
  return Array.from({ length: n }, () => send());
};

describe('forged packets', () => {
  const { keys } = config;
  const short = (sa: SaConfig): SaConfig => ({
    ...sa,
    keys: new KeyMaterial({ ...keys.suite, icvLen: 12 }, keys.key(), keys.salt(), keys.macKey()),
  });
  /** What opens with no key. */
  const forged = (n: number, sa: SaConfig) =>
    packets(n, sa).map((packet) => {
      packet.fill(0x5a, 44);
      return packet;
    });

  it('of other streams do not hide which key a stream has', () => {
    const others = Array.from({ length: 1400 }, (_, i) => saConfig({ spi: 100 + i, esn: false }));
    const steps = others.flatMap((sa) => forged(8, sa));
    const { findings } = diagnosePackets([...steps, ...packets(3, short(config))], {
      listed: [config, ...others],
    });
    expect(findings.filter(({ spi }) => spi === config.spi)).toMatchObject([
      { code: 'icv-length-differs', count: 3 },
    ]);
  });

  it('before those of a stream hide it for a while, and not for good', () => {
    const steps = [...forged(20, config), ...packets(64, short(config))];
    const { findings } = diagnosePackets(steps, { listed: [config] });
    expect(codesOf(findings)).toContain('icv-length-differs');
  });
});
