import { describe, expect, it } from 'vitest';
import { hex } from '../../../src/base/bytes.ts';
import { authenc, uncheckedCipher } from '../../../src/crypto/suite.ts';
import { AskedFrames } from '../../../src/inspect/check/span.ts';
import { parsePrefix } from '../../../src/wire/address.ts';
import { ethernet, ip, udp } from '../../support/carried.ts';
import { type CheckWith, checkPackets, NODES } from '../../support/check.ts';
import { sender } from '../../support/diagnose.ts';
import { START } from '../../support/pcap.ts';
import { address, counting, ipv4Packet, saConfig } from '../../support/sa.ts';

const cluster = { keys: [], nodes: NODES };
const config = saConfig({ src: address('10.0.1.1'), dst: address('10.0.2.1') });
const back = saConfig({ src: address('10.0.2.1'), dst: address('10.0.1.1') });
const pods = { src: address('10.0.1.10'), dst: address('10.0.2.20') };

/** A packet that a node has forwarded. */
function clear(id: number, len = 100 + id, given = {}): Uint8Array {
  return ipv4Packet(len, { ...pods, ttl: 63, id, ...given });
}

function esp(n: number, from = config) {
  const send = sender(from);
  return Array.from({ length: n }, (_, i) => send(clear(i + 1)));
}

/** Something that shows that the capture was not for ESP alone. */
const HOST = ipv4Packet(60, { src: address('192.168.0.1'), dst: address('192.168.0.2') });

