import { describe, expect, it } from 'vitest';
import { hex, putU16, toHex } from '../../src/base/bytes.ts';
import type { FrameInfo } from '../../src/capture/frame.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { PacketJson, seqText } from '../../src/inspect/decrypt-json.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as link from '../../src/wire/link-type.ts';
import * as udp from '../../src/wire/udp.ts';
import { type Line, lineOf } from '../support/decrypt.ts';
import { receiverOf } from '../support/receiver.ts';
import { address, ipv4Packet, ipv6Packet, RANDOM, SUITES, saConfig } from '../support/sa.ts';

interface Frame {
  readonly bytes: Uint8Array;
  readonly linkType?: number;
}

/** Decrypts frames of raw IP, unless they say otherwise. */
function decrypt(frames: readonly Frame[], sas: readonly SaConfig[], udpPorts: readonly number[] = []) {
  const lines: Line[] = [];
  const json = new PacketJson();
  const decryptor = receiverOf(sas, {
    udpPorts,
    onPacket: (event) => lines.push(lineOf(event, json)),
  });
  frames.forEach(({ bytes, linkType = link.LINK_RAW }, i) => {
    const info: FrameInfo = {
      number: i + 1,
      seconds: 1_700_000_000,
      nanoseconds: i * 1000,
      hasTime: true,
      interfaceId: 0,
      linkType,
      originalLength: bytes.length,
      byte: 24 + i,
    };
    decryptor.frame(bytes, 0, bytes.length, info);
  });
  decryptor.flush();
  return { lines, totals: decryptor.totals };
}

function senderOf(config: SaConfig, hi = 0, lo = 0): () => Uint8Array {
  const end = new TunnelEnd(config, new NodeEngine(), { ...RANDOM, startAfter: { hi, lo } });
  const packet = ipv4Packet(100);
  return () => {
    const outcome = end.encapsulate(packet);
    if (outcome.verdict !== 'ok') throw new Error(outcome.reason);
    return outcome.packet;
  };
}

const frame = (bytes: Uint8Array): Frame => ({ bytes });

describe('a capture that begins in mid-stream', () => {
  it('finds the high half of the ESN by trying, and follows it across 2^32', () => {
    const config = saConfig();
    const send = senderOf(config, 5, 0xffff_fffc);
    const { lines } = decrypt(
      Array.from({ length: 8 }, () => frame(send())),
      [config],
    );
    expect(lines.map((line) => line.verdict)).toEqual(Array.from({ length: 8 }, () => 'ok'));
    const first = 5n * 2n ** 32n + 0xffff_fffdn;
    expect(lines.map((line) => line.seq)).toEqual(
      Array.from({ length: 8 }, (_, i) => String(first + BigInt(i))),
    );
  });

  it('starts its window with the first packet, whatever the kernel text counted', () => {
    const config = saConfig({ sequence: { seqHi: 0, seq: 5000, oseqHi: 0, oseq: 0 } });
    const send = senderOf(config, 0, 10);
    const { lines } = decrypt(
      [1, 2, 3].map(() => frame(send())),
      [config],
    );
    expect(lines.map((line) => [line.seq, line.verdict])).toEqual([
      ['11', 'ok'],
      ['12', 'ok'],
      ['13', 'ok'],
    ]);
  });

  it('takes a high half beyond the search from the text', () => {
    const frames = [frame(senderOf(saConfig(), 700_000, 3)())];
    const hinted = saConfig({ sequence: { seqHi: 0, seq: 0, oseqHi: 700_000, oseq: 9 } });
    expect(decrypt(frames, [hinted]).lines[0]).toMatchObject({ seq: seqText(700_000, 4), verdict: 'ok' });
    expect(decrypt(frames, [saConfig()]).lines[0]).toMatchObject({
      seq: '4',
      verdict: 'unopened',
      reason: 'bad-icv',
    });
  });

  it('accepts what was sent before the first packet and came after it', () => {
    const config = saConfig();
    const send = senderOf(config, 0, 100);
    const [a, b, c] = [send(), send(), send()];
    const { lines } = decrypt([c!, a!, b!, a!].map(frame), [config]);
    expect(lines.map((line) => line.reason)).toEqual([null, null, null, 'replay-seen']);
  });

  it('gives up looking for a key that fits nothing, and says so for each packet', () => {
    const send = senderOf(saConfig({ keys: SUITES[2]! }));
    const { lines } = decrypt(
      Array.from({ length: 20 }, () => frame(send())),
      [saConfig()],
    );
    expect(new Set(lines.map((line) => line.reason))).toEqual(new Set(['bad-icv']));
    expect(lines.map((line) => line.seq)).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 1)));
  });
});

