/** Readers of what agents print: as tables, as JSON, and whatever else comes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseEncryptStatus,
  parseIpcache,
  parseNodeIds,
  parseNodeList,
} from '../../../src/inspect/cluster/texts.ts';
import { AddressIds } from '../../../src/sa-text/address-ids.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 60);
const bytes = (text: string) => new TextEncoder().encode(text);

function nodeIds(text: string): Record<string, number> {
  const addresses = new AddressIds();
  const ids = parseNodeIds(bytes(text), addresses);
  const found: Record<string, number> = {};
  for (let i = 0; i < addresses.size; i++) if ((ids[i] ?? 0) > 0) found[addresses.textOf(i)] = ids[i]!;
  return found;
}

function ipcache(text: string) {
  const addresses = new AddressIds();
  const { endpoints, keyIds, counts, firstClear } = parseIpcache(bytes(text), addresses);
  return {
    rows: [...endpoints].map((endpoint, i) => [addresses.textOf(endpoint), keyIds[i], counts[i]]),
    firstClear,
  };
}

describe('cilium-dbg bpf nodeid list', () => {
  it.each([
    ['of 1.18', 'NODE ID   IP ADDRESSES   SPI\n0x1a3f    10.244.2.1     3\n0x65      fd00::1        3\n'],
    ['of 1.16', 'NODE ID   IP ADDRESSES\n6719      10.244.2.1\n101       fd00::1\n'],
    ['in JSON', '[{"ID":6719,"Address":"10.244.2.1","SPI":3},{"ID":101,"Address":"fd00::1","SPI":3}]'],
  ])('%s', (_, text) => {
    expect(nodeIds(text)).toEqual({ '10.244.2.1': 6719, 'fd00::1': 101 });
  });

  it('with several addresses of a node', () => {
    expect(nodeIds('NODE ID   IP ADDRESSES\n7   10.0.0.1, 10.0.0.2\n')).toEqual({
      '10.0.0.1': 7,
      '10.0.0.2': 7,
    });
  });
});

describe('cilium-dbg bpf ipcache list', () => {
  const row = (ip: string, identity: number, key: number, endpoint: string) =>
    `${ip.padEnd(20)}identity=${identity} encryptkey=${key} tunnelendpoint=${endpoint} flags=<none>\n`;
  const TEXT =
    'IP PREFIX/ADDRESS   IDENTITY\n' +
    row('10.0.0.1/32', 1, 0, '0.0.0.0') +
    row('10.0.1.5/32', 4711, 3, '172.18.0.3') +
    row('10.0.1.6/32', 4712, 3, '172.18.0.3') +
    row('10.0.2.7/32', 4711, 0, '172.18.0.4') +
    row('172.18.0.4/32', 6, 0, '0.0.0.0') +
    row('fd00::7/128', 4711, 3, '172.18.0.4');

  it('counts entries of pods by node and key', () => {
    expect(ipcache(TEXT)).toEqual({
      rows: [
        ['172.18.0.3', 3, 2],
        ['172.18.0.4', 0, 1],
        ['172.18.0.4', 3, 1],
      ],
      firstClear: '10.0.2.7/32',
    });
  });

  it('in JSON is the same', () => {
    const json = JSON.stringify(
      Object.fromEntries(
        TEXT.split('\n')
          .slice(1, -1)
          .map((line) => [line.split(' ')[0], [line.slice(20)]]),
      ),
    );
    expect(ipcache(json)).toEqual(ipcache(TEXT));
  });

  it('is what a plain expression finds, whatever was changed', () => {
    const plain = (text: string) => {
      let entries = 0;
      for (const [, identity, , endpoint] of text.matchAll(
        /identity=(\d{1,10}) encryptkey=(\d{1,10}) tunnelendpoint=([0-9a-f.:]{1,45})/g,
      ))
        if (Number(identity) >= 256 && /^(?:\d{1,3}\.){3}\d{1,3}$/.test(endpoint!) && endpoint !== '0.0.0.0')
          entries++;
      return entries;
    };
    const change = fc.tuple(
      fc.nat(TEXT.length),
      fc.nat(6),
      fc.constantFrom('', ' ', '\n', '=', '0', 'identity='),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 3 }), (changes) => {
        let text = TEXT;
        for (const [at, cut, put] of changes) text = text.slice(0, at) + put + text.slice(at + cut);
        const sum = ipcache(text).rows.reduce((total, [, , n]) => total + Number(n), 0);
        // An address beyond 255 is none to the reader.
        expect(sum).toBeLessThanOrEqual(plain(text) + 1);
      }),
      { numRuns: RUNS },
    );
  });
});

it('cilium-dbg node list names nodes without their cluster', () => {
  const table =
    'Name          IPv4 Address   Endpoint CIDR   IPv6 Address\nkind/node-1   172.18.0.2     10.0.0.0/24\nnode-2        172.18.0.3\n';
  expect(parseNodeList(table)).toEqual(['node-1']);
  expect(parseNodeList('[\n  {\n    "name": "kind/node-1",\n    "primary-address": {}\n  }\n]')).toEqual([
    'node-1',
  ]);
});

describe('cilium-dbg encrypt status', () => {
  it('as text and as JSON', () => {
    const text = 'Encryption: IPsec\nKeys in use: 4\nErrors: 3\n\tXfrmInNoStates: 3\n';
    const json =
      '{"ipsec":{"error-count":3,"keys-in-use":4,"xfrm-errors":{"XfrmInNoStates":3}},"mode":"IPsec"}';
    for (const one of [text, json])
      expect(parseEncryptStatus(one)).toEqual({
        mode: 'IPsec',
        keysInUse: 4,
        stat: new Map([['XfrmInNoStates', 3]]),
      });
    expect(parseEncryptStatus('Encryption:   Disabled\n')).toEqual({ mode: 'Disabled' });
    expect(parseEncryptStatus('hello')).toBeUndefined();
  });
});

it('anything at all ends no reader', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const addresses = new AddressIds();
      parseNodeIds(bytes(text), addresses);
      parseIpcache(bytes(text), addresses);
      parseNodeList(text);
      parseEncryptStatus(text);
    }),
    { numRuns: RUNS },
  );
});