describe('without keys', () => {
  it('all in ESP', () => {
    const { summary, nodes, pods } = checkPackets([...esp(7), ...esp(5, back), HOST], { cluster });
    expect(summary).toMatchObject({
      verdict: 'encrypted',
      basis: 'seen',
      summary:
        'Encrypted: all of 12 packets between nodes were in ESP, and none between pods of different nodes in the clear.',
      frames: 13,
      esp: 12,
      clear: 0,
      beside: { sameNode: 0, host: 1, outside: 0, unknown: 0 },
      unknown: [
        'No key opened a packet: which pods are behind ESP, and whether the packets are good, is not known.',
        'No packet of node-3 was seen.',
      ],
    });
    expect(nodes).toMatchObject([
      {
        from: 'node-1',
        to: 'node-2',
        known: true,
        esp: 7,
        verdict: 'encrypted',
        sas: [{ spi: 3, packets: 7 }],
      },
      { from: 'node-2', to: 'node-1', known: true, esp: 5, verdict: 'encrypted' },
    ]);
    expect(nodes[0]!.sas[0]).toMatchObject({ suite: null, basis: null });
    expect(pods).toEqual([]);
  });

  it('a leak in a pair of pods, between what is in ESP', () => {
    const { summary, nodes, pods } = checkPackets(
      [...esp(3), clear(9), clear(10)],
      { cluster },
      { seconds: 1 },
    );
    expect(summary).toMatchObject({ verdict: 'not-encrypted', basis: 'seen', esp: 3, clear: 2 });
    expect(summary.summary).toBe(
      'Not encrypted: 2 packets between pods of different nodes were in the clear (10.0.1.10 on node-1 > 10.0.2.20 on node-2); 3 in ESP.',
    );
    expect(nodes).toMatchObject([{ esp: 3, clear: 2, verdict: 'mixed' }]);
    expect(pods).toMatchObject([
      { src: '10.0.1.10', dst: '10.0.2.20', clear: 2, verdict: 'clear', first: 4, last: 5 },
    ]);
  });

  it('a leak in plain VXLAN', () => {
    const inner = ethernet('0800', ipv4Packet(90, pods));
    const vxlan = ip(
      17,
      udp(8472, new Uint8Array([...hex('08000000 00000500'), ...inner])),
      '192.168.0.1',
      '192.168.0.2',
    );
    expect(checkPackets([vxlan], { cluster }).summary).toMatchObject({ verdict: 'not-encrypted', clear: 1 });
  });

  it('what is not between pods of different nodes is beside it', () => {
    const beside = [
      clear(1, 100, { dst: address('10.0.1.11') }),
      clear(2, 100, { dst: address('192.168.0.2') }),
      clear(3, 100, { src: address('10.0.2.1') }),
      clear(4, 100, { dst: address('203.0.113.7') }),
      clear(5, 100, { src: address('198.51.100.1'), dst: address('203.0.113.7') }),
    ];
    const { summary } = checkPackets([...esp(2), ...beside], { cluster });
    expect(summary).toMatchObject({
      verdict: 'encrypted',
      basis: 'seen',
      beside: { sameNode: 1, host: 2, outside: 2, unknown: 0 },
    });
    expect(summary.unknown).toContain('One direction alone was seen: node-1 > node-2.');
  });

  it('where no list of nodes says whose addresses are pods', () => {
    expect(checkPackets([...esp(2), clear(1)], {}, { seconds: 1 }).summary).toMatchObject({
      verdict: 'not-judged',
      summary:
        'Not judged: 2 packets were in ESP. Whether 1 packet in the clear is between pods is not known: give CiliumNodes (kubectl get ciliumnodes -o json).',
    });
    // What goes between the ends of ESP is the nodes' own.
    const ends = ipv4Packet(60, { src: address('10.0.2.1'), dst: address('10.0.1.1') });
    const multicast = ipv4Packet(60, { dst: address('224.0.0.251') });
    expect(checkPackets([...esp(2), ends, multicast], {}).summary).toMatchObject({
      verdict: 'encrypted',
      basis: 'assumed',
      beside: { host: 1, outside: 1 },
    });
  });

  it('a capture of ESP alone does not show whether it could have held others', () => {
    const { summary } = checkPackets(esp(4), { cluster });
    expect(summary).toMatchObject({ verdict: 'encrypted', basis: 'assumed' });
    expect(summary.summary).toMatch(/^Encrypted, if the capture was to show packets in the clear: /);
    expect(summary.unknown[0]).toMatch(/^The capture holds ESP alone\. Whether its filter let/);
  });

  it('nothing that tells', () => {
    expect(checkPackets([HOST], { cluster }).summary).toMatchObject({
      verdict: 'not-judged',
      summary: 'Not judged: no ESP packet was seen.',
    });
    const atPod = Array.from({ length: 3 }, (_, i) => clear(i, 100, { ttl: 64 }));
    expect(checkPackets(atPod, { cluster }).summary).toMatchObject({
      verdict: 'not-judged',
      summary: expect.stringContaining('taken where the pods are'),
    });
    expect(checkPackets([], { cluster }).summary).toMatchObject({ verdict: 'not-judged', esp: 0 });
  });

  it('more pairs of addresses than are told apart', () => {
    const many = Array.from({ length: 4200 }, (_, i) =>
      clear(i, 60, { src: address(`198.51.${i >> 8}.${i & 255}`), dst: address('203.0.113.7') }),
    );
    const { summary } = checkPackets([...many, ...esp(2)], { cluster });
    expect(summary).toMatchObject({ verdict: 'not-judged', beside: { outside: 4096 } });
    expect(summary.unknown[0]).toBe(
      '104 packets in the clear, of too many pairs of addresses, could not be told apart: filter by the pod ranges.',
    );
  });
});

