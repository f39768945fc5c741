/**
 * Cilium's own settings, as far as they say whether and how a cluster encrypts. What contradicts itself is read all the same:
 * that may be what is wrong.
 * @module
 */
import { parseManifest } from '../../cilium/manifest.ts';

export interface ClusterConfig {
  readonly file: string;
  readonly ipsec: boolean;
  readonly wireguard: boolean;
  /** Is what would leave in the clear dropped? */
  readonly strict: boolean;
  /** `native`, `tunnel`, or what stands there; empty where it is not told. */
  readonly routing: string;
  readonly hostFirewall: boolean;
  readonly watchesKeys: boolean;
}

/**
 * Reads `cilium-config`.
 * @returns `undefined` where it is none
 * @throws {InputError} when it is neither JSON nor YAML
 */
export function readClusterConfig(text: string, source: string): ClusterConfig | undefined {
  for (const object of parseManifest(text, source)) {
    if (typeof object !== 'object' || object === null) continue;
    const data = ('data' in object ? object.data : object) as Record<string, unknown> | null;
    if (typeof data !== 'object' || data === null || !('enable-ipsec' in data || 'enable-wireguard' in data))
      continue;
    const is = (...keys: readonly string[]) => keys.some((key) => TRUE.test(String(data[key] ?? '')));
    const old = String(data['tunnel'] ?? '');
    return {
      file: source,
      ipsec: is('enable-ipsec'),
      wireguard: is('enable-wireguard'),
      strict: is('enable-encryption-strict-mode', 'enable-encryption-strict-mode-egress'),
      routing: String(data['routing-mode'] ?? (old === 'disabled' ? 'native' : old === '' ? '' : 'tunnel')),
      hostFirewall: is('enable-host-firewall'),
      watchesKeys: !/^(?:0|f|false)$/i.test(String(data['enable-ipsec-key-watcher'] ?? '')),
    };
  }
  return undefined;
}

/** What Go's ParseBool takes for true. */
const TRUE = /^(?:1|t|T|TRUE|true|True)$/;
