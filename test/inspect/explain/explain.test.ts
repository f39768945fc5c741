import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../../src/base/bytes.ts';
import { seededBytes } from '../../../src/base/rng.ts';
import { NobleEngine } from '../../../src/crypto/noble.ts';
import { NodeEngine } from '../../../src/crypto/node.ts';
import { Evidence } from '../../../src/inspect/evidence.ts';
import { Explainer, explainBytes, guessLinkType } from '../../../src/inspect/explain/explain.ts';
import type { EspSecurity } from '../../../src/inspect/explain/security.ts';
import { type Explanation, type Field, untiled, walkFields } from '../../../src/inspect/explain/tree.ts';
import { TunnelEnd } from '../../../src/ipsec/tunnel-end.ts';
import { LINK_ETHERNET, LINK_LINUX_SLL2, LINK_RAW } from '../../../src/wire/link-type.ts';
import { udp4 } from '../../support/datagram.ts';
import { readLines } from '../../support/decrypt.ts';
import { explainerWith, fieldOf, framesOf } from '../../support/explain.ts';
import { CAPTURES, needs, shared } from '../../support/needs.ts';
import { ipv4Packet, RANDOM, SUITES, saConfig } from '../../support/sa.ts';

const OPTIONS = { engine: new NodeEngine(), random: seededBytes(1) };

/** ESP layers of a frame and of what is in it, with what the SA said. */
function securityOf(explanation: Explanation): EspSecurity[] {
  return [...walkFields(explanation.packet)].flatMap(({ field }) => field.security ?? []);
}

function ids(fields: readonly Field[]): string[] {
  return fields.map(({ id }) => id);
}

