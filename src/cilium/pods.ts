/**
 * Where pods run, from `kubectl get pods -A -o json` or `-o yaml`, and from the `k8s-pods` file of a sysdump.
 * @module
 */
import { imageVersion } from './image.ts';
import { type PodText, readPodList } from './pod-list.ts';

export interface Pod {
  readonly name: string;
  readonly namespace: string;
  /** Name of its node; empty while it has none. */
  readonly node: string;
  /** The release of Cilium's agent, where one runs in it. */
  readonly agent?: string;
}

/**
 * Reads the pods of a text.
 * @throws {InputError} when it is neither JSON nor YAML
 */
export function parsePods(text: string, source: string): Pod[] {
  return readPodList(text, source, pickPod, readPod);
}

function pickPod({ text, field }: PodText): Pod[] {
  const name = field('name');
  if (name === undefined) return [];
  const agent = name.includes('cilium') ? imageVersion(text) : undefined;
  const namespace = field('namespace') ?? '';
  return [{ name, namespace, node: field('nodeName') ?? '', ...(agent !== undefined && { agent }) }];
}

function readPod(object: unknown): Pod[] {
  const { metadata, spec } = (object ?? {}) as {
    metadata?: { name?: unknown; namespace?: unknown } | null;
    spec?: { nodeName?: unknown } | null;
  };
  if (typeof metadata?.name !== 'string') return [];
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  const agent = metadata.name.includes('cilium') ? imageVersion(JSON.stringify(spec ?? {})) : undefined;
  return [
    {
      name: metadata.name,
      namespace: text(metadata.namespace),
      node: text(spec?.nodeName),
      ...(agent !== undefined && { agent }),
    },
  ];
}
