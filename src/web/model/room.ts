/**
 * Room in a packet: what every way to send a pod's packet adds to it, and what then still fits. All lengths come from
 * `ipsec`, `cilium` and `wire`; this only lines them up.
 *
 * ```text
 *  native        IP │ ESP IV │ pod packet │ padding 2 │ ICV
 *  vxlan-in-esp  IP │ ESP IV │ IP UDP VXLAN Ethernet │ pod packet │ padding 2 │ ICV
 *  esp-in-vxlan  IP UDP VXLAN Ethernet │ IP │ ESP IV │ pod packet │ padding 2 │ ICV
 *  transport     IP of the packet │ ESP IV │ rest of it │ padding 2 │ ICV
 * ```
 * @module
 */
import { type CiliumKey, parseKeys } from '../../cilium/keys.ts';
import { ipsecOverhead, podMtu } from '../../cilium/mtu.ts';
import { DEFAULT_VERSION } from '../../cilium/version.ts';
import { isEncrypting, type Suite } from '../../crypto/suite.ts';
import { maxInner, packetLength } from '../../ipsec/mtu.ts';
import { padLength } from '../../ipsec/padding.ts';
import { overlayLength } from '../../node/overlay.ts';
import * as esp from '../../wire/esp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as udp from '../../wire/udp.ts';
import * as vxlan from '../../wire/vxlan.ts';

/** How pod packets travel. The first three are Cilium's. */
export const ROOM_MODES = [
  { value: 'native', label: 'native' },
  { value: 'vxlan-in-esp', label: 'VXLAN in ESP' },
  { value: 'esp-in-vxlan', label: 'ESP in VXLAN' },
  { value: 'transport', label: 'transport mode' },
] as const;

export type RoomMode = (typeof ROOM_MODES)[number]['value'];

/** A suite as a line of Cilium's keys file names it. */
export interface RoomSuite {
  readonly value: string;
  readonly label: string;
  readonly suite: Suite;
  readonly key: Pick<CiliumKey, 'keyLen'>;
}

/** Every suite that Cilium's keys file can name and whose lengths differ. The keys are made up. */
export const ROOM_SUITES: readonly RoomSuite[] = [
  roomSuite('gcm-128', 'AES-GCM, ICV 16', `rfc4106(gcm(aes)) ${'11'.repeat(20)} 128`),
  roomSuite('gcm-96', 'AES-GCM, ICV 12', `rfc4106(gcm(aes)) ${'11'.repeat(20)} 96`),
  roomSuite('chacha', 'ChaCha20-Poly1305', `rfc7539esp(chacha20,poly1305) ${'11'.repeat(36)} 128`),
  roomSuite('gmac', 'AES-GMAC', `rfc4543(gcm(aes)) ${'11'.repeat(20)} 128`),
  roomSuite('cbc-sha1', 'AES-CBC, SHA-1', `hmac(sha1) ${'22'.repeat(20)} cbc(aes) ${'11'.repeat(16)}`),
  roomSuite('cbc-sha256', 'AES-CBC, SHA-256', `hmac(sha256) ${'22'.repeat(16)} cbc(aes) ${'11'.repeat(16)}`),
  roomSuite('cbc-sha384', 'AES-CBC, SHA-384', `hmac(sha384) ${'22'.repeat(24)} cbc(aes) ${'11'.repeat(16)}`),
  roomSuite('cbc-sha512', 'AES-CBC, SHA-512', `hmac(sha512) ${'22'.repeat(32)} cbc(aes) ${'11'.repeat(16)}`),
  roomSuite(
    'ctr-sha512',
    'AES-CTR, SHA-512',
    `hmac(sha512) ${'22'.repeat(32)} rfc3686(ctr(aes)) ${'11'.repeat(20)}`,
  ),
  roomSuite('3des-sha1', '3DES, SHA-1', `hmac(sha1) ${'22'.repeat(20)} cbc(des3_ede) ${'11'.repeat(24)}`),
  roomSuite('null-sha256', 'no cipher, SHA-256', `hmac(sha256) ${'22'.repeat(16)} cipher_null ""`),
];

