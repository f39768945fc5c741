import { describe, expect, it } from 'vitest';
import { checkStrictRange, parseCiliumConfig, parseDuration } from '../../src/cilium/config.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { formatPrefix } from '../../src/wire/address.ts';
import { nodesFrom, wiredNode } from '../support/cilium-cluster.ts';

const read = (data: Record<string, string>, version = '1.20', warn?: (line: string) => void) =>
  parseCiliumConfig(
    JSON.stringify({
      kind: 'ConfigMap',
      metadata: { name: 'cilium-config' },
      data: { 'enable-ipsec': 'true', ...data },
    }),
    'cilium-config.json',
    parseVersion(version),
    warn,
  );

describe('parseCiliumConfig', () => {
  it('reads a ConfigMap as kubectl prints it, and its data alone', () => {
    const data = '  enable-ipsec: "true"\n  routing-mode: native\n  ipsec-key-rotation-duration: 1h30m\n';
    const yaml = `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\ndata:\n${data}`;
    const want = {
      keyFile: '/etc/ipsec/keys',
      keyRotationDuration: 5_400_000,
      watchesKeys: true,
      plan: { mode: 'native' },
    };
    expect(parseCiliumConfig(yaml, 'c')).toEqual(want);
    expect(parseCiliumConfig(data.replaceAll('\n  ', '\n').trim(), 'c')).toEqual(want);
  });

  it.each([
    [{}, 'tunnel'],
    [{ 'routing-mode': 'tunnel', 'tunnel-protocol': 'vxlan' }, 'tunnel'],
    [{ tunnel: 'disabled' }, 'native'],
    [{ 'routing-mode': 'native', ipam: 'eni' }, 'eni'],
    [{ 'routing-mode': 'native', ipam: 'azure' }, 'eni'],
    [{ 'routing-mode': 'native', ipam: 'cluster-pool' }, 'native'],
  ])('%j is routing mode %s', (data, mode) => {
    expect(read(data as Record<string, string>).plan.mode).toBe(mode);
  });

  it('reads subnets and options', () => {
    const config = read({
      'ipv4-pod-subnets': '10.0.0.0/16, 10.1.0.0/16',
      'use-cilium-internal-ip-for-ipsec': 'true',
      'enable-endpoint-routes': 'true',
    });
    expect(config.plan.podSubnets!.map(formatPrefix)).toEqual(['10.0.0.0/16', '10.1.0.0/16']);
    expect(config.plan).toMatchObject({ usesCiliumAddresses: true, endpointRoutes: true });
  });

  // docs/cilium.md, "Strict mode": new names from 1.19, the old ones gone with 1.20 (#45452).
  const OLD_STRICT = {
    'enable-encryption-strict-mode': 'true',
    'encryption-strict-mode-cidr': '10.244.0.0/16',
    'encryption-strict-mode-allow-remote-node-identities': 'true',
  };
  const NEW_STRICT = {
    'enable-encryption-strict-mode-egress': 'true',
    'encryption-strict-egress-cidr': '10.0.0.0/8',
    'encryption-strict-egress-allow-remote-node-identities': 'true',
  };

  it.each([
    ['old', OLD_STRICT, '1.18', '10.244.0.0/16'],
    ['old', OLD_STRICT, '1.19', '10.244.0.0/16'],
    ['old', OLD_STRICT, '1.20', undefined],
    ['new', NEW_STRICT, '1.18', undefined],
    ['new', NEW_STRICT, '1.19', '10.0.0.0/8'],
    ['new', NEW_STRICT, '1.20', '10.0.0.0/8'],
    ['both', { ...OLD_STRICT, ...NEW_STRICT }, '1.19', '10.0.0.0/8'],
  ] as const)('strict mode under its %s names: %j in %s', (_, data, version, want) => {
    const warnings: string[] = [];
    const { strict } = read(data, version, (line) => warnings.push(line));
    expect(strict && formatPrefix(strict.cidr)).toBe(want);
    if (strict) expect(strict.allowRemoteNodes).toBe(true);
    expect(warnings).toHaveLength(want === undefined ? 3 : 0);
  });

  it('says of a setting that has no effect in which release it had, and its name now', () => {
    const lines: string[] = [];
    const gone = { 'enable-ipsec-encrypted-overlay': 'true', 'encrypt-interface': 'eth0' };
    read({ ...OLD_STRICT, ...gone }, '1.20', (line) => lines.push(line));
    expect(lines).toContain(
      'cilium-config.json: enable-encryption-strict-mode: has no effect in Cilium 1.20: it is gone since 1.20. Its name is enable-encryption-strict-mode-egress.',
    );
    expect(lines.filter((line) => /encrypted-overlay|encrypt-interface/.test(line))).toHaveLength(2);
    const early: string[] = [];
    read({ 'underlay-protocol': 'ipv6' }, '1.17', (line) => early.push(line));
    expect(early).toEqual([
      expect.stringMatching(/underlay-protocol: has no effect in Cilium 1.17: it comes with 1.18/),
    ]);
  });

  it('strict mode names the key that was given', () => {
    expect(() => read({ 'enable-encryption-strict-mode-egress': 'true' })).toThrow(
      /encryption-strict-egress-cidr: strict mode needs a range/,
    );
    expect(() => read({ ...NEW_STRICT, 'encryption-strict-egress-cidr': 'fd00::/8' })).toThrow(
      /encryption-strict-egress-cidr: strict mode is for IPv4 only/,
    );
    expect(() => read({ 'enable-encryption-strict-mode': 'true' }, '1.19')).toThrow(
      /encryption-strict-mode-cidr: strict mode needs a range/,
    );
  });

  it('strict mode over the node’s own address is refused up to 1.20, unless remote nodes are allowed', () => {
    const [node] = nodesFrom(wiredNode(1));
    const check = (cidr: string, version: string, allow = 'false') =>
      checkStrictRange(
        read({
          ...NEW_STRICT,
          'encryption-strict-egress-cidr': cidr,
          'encryption-strict-egress-allow-remote-node-identities': allow,
        }).strict!,
        node!,
        parseVersion(version),
        'c',
      );
    expect(() => check('10.0.0.0/8', '1.20')).toThrow(
      /node node-1 has its own address, 10.99.0.1, in the range 10/,
    );
    expect(() => check('10.244.0.0/16', '1.20')).not.toThrow();
    expect(() => check('10.0.0.0/8', '1.20', 'true')).not.toThrow();
    expect(() => check('10.0.0.0/8', '1.21')).not.toThrow();
  });

  it('reads the overlay: its protocol and what is under it', () => {
    expect(read({ 'tunnel-protocol': 'geneve' }).plan).toEqual({ mode: 'tunnel', tunnelProtocol: 'geneve' });
    expect(read({ tunnel: 'geneve' }, '1.13').plan).toEqual({ mode: 'tunnel', tunnelProtocol: 'geneve' });
    expect(read({ 'underlay-protocol': 'ipv6' }).plan).toEqual({ mode: 'tunnel', underlay: 'ipv6' });
    expect(read({ 'underlay-protocol': 'ipv4' }).plan).toEqual({ mode: 'tunnel' });
    expect(read({ 'underlay-protocol': 'ipv6' }, '1.17').plan).toEqual({ mode: 'tunnel' });
    expect(read({ 'routing-mode': 'native', 'underlay-protocol': 'ipv6' }).plan).toEqual({ mode: 'native' });
  });

  it('reads booleans as Go does', () => {
    const watches = (text: string) => read({ 'enable-ipsec-key-watcher': text }).watchesKeys;
    for (const text of ['1', 't', 'T', 'TRUE', 'true', 'True']) expect(watches(text)).toBe(true);
    for (const text of ['0', 'f', 'F', 'FALSE', 'false', 'False']) expect(watches(text)).toBe(false);
    for (const text of ['tRUE', 'yes', 'on', '2'])
      expect(() => watches(text)).toThrow(/neither true nor false/);
  });

  // time.ParseDuration.
  it.each([
    ['0', 0],
    ['500us', 0.5],
    ['500µs', 0.5],
    ['500μs', 0.5],
    ['2000000ns', 2],
    ['1.5s', 1500],
    ['.5s', 500],
    ['1.s', 1000],
    ['+1h30m', 5_400_000],
    ['0s', 0],
    ['5', undefined],
    ['s', undefined],
    ['.s', undefined],
    ['5 m', undefined],
    ['5d', undefined],
    ['-5m', undefined],
    ['', undefined],
  ])('the duration %s is %s ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
    if (ms !== undefined) expect(read({ 'ipsec-key-rotation-duration': text }).keyRotationDuration).toBe(ms);
  });

  // What Cilium refuses at start beside IPsec (docs/cilium.md, "Settings"), and what is not built here.
  it.each([
    [{ 'cni-chaining-mode': 'aws-cni' }, /chained on another CNI \(aws-cni\)/],
    [{ 'enable-wireguard': 'true' }, /IPsec and WireGuard exclude each other/],
    [{ 'enable-host-firewall': 'true' }, /host firewall/],
    [{ 'enable-ipsec': 'false' }, /IPsec is off/],
    [{ 'tunnel-protocol': 'gre' }, /overlay gre is not known/],
    [{ 'underlay-protocol': 'ipx' }, /underlay-protocol: ipx is not known/],
    [{ 'enable-encryption-strict-mode-ingress': 'true' }, /on the way in is for WireGuard/],
    [{ 'enable-l7-proxy': 'true', 'dnsproxy-enable-transparent-mode': 'false' }, /L7 proxy/],
    [{ 'local-router-ipv4': '10.0.0.1' }, /local-router-ipv4: with IPsec/],
    [{ 'local-router-ipv6': 'fd00::1' }, /local-router-ipv6: with IPsec/],
    [{ 'enable-cilium-node-crd': 'false' }, /enable-cilium-node-crd: IPsec needs/],
    [{ 'routing-mode': 'magic' }, /routing-mode: magic/],
    [{ 'enable-ipsec': 'yes' }, /enable-ipsec: is neither true nor false/],
    [{ 'ipv4-pod-subnets': '10.0.0.0/99' }, /ipv4-pod-subnets/],
    [{ 'ipsec-key-rotation-duration': '5 minutes' }, /is no duration/],
  ])('%j is refused', (data, problem) => {
    expect(() => read(data as Record<string, string>)).toThrow(problem);
  });

  it('takes what Cilium takes beside IPsec', () => {
    const proxy = { 'enable-l7-proxy': 'true' };
    read({ ...proxy, 'dnsproxy-enable-transparent-mode': 'true' });
    read({
      ...proxy,
      'dnsproxy-enable-transparent-mode': 'false',
      'dnsproxy-insecure-skip-transparent-mode-check': 'true',
    });
    read({ 'enable-l7-proxy': 'false', 'dnsproxy-enable-transparent-mode': 'false' });
    read({ 'local-router-ipv4': '', 'enable-cilium-node-crd': 'true' });
    expect(read({ 'enable-encryption-strict-mode-ingress': 'true' }, '1.18').strict).toBeUndefined();
  });

  it.each([['kind: Secret\ndata: 3'], ['- 1\n- 2'], ['kind: Pod'], ['{"a']])('%j is no ConfigMap', (text) => {
    expect(() => parseCiliumConfig(text, 'c')).toThrow(/no ConfigMap|no JSON or YAML/);
  });

  it('takes "none" for no chaining, and an empty value for none', () => {
    expect(read({ 'cni-chaining-mode': 'none', 'tunnel-protocol': '' }).plan.mode).toBe('tunnel');
  });
});
