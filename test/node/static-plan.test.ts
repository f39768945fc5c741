import { describe, expect, it } from 'vitest';
import { systemClock, VirtualClock } from '../../src/base/clock.ts';
import { seededBytes } from '../../src/base/rng.ts';
import { Forge, textOf } from '../../src/conform/forge.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead } from '../../src/crypto/suite.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import type { Policy } from '../../src/ipsec/spd.ts';
import type { Link } from '../../src/link/link.ts';
import { Node } from '../../src/node/node.ts';
import { staticPlan } from '../../src/node/static-plan.ts';
import { parseAddress, parsePrefix } from '../../src/wire/address.ts';
import { ON } from '../../src/wire/packet.ts';
import { udp4 } from '../support/datagram.ts';
import { batchOf } from '../support/frames.ts';

const A = parseAddress('192.0.2.1')!;
const B = parseAddress('192.0.2.2')!;
const PODS = [parsePrefix('10.244.1.0/24')!, parsePrefix('10.244.2.0/24')!] as const;

const state = (src: Uint8Array, dst: Uint8Array, spi: number, fill = 1): SaConfig => ({
  src,
  dst,
  spi,
  mode: 'tunnel',
  keys: aead('rfc4106(gcm(aes))', new Uint8Array(20).fill(fill), 128),
  esn: true,
  replayWindow: 1024,
  reqid: 1,
  flags: [],
  origin: 'test',
});
const policy = (dir: Policy['dir'], from: number, src: Uint8Array, dst: Uint8Array): Policy => ({
  dir,
  selector: { src: PODS[from]!, dst: PODS[1 - from]! },
  action: 'allow',
  priority: 0,
  templates: [{ src, dst, reqid: 1, mode: 'tunnel', level: 'required' }],
});

const planOf = (local: Uint8Array, states: readonly SaConfig[]) => {
  const here = local === A ? 0 : 1;
  const [us, them] = here === 0 ? [A, B] : [B, A];
  return staticPlan({
    states,
    policies: [policy('out', here, us, them), policy('fwd', 1 - here, them, us)],
    local: [local],
  });
};

/** A link that keeps what it is given, or hands it to `to` at once. */
function wire(to?: (batch: Parameters<Link['send']>[0]) => void): Link & { sent: Uint8Array[] } {
  const sent: Uint8Array[] = [];
  return {
    name: 'wire',
    medium: 'ip',
    mtu: 1500,
    sent,
    send(batch, next = ON) {
      let taken = 0;
      for (let i = 0; i < batch.count; i++) {
        if (batch.next[i] !== next) continue;
        sent.push(batch.copy(i));
        taken++;
      }
      to?.(batch);
      return taken;
    },
    receive: () => {},
    close: () => {},
  };
}

function nodeAt(local: Uint8Array, states: readonly SaConfig[]) {
  const outside = wire();
  const inside = wire();
  const node = new Node({
    name: 'n',
    plan: planOf(local, states),
    outside,
    engine: new NodeEngine(),
    clock: systemClock,
    random: seededBytes(3),
  });
  node.addInside('pods', [PODS[local === A ? 0 : 1]!], inside);
  return { node, outside, inside };
}

const packet = () => udp4(200, { src: parseAddress('10.244.1.10')!, dst: parseAddress('10.244.2.20')! });

describe('staticPlan', () => {
  it('leads pods through the states of a text without marks, both ways', () => {
    const states = [state(A, B, 1), state(B, A, 2)];
    const [a, b] = [nodeAt(A, states), nodeAt(B, states)];
    a.node.fromPods(batchOf([packet()]));
    expect(a.outside.sent).toHaveLength(1);
    b.node.fromOutside(batchOf(a.outside.sent));
    expect(b.inside.sent).toHaveLength(1);
    expect(b.inside.sent[0]!.subarray(20)).toEqual(packet().subarray(20));
    expect(b.node.stats().in.drops).toEqual({});
  });

  it('looks up ESP from anybody: without a state it is XfrmInNoStates', () => {
    const b = nodeAt(B, [state(A, B, 1)]);
    const a = nodeAt(A, [state(A, B, 9)]);
    a.node.fromPods(batchOf([packet()]));
    b.node.fromOutside(batchOf(a.outside.sent));
    expect(b.node.stats().xfrm).toEqual({ XfrmInNoStates: 1 });
  });
});

