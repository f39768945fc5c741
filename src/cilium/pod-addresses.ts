/**
 * Which pod has an address, from `kubectl get pods -A` or `kubectl get ciliumendpoints -A`, `-o json` or `-o yaml`, and
 * from what a sysdump has of both.
 *
 * Pods of the host network have the address of their node, and pods that have ended have none any more: both are left out.
 * @module
 */
import { formatAddress, parseAddress } from '../wire/address.ts';
import { type PodText, readPodList } from './pod-list.ts';

/** A pod, or a CiliumEndpoint, which has the name of its pod. */
export interface PodAddresses {
  /** `NAMESPACE/NAME` */
  readonly pod: string;
  /** As {@link formatAddress} writes them. */
  readonly addresses: readonly string[];
}

const ENDED: ReadonlySet<unknown> = new Set(['Succeeded', 'Failed']);

/**
 * Reads pods and endpoints, those that have an address.
 * @throws {InputError} when it is neither JSON nor YAML
 */
export function parsePodAddresses(text: string, source: string): PodAddresses[] {
  return readPodList(text, source, pickPod, readObject);
}

function pickPod({ text, field }: PodText): PodAddresses[] {
  const name = field('name');
  if (name === undefined || field('hostNetwork') === 'true' || ENDED.has(field('phase'))) return [];
  const lines = text.matchAll(/^ {4,10}(?:- )?(?:podIP|ip|ipv4|ipv6): "?([\d.:a-fA-F]{2,45})"?$/gm);
  return named(
    field('namespace'),
    name,
    [...lines].map(([, address]) => address),
  );
}

function readObject(object: unknown): PodAddresses[] {
  const { metadata, spec, status } = (object ?? {}) as {
    metadata?: { name?: unknown; namespace?: unknown } | null;
    spec?: { hostNetwork?: unknown } | null;
    status?: {
      phase?: unknown;
      podIP?: unknown;
      podIPs?: unknown;
      networking?: { addressing?: unknown } | null;
    } | null;
  };
  if (typeof metadata?.name !== 'string' || spec?.hostNetwork === true || ENDED.has(status?.phase)) return [];
  const lists = [status?.podIPs, status?.networking?.addressing].flatMap((list) =>
    Array.isArray(list) ? list : [],
  );
  const addresses = lists.flatMap((one: { ip?: unknown; ipv4?: unknown; ipv6?: unknown } | null) => [
    one?.ip,
    one?.ipv4,
    one?.ipv6,
  ]);
  return named(metadata.namespace, metadata.name, [status?.podIP, ...addresses]);
}

function named(namespace: unknown, name: string, texts: readonly unknown[]): PodAddresses[] {
  const addresses = texts.flatMap((text) => {
    const address = typeof text === 'string' ? parseAddress(text) : undefined;
    return address ? [formatAddress(address)] : [];
  });
  if (addresses.length === 0) return [];
  const pod = typeof namespace === 'string' && namespace !== '' ? `${namespace}/${name}` : name;
  return [{ pod, addresses: [...new Set(addresses)] }];
}
