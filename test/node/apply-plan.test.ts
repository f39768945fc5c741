import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { seededBytes } from '../../src/base/rng.ts';
import type { AgentPlan } from '../../src/cilium/agent-plan.ts';
import type { Engine } from '../../src/crypto/engine.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead, type KeyMaterial } from '../../src/crypto/suite.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import type { Policy, Template } from '../../src/ipsec/spd.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { Node } from '../../src/node/node.ts';
import { parseAddress, parsePrefix } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { udp4 } from '../support/datagram.ts';
import { batchOf, received } from '../support/frames.ts';

const A = parseAddress('192.0.2.1')!;
const B = parseAddress('192.0.2.2')!;
const HERE = parsePrefix('10.244.1.0/24')!;
const THERE = parsePrefix('10.244.2.0/24')!;
const ANY = parsePrefix('0.0.0.0/0')!;

const key = (fill: number) => aead('rfc4106(gcm(aes))', new Uint8Array(20).fill(fill), 128);
const state = (spi: number, given: Partial<SaConfig> = {}): SaConfig => ({
  src: A,
  dst: B,
  spi,
  mode: 'tunnel',
  keys: key(1),
  esn: true,
  replayWindow: 1024,
  reqid: 1,
  flags: [],
  origin: `spi ${spi}`,
  ...given,
});

/** A plan with one peer, whose packets leave with `mark`, and a template that names reqid 1 and what is given. */
function planOf(sas: readonly SaConfig[], { mark = 0, template = {} as Partial<Template> } = {}): AgentPlan {
  const peer = { name: 'b', nodeId: 1, encrypts: true, keyId: 0, encryptMark: mark, decryptMark: 0 };
  const policy: Policy = {
    dir: 'out',
    selector: { src: ANY, dst: THERE },
    action: 'allow',
    priority: 0,
    templates: [{ src: A, dst: B, reqid: 1, mode: 'tunnel', level: 'required', ...template }],
  };
  return {
    routes: [
      { prefix: { address: A, bits: 32 }, route: { kind: 'self' } },
      { prefix: { address: B, bits: 32 }, route: { kind: 'node', peer } },
      { prefix: THERE, route: { kind: 'remote', peer } },
    ],
    policies: [policy],
    sas,
  };
}

/** Counts the keys that are in the engine. */
class CountingEngine extends NodeEngine implements Engine {
  readonly held = new Set<number>();
  override addKey(keys: KeyMaterial): number {
    const handle = super.addKey(keys);
    this.held.add(handle);
    return handle;
  }
  override removeKey(handle: number): void {
    this.held.delete(handle);
    super.removeKey(handle);
  }
}

function nodeWith(plan: AgentPlan) {
  const clock = new VirtualClock();
  const { a, b } = memoryPair(clock, { mtu: 1500 });
  const sent = received(b);
  const engine = new CountingEngine();
  const node = new Node({ name: 'a', plan, outside: a, engine, clock, random: seededBytes(7) });
  node.addInside('pods', [HERE], memoryPair(clock, {}).a);
  const send = (count = 1, src = '10.244.1.10') => {
    const packet = udp4(200, { src: parseAddress(src)!, dst: parseAddress('10.244.2.20')! });
    for (let n = 0; n < count; n++) node.fromPods(batchOf([packet]));
    clock.run();
  };
  return { node, engine, sent, send, clock };
}

/** A frame that looks like ESP. */
function espFrom(src: Uint8Array, dst: Uint8Array, spi: number): Uint8Array {
  const frame = udp4(40, { src, dst });
  frame[9] = 50;
  ipv4.fillChecksum(frame);
  frame.set([0, 0, 0, spi], 20);
  return frame;
}

/** SPI and low half of the number of what left. */
const numbers = (sent: readonly Uint8Array[]) => sent.map((frame) => [frame[23], frame[27]]);

