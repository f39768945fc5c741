/**
 * What a table of SAs leaves open: mode, UDP, ESN, and the check of the ICV.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Forge, textOf } from '../../src/conform/forge.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { authenc, uncheckedCipher } from '../../src/crypto/suite.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import { modeOf, waysOf } from '../../src/inspect/infer.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { udp4 } from '../support/datagram.ts';
import { decryptBytes, type Line, lineOf } from '../support/decrypt.ts';
import { needs, SHARED, shared } from '../support/needs.ts';
import { receiverOf } from '../support/receiver.ts';
import { address, counting, saConfig } from '../support/sa.ts';

const OPEN = { mode: true, encap: true, esn: true } as const;
const CHECKED = authenc('hmac(sha256)', counting(32, 64), 'cbc(aes)', counting(16), 128);
const UNCHECKED = uncheckedCipher('cbc(aes)', counting(16), 128);

function decrypt(packets: readonly Uint8Array[], sas: readonly SaConfig[]): Line[] {
  const lines: Line[] = [];
  const json = new PacketJson();
  const decryptor = receiverOf(sas, { onPacket: (event) => lines.push(lineOf(event, json)) });
  packets.forEach((bytes, i) => {
    const info = { number: i + 1, seconds: 0, nanoseconds: 0, hasTime: true, interfaceId: 0, byte: 0 };
    decryptor.frame(bytes, 0, bytes.length, { ...info, linkType: LINK_RAW, originalLength: bytes.length });
  });
  decryptor.flush();
  return lines;
}

const said = (lines: readonly Line[]) =>
  lines.map(
    ({ verdict, reason, authenticated }) =>
      `${reason ?? verdict}${authenticated === false ? ' unauthenticated' : ''}`,
  );

describe('waysOf', () => {
  it('tries an SA with and without ESN where nothing is said, and leaves others as they are', () => {
    const whole = saConfig();
    expect(waysOf(whole)).toEqual([whole]);
    expect(waysOf(whole)[0]).toBe(whole);
    const ways = waysOf(saConfig({ esn: false, replayWindow: 0, unstated: OPEN }));
    expect(ways.map(({ esn, replayWindow, unstated }) => ({ esn, replayWindow, unstated }))).toEqual([
      { esn: false, replayWindow: 0, unstated: { mode: true, encap: true } },
      { esn: true, replayWindow: 1024, unstated: { mode: true, encap: true } },
    ]);
  });

  it('gives an SA that is not checked neither window nor ESN', () => {
    expect(waysOf(saConfig({ keys: UNCHECKED }))).toMatchObject([{ esn: false, replayWindow: 0 }]);
  });
});

describe('modeOf', () => {
  it('is what is said, or what the packet shows', () => {
    const open = { mode: 'tunnel', unstated: OPEN } as const;
    expect(modeOf({ mode: 'transport' }, textOf(udp4(60), 4, 4))).toBe('transport');
    expect(modeOf(open, textOf(udp4(60), 4, 4))).toBe('tunnel');
    expect(modeOf(open, textOf(udp4(60), 41, 4))).toBe('transport');
    expect(modeOf(open, textOf(udp4(60).subarray(20), 17, 4))).toBe('transport');
    expect(modeOf(open, undefined)).toBeNull();
  });
});

describe('an SA of which mode and UDP are not said', () => {
  it.each(['tunnel', 'transport'] as const)(
    'opens %s mode, in UDP and without, with ESN and without',
    (mode) => {
      for (const esn of [false, true]) {
        for (const encap of [undefined, { sport: 4500, dport: 4500 }]) {
          const config = saConfig({ mode, esn, ...(encap && { encap }) });
          const forge = new Forge(config, new NodeEngine());
          const text = mode === 'tunnel' ? textOf(udp4(60), 4, 4) : textOf(udp4(60).subarray(20), 17, 4);
          const { encap: _, ...rest } = config;
          const table: SaConfig = { ...rest, mode: 'tunnel', esn: false, replayWindow: 0, unstated: OPEN };
          expect(said(decrypt([forge.packet(5n, text), forge.packet(6n, text)], [table]))).toEqual([
            'ok',
            'ok',
          ]);
        }
      }
    },
  );

  it('refuses no packet for a mode that another one showed', () => {
    const forge = new Forge(saConfig(), new NodeEngine());
    const inTunnel = textOf(udp4(60), 4, 4);
    const inTransport = textOf(udp4(60).subarray(20), 17, 4);
    const packets = [inTunnel, inTransport, inTunnel].map((text, i) => forge.packet(BigInt(i + 1), text));
    expect(said(decrypt(packets, [saConfig({ unstated: { mode: true } })]))).toEqual(['ok', 'ok', 'ok']);
    expect(said(decrypt(packets, [saConfig()]))).toEqual(['ok', 'not-ip', 'ok']);
  });
});

describe('an SA whose ICV is not checked', () => {
  const open = saConfig({ keys: UNCHECKED, esn: false, replayWindow: 0, unstated: OPEN });
  const forge = new Forge(saConfig({ keys: CHECKED, esn: false, replayWindow: 64 }), new NodeEngine());
  const packet = (n: number) => forge.packet(BigInt(n), textOf(udp4(60), 4, 16));
  /** Forged by one who does not know the key of the ICV. */
  const forged = (n: number) => packet(n).with(-1, packet(n).at(-1)! ^ 1);

  it('opens what is plausible, marked, and nothing else', () => {
    const wrong = saConfig({ keys: uncheckedCipher('cbc(aes)', counting(16, 1), 128), unstated: OPEN });
    expect(said(decrypt([packet(1), forged(2)], [open]))).toEqual([
      'ok unauthenticated',
      'ok unauthenticated',
    ]);
    expect(said(decrypt([packet(1), packet(2)], [wrong]))).toEqual(['implausible', 'implausible']);
    expect(decrypt([packet(1)], [wrong])[0]).toMatchObject({
      verdict: 'unopened',
      counter: null,
      inner: null,
    });
  });

  it('has no window: no forged number makes another one old', () => {
    const numbers = [5, 4_000_000_000, 6, 6];
    expect(said(decrypt(numbers.map(packet), [open]))).toEqual(numbers.map(() => 'ok unauthenticated'));
  });

  it('says nothing once a packet of the stream has authenticated', () => {
    const checked = saConfig({ keys: CHECKED, esn: false, replayWindow: 64 });
    const packets = [forged(9), packet(1), forged(2), packet(2), packet(2), forged(4_000_000_000), packet(3)];
    for (const sas of [
      [checked, open],
      [open, checked],
    ]) {
      expect(said(decrypt(packets, sas))).toEqual([
        'ok unauthenticated',
        'ok',
        'bad-icv',
        'ok',
        'replay-seen',
        'bad-icv',
        'ok',
      ]);
    }
  });

  it('makes no stream of its own for a source that nothing vouches for', () => {
    const any = { ...open, src: new Uint8Array(4) };
    const sources = Array.from({ length: 300 }, (_, i) => address(`198.51.${i >>> 8}.${i & 255}`));
    const packets = sources.map((src, i) => forge.packet(BigInt(i + 1), textOf(udp4(60), 4, 16), { src }));
    const lines = decrypt(packets, [any]);
    expect(new Set(said(lines))).toEqual(new Set(['ok unauthenticated']));
    expect(lines.map(({ src }) => src)).toEqual(sources.map((src) => src.join('.')));
  });
});

