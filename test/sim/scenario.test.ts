import { describe, expect, it } from 'vitest';
import { parseScenario } from '../../src/sim/scenario.ts';
import { formatAddress, formatPrefix } from '../../src/wire/address.ts';

const parse = (text: string) => parseScenario(text, 's.yaml');
const before = (name: string) => String.fromCharCode(name.charCodeAt(0) - 1);
const BASE = 'duration: 5s\nnodes: 3\n';

describe('a scenario file', () => {
  it('gives nodes and pods addresses from their ranges', () => {
    const { nodes, pods } = parse(`${BASE}pods: 2\n`);
    expect(nodes.map(({ name }) => name)).toEqual(['node-1', 'node-2', 'node-3']);
    expect(formatPrefix(nodes[1]!.podRange)).toBe('10.0.2.0/24');
    expect(formatAddress(nodes[1]!.routerAddress)).toBe('10.0.2.1');
    expect(formatAddress(nodes[1]!.nodeAddress)).toBe('192.168.0.2');
    expect(formatAddress(pods.get('node-2/pod-2')!.address)).toBe('10.0.2.11');
  });

  it('has room for a thousand nodes, and for IPv6', () => {
    const { nodes } = parse('duration: 1s\nnodes: 1000\n');
    expect(formatPrefix(nodes[999]!.podRange)).toBe('10.3.232.0/24');
    expect(formatAddress(nodes[999]!.nodeAddress)).toBe('192.168.3.232');
    const six = parse('duration: 1s\nnodes: 2\nfamily: 6\n').nodes[1]!;
    expect([formatPrefix(six.podRange), formatAddress(six.nodeAddress)]).toEqual([
      'fd00:10:0:2::/64',
      'fd00:192:168::2',
    ]);
  });

  it('reads times, chances and rates with their units', () => {
    const { nodes } = parse(
      'duration: 1s\nnodes:\n  - name: a\n    link: { latency: 250us, loss: 1.5%, bandwidth: 10 Mbit/s }\n  - name: b\nlink: { mtu: 9001 }\n',
    );
    expect(nodes[0]!.line).toMatchObject({ delay: 0.25, loss: 0.015, bandwidth: 1e7, mtu: 9001 });
    expect(nodes[1]!.line).toMatchObject({ delay: 0.5, mtu: 9001 });
  });
});

describe('rotation in a scenario file', () => {
  it('is that of the file, where a node says nothing else', () => {
    const { nodes, secret } = parse(`duration: 5s
rotation: { order: advertise-first, installTime: 200ms, keep: 2m }
secret: { max: 1s }
nodes:
  - name: a
  - name: b
    secret: { min: 2s, max: 2s }
    rotation: { order: install-first, look: 500ms }
  - name: c
    rotation: { steps: { install: 3s, advertise: 1s, send: 2s } }
`);
    const all = { order: 'advertise-first', installTime: 200, keyRotationDuration: 120_000, longestWait: 0 };
    expect(nodes.map(({ rotation }) => rotation)).toEqual([
      all,
      { ...all, order: 'install-first', reclaimInterval: 500 },
      { ...all, steps: { install: 3000, advertise: 1000, send: 2000 } },
    ]);
    expect(nodes.map((node) => node.secret)).toEqual([undefined, { min: 2000, max: 2000 }, undefined]);
    expect(secret).toEqual({ min: 0, max: 1000 });
  });

  it('has no steps of the file where a node says its own order', () => {
    const { nodes } = parse(`duration: 5s
rotation: { steps: { install: 3s, advertise: 1s, send: 2s } }
nodes:
  - name: a
  - name: b
    rotation: { order: install-first }
`);
    expect(nodes.map(({ rotation }) => rotation.steps)).toEqual([
      { install: 3000, advertise: 1000, send: 2000 },
      undefined,
    ]);
  });

  it('keeps a key for five minutes unless told otherwise', () => {
    expect(parse(BASE).nodes[0]!.rotation).toEqual({ keyRotationDuration: 300_000, longestWait: 0 });
    // A release that is named brings its own random wait; what the file says counts more.
    expect(parse(`${BASE}cilium: "1.20"\n`).nodes[0]!.rotation).toEqual({ keyRotationDuration: 300_000 });
    expect(parse(`${BASE}rotation: { wait: 3s }\n`).nodes[0]!.rotation.longestWait).toBe(3000);
  });
});