describe('limits in seconds, as Linux keeps them (xfrm_timer_handler)', () => {
  it('ends an SA its time after it was added, whatever it carried, and also under a new plan', () => {
    const { node, send, sent, clock } = nodeWith(planOf([state(1, { lifetime: { hardAddSeconds: 4 } })]));
    send();
    node.applyPlan(planOf([state(1, { lifetime: { hardAddSeconds: 5 } })]));
    clock.run(4999);
    send();
    expect(sent).toHaveLength(2);
    clock.run(5000);
    send(2);
    expect([sent.length, node.stats().xfrm]).toEqual([2, { XfrmOutNoStates: 2 }]);
  });

  it('counts the other limit from the first packet, and does not begin before', () => {
    const { node, send, sent, clock } = nodeWith(planOf([state(1, { lifetime: { hardUseSeconds: 3 } })]));
    for (const at of [2000, 9000]) {
      clock.run(at);
      node.expire();
    }
    send();
    // Seen within a second, as Linux counts them.
    clock.run(10_000);
    node.expire();
    clock.run(12_999);
    send();
    expect(sent).toHaveLength(2);
    clock.run(13_000);
    send();
    expect(sent).toHaveLength(2);
  });

  it('takes another SA once a soft one is reached', () => {
    const { send, sent, clock } = nodeWith(
      planOf([state(2, { lifetime: { softAddSeconds: 2 } }), state(1, { keys: key(2) })]),
    );
    send();
    clock.run(2000);
    send();
    expect(numbers(sent)).toEqual([
      [2, 1],
      [1, 1],
    ]);
  });

  it('lets in nothing more either: no state is found', () => {
    const sa = state(1, { src: B, dst: A, lifetime: { hardAddSeconds: 1 } });
    const { node, clock } = nodeWith(planOf([sa]));
    clock.run(1000);
    node.inbound.anySource = true;
    node.fromOutside(batchOf([espFrom(B, A, 1)]));
    expect(node.stats().xfrm).toEqual({ XfrmInNoStates: 1 });
  });
});

it('a state for receiving alone sends nothing, and one for sending alone takes nothing (Linux x->dir)', () => {
  const { node, send, sent } = nodeWith(
    planOf([state(1, { direction: 'in' }), state(2, { src: B, dst: A, direction: 'out' })]),
  );
  send();
  node.inbound.anySource = true;
  node.fromOutside(batchOf([espFrom(B, A, 2)]));
  expect([sent, node.stats().xfrm]).toEqual([[], { XfrmOutStateDirError: 1, XfrmInStateDirError: 1 }]);
});

describe('a plan that changes an SA in place', () => {
  it('obeys a new hard limit; what was carried before counts, as in Linux (xfrm_state_update)', () => {
    const fresh = nodeWith(planOf([state(1)]));
    fresh.node.applyPlan(planOf([state(1, { lifetime: { hardPackets: 1 } })]));
    fresh.send(3);
    expect(fresh.sent).toHaveLength(1);
    expect(fresh.node.stats().xfrm).toEqual({ XfrmOutStateExpired: 1, XfrmOutNoStates: 1 });

    const used = nodeWith(planOf([state(1)]));
    used.send(3);
    used.node.applyPlan(planOf([state(1, { lifetime: { hardPackets: 5 } })]));
    used.send(3);
    expect(used.sent).toHaveLength(5);
  });

  it('obeys a narrower selector', () => {
    const { node, send, sent } = nodeWith(planOf([state(1)]));
    send();
    node.applyPlan(planOf([state(1, { selector: { src: parsePrefix('10.244.1.99/32')!, dst: THERE } })]));
    send();
    expect(sent).toHaveLength(1);
    send(1, '10.244.1.99');
    expect(sent).toHaveLength(2);
  });

  it.each([
    ['selector', { selector: { src: ANY, dst: THERE } }],
    ['lifetime', { lifetime: { hardPackets: 100 } }],
    ['output mark', { outputMark: { value: 0xd00, mask: 0xffff_ff00 } }],
    ['direction', { direction: 'out' }],
    ['flags', { flags: ['noecn'] }],
    ['encapsulation', { encap: { sport: 4500, dport: 4500 } }],
  ] as const)('takes over a new %s, and its numbers go on: no nonce is used twice', (_, change) => {
    const { node, engine, send } = nodeWith(planOf([state(1)]));
    send(3);
    node.applyPlan(planOf([state(1, change)]));
    const [sa] = node.sad.sas;
    expect(sa!.config).toMatchObject(change);
    expect([sa!.sequence.lo, sa!.life.packets, sa!.ivSalt.some((byte) => byte !== 0)]).toEqual([3, 3, true]);
    send();
    expect([sa!.sequence.lo, node.sad.size, engine.held.size]).toEqual([4, 1, 1]);
  });

  it('keeps window and statistics of an inbound one', () => {
    const { node } = nodeWith(planOf([state(1)]));
    const before = node.sad.sas[0]!;
    before.window.commit(0, 5);
    before.stats.replay = 2;
    node.applyPlan(planOf([state(1, { lifetime: { softPackets: 9 } })]));
    const after = node.sad.sas[0]!;
    expect([after === before, after.window.topLo, after.stats.replay]).toEqual([false, 5, 2]);
  });

  it.each([
    ['key', { keys: key(2) }],
    ['source', { src: parseAddress('192.0.2.9')! }],
    ['window', { replayWindow: 64 }],
    ['ESN', { esn: false }],
  ] as const)('begins anew with another %s', (_, change) => {
    const { node, engine, send } = nodeWith(planOf([state(1)]));
    send(3);
    node.applyPlan(planOf([state(1, change)]));
    expect([node.sad.sas[0]!.sequence.lo, node.sad.size, engine.held.size]).toEqual([0, 1, 1]);
  });
});

