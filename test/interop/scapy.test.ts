/**
 * esplane and scapy over the same packets: with the same number and IV both seal the same bytes, outer header
 * included, and each opens what the other sealed.
 *
 * Not here, because scapy 2.5 has them not: AES-GMAC, and the high half of an ESN under an HMAC. The kernel has both
 * (kernel.test.ts).
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead, authenc, type KeyMaterial } from '../../src/crypto/suite.ts';
import { EspPlace } from '../../src/ipsec/esp-place.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { type Outcome, TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { needs } from '../support/needs.ts';
import { SCAPY, SCAPY_PYTHON } from '../support/python.ts';
import { address, counting, ipv4Packet, ipv6Packet, saConfig } from '../support/sa.ts';

const PEER = fileURLToPath(new URL('scapy-peer.py', import.meta.url));

interface Suite {
  /** scapy's names. */
  readonly crypt: string;
  readonly auth?: string;
  readonly keys: KeyMaterial;
}

const AUTHS = [
  ['HMAC-SHA1-96', 'hmac(sha1)', 96],
  ['SHA2-256-96', 'hmac(sha256)', 96],
  ['SHA2-256-128', 'hmac(sha256)', 128],
  ['SHA2-384-192', 'hmac(sha384)', 192],
  ['SHA2-512-256', 'hmac(sha512)', 256],
] as const;

const gcm = (keyLen: number, icvBits: number) => aead('rfc4106(gcm(aes))', counting(keyLen + 4), icvBits);

const SUITES: readonly Suite[] = [
  ...[16, 24, 32].map((len): Suite => ({ crypt: 'AES-GCM', keys: gcm(len, 128) })),
  ...[16, 24, 32].flatMap((len): Suite[] => [
    { crypt: 'AES-GCM-8', keys: gcm(len, 64) },
    { crypt: 'AES-GCM-12', keys: gcm(len, 96) },
  ]),
  { crypt: 'CHACHA20-POLY1305', keys: aead('rfc7539esp(chacha20,poly1305)', counting(36), 128) },
  ...AUTHS.flatMap(([auth, kernel, bits]) =>
    [16, 24, 32].map(
      (len): Suite => ({
        crypt: 'AES-CBC',
        auth,
        keys: authenc(kernel, counting(32, 64), 'cbc(aes)', counting(len), bits),
      }),
    ),
  ),
  {
    crypt: 'NULL',
    auth: 'SHA2-256-128',
    keys: authenc('hmac(sha256)', counting(32, 64), 'cipher_null', new Uint8Array(0), 128),
  },
];

const V4 = { src: address('192.0.2.1'), dst: address('192.0.2.2') };
const V6 = { src: address('2001:db8::1'), dst: address('2001:db8::2') };
const UDP = { encap: { sport: 4500, dport: 4500 } };

interface Shape {
  readonly name: string;
  readonly given: Partial<SaConfig>;
  readonly inner: (len: number) => Uint8Array;
}

const SHAPES: readonly Shape[] = [
  { name: 'tunnel 4in4', given: V4, inner: ipv4Packet },
  { name: 'tunnel 6in4', given: V4, inner: ipv6Packet },
  { name: 'tunnel 4in6', given: V6, inner: ipv4Packet },
  { name: 'tunnel 6in6', given: V6, inner: ipv6Packet },
  { name: 'transport v4', given: { ...V4, mode: 'transport' }, inner: (len) => ipv4Packet(len, V4) },
  { name: 'transport v6', given: { ...V6, mode: 'transport' }, inner: (len) => ipv6Packet(len, V6) },
  { name: 'tunnel 4in4 in UDP', given: { ...V4, ...UDP }, inner: ipv4Packet },
  {
    name: 'transport v4 in UDP',
    given: { ...V4, ...UDP, mode: 'transport' },
    inner: (len) => ipv4Packet(len, V4),
  },
];

/** The number before the first: up to the last one without ESN; with it, from the start and into a new high half. */
const NUMBERS = [
  { name: 'no ESN', esn: false, hi: 0, lo: 0xffff_ffff - 4 },
  { name: 'ESN', esn: true, hi: 0, lo: 0 },
  { name: 'ESN from high half 7 to 8', esn: true, hi: 7, lo: 0xffff_ffff - 2 },
] as const;

/** Around the alignment of a block, and what fills a link. */
const LENGTHS = [61, 64, 66, 1400];

