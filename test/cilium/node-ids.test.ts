import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { MAX_NODE_ID, NodeIdTable, randomNodeIds } from '../../src/cilium/node-ids.ts';
import { ip, nodesFrom } from '../support/cilium-cluster.ts';
import { podNode } from '../support/two-nodes.ts';

const NODES = nodesFrom(podNode(1), podNode(2), podNode(3));

describe('NodeIdTable', () => {
  it('has one id for all addresses of a peer, keeps it, and forgets it', () => {
    const table = new NodeIdTable(() => 0xcb8);
    expect(table.assign('node-2', [ip('10.244.2.1'), ip('fd07::2')])).toBe(0xcb9);
    expect([table.lookup(ip('10.244.2.1')), table.lookup(ip('fd07::2'))]).toEqual([0xcb9, 0xcb9]);
    // Its address changes: the old one is no peer's.
    expect(table.assign('node-2', [ip('10.244.2.9')])).toBe(0xcb9);
    expect([table.lookup(ip('10.244.2.1')), table.lookup(ip('10.244.2.9'))]).toEqual([0, 0xcb9]);
    table.release('node-2');
    expect([table.idOf('node-2'), table.lookup(ip('10.244.2.9')), table.size]).toEqual([0, 0, 0]);
  });

  // docs/cilium.md, "Node ids" (#33666): a node that was deleted unseen left its addresses behind.
  it('unmaps all and numbers anew when addresses of one peer lead to several ids', () => {
    let n = 0;
    const table = new NodeIdTable(() => n++);
    expect(table.assign('old', [ip('192.168.7.9'), ip('10.244.9.1')])).toBe(1);
    expect(table.assign('node-2', [ip('192.168.7.2')])).toBe(2);
    const id = table.assign('node-2', [ip('192.168.7.2'), ip('10.244.9.1')]);
    expect(id).not.toBe(1);
    expect([table.lookup(ip('192.168.7.2')), table.lookup(ip('10.244.9.1'))]).toEqual([id, id]);
    expect(table.lookup(ip('192.168.7.9'))).toBe(1);
    table.release('old');
    expect(table.lookup(ip('10.244.9.1'))).toBe(id);
  });

  it('has 65535 of them, and then none', () => {
    const table = new NodeIdTable(xorshift32(7));
    const ids = new Set<number>();
    for (let i = 0; i < MAX_NODE_ID; i++) ids.add(table.assign(`n${i}`, []));
    expect(ids.size).toBe(MAX_NODE_ID);
    expect(ids.has(0)).toBe(false);
    expect(table.assign('one-more', [ip('10.0.0.1')])).toBe(0);
    expect(table.lookup(ip('10.0.0.1'))).toBe(0);
    table.release('n77');
    expect(table.assign('one-more', [ip('10.0.0.1')])).toBeGreaterThan(0);
  });
});

describe('randomNodeIds', () => {
  it('numbers every peer differently, 1 to 65535, and not the node itself', () => {
    const nodes = nodesFrom(...Array.from({ length: 200 }, (_, i) => podNode(i + 1)));
    // Chance that repeats itself all the time.
    let n = 0;
    const ids = randomNodeIds(nodes[0]!, nodes, () => [0, 65_534, 65_535, 7][n++ % 4]!);
    expect(ids.size).toBe(199);
    expect(new Set(ids.values()).size).toBe(199);
    expect(Math.min(...ids.values())).toBeGreaterThanOrEqual(1);
    expect(Math.max(...ids.values())).toBeLessThanOrEqual(65_535);
    expect(ids.has('node-1')).toBe(false);
  });

  it('is the same for the same seed', () => {
    const ids = () => [...randomNodeIds(NODES[0]!, NODES, xorshift32(5))];
    expect(ids()).toEqual(ids());
  });
});
