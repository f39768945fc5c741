/**
 * What the ends of packets are called: nodes by the addresses around ESP, pods by those inside.
 * @module
 */
import type { PodAddresses } from '../cilium/pod-addresses.ts';

/** Knows nodes by their addresses: {@link Evidence} does. */
export interface NodeNames {
  nodeNameOf(address: string): string | undefined;
}

export class Names {
  readonly #nodes: NodeNames;
  /** Null where several pods have the address. */
  readonly #pods = new Map<string, string | null>();

  constructor(nodes: NodeNames, pods: Iterable<PodAddresses> = []) {
    this.#nodes = nodes;
    for (const { pod, addresses } of pods) {
      for (const address of addresses) {
        const known = this.#pods.get(address);
        this.#pods.set(address, known === undefined || known === pod ? pod : null);
      }
    }
  }

  /** Is any pod known? */
  get hasPods(): boolean {
    return this.#pods.size > 0;
  }

  /** The name of the node that has an address around ESP; null where no source names it. */
  node(address: string): string | null {
    return this.#nodes.nodeNameOf(address) ?? null;
  }

  /** `NAMESPACE/NAME` of the pod that has an address; null where that is not known, or not one pod alone. */
  pod(address: string): string | null {
    return this.#pods.get(address) ?? null;
  }

  /** Is it the address of one of these pods: `NAMESPACE/NAME`, or a name in any namespace? */
  isOneOf(address: string, pods: readonly string[]): boolean {
    return isCalled(this.pod(address), pods);
  }

  /** The addresses of these pods. */
  addressesOf(pods: readonly string[]): string[] {
    return [...this.#pods].flatMap(([address, pod]) => (isCalled(pod, pods) ? [address] : []));
  }
}

function isCalled(pod: string | null, pods: readonly string[]): boolean {
  return pod !== null && pods.some((wanted) => pod === wanted || pod.endsWith(`/${wanted}`));
}

/** Where nothing is known by name. */
export const NO_NAMES = new Names({ nodeNameOf: () => undefined });
