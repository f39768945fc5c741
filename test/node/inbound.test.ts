import { describe, expect, it } from 'vitest';
import type { AgentPlan } from '../../src/cilium/agent-plan.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { singlePrefix } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { ip } from '../support/cilium-cluster.ts';
import { ipv4Packet, ipv6Packet, RANDOM, saConfig } from '../support/sa.ts';
import { ends, IDS, PODS, type TwoNodesOptions, twoNodes } from '../support/two-nodes.ts';

/** An ESP packet from `a1` to `b1`, as it is on the wire of a cluster with the same keys. */
function espFrame(packet = ipv4Packet(100, ends('a1', 'b1'))): Uint8Array {
  const two = twoNodes();
  two.send('a1', packet);
  return two.wire[0]!;
}

/** What node-2 counts when these frames arrive. */
function arrive(frames: readonly Uint8Array[], options: TwoNodesOptions = {}) {
  const two = twoNodes(options);
  two.inject(2, ...frames);
  return { two, ...two.nodes[1].stats() };
}

function changed(frame: Uint8Array, at: number, value: number): Uint8Array {
  const copy = frame.slice();
  copy[at] = value;
  if (copy[0]! >>> 4 === 4) ipv4.fillChecksum(copy);
  return copy;
}

/** Cuts an IPv4 packet into fragments with at most `size` bytes of payload. */
function fragments(packet: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 20; at < packet.length; at += size) {
    const end = Math.min(at + size, packet.length);
    const piece = new Uint8Array(20 + end - at);
    piece.set(packet.subarray(0, 20));
    piece.set(packet.subarray(at, end), 20);
    ipv4.setTotalLength(piece, 0, piece.length);
    ipv4.setId(piece, 0, 77);
    ipv4.setFragmentField(piece, 0, ((at - 20) / 8) | (end < packet.length ? ipv4.MF : 0));
    ipv4.fillChecksum(piece);
    pieces.push(piece);
  }
  return pieces;
}