describe('copies, without keys', () => {
  /** Each packet in ESP, and right after it as it came out, on two interfaces. */
  function both(n: number, isCopied: (i: number) => boolean) {
    const send = sender(config);
    return Array.from({ length: n }, (_, i) => {
      const packet = clear(i + 1, 60 + ((37 * i) % 900));
      return isCopied(i) ? [send(packet), packet, packet] : [send(packet)];
    }).flat();
  }

  it('of nearly all of a way are taken for the same packets', () => {
    const { summary, pods } = checkPackets(
      both(50, () => true),
      { cluster },
    );
    expect(summary).toMatchObject({ verdict: 'encrypted', basis: 'assumed', esp: 50, clear: 0 });
    expect(pods).toMatchObject([{ copies: 50, clear: 0, verdict: 'open' }]);
    expect(summary.unknown.join(' ')).toContain(
      '50 packets in the clear, each beside an ESP packet that fits',
    );
  });

  it('and what is in the clear beyond them is a leak', () => {
    const packets = both(50, () => true);
    packets.push(...Array.from({ length: 6 }, (_, i) => clear(1000 + i, 70)));
    expect(checkPackets(packets, { cluster }).summary).toMatchObject({ verdict: 'not-encrypted', clear: 6 });
  });

  it('of some of a way cannot be told', () => {
    const { summary } = checkPackets(
      both(50, (i) => i % 2 === 0),
      { cluster },
    );
    expect(summary).toMatchObject({ verdict: 'not-judged', open: 25, clear: 0 });
    expect(summary.summary).toContain('may be copies of ESP packets beside them');
  });

  it('of hardly any are none: they are leaks', () => {
    const { summary } = checkPackets(
      both(60, (i) => i % 20 === 0),
      { cluster },
    );
    expect(summary).toMatchObject({ verdict: 'not-encrypted', clear: 3 });
  });

  it('of a few packets prove nothing', () => {
    expect(
      checkPackets(
        both(2, () => true),
        { cluster },
      ).summary,
    ).toMatchObject({ verdict: 'not-judged' });
  });

  it('long before or after are none', () => {
    const { summary } = checkPackets(
      both(50, () => true),
      { cluster },
      { seconds: 0.02 },
    );
    expect(summary).toMatchObject({ verdict: 'not-encrypted', clear: 50 });
  });
});

describe('ESP that anyone can read', () => {
  it('is not encrypted: NULL', () => {
    const keys = authenc('hmac(sha256)', counting(32, 64), 'cipher_null', new Uint8Array(0));
    const null_ = { ...config, keys };
    const { summary, nodes } = checkPackets([...esp(5, null_), HOST], { cluster });
    expect(summary).toMatchObject({ verdict: 'not-encrypted', readable: 5, esp: 5, clear: 0 });
    expect(summary.summary).toContain('5 of 5 ESP packets can be read without a key');
    expect(nodes).toMatchObject([{ verdict: 'clear', readable: 5 }]);
    // With its key it is known for certain.
    expect(checkPackets([...esp(5, null_), HOST], { cluster, listed: [null_] }).summary).toMatchObject({
      verdict: 'not-encrypted',
      readable: 5,
    });
  });

  it('that is one among others does not speak for them', () => {
    const null_ = {
      ...config,
      keys: authenc('hmac(sha256)', counting(32, 64), 'cipher_null', new Uint8Array(0)),
    };
    const { summary } = checkPackets([...esp(9), ...esp(1, null_), HOST], { cluster });
    expect(summary).toMatchObject({ verdict: 'encrypted', readable: 0 });
  });
});

describe('with keys', () => {
  it('says which pods were in ESP, and with what', () => {
    const { summary, nodes, pods } = checkPackets([...esp(4), HOST], { cluster, listed: [config] });
    expect(summary.summary).toBe(
      'Encrypted: 4 of 4 packets between pods of different nodes were in ESP, 0 in the clear.',
    );
    expect(nodes[0]!.sas).toEqual([
      { spi: 3, packets: 4, suite: 'rfc4106(gcm(aes))', keyBits: 128, basis: 'seen' },
    ]);
    expect(pods).toMatchObject([{ esp: 4, clear: 0, from: 'node-1', to: 'node-2', verdict: 'encrypted' }]);
  });

  it('counts no packet as of pods that no ICV vouches for', () => {
    const keys = authenc('hmac(sha256)', counting(32, 64), 'cbc(aes)', counting(16), 128);
    const unchecked = { ...config, keys: uncheckedCipher('cbc(aes)', counting(16), 128) };
    const packets = [...esp(4, { ...config, keys }), HOST];
    const { summary, pods } = checkPackets(packets, { cluster, listed: [unchecked] });
    expect(summary.summary).toMatch(/^Encrypted: all of 4 packets between nodes were in ESP/);
    expect(summary.unknown[0]).toBe(
      '4 ESP packets were opened unauthenticated: no ICV was checked, and any may be forged.',
    );
    expect(pods).toEqual([]);
    const asked = { addresses: [parsePrefix('10.0.2.20')!] };
    expect(checkPackets(packets, { cluster, listed: [unchecked] }, asked).summary).toMatchObject({
      verdict: 'not-judged',
      leftOut: { unopened: 4 },
    });
  });

  it('tells copies from leaks for certain', () => {
    const send = sender(config);
    const [a, b] = [clear(1), clear(2)];
    const { summary, pods } = checkPackets([send(a), a, a, b], { cluster, listed: [config] });
    expect(summary).toMatchObject({ verdict: 'not-encrypted', esp: 1, clear: 1 });
    expect(pods).toMatchObject([{ esp: 1, clear: 1, verdict: 'mixed', first: 4, last: 4 }]);
  });
});