needs([shared('cases')], 'tables of SAs as people have them', () => {
  const CASES = `${SHARED}cases`;
  it.each([
    ['captures 01: esp_sa says nothing of the mode', 'captures/01-esp-sa-transport', 'in.pcap', 4, true],
    ['captures 02: esp_sa says nothing of UDP', 'captures/02-esp-sa-nat-t', 'in.pcap', 4, true],
    ['captures 03: any destination', 'captures/03-esp-sa-any-destination', 'in.pcap', 3, true],
    ['captures 06: one unknown row', 'captures/06-one-unknown-row-refuses-all', 'in.pcap', 2, true],
    ['captures 07: any SPI', 'captures/07-esp-sa-any-spi', 'in.pcap', 3, true],
    ['texts 09: any destination', 'texts/09-esp-sa-star', 'esp.pcap', 3, true],
    ['texts 14: one bad row', 'texts/14-one-bad-state', 'esp.pcap', 3, true],
    ['captures 08: the integrity key is not named', 'captures/08-integrity-not-named', 'in.pcap', 8, false],
    ['texts 19: integrity that is not checked', 'texts/19-esp-sa-unchecked', 'null6.pcap', 3, false],
  ])('case %s', async (_, folder, capture, count, isAuthenticated) => {
    const bytes = readFileSync(`${CASES}/${folder}/${capture}`);
    const { lines } = await decryptBytes(bytes, { espSa: [`${CASES}/${folder}/esp_sa`] }, new NodeEngine());
    // In some of them there is ESP in ESP, under an SA that no source has.
    const outer = lines.filter(({ carriers }) => !carriers?.includes('esp'));
    expect(said(outer)).toEqual(Array(count).fill(isAuthenticated ? 'ok' : 'ok unauthenticated'));
  });

  it('case texts 19: any SPI', async () => {
    const bytes = readFileSync(`${CASES}/texts/09-esp-sa-star/esp.pcap`);
    const espSa = [`${CASES}/texts/19-esp-sa-unchecked/esp_sa-spi-star`];
    expect(said((await decryptBytes(bytes, { espSa }, new NodeEngine())).lines)).toEqual(['ok', 'ok', 'ok']);
  });

  it.each([
    ['texts 14: an unknown algorithm', 'texts/14-one-bad-state', 'esp.pcap', 'one-bad.txt', 3],
    ['texts 14: espintcp', 'texts/14-one-bad-state', 'esp.pcap', 'one-tcp.txt', 3],
    ['texts 14: IP-TFS', 'texts/14-one-bad-state', 'esp.pcap', 'one-iptfs.txt', 3],
    ['texts 14: a key cut out', 'texts/14-one-bad-state', 'esp.pcap', 'one-snip.txt', 3],
    [
      'captures 06: an unknown algorithm',
      'captures/06-one-unknown-row-refuses-all',
      'in.pcap',
      'xfrm.txt',
      1,
    ],
    ['captures 14: a larval state', 'captures/14-larval-state-with-spi', 'in.pcap', 'xfrm.txt', 1],
  ])('case %s leaves the other states usable', async (_, folder, capture, text, count) => {
    const bytes = readFileSync(`${CASES}/${folder}/${capture}`);
    const { lines } = await decryptBytes(
      bytes,
      { xfrmState: [`${CASES}/${folder}/${text}`] },
      new NodeEngine(),
    );
    expect(lines.filter(({ verdict }) => verdict === 'ok')).toHaveLength(count);
  });

  it.each(['nat-t', 'transport'])('case captures 04: %s, by its own secrets', async (name) => {
    const bytes = readFileSync(`${CASES}/captures/04-own-file-with-secrets/${name}.self.pcapng`);
    expect(said((await decryptBytes(bytes, {}, new NodeEngine())).lines)).toEqual(Array(4).fill('ok'));
  });
});