describe('what arrives at a node from outside', () => {
  const frame = espFrame();

  it('decrypts ESP, and hands it to the pod', () => {
    const { two, in: into, xfrm } = arrive([frame]);
    expect(into).toMatchObject({ packets: 1, esp: 1, decrypted: 1, delivered: 1, clear: 0, drops: {} });
    expect(xfrm).toEqual({});
    expect(two.got.b1).toHaveLength(1);
  });

  it('delivers what comes in the clear, and counts it', () => {
    const clear = ipv4Packet(100, ends('198.51.100.7', 'b1'));
    const { two, in: into } = arrive([clear]);
    expect(into).toMatchObject({ packets: 1, esp: 0, clear: 1, delivered: 1, drops: {} });
    expect(ipv4.ttl(two.got.b1[0]!)).toBe(63);
  });

  it('leaves ESP between pods alone: it is theirs', () => {
    const theirs = ipv4Packet(100, { ...ends('198.51.100.7', 'b1'), protocol: 50 });
    const { two, in: into } = arrive([theirs]);
    expect(into).toMatchObject({ esp: 0, clear: 1, delivered: 1 });
    expect(two.got.b1[0]!.subarray(20)).toEqual(theirs.subarray(20));
  });

  it.each([
    ['a source that has no node id', 'no-node-id', null, frame, { ids: [IDS[0], new Map()] }],
    ['a source that is no node', 'no-node-id', null, changed(frame, 15, 99), {}],
    ['an SPI that nobody has', 'no-state', 'XfrmInNoStates', changed(frame, 23, 9), {}],
    [
      'one bit of the ciphertext flipped',
      'bad-icv',
      'XfrmInStateProtoError',
      changed(frame, 60, frame[60]! ^ 1),
      {},
    ],
    [
      'ESP that is shorter than its header',
      'header-error',
      'XfrmInHdrError',
      changed(frame.slice(0, 26), 3, 26),
      {},
    ],
    ['to this node, and not ESP', 'no-route', null, changed(frame, 9, 17), {}],
    ['to nobody here', 'no-route', null, ipv4Packet(60, ends('198.51.100.7', '203.0.113.9')), {}],
    ['to a pod that is not here', 'no-route', null, ipv4Packet(60, ends('198.51.100.7', '10.244.2.99')), {}],
    [
      'in the clear with a TTL of 1',
      'hop-limit',
      null,
      ipv4Packet(60, { ...ends('198.51.100.7', 'b1'), ttl: 1 }),
      {},
    ],
    ['a header checksum that is wrong', 'ip-header', null, frame.map((v, i) => (i === 11 ? v ^ 4 : v)), {}],
    ['cut off', 'ip-header', null, frame.subarray(0, 90), {}],
    ['nothing', 'ip-header', null, Uint8Array.of(), {}],
    [
      'no inbound policy',
      'in-no-policy',
      'XfrmInNoPols',
      frame,
      { change: (plan: AgentPlan) => ({ ...plan, policies: [] }) },
    ],
    [
      'another SA than the policy asks for',
      'in-template-mismatch',
      'XfrmInTmplMismatch',
      frame,
      {
        change: (plan: AgentPlan) => ({
          ...plan,
          policies: plan.policies.map((policy) => ({
            ...policy,
            templates: policy.templates.map((t) => ({ ...t, spi: 4 })),
          })),
        }),
      },
    ],
  ] as const)('drops: %s: %s', (_, reason, counter, bytes, options) => {
    const { two, in: into, xfrm } = arrive([bytes], options as TwoNodesOptions);
    expect(into.drops).toEqual({ [reason]: 1 });
    expect(xfrm).toEqual(counter ? { [counter]: 1 } : {});
    expect(into).toMatchObject({ packets: 1, delivered: 0 });
    expect(Object.values(two.got).flat()).toEqual([]);
  });

  it.each([
    ['a TTL that is used up inside', 'hop-limit', espFrame(ipv4Packet(60, { ...ends('a1', 'b1'), ttl: 2 }))],
    [
      'an inner destination that is no pod here',
      'no-pod',
      espFrame(ipv4Packet(60, ends('a1', '10.244.2.99'))),
    ],
    [
      'an inner destination of the other family',
      'no-pod',
      espFrame(ipv6Packet(60, ends('a1', 'fd00:10:244:2::99', 6))),
    ],
  ] as const)('drops after decryption: %s: %s', (_, reason, bytes) => {
    const { in: into } = arrive([bytes]);
    expect(into.drops).toEqual({ [reason]: 1 });
    expect(into).toMatchObject({ esp: 1, decrypted: 0, delivered: 0 });
  });

  it('drops what comes for a pod that was deleted, as XfrmFwdHdrError', () => {
    const two = twoNodes();
    two.nodes[1].movePods('b1', PODS.b1.addresses.map(ip).map(singlePrefix), []);
    two.send('a1', ipv4Packet(100, ends('a1', 'b1')));
    expect(two.nodes[1].stats()).toMatchObject({
      in: { drops: { 'no-pod': 1 } },
      xfrm: { XfrmFwdHdrError: 1 },
    });
  });

  it('asks policies with the mark that xfrm leaves: the node id is gone', () => {
    const change = (plan: AgentPlan): AgentPlan => ({
      ...plan,
      policies: plan.policies.map((policy) =>
        policy.dir === 'fwd' ? { ...policy, mark: { value: 0xd00, mask: 0xffff_ffff } } : policy,
      ),
    });
    expect(arrive([frame], { change }).in).toMatchObject({ delivered: 1, drops: {} });
  });

  it('counts a replay, and delivers once', () => {
    const { two, in: into, xfrm, sas } = arrive([frame, frame, frame]);
    expect(xfrm).toEqual({ XfrmInStateSeqError: 2 });
    expect(into.drops).toEqual({ 'replay-seen': 2 });
    expect(two.got.b1).toHaveLength(1);
    expect(sas.find((sa) => sa.direction === 'in' && sa.packets > 0)).toMatchObject({
      replay: 2,
      seqHi: 0,
      seqLo: 1,
    });
  });

  it('puts fragments of ESP together, from one or several batches', () => {
    const pieces = fragments(frame, 64);
    expect(pieces.length).toBeGreaterThan(2);
    const { two, in: into } = arrive([...pieces].reverse());
    expect(into).toMatchObject({
      packets: pieces.length,
      fragments: pieces.length,
      reassembled: 1,
      esp: 1,
      delivered: 1,
      drops: {},
    });
    expect(two.got.b1).toHaveLength(1);
    const [first, ...rest] = pieces;
    const later = twoNodes();
    later.inject(2, first!);
    expect(later.nodes[1].stats().in).toMatchObject({
      packets: 1,
      fragments: 1,
      reassembled: 0,
      delivered: 0,
    });
    later.inject(2, ...rest);
    expect(later.got.b1).toEqual(two.got.b1);
  });

  it('puts together more packets in one batch than go through at once, among others', () => {
    const source = twoNodes();
    for (let n = 0; n < 9; n++) source.send('a1', ipv4Packet(300, { ...ends('a1', 'b1'), id: n }));
    const frames = source.wire.flatMap((wire, n) =>
      n % 3 === 2
        ? [wire]
        : fragments(wire, 200).map((piece) => {
            ipv4.setId(piece, 0, n);
            ipv4.fillChecksum(piece);
            return piece;
          }),
    );
    const { two, in: into } = arrive(frames);
    expect(into).toMatchObject({
      packets: frames.length,
      fragments: frames.length - 3,
      reassembled: 6,
      delivered: 9,
      drops: {},
    });
    expect(two.got.b1.map((packet) => ipv4.id(packet)).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('passes fragments for pods on as they are', () => {
    const pieces = fragments(ipv4Packet(300, ends('198.51.100.7', 'b1')), 104);
    const { two, in: into } = arrive(pieces);
    expect(into).toMatchObject({ packets: 3, fragments: 0, clear: 3, delivered: 3 });
    expect(two.got.b1.map((piece) => piece.length)).toEqual(pieces.map((piece) => piece.length));
  });

  it('forgets a fragment whose others never come', () => {
    const two = twoNodes();
    const [first, ...rest] = fragments(frame, 64);
    two.inject(2, first!);
    two.clock.run(two.clock.now() + 31_000);
    two.inject(2, ...rest);
    expect(two.nodes[1].stats()).toMatchObject({
      in: { delivered: 0 },
      reassembly: { timedOut: 1, completed: 0 },
    });
  });

  it('forgets it too when nothing comes any more, or only other packets', () => {
    const [first] = fragments(frame, 64);
    const quiet = twoNodes();
    quiet.inject(2, first!);
    quiet.clock.run(quiet.clock.now() + 31_000);
    expect(quiet.nodes[1].stats().reassembly.timedOut).toBe(1);
    expect(quiet.nodes[1].inbound.reassembler.bytes).toBe(0);

    const busy = twoNodes();
    busy.inject(2, first!);
    busy.clock.run(busy.clock.now() + 31_000);
    busy.inject(2, frame);
    expect(busy.nodes[1].inbound.reassembler.pending).toBe(0);
  });
});

describe('ESP inside transport-mode ESP, as in Linux xfrm_input', () => {
  const [src, dst] = [espFrame().slice(12, 16), espFrame().slice(16, 20)];
  const config = saConfig({ spi: 0x77, mode: 'transport', src, dst });

  /** A frame for a tunnel's SA, in so many times transport mode, arrives; what is changed of the outermost and of the plan. */
  function wrapped(times: number, given: Partial<SaConfig> = {}, change = (plan: AgentPlan) => plan) {
    const outer = new TunnelEnd(config, new NodeEngine(), RANDOM);
    let frame = espFrame();
    for (let k = 0; k < times; k++) {
      const outcome = outer.encapsulate(frame);
      if (outcome.verdict !== 'ok') throw new Error(outcome.reason);
      frame = outcome.packet;
    }
    return arrive([frame, frame], {
      change: (plan, node) =>
        node === 2 ? change({ ...plan, sas: [...plan.sas, { ...config, ...given }] }) : plan,
    });
  }

  it('goes on to the inner SA; both have counted, and the policy has an optional template for one', () => {
    const { two, in: into, sas, xfrm } = wrapped(1);
    expect(into).toMatchObject({ packets: 2, esp: 2, decrypted: 1, delivered: 1 });
    expect(sas.filter(({ packets }) => packets > 0).map(({ spi }) => spi)).toEqual([3, 0x77]);
    expect([two.got.b1.length, xfrm]).toEqual([1, { XfrmInStateSeqError: 1 }]);
  });

  it('judges policies by all SAs that a packet came by, and in their order', () => {
    const both = (modes: readonly ('tunnel' | 'transport')[]) =>
      wrapped(1, {}, (plan) => ({
        ...plan,
        policies: plan.policies.map((policy) => ({
          ...policy,
          templates: modes.map((mode) => ({ mode, level: 'required' as const })),
        })),
      })).xfrm;
    expect(both(['tunnel', 'transport'])).toEqual({ XfrmInStateSeqError: 1 });
    expect(both(['transport', 'tunnel'])).toEqual({ XfrmInTmplMismatch: 1, XfrmInStateSeqError: 1 });
  });

  it('takes nothing from a packet of the same flow that came by other SAs', () => {
    const clear = (id: number) => {
      const packet = ipv4Packet(100, { ...ends('a1', 'b1'), id });
      const two = twoNodes();
      for (let k = 0; k < id; k++) two.send('a1', packet);
      return two.wire.at(-1)!;
    };
    const around = new TunnelEnd(config, new NodeEngine(), RANDOM).encapsulate(clear(1));
    if (around.verdict !== 'ok') throw new Error(around.reason);
    const { in: into, xfrm } = arrive([around.packet, clear(2)], {
      change: (plan, node) =>
        node === 1
          ? plan
          : {
              ...plan,
              sas: [...plan.sas, config],
              policies: plan.policies.map((policy) => ({
                ...policy,
                templates: (['tunnel', 'transport'] as const).map((mode) => ({ mode, level: 'required' })),
              })),
            },
    });
    expect([into.delivered, xfrm]).toEqual([1, { XfrmInTmplMismatch: 1 }]);
  });

  it('counts what is wrong with the inner one, and gives up six deep', () => {
    expect(wrapped(1, {}, (plan) => ({ ...plan, sas: plan.sas.slice(-1) })).xfrm).toEqual({
      XfrmInNoStates: 1,
      XfrmInStateSeqError: 1,
    });
    expect(wrapped(5).in.delivered).toBe(1);
    expect(wrapped(6).xfrm).toEqual({ XfrmInBufferError: 1, XfrmInStateSeqError: 1 });
  });
});
