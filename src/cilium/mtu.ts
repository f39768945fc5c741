/**
 * The MTU that Cilium gives to pods under IPsec.
 *
 * ```text
 * overhead = 77 + (key length - 16)
 * native routing   pods = device - overhead
 * VXLAN, Geneve    pods = device - overhead - 50 (IPv4 between the nodes) or 70 (IPv6)
 * ```
 *
 * 77 is the worst case of AES-GCM with a 16-byte ICV over IPv6; over IPv4 ESP takes 54 to 57 bytes. The "key
 * length" is {@link CiliumKey.keyLen}: for authenc keys Cilium counts hex digits, so those pods get less
 * than they could have.
 * @module
 */
import type { CiliumKey } from './keys.ts';

/** Bytes that Cilium reserves for ESP. */
export function ipsecOverhead({ keyLen }: Pick<CiliumKey, 'keyLen'>): number {
  return 77 + (keyLen - 16);
}

/** Outer IP (20 or 40), UDP (8), VXLAN (8) and Ethernet (14), by what runs between the nodes. */
const TUNNEL_OVERHEAD = { ipv4: 50, ipv6: 70 } as const;

/**
 * The MTU of the routes that pods see.
 * @param device smallest MTU of the node's network devices
 * @param underlay IP version that carries the tunnel; left out, native routing
 */
export function podMtu(
  device: number,
  key: Pick<CiliumKey, 'keyLen'>,
  underlay?: keyof typeof TUNNEL_OVERHEAD,
): number {
  return device - ipsecOverhead(key) - (underlay ? TUNNEL_OVERHEAD[underlay] : 0);
}
