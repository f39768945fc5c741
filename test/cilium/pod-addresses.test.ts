import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parsePodAddresses } from '../../src/cilium/pod-addresses.ts';

const pod = (name: string, status: object, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { name: 'no' } },
  spec: { nodeName: 'node-1', ...spec },
  status,
});
const running = (podIP: string, ...more: string[]) => ({
  hostIP: '192.168.0.1',
  phase: 'Running',
  podIP,
  podIPs: [podIP, ...more].map((ip) => ({ ip })),
});
const endpoint = {
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumEndpoint',
  metadata: { name: 'db', namespace: 'prod' },
  status: {
    networking: { addressing: [{ ipv4: '10.0.2.5', ipv6: 'fd00:0::5' }], node: '192.168.0.2' },
  },
};
const list = {
  apiVersion: 'v1',
  items: [
    pod('web', running('10.0.1.5', 'fd00::1:5')),
    pod('agent', running('192.168.0.1'), { hostNetwork: true }),
    pod('job', { ...running('10.0.1.6'), phase: 'Succeeded' }),
    pod('waiting', { phase: 'Pending' }),
    endpoint,
  ],
  kind: 'List',
};
const EXPECTED = [
  { pod: 'default/web', addresses: ['10.0.1.5', 'fd00::1:5'] },
  { pod: 'prod/db', addresses: ['10.0.2.5', 'fd00::5'] },
];

describe('parsePodAddresses', () => {
  it.each([
    ['JSON', JSON.stringify(list, null, 4)],
    ['YAML as kubectl writes it', stringify(list, { indentSeq: false })],
    ['YAML as people write it', stringify(list, { indent: 4 })],
    ['single documents', list.items.map((one) => `---\n${stringify(one)}`).join('')],
  ])('reads pods and endpoints in %s', (_, text) => {
    expect(parsePodAddresses(text, 'f')).toEqual(EXPECTED);
  });

  it('names a text that it cannot read', () => {
    expect(() => parsePodAddresses('a: [', 'f')).toThrow('f:1: no JSON or YAML');
    expect(parsePodAddresses('kind: Service\n', 'f')).toEqual([]);
  });
});
