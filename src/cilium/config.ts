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
 * | `routing-mode`, `tunnel-protocol`; to 1.14 `tunnel` | native, or VXLAN, or Geneve |
 * | `underlay-protocol`, from 1.18 | `ipv4` or `ipv6` between the nodes of an overlay |
 * | `ipam` | `eni`, `azure`: subnet encryption |
 * | `ipv4-pod-subnets`, `ipv6-pod-subnets` | what pods have addresses from there |
 * | `use-cilium-internal-ip-for-ipsec`, `enable-endpoint-routes` | see {@link PlanContext} |
 * | `enable-encryption-strict-mode-egress`, `encryption-strict-egress-cidr`, `encryption-strict-egress-allow-remote-node-identities` | strict mode, from 1.19 |
 * | `enable-encryption-strict-mode`, `encryption-strict-mode-cidr`, `encryption-strict-mode-allow-remote-node-identities` | the same, up to 1.19 |
 * | `cni-chaining-mode`, `enable-wireguard`, `enable-host-firewall`, `enable-encryption-strict-mode-ingress`, `local-router-ipv4`, `local-router-ipv6`, `enable-cilium-node-crd: false`, `enable-l7-proxy` with `dnsproxy-enable-transparent-mode: false` | refused beside IPsec |
 *
 * Booleans and durations are as Go reads them. A setting that the release does not know has no effect, as in Cilium, and
 * is warned of.
 * @module
 */
import { InputError } from '../base/errors.ts';
import { formatAddress, formatPrefix, inPrefix, type Prefix, parsePrefix } from '../wire/address.ts';
import { describeObject, parseManifest } from './manifest.ts';
import type { NodePlanOptions } from './node-plan.ts';
import type { CiliumNode } from './nodes.ts';
import { type CiliumVersion, DEFAULT_VERSION, formatVersion, isAtLeast } from './version.ts';

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
 * @param warn gets a line for each setting that has no effect in this release
 * @throws {InputError} when it is no such ConfigMap, a value is none, or it asks for what cannot be beside IPsec
 */
export function parseCiliumConfig(
  text: string,
  source: string,
  version: CiliumVersion = DEFAULT_VERSION,
  warn: (line: string) => void = () => {},
): CiliumConfig {
  const data = findData(text, source);
  const fail = (key: string, problem: string, remedy: string) =>
    new InputError({ source }, `${key}: ${problem}`, remedy);
  const get = (...keys: readonly string[]): string | undefined => {
    for (const key of keys) if (data[key] !== undefined && data[key] !== '') return data[key];
    return undefined;
  };
  const flag = (fallback: boolean, ...keys: readonly string[]): boolean => {
    const key = keys.find((one) => get(one) !== undefined);
    if (key === undefined) return fallback;
    const value = parseBool(get(key)!);
    if (value === undefined) throw fail(key, 'is neither true nor false', 'Write "true" or "false".');
    return value;
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
  if (isAtLeast(version, 19) && flag(false, 'enable-encryption-strict-mode-ingress'))
    throw fail(
      'enable-encryption-strict-mode-ingress',
      'strict mode on the way in is for WireGuard: IPsec has none',
      'Set it to "false".',
    );
  if (
    flag(false, 'enable-l7-proxy') &&
    !flag(true, 'dnsproxy-enable-transparent-mode') &&
    !flag(false, 'dnsproxy-insecure-skip-transparent-mode-check')
  )
    throw fail(
      'dnsproxy-enable-transparent-mode',
      'without it the L7 proxy (enable-l7-proxy) sends DNS packets in the clear beside IPsec',
      'Set it to "true".',
    );
  for (const key of ['local-router-ipv4', 'local-router-ipv6'])
    if (get(key) !== undefined)
      throw fail(key, 'with IPsec the router address is one of the pod range', 'Take it out.');
  if (!flag(true, 'enable-cilium-node-crd'))
    throw fail(
      'enable-cilium-node-crd',
      'IPsec needs the CiliumNodes: boot ids and key ids are in them',
      'Set it to "true".',
    );
  if (!flag(true, 'enable-ipsec'))
    throw fail('enable-ipsec', 'IPsec is off in this cluster', 'Set it to "true", or give no such file.');

  for (const { key, since = 0, until = Number.POSITIVE_INFINITY, successor } of SETTINGS_OF_RELEASES) {
    if (get(key) === undefined || (version.minor >= since && version.minor < until)) continue;
    const when = version.minor < since ? `comes with 1.${since}` : `is gone since 1.${until}`;
    const remedy = successor === undefined ? 'Take it out.' : `Its name is ${successor}.`;
    warn(
      `${source}: ${key}: has no effect in Cilium ${formatVersion(version)}: it ${when}. ${version.minor < since ? 'Take it out.' : remedy}`,
    );
  }
  const mode = routing(get, fail);
  const podSubnets = prefixes('ipv4-pod-subnets', 'ipv6-pod-subnets');
  const strict = strictMode(get, flag, fail, version);
  const underlay = isAtLeast(version, UNDERLAY_SINCE) ? (get('underlay-protocol') ?? 'ipv4') : 'ipv4';
  if (underlay !== 'ipv4' && underlay !== 'ipv6')
    throw fail('underlay-protocol', `${underlay} is not known`, 'Write ipv4 or ipv6.');
  return {
    keyFile: get('ipsec-key-file') ?? '/etc/ipsec/keys',
    keyRotationDuration: rotationDuration(get('ipsec-key-rotation-duration') ?? '5m', fail),
    watchesKeys: flag(true, 'enable-ipsec-key-watcher'),
    plan: {
      mode,
      ...(mode === 'tunnel' && underlay === 'ipv6' && { underlay }),
      ...(mode === 'tunnel' && tunnelProtocol(get) === 'geneve' && { tunnelProtocol: 'geneve' }),
      ...(podSubnets.length > 0 && { podSubnets }),
      ...(flag(false, 'use-cilium-internal-ip-for-ipsec') && { usesCiliumAddresses: true }),
      ...(flag(false, 'enable-endpoint-routes') && { endpointRoutes: true }),
    },
    ...(strict && { strict }),
  };
}

const UNDERLAY_SINCE = 18;

/** Settings that some releases do not know: from the first release that has it, to the first that has it no more. */
const SETTINGS_OF_RELEASES: readonly {
  readonly key: string;
  readonly since?: number;
  readonly until?: number;
  readonly successor?: string;
}[] = [
  {
    key: 'enable-encryption-strict-mode',
    until: 20,
    successor: 'enable-encryption-strict-mode-egress',
  },
  { key: 'encryption-strict-mode-cidr', until: 20, successor: 'encryption-strict-egress-cidr' },
  {
    key: 'encryption-strict-mode-allow-remote-node-identities',
    until: 20,
    successor: 'encryption-strict-egress-allow-remote-node-identities',
  },
  { key: 'enable-encryption-strict-mode-egress', since: 19 },
  { key: 'encryption-strict-egress-cidr', since: 19 },
  { key: 'encryption-strict-egress-allow-remote-node-identities', since: 19 },
  { key: 'enable-encryption-strict-mode-ingress', since: 19 },
  { key: 'enable-ipsec-encrypted-overlay', until: 18 },
  { key: 'encrypt-interface', until: 18 },
  { key: 'underlay-protocol', since: UNDERLAY_SINCE },
];

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
  const protocol = tunnelProtocol(get);
  if (protocol !== 'vxlan' && protocol !== 'geneve')
    throw fail('tunnel-protocol', `the overlay ${protocol} is not known`, 'Write vxlan or geneve.');
  return 'tunnel';
}