describe('several SAs for one stream', () => {
  const old = saConfig();
  const renewed = saConfig({ keys: SUITES[2]! });

  it('each packet is opened by the one that fits, also after a change under way', () => {
    const [sendOld, sendNew] = [senderOf(old, 0, 40), senderOf(renewed)];
    const frames = [sendOld(), sendOld(), sendNew(), sendNew(), sendNew()].map(frame);
    const { lines } = decrypt(frames, [renewed, old]);
    expect(lines.map((line) => [line.seq, line.verdict])).toEqual([
      ['41', 'ok'],
      ['42', 'ok'],
      ['1', 'ok'],
      ['2', 'ok'],
      ['3', 'ok'],
    ]);
  });

  it('an SA of which nobody said whether it has ESN', () => {
    const send = senderOf(old);
    const { lines } = decrypt(
      [1, 2, 3].map(() => frame(send())),
      [saConfig({ esn: false, replayWindow: 0 }), old],
    );
    expect(lines.map((line) => line.verdict)).toEqual(['ok', 'ok', 'ok']);
  });

  it('an altered packet stays altered whichever key is tried', () => {
    const send = senderOf(old);
    const [good, bad] = [send(), send()];
    bad[60]! ^= 1;
    const { lines } = decrypt([good, bad, send()].map(frame), [old, renewed]);
    expect(lines.map((line) => line.reason)).toEqual([null, 'bad-icv', null]);
  });

  it('a state that takes any source has a window for each source', () => {
    const anySource = saConfig({ src: address('0.0.0.0') });
    const [a, b] = [address('192.0.2.1'), address('192.0.2.9')].map((src) => senderOf(saConfig({ src })));
    const { lines } = decrypt([a!(), b!(), a!(), b!()].map(frame), [anySource]);
    expect(lines.map((line) => `${line.src} ${line.seq} ${line.verdict}`)).toEqual([
      '192.0.2.1 1 ok',
      '192.0.2.9 1 ok',
      '192.0.2.1 2 ok',
      '192.0.2.9 2 ok',
    ]);
  });
});

describe('where ESP is found', () => {
  const config = saConfig();
  const inner = ipv4Packet(100);

  it.each([
    { name: 'raw IP', linkType: link.LINK_RAW, before: '' },
    { name: 'Ethernet', linkType: link.LINK_ETHERNET, before: '020000000002 020000000001 0800' },
    { name: 'VLAN', linkType: link.LINK_ETHERNET, before: '020000000002 020000000001 8100 0064 0800' },
    {
      name: 'two VLAN tags',
      linkType: link.LINK_ETHERNET,
      before: '020000000002 020000000001 88a8 0064 8100 0065 0800',
    },
    {
      name: 'Linux cooked v1',
      linkType: link.LINK_LINUX_SLL,
      before: '0000 0001 0006 020000000001 0000 0800',
    },
    {
      name: 'Linux cooked v2',
      linkType: link.LINK_LINUX_SLL2,
      before: '0800 0000 00000002 0001 00 06 020000000001 0000',
    },
  ])('$name, with bytes of the link layer behind it', ({ linkType, before }) => {
    const sent = senderOf(config)();
    const bytes = Uint8Array.from([...hex(before), ...sent, 0, 0, 0, 0]);
    const { lines } = decrypt([{ bytes, linkType }], [config]);
    expect(lines[0]).toMatchObject({ verdict: 'ok', inner: toHex(inner) });
  });

  it('in UDP port 4500, where keepalives and IKE are too', () => {
    const natt = saConfig({ encap: { sport: 4500, dport: 4500 } });
    const datagram = (payload: Uint8Array) => {
      const b = ipv4Packet(28 + payload.length, { src: natt.src, dst: natt.dst });
      udp.emit({ srcPort: 4500, dstPort: 4500, length: 8 + payload.length, checksum: 0 }, b, 20);
      b.set(payload, 28);
      return b;
    };
    const frames = [datagram(hex('ff')), datagram(hex('00000000 1122334455667788')), senderOf(natt)()].map(
      frame,
    );
    const { lines, totals } = decrypt(frames, [natt]);
    expect(lines.map((line) => [line.frame, line.verdict])).toEqual([[3, 'ok']]);
    expect([totals.keepalives, totals.ike]).toEqual([1, 1]);
  });

  it('in UDP on a port that only the SA knows', () => {
    const natt = saConfig({ encap: { sport: 4650, dport: 4660 } });
    const frames = [frame(senderOf(natt)())];
    expect(decrypt(frames, [natt]).lines).toEqual([]);
    expect(decrypt(frames, [natt], [4650]).lines[0]?.verdict).toBe('ok');
  });

  it('in fragments that come out of order: the frame that completes the packet counts', () => {
    const sent = senderOf(config)();
    const cut = 20 + 64;
    const piece = (from: number, to: number, more: boolean) => {
      const b = Uint8Array.from([...sent.subarray(0, 20), ...sent.subarray(from, to)]);
      putU16(b, 2, b.length);
      ipv4.setId(b, 0, 77);
      ipv4.setFragmentField(b, 0, (more ? ipv4.MF : 0) | ((from - 20) / 8));
      ipv4.fillChecksum(b);
      return b;
    };
    const { lines } = decrypt([piece(cut, sent.length, false), piece(20, cut, true)].map(frame), [config]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ frame: 2, verdict: 'ok', inner: toHex(inner) });
  });

  it('in transport mode, where the outer header becomes the header', () => {
    const transport = saConfig({ mode: 'transport' });
    const packet = ipv4Packet(90, { src: transport.src, dst: transport.dst });
    const end = new TunnelEnd(transport, new NodeEngine(), RANDOM);
    const sent = end.encapsulate(packet);
    const { lines } = decrypt([frame(sent.verdict === 'ok' ? sent.packet : hex(''))], [transport]);
    expect(lines[0]?.inner).toBe(toHex(packet));
  });
});

