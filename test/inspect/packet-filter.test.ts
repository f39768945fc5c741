import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { loadOpening } from '../../src/cli/evidence-options.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import { Names } from '../../src/inspect/names.ts';
import { type FilterSpec, NO_FILTER, PacketFilter } from '../../src/inspect/packet-filter.ts';
import { CaptureSession } from '../../src/inspect/session.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { type Line, lineOf, saOptions } from '../support/decrypt.ts';

const FOLDER = new URL('../../pcaps/linux-6.1/faults-esn/', import.meta.url).pathname;
const PODS = [
  { pod: 'default/web', addresses: ['10.244.1.10', 'fd00::1'] },
  { pod: 'prod/db', addresses: ['10.244.2.20'] },
];

/** The lines that each filter keeps, of one reading of the capture. */
async function kept(specs: readonly Partial<FilterSpec>[]): Promise<Line[][]> {
  const own = new CaptureSas(() => {});
  const { evidence, udpPorts } = await loadOpening(
    saOptions({ keys: [`${FOLDER}keys`], nodes: [`${FOLDER}ciliumnodes.json`] }),
    own,
  );
  const names = new Names(evidence, PODS);
  const json = new PacketJson(undefined, names);
  const filters = specs.map((spec) => ({
    filter: new PacketFilter({ ...NO_FILTER, ...spec }, names),
    lines: [] as Line[],
  }));
  const session = new CaptureSession({
    ...{ source: 'test', own, evidence, udpPorts },
    engine: new NodeEngine(),
    random: seededBytes(1),
    sinks: filters.map(({ filter, lines }) => ({
      packet: (event) => void (filter.keeps(event) && lines.push(lineOf(event, json))),
    })),
  });
  const reader = captureReader('test', session);
  reader.feed(readFileSync(`${FOLDER}wire.pcap`));
  reader.end();
  session.receiver.flush();
  return filters.map(({ filter, lines }) => {
    expect(filter.kept).toBe(lines.length);
    return lines;
  });
}

const all = (await kept([{}]))[0]!;
const range = (text: string) => [parsePrefix(text)!];
const at = (frame: number) => {
  const [seconds, fraction] = all[frame - 1]!.time!.split('.');
  return { seconds: Number(seconds), nanoseconds: Number(fraction) * 1000 };
};

const CASES: readonly (readonly [string, Partial<FilterSpec>, (line: Line) => boolean])[] = [
  ['verdict', { verdicts: ['drop'] }, ({ verdict }) => verdict === 'drop'],
  [
    'one of two reasons',
    { reasons: ['replay-seen', 'no-state'] },
    ({ reason }) => reason === 'replay-seen' || reason === 'no-state',
  ],
  ['SPI', { spis: [0xdead_0001] }, ({ spi }) => spi === 0xdead_0001],
  ['node by name', { nodes: ['node-9', 'node-1'] }, () => true],
  ['node by address', { nodes: ['10.244.1.1'] }, ({ src, dst }) => [src, dst].includes('10.244.1.1')],
  ['another node', { nodes: ['node-3'] }, () => false],
  ['an address around ESP', { addresses: range('10.244.2.1') }, () => true],
  [
    'an address inside',
    { addresses: range('10.244.2.16/28') },
    ({ packet }) => packet?.dst === '10.244.2.20' || packet?.src === '10.244.2.20',
  ],
  ['a pod', { pods: ['db'] }, ({ packet }) => packet?.dst === '10.244.2.20' || packet?.src === '10.244.2.20'],
  ['a pod of another namespace', { pods: ['default/db'] }, () => false],
  ['two fields', { verdicts: ['drop'], spis: [3] }, ({ verdict, spi }) => verdict === 'drop' && spi === 3],
  ['time', { since: at(10), until: at(20) }, ({ frame }) => frame >= 10 && frame <= 20],
  ['number', { count: 7 }, ({ frame }) => frame <= 7],
];

describe('a filter', () => {
  it('keeps everything where nothing is asked for', () => {
    expect(all).toHaveLength(85);
    expect(new PacketFilter(NO_FILTER, new Names({ nodeNameOf: () => undefined })).isOn).toBe(false);
  });

  it('keeps packets with the verdicts that they have without it', async () => {
    const lines = await kept(CASES.map(([, spec]) => spec));
    const byCase = Object.fromEntries(CASES.map(([name], i) => [name, lines[i]]));
    expect(byCase).toEqual(
      Object.fromEntries(CASES.map(([name, , isWanted]) => [name, all.filter(isWanted)])),
    );
  });

  it('names pods and nodes in JSON, and what is not known is null', () => {
    expect(all[0]).toMatchObject({
      node: { src: 'node-1', dst: 'node-2' },
      pod: { src: 'default/web', dst: 'prod/db' },
      packet: { src: '10.244.1.10', dst: '10.244.2.20', proto: 1, sport: null, dport: null, length: 84 },
      schema: 1,
    });
    const dropped = all.find(({ verdict }) => verdict === 'drop');
    expect(dropped).toMatchObject({ packet: null, pod: null });
    const udp = all.find(({ packet }) => packet?.proto === 17)!;
    const { inner, packet } = udp;
    const port = (from: number) => Number.parseInt(inner!.slice(from, from + 4), 16);
    expect([packet?.sport, packet?.dport, packet?.length]).toEqual([port(40), port(44), inner!.length / 2]);
  });
});

describe('names', () => {
  it('of an address that two pods have are not told', () => {
    const names = new Names({ nodeNameOf: () => undefined }, [
      ...PODS,
      { pod: 'x/y', addresses: ['fd00::1'] },
      PODS[1]!,
    ]);
    expect(
      ['fd00::1', '10.244.1.10', '10.244.2.20', '10.0.0.1'].map((address) => names.pod(address)),
    ).toEqual([null, 'default/web', 'prod/db', null]);
  });
});