function tunnelProtocol(get: Get): string {
  return get('tunnel-protocol', 'tunnel') ?? 'vxlan';
}

function strictMode(
  get: Get,
  flag: (fallback: boolean, ...keys: readonly string[]) => boolean,
  fail: Fail,
  version: CiliumVersion,
): StrictMode | undefined {
  const names = isAtLeast(version, 20)
    ? [STRICT_EGRESS]
    : isAtLeast(version, 19)
      ? [STRICT_EGRESS, STRICT_OLD]
      : [STRICT_OLD];
  const on = names.find(({ enable }) => flag(false, enable));
  if (!on) return undefined;
  const cidrKey = names.map((name) => name.cidr).find((key) => get(key) !== undefined) ?? on.cidr;
  const cidr = parsePrefix(get(cidrKey) ?? '');
  if (!cidr) throw fail(cidrKey, 'strict mode needs a range of addresses', 'Write one like 10.244.0.0/16.');
  if (cidr.address.length !== 4)
    throw fail(cidrKey, 'strict mode is for IPv4 only', 'Write a range like 10.244.0.0/16.');
  return { cidr, allowRemoteNodes: flag(false, ...names.map((name) => name.allow)) };
}

const STRICT_EGRESS = {
  enable: 'enable-encryption-strict-mode-egress',
  cidr: 'encryption-strict-egress-cidr',
  allow: 'encryption-strict-egress-allow-remote-node-identities',
};
const STRICT_OLD = {
  enable: 'enable-encryption-strict-mode',
  cidr: 'encryption-strict-mode-cidr',
  allow: 'encryption-strict-mode-allow-remote-node-identities',
};

/**
 * Up to 1.20 an agent does not start when its own IPv4 address is within the range of strict mode and remote nodes are
 * not allowed: its packets to other nodes would be dropped.
 * @param source where strict mode is set, for errors
 * @throws {InputError}
 */
export function checkStrictRange(
  { cidr, allowRemoteNodes }: StrictMode,
  local: Pick<CiliumNode, 'name' | 'nodeAddresses'>,
  version: CiliumVersion,
  source: string,
): void {
  if (allowRemoteNodes || isAtLeast(version, 21)) return;
  const own = local.nodeAddresses.find((address) => address.length === 4 && inPrefix(cidr, address));
  if (own)
    throw new InputError(
      { source },
      `strict mode: node ${local.name} has its own address, ${formatAddress(own)}, in the range ${formatPrefix(cidr)}`,
      `Write a range of pods alone, or set ${STRICT_EGRESS.allow} to "true".`,
    );
}

/** Reads a boolean as Go's `strconv.ParseBool` does; `undefined` when it is none. */
function parseBool(text: string): boolean | undefined {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  return ['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text) ? false : undefined;
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5
  μs: 1e-3, // U+03BC
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Reads a duration as Go writes it: `5m`, `1h30m`, `1.5s`, `500us`, `0`. Negative ones are none.
 * @returns ms, or `undefined` when it is none
 */
export function parseDuration(text: string): number | undefined {
  // Each digit could begin a number: what is longer is no duration, and would take long to find so.
  if (text.length > 64) return undefined;
  const unsigned = text.replace(/^\+/, '');
  if (unsigned === '0') return 0;
  const parts = [...unsigned.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== unsigned) return undefined;
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