export interface RoomChoice {
  readonly mode: RoomMode;
  readonly suite: RoomSuite;
  /** IP version between the nodes, and inside too. */
  readonly family: 4 | 6;
  /** ESP in UDP (RFC 3948)? Cilium never does. */
  readonly encap: boolean;
  /** MTU of the link between the nodes. */
  readonly mtu: number;
}

/** A part of the packet, in the order in which it is sent. */
export interface RoomPart {
  readonly id: string;
  readonly label: string;
  readonly bytes: number;
  readonly isEncrypted: boolean;
  readonly isAuthenticated: boolean;
  readonly why: string;
  readonly reference: string;
}

/** The parts of a pod's packet of `len` bytes; those without bytes are left out. */
export function partsOf({ mode, suite: { suite }, family, encap }: RoomChoice, len: number): RoomPart[] {
  const hides = isEncrypting(suite);
  const parts: RoomPart[] = [];
  const add = (
    [id, label, why, reference]: readonly [string, string, string, string],
    bytes: number,
    protection: 'none' | 'authenticated' | 'both',
  ) => {
    const isAuthenticated = protection !== 'none';
    const isEncrypted = protection === 'both' && hides;
    if (bytes > 0) parts.push({ id, label, bytes, isEncrypted, isAuthenticated, why, reference });
  };
  const addOverlay = (protection: 'none' | 'both') => {
    add(TEXTS.overlayIp, ipLength(family), protection);
    add(TEXTS.overlayUdp, udp.HEADER_LEN, protection);
    add(TEXTS.vxlan, vxlan.HEADER_LEN, protection);
    add(TEXTS.ethernet, ethernet.HEADER_LEN, protection);
  };

  if (mode === 'esp-in-vxlan') addOverlay('none');
  add(mode === 'transport' ? TEXTS.ownIp : TEXTS.outerIp, ipLength(family), 'none');
  if (encap) add(TEXTS.udp, udp.HEADER_LEN, 'none');
  add(TEXTS.esp, esp.HEADER_LEN, 'authenticated');
  add(TEXTS.iv, suite.ivLen, 'authenticated'); // AEADs vouch for it through the nonce
  if (mode === 'vxlan-in-esp') addOverlay('both');
  const payload = mode === 'transport' ? len - ipLength(family) : len;
  add(mode === 'transport' ? TEXTS.rest : TEXTS.packet, payload, 'both');
  const sealed = payload + (mode === 'vxlan-in-esp' ? overlay(family) : 0);
  add(TEXTS.padding, padLength(sealed, suite.align), 'both');
  add(TEXTS.trailer, esp.TRAILER_LEN, 'both');
  add(TEXTS.icv, suite.icvLen, 'none');
  return parts;
}

/** How long a pod's packet of `len` bytes is on the wire, from the outermost IP header on. */
export function onWire({ mode, suite: { suite }, family, encap }: RoomChoice, len: number): number {
  const inside = mode === 'vxlan-in-esp' ? overlay(family) : 0;
  const outside = mode === 'esp-in-vxlan' ? overlay(family) : 0;
  return packetLength(len + inside, suite, espMode(mode), family, encap) + outside;
}

/** The longest packet of a pod that still fits the link. */
export function longest({ mode, suite: { suite }, family, encap, mtu }: RoomChoice): number {
  const inside = mode === 'vxlan-in-esp' ? overlay(family) : 0;
  const outside = mode === 'esp-in-vxlan' ? overlay(family) : 0;
  return maxInner(suite, espMode(mode), family, encap, mtu - outside) - inside;
}