describe('a node that receives IP-TFS', () => {
  const config: SaConfig = { ...state(A, B, 1), mode: 'iptfs' };
  const forge = new Forge(config, new NodeEngine());
  const inner = (len: number) =>
    udp4(len, { src: PODS[0].address.with(3, 9), dst: PODS[1].address.with(3, 9) });
  const outer = (seq: number, offset: number, ...parts: readonly Uint8Array[]) =>
    forge.packet(
      BigInt(seq),
      textOf(Uint8Array.from([0, 0, 0, offset, ...parts.flatMap((part) => [...part])]), 144, 4),
    );
  function receiver() {
    const inside = wire();
    const clock = new VirtualClock();
    const node = new Node({
      name: 'n',
      plan: staticPlan({
        states: [config],
        policies: [{ ...policy('fwd', 0, A, B), templates: [{ mode: 'iptfs', level: 'required' }] }],
        local: [B],
      }),
      outside: wire(),
      engine: new NodeEngine(),
      clock,
      random: seededBytes(3),
    });
    node.addInside('pods', [PODS[1]], inside);
    const lengths = () => inside.sent.splice(0).map(({ length }) => length);
    return { node, clock, lengths };
  }

  it('delivers many packets of one, and one of many, behind the rest of their batch', () => {
    const { node, lengths } = receiver();
    const long = inner(300);
    const six = Array.from({ length: 6 }, (_, i) => inner(60 + i));
    node.fromOutside(
      batchOf([outer(1, 0, ...six, long.subarray(0, 100)), outer(2, 200, long.subarray(100))]),
    );
    expect(lengths()).toEqual([60, 61, 62, 63, 64, 65, 300]);
    expect(node.stats()).toMatchObject({
      in: { packets: 2, esp: 2, decrypted: 7, delivered: 7, drops: {} },
      sas: [{ packets: 2 }],
    });
  });

  it('waits for a number that is missing, and gives it up when its time is over', () => {
    const { node, clock, lengths } = receiver();
    node.fromOutside(batchOf([outer(1, 0, inner(60), inner(300).subarray(0, 100)), outer(3, 0, inner(61))]));
    expect(lengths()).toEqual([60]);
    clock.run(999);
    expect(lengths()).toEqual([]);
    clock.run(1001);
    expect(lengths()).toEqual([61]);
    node.fromOutside(batchOf([outer(2, 0, inner(62)), outer(4, 0, inner(63))]));
    expect(lengths()).toEqual([63]);
  });

  it('counts what Linux counts, and takes nothing from unauthenticated packets', () => {
    const { node, lengths } = receiver();
    const forged = outer(2, 200, inner(300).subarray(100));
    forged[forged.length - 1]! ^= 1;
    const frames = [outer(1, 0, inner(300).subarray(0, 100)), forged, outer(2, 0, inner(60))];
    node.fromOutside(batchOf([...frames, outer(3, 0, Uint8Array.of(0x50))]));
    expect(lengths()).toEqual([60]);
    expect(node.stats().xfrm).toEqual({
      XfrmInBufferError: 1,
      XfrmInIptfsError: 1,
      XfrmInStateProtoError: 1,
    });
  });
});

describe('Node.applyPlan', () => {
  it('keeps the counters of what stays, and takes away what goes', () => {
    const { node, outside } = nodeAt(A, [state(A, B, 1), state(B, A, 2)]);
    for (let n = 0; n < 5; n++) node.fromPods(batchOf([packet()]));
    node.applyPlan(planOf(A, [state(A, B, 1), state(B, A, 3)]));
    node.fromPods(batchOf([packet()]));
    expect(outside.sent).toHaveLength(6);
    expect(node.stats().sas.map(({ spi, packets, seqLo }) => [spi, packets, seqLo])).toEqual([
      [1, 6, 6],
      [3, 0, 0],
    ]);
  });

  it('begins anew under a new key, even with the SPI of the old one', () => {
    const { node, outside } = nodeAt(A, [state(A, B, 1)]);
    node.fromPods(batchOf([packet()]));
    node.applyPlan(planOf(A, [state(A, B, 1, 7)]));
    node.fromPods(batchOf([packet()]));
    expect(node.stats().sas.map(({ spi, packets }) => [spi, packets])).toEqual([[1, 1]]);
    const b = nodeAt(B, [state(A, B, 1, 7)]);
    b.node.fromOutside(batchOf(outside.sent));
    expect(b.node.stats().in).toMatchObject({ decrypted: 1, drops: { 'bad-icv': 1 } });
  });

  it('leaves nothing of a policy that is gone: what needed it is blocked or leaves the cluster', () => {
    const { node, outside } = nodeAt(A, [state(A, B, 1)]);
    node.applyPlan(staticPlan({ states: [], policies: [], local: [A] }));
    node.fromPods(batchOf([packet()]));
    expect(node.stats().decisions).toEqual({ 'off-cluster': 1 });
    expect(outside.sent[0]!.subarray(20)).toEqual(packet().subarray(20));
    expect(node.sad.size).toBe(0);
  });
});

describe('packets of one flow', () => {
  it('are answered alike, and those of others not', () => {
    const { node, outside } = nodeAt(A, [state(A, B, 1)]);
    const other = udp4(200, { src: parseAddress('10.244.1.10')!, dst: parseAddress('10.9.9.9')! });
    node.fromPods(batchOf([packet(), packet(), other, packet(), other]));
    expect(node.stats().decisions).toEqual({ encrypt: 3, 'off-cluster': 2 });
    expect(outside.sent.map((sent) => sent[9])).toEqual([50, 50, 17, 50, 17]);
  });
});