describe('what cannot be decrypted', () => {
  it('a frame with a snap length is listed, and blames no kernel', () => {
    const sent = senderOf(saConfig())();
    const { lines } = decrypt([frame(sent.slice(0, 60)), frame(sent.slice(0, 24))], [saConfig()]);
    expect(lines.map(({ spi, reason, counter }) => [spi, reason, counter])).toEqual([
      [3, 'not-captured', null],
      [null, 'not-captured', null],
    ]);
  });

  it('an unknown SPI shows the 32 bits of its number', () => {
    const { lines } = decrypt([frame(senderOf(saConfig({ spi: 9 }), 4, 6)())], [saConfig()]);
    expect(lines[0]).toMatchObject({ spi: 9, seq: '7', reason: 'no-state', counter: 'XfrmInNoStates' });
  });

  it('frames of a link type that is not known are counted, and the rest is read', () => {
    const esp = frame(senderOf(saConfig())());
    const { lines, totals } = decrypt([{ bytes: hex('00'), linkType: 147 }, esp], [saConfig()]);
    expect(lines).toMatchObject([{ frame: 2, verdict: 'ok' }]);
    expect([...totals.notRead]).toEqual([['link type 147', 1]]);
  });

  it('frames without ESP are counted', () => {
    const { lines, totals } = decrypt(
      [frame(ipv4Packet(60)), frame(ipv6Packet(60)), frame(hex('45'))],
      [saConfig()],
    );
    expect(lines).toEqual([]);
    expect([totals.frames, totals.other, totals.broken]).toEqual([3, 2, 1]);
  });
});

describe('for those who look closer', () => {
  it('keeps each packet as it came, whatever became of it, and hands over what is no ESP', () => {
    const config = saConfig();
    const end = new TunnelEnd(config, new NodeEngine(), RANDOM);
    // The third is longer than an ordinary slot, which brings larger ones.
    const sent = [100, 2300, 9000, 120].map((len) => {
      const outcome = end.encapsulate(ipv4Packet(len));
      return outcome.verdict === 'ok' ? outcome.packet : hex('');
    });
    sent[3]![60]! ^= 1;
    const clear = ipv4Packet(60);
    const wire: string[] = [];
    const other: string[] = [];
    const decryptor = receiverOf([config], {
      onPacket: (r) => wire.push(toHex(r.wire, r.ipAt, r.ipEnd)),
      sinks: [{ other: (b, at, to, info) => other.push(`${info.number} ${toHex(b, at, to)}`) }],
    });
    const info = { number: 0, seconds: 0, nanoseconds: 0, hasTime: true, interfaceId: 0, byte: 0 };
    for (const bytes of [...sent, clear]) {
      info.number++;
      decryptor.frame(bytes, 0, bytes.length, {
        ...info,
        linkType: link.LINK_RAW,
        originalLength: bytes.length,
      });
    }
    decryptor.flush();
    expect(wire).toEqual(sent.map((bytes) => toHex(bytes)));
    expect(other).toEqual([`5 ${toHex(clear)}`]);
  });
});

describe('records', () => {
  it('come in the order of the capture, from many streams and through many batches', () => {
    const configs = Array.from({ length: 10 }, (_, i) => saConfig({ spi: i + 1 }));
    const senders = configs.map((config) => senderOf(config));
    const frames = Array.from({ length: 500 }, (_, i) => frame(senders[(i * 7) % 10]!()));
    const { lines, totals } = decrypt(frames, configs);
    expect(lines.map((line) => line.frame)).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
    expect(totals.ok).toBe(500);
  });

  it('hold packets of every length, up to the longest', () => {
    const config = saConfig();
    const end = new TunnelEnd(config, new NodeEngine(), RANDOM);
    const lengths = [100, 1400, 9000, 65_000, 65_478, 100];
    const frames = lengths.map((len) => {
      const sent = end.encapsulate(ipv4Packet(len));
      return frame(sent.verdict === 'ok' ? sent.packet : hex(''));
    });
    const { lines } = decrypt(frames, [config]);
    expect(lines.map((line) => (line.inner?.length ?? 0) / 2)).toEqual(lengths);
    expect(lines.map((line) => line.frame)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('write numbers of 64 bits in full', () => {
    expect(seqText(0, 5)).toBe('5');
    expect(seqText(1, 0)).toBe('4294967296');
    expect(seqText(0xffff_ffff, 0xffff_ffff)).toBe('18446744073709551615');
  });
});
