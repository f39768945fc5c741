/**
 * strongSwan with kernel-libipsec: IKE by charon, ESP in UDP by its library in userspace.
 *
 * One charon a namespace, each with a mount namespace in which its files lie over those of /etc, and /run is its own.
 * @module
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CannotRun } from '../cannot-run.mjs';
import { must, until } from '../network.mjs';

const STARTER = '/usr/lib/ipsec/starter';
/** One of each package. */
const FILES = [
  STARTER,
  ...['gcm', 'curve25519', 'kernel-libipsec'].map(
    (plugin) => `/usr/lib/ipsec/plugins/libstrongswan-${plugin}.so`,
  ),
];
const PACKAGES =
  'strongswan libstrongswan-standard-plugins libstrongswan-extra-plugins libcharon-extra-plugins';
const NETS = ['10.247.1.0/24', '10.247.2.0/24'];

const OTHERS =
  'random nonce aes sha1 sha2 hmac gcm curve25519 openssl kdf pem pkcs1 pubkey x509 kernel-libipsec kernel-netlink socket-default stroke updown';

/** The first plugin that has a cipher is taken: with aesni at the head, the CPU's AES. */
export const strongSwan = contender('strongSwan libipsec', `aesni ${OTHERS}`);
/** With the generic AES of its own, several times slower: the order that the goal of 100 was set with. */
export const strongSwanGeneric = contender('strongSwan libipsec, generic AES', OTHERS);

function contender(name, plugins) {
  return {
    name,
    wire: 'udp port 4500 or udp port 500',
    readable: false,
    start: (pair) => start(pair, plugins),
  };
}

async function start(pair, plugins) {
  const missing = FILES.find((file) => !existsSync(file));
  if (missing) throw new CannotRun(`no ${missing}: apt-get install ${PACKAGES}`);
  const daemons = [];
  for (const [i, here] of pair.outer.entries()) {
    const address = `10.247.${i + 1}.1`;
    await pair.runIn(i, 'ip', 'addr', 'add', `${address}/32`, 'dev', 'lo');
    daemons.push(pair.startIn(i, ['unshare', '-m', 'sh', writeFiles(pair, i, here, plugins)]));
  }
  // Each in its own mount namespace: `ipsec` finds there the socket of its own charon.
  const ipsec = (i, ...words) => must('nsenter', '-t', String(daemons[i].pid), '-m', '-n', 'ipsec', ...words);
  // The daemon answers before it has read the connection.
  const knows = (i) => () =>
    ipsec(i, 'statusall').then(
      (said) => said.includes('bench:'),
      () => false,
    );
  for (const i of [0, 1]) await until(knows(i), 15_000, `charon ${i + 1} with its connection`);
  const said = await ipsec(0, 'up', 'bench');
  if (!said.includes('established successfully')) throw new Error(said.trim().split('\n').at(-1));
  return { from: '10.247.1.1', to: '10.247.2.1' };
}

/** Writes the configuration of one end, and returns the script that starts it. */
function writeFiles({ folder, outer }, i, here, plugins) {
  const file = (name, text) => {
    const path = join(folder, `${name}-${i}`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const conf = file(
    'ipsec.conf',
    `config setup
conn bench
  keyexchange=ikev2
  authby=psk
  ike=aes128-sha256-x25519!
  esp=aes128gcm16!
  forceencaps=yes
  left=${here}
  leftsubnet=${NETS[i]}
  right=${outer[1 - i]}
  rightsubnet=${NETS[1 - i]}
  auto=add
`,
  );
  const secrets = file('ipsec.secrets', `${outer[0]} ${outer[1]} : PSK "only for the benchmark"\n`);
  const strongswan = file('strongswan.conf', `charon {\n  load_modular = no\n  load = ${plugins}\n}\n`);
  return file(
    'start',
    `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount --bind '${conf}' /etc/ipsec.conf
mount --bind '${secrets}' /etc/ipsec.secrets
mount --bind '${strongswan}' /etc/strongswan.conf
exec ${STARTER} --nofork
`,
  );
}
