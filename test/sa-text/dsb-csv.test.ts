import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { readBlock, writeDsbCsv, writeGone, writeNodes } from '../../src/sa-text/dsb-csv.ts';
import { parseEspSa, usable } from '../../src/sa-text/esp-sa.ts';
import { anySa, EVERY_SUITE, KEY_MARK } from '../support/arbitrary-sa.ts';
import { nodeObject, nodesFrom } from '../support/cilium-cluster.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 200);
const HEADER =
  '"Protocol","Src IP","Dest IP","SPI","Encryption","Encryption Key","Authentication","Authentication Key","SN","ESN High Bits"';
const LINE =
  '"IPv4","10.0.0.1","10.0.0.2","0x00000003","AES-GCM with 16 octet ICV [RFC4106]","0x4142434445464748494a4b4c4d4e4f5001020304","NULL","","32-bit","0"';

const parseDsbCsv = (text: string, source: string, note: (line: string) => void = () => {}) =>
  usable(readBlock(text, source), note);

describe('pcapng secrets of type ESPS', () => {
  it('are ten columns a line, without a headline', () => {
    const [sa] = parseEspSa(LINE, 'x') as [SaConfig];
    expect(writeDsbCsv([sa, { ...sa, esn: true }], { showKeys: true })).toBe(
      `${LINE}\n${LINE.replace('32-bit', '64-bit')}\n`,
    );
  });

  it('may have a headline', () => {
    expect(parseDsbCsv(`${HEADER}\r\n${LINE}\r\n`, 'f.pcapng')).toMatchObject([
      { spi: 3, origin: 'f.pcapng:2' },
    ]);
    expect(parseDsbCsv(`${HEADER.replaceAll('"', '')}\n${LINE}`, 'x')).toHaveLength(1);
    expect(parseDsbCsv(LINE, 'f.pcapng')).toMatchObject([{ spi: 3, origin: 'f.pcapng:1' }]);
    expect(parseDsbCsv('', 'x')).toEqual([]);
  });

  it('leave out what Wireshark cannot take, and say so', () => {
    const [sa] = parseEspSa(LINE, 'x') as [SaConfig];
    const gmac = EVERY_SUITE.find(([name]) => name === 'gmac-128')![1];
    const notes: string[] = [];
    expect(writeDsbCsv([{ ...sa, keys: gmac }], { showKeys: true }, (line) => notes.push(line))).toBe('');
    expect(notes).toEqual(['x:1: Wireshark has no AES-GMAC']);
  });

  it('name nodes, in comments', () => {
    const nodes = nodesFrom(
      nodeObject(1, { ipam: { podCIDRs: ['10.244.1.0/24', 'fd00::/64'] } }),
      nodeObject(2),
    );
    const text = writeNodes(nodes);
    expect(text).toBe(
      '# CiliumNode: "node-1","10.244.1.1 fd00:10:244:1::1 192.168.7.1 fd07::1","10.244.1.0/24 fd00::/64"\n' +
        '# CiliumNode: "node-2","10.244.2.1 fd00:10:244:2::1 192.168.7.2 fd07::2",""\n',
    );
    expect(readBlock(`${LINE}\n${text}# CiliumNodes\n`, 'x').nodes).toEqual(
      nodes.map(({ name, ciliumAddresses, nodeAddresses, podCidrs }) => ({
        name,
        addresses: [...ciliumAddresses, ...nodeAddresses],
        podCidrs,
      })),
    );
    expect(parseDsbCsv(`${text}${LINE}`, 'f')).toMatchObject([{ origin: 'f:3' }]);
  });

  it.each([
    '# CiliumNode: ',
    '# CiliumNode: "node-1","10.0.1.1"',
    '# CiliumNode: "","10.0.1.1",""',
    '# CiliumNode: "node-1","",""',
    '# CiliumNode: "node-1","10.0.1","10.0.1.0/24"',
    '# CiliumNode: "node-1","10.0.1.1","10.0.1.0/33"',
    '# CiliumNode: "node-1","10.0.1.1","10.0.1.0/24","more"',
    '# CiliumNode: "node-1,10.0.1.1,10.0.1.0/24',
  ])('say where a node is not named: %s', (line) => {
    const { nodes, sas, omitted } = readBlock(`${LINE}\n${line}\n# CiliumNode: "node-2","10.0.2.1",""`, 'f');
    expect([nodes.map(({ name }) => name), sas.length]).toEqual([['node-2'], 1]);
    expect(omitted).toEqual([
      {
        origin: 'f:2',
        why: 'the node is left out: it is not said which node, and where its pods are',
        remedy: expect.stringMatching(/^Write # CiliumNode: "Name"/),
      },
    ]);
  });

  it.each([
    ['# new\n', true],
    [`${LINE}\n #\tnew \r\n`, true],
    ['# news\n', false],
    ['# brand new\n', false],
    ['', false],
  ])('say that SAs are new: %j', (text, isNew) => {
    expect(readBlock(text, 'x').isNew).toBe(isNew);
  });

  it('say which SAs are gone, in comments', () => {
    const [sa] = parseEspSa(LINE, 'x') as [SaConfig];
    const text = writeGone([
      sa,
      { ...sa, src: new Uint8Array(16), dst: new Uint8Array(16).fill(1), spi: 15 },
    ]);
    expect(text).toBe(
      '# gone: "IPv4","10.0.0.1","10.0.0.2","0x00000003"\n# gone: "IPv6","*","101:101:101:101:101:101:101:101","0x0000000f"\n',
    );
    expect(readBlock(`${LINE}\n${text}# gone fishing\n`, 'x').gone).toEqual([
      { src: sa.src, dst: sa.dst, spi: 3 },
      { src: new Uint8Array(16), dst: new Uint8Array(16).fill(1), spi: 15 },
    ]);
    expect(parseDsbCsv(`${text}${LINE}`, 'f')).toMatchObject([{ origin: 'f:3' }]);
    const { gone } = readBlock('# gone: Any,*,*,3', 'x');
    expect(gone.map(({ dst, pattern }) => [dst.length, pattern?.dst])).toEqual([
      [4, '*'],
      [16, '*'],
    ]);
  });

  it.each([
    ['# gone: ', /it is not said which SA is gone$/],
    ['# gone: IPv4,10.0.0.1,10.0.0.2', /it is not said which/],
    ['# gone: IPv4,10.0.0.1,"10.0.0.2,3', /it is not said which/],
    ['# gone: IPv4,10.0.0.1,10.0.0.256,3', /an address is neither IPv4/],
    ['# gone: IPv4,10.0.0.1,10.0.0.2,0x100000000', /the SPI is neither a number/],
  ])('leave out where it is not said which SA is gone: %s', (line, message) => {
    const { gone, sas, omitted } = readBlock(`${LINE}\n${line}`, 'f');
    expect([gone, sas.length]).toEqual([[], 1]);
    expect(omitted).toMatchObject([
      { origin: 'f:2', why: expect.stringMatching(/^what it takes away is left out: /) },
    ]);
    expect(omitted[0]!.why).toMatch(message);
  });

  it('leave out a bad line, with its number, and fail where nothing else is left', () => {
    const notes: string[] = [];
    expect(parseDsbCsv(`${HEADER}\n${LINE}\n"IPv4"\n`, 'f', (line) => notes.push(line))).toHaveLength(1);
    expect(notes).toEqual(['f:3: the row is left out: 1 fields; an SA has 8 or 10']);
    expect(() => parseDsbCsv(`${HEADER}\n"IPv4"\n`, 'f')).toThrow(/^f:2: the row is left out: 1 fields/);
    expect(() => parseDsbCsv(`${HEADER}\n"IPv4"\n`, 'f')).toThrow(InputError);
  });

  it('are read again as the same SAs, and hide keys unless they are asked for', () => {
    let same = 0;
    fc.assert(
      fc.property(anySa, (one) => {
        expect(writeDsbCsv([one], { showKeys: false })).not.toContain(KEY_MARK);
        const text = writeDsbCsv([one], { showKeys: true });
        // Left out, or written so that Wireshark does not check the ICV, which esplane does not read.
        if (text === '' || text.includes('[no checking]')) return;
        const again = parseDsbCsv(text, 'x');
        expect([again[0]!.spi, again[0]!.esn, again[0]!.src, again[0]!.dst]).toEqual([
          one.spi,
          one.esn,
          one.src,
          one.dst,
        ]);
        expect(again[0]!.keys.equals(one.keys)).toBe(true);
        same++;
      }),
      { numRuns: RUNS },
    );
    expect(same).toBeGreaterThan(RUNS / 4);
  });
});
