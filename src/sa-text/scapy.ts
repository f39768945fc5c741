/**
 * Writes SAs as Python for scapy 2.5 (`scapy.layers.ipsec.SecurityAssociation`), one entry of a dictionary each.
 *
 * What scapy 2.5 cannot do becomes a comment that says why: it has not every algorithm, takes an ICV of 16 octets only
 * with its AEADs, and leaves the high half of an extended sequence number out of a MAC over ESP.
 * @module
 */
import { authencNames, type Cipher, type Mac, type Suite } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { formatAddress } from '../wire/address.ts';
import { keyText, type ShowKeys } from './show-keys.ts';

const HEAD = `# Security associations for scapy 2.5 (Debian: python3-scapy).
#   for packet in PcapReader('wire.pcap'):
#       sa = sas.get((packet[IP].src, packet[IP].dst, packet[ESP].spi))
#       if sa:
#           sa.decrypt(packet[IP]).show()
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AUTH_ALGOS, ESP, HMAC, AuthAlgo, SecurityAssociation, hashes
`;

/** scapy's names of integrity algorithms, by MAC and bits of ICV. */
const AUTHS: Readonly<Record<string, string>> = {
  'hmac-md5 96': 'HMAC-MD5-96',
  'hmac-sha1 96': 'HMAC-SHA1-96',
  'hmac-sha256 128': 'SHA2-256-128',
  'hmac-sha384 192': 'SHA2-384-192',
  'hmac-sha512 256': 'SHA2-512-256',
  'aes-cmac 96': 'AES-CMAC-96',
};

/** Parts that scapy makes HMACs of; it has no others. */
const HASHES: Readonly<Partial<Record<Mac, string>>> = {
  'hmac-md5': 'MD5',
  'hmac-sha1': 'SHA1',
  'hmac-sha256': 'SHA256',
  'hmac-sha384': 'SHA384',
  'hmac-sha512': 'SHA512',
};

/** Writes a module with a dictionary `sas`, whose keys are source, destination and SPI. */
export function writeScapy(sas: readonly SaConfig[], { showKeys }: ShowKeys): string {
  // Truncations that scapy does not have by name are made of its own parts.
  const made = new Map<string, string>();
  const entries = sas.map((sa) => entry(sa, showKeys, made)).join('');
  const extra = made.size > 0 ? `\n${[...made.values()].join('')}` : '';
  return `${HEAD}${extra}\nsas = {\n${entries}}\n`;
}

function entry(sa: SaConfig, showKeys: boolean, made: Map<string, string>): string {
  const { keys, sequence } = sa;
  const { suite } = keys;
  const src = formatAddress(sa.src);
  const dst = formatAddress(sa.dst);
  const spi = `0x${sa.spi.toString(16).padStart(8, '0')}`;
  const bytes = (...parts: readonly Uint8Array[]) => `bytes.fromhex('${keyText(showKeys, ...parts)}')`;
  const origin = sa.origin.replace(/[^ -~]/g, ' ');

  const crypt = cryptName(suite);
  if (sa.mode === 'iptfs') return `    # ${origin}: scapy 2.5 has no IP-TFS\n`;
  if (sa.pattern) return `    # ${origin}: it has wildcards, and an entry of this dictionary none\n`;
  if (suite.unchecked && suite.icvLen > 0)
    return `    # ${origin}: its integrity algorithm is not known, and scapy 2.5 passes no ICV over\n`;
  const auth = suite.mac && authName(suite.mac, suite.icvLen, keys.macKey().length, made);
  if (crypt === undefined || (suite.mac && auth === undefined)) {
    return `    # ${origin}: scapy 2.5 has no ${suite.name} with an ICV of ${suite.icvLen * 8} bits\n`;
  }
  const args = ['ESP', `spi=${spi}`, `crypt_algo='${crypt}'`];
  if (suite.cipher !== 'null') args.push(`crypt_key=${bytes(keys.key(), keys.salt())}`);
  if (auth !== undefined) args.push(`auth_algo='${auth}'`, `auth_key=${bytes(keys.macKey())}`);
  if (sa.mode === 'tunnel')
    args.push(`tunnel_header=${sa.src.length === 4 ? 'IP' : 'IPv6'}(src='${src}', dst='${dst}')`);
  if (sa.encap) args.push(`nat_t_header=UDP(sport=${sa.encap.sport}, dport=${sa.encap.dport})`);
  let remark = sa.unstated ? ': says neither mode nor UDP, tunnel mode and no UDP are assumed' : '';
  if (sa.esn) {
    args.push('esn_en=True', `esn=${Math.max(sequence?.seqHi ?? 0, sequence?.oseqHi ?? 0)}`);
    if (suite.mac) remark += ': ESN and a MAC, which scapy 2.5 cannot verify; use decrypt(…, verify=False)';
  }
  return `    # ${origin}${remark}\n    ('${src}', '${dst}', ${spi}): SecurityAssociation(\n        ${args.join(',\n        ')}),\n`;
}

const CIPHERS: Readonly<Partial<Record<Cipher, string>>> = {
  'aes-gcm': 'AES-GCM',
  'aes-ccm': 'AES-CCM',
  'chacha20-poly1305': 'CHACHA20-POLY1305',
  'aes-cbc': 'AES-CBC',
  'aes-ctr': 'AES-CTR',
  'des-cbc': 'DES',
  'des3-cbc': '3DES',
  'cast5-cbc': 'CAST',
  'blowfish-cbc': 'Blowfish',
  null: 'NULL',
};

/** scapy's name of the cipher; `undefined` when it does not have the suite. */
function cryptName(suite: Suite): string | undefined {
  return authencNames(suite) || suite.icvLen === 16 ? CIPHERS[suite.cipher] : undefined;
}

/** scapy's name of the MAC, perhaps one that has to be made first; `undefined` when it does not have it. */
function authName(mac: Mac, icvLen: number, keyLen: number, made: Map<string, string>): string | undefined {
  const known = AUTHS[`${mac} ${icvLen * 8}`];
  if (known !== undefined) return mac === 'aes-cmac' && keyLen !== 16 ? undefined : known;
  const hash = HASHES[mac];
  if (hash === undefined) return undefined;
  const name = `${mac.toUpperCase()}-${icvLen * 8}`;
  made.set(
    name,
    `AUTH_ALGOS['${name}'] = AuthAlgo('${name}', mac=HMAC, digestmod=hashes.${hash}, icv_size=${icvLen})\n`,
  );
  return name;
}
