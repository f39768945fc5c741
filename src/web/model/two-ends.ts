/**
 * The per-tunnel keys of two nodes, each as that node derives them from what it believes, and packets sent with them.
 *
 * ```text
 *  node-1 believes: own boot id, boot id of node-2      node-2 believes: own boot id, boot id of node-1
 *        │ derive(K, 1, 2, boot 1, boot 2)                     │ derive(K, 1, 2, boot 1, boot 2)
 *        ▼                                                     ▼
 *    SA out ───────────────── a packet ────────────────────► SA in
 * ```
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { seededBytes } from '../../base/rng.ts';
import { BOOT_ID_LEN, deriveMaterial } from '../../cilium/derive.ts';
import type { CiliumKey } from '../../cilium/keys.ts';
import { NobleEngine } from '../../crypto/noble.ts';
import type { KeyMaterial } from '../../crypto/suite.ts';
import type { DropReason, DropRow } from '../../ipsec/drop.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { TunnelEnd } from '../../ipsec/tunnel-end.ts';
import { udpPacket } from '../../sim/traffic.ts';
import { type Address, formatAddress, parseAddress } from '../../wire/address.ts';
import { saForms } from './copy-forms.ts';

/** Tunnel ends of the two nodes: CiliumInternalIPs, by IP version. */
export const ENDS = {
  4: ['10.244.1.1', '10.244.2.1'],
  6: ['fd00:244:1::1', 'fd00:244:2::1'],
} as const;

/** Boot ids as Linux makes them. */
export const BOOT_IDS = [
  '5f616d5f-b237-4ed6-8ac7-123456789abc',
  '0c3e1b9a-aed6-4ac7-b237-987654321abc',
] as const;

/** Boot id of node-2 after it was rebooted. */
export const REBOOTED = '77e2f0d4-91c3-4f5b-9a68-2b1d0c9e8f7a';

export interface Beliefs {
  readonly key: CiliumKey;
  readonly family: 4 | 6;
  /** Boot ids of node-1 and node-2, as node-1 has them. */
  readonly atOne: readonly [string, string];
  /** The same as node-2 has them. */
  readonly atTwo: readonly [string, string];
}

/** Something that goes into the hash. */
export interface HashInput {
  readonly label: string;
  readonly bytes: Uint8Array;
}

/** The key of one direction at one node. */
export interface Derived {
  readonly inputs: readonly HashInput[];
  readonly hash: 'SHA-256' | 'SHA-512';
  readonly material: KeyMaterial;
  /** Hex of cipher key, salt and integrity key; empty where the suite has none. */
  readonly key: string;
  readonly salt: string;
  readonly macKey: string;
}

/** One direction: the key at both ends, and what became of a packet. */
export interface Direction {
  readonly from: string;
  readonly to: string;
  readonly sender: Derived;
  readonly receiver: Derived;
  /** The packet as the sender sealed it, and the SA that the sender has. */
  readonly wire: Uint8Array;
  readonly sa: SaConfig;
  readonly agree: boolean;
  readonly outcome: 'delivered' | { readonly reason: DropReason; readonly counter: DropRow['counter'] };
}

/** Is this a boot id that keys can be made from? */
export function isBootId(text: string): boolean {
  return new TextEncoder().encode(text).length >= BOOT_ID_LEN;
}

/**
 * Derives all four keys, and sends a packet each way.
 * @throws {EsplaneError} when a boot id is too short: ask {@link isBootId} first
 */
export function twoEnds({ key, family, atOne, atTwo }: Beliefs): readonly [Direction, Direction] {
  const [one, two] = ENDS[family].map((text) => parseAddress(text)!) as [Address, Address];
  const out = direction(key, ['node-1', 'node-2'], one, two, atOne, atTwo);
  const back = direction(key, ['node-2', 'node-1'], two, one, swap(atTwo), swap(atOne));
  return [out, back];
}

/** @param bySender boot ids of sender and receiver, as the sender has them; `byReceiver` as the receiver has them */
function direction(
  key: CiliumKey,
  [from, to]: readonly [string, string],
  src: Address,
  dst: Address,
  bySender: readonly [string, string],
  byReceiver: readonly [string, string],
): Direction {
  const sender = derived(key.material, src, dst, bySender);
  const receiver = derived(key.material, src, dst, byReceiver);
  const sa = (keys: KeyMaterial): SaConfig => ({
    ...{ src, dst, spi: key.id, mode: 'tunnel', keys, esn: true, replayWindow: 1024, reqid: 1 },
    ...{ flags: [], origin: 'lab' },
  });
  const engine = new NobleEngine();
  const random = seededBytes(1);
  const sent = new TunnelEnd(sa(sender.material), engine, { random }).encapsulate(
    udpPacket({ src, dst, srcPort: 40_000, dstPort: 9 }, new TextEncoder().encode('do we agree?')),
  );
  if (sent.verdict !== 'ok') throw new Error(`not sent: ${sent.reason}`);
  const got = new TunnelEnd(sa(receiver.material), engine, { random }).decapsulate(sent.packet);
  return {
    ...{ from, to, sender, receiver },
    wire: sent.packet,
    sa: sa(sender.material),
    agree: sender.material.equals(receiver.material),
    outcome: got.verdict === 'ok' ? 'delivered' : { reason: got.reason, counter: got.counter },
  };
}

function derived(
  base: KeyMaterial,
  src: Address,
  dst: Address,
  [srcBoot, dstBoot]: readonly [string, string],
): Derived {
  const material = deriveMaterial(base, src, dst, srcBoot, dstBoot);
  const ascii = (text: string) => new TextEncoder().encode(text).subarray(0, BOOT_ID_LEN);
  const keymat = new Uint8Array([...base.key(), ...base.salt()]);
  return {
    inputs: [
      { label: 'K, from the line', bytes: keymat },
      { label: 'address of the sender', bytes: src },
      { label: 'address of the receiver', bytes: dst },
      { label: 'boot id of the sender', bytes: ascii(srcBoot) },
      { label: 'boot id of the receiver', bytes: ascii(dstBoot) },
    ],
    hash: keymat.length <= 32 ? 'SHA-256' : 'SHA-512',
    material,
    key: toHex(material.key()),
    salt: toHex(material.salt()),
    macKey: toHex(material.macKey()),
  };
}

function swap<T>([a, b]: readonly [T, T]): readonly [T, T] {
  return [b, a];
}

/**
 * The two SAs for other tools, as their senders have them.
 * @param capture name of the capture with the packets
 */
export function twoEndsForms(directions: readonly Direction[], capture: string) {
  const derive = directions.map(({ sa, sender: { inputs } }) => {
    const [src, dst] = inputs.filter(({ label }) => label.startsWith('boot id'));
    const text = (input: HashInput | undefined) => new TextDecoder().decode(input?.bytes);
    return `esplane keys derive --keys keys --src ${formatAddress(sa.src)} --dst ${formatAddress(sa.dst)} \\\n  --src-boot-id ${text(src)} --dst-boot-id ${text(dst)}\n`;
  });
  return [
    { label: 'esplane keys derive', text: derive.join('') },
    { label: 'esplane decrypt', text: `esplane decrypt ${capture}\n` },
    ...saForms(
      directions.map(({ sa }) => sa),
      capture,
      'esp',
    ),
  ];
}