/** The MTU that Cilium gives to pods, and the sum that it comes from; undefined for what Cilium does not do. */
export function ciliumMtu(choice: RoomChoice): { readonly mtu: number; readonly sum: string } | undefined {
  const { mode, suite, family, encap, mtu } = choice;
  if (mode === 'transport' || encap) return undefined;
  const reserved = ipsecOverhead(suite.key);
  if (mode === 'native') return { mtu: podMtu(mtu, suite.key), sum: `${mtu} - ${reserved}` };
  const pods = podMtu(mtu, suite.key, family === 4 ? 'ipv4' : 'ipv6');
  return { mtu: pods, sum: `${mtu} - ${reserved} - ${mtu - reserved - pods}` };
}

/** Pings from pod to pod that find out what fits: the longest that passes, and one byte more. */
export function pingForms({ family }: RoomChoice, most: number): { label: string; text: string }[] {
  const data = most - ipLength(family) - icmp.HEADER_LEN;
  const ping = (size: number, what: string) => `ping -${family} -M do -c 1 -s ${size} POD   # ${what}\n`;
  return [{ label: 'ping', text: ping(data, `${most} bytes: passes`) + ping(data + 1, 'too big by one') }];
}

function espMode(mode: RoomMode): 'tunnel' | 'transport' {
  return mode === 'transport' ? 'transport' : 'tunnel';
}

function ipLength(family: 4 | 6): number {
  return family === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
}

function overlay(family: 4 | 6): number {
  return overlayLength(family === 4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN);
}

function roomSuite(value: string, label: string, line: string): RoomSuite {
  const [key] = parseKeys(`1+ ${line}`, 'lab', DEFAULT_VERSION);
  return { value, label, suite: key!.material.suite, key: { keyLen: key!.keyLen } };
}

/** Id, label, why it is there, and where to read on. */
const TEXTS = {
  outerIp: [
    'outer-ip',
    'outer IP',
    'From node to node: routers between them see no pod address.',
    'RFC 4301 §5.1.2',
  ],
  ownIp: [
    'own-ip',
    'IP',
    "The packet's own IP header stays in front: in transport mode hosts talk for themselves.",
    'RFC 4303 §3.1.1',
  ],
  overlayIp: ['overlay-ip', 'IP', 'The overlay goes from node to node too.', 'RFC 7348 §5'],
  overlayUdp: ['overlay-udp', 'UDP', 'VXLAN rides on UDP; its source port tells flows apart.', 'RFC 7348 §5'],
  vxlan: ['vxlan', 'VXLAN', 'Its VNI carries the identity of the sending pod.', 'RFC 7348 §5'],
  ethernet: [
    'ethernet',
    'Ethernet',
    'VXLAN carries frames, so the pod packet needs a frame around it.',
    'RFC 7348 §5',
  ],
  udp: ['udp', 'UDP', 'Lets ESP pass a NAT, which knows ports and no SPIs.', 'RFC 3948 §2.1'],
  esp: [
    'esp',
    'SPI, number',
    'Which SA, and the low 32 bits of the sequence number. ESN adds nothing here: its high half is not sent.',
    'RFC 4303 §2.1',
  ],
  iv: [
    'iv',
    'IV',
    'Makes every packet under one key different; behind the salt it completes the nonce.',
    'RFC 4106 §3.1',
  ],
  packet: ['packet', 'pod packet', 'What the pod sent.', 'RFC 4303 §2.3'],
  rest: ['packet', 'rest of the packet', 'What the pod sent, behind its IP header.', 'RFC 4303 §3.1.1'],
  padding: [
    'padding',
    'padding',
    'Fills up to whole blocks of the cipher, and to 4 bytes at least.',
    'RFC 4303 §2.4',
  ],
  trailer: ['trailer', 'trailer', 'How much padding there is, and what was sealed.', 'RFC 4303 §2.5'],
  icv: ['icv', 'ICV', 'What a receiver checks before it believes a single byte.', 'RFC 4303 §2.8'],
} as const;
