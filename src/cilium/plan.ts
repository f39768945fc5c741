/**
 * Which SAs exist in a cluster: from its keys, its nodes and the Cilium version, exactly what its agents install.
 *
 * How a cluster routes shows in neither keys nor nodes, so every pair of addresses that could be a tunnel is taken
 * unless told otherwise: for a capture, an SA too many does no harm.
 * @module
 */
import type { SaConfig } from '../ipsec/sa-config.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import { BOOT_ID_LEN, MAX_DERIVED_LEN } from './derive.ts';
import type { CiliumKey } from './keys.ts';
import type { CiliumNode } from './nodes.ts';
import {
  canDerive,
  isTunnel,
  keysAt,
  type NodeLack,
  type RoutingMode,
  type TunnelEnd,
  tunnelEnds,
  tunnelSa,
} from './tunnel.ts';
import { type CiliumVersion, DEFAULT_VERSION } from './version.ts';

export interface PlanOptions {
  readonly version?: CiliumVersion;
  /** Left out or `any`: every pair of addresses that some mode uses. */
  readonly mode?: RoutingMode | 'any';
  /** The port of ESP in UDP; left out, ESP is in IP, as Cilium has it. */
  readonly udpPort?: number | undefined;
}

/**
 * All SAs of a cluster, as one who sees the wire needs them: without direction and without marks, which differ
 * from node to node.
 *
 * A thousand nodes have millions of SAs, so keys are derived only when asked for: {@link between} yields those of
 * one pair of addresses, {@link all} everything.
 */
export class ClusterPlan {
  readonly #keys: readonly CiliumKey[];
  readonly #ends: readonly TunnelEnd[];
  readonly #byAddress: ReadonlyMap<string, TunnelEnd>;
  readonly #udpPort: number | undefined;
  /** Nodes with which there are no SAs, or fewer, because they lack something. */
  readonly lacks: readonly NodeLack[];

  /** @throws {InputError} when two nodes share an address */
  constructor(
    keys: readonly CiliumKey[],
    nodes: readonly CiliumNode[],
    { version = DEFAULT_VERSION, mode = 'any', udpPort }: PlanOptions = {},
  ) {
    this.#keys = keys;
    this.#udpPort = udpPort;
    const { ends, lacks } = tunnelEnds(keys, nodes, mode, version);
    this.#ends = ends;
    this.lacks = lacks;
    this.#byAddress = new Map(this.#ends.map((end) => [formatAddress(end.address), end]));
  }

  /** Has it no SA at all? */
  get isEmpty(): boolean {
    const counts = new Map<string, number>();
    for (const { node, kind, address } of this.#ends) {
      if (!this.#keys.some((key) => canDerive(key, node, node))) continue;
      const slot = `${kind} ${address.length}`;
      counts.set(slot, (counts.get(slot) ?? 0) + 1);
    }
    return ![...counts.values()].some((count) => count > 1);
  }

  /** Key ids, which are the SPIs: no SA has another one. */
  get keyIds(): number[] {
    return this.#keys.map(({ id }) => id);
  }

  /**
   * The SAs from `src` to `dst`, one a key; none when these are no tunnel ends of two nodes.
   * @param keyId only those of this key: no other one is derived
   */
  between(src: Address, dst: Address, keyId?: number): SaConfig[] {
    if (keyId !== undefined && !this.#keys.some(({ id }) => id === keyId)) return [];
    const from = this.#byAddress.get(formatAddress(src));
    const to = this.#byAddress.get(formatAddress(dst));
    return from && to ? this.#tunnel(from, to, keyId) : [];
  }

  /**
   * What {@link between} would yield if its keys were used the other way: as they are where it derives one for each tunnel, and
   * derived where it does not. Keys whose nodes lack a boot id are derived by neither.
   */
  otherWay(src: Address, dst: Address, keyId: number): SaConfig[] {
    const from = this.#byAddress.get(formatAddress(src));
    const to = this.#byAddress.get(formatAddress(dst));
    if (!from || !to) return [];
    return this.#tunnel(from, to, keyId, (key) => {
      const perTunnel = !key.perTunnel;
      const isKnown = [from, to].every(({ node }) => node.bootId.length >= BOOT_ID_LEN);
      return perTunnel && (!isKnown || key.material.macKey().length > MAX_DERIVED_LEN)
        ? undefined
        : { ...key, perTunnel };
    });
  }

  /** Every SA of the cluster. */
  all(): SaConfig[] {
    return this.#ends.flatMap((from) => this.#ends.flatMap((to) => this.#tunnel(from, to)));
  }

  #tunnel(
    from: TunnelEnd,
    to: TunnelEnd,
    keyId?: number,
    use: (key: CiliumKey) => CiliumKey | undefined = (key) => key,
  ): SaConfig[] {
    if (!isTunnel(from, to)) return [];
    // The wire carries what the sender made, so its keys count.
    const port = this.#udpPort;
    const encap = port === undefined ? {} : { encap: { sport: port, dport: port } };
    const keys = keysAt(this.#keys, from.address).filter(
      (key) => (keyId === undefined || key.id === keyId) && canDerive(key, from.node, to.node),
    );
    return keys.flatMap((key) => {
      const used = use(key);
      return used ? [{ ...tunnelSa(used, from, to), ...encap }] : [];
    });
  }
}
