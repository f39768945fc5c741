/**
 * Settings: is encryption on, everywhere, and does nothing exclude it; and which releases run.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import type { Finding } from '../../diagnose/finding.ts';
import { type ClusterCase, clusterFinding, namesOf } from '../case.ts';

export function* config({ cluster, config: map }: ClusterCase): Generator<Finding> {
  if (map) {
    const about = { count: 1, evidence: [map.file] };
    if (!map.ipsec)
      yield clusterFinding(
        'encryption-off',
        map.wireguard
          ? 'cilium-config turns WireGuard on and IPsec off (enable-ipsec): there is no ESP between nodes. WireGuard is not judged here.'
          : 'cilium-config turns IPsec off (enable-ipsec): nothing between nodes is encrypted.',
        { ...about, ...(map.wireguard && { severity: 'warning' }) },
      );
    if (map.ipsec && map.wireguard)
      yield clusterFinding(
        'config-conflict',
        'cilium-config turns on IPsec and WireGuard, which exclude each other: an agent that starts so ends with an error.',
        about,
      );
    if (map.ipsec && map.hostFirewall)
      yield clusterFinding(
        'config-conflict',
        'cilium-config turns on IPsec and the host firewall, which exclude each other: an agent that starts so ends with an error.',
        about,
      );
  }
  const off = cluster.nodes.filter(({ facts }) => facts?.status && facts.status.mode !== 'IPsec');
  const on = cluster.nodes.filter(({ facts }) => facts?.status?.mode === 'IPsec');
  if (off.length > 0 && (on.length > 0 || map?.ipsec !== false)) {
    const modes = [...new Set(off.map(({ facts }) => facts!.status!.mode))];
    yield clusterFinding(
      'encryption-off',
      `cilium-dbg encrypt status says ${modes.join(' and ')} on ${count(off.length, 'node')} (${namesOf(off.map(({ name }) => name))})${on.length > 0 ? `, and IPsec on ${count(on.length, 'other')}` : ''}.`,
      {
        node: off.length === 1 ? off[0]!.name : null,
        count: off.length,
        evidence: off.map(({ facts }) => facts!.files.status ?? facts!.source),
      },
    );
  }
  const versions = new Map<string, string[]>();
  for (const { name, version } of cluster.nodes) {
    if (version === undefined) continue;
    const same = versions.get(version);
    if (same) same.push(name);
    else versions.set(version, [name]);
  }
  if (versions.size > 1) {
    const said = [...versions]
      .sort(([, a], [, b]) => b.length - a.length)
      .map(([version, names]) => `${version} on ${count(names.length, 'node')} (${namesOf(names)})`);
    yield clusterFinding(
      'versions-differ',
      `Nodes run different releases of Cilium: ${said.join(', ')}. While an upgrade is under way that is so; keys must not be rotated then.`,
      { count: versions.size, evidence: [] },
    );
  }
}
