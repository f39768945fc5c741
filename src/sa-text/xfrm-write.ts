/**
 * Writes SAs and policies of esplane as `ip xfrm state add` and `ip xfrm policy add` commands.
 * @module
 */
import { authencNames } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { formatAddress } from '../wire/address.ts';
import { EXTRA_FLAGS } from './flags.ts';
import { keyText, type ShowKeys } from './show-keys.ts';
import { fromSelector } from './to-selector.ts';
import { writePolicyCommand } from './xfrm-policy-write.ts';
import { type AlgorithmParts, writeStateCommand } from './xfrm-state-write.ts';

/** Writes one command a line; what Linux cannot have, and what is assumed, is a comment. With keys hidden `ip` refuses the commands: what stands in a key's place is no number. */
export function writeXfrmState(sas: readonly SaConfig[], { showKeys }: ShowKeys): string {
  return sas
    .map((sa) => {
      const origin = sa.origin.replace(/[^ -~]/g, ' ');
      const { suite } = sa.keys;
      if (sa.mode === 'iptfs') return `# ${origin}: it is in IP-TFS, which iproute2 has no name for\n`;
      if (sa.pattern) return `# ${origin}: it has wildcards, and Linux has none\n`;
      if (suite.unchecked && suite.icvLen > 0)
        return `# ${origin}: its integrity algorithm is not known, and Linux passes no ICV over\n`;
      const guessed =
        sa.unstated && `# ${origin}: says neither mode nor UDP: tunnel mode and no UDP are assumed\n`;
      return `${guessed ?? ''}${stateCommand(sa, showKeys)}`;
    })
    .join('');
}

/**
 * Writes policies as commands, one a line. A template without addresses gets those that stand for any: there the
 * selector decides the family.
 */
export function writeXfrmPolicy(policies: readonly Policy[]): string {
  return policies.map(policyCommand).join('');
}

function policyCommand({ dir, selector, action, priority, mark, templates }: Policy): string {
  const any = new Uint8Array(selector.dst.address.length);
  return writePolicyCommand({
    direction: dir,
    selector: fromSelector(selector),
    action,
    priority,
    ptype: null,
    flags: [],
    mark: mark ?? null,
    ifId: null,
    offload: null,
    secctx: null,
    lifetime: null,
    templates: templates.map(({ src = any, dst = any, spi = null, reqid = null, mode, level }) => ({
      src: formatAddress(src),
      dst: formatAddress(dst),
      proto: 'esp',
      spi,
      reqid,
      mode,
      level,
    })),
  });
}

function stateCommand(sa: SaConfig, showKeys: boolean): string {
  const { src, dst, spi, reqid, mode, esn, sequence, encap, lifetime = {}, selector } = sa;
  const limit = (n: number | undefined) => (n === undefined ? null : String(n));
  return writeStateCommand({
    src: formatAddress(src),
    dst: formatAddress(dst),
    proto: 'esp',
    spi,
    reqid,
    mode,
    replayWindow: sa.replayWindow,
    flags: [...sa.flags.filter((flag) => !EXTRA_FLAGS.includes(flag)), ...(esn ? ['esn'] : [])],
    extraFlags: sa.flags.filter((flag) => EXTRA_FLAGS.includes(flag)),
    mark: sa.mark ?? null,
    outputMark: sa.outputMark ?? null,
    algorithms: algorithms(sa, showKeys),
    encap: encap ? { type: 'espinudp', ...encap, addr: null } : null,
    antiReplay: sequence ? { esn, window: null, bitmap: [], ...sequence } : null,
    selector: selector ? fromSelector(selector) : null,
    lifetime: {
      ...lifetime,
      softBytes: limit(lifetime.softBytes),
      hardBytes: limit(lifetime.hardBytes),
      softPackets: limit(lifetime.softPackets),
      hardPackets: limit(lifetime.hardPackets),
    },
    offload: null,
    ifId: sa.ifId ?? null,
    tfcPad: null,
    secctx: null,
  });
}

function algorithms({ keys }: SaConfig, showKeys: boolean): AlgorithmParts[] {
  const { suite } = keys;
  const algorithm = (
    type: AlgorithmParts['type'],
    name: string,
    icvBits: number | null,
    ...parts: readonly Uint8Array[]
  ): AlgorithmParts => ({
    type,
    name,
    keyBits: parts.reduce((sum, { length }) => sum + length * 8, 0),
    icvBits,
    key: keyText(showKeys, ...parts),
  });
  const split = authencNames(suite);
  if (!split) return [algorithm('aead', suite.name, suite.icvLen * 8, keys.key(), keys.salt())];
  return [
    ...(suite.mac ? [algorithm('auth-trunc', split.auth, suite.icvLen * 8, keys.macKey())] : []),
    algorithm('enc', split.enc, null, keys.key(), keys.salt()),
  ];
}