describe('a plan whose states take the place of others', () => {
  const MARK = 0x0cb9_3e00;
  const marked = state(1, { mark: { value: MARK, mask: 0xffff_ff00 } });

  it.each([
    ['unmarked gives way to marked', [state(1)], [marked]],
    ['marked gives way to unmarked', [marked], [state(1)]],
    [
      'two marks give way to one mask that covers both',
      [
        state(1, { mark: { value: 0x0cb9_3e01, mask: 0xffff_ffff } }),
        state(1, { mark: { value: 0x0cb9_3e02, mask: 0xffff_ffff } }),
      ],
      [marked],
    ],
    ['any mark is no mark', [state(1, { mark: { value: 0, mask: 0 } })], [state(1)]],
  ])('%s, with the same SPI', (_, old, now) => {
    const { node, engine, send, sent } = nodeWith(planOf(old, { mark: MARK, template: { spi: 1 } }));
    node.applyPlan(planOf(now, { mark: MARK, template: { spi: 1 } }));
    expect([node.sad.size, engine.held.size]).toEqual([1, 1]);
    send();
    expect(sent).toHaveLength(1);
  });
});

describe('a plan that cannot be', () => {
  const broken: [string, readonly SaConfig[], string][] = [
    ['two SAs in one place', [state(1, { keys: key(2) }), state(1, { keys: key(3) })], 'ERR_SA_EXISTS'],
    [
      'one collides with one that stays',
      [state(1), state(2, { keys: key(2) }), state(1, { keys: key(3) })],
      'ERR_SA_EXISTS',
    ],
    [
      'one overlaps another by its mark',
      [state(2, { mark: { value: 1, mask: 1 } }), state(2, { mark: { value: 3, mask: 3 } }), state(7)],
      'ERR_SA_EXISTS',
    ],
  ];
  it.each(broken)('leaves the node as it was: %s', (_, sas, code) => {
    const { node, engine, send, sent } = nodeWith(planOf([state(1), state(9)], { template: { spi: 1 } }));
    send(2);
    const before = [...node.sad.sas];
    const keys = new Set(engine.held);
    const other = planOf(sas);
    expect(() => node.applyPlan({ ...other, policies: [], routes: [], anySource: true })).toThrow(
      expect.objectContaining({ code }),
    );
    expect(node.sad.sas).toEqual(before);
    expect(engine.held).toEqual(keys);
    expect(node.inbound.anySource).toBe(false);
    send();
    expect(numbers(sent)).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
    ]);
    // And what can be is taken afterwards.
    node.applyPlan(planOf([state(1)], { template: { spi: 1 } }));
    send();
    expect(sent).toHaveLength(4);
  });

  it('leaves the node as it was when the engine, or a window, fails half-way', () => {
    const { node, engine } = nodeWith(planOf([state(1)]));
    const keys = new Set(engine.held);
    const before = [...node.sad.sas];
    expect(() => node.applyPlan(planOf([state(2), state(3), state(4, { replayWindow: 2 ** 30 })]))).toThrow(
      RangeError,
    );
    expect(engine.held).toEqual(keys);
    let left = 2;
    const addKey = engine.addKey.bind(engine);
    engine.addKey = (material) => {
      if (left-- === 0) throw new Error('no more keys');
      return addKey(material);
    };
    expect(() => node.applyPlan(planOf([state(1, { keys: key(5) }), state(3), state(4)]))).toThrow('no more');
    expect([engine.held, node.sad.sas]).toEqual([keys, before]);
  });
});

describe('a rotation without an SPI in the template', () => {
  it('sends by the SA that came last, whatever the order of the text', () => {
    for (const next of [
      [state(1), state(2, { keys: key(2) })],
      [state(2, { keys: key(2) }), state(1)],
    ]) {
      const { node, send, sent } = nodeWith(planOf([state(1)]));
      send();
      node.applyPlan(planOf(next));
      send();
      node.applyPlan(planOf([state(2, { keys: key(2) })]));
      send();
      expect(numbers(sent)).toEqual([
        [1, 1],
        [2, 1],
        [2, 2],
      ]);
    }
  });
});
