import { describe, expect, it } from 'vitest';
import { parsePrefix } from '../../../src/wire/address.ts';
import { type CheckWith, checkPackets, NODES } from '../../support/check.ts';
import { sender } from '../../support/diagnose.ts';
import { address, ipv4Packet, saConfig } from '../../support/sa.ts';

const cluster = { keys: [], nodes: NODES };
const to2 = saConfig({ src: address('10.0.1.1'), dst: address('10.0.2.1'), spi: 3 });
const next = saConfig({ src: address('10.0.1.1'), dst: address('10.0.2.1'), spi: 4 });
const to3 = saConfig({ src: address('10.0.1.1'), dst: address('10.0.3.1'), spi: 3 });

function inner(id: number, dst = '10.0.2.20'): Uint8Array {
  return ipv4Packet(100 + id, { src: address('10.0.1.10'), dst: address(dst), ttl: 63, id });
}

/** Two SPIs from node 1 to 2, a replay under the second; one to node 3; and two packets from 2 to 3 in the clear. */
function packets(): Uint8Array[] {
  const [send, sendNext, sendTo3] = [sender(to2), sender(next), sender(to3)];
  const again = sendNext(inner(7));
  const leak = { src: address('10.0.2.20'), dst: address('10.0.3.30'), ttl: 63 };
  return [
    send(inner(1)),
    send(inner(2)),
    sendNext(inner(6)),
    again,
    again,
    sendTo3(inner(8, '10.0.3.30')),
    ipv4Packet(80, { ...leak, id: 1 }),
    ipv4Packet(81, { ...leak, id: 2 }),
  ];
}

const known = { cluster, listed: [to2, next, to3] };
const check = (asked: CheckWith, of: object = known) => checkPackets(packets(), of, { seconds: 1, ...asked });
const rows = ({ nodes, pods }: ReturnType<typeof check>) => [
  ...nodes.map(({ from, to, fitting, sas }) => `${from} > ${to}: ${fitting} of ${sas.map(({ spi }) => spi)}`),
  ...pods.map(({ src, dst, fitting }) => `${src} > ${dst}: ${fitting}`),
];
const TO_2 = 'node-1 > node-2';
const POD_2 = '10.0.1.10 > 10.0.2.20';

describe('SPIs, verdicts and reasons choose rows', () => {
  const whole = check({});

  it.each<[string, CheckWith, string[], number, number]>([
    ['an SPI', { spis: [4] }, [`${TO_2}: 3 of 4`, `${POD_2}: 2`], 2, 2],
    ['an SPI that is nowhere', { spis: [9] }, [], 3, 3],
    ['a verdict', { verdicts: ['drop'] }, [`${TO_2}: 1 of 4`], 2, 3],
    ['a reason', { reasons: ['replay-seen'] }, [`${TO_2}: 1 of 4`], 2, 3],
    ['another reason', { reasons: ['bad-icv'] }, [], 3, 3],
    ['both, of one packet', { verdicts: ['drop'], spis: [3] }, [], 3, 3],
    [
      'with a pod',
      { spis: [3], addresses: [parsePrefix('10.0.3.30')!] },
      ['node-1 > node-3: 1 of 3', '10.0.1.10 > 10.0.3.30: 1'],
      1,
      1,
    ],
  ])('%s', (_, asked, expected, nodes, pods) => {
    const report = check(asked);
    expect(rows(report)).toEqual(expected);
    expect(report.summary.hidden).toEqual({ nodes, pods, clear: 2, needsKeys: false });
  });

  it('the summary is that of all packets', () => {
    for (const asked of [{ spis: [4] }, { verdicts: ['ok'] as const }, { reasons: ['bad-icv'] }]) {
      const { hidden, ...summary } = check(asked).summary;
      expect({ ...summary, hidden: null }).toEqual(whole.summary);
      expect(hidden).not.toBeNull();
    }
    expect(whole.summary).toMatchObject({ verdict: 'not-encrypted', clear: 2, hidden: null });
    expect(rows(whole)).toContain('node-2 > node-3: null of ');
  });

  it('rows count packets of the time that is asked for', () => {
    const later = { seconds: 1_700_000_000 + 4, nanoseconds: 0 };
    expect(rows(check({ spis: [4], since: later }))).toEqual([`${TO_2}: 1 of 4`]);
  });

  it('without keys all are unopened, and other verdicts need keys', () => {
    const keyless = (asked: CheckWith) => check(asked, { cluster });
    expect(rows(keyless({ verdicts: ['unopened'] }))).toEqual([
      `${TO_2}: 5 of 4,3`,
      'node-1 > node-3: 1 of 3',
    ]);
    expect(keyless({ verdicts: ['unopened'] }).summary.hidden).toMatchObject({ needsKeys: false });
    expect(rows(keyless({ spis: [4] }))).toEqual([`${TO_2}: 3 of 4`]);
    for (const asked of [{ verdicts: ['ok'] as const }, { reasons: ['replay-seen'] }]) {
      const report = keyless(asked);
      expect(rows(report)).toEqual([]);
      expect(report.summary).toMatchObject({
        verdict: 'not-encrypted',
        hidden: { nodes: 3, needsKeys: true },
      });
    }
  });

  it('many SPIs of one pair', () => {
    const many = Array.from({ length: 60 }, (_, i) => {
      const packet = sender(to2)(inner(1));
      new DataView(packet.buffer, packet.byteOffset).setUint32(20, 1000 + i);
      return packet;
    });
    const { nodes } = checkPackets(many, { cluster }, { verdicts: ['unopened'] });
    expect(nodes).toMatchObject([{ fitting: 60 }]);
    expect(nodes[0]!.sas).toHaveLength(60);
  });
});