describe('events of nodes that come and go', () => {
  it('are about those that are there: others are on the other side of nothing, and no peers', () => {
    const { events, strict } = parse(`${BASE}strict: 10.0.0.0/16
events:
  - { at: 1s, staleBootId: node-1 }
  - { at: 2s, join: node-3 }
  - { at: 2s, partition: [node-3], for: 1s }
  - { at: 3s, reboot: node-3, for: 500ms }
  - { at: 3200ms, replay: node-3 }
  - { at: 4s, deleteNode: node-3 }
  - { at: 4s, join: node-3 }
  - { at: 5s, leave: [node-2, node-3] }
`);
    expect(events.map(({ kind, names, peers }) => [kind, names.join(), peers.join()])).toEqual([
      ['staleBootId', 'node-1', 'node-2'],
      ['join', 'node-3', 'node-1,node-2'],
      ['partition', 'node-3', 'node-1,node-2'],
      ['reboot', 'node-3', 'node-1,node-2'],
      ['replay', 'node-3', 'node-1,node-2'],
      ['deleteNode', 'node-3', 'node-1,node-2'],
      ['join', 'node-3', 'node-1,node-2'],
      ['leave', 'node-2,node-3', 'node-1'],
    ]);
    expect(formatPrefix(strict!)).toBe('10.0.0.0/16');
  });
});

