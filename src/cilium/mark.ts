/**
 * The packet marks by which Cilium steers ESP: which peer, which key, which direction.
 *
 * ```text
 *  31                              16 15   12 11    8 7             0
 * +----------------------------------+-------+-------+---------------+
 * |             node id              |key id | magic |  not IPsec's  |
 * +----------------------------------+-------+-------+---------------+
 * ```
 *
 * A node id is local: every node numbers its peers itself, at random, 1 to 65535.
 * @module
 */
import type { Mark } from '../ipsec/sa-config.ts';

/** Magic of a packet that xfrm is to encrypt. */
export const MAGIC_ENCRYPT = 0xe00;
/** Magic of a packet that xfrm is to decrypt, or has decrypted. */
export const MAGIC_DECRYPT = 0xd00;
/** Magic of a packet on its way to the layer 7 proxy. */
export const MAGIC_TO_PROXY = 0x200;
/** The bits that hold the magic. */
export const MAGIC_MASK = 0xf00;

/** What selects an outbound SA: node, key and direction. */
export function encryptMark(nodeId: number, keyId: number): Mark {
  return { value: ((nodeId << 16) | ((keyId & 0xf) << 12) | MAGIC_ENCRYPT) >>> 0, mask: 0xffffff00 };
}

/** What selects an inbound SA: node and direction. The key id is on the wire, as the SPI. */
export function decryptMark(nodeId: number): Mark {
  return { value: ((nodeId << 16) | MAGIC_DECRYPT) >>> 0, mask: 0xffff0f00 };
}

/**
 * What xfrm leaves on a packet: the magic alone. Node and key id are cleared, because key id 4 would collide
 * with kube-proxy's masquerade bit; releases before 1.15 left them.
 */
export function outputMark(magic: number, clearsIds: boolean): Mark {
  return { value: magic, mask: clearsIds ? 0xffffff00 : MAGIC_MASK };
}
