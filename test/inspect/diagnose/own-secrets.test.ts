/** What a capture says of itself, in its secrets: when SAs were made, and which nodes there are. */
import { describe, expect, it } from 'vitest';
import type { SaConfig } from '../../../src/ipsec/sa-config.ts';
import { NEW_LINE, writeDsbCsv, writeGone, writeNodes } from '../../../src/sa-text/dsb-csv.ts';
import { nodeObject, nodesFrom } from '../../support/cilium-cluster.ts';
import { codesOf, diagnosePackets, sender } from '../../support/diagnose.ts';
import { address, ipv4Packet, SUITES, saConfig } from '../../support/sa.ts';

const secrets = (text: string, ...sas: readonly SaConfig[]) => ({
  secrets: `${text}${writeDsbCsv(sas, { showKeys: true })}`,
});
const many = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);

describe('an SA that was made under way', () => {
  const old = saConfig();
  const next = saConfig({ spi: 4, keys: SUITES[0]! });
  const send = sender(old);
  const before = many(3, () => send());
  const sendNext = sender(next, 0);
  const after = many(6, () => sendNext());

  it('counts from 1: what came by of it later is missing the first numbers', () => {
    const { findings, streams } = diagnosePackets(
      [secrets('', old), ...before, secrets(NEW_LINE, next), ...after.slice(4)],
      {},
    );
    expect(streams[1]).toMatchObject({ spi: 4, packets: 2, ok: 2, missing: 4 });
    expect(codesOf(findings)).toEqual(['missing-numbers']);
    expect(findings[0]).toMatchObject({ frames: [4] });
    expect(findings[0]!.summary).toMatch(/4 are in a row, right before frame 4, which came 1\.000 s after/);
  });

  it('and is missing nothing where all came, or came before the SA was there', () => {
    const steps = (at: number) => [
      secrets('', old),
      ...before,
      ...after.slice(0, at),
      secrets(NEW_LINE, next),
      ...after.slice(at),
    ];
    expect(diagnosePackets(steps(0), {}).findings).toEqual([]);
    const { findings, streams } = diagnosePackets(steps(2), {});
    expect(codesOf(findings)).toEqual(['rotation-out-of-step']);
    expect(streams[1]).toMatchObject({ missing: 0 });
  });

  it.each([
    ['the capture does not say that it is new', [secrets('', old), ...before, secrets('', next)]],
    ['nothing was sent under the one before', [secrets('', old), secrets(NEW_LINE, next)]],
    [
      'the receiver made its end anew, and the sender did not',
      [
        secrets('', old),
        ...before,
        secrets('', next),
        after[0]!,
        secrets(writeGone([next]) + NEW_LINE, next),
      ],
    ],
  ])('begins where the capture shows it first if %s', (_, steps) => {
    expect(diagnosePackets([...steps, ...after.slice(4)], {}).findings).toEqual([]);
  });
});

it('an SA that comes after the first packets under it is late, and not unknown', () => {
  const sa = saConfig();
  const send = sender(sa);
  const steps = [secrets('# no SAs\n'), send(), send(), secrets(NEW_LINE, sa), send()];
  const { findings } = diagnosePackets(steps, { listed: [saConfig({ spi: 9, src: sa.dst, dst: sa.src })] });
  expect(codesOf(findings)).toEqual(['sa-gone']);
  expect(findings[0]).toMatchObject({ frames: [1, 2] });
  expect(findings[0]!.summary).toContain('before 192.0.2.2 had an SA for it, which it had by frame 3');
});

describe('the nodes that a capture names', () => {
  const nodes = nodesFrom(...[1, 2].map((i) => nodeObject(i, { ipam: { podCIDRs: [`10.244.${i}.0/24`] } })));
  const pods = ipv4Packet(80, { src: address('10.244.1.10'), dst: address('10.244.2.20'), ttl: 63 });

  it('tell pods in the clear from other hosts', () => {
    const other = ipv4Packet(80, { src: address('10.244.1.10'), dst: address('198.51.100.1') });
    const toNode = ipv4Packet(80, { src: address('10.244.1.10'), dst: address('192.168.7.2') });
    const here = ipv4Packet(80, { src: address('10.244.1.10'), dst: address('10.244.1.11') });
    const frames = [pods, other, toNode, here];
    const { findings } = diagnosePackets([secrets(writeNodes(nodes)), ...frames], {});
    expect(codesOf(findings)).toEqual(['clear-traffic']);
    expect(findings[0]).toMatchObject({ frames: [1] });
    expect(findings[0]!.summary).toContain('10.244.1.10 on node-1 > 10.244.2.20 on node-2: 1 packet');
    expect(diagnosePackets(frames, {}).findings).toEqual([]);
  });

  it('give receivers their names', () => {
    const sa = saConfig({ src: address('10.244.1.1'), dst: address('10.244.2.1') });
    const steps = [secrets(writeNodes(nodes), sa), sender(sa)()];
    expect(diagnosePackets(steps, {}).receivers).toEqual([
      { address: '10.244.2.1', node: 'node-2', basis: 'assumed', packets: 1, judged: 1, counters: {} },
    ]);
  });
});