needs([shared('captures')], 'captures of a Linux kernel, explained', () => {
  const folders = readdirSync(CAPTURES, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

  it.each(folders)('%s: verdict, number and clear packet of each are those of decrypt', async (name) => {
    const folder = `${CAPTURES}/${name}`;
    const state = name === 'rotation' ? 'n2.xfrm_state.rotating.txt' : 'n2.xfrm_state.txt';
    const explainer = await explainerWith({ xfrmState: [`${folder}/${state}`] });
    const expected = new Map(readLines(`${folder}/expected.jsonl`).map((line) => [line.frame, line]));
    let seen = 0;
    for (const { bytes, info } of framesOf(`${folder}/wire.pcap`)) {
      const explanation = explainer.explain(bytes, 0, bytes.length, info);
      const [security] = securityOf(explanation);
      const line = expected.get(info.number);
      expect(security === undefined, `frame ${info.number}`).toBe(line === undefined);
      if (!security || !line) continue;
      seen++;
      expect(security.verdict).toBe(line.verdict);
      expect(security.counter).toBe(line.counter);
      expect(security.sequence?.full ?? null).toBe(line.seq);
      const delivered = fieldOf(explanation, 'esp.contained_data')?.inner?.bytes;
      if (line.verdict === 'ok') expect(delivered).toBe(line.inner);
      expect(fieldOf(explanation, 'esp')?.value).toBeNull();
    }
    expect(seen).toBe(expected.size);
  });

  async function frame(name: string, number: number, before = true): Promise<Explanation> {
    const folder = `${CAPTURES}/${name}`;
    const explainer = await explainerWith({ xfrmState: [`${folder}/n2.xfrm_state.txt`] });
    const frames = framesOf(`${folder}/wire.pcap`);
    if (before)
      for (const { bytes, info } of frames.slice(0, number - 1)) explainer.pass(bytes, 0, bytes.length, info);
    const { bytes, info } = frames[number - 1]!;
    return explainer.explain(bytes, 0, bytes.length, info);
  }

  it('says what the window was before and after', async () => {
    const [good] = securityOf(await frame('faults-esn', 54));
    expect(good!.window).toMatchObject({
      size: 1024,
      esn: true,
      isFirst: false,
      before: { top: '41', bottom: '1', seen: ['1-41'] },
      after: { top: '42', bottom: '1', seen: ['1-42'] },
    });
    const [replayed] = securityOf(await frame('faults-esn', 55));
    expect(replayed).toMatchObject({
      verdict: 'drop',
      reason: 'replay-seen',
      counter: 'XfrmInStateSeqError',
      icvOk: true,
    });
    expect(replayed!.window!.after).toEqual(replayed!.window!.before);
    // By itself the same packet is the first, and good.
    const [alone] = securityOf(await frame('faults-esn', 55, false));
    expect(alone).toMatchObject({
      verdict: 'ok',
      window: { isFirst: true, after: { top: '42', seen: ['42'] } },
    });
  });

  it('opens what is authentic but dropped, and says where it is odd', async () => {
    const folder = `${CAPTURES}/crafted-esn`;
    const reasons = new Set<string>();
    const explainer = await explainerWith({ xfrmState: [`${folder}/n2.xfrm_state.txt`] });
    for (const { bytes, info } of framesOf(`${folder}/wire.pcap`)) {
      const explanation = explainer.explain(bytes, 0, bytes.length, info);
      const [security] = securityOf(explanation);
      if (!security?.reason || !security.icvOk) continue;
      reasons.add(security.reason);
      if (security.reason === 'dummy') expect(fieldOf(explanation, 'esp.protocol')?.value).toBe(59);
      if (security.reason === 'bad-padding')
        expect(fieldOf(explanation, 'esp.pad_len')?.problem).toContain('pad length');
      expect(fieldOf(explanation, 'esp.pad_len')?.clear).toMatch(/^[0-9a-f]{2}$/);
    }
    expect([...reasons]).toEqual(expect.arrayContaining(['dummy', 'bad-padding', 'not-ip']));
  });

  it('takes TFC padding apart from the packet', async () => {
    const folder = `${CAPTURES}/crafted-esn`;
    const explainer = await explainerWith({ xfrmState: [`${folder}/n2.xfrm_state.txt`] });
    const tfc = framesOf(`${folder}/wire.pcap`).flatMap(({ bytes, info }) => {
      const explanation = explainer.explain(bytes, 0, bytes.length, info);
      return fieldOf(explanation, 'esp.tfc') ? [explanation] : [];
    });
    expect(tfc.length).toBeGreaterThan(0);
    const esp = fieldOf(tfc[0]!, 'esp')!;
    expect(ids(esp.children)).toEqual(
      expect.arrayContaining(['esp.contained_data', 'esp.tfc', 'esp.pad_len', 'esp.protocol', 'esp.icv']),
    );
  });

  it('shows the packet that the last fragment completes', async () => {
    const folder = `${CAPTURES}/fragments`;
    const explainer = await explainerWith({ xfrmState: [`${folder}/n2.xfrm_state.txt`] });
    let completed = 0;
    for (const { bytes, info } of framesOf(`${folder}/wire.pcap`)) {
      const fragment = fieldOf(explainer.explain(bytes, 0, bytes.length, info), 'ip.fragment');
      if (!fragment?.inner) continue;
      completed++;
      expect(fragment.inner.origin).toBe('reassembled');
      expect(ids(fragment.inner.layers)).toEqual(['ip', 'esp']);
    }
    expect(completed).toBeGreaterThan(0);
  });

  it('goes through VXLAN, outside ESP and inside it', async () => {
    const outside = await frame('esp-in-vxlan', 20);
    expect(ids(outside.packet.layers)).toEqual(['eth', 'ip', 'udp', 'vxlan', 'eth', 'ip', 'esp']);
    const inside = await frame('vxlan-in-esp', 4);
    const { inner } = fieldOf(inside, 'esp.contained_data')!;
    expect(ids(inner!.layers).slice(0, 5)).toEqual(['ip', 'udp', 'vxlan', 'eth', 'ip']);
  });
});

/** A packet through a tunnel, explained by its other end. */
function sealed(given: Parameters<typeof saConfig>[0], engine = new NodeEngine(), showKeys = false) {
  const config = saConfig(given);
  const outcome = new TunnelEnd(config, engine, RANDOM).encapsulate(
    config.mode === 'transport' ? udp4(61, { src: config.src, dst: config.dst }) : udp4(61),
  );
  if (outcome.verdict !== 'ok') throw new Error(outcome.reason);
  const explain = (packet: Uint8Array) =>
    explainBytes(packet, LINK_RAW, {
      ...OPTIONS,
      engine,
      evidence: new Evidence({ listed: [config] }),
      showKeys,
    });
  return { packet: outcome.packet, explain };
}

describe('an ESP packet', () => {
  it.each(
    SUITES.map((keys) => [`${keys.suite.name} ${keys.suite.keyLen} ${keys.suite.icvLen}`, keys] as const),
  )('of %s: parts, and what covers them', (_, keys) => {
    const { suite } = keys;
    const { packet, explain } = sealed({
      keys,
      esn: suite.icvLen > 0,
      replayWindow: suite.icvLen > 0 ? 64 : 0,
    });
    const explanation = explain(packet);
    expect(untiled(explanation.packet)).toBeUndefined();
    const esp = fieldOf(explanation, 'esp')!;
    const part = (id: string) => esp.children.find((child) => child.id === id);
    const hides = suite.cipher !== 'null' && suite.cipher !== 'aes-gmac';
    const vouches = suite.icvLen > 0;
    const text = hides ? (vouches ? 'both' : 'encrypted') : vouches ? 'authenticated' : 'none';
    expect(part('esp.spi')!.protection).toBe(vouches ? 'authenticated' : 'none');
    expect(part('esp.contained_data')!.protection).toBe(text);
    expect(part('esp.protocol')!.value).toBe(4);
    expect((part('esp.iv')?.end ?? 0) - (part('esp.iv')?.at ?? 0)).toBe(suite.ivLen);
    expect((part('esp.icv')?.end ?? 0) - (part('esp.icv')?.at ?? 0)).toBe(suite.icvLen);
    expect(part('esp.contained_data')!.inner!.bytes).toBe(toHex(udp4(61)));
    expect(esp.security!.verdict).toBe('ok');
  });

  it('is opened the same by noble', () => {
    const { packet, explain } = sealed({}, new NobleEngine() as unknown as NodeEngine);
    expect(fieldOf(explain(packet), 'esp.contained_data')!.inner!.bytes).toBe(toHex(udp4(61)));
  });

  it('says nonce and AAD; the salt only when it is asked for', () => {
    const { packet, explain } = sealed({});
    const [hidden] = securityOf(explain(packet));
    const iv = toHex(packet, 28, 36);
    expect(hidden!.nonce).toEqual({ salt: '<<hidden: use --show-keys>>', iv });
    expect(hidden!.aad).toEqual({
      bytes: '000000030000000000000001',
      parts: [
        { label: 'SPI', bytes: '00000003' },
        { label: 'high half', bytes: '00000000' },
        { label: 'low half', bytes: '00000001' },
      ],
    });
    const shown = sealed({}, new NodeEngine(), true);
    expect(securityOf(shown.explain(shown.packet))[0]!.nonce!.salt).toBe('01020304');
    expect(JSON.stringify(explain(packet))).not.toContain('4142434445464748');
  });

  it('finds the high half that is not on the wire', () => {
    const config = saConfig();
    const end = new TunnelEnd(config, new NodeEngine(), { ...RANDOM, startAfter: { hi: 7, lo: 41 } });
    const sent = end.encapsulate(udp4(61));
    if (sent.verdict !== 'ok') throw new Error(sent.reason);
    const explanation = explainBytes(sent.packet, LINK_RAW, {
      ...OPTIONS,
      evidence: new Evidence({ listed: [config] }),
    });
    const [security] = securityOf(explanation);
    expect(security!.sequence).toMatchObject({ low: 42, high: 7, full: String(7n * 2n ** 32n + 42n) });
    expect(security!.aad!.bytes).toBe('00000003000000070000002a');
  });

  it('of transport mode gives the packet without ESP', () => {
    const { packet, explain } = sealed({ mode: 'transport' });
    const { inner } = fieldOf(explain(packet), 'esp.contained_data')!;
    expect(ids(inner!.layers)).toEqual(['ip', 'udp', 'data']);
  });

  it('in UDP is found on the port of its SA', () => {
    const config = saConfig({ encap: { sport: 10_000, dport: 10_000 } });
    const sent = new TunnelEnd(config, new NodeEngine(), RANDOM).encapsulate(udp4(61));
    if (sent.verdict !== 'ok') throw new Error(sent.reason);
    const options = { ...OPTIONS, evidence: new Evidence({ listed: [config] }), udpPorts: [10_000] };
    expect(ids(explainBytes(sent.packet, LINK_RAW, options).packet.layers)).toEqual(['ip', 'udp', 'esp']);
    expect(ids(explainBytes(sent.packet, LINK_RAW, OPTIONS).packet.layers)).toEqual(['ip', 'udp', 'data']);
  });

  it('with a flipped bit stays closed, and says why', () => {
    const { packet, explain } = sealed({});
    packet[60]! ^= 1;
    const explanation = explain(packet);
    expect(securityOf(explanation)[0]).toMatchObject({
      icvOk: false,
      reason: 'bad-icv',
      verdict: 'unopened',
    });
    expect(fieldOf(explanation, 'esp.icv')!.problem).toBe('the ICV is wrong');
    expect(fieldOf(explanation, 'esp.encrypted_data')!.problem).toBe(
      'not opened: the ICV is wrong under this SA',
    );
  });

  it('without SAs has SPI and number, and no verdict', () => {
    const { packet } = sealed({});
    const explanation = explainBytes(packet, LINK_RAW, OPTIONS);
    const esp = fieldOf(explanation, 'esp')!;
    expect(ids(esp.children)).toEqual(['esp.spi', 'esp.seq', 'esp.encrypted_data']);
    expect(esp.children[2]!.protection).toBe('unknown');
    expect(esp.security).toMatchObject({ verdict: null, reason: null, sa: null });
    expect(esp.security!.lookup).toContain('no source of SAs was given');
  });

  it('that nobody has an SA for says what was looked for', () => {
    const { packet } = sealed({});
    const [security] = securityOf(
      explainBytes(packet, LINK_RAW, {
        ...OPTIONS,
        evidence: new Evidence({ listed: [saConfig({ spi: 4 })] }),
      }),
    );
    expect(security).toMatchObject({ reason: 'no-state', counter: 'XfrmInNoStates' });
    expect(security!.lookup).toBe('No SA has destination 192.0.2.2, SPI 0x00000003 and source 192.0.2.1.');
  });
});

describe('other layers', () => {
  const explain = (bytes: Uint8Array, type = LINK_ETHERNET) => explainBytes(bytes, type, OPTIONS);
  const MACS = '02000000000202000000 0001'.replace(' ', '');

  it('ARP, with the padding of its frame', () => {
    const arp = hex(
      `ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002 ${'00'.repeat(18)}`,
    );
    const { packet } = explain(arp);
    expect(ids(packet.layers)).toEqual(['eth', 'arp', 'eth.padding']);
    expect(packet.layers[1]!.text).toBe('request');
    expect(fieldOf(explain(arp), 'arp.dst.proto_ipv4')!.value).toBe('10.0.0.2');
  });

  it('two VLAN tags', () => {
    const { packet } = explain(hex(`${MACS} 88a8 6064 8100 a00a 0800 ${toHex(ipv4Packet(28))}`));
    expect(ids(packet.layers)).toEqual(['eth', 'vlan', 'vlan', 'ip', 'udp']);
    expect(packet.layers[1]!.text).toBe('VLAN 100');
    expect(packet.layers[2]!.children[0]!.children.map(({ value }) => value)).toEqual([5, 0, 10]);
  });

  it('FCS behind the padding', () => {
    // Computed with Python: zlib.crc32(bytes.fromhex(…)), little-endian.
    const frame = `ffffffffffff0200000000010806${'00'.repeat(46)}`;
    const { packet } = explain(hex(`${frame}deb54a54`));
    expect(packet.layers.at(-1)!.id).toBe('eth.fcs');
    expect(explain(hex(`${frame}00000000`)).packet.layers.at(-1)!.id).not.toBe('eth.fcs');
  });

  it('IPv4 options, one of them too long', () => {
    const good = hex('47000020 00000000 40110000 0a000001 0a000002 94040000 01000000 00350035');
    expect(ids(fieldOf(explain(good, LINK_RAW), 'ip.options')!.children)).toEqual([
      'ip.opt.ra',
      'ip.opt.nop',
      'ip.opt.eol',
      'ip.opt.rest',
    ]);
    const bad = hex('46000018 00000000 40110000 0a000001 0a000002 94090000');
    expect(fieldOf(explain(bad, LINK_RAW), 'ip.opt.rest')!.problem).toBe(
      'the option says it has 9 bytes, and 4 are left',
    );
  });

  it('IPv6 extension headers', () => {
    const v6 = hex(
      `60000000 0020 00 40 ${'20010db8'.padEnd(32, '0')}${'20010db8'.padEnd(31, '0')}1 3c00 0502 0000 0100 2b00 01040000 0000 1100 c200 00000000 0035003500080000`,
    );
    const { packet } = explain(v6, LINK_RAW);
    expect(ids(packet.layers)).toEqual(['ipv6', 'ipv6.hopopts', 'ipv6.dstopts', 'ipv6.routing', 'udp']);
  });

  it('TCP options', () => {
    const tcp = hex(
      '4500003c 00000000 40060000 0a000001 0a000002 1f90c350 00000001 00000000 a0020200 00000000 020405b4 0402080a 00000001 00000000 01030307',
    );
    const options = fieldOf(explain(tcp, LINK_RAW), 'tcp.options')!;
    expect(options.children.map(({ id, text }) => [id, text])).toEqual([
      ['tcp.options.mss', '1460'],
      ['tcp.options.sack_perm', ''],
      ['tcp.options.timestamp', '1, echo 0'],
      ['tcp.options.nop', ''],
      ['tcp.options.wscale', '7'],
    ]);
  });

  it('the packet that an ICMP error sends back', () => {
    const error = hex(
      '45000038 00000000 40010000 0a000003 0a000001 03040000 00000586 450005dc 00004000 3f320000 0a000001 0a000002 00000003 0000002a',
    );
    const explanation = explain(error, LINK_RAW);
    expect(ids(explanation.packet.layers)).toEqual(['ip', 'icmp', 'ip', 'esp']);
    expect(fieldOf(explanation, 'icmp.mtu')!.value).toBe(1414);
    // It ends early by design: nothing stopped.
    expect(explanation.stops).toEqual([]);
  });

  it('Linux cooked v2', () => {
    const { packet } = explain(
      hex(`0800 0000 00000002 0001 00 06 0200000000010000 ${toHex(ipv4Packet(28))}`),
      LINK_LINUX_SLL2,
    );
    expect(ids(packet.layers)).toEqual(['sll', 'ip', 'udp']);
  });

  it('a keepalive and IKE on the port of ESP', () => {
    const on4500 = (data: string) => {
      const payload = hex(data);
      const b = ipv4Packet(28 + payload.length);
      b.set(hex('1194 1194'), 20);
      b[25] = 8 + payload.length;
      b.set(hex('0000'), 26);
      b.set(payload, 28);
      return ids(explain(b, LINK_RAW).packet.layers);
    };
    expect(on4500('ff')).toEqual(['ip', 'udp', 'udpencap.nat_keepalive']);
    expect(on4500('00000000 0102030405')).toEqual(['ip', 'udp', 'udpencap.non_esp_marker', 'isakmp']);
    expect(on4500('01020304')).toEqual(['ip', 'udp', 'udpencap.short']);
  });

  it('a header that is cut off, with the place and the reason', () => {
    const { packet, stops } = explain(hex('45000054 0000400040'), LINK_RAW);
    expect(packet.layers[0]!.children.at(-1)!.id).toBe('ip.ttl');
    expect(stops).toEqual([{ origin: 'frame', at: 0, id: 'ip', problem: 'header needs 20 bytes, has 9' }]);
  });

  it('a packet that its capture has cut', () => {
    const { stops } = explain(ipv4Packet(60).subarray(0, 40), LINK_RAW);
    expect(stops[0]).toMatchObject({ at: 40, id: 'ip', problem: 'the packet has 60 bytes, 40 are here' });
  });

  it('tells a frame from a packet', () => {
    expect(guessLinkType(ipv4Packet(60))).toBe(LINK_RAW);
    expect(guessLinkType(hex(`${MACS} 0800 ${toHex(ipv4Packet(28))}`))).toBe(LINK_ETHERNET);
    expect(guessLinkType(hex(`450000000000 450000000000 86dd 6000000000000000`))).toBe(LINK_ETHERNET);
    expect(guessLinkType(new Uint8Array(0))).toBe(LINK_ETHERNET);
  });
});

it('an explainer may be asked for every frame in turn', async () => {
  const config = saConfig();
  const end = new TunnelEnd(config, new NodeEngine(), RANDOM);
  const explainer = new Explainer({ ...OPTIONS, evidence: new Evidence({ listed: [config] }) });
  const tops: (string | undefined)[] = [];
  for (let number = 1; number <= 3; number++) {
    const sent = end.encapsulate(udp4(61));
    if (sent.verdict !== 'ok') throw new Error(sent.reason);
    const info = {
      number,
      seconds: 0,
      nanoseconds: 0,
      hasTime: true,
      linkType: LINK_RAW,
      interfaceId: 0,
      originalLength: sent.packet.length,
      byte: 0,
    };
    tops.push(securityOf(explainer.explain(sent.packet, 0, sent.packet.length, info))[0]!.window?.after.top);
  }
  expect(tops).toEqual(['1', '2', '3']);
});

it('every field of the captures says what it is for, and where to read on where there is an RFC', async () => {
  const file = readdirSync(CAPTURES).find((name) => name === 'native-v4')!;
  const explainer = await explainerWith();
  for (const { bytes, info } of framesOf(`${CAPTURES}/${file}/pod1.pcap`)) {
    for (const { field } of walkFields(explainer.explain(bytes, 0, bytes.length, info).packet)) {
      if (field.id !== 'data') expect(field.reference, field.id).not.toBe('');
    }
  }
});
