import { describe, expect, it } from 'vitest';
import { planAgent } from '../../src/cilium/agent-plan.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { DROP } from '../../src/ipsec/drop.ts';
import { PeerDropCounters } from '../../src/node/peer-drops.ts';
import { GCM, keysFrom, nodesFrom } from '../support/cilium-cluster.ts';
import { ipv4Packet } from '../support/sa.ts';
import { ends, IDS, podNode, twoNodes } from '../support/two-nodes.ts';

const sum = (counts: Readonly<Record<string, number>>) =>
  Object.values(counts).reduce((total, count) => total + count, 0);

describe("a node's figures", () => {
  it('name the peer of each SA, and count policies and keys', () => {
    const { nodes } = twoNodes();
    const { sas, policies, keys } = nodes[0].stats();
    expect(
      sas.map(({ direction, peer, esn, window, reqid }) => [direction, peer, esn, window, reqid]),
    ).toEqual(sas.map(({ direction }) => [direction, 'node-2', true, 1024, 1]));
    // Native routing, both families: an SA each way and a key for each; a policy for the peer's pods and one that
    // blocks, one in, one fwd.
    expect([sas.length, keys, policies]).toEqual([4, 4, { in: 2, out: 4, fwd: 2 }]);
  });

  it('count one key where all SAs share it, and twice as many while two are held', () => {
    const global = twoNodes({ keys: keysFrom(`3 ${GCM}`, '1.16'), version: parseVersion('1.16') });
    expect(global.nodes[0].stats()).toMatchObject({ keys: 1, sas: { length: 4 } });
    expect(global.nodes[0].stats().sas[0]).toMatchObject({ esn: false, window: 0, lost: 0, late: 0 });
    const keys = keysFrom(`3+ ${GCM}\n4+ ${GCM.replace('4443', '5554')}`);
    const two = twoNodes({ keys });
    expect(two.nodes[0].stats().keys).toBe(8);
    // The same count after the old key is gone.
    const nodes = nodesFrom(podNode(1), podNode(2));
    two.nodes[0].applyPlan(planAgent(nodes[0]!, keys.slice(1), nodes, IDS[0], { mode: 'native' }));
    expect(two.nodes[0].stats().keys).toBe(4);
  });

  it('tell lost and late packets of an SA from each other', () => {
    const two = twoNodes();
    const packets = Array.from({ length: 1030 }, (_, id) => ipv4Packet(60, { ...ends('a1', 'b1'), id }));
    for (let i = 0; i < packets.length; i += 50) two.send('a1', ...packets.slice(i, i + 50));
    const frames = [...two.wire];
    const receiver = twoNodes();
    // Numbers 1 to 1030: 3 and 7 never come, 20 comes after 30, 10 at the end.
    const order = frames.flatMap((frame, i) =>
      [3, 7, 10, 20].includes(i + 1) ? [] : i + 1 === 30 ? [frame, frames[19]!] : [frame],
    );
    for (let i = 0; i < order.length; i += 50) receiver.inject(2, ...order.slice(i, i + 50));
    receiver.inject(2, frames[9]!, frames[1029]!);
    const { sas } = receiver.nodes[1].stats();
    const sa = sas.find(({ direction, packets: count }) => direction === 'in' && count > 0)!;
    // 1030 - 1024 = 6 numbers have left the window: 3 is lost, 7 may still come.
    expect(sa).toMatchObject({ packets: 1028, lost: 1, late: 2, seqLo: 1030, replay: 1, failed: 0 });
    expect(receiver.got.b1).toHaveLength(1028);
  });

  it('attribute every drop, both ways, to the peer at the other end', () => {
    const sender = twoNodes();
    sender.send('a1', ipv4Packet(60, ends('a1', 'b1')), ipv4Packet(60, ends('a1', 'b1')));
    const [frame, next] = sender.wire;
    const two = twoNodes();
    const changed = (at: number, value: number) => Uint8Array.from(frame!, (v, i) => (i === at ? value : v));
    // A replay, a wrong ICV, an unknown SPI, a damaged header, and one of no peer: a source that is no node.
    const altered = Uint8Array.from(next!, (v, i) => (i === 40 ? v ^ 1 : v));
    two.inject(2, frame!, frame!, altered, changed(23, 9), changed(10, frame![10]! ^ 1));
    const foreign = changed(12, 99);
    foreign[10] = 0;
    foreign[11] = 0;
    let check = 0;
    for (let i = 0; i < 20; i += 2) check += (foreign[i]! << 8) | foreign[i + 1]!;
    check = ~((check & 0xffff) + (check >>> 16)) & 0xffff;
    foreign[10] = check >>> 8;
    foreign[11] = check & 0xff;
    two.inject(2, foreign);
    // Decrypted, and there is no such pod.
    sender.send('a1', ipv4Packet(60, ends('a1', '10.244.2.77')));
    two.inject(2, sender.wire.at(-1)!);
    const { peerDrops, in: into, out } = two.nodes[1].stats();
    const of = (peer: string | null) =>
      Object.fromEntries(
        peerDrops.filter((drop) => drop.peer === peer).map(({ reason, count }) => [reason, count]),
      );
    expect(of('node-1')).toEqual({ 'replay-seen': 1, 'bad-icv': 1, 'no-state': 1, 'no-pod': 1 });
    expect(of(null)).toEqual({ 'ip-header': 1, 'no-node-id': 1 });
    expect(peerDrops.find(({ reason }) => reason === 'no-state')).toEqual({
      peer: 'node-1',
      direction: 'in',
      reason: 'no-state',
      counter: 'XfrmInNoStates',
      count: 1,
    });
    const total = peerDrops.reduce((all, { count }) => all + count, 0);
    expect(total).toBe(sum(into.drops) + sum(out.drops));
  });

  it('attribute what is dropped on its way out', () => {
    const two = twoNodes({ change: (plan) => ({ ...plan, sas: [] }) });
    two.send('a1', ipv4Packet(60, ends('a1', 'b1')), ipv4Packet(60, { ...ends('a1', 'b1'), ttl: 1 }));
    expect(two.nodes[0].stats().peerDrops).toEqual(
      expect.arrayContaining([
        { peer: 'node-2', direction: 'out', reason: 'out-no-state', counter: 'XfrmOutNoStates', count: 1 },
        { peer: 'node-2', direction: 'out', reason: 'hop-limit', counter: null, count: 1 },
      ]),
    );
  });
});

describe('PeerDropCounters', () => {
  it('keeps the sum when a peer goes', () => {
    const drops = new PeerDropCounters();
    drops.count('a', 'in', DROP['no-state']);
    drops.count('a', 'out', DROP['out-no-state']);
    drops.count('b', 'in', DROP['no-state']);
    drops.count(undefined, 'in', DROP['no-state']);
    drops.keep(new Set(['b']));
    drops.keep(new Set(['b']));
    const seen = drops.report().map(({ peer, direction, count }) => [peer, direction, count]);
    expect(seen.sort()).toEqual([
      [null, 'in', 2],
      [null, 'out', 1],
      ['b', 'in', 1],
    ]);
  });
});
