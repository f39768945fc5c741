/** Packets of pods in the clear: what policies say of them, where the capture was taken, and how much was in ESP. */
import { describe, expect, it } from 'vitest';
import { hex } from '../../../src/base/bytes.ts';
import { authenc, uncheckedCipher } from '../../../src/crypto/suite.ts';
import { encryptionText } from '../../../src/inspect/diagnose/encryption.ts';
import { readPolicies } from '../../../src/sa-text/to-policy.ts';
import { ethernet, ip, udp } from '../../support/carried.ts';
import { codesOf, diagnoseFile, diagnosePackets, sender } from '../../support/diagnose.ts';
import { CAPTURES, CASES, CASES_NEED, needs, shared } from '../../support/needs.ts';
import { address, counting, ipv4Packet, saConfig } from '../../support/sa.ts';

const config = saConfig({ src: address('10.244.1.1'), dst: address('10.244.2.1') });
const pods = { src: address('10.0.1.10'), dst: address('10.0.2.20'), ttl: 63 };

/** Says of one clear UDP packet to port 0x0203 what the policies say. */
function said(...policies: string[]) {
  const text = policies
    .map((lines) => `${lines}\n\ttmpl src 10.244.1.1 dst 10.244.2.1\n\t\tproto esp reqid 1 mode tunnel\n`)
    .join('');
  const send = sender(config);
  // The tunnel ends of both pods are known by what ESP carried.
  const frames = [send(ipv4Packet(80, { ...pods, id: 1 })), ipv4Packet(80, { ...pods, id: 2 })];
  const { findings } = diagnosePackets(frames, {
    listed: [config],
    policies: readPolicies(text, 'policy.txt').policies,
  });
  expect(codesOf(findings)).toEqual(['clear-traffic']);
  return findings[0]!.summary.replace(/^.*\)\. /, '');
}

const SELECTOR = 'src 10.0.1.0/24 dst 10.0.2.0/24';

describe('policies', () => {
  it('cover by addresses', () => {
    expect(said(`${SELECTOR}\n\tdir out priority 0`)).toBe(
      'The policy policy.txt:1 covers them, so they passed before it was there.',
    );
  });

  it('and by protocol and ports', () => {
    expect(said(`${SELECTOR} proto udp dport 515\n\tdir out priority 0`)).toContain(
      'policy.txt:1 covers them',
    );
    expect(said(`${SELECTOR} proto udp dport 53\n\tdir out priority 0`)).toBe(
      'No policy covers them: policy.txt:1 has their addresses, but is only for UDP, destination port 53, and they are UDP.',
    );
    expect(said(`${SELECTOR} proto tcp\n\tdir out priority 0`)).toContain(
      'is only for TCP, and they are UDP',
    );
  });

  it('and by interface, which a packet on the wire has not gone through, and mark, which does not show', () => {
    expect(said(`${SELECTOR}\n\tdir out priority 0\n\tif_id 0x2a`)).toBe(
      'No policy covers them: policy.txt:1 has their addresses, but is only for what goes through the xfrm interface with if_id 0x2a.',
    );
    expect(said(`${SELECTOR}\n\tdir out priority 0\n\tmark 0x3e00/0xff00`)).toBe(
      'The policy policy.txt:1 covers packets with its mark, so they passed without the mark, or before the policy was there.',
    );
  });

  it('the one with the lowest priority value counts', () => {
    const [udp, all] = [
      `${SELECTOR} proto udp\n\tdir out priority 9`,
      `${SELECTOR}\n\tdir out action block priority 5`,
    ];
    expect(said(udp, all)).toContain('The policy policy.txt:5 blocks them');
    expect(said(udp.replace('9', '4'), all)).toContain('The policy policy.txt:1 covers them');
  });

  it('those of other directions do not count', () => {
    expect(said(`${SELECTOR}\n\tdir in priority 0`)).toBe('policy.txt has no outbound policy of 10.244.1.1.');
  });
});

