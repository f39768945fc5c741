/** Captures of packets that esplane encapsulated, written by esplane, opened by tshark with a table by esplane. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { authenc, type KeyMaterial } from '../../src/crypto/suite.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { writeEspSa } from '../../src/sa-text/esp-sa.ts';
import { LINK_ETHERNET } from '../../src/wire/link-type.ts';
import { countingKey, EVERY_SUITE } from '../support/arbitrary-sa.ts';
import { udp4, udp6 } from '../support/datagram.ts';
import { frameOf } from '../support/ethernet.ts';
import { fullEngine, HAS_ADDON } from '../support/full-engine.ts';
import { needs, program } from '../support/needs.ts';
import { pcapOf } from '../support/pcap.ts';
import { address, RANDOM, saConfig } from '../support/sa.ts';
import { dissect } from '../support/tshark.ts';

const V4 = { src: address('192.0.2.1'), dst: address('192.0.2.2') };
const V6 = { src: address('2001:db8::1'), dst: address('2001:db8::2') };
const UDP = { encap: { sport: 4500, dport: 4500 } };

const mixed = (auth: string, authLen: number, enc: string, encLen: number) =>
  [
    `${enc} ${encLen * 8}+${auth}`,
    authenc(auth, countingKey(authLen), enc, countingKey(encLen), 96),
  ] as const;

/** Suites of which Wireshark 4.0 knows the cipher and checks the ICV. */
const SUITES: readonly (readonly [string, KeyMaterial])[] = [
  ...EVERY_SUITE.filter(
    ([name]) =>
      name.startsWith('gcm') ||
      /^(cbc.*|null)\+hmac.*(sha1\)\/96|sha256\).96|sha256\).128|sha384\).192|sha512\).256)$/.test(name),
  ),
  mixed('hmac(md5)', 16, 'cbc(des3_ede)', 24),
  mixed('hmac(rmd160)', 20, 'cbc(des)', 8),
  mixed('hmac(sha1)', 20, 'rfc3686(ctr(aes))', 20),
  mixed('hmac(md5)', 16, 'rfc3686(ctr(aes))', 36),
  ...(HAS_ADDON
    ? [
        mixed('hmac(sha1)', 20, 'cbc(cast5)', 16),
        mixed('hmac(sha1)', 20, 'cbc(blowfish)', 16),
        mixed('hmac(sha1)', 20, 'cbc(twofish)', 32),
      ]
    : []),
];

const SHAPES: readonly {
  readonly name: string;
  readonly given: Partial<SaConfig>;
  readonly inner: () => Uint8Array;
}[] = [
  { name: 'tunnel 4in4', given: V4, inner: () => udp4(100) },
  { name: 'tunnel 6in4', given: V4, inner: () => udp6(101) },
  { name: 'tunnel 4in6', given: V6, inner: () => udp4(102) },
  { name: 'tunnel 6in6', given: V6, inner: () => udp6(103) },
  { name: 'transport v4', given: { ...V4, mode: 'transport' }, inner: () => udp4(104, V4) },
  { name: 'transport v6', given: { ...V6, mode: 'transport' }, inner: () => udp6(105, V6) },
  { name: 'tunnel 4in4 in UDP', given: { ...V4, ...UDP }, inner: () => udp4(106) },
];

interface Sent {
  readonly name: string;
  readonly config: SaConfig;
  readonly clear: Uint8Array;
  readonly esp: Uint8Array;
}

/** One packet of each suite and shape; every SA has an SPI of its own. */
function send(suites: readonly (readonly [string, KeyMaterial])[], esn: boolean): Sent[] {
  let spi = 0x100;
  return suites.flatMap(([suite, keys]) =>
    SHAPES.map(({ name, given, inner }) => {
      const config = saConfig({ ...given, keys, esn, spi: spi++ });
      const clear = inner();
      const outcome = new TunnelEnd(config, fullEngine(), RANDOM).encapsulate(clear);
      if (outcome.verdict !== 'ok') throw new Error(outcome.reason);
      return { name: `${suite}, ${name}`, config, clear, esp: outcome.packet };
    }),
  );
}

/** What tshark reads from each packet. */
function read(sent: readonly Sent[]) {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-tshark-'));
  try {
    const file = join(folder, 'wire.pcap');
    writeFileSync(
      file,
      pcapOf(
        sent.map(({ esp }) => frameOf(esp)),
        LINK_ETHERNET,
      ),
    );
    const table = writeEspSa(
      sent.map(({ config }) => config),
      { showKeys: true },
    );
    const fields = ['esp.spi', 'esp.sequence', 'esp.icv_good', 'esp.contained_data', 'udp.dstport'];
    // Of ports in and around ESP the last are those inside.
    const { rows } = dissect(file, table, fields, ['-E', 'occurrence=l']);
    return rows.map(([spi, sequence, good, inner = '', port]) => ({
      spi: Number(spi),
      sequence,
      good: good === '1',
      inner: inner.replaceAll(':', ''),
      port,
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What ESP carries of a packet: all of it, or in transport mode what follows the IP header. */
function carried({ config, clear }: Sent): string {
  return toHex(clear, config.mode === 'tunnel' ? 0 : clear[0]! >>> 4 === 4 ? 20 : 40);
}

needs([program('tshark', 'tshark')], 'tshark opens what esplane sealed', () => {
  it('has every suite', () => {
    expect(SUITES.map(([name]) => name)).toHaveLength(9 + 2 * 5 + 1 + (HAS_ADDON ? 7 : 4));
  });

  describe('without ESN the ICV is good, too', () => {
    const sent = send(SUITES, false);
    let got: ReturnType<typeof read> = [];
    beforeAll(() => {
      got = read(sent);
    });

    it.each(sent.map((each, i) => ({ ...each, i })))('$name', (each) => {
      expect(got).toHaveLength(sent.length);
      expect(got[each.i]).toEqual({
        spi: each.config.spi,
        sequence: '1',
        good: true,
        inner: carried(each),
        port: '7000',
      });
    });
  });

  it('finds a flipped bit', () => {
    const sent = send(SUITES, false).map((each) => {
      const esp = each.esp.slice();
      esp[esp.length - 1]! ^= 1;
      return { ...each, esp };
    });
    for (const [i, { good }] of read(sent).entries()) expect(good, sent[i]!.name).toBe(false);
  });

  // Before 4.6 Wireshark leaves the high half out of the check, so only the decryption can be compared.
  it('with ESN it decrypts', () => {
    const sent = send(SUITES, true);
    for (const [i, { inner, port }] of read(sent).entries()) {
      expect([inner, port], sent[i]!.name).toEqual([carried(sent[i]!), '7000']);
    }
  });
});
