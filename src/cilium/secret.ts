/**
 * The Secret that carries the keys file: `cilium-ipsec-keys` in `kube-system`, with the one data key `keys`.
 *
 * ```yaml
 * apiVersion: v1
 * kind: Secret
 * metadata:
 *   name: cilium-ipsec-keys
 *   namespace: kube-system
 * type: Opaque
 * stringData:
 *   keys: 3+ rfc4106(gcm(aes)) 4443…f2f1 128      (or base64 under `data`, as kubectl prints it)
 * ```
 * @module
 */
import { stringify } from 'yaml';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { type CiliumKey, parseKeys } from './keys.ts';
import { describeObject, looksLikeManifest, parseManifest } from './manifest.ts';
import type { CiliumVersion } from './version.ts';

/** Name that Cilium's Helm chart expects. */
const SECRET_NAME = 'cilium-ipsec-keys';
const SECRET_NAMESPACE = 'kube-system';

const GET_SECRET = `Use the output of kubectl -n ${SECRET_NAMESPACE} get secret ${SECRET_NAME} -o yaml.`;

/** The text of a keys file, and where it was found. */
export interface KeysText {
  readonly text: string;
  /** For errors: the file, and the Secret in it if there is one. */
  readonly source: string;
  /** Present when the file is a manifest. */
  readonly secret?: SecretName;
}

export interface SecretName {
  readonly name: string;
  readonly namespace: string;
}

/**
 * Reads keys from a keys file, or from the Secret as YAML or JSON; which of them it is shows in the text.
 * @throws {InputError} when neither can be used
 */
export function readKeys(text: string, source: string, version: CiliumVersion): CiliumKey[] {
  const found = findKeysText(text, source);
  return parseKeys(found.text, found.source, version);
}

/**
 * Finds the keys file in a text that is one, or that is a Secret holding one. Among several Secrets the one
 * named {@link SECRET_NAME} counts.
 * @throws {InputError} when there is no such Secret, more than one, or none with the data key `keys`
 */
export function findKeysText(text: string, source: string): KeysText {
  if (!looksLikeManifest(text)) return { text, source };
  const objects = parseManifest(text, source);
  const secrets = objects.filter((object) => KIND.safeParse(object).success);
  const named = secrets.filter((object) => NAMED.safeParse(object).success);
  const candidates = named.length > 0 ? named : secrets;
  const [secret] = candidates;
  if (secret === undefined) {
    const what = objects.length > 0 ? describeObject(objects[0]) : 'nothing';
    throw new InputError({ source }, `no Secret here, but ${what}`, GET_SECRET);
  }
  if (candidates.length > 1) {
    const which = named.length > 0 ? `named ${SECRET_NAME}` : `and none is named ${SECRET_NAME}`;
    throw new InputError({ source }, `${candidates.length} Secrets ${which}`, GET_SECRET);
  }

  const parsed = SECRET.safeParse(secret);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.map(String).join('.') || 'the object';
    throw new InputError(
      { source },
      `${describeObject(secret)}: ${where} is not what a Secret has`,
      GET_SECRET,
    );
  }
  const { metadata, data, stringData } = parsed.data;
  const name = metadata?.name ?? SECRET_NAME;
  const namespace = metadata?.namespace ?? SECRET_NAMESPACE;
  const place = `${source} (${describeObject(secret)})`;
  // As in Kubernetes, stringData wins.
  const keys = stringData?.['keys'] ?? fromBase64(data?.['keys'], place);
  if (keys === undefined) {
    throw new InputError({ source: place }, 'the Secret has no data key named keys', GET_SECRET);
  }
  return { text: keys, source: place, secret: { name, namespace } };
}

/** Writes the Secret for `kubectl apply -f -`. The text holds the keys in clear. */
export function writeSecret(
  keysText: string,
  { name, namespace }: SecretName = { name: SECRET_NAME, namespace: SECRET_NAMESPACE },
  format: 'yaml' | 'json' = 'yaml',
): string {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'Opaque',
    stringData: { keys: keysText },
  };
  return format === 'json' ? `${JSON.stringify(secret, null, 2)}\n` : stringify(secret, { lineWidth: 0 });
}

const KIND = z.object({ kind: z.literal('Secret') });
const NAMED = z.object({ metadata: z.object({ name: z.literal(SECRET_NAME) }) });

const SECRET = z.object({
  metadata: z.object({ name: z.string().optional(), namespace: z.string().optional() }).nullish(),
  data: z.record(z.string(), z.string().nullable()).nullish(),
  stringData: z.record(z.string(), z.string().nullable()).nullish(),
});

function fromBase64(value: string | null | undefined, source: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(value), (char) => char.charCodeAt(0)));
  } catch {
    throw new InputError({ source }, 'data.keys is not base64', 'Put plain text under stringData instead.');
  }
}
