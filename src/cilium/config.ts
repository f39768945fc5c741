/**
 * Cilium's own settings: the ConfigMap `cilium-config`, as `kubectl -n kube-system get configmap cilium-config -o yaml`
 * prints it, or its `data` alone. What esplane's agent cannot do beside IPsec is refused here, with the reason.
 *
 * | key | is |
 * |---|---|
 * | `enable-ipsec` | `false` is refused |
 * | `ipsec-key-file` | where the keys are mounted |
 * | `ipsec-key-rotation-duration` | how long an old key stays, as Go writes durations |
 * | `enable-ipsec-key-watcher` | `false`: the keys file is read at start alone |
 * | `routing-mode`, `tunnel-protocol`; to 1.14 `tunnel` | native, or VXLAN |
 * | `ipam` | `eni`, `azure`: subnet encryption |
 * | `ipv4-pod-subnets`, `ipv6-pod-subnets` | what pods have addresses from there |
 * | `use-cilium-internal-ip-for-ipsec`, `enable-endpoint-routes` | see {@link PlanContext} |
 * | `enable-encryption-strict-mode`, `encryption-strict-mode-cidr`, `encryption-strict-mode-allow-remote-node-identities` | strict mode; from 1.19 `…-strict-egress-…` |
 * | `cni-chaining-mode`, `enable-wireguard`, `enable-host-firewall` | refused beside IPsec |
 * @module
 */
import { InputError } from '../base/errors.ts';
import { type Prefix, parsePrefix } from '../wire/address.ts';
import { describeObject, parseManifest } from './manifest.ts';
import type { NodePlanOptions } from './node-plan.ts';

const GET_CONFIG = 'Use the output of kubectl -n kube-system get configmap cilium-config -o yaml.';

/** What would leave in the clear between two addresses of a range is dropped. */
export interface StrictMode {
  /** IPv4: Cilium's strict mode knows no other for IPsec. */
  readonly cidr: Prefix;
  /** Packets to other nodes themselves pass. */
  readonly allowRemoteNodes: boolean;
}

/** The settings that count here; what the file does not say is absent. */
export interface CiliumConfig {
  readonly keyFile: string;
  /** ms. */
  readonly keyRotationDuration: number;
  readonly watchesKeys: boolean;
  readonly plan: Omit<NodePlanOptions, 'version'>;
  readonly strict?: StrictMode;
}

/**
 * Reads the settings.
 * @throws {InputError} when it is no such ConfigMap, a value is none, or it asks for what cannot be beside IPsec
 */
export function parseCiliumConfig(text: string, source: string): CiliumConfig {
  const data = findData(text, source);
  const fail = (key: string, problem: string, remedy: string) =>
    new InputError({ source }, `${key}: ${problem}`, remedy);
  const get = (...keys: readonly string[]): string | undefined => {
    for (const key of keys) if (data[key] !== undefined && data[key] !== '') return data[key];
    return undefined;
  };
  const flag = (fallback: boolean, ...keys: readonly string[]): boolean => {
    const value = get(...keys);
    if (value === undefined) return fallback;
    if (value !== 'true' && value !== 'false')
      throw fail(keys[0]!, 'is neither true nor false', 'Write "true" or "false".');
    return value === 'true';
  };
  const prefixes = (...keys: readonly string[]): Prefix[] =>
    keys.flatMap((key) =>
      (get(key) ?? '')
        .split(/[\s,]+/)
        .filter(Boolean)
        .map((word) => {
          const prefix = parsePrefix(word);
          if (!prefix)
            throw fail(key, 'holds something that is no prefix', 'Write prefixes like 10.0.0.0/16.');
          return prefix;
        }),
    );

  const chaining = get('cni-chaining-mode') ?? 'none';
  if (chaining !== 'none')
    throw fail(
      'cni-chaining-mode',
      `chained on another CNI (${chaining}), Cilium does not see pod packets before they leave, and cannot encrypt them`,
      'Let Cilium be the only CNI: cni-chaining-mode "none" (cilium/cilium#15596).',
    );
  if (flag(false, 'enable-wireguard'))
    throw fail(
      'enable-wireguard',
      'IPsec and WireGuard exclude each other',
      'Set one of enable-ipsec and enable-wireguard to "false".',
    );
  if (flag(false, 'enable-host-firewall'))
    throw fail(
      'enable-host-firewall',
      'IPsec and the host firewall exclude each other',
      'Set enable-host-firewall to "false".',
    );
  if (!flag(true, 'enable-ipsec'))
    throw fail('enable-ipsec', 'IPsec is off in this cluster', 'Set it to "true", or give no such file.');

  const mode = routing(get, fail);
  const podSubnets = prefixes('ipv4-pod-subnets', 'ipv6-pod-subnets');
  const strict = strictMode(get, flag, fail);
  return {
    keyFile: get('ipsec-key-file') ?? '/etc/ipsec/keys',
    keyRotationDuration: rotationDuration(get('ipsec-key-rotation-duration') ?? '5m', fail),
    watchesKeys: flag(true, 'enable-ipsec-key-watcher'),
    plan: {
      mode,
      ...(podSubnets.length > 0 && { podSubnets }),
      ...(flag(false, 'use-cilium-internal-ip-for-ipsec') && { usesCiliumAddresses: true }),
      ...(flag(false, 'enable-endpoint-routes') && { endpointRoutes: true }),
    },
    ...(strict && { strict }),
  };
}

