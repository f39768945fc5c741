/** SAs as commands, through iproute2 into a real kernel, out again as text, and read: they must be the same. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { InputError } from '../../src/base/errors.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { parseXfrmState } from '../../src/sa-text/xfrm-sas.ts';
import { writeXfrmState } from '../../src/sa-text/xfrm-write.ts';
import { formatAddress, formatPrefix, isAny, parseAddress, parsePrefix } from '../../src/wire/address.ts';
import { anySa, EVERY_SUITE } from '../support/arbitrary-sa.ts';
import { needs } from '../support/needs.ts';
import { runInUml, UML_NEEDS } from '../support/uml.ts';

const ANY4 = { src: parsePrefix('0.0.0.0/0')!, dst: parsePrefix('0.0.0.0/0')! };

/** As Cilium sets up states, with every suite in place of its own. */
const PLAIN: SaConfig[] = EVERY_SUITE.map(([name, keys], i) => ({
  src: parseAddress('10.244.1.1')!,
  dst: parseAddress('10.244.2.1')!,
  spi: 0x100 + i,
  mode: 'tunnel',
  keys,
  esn: i % 2 === 0 && keys.suite.icvLen > 0,
  replayWindow: i % 2 === 0 ? 1024 : 0,
  reqid: 1,
  selector: ANY4,
  mark: { value: 0x3cb23e00, mask: 0xffffff00 },
  outputMark: { value: 0xe00, mask: 0xffffff00 },
  flags: [],
  origin: name,
}));

/** SAs of all kinds, as far as Linux and iproute2 take them. */
const RANDOM: SaConfig[] = fc.sample(anySa, { numRuns: 80, seed: 20261123 }).map((any, i) => {
  const { selector, ...sa } = any;
  const sameFamily = selector?.src.address.length === sa.src.length;
  return {
    ...sa,
    spi: 0x1000 + i,
    // A state for every destination is none, and a mark without mask is not sent by iproute2.
    dst: isAny(sa.dst) ? sa.dst.map(() => 1) : sa.dst,
    esn: sa.esn && sa.keys.suite.icvLen > 0,
    ...(sa.mark && { mark: { value: sa.mark.value, mask: sa.mark.mask || 1 } }),
    ...(sa.outputMark && { outputMark: { value: sa.outputMark.value, mask: sa.outputMark.mask || 1 } }),
    // Only a tunnel changes the family.
    ...(selector && (sa.mode === 'tunnel' || sameFamily) && { selector }),
  };
});

/** What comes back from the kernel for an SA, in one form for both sides. */
function content(sa: SaConfig) {
  const { seqHi, seq, oseqHi, oseq } = sa.sequence ?? { seqHi: 0, seq: 0, oseqHi: 0, oseq: 0 };
  const family = sa.src.length === 4 ? '0.0.0.0/0' : '::/0';
  const inner = sa.selector && `${formatPrefix(sa.selector.src)} ${formatPrefix(sa.selector.dst)}`;
  return {
    addresses: `${formatAddress(sa.src)} ${formatAddress(sa.dst)}`,
    spi: sa.spi,
    mode: sa.mode,
    suite: sa.keys.suite,
    keys: [sa.keys.key(), sa.keys.salt(), sa.keys.macKey()].map((key) => toHex(key)).join(' '),
    esn: sa.esn,
    // Linux has no ESN without a window: the least one is written.
    replayWindow: sa.esn && sa.replayWindow === 0 ? 32 : sa.replayWindow,
    reqid: sa.reqid,
    // In transport mode the inner family is the outer one, and the kernel says so.
    selector:
      inner ?? (sa.mode === 'transport' && !sa.flags.includes('af-unspec') ? `${family} ${family}` : 'any'),
    // The kernel keeps what counts of a mark.
    mark: sa.mark && { value: (sa.mark.value & sa.mark.mask) >>> 0, mask: sa.mark.mask },
    outputMark: sa.outputMark,
    encap: sa.encap,
    flags: [
      ...sa.flags,
      ...(sa.mode === 'tunnel' && !sa.selector && !sa.flags.includes('af-unspec') ? ['af-unspec'] : []),
    ].sort(),
    lifetime: sa.lifetime ?? {},
    sequence: sa.esn ? [seqHi, seq, oseqHi, oseq] : [0, seq, 0, oseq],
  };
}

needs(UML_NEEDS, 'ip xfrm state in a real kernel', () => {
  it('takes every command and gives the same SAs back', async () => {
    const sas = [...PLAIN, ...RANDOM];
    const { files, stderr } = await runInUml(
      `
      sh -x add 2> refused
      ip -s xfrm state > stats
      ip xfrm state > plain
      ip -s -o xfrm state > oneline
      ip xfrm state list nokeys > nokeys
      ip xfrm state flush
      sh hidden
      ip xfrm state count > count
      ip xfrm policy add src 0.0.0.0/0 dst 10.20.0.0/16 dir out priority 7 mark 0x3e00 mask 0xff00 tmpl src 10.0.0.1 dst 10.0.0.2 proto esp spi 3 reqid 1 mode tunnel
      ip -s xfrm policy > policy`,
      {
        timeout: 180_000,
        files: {
          add: writeXfrmState(sas, { showKeys: true }),
          hidden: writeXfrmState(sas, { showKeys: false }),
        },
      },
    );
    const text = (name: string) => new TextDecoder().decode(files.get(name));

    // Commands that failed stand before what `ip` said of them.
    expect(
      text('refused')
        .split('\n')
        .filter((line) => !line.startsWith('+')),
    ).toEqual(['']);
    const bySpi = (read: readonly SaConfig[]) => [...read].sort((a, b) => a.spi - b.spi).map(content);
    expect(bySpi(parseXfrmState(text('stats'), 'stats'))).toEqual(bySpi(sas));
    expect(bySpi(parseXfrmState(text('oneline'), 'oneline'))).toEqual(bySpi(sas));

    // Without -s there are no limits, and no extra flags.
    const less = (sa: SaConfig) => ({
      ...content(sa),
      lifetime: {},
      flags: sa.flags.filter((flag) => flag === 'noecn'),
    });
    const plain = [...parseXfrmState(text('plain'), 'plain')].sort((a, b) => a.spi - b.spi);
    expect(plain.map(less)).toEqual(sas.map(less));

    expect(() => parseXfrmState(text('nokeys'), 'nokeys')).toThrow(InputError);
    expect(() => parseXfrmState(text('nokeys'), 'nokeys')).toThrow(/its key is hidden/);

    // Commands without keys do nothing but fail. Those that need no key are no secret.
    const keyless = sas.filter(({ keys }) => keys.key().length + keys.macKey().length === 0);
    expect(text('count')).toBe(`\t SAD count ${keyless.length}\n`);
    expect(stderr).toContain('ALGO-KEYMAT');

    expect(readPolicies(text('policy'), 'policy').policies).toMatchObject([
      {
        direction: 'out',
        priority: 7,
        mark: { value: 0x3e00, mask: 0xff00 },
        templates: [{ spi: 3, mode: 'tunnel' }],
      },
    ]);
  }, 200_000);
});