describe('what is asked for', () => {
  const third = saConfig({ src: address('10.0.1.1'), dst: address('10.0.3.1') });
  const toThird = { dst: address('10.0.3.30') };
  const at = (n: number) => ({ seconds: START + n, nanoseconds: 0 });
  const leak = 'packets? in the clear between pods of different nodes';
  const ranges = (...texts: string[]) => texts.map((text) => parsePrefix(text)!);

  /** ESP from node-1 to node-2 and to node-3, and a leak to node-3. */
  const leaky = () => [
    ...esp(4),
    ...esp(3, third),
    clear(50, 90, toThird),
    ipv4Packet(60, { src: address('192.168.0.1'), dst: address('192.168.0.2') }),
  ];

  it.each<[string, CheckWith, string, number]>([
    ['the node of a leak', { nodes: ['node-3'] }, 'not-encrypted', 0],
    ['an address of that node', { nodes: ['192.168.0.3'] }, 'not-encrypted', 0],
    ['the node at the other end', { nodes: ['node-1'] }, 'not-encrypted', 0],
    ['one of several nodes', { nodes: ['node-2', 'node-3'] }, 'not-encrypted', 0],
    ['another node', { nodes: ['node-2'] }, 'encrypted', 1],
    ['the pod of a leak', { addresses: ranges('10.0.3.30') }, 'not-encrypted', 0],
    ['a range of pods', { addresses: ranges('10.0.3.0/24') }, 'not-encrypted', 0],
    ['the address of its node', { addresses: ranges('192.168.0.3') }, 'not-encrypted', 0],
    ['the address of another node', { addresses: ranges('10.0.2.1') }, 'encrypted', 1],
    [
      'another pod: without keys it is not known what ESP carries',
      { addresses: ranges('10.0.2.20') },
      'not-judged',
      1,
    ],
    ['no pair at all', { nodes: ['node-9'] }, 'not-judged', 1],
    ['both ends', { nodes: ['node-1'], addresses: ranges('10.0.3.30') }, 'not-encrypted', 0],
    ['both ends of another pair', { nodes: ['node-2'], addresses: ranges('10.0.3.30') }, 'not-judged', 1],
  ])('%s', (_, asked, verdict, left) => {
    const { summary, nodes } = checkPackets(leaky(), { cluster }, { seconds: 1, ...asked });
    expect(summary).toMatchObject({ verdict, clear: 1 - left, leftOut: { clear: left, frames: 0 } });
    expect(summary.summary).toMatch(
      /^(Not e|E)ncrypted, of the pairs asked for: |^Not judged, of the pairs asked for: /,
    );
    // However it is asked, a leak is never passed over in silence.
    expect(summary.summary).toMatch(
      new RegExp(left > 0 ? `Left out: 1 ${leak}` : 'were? in the clear|was in the clear'),
    );
    expect(nodes.every(({ clear }) => clear === 0)).toBe(left > 0);
  });

  it('says how much of all it is', () => {
    expect(checkPackets(leaky(), { cluster }, { seconds: 1, nodes: ['node-2'] }).summary).toMatchObject({
      summary:
        'Encrypted, of the pairs asked for: all of 4 packets between nodes were in ESP, and none between pods of different nodes in the clear. Left out: 1 packet in the clear between pods of different nodes, 3 in ESP.',
      esp: 4,
      leftOut: { frames: 0, esp: 3, unopened: 0, clear: 1, open: 0 },
      unknown: [
        'No key opened a packet: which pods are behind ESP, and whether the packets are good, is not known.',
        'One direction alone was seen: node-1 > node-2.',
      ],
    });
    const byPod = checkPackets(leaky(), { cluster }, { seconds: 1, addresses: ranges('10.0.2.20') }).summary;
    expect(byPod.summary).toBe(
      'Not judged, of the pairs asked for: no ESP packet is known to be of these pairs. 4 ESP packets that no key opened and checked may be of these pairs: give keys, or ask by --node. Left out: 1 packet in the clear between pods of different nodes, 3 in ESP.',
    );
    expect(byPod).toMatchObject({ esp: 0, leftOut: { esp: 3, unopened: 4 } });
  });

  it('pods by name, in ESP by what keys open, and in the clear', () => {
    const names = [
      { pod: 'shop/web', addresses: ['10.0.2.20'] },
      { pod: 'shop/db', addresses: ['10.0.3.30'] },
    ];
    const known = { cluster, listed: [config, third] };
    const to3 = sender(third);
    const packets = [...esp(4), ...[1, 2].map((id) => to3(clear(id, 80, toThird))), clear(50, 90, toThird)];
    const web = checkPackets(packets, known, { seconds: 1, names, pods: ['web'] });
    expect(web.summary).toMatchObject({
      verdict: 'encrypted',
      basis: 'seen',
      esp: 4,
      leftOut: { clear: 1, esp: 2 },
    });
    expect(web.nodes).toMatchObject([{ from: 'node-1', to: 'node-2', esp: 4, sas: [{ packets: 4 }] }]);
    expect(web.pods).toMatchObject([{ dstPod: 'shop/web', srcPod: null, esp: 4 }]);
    const db = checkPackets(packets, known, { seconds: 1, names, pods: ['shop/db'] });
    expect(db.summary).toMatchObject({
      verdict: 'not-encrypted',
      esp: 2,
      clear: 1,
      leftOut: { clear: 0, esp: 4 },
    });
    expect(db.pods).toMatchObject([
      { dstPod: 'shop/db', esp: 2, clear: 1, firstTime: `${START + 6}.000000` },
    ]);
  });

  it('what can be read without a key, of one pod', () => {
    const keys = authenc('hmac(sha256)', counting(32, 64), 'cipher_null', new Uint8Array(0));
    const null_ = { ...config, keys };
    const asked = { addresses: ranges('10.0.2.20') };
    const without = checkPackets([...esp(5, null_), HOST], { cluster }, asked).summary;
    expect(without).toMatchObject({ verdict: 'not-judged' });
    expect(without.summary).toContain('5 of them can be read without a key');
    const known = { cluster, listed: [null_] };
    expect(checkPackets([...esp(5, null_), HOST], known, asked).summary).toMatchObject({
      verdict: 'not-encrypted',
      readable: 5,
    });
  });

  it('packets in the clear that no list places are never left out by node', () => {
    const { summary } = checkPackets([...esp(2), clear(1)], {}, { seconds: 1, nodes: ['10.0.1.1'] });
    expect(summary).toMatchObject({ verdict: 'not-judged', beside: { unknown: 1 } });
  });

  it('a time', () => {
    const packets = [...esp(3), clear(9), ...esp(2, back), HOST];
    const of = (asked: CheckWith) => checkPackets(packets, { cluster }, { seconds: 1, ...asked }).summary;
    expect(of({ until: at(2) })).toMatchObject({
      verdict: 'encrypted',
      basis: 'seen',
      summary:
        'Encrypted, up to 2023-11-14T22:13:22.000000Z: all of 3 packets between nodes were in ESP, and none between pods of different nodes in the clear. Left out: 1 packet in the clear between pods of different nodes, 2 in ESP.',
      frames: 3,
      leftOut: { frames: 4, esp: 2, clear: 1 },
    });
    expect(of({ since: at(3), until: at(4) })).toMatchObject({
      verdict: 'not-encrypted',
      frames: 2,
      clear: 1,
    });
    expect(of({ since: at(3), until: at(4) }).summary).toMatch(
      /^Not encrypted, between 2023-11-14T22:13:23.000000Z and 2023-11-14T22:13:24.000000Z: 1 packet/,
    );
    expect(of({ since: at(90) })).toMatchObject({
      verdict: 'not-judged',
      frames: 0,
      leftOut: { clear: 1, esp: 5 },
    });
    expect(of({ since: at(4), nodes: ['node-2'], count: 2 })).toMatchObject({
      summary: expect.stringMatching(
        /^Encrypted, of the pairs asked for, from 2023-11-14T22:13:24.000000Z on, in the first 2 frames: /,
      ),
      leftOut: { clear: 1 },
    });
  });

  it('copies are told by what lies outside of that time', () => {
    const send = sender(config);
    const packets = Array.from({ length: 50 }, (_, i) => {
      const packet = clear(i + 1, 60 + ((37 * i) % 900));
      // As it was before encryption, and then in ESP.
      return [packet, send(packet)];
    }).flat();
    for (const known of [{ cluster }, { cluster, listed: [config] }]) {
      const first = checkPackets(packets, known, { count: 1 }).summary;
      expect(first).toMatchObject({ clear: 0, verdict: 'not-judged', frames: 1 });
      const later = { seconds: START, nanoseconds: 450_000 };
      const cut = checkPackets(packets, known, { since: later, until: { ...later, nanoseconds: 1_050_000 } });
      expect(cut.summary).toMatchObject({ verdict: 'encrypted', frames: 6, esp: 3, clear: 0 });
    }
  });

  it('the first frames, and none after them', () => {
    const frames = new AskedFrames({ since: undefined, until: undefined, count: 2 });
    const begin = (seconds: number, hasTime = true) => {
      frames.begin({ seconds, nanoseconds: 5, hasTime });
      return [frames.isAsked, frames.isOver];
    };
    expect([begin(1), begin(2), begin(2), begin(9, false)]).toEqual([
      [true, false],
      [true, true],
      [false, true],
      [false, true],
    ]);
    expect(frames).toMatchObject({ count: 2, leftOut: 2, text: 'in the first 2 frames', last: 2 + 5e-9 });
  });

  it.each([
    ['without keys', { cluster }],
    ['with keys', { cluster, listed: [config] }],
  ])('%s: a packet in the clear before the end of reading is no leak yet', (_, known) => {
    const send = sender(config);
    const before = Array.from({ length: 5 }, (_, i) => [clear(i + 1), send(clear(i + 1))]).flat();
    const packets = [...before, clear(6), send(clear(6))];
    const cut = checkPackets(packets, known, { count: 11, ends: true }).summary;
    expect(cut).toMatchObject({ verdict: 'not-judged', frames: 11, clear: 0, open: 1 });
    expect(cut.summary).toContain(
      '1 packet in the clear came within 10 ms of the last frame that was read: whether ESP packets follow that carry it is not known. Ask for more frames with -c.',
    );
    expect(checkPackets(packets, known, { count: 12, ends: true }).summary).toMatchObject({
      verdict: 'encrypted',
      clear: 0,
    });
    // A second before it would have come by then.
    const early = [...before, clear(9), send(clear(7))];
    expect(checkPackets(early, known, { count: 12, ends: true, seconds: 1 }).summary).toMatchObject({
      verdict: 'not-encrypted',
    });
  });

  it('a place that sees no copies shows a leak at the end of reading, too', () => {
    const { summary } = checkPackets([...esp(40), clear(6), HOST], { cluster }, { count: 41, ends: true });
    expect(summary).toMatchObject({ verdict: 'not-encrypted', clear: 1, open: 0 });
  });
});