describe('a scenario file that cannot be used', () => {
  it.each([
    [
      'steps that lack one',
      `${BASE}rotation:\n  steps: { install: 1s, send: 1s }\n`,
      /^s\.yaml:4: rotation\.steps\.advertise is missing\. Give a time, such as 250ms, 2s or 5m, of 7 days at most\.$/,
    ],
    [
      'a secret of a node that comes before it is there',
      'duration: 1s\nnodes:\n  - name: a\n    secret: { min: 2s, max: 1s }\n',
      /^s\.yaml:4: secret\.min is more than secret\.max\. Give the smaller first\.$/,
    ],
    [
      'an unknown key',
      `${BASE}nodez: 4\n`,
      /^s\.yaml:3: unknown key nodez\. Use one of about, seed, duration, /,
    ],
    [
      'an unknown key deep down',
      `${BASE}traffic:\n  - kind: udp\n    form: node-1/pod-1\n`,
      /^s\.yaml:5: unknown key form\. Use one of kind, from, to, /,
    ],
    [
      'an unknown key of a node',
      'duration: 1s\nnodes:\n  - name: a\n    pod: 1\n',
      /^s\.yaml:4: unknown key pod\. Use one of name, pods, /,
    ],
    [
      'no duration',
      'nodes: 3\n',
      /^s\.yaml:1: duration is missing\. Give a time, such as 250ms, 2s or 5m, of 7 days at most\.$/,
    ],
    [
      'a bad time',
      'duration: 5 h\nnodes: 3\n',
      /^s\.yaml:1: duration is not what it should be\. Give a time/,
    ],
    [
      'a bad chance',
      `${BASE}link:\n  loss: 120%\n`,
      /^s\.yaml:4: link\.loss is not .*Give a chance, such as 1%/,
    ],
    [
      'overlapping ranges',
      `${BASE}addresses:\n  nodes: 10.1.0.0/16\n`,
      /^s\.yaml:4: the ranges of nodes and pods overlap: 10\.1\.0\.0\/16 and 10\.0\.0\.0\/8\./,
    ],
    [
      'overlapping pod ranges',
      'duration: 1s\nnodes:\n  - name: a\n  - name: b\n    podRange: 10.0.1.128/25\n',
      /^s\.yaml:5: 10\.0\.1\.128\/25 overlaps with 10\.0\.1\.0\/24 of a\./,
    ],
    [
      'two nodes of one name',
      'duration: 1s\nnodes:\n  - name: a\n  - name: a\n',
      /^s\.yaml:4: two nodes are called a\./,
    ],
    [
      'an event for a node that is not there',
      `${BASE}events:\n  - at: 1s\n    reboot: node-4\n`,
      /^s\.yaml:5: there is no node node-4\. Name one of node-1, node-2, node-3\.$/,
    ],
    [
      'peers that are not there',
      `${BASE}events:\n  - at: 1s\n    staleBootId: node-1\n    peers: [node-9]\n`,
      /^s\.yaml:6: there is no node node-9\./,
    ],
    [
      'a time in the past',
      `${BASE}events:\n  - { at: 2s, rotate: true }\n  - { at: 1s, rotate: true }\n`,
      /^s\.yaml:5: the time is in the past/,
    ],
    [
      'a negative time',
      `${BASE}events:\n  - { at: -1s, rotate: true }\n`,
      /^s\.yaml:4: events\.0\.at is not what/,
    ],
    [
      'a time after the end',
      `${BASE}events:\n  - { at: 6s, rotate: true }\n`,
      /^s\.yaml:4: the run is over by then\./,
    ],
    [
      'two events in one',
      `${BASE}events:\n  - { at: 1s, rotate: true, reboot: node-1 }\n`,
      /^s\.yaml:4: an event is one thing, not rotate and reboot\./,
    ],
    [
      'no event',
      `${BASE}events:\n  - { at: 1s }\n`,
      /^s\.yaml:4: the event is none\. Give one of rotate, reboot, /,
    ],
    [
      'an option of another event',
      `${BASE}events:\n  - { at: 1s, rotate: true, for: 1s }\n`,
      /^s\.yaml:4: for says nothing about rotate\. It goes with reboot, partition\./,
    ],
    [
      'traffic of a pod that is not there',
      `${BASE}traffic:\n  - { kind: udp, from: node-1/pod-2, to: node-2/pod-1 }\n`,
      /^s\.yaml:4: there is no pod node-1\/pod-2\./,
    ],
    [
      'traffic with one end',
      `${BASE}traffic:\n  - { kind: udp, from: node-1/pod-1 }\n`,
      /^s\.yaml:4: traffic has two ends\./,
    ],
    [
      'pairs of one node',
      'duration: 1s\nnodes: 1\npods: 3\ntraffic:\n  - { kind: udp, pairs: 2 }\n',
      /^s\.yaml:5: no two nodes have pods\. Give more nodes/,
    ],
    [
      'more flows than a run has',
      `${BASE}traffic:\n  - { kind: udp, pairs: 30000 }\n  - { kind: udp, pairs: 30000 }\n`,
      /^s\.yaml:5: 60000 flows so far\. A run has 50000 at most\.$/,
    ],
    [
      'a partition without another side',
      `${BASE}events:\n  - { at: 1s, partition: [node-1, node-2, node-3] }\n`,
      /^s\.yaml:4: nobody is on the other side\. Leave a node out\.$/,
    ],
    [
      'a time without end',
      `duration: ${'9'.repeat(400)}s\nnodes: 3\n`,
      /^s\.yaml:1: duration is not what it should be\. Give a time, such as 250ms, 2s or 5m, of 7 days/,
    ],
    [
      'an alias of nothing',
      `${BASE}about: *text\n`,
      /^s\.yaml:3: \*text stands for nothing, or for too much/,
    ],
    [
      'aliases that grow without end',
      `${BASE}a: &a [x]\n${[...'bcdefgh'].map((name) => `${name}: &${name} [${`*${before(name)}, `.repeat(10)}]\n`).join('')}`,
      /^s\.yaml:4: \*a stands for nothing, or for too much\./,
    ],
    ['two documents', `${BASE}---\n${BASE}`, /^s\.yaml:3: a second document begins\. Give a file/],
    ['bytes that are no text', '\u0000\ufffd\u0001PNG', /^s\.yaml:1: /],
    [
      'a global key in a version without',
      `${BASE}key: { perTunnel: false }\n`,
      /^s\.yaml:3: from Cilium 1\.17 on every key is per tunnel\./,
    ],
    ['no YAML', 'duration: [1\n', /^s\.yaml:\d: not YAML: /],
    [
      'a list',
      '- 1\n',
      /^s\.yaml:1: the file is not what it should be\. Give a mapping of keys to values\.$/,
    ],
    ['an empty file', '', /^s\.yaml:1: the file /],
    [
      'nodes that are a word',
      'duration: 1s\nnodes: many\n',
      /^s\.yaml:2: nodes is not what it should be\. Give a whole number from 1 to 5000/,
    ],
    [
      'a pod range outside the addresses of pods',
      'duration: 1s\nnodes:\n  - name: a\n    podRange: 172.16.1.0/24\n',
      /^s\.yaml:4: 172\.16\.1\.0\/24 is not within the addresses of pods, 10\.0\.0\.0\/8\. Give a range within them, /,
    ],
    [
      'a pod range that holds all addresses of pods, and more',
      'duration: 1s\naddresses: { pods: 10.1.0.0/16 }\nnodes:\n  - name: a\n    podRange: 10.0.0.0/8\n',
      /^s\.yaml:5: 10\.0\.0\.0\/8 is not within the addresses of pods, 10\.1\.0\.0\/16\./,
    ],
    [
      'a pod range among the addresses of nodes',
      'duration: 1s\nnodes:\n  - name: a\n    podRange: 192.168.1.0/24\n',
      /^s\.yaml:4: 192\.168\.1\.0\/24 is not within the addresses of pods/,
    ],
    [
      'pods of two nodes with one address',
      'duration: 1s\nnodes:\n  - { name: a, podRange: 10.0.2.0/24 }\n  - { name: b }\n',
      /^s\.yaml:3: 10\.0\.2\.0\/24 overlaps with 10\.0\.2\.0\/24 of b\./,
    ],
    [
      'a range that does not begin where it says',
      `${BASE}addresses:\n  pods: 10.0.0.7/8\n`,
      /^s\.yaml:4: addresses\.pods is not what it should be\. Give the first address of a range, and its length/,
    ],
    ['a negative loss', `${BASE}link:\n  loss: -1%\n`, /^s\.yaml:4: link\.loss is not .*Give a chance/],
    ['a negative number', `${BASE}link:\n  loss: -0.5\n`, /^s\.yaml:4: link\.loss is not .*Give a chance/],
    ['more than always', `${BASE}link:\n  loss: 1.5\n`, /^s\.yaml:4: link\.loss is not .*Give a chance/],
    ['a list of one chance', `${BASE}link:\n  loss: [1%]\n`, /^s\.yaml:4: link\.loss is not .*Give a chance/],
    ['a list of one time', 'duration: [1s]\nnodes: 3\n', /^s\.yaml:1: duration is not .*Give a time/],
    ['no time between looks', `${BASE}rotation:\n  look: 0s\n`, /^s\.yaml:4: no time between two looks\./],
    [
      'steps and an order',
      `${BASE}rotation:\n  steps: { install: 0, advertise: 0, send: 0 }\n  order: install-first\n`,
      /^s\.yaml:5: steps stand in place of order\. Leave one of them out\.$/,
    ],
    [
      'traffic that starts after the end',
      `${BASE}traffic:\n  - kind: udp\n    pairs: 1\n    start: 6s\n`,
      /^s\.yaml:6: the run is over by then\./,
    ],
    [
      'traffic that stops after the end',
      `${BASE}traffic:\n  - kind: udp\n    pairs: 1\n    stop: 5001ms\n`,
      /^s\.yaml:6: the run is over by then\. Give an earlier time, or a longer duration\.$/,
    ],
    [
      'strict mode of IPv6',
      `${BASE}family: 6\nstrict: fd00::/16\n`,
      /^s\.yaml:4: strict mode is for IPv4 only\. Leave it out, or give a range of IPv4\.$/,
    ],
    [
      'strict mode of IPv4 among IPv6',
      `${BASE}family: 6\nstrict: 10.0.0.0/8\n`,
      /^s\.yaml:4: strict mode is/,
    ],
    [
      'strict mode of nobody',
      `${BASE}strict: 172.16.0.0/12\n`,
      /^s\.yaml:3: no pod has an address in 172\.16\.0\.0\/12\. Give a range that .* of the pods, 10\.0\.0\.0\/8\.$/,
    ],
    [
      'strict mode that is a word',
      `${BASE}strict: yes\n`,
      /^s\.yaml:3: strict is not what it should be\. Give the first address of a range/,
    ],
    [
      'an event for a node that joins later',
      `${BASE}events:\n  - { at: 1s, reboot: node-3 }\n  - { at: 2s, join: node-3 }\n`,
      /^s\.yaml:4: node node-3 is not there yet: it joins later\. Give a time when it is there, or have it join before\.$/,
    ],
    [
      'an event for a node that has left',
      `${BASE}events:\n  - { at: 1500ms, leave: node-3 }\n  - at: 2s\n    partition: [node-1, node-3]\n`,
      /^s\.yaml:6: node node-3 is not there: it left at 1\.5s\./,
    ],
    [
      'an event for a node that was deleted',
      `${BASE}events:\n  - { at: 500ms, deleteNode: node-3 }\n  - { at: 2s, restartAgent: node-3 }\n`,
      /^s\.yaml:5: node node-3 is not there: it was deleted at 500ms\./,
    ],
    [
      'a node that is deleted twice',
      `${BASE}events:\n  - { at: 1s, deleteNode: node-3 }\n  - { at: 2s, deleteNode: node-3 }\n`,
      /^s\.yaml:5: node node-3 is not there: it was deleted at 1s\./,
    ],
    [
      'peers that joined nothing yet',
      `${BASE}events:\n  - at: 1s\n    ageSas: node-1\n    peers: [node-3]\n  - { at: 2s, join: node-3 }\n`,
      /^s\.yaml:6: node node-3 is not there yet/,
    ],
    [
      'peers that are the node itself',
      `${BASE}events:\n  - at: 1s\n    staleBootId: node-1\n    peers: [node-2, node-1]\n`,
      /^s\.yaml:6: node-1 is no peer of its own\. Name other nodes\.$/,
    ],
    [
      'a pod of a node that joins later',
      `${BASE}events:\n  - { at: 1s, startPod: node-3/pod-1 }\n  - { at: 2s, join: node-3 }\n`,
      /^s\.yaml:4: node node-3 is not there yet/,
    ],
    [
      'a pod that starts twice',
      `${BASE}events:\n  - { at: 1s, startPod: node-3/pod-1 }\n  - { at: 2s, startPod: node-3/pod-1 }\n`,
      /^s\.yaml:5: pod node-3\/pod-1 is there already\. Start each pod once\.$/,
    ],
    [
      'a node that joins twice',
      `${BASE}events:\n  - { at: 1s, join: [node-2, node-3] }\n  - { at: 2s, join: node-3 }\n`,
      /^s\.yaml:5: node node-3 is there already\. Have it leave, or be deleted, before it joins again\.$/,
    ],
    [
      'a node that joins and is named twice',
      `${BASE}events:\n  - { at: 1s, join: [node-3, node-3] }\n`,
      /^s\.yaml:4: events\.0\.join is not .* Give a node, or a list of nodes, each once\.$/,
    ],
    [
      'a node that is off',
      `${BASE}events:\n  - { at: 1s, reboot: node-3, for: 2s }\n  - { at: 2s, restartAgent: node-3 }\n`,
      /^s\.yaml:5: node node-3 is off until 3s\. Give a later time\.$/,
    ],
    [
      'a deleted node that joins while it is off',
      `${BASE}events:\n  - { at: 1s, reboot: node-3, for: 3s }\n  - { at: 2s, deleteNode: node-3 }\n  - { at: 3s, join: node-3 }\n`,
      /^s\.yaml:6: node node-3 is off until 4s\./,
    ],
  ])('%s: file, line and what was expected', (_, text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});
