/**
 * Where pods run, from `kubectl get pods -A -o json` or `-o yaml`, and from the `k8s-pods` file of a sysdump.
 *
 * A cluster has 100,000 pods, and 6 KB of YAML for each: too much for a reader of YAML. What kubectl and cilium-cli
 * print is regular, so that the four lines that count are picked out of each pod.
 * @module
 */
import { imageVersion } from './image.ts';
import { parseManifest } from './manifest.ts';

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
  const picked = /^\s{0,64}[{[]/.test(text) ? [] : pick(text);
  return picked.length > 0 ? picked : parseManifest(text, source).flatMap(readPod);
}

/** `items:`, then each item with `- ` at the beginning of its first line, keys of it and of what is in it indented by 2. */
function pick(text: string): Pod[] {
  const pods: Pod[] = [];
  let at = text.startsWith('items:') ? 0 : text.indexOf('\nitems:') + 1;
  if (at === 0 && !text.startsWith('items:')) return [];
  at = text.indexOf('\n- ', at);
  while (at >= 0) {
    const next = text.indexOf('\n- ', at + 1);
    const item = text.slice(at, next < 0 ? text.length : next);
    const field = (name: string) => new RegExp(`^ {4}${name}: "?([\\w.-]{1,253})"?$`, 'm').exec(item)?.[1];
    const name = field('name');
    const agent = name?.includes('cilium') ? imageVersion(item) : undefined;
    if (name !== undefined) {
      const namespace = field('namespace') ?? '';
      pods.push({ name, namespace, node: field('nodeName') ?? '', ...(agent !== undefined && { agent }) });
    }
    at = next;
  }
  return pods;
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