describe('where the capture was taken', () => {
  const back = { src: pods.dst, dst: pods.src };
  const send = sender(config);
  const known = { listed: [config] };
  const carried = send(ipv4Packet(80, { ...pods, id: 1 }));

  it('what a pod has just sent is yet to be encrypted', () => {
    const { findings, notes } = diagnosePackets(
      [carried, ipv4Packet(80, { ...pods, ttl: 64, id: 2 })],
      known,
    );
    expect(findings).toEqual([]);
    expect(notes).toMatchObject([{ code: 'pod-side', basis: 'seen', count: 1, frames: [2] }]);
  });

  it('a place that sees a packet on several interfaces sees no leak', () => {
    const clear = ipv4Packet(80, { ...pods, id: 7 });
    const sent = send(clear);
    for (const steps of [
      [clear, clear, sent],
      [sent, clear, clear, clear],
      [clear, sent, clear, clear],
    ]) {
      const { findings, notes, encryption } = diagnosePackets(steps, known, { seconds: 0.0001 });
      expect(findings).toEqual([]);
      expect(notes).toMatchObject([{ code: 'seen-twice', count: steps.length - 1 }]);
      expect(encryption).toMatchObject({ esp: 1, clear: 0 });
    }
    // The same again much later is sent again.
    const { findings } = diagnosePackets([send(clear), clear, clear], known, { seconds: 5 });
    expect(findings).toMatchObject([{ code: 'clear-traffic', count: 1, first: 3 }]);
  });

  it.each([
    ['VXLAN', 8472, '08000000 00000500'],
    ['Geneve', 6081, '00006558 00000500'],
  ])(
    'what a node has put into plain %s is not, though it has the TTL it began with',
    (name, port, header) => {
      const inner = ethernet('0800', ipv4Packet(80, { ...pods, ttl: 64, id: 2 }));
      const plain = ip(17, udp(port, new Uint8Array([...hex(header), ...inner])), '192.0.2.1', '192.0.2.2');
      const { findings } = diagnosePackets([carried, plain], known);
      expect(findings).toMatchObject([{ code: 'clear-traffic', count: 1, first: 2 }]);
      expect(findings[0]!.summary).toContain(`in plain ${name}`);
    },
  );

  it('what a node has forwarded is not', () => {
    const { findings } = diagnosePackets([carried, ipv4Packet(80, { ...back, ttl: 63 })], known);
    expect(findings).toMatchObject([{ code: 'one-way-encryption', count: 1, first: 2, last: 2 }]);
  });
});

it('says how much of what pods said to each other was in ESP, and under which key', () => {
  const send = sender(config);
  const frames = [1, 2, 3].map((id) => send(ipv4Packet(80, { ...pods, id })));
  const { encryption, findings } = diagnosePackets(frames, { listed: [config] });
  expect(findings).toEqual([]);
  expect(encryption).toEqual({
    esp: 3,
    clear: 0,
    unopened: 0,
    unauthenticated: 0,
    pairs: [
      {
        src: '10.0.1.10',
        dst: '10.0.2.20',
        from: '10.244.1.1',
        to: '10.244.2.1',
        spi: 3,
        suite: 'rfc4106(gcm(aes))',
        keyBits: 128,
        icvBits: 128,
        packets: 3,
      },
    ],
  });
  const leak = diagnosePackets([...frames, ipv4Packet(80, { ...pods, id: 4 })], { listed: [config] });
  expect(leak.encryption).toMatchObject({ esp: 3, clear: 1 });
  const late = diagnosePackets([...frames, frames[0]!], { listed: [config] });
  expect(late.encryption).toMatchObject({ esp: 3, clear: 0, unopened: 1 });
  expect(diagnosePackets([], { listed: [config] }).encryption).toBeNull();
});