interface Case {
  readonly title: string;
  readonly config: SaConfig;
  readonly hi: number;
  readonly lo: number;
  readonly suite: Suite;
  readonly clear: readonly Uint8Array[];
  /** What esplane made of it. */
  readonly sent: readonly Uint8Array[];
}

/** What scapy made of one packet; see scapy-peer.py. */
interface Answer {
  readonly twin: string;
  readonly own: string;
  readonly opened: string;
  readonly flipped: string;
}

function packetOf(outcome: Outcome): Uint8Array {
  if (outcome.verdict !== 'ok') throw new Error(`dropped: ${outcome.reason}`);
  return outcome.packet;
}

const CASES: readonly Case[] = SUITES.flatMap((suite) =>
  SHAPES.flatMap(({ name, given, inner }) =>
    NUMBERS.filter(({ esn }) => !esn || suite.auth === undefined).map(({ name: numbers, esn, hi, lo }) => {
      const config = saConfig({ ...given, keys: suite.keys, esn });
      const sender = new TunnelEnd(config, new NodeEngine(), {
        random: seededBytes(7),
        ivSalt: hex('0011223344556677'),
        startAfter: { hi, lo },
      });
      const clear = LENGTHS.map(inner);
      const sent = clear.map((packet) => packetOf(sender.encapsulate(packet)));
      return { title: `${name}, ${numbers}`, config, hi, lo, suite, clear, sent };
    }),
  ),
);

/** One process for all: Python takes longer to start than to seal. */
function ask(cases: readonly Case[]): Answer[][] {
  const input = cases.map(({ config, hi, lo, suite, clear, sent }) => ({
    spi: config.spi,
    crypt: suite.crypt,
    key: toHex(suite.keys.key()) + toHex(suite.keys.salt()),
    auth: suite.auth ?? null,
    authKey: toHex(suite.keys.macKey()),
    tunnel: config.mode === 'tunnel',
    udp: config.encap !== undefined,
    esn: config.esn,
    packets: clear.map((packet, i) => ({
      hi: hi + Math.floor((lo + 1 + i) / 2 ** 32),
      lo: (lo + 1 + i) >>> 0,
      iv: toHex(ivOf(sent[i]!, suite.keys.suite.ivLen)),
      clear: toHex(packet),
      sent: toHex(sent[i]!),
    })),
  }));
  const run = spawnSync(SCAPY_PYTHON!, [PEER], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  expect(run.status, run.stderr.slice(-2000)).toBe(0);
  return JSON.parse(run.stdout) as Answer[][];
}

/** The IV of an ESP packet that is known to be good. */
function ivOf(packet: Uint8Array, len: number): Uint8Array {
  const place = new EspPlace();
  expect(place.find(packet, 0, packet.length)).toBe('esp');
  return packet.subarray(place.espAt + 8, place.espAt + 8 + len);
}

needs([SCAPY], 'scapy', () => {
  let answers: Answer[][] = [];
  beforeAll(() => {
    answers = ask(CASES);
  }, 60_000);

  describe.each(SUITES)('$crypt $auth, key of $keys.suite.keyLen bytes', (suite) => {
    const own = CASES.flatMap((each, at) => (each.suite === suite ? [{ ...each, at }] : []));

    it.each(own)('$title', ({ at, config, clear, sent, hi, lo }) => {
      const receiver = new TunnelEnd(config, new NodeEngine(), { random: seededBytes(1) });
      receiver.sa.window.startBefore(hi, lo + 1);
      const last = lo + clear.length;
      expect(answers[at]).toHaveLength(clear.length);
      for (const [i, answer] of answers[at]!.entries()) {
        const packet = toHex(clear[i]!);
        expect(answer.twin, 'the same number and IV give the same bytes').toBe(toHex(sent[i]!));
        expect(answer.opened, 'scapy opens what esplane sealed').toBe(packet);
        expect(answer.flipped, 'scapy does check').toBe('integrity');
        const theirs = hex(answer.own);
        if (suite.keys.suite.ivLen > 0) expect(answer.own, "scapy's own IV").not.toBe(answer.twin);
        expect(toHex(packetOf(receiver.decapsulate(theirs))), 'esplane opens what scapy sealed').toBe(packet);
      }
      expect([receiver.sa.window.topHi, receiver.sa.window.topLo]).toEqual([
        hi + Math.floor(last / 2 ** 32),
        last >>> 0,
      ]);
    });
  });
});
