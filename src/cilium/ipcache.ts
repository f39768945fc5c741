/**
 * Who has which address: what Cilium's ipcache and node map say together, as the data plane needs it.
 *
 * | prefix of | route | as an ipcache entry |
 * |---|---|---|
 * | a pod here | `pod` | identity |
 * | this node | `self` | host, key 0 |
 * | another node | `node` | remote-node, key 0: nothing to it is encrypted |
 * | pods of another node | `remote` | identity, tunnel endpoint, key |
 *
 * What has no entry is outside the cluster, as far as this node knows.
 * @module
 */
import type { Address, Prefix } from '../wire/address.ts';

/** Identities that Cilium reserves. Those of pods are above 255, and fit 24 bits with their cluster's id. */
export const IDENTITY = {
  UNKNOWN: 0,
  HOST: 1,
  WORLD: 2,
  UNMANAGED: 3,
  HEALTH: 4,
  REMOTE_NODE: 6,
} as const;

/** The largest identity: what a VNI holds. */
export const MAX_IDENTITY = 0xff_ffff;

/** Another node of the cluster, as this one sees it. */
export interface Peer {
  readonly name: string;
  /** What this node calls it; 0 while it has no number for it. */
  readonly nodeId: number;
  /** Whether packets for its pods are to be encrypted: it has published a key. */
  readonly encrypts: boolean;
  /** The key that both ends have; 0 for none. */
  readonly keyId: number;
  /** Mark of packets that are to be encrypted for it. */
  readonly encryptMark: number;
  /** Mark of ESP packets that come from it. */
  readonly decryptMark: number;
  /** Between which node addresses the overlay runs; absent in native routing. */
  readonly tunnel?: { readonly src: Address; readonly dst: Address };
}

export type Route =
  /** A pod here, by its place among the node's pods. */
  | { readonly kind: 'pod'; readonly pod: number; readonly identity?: number }
  /** An address of this node itself. */
  | { readonly kind: 'self' }
  /** An address of another node itself. */
  | { readonly kind: 'node'; readonly peer: Peer }
  /** Pods of another node. */
  | { readonly kind: 'remote'; readonly peer: Peer; readonly identity?: number };

/** An address or a range of addresses of the pods of one node, as Cilium's control plane makes it known. */
export interface IpcacheEntry {
  readonly prefix: Prefix;
  readonly identity: number;
  /** Whose pods. */
  readonly node: string;
}

/** The identity behind a route, as its packets are known by; 0 for none. */
export function identityOf(route: Route | undefined): number {
  switch (route?.kind) {
    case 'pod':
    case 'remote':
      return route.identity ?? IDENTITY.UNKNOWN;
    case 'self':
      return IDENTITY.HOST;
    case 'node':
      return IDENTITY.REMOTE_NODE;
    default:
      return IDENTITY.UNKNOWN;
  }
}