it('how much was in ESP counts no packet that an ICV does not vouch for', () => {
  const other = saConfig({
    spi: 4,
    keys: authenc('hmac(sha256)', counting(32, 64), 'cbc(aes)', counting(16), 128),
  });
  const unchecked = { ...other, keys: uncheckedCipher('cbc(aes)', counting(16), 128) };
  const forged = sender(other);
  const pair = { src: address('10.0.1.77'), dst: address('10.0.2.77') };
  const frames = [
    ...[1, 2].map((id) => ipv4Packet(80, { ...pods, id })).map(sender(config)),
    forged(ipv4Packet(90, pair)),
  ];
  const { encryption } = diagnosePackets(frames, { listed: [config, unchecked] });
  expect(encryption).toMatchObject({ esp: 2, clear: 0, unopened: 0, unauthenticated: 1 });
  expect(encryption!.pairs).toHaveLength(1);
  expect(encryptionText(encryption!)).toBe(
    '2 of 2 packets between pods of different nodes were in ESP, 0 in the clear; 1 ESP packet was opened unauthenticated, and may be forged',
  );
  // It says where a pod is as long as nothing better does.
  const leak = ipv4Packet(80, { ...pods, id: 9, ttl: 63 });
  const elsewhere = sender({ ...other, src: address('10.244.3.1'), dst: address('10.244.4.1') });
  const known = {
    listed: [config, { ...unchecked, src: address('10.244.3.1'), dst: address('10.244.4.1') }],
  };
  for (const order of [
    [sender(config)(ipv4Packet(80, pods)), elsewhere(ipv4Packet(80, pods)), leak],
    [elsewhere(ipv4Packet(80, pods)), sender(config)(ipv4Packet(80, pods)), leak],
  ]) {
    const { findings } = diagnosePackets(order, known);
    expect(findings.find(({ code }) => code === 'clear-traffic')).toMatchObject({ node: '10.244.1.1' });
  }
});

needs([CASES_NEED], 'people', () => {
  it.each([
    ['policy.txt', 'is only for UDP, destination port 53, and they are ICMP'],
    ['policy-ifid.txt', 'is only for what goes through the xfrm interface with if_id 0x2a'],
  ])('case texts 02: %s does not cover what went by in the clear', async (policy, why) => {
    const folder = `${CASES}texts/02-policy-ports-diagnose`;
    const { findings } = await diagnoseFile(`${folder}/oneway.pcap`, {
      xfrmState: [`${folder}/state.txt`],
      xfrmPolicy: [`${folder}/${policy}`],
    });
    expect(codesOf(findings)).toEqual(['one-way-encryption']);
    expect(findings[0]!.summary).toContain('No policy covers them');
    expect(findings[0]!.summary).toContain(why);
  });
});

needs([shared('captures')], 'captures where the pods are', () => {
  const folder = `${CAPTURES}/native-v4`;

  it.each(['pod1.pcap', 'pod2.pcap'])('%s shows no leak', async (name) => {
    const { findings, notes, encryption } = await diagnoseFile(`${folder}/${name}`, {
      keys: [`${folder}/keys`],
      nodes: [`${folder}/ciliumnodes.json`],
    });
    expect(findings).toEqual([]);
    expect(codesOf(notes)).toEqual(['pod-side']);
    expect(encryption).toBeNull();
  });

  it('what came in between them was all in ESP', async () => {
    const { encryption } = await diagnoseFile(`${folder}/wire.pcap`, {
      keys: [`${folder}/keys`],
      nodes: [`${folder}/ciliumnodes.json`],
    });
    expect(encryption).toMatchObject({ clear: 0 });
    expect(encryption!.pairs).toMatchObject([
      { src: '10.244.1.10', dst: '10.244.2.20', from: 'node-1', to: 'node-2', spi: 3 },
      { src: '10.244.2.20', dst: '10.244.1.10', from: 'node-2', to: 'node-1', spi: 3 },
    ]);
  });
});
