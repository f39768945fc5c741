import { describe, expect, it } from 'vitest';
import { parseCiliumConfig } from '../../src/cilium/config.ts';
import { formatPrefix } from '../../src/wire/address.ts';

const read = (data: Record<string, string>) =>
  parseCiliumConfig(
    JSON.stringify({
      kind: 'ConfigMap',
      metadata: { name: 'cilium-config' },
      data: { 'enable-ipsec': 'true', ...data },
    }),
    'cilium-config.json',
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

  it('reads subnets, options and strict mode under their old and new names', () => {
    const config = read({
      'ipv4-pod-subnets': '10.0.0.0/16, 10.1.0.0/16',
      'use-cilium-internal-ip-for-ipsec': 'true',
      'enable-endpoint-routes': 'true',
      'enable-encryption-strict-mode': 'true',
      'encryption-strict-mode-cidr': '10.244.0.0/16',
      'encryption-strict-mode-allow-remote-node-identities': 'true',
    });
    expect(config.plan.podSubnets!.map(formatPrefix)).toEqual(['10.0.0.0/16', '10.1.0.0/16']);
    expect(config.plan).toMatchObject({ usesCiliumAddresses: true, endpointRoutes: true });
    expect(formatPrefix(config.strict!.cidr)).toBe('10.244.0.0/16');
    expect(config.strict!.allowRemoteNodes).toBe(true);
    const renamed = read({
      'enable-encryption-strict-mode-egress': 'true',
      'encryption-strict-egress-cidr': '10.0.0.0/8',
    });
    expect(renamed.strict!.allowRemoteNodes).toBe(false);
  });

  // What Cilium refuses at start beside IPsec (docs/cilium.md, "Settings"), and what is not built here.
  it.each([
    [{ 'cni-chaining-mode': 'aws-cni' }, /chained on another CNI \(aws-cni\)/],
    [{ 'enable-wireguard': 'true' }, /IPsec and WireGuard exclude each other/],
    [{ 'enable-host-firewall': 'true' }, /host firewall/],
    [{ 'enable-ipsec': 'false' }, /IPsec is off/],
    [{ 'tunnel-protocol': 'geneve' }, /overlay geneve is not built here/],
    [{ 'routing-mode': 'magic' }, /routing-mode: magic/],
    [{ 'enable-ipsec': 'yes' }, /enable-ipsec: is neither true nor false/],
    [{ 'ipv4-pod-subnets': '10.0.0.0/99' }, /ipv4-pod-subnets/],
    [{ 'ipsec-key-rotation-duration': '5 minutes' }, /is no duration/],
    [{ 'enable-encryption-strict-mode': 'true' }, /needs a range/],
    [{ 'enable-encryption-strict-mode': 'true', 'encryption-strict-mode-cidr': 'fd00::/8' }, /IPv4 only/],
  ])('%j is refused', (data, problem) => {
    expect(() => read(data as Record<string, string>)).toThrow(problem);
  });

  it.each([['kind: Secret\ndata: 3'], ['- 1\n- 2'], ['kind: Pod'], ['{"a']])('%j is no ConfigMap', (text) => {
    expect(() => parseCiliumConfig(text, 'c')).toThrow(/no ConfigMap|no JSON or YAML/);
  });

  it('takes "none" for no chaining, and an empty value for none', () => {
    expect(read({ 'cni-chaining-mode': 'none', 'tunnel-protocol': '' }).plan.mode).toBe('tunnel');
  });
});
