/**
 * The frames of `esplane conform make` at a Linux kernel: it gives each the verdict that stands in `verdicts.jsonl`.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { makeConform } from '../../src/conform/make.ts';
import { conformSettings, type SettingsOptions } from '../../src/conform/settings.ts';
import { frameOf } from '../support/ethernet.ts';
import { fullEngine, HAS_ADDON } from '../support/full-engine.ts';
import { KERNEL_NEEDS, KernelPlan, type Seen, sayRefused } from '../support/kernel.ts';
import { command, NEAR } from '../support/kernel-network.ts';
import { needs } from '../support/needs.ts';
import { address } from '../support/sa.ts';

const V4 = { src: address('192.0.2.1'), dst: address('192.0.2.2') };
const V6 = { src: address('2001:db8::1'), dst: address('2001:db8::2') };
const INNER4 = { innerSrc: address('10.0.1.10'), innerDst: address('10.0.2.20') };
const INNER6 = { innerSrc: address('fd00:1::10'), innerDst: address('fd00:2::20') };
const USUAL = { ...V4, ...INNER4, mode: 'tunnel', esn: false, udp: false } as const;

type Given = Omit<SettingsOptions, 'seed'>;

/** Every AEAD, and each encryption and integrity once; then every shape. */
const TESTS: readonly (readonly [name: string, given: Given])[] = [
  ...[
    ...['rfc4106(gcm(aes))', 'rfc4309(ccm(aes))', 'rfc4543(gcm(aes))', 'rfc7539esp(chacha20,poly1305)'],
    ...[
      'hmac(sha256)+cbc(aes)',
      'hmac(sha1)+rfc3686(ctr(aes))',
      'hmac(md5)+cbc(des3_ede)',
      'hmac(sha384)+cbc(des)',
    ],
    ...[
      'hmac(sha512)+cbc(camellia)',
      'xcbc(aes)+ecb(cipher_null)',
      'cmac(aes)+cbc(aes)',
      'digest_null+cbc(aes)',
    ],
    ...['hmac(rmd160)+cbc(aes)'],
    ...(HAS_ADDON ? ['hmac(sha256)+cbc(cast5)', 'cbc(blowfish)', 'cbc(serpent)', 'cbc(twofish)'] : []),
  ].flatMap((suite): [string, Given][] => [
    [suite, { ...USUAL, suite }],
    ...(suite.startsWith('digest_null')
      ? []
      : [
          [`${suite}, ESN, transport`, { ...USUAL, suite, esn: true, window: 128, mode: 'transport' }] as [
            string,
            Given,
          ],
        ]),
  ]),
  ...[
    ['window 32', { window: 32 }],
    ['window 1024', { window: 1024 }],
    ['no window', { window: 0 }],
    ['ESN, window 4096', { esn: true, window: 4096 }],
    ['in UDP', { udp: true }],
    ['in UDP, transport, ESN', { udp: true, mode: 'transport', esn: true }],
    ['over IPv6', V6],
    ['over IPv6, in UDP', { ...V6, udp: true }],
    ['over IPv6, transport', { ...V6, mode: 'transport' }],
    ['IPv6 in IPv4, ESN', { ...INNER6, esn: true }],
    ['IPv6 in IPv6', { ...V6, ...INNER6 }],
  ].map(([name, given]): [string, Given] => [
    name as string,
    { ...USUAL, suite: 'rfc4106(gcm(aes))', ...(given as object) },
  ]),
];

needs(KERNEL_NEEDS, 'a Linux kernel and verdicts.jsonl', () => {
  const plan = new KernelPlan();
  plan.setUp('near', NEAR);
  // Replies go out to who asked. Without a neighbour they come back as errors, which policies in count.
  plan.setUp(
    'near',
    ['10.0.1.10', 'fd00:1::10'].map((to) => `neigh add ${to} lladdr 02:00:00:00:00:01 dev e0`),
  );
  const made = TESTS.map(([, given], i) => {
    const settings = conformSettings({ ...given, seed: i + 1 });
    const frames = makeConform({
      ...settings,
      frames: 400,
      seed: i + 1,
      engine: fullEngine(),
      random: seededBytes(1),
    });
    return { ...settings, frames };
  });
  const refused = plan.ip(
    'near',
    made.map(({ sa }) => command(sa)),
  );
  const seen = made.map(({ frames }) => plan.inject(frames.map(({ packet }) => frameOf(packet))));

  beforeAll(async () => {
    await plan.run(250_000);
    sayRefused(
      refused(),
      TESTS.map(([name]) => name),
    );
  }, 260_000);

  describe('agree', () => {
    it.each(TESTS.map(([name], i) => [name, i] as const))('%s', (_, i) => {
      if (i in refused()) return;
      const kernel: readonly Seen[] = seen[i]!();
      // Both could refuse what was sealed wrong.
      expect(made[i]!.frames.filter(({ verdict }) => verdict === 'accepted').length).toBeGreaterThan(60);
      const differing = made[i]!.frames.flatMap(({ frame, behaviour, reason, counter }, k) => {
        const { counters } = kernel[k]!;
        const expected = counter === null ? {} : { [counter]: 1 };
        return JSON.stringify(counters) === JSON.stringify(expected)
          ? []
          : [`${frame} ${behaviour}: ${reason} ${JSON.stringify(counters)}`];
      });
      expect(differing).toEqual([]);
    });
  });
});