type Get = (...keys: readonly string[]) => string | undefined;
type Fail = (key: string, problem: string, remedy: string) => InputError;

function routing(get: Get, fail: Fail): 'native' | 'tunnel' | 'eni' {
  const ipam = get('ipam');
  // To 1.14 one key said both; `tunnel` is the default of all releases.
  const old = get('tunnel');
  const mode = get('routing-mode') ?? (old === 'disabled' ? 'native' : 'tunnel');
  if (mode !== 'native' && mode !== 'tunnel')
    throw fail('routing-mode', `${mode} is not known`, 'Write native or tunnel.');
  if (mode === 'native') return ipam === 'eni' || ipam === 'azure' ? 'eni' : 'native';
  const protocol = get('tunnel-protocol') ?? old ?? 'vxlan';
  if (protocol !== 'vxlan')
    throw fail(
      'tunnel-protocol',
      `the overlay ${protocol} is not built here`,
      'Use vxlan, or native routing.',
    );
  return 'tunnel';
}

function strictMode(
  get: Get,
  flag: (fallback: boolean, ...keys: readonly string[]) => boolean,
  fail: Fail,
): StrictMode | undefined {
  if (!flag(false, 'enable-encryption-strict-mode-egress', 'enable-encryption-strict-mode')) return undefined;
  const key = 'encryption-strict-mode-cidr';
  const cidr = parsePrefix(get('encryption-strict-egress-cidr', key) ?? '');
  if (!cidr) throw fail(key, 'strict mode needs a range of addresses', 'Write one like 10.244.0.0/16.');
  if (cidr.address.length !== 4)
    throw fail(key, 'strict mode is for IPv4 only', 'Write a range like 10.244.0.0/16.');
  return {
    cidr,
    allowRemoteNodes: flag(
      false,
      'encryption-strict-egress-allow-remote-node-identities',
      'encryption-strict-mode-allow-remote-node-identities',
    ),
  };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Reads a duration as Go writes it: `5m`, `1h30m`, `90s`.
 * @returns ms, or `undefined` when it is none
 */
export function parseDuration(text: string): number | undefined {
  // Each digit could begin a number: what is longer is no duration, and would take long to find so.
  if (text.length > 64) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return undefined;
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit!]!, 0);
}

function rotationDuration(text: string, fail: Fail): number {
  const ms = parseDuration(text);
  if (ms === undefined)
    throw fail('ipsec-key-rotation-duration', 'is no duration', 'Write one like 5m or 1h30m.');
  return ms;
}

function findData(text: string, source: string): Readonly<Record<string, string>> {
  const objects = parseManifest(text, source);
  const maps = objects.filter(isObject).filter(({ kind, data }) => kind === 'ConfigMap' || isObject(data));
  const named = maps.filter(({ metadata }) => isObject(metadata) && metadata['name'] === 'cilium-config');
  const [found] = named.length > 0 ? named : maps;
  const [plain] = objects;
  const data = found ? found['data'] : plain;
  if (!isObject(data) || (!found && 'kind' in data)) {
    throw new InputError({ source }, `no ConfigMap, but ${describeObject(plain)}`, GET_CONFIG);
  }
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, String(value ?? '')]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
