/**
 * Writes SAs and policies of esplane as `ip xfrm state add` and `ip xfrm policy add` commands.
 * @module
 */
import type { Suite } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { formatAddress, formatPrefix, type Prefix } from '../wire/address.ts';
import { keyText, type ShowKeys } from './show-keys.ts';
import type { XfrmAlgorithm, XfrmSelector } from './xfrm-json.ts';
import { writePolicyCommand } from './xfrm-policy-write.ts';
import { writeStateCommand } from './xfrm-state-write.ts';

/** Writes one command a line. With keys hidden `ip` refuses the commands: what stands in a key's place is no number. */
export function writeXfrmState(sas: readonly SaConfig[], { showKeys }: ShowKeys): string {
  return sas.map((sa) => stateCommand(sa, showKeys)).join('');
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
  const { proto, sport = null, dport = null } = selector;
  return writePolicyCommand({
    direction: dir,
    selector: { ...addresses(selector), proto: proto === undefined ? null : String(proto), sport, dport },
    action,
    priority,
    ptype: null,
    flags: [],
    mark: mark ?? null,
    ifId: null,
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
    flags: esn ? [...sa.flags, 'esn'] : sa.flags,
    mark: sa.mark ?? null,
    outputMark: sa.outputMark ?? null,
    algorithms: algorithms(sa, showKeys),
    encap: encap ? { type: 'espinudp', ...encap, addr: null } : null,
    antiReplay: sequence ? { esn, window: null, bitmap: [], ...sequence } : null,
    selector: selector ? addresses(selector) : null,
    lifetime: {
      softBytes: limit(lifetime.softBytes),
      hardBytes: limit(lifetime.hardBytes),
      softPackets: limit(lifetime.softPackets),
      hardPackets: limit(lifetime.hardPackets),
    },
    offload: null,
    ifId: null,
    tfcPad: null,
  });
}

function addresses({ src, dst }: { readonly src: Prefix; readonly dst: Prefix }): XfrmSelector {
  return {
    src: formatPrefix(src),
    dst: formatPrefix(dst),
    proto: null,
    sport: null,
    dport: null,
    dev: null,
    uid: null,
  };
}

function algorithms({ keys }: SaConfig, showKeys: boolean): XfrmAlgorithm[] {
  const { suite } = keys;
  const algorithm = (
    type: XfrmAlgorithm['type'],
    name: string,
    icvBits: number | null,
    ...parts: readonly Uint8Array[]
  ): XfrmAlgorithm => ({
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
    algorithm('enc', split.enc, null, keys.key()),
  ];
}

/** Both names in `authenc(hmac(sha256),cbc(aes))`; `undefined` for an AEAD. */
function authencNames(suite: Suite): { auth: string; enc: string } | undefined {
  const [, auth, enc] = /^authenc\((.*),(.*)\)$/.exec(suite.name) ?? [];
  return auth === undefined || enc === undefined ? undefined : { auth, enc };
}
