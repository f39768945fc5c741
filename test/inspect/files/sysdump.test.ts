import { describe, expect, it } from 'vitest';
import { fileOf } from '../../../scripts/sysdump/layout.ts';
import { commandOutput, type NodeTextKind, placeOf } from '../../../src/inspect/files/sysdump.ts';

const TOP = ['dump.zip', 'cilium-sysdump-20261129-101112'];
const BUGTOOL = [...TOP, 'cilium-bugtool-cilium-abcde-20261129-101112'];

describe('placeOf', () => {
  it.each<readonly [string, NodeTextKind]>([
    ['ip -s xfrm state', 'xfrm-state'],
    ['ip xfrm state', 'xfrm-state'],
    ['ip -s xfrm policy', 'xfrm-policy'],
    ['ip xfrm policy', 'xfrm-policy'],
    ['cat /proc/net/xfrm_stat', 'xfrm-stat'],
    ['cat -u /proc/net/xfrm_stat', 'xfrm-stat-later'],
    ['cat /proc/sys/kernel/random/boot_id', 'boot-id'],
    ['hostname', 'hostname'],
    ['cilium-dbg bpf nodeid list', 'node-ids'],
    ['cilium nodeid list', 'node-ids'],
    ['cilium bpf ipcache list', 'ipcache'],
    ['cilium-dbg bpf ipcache list -H unix:///var/run/cilium/cilium.sock', 'ipcache'],
    ['cilium-dbg encrypt status', 'encrypt-status'],
    ['cilium-dbg node list', 'node-list'],
    ['cilium-dbg node list -o json', 'node-list'],
  ])('knows the file of %s', (command, kind) => {
    const place = { node: BUGTOOL.join('/'), pod: 'cilium-abcde', kind };
    expect(placeOf([...BUGTOOL, 'cmd', fileOf(command)])).toEqual(place);
  });

  it.each([
    ['ip -s xfrm state of another form', [...BUGTOOL, 'cmd', 'ip--s-xfrm-stateful.md']],
    ['other commands', [...BUGTOOL, 'cmd', 'uname--a.md']],
    ['other folders of bugtool', [...BUGTOOL, 'conf', 'kernel-config']],
    ['the state of the agent', [...BUGTOOL, 'cmd', 'state', '123', 'hostname', 'ep_config.h']],
    ['logs', [...TOP, 'logs-cilium-abcde-cilium-agent-20261129-101112.log']],
    ['earlier logs', [...TOP, 'logs-cilium-abcde-cilium-agent-20261129-101112-prev.log']],
    ['gops', [...TOP, 'gops-cilium-abcde-cilium-agent-20261129-101112-stats.txt']],
  ])('passes over %s', (_, path) => expect(placeOf(path)).toBe('beside'));

  it.each([
    ['CiliumNodes', [...TOP, 'ciliumnodes-20261129-101112.yaml']],
    ['a text of its own, whatever its name', ['ip--s-xfrm-state.md']],
    ['a capture', [...TOP, 'node-1.pcap']],
    ['my logs', ['logs-of-mine.log']],
  ])('leaves %s to what is in it', (_, path) => expect(placeOf(path)).toBeUndefined());

  it.each([
    [['b.tar.gz', 'cilium-bugtool-20261129-101112.123+0000-UTC-42', 'cmd', 'hostname.md'], undefined],
    [
      ['b.tar', 'cilium-xyz-cilium-bugtool-20261129-101112.123+0000-UTC-42', 'cmd', 'hostname.md'],
      'cilium-xyz',
    ],
    [
      [
        '/tmp/cilium-bugtool-cilium-abcde-20261129-101112.tar.gz',
        'cilium-bugtool-20261129-101112.1+0000-UTC-4',
        'cmd',
        'hostname.md',
      ],
      'cilium-abcde',
    ],
    [['node-1', 'cmd', 'hostname.md'], undefined],
    [['node-1', 'hostname.md'], undefined],
  ])('%j is of pod %s', (path, pod) => {
    const node = path
      .slice(0, -1)
      .filter((part) => part !== 'cmd')
      .join('/');
    expect(placeOf(path)).toEqual({ node, pod, kind: 'hostname' });
  });

  it('parts the pods of --k8s-mode, which share a folder', () => {
    const file = fileOf('kubectl exec cilium-abcde -c cilium-agent -n kube-system -- ip -s xfrm state');
    const folder = ['x', 'cilium-bugtool-20261129-101112.1+0000-UTC-4'];
    expect(placeOf([...folder, 'cmd', file])).toEqual({
      node: [...folder, 'cilium-abcde'].join('/'),
      pod: 'cilium-abcde',
      kind: 'xfrm-state',
    });
    expect(
      placeOf([...folder, 'cmd', fileOf('kubectl exec cilium-x -n kube-system -- hostname')]),
    ).toMatchObject({
      pod: 'cilium-x',
      kind: 'hostname',
    });
  });
});

describe('commandOutput', () => {
  it('takes away what is around the output', () => {
    expect(commandOutput('n1\n')).toBe('n1\n');
    expect(commandOutput('# hostname\n\n```\nn1\n\n```\n')).toBe('n1\n\n');
    expect(commandOutput("n1\n> Error while running 'hostname':  exit status 1\n\n")).toBe('n1\n');
    expect(commandOutput("> Error while running 'ip -s xfrm state':  exit status 1\n\n")).toBe('');
    expect(commandOutput('# a comment\n3+ rfc4106\n')).toBe('# a comment\n3+ rfc4106\n');
    expect(commandOutput('# x\n\n```\nnot closed')).toBe('');
    expect(commandOutput('')).toBe('');
  });
});
