/**
 * Lists of pods and CiliumEndpoints as text.
 *
 * A cluster has 100,000 pods, and 6 KB of YAML for each: too much for a reader of YAML. What kubectl and cilium-cli print
 * is regular, so that the lines that count are picked out of each pod.
 * @module
 */
import { parseManifest } from './manifest.ts';

/** One pod of a list in YAML, as it stands there. */
export interface PodText {
  readonly text: string;
  /** The value of a key of `metadata`, `spec` or `status`, where it is one plain word. */
  field(name: string): string | undefined;
}

/**
 * Reads a list, in YAML as kubectl writes it by `pick`, otherwise by `read`.
 * @throws {InputError} when it is neither JSON nor YAML
 */
export function readPodList<T>(
  text: string,
  source: string,
  pick: (pod: PodText) => T[],
  read: (object: unknown) => T[],
): T[] {
  const picked: T[] = [];
  if (!/^\s{0,64}[{[]/.test(text)) for (const pod of podTexts(text)) picked.push(...pick(pod));
  return picked.length > 0 ? picked : parseManifest(text, source).flatMap(read);
}

/** `items:`, then each item with `- ` at the beginning of its first line, keys of it and of what is in it indented by 2. */
function* podTexts(list: string): Generator<PodText> {
  let at = list.startsWith('items:') ? 0 : list.indexOf('\nitems:') + 1;
  if (at === 0 && !list.startsWith('items:')) return;
  at = list.indexOf('\n- ', at);
  while (at >= 0) {
    const next = list.indexOf('\n- ', at + 1);
    const text = list.slice(at, next < 0 ? list.length : next);
    const field = (name: string) => new RegExp(`^ {4}${name}: "?([\\w.-]{1,253})"?$`, 'm').exec(text)?.[1];
    yield { text, field };
    at = next;
  }
}
