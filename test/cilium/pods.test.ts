import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parsePods } from '../../src/cilium/pods.ts';

const PODS = [
  { name: 'cilium-abcde', namespace: 'kube-system', node: 'node-1' },
  { name: 'web-0', namespace: 'default', node: 'node-2.example.com' },
  { name: 'pending', namespace: 'default', node: '' },
];

const objects = PODS.map(({ name, namespace, node }) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    annotations: { note: 'name: other\n    name: another\n  nodeName: no', 'x/y': '- z' },
    name,
    namespace,
    ownerReferences: [{ kind: 'DaemonSet', name: 'owner' }],
  },
  spec: { containers: [{ env: [{ name: 'A', value: '- b' }], name: 'c' }], ...(node && { nodeName: node }) },
  status: { podIPs: [{ ip: '10.0.0.1' }] },
}));

describe('parsePods', () => {
  const yaml = (value: unknown) => stringify(value, { lineWidth: 0, indentSeq: false });

  it.each([
    ['a List as kubectl prints it', yaml({ apiVersion: 'v1', items: objects, kind: 'List', metadata: {} })],
    [
      'a PodList as cilium-cli writes it',
      yaml({
        apiVersion: 'v1',
        items: objects.map(({ kind, apiVersion, ...rest }) => rest),
        kind: 'PodList',
      }),
    ],
    ['JSON', JSON.stringify({ kind: 'List', items: objects })],
    ['documents', objects.map((object) => `---\n${yaml(object)}`).join('')],
    ['YAML with other indents', stringify({ kind: 'List', items: objects }, { indent: 4 })],
  ])('reads %s', (_, text) => {
    expect(parsePods(text, 'f')).toEqual(PODS);
  });

  it('reads the pods of a large cluster in a moment', () => {
    const item = yaml([objects[0]]);
    const text = `apiVersion: v1\nitems:\n${item.repeat(20_000)}kind: PodList\n`;
    expect(parsePods(text, 'f').length).toBe(20_000);
  });

  it('says what it cannot read', () => {
    expect(() => parsePods('a: [', 'f')).toThrow('f:1: no JSON or YAML');
    expect(parsePods('kind: Service\n', 'f')).toEqual([]);
  });
});
