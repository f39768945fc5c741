/**
 * OpenVPN over UDP with AES-128-GCM, peer to peer, all in userspace: a daemon each, with certificates that each made for
 * itself and whose fingerprint the other knows.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { CannotRun } from '../cannot-run.mjs';
import { must, until } from '../network.mjs';
import { versionOf } from './version.mjs';

const NET = ['10.248.0.1', '10.248.0.2'];

export const openVpn = {
  name: 'OpenVPN',
  wire: 'udp port 1194',
  readable: false,
  version: () => versionOf('openvpn', ['--version'], /OpenVPN (\S+)/),
  start,
};

async function start(pair) {
  for (const [program, debian] of [
    ['openvpn', 'openvpn'],
    ['openssl', 'openssl'],
  ])
    if (spawnSync('which', [program]).status !== 0)
      throw new CannotRun(`no ${program}: apt-get install ${debian}`);
  const prints = [];
  for (const i of [0, 1]) {
    const files = ['-keyout', join(pair.folder, `key-${i}`), '-out', join(pair.folder, `cert-${i}`)];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    await must(
      'openssl',
      'req',
      '-x509',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=end-${i}`,
      ...curve,
      ...files,
    );
    const said = await must(
      'openssl',
      'x509',
      '-noout',
      '-fingerprint',
      '-sha256',
      '-in',
      join(pair.folder, `cert-${i}`),
    );
    prints.push(said.trim().split('=')[1]);
  }
  // The device has the same name in both: each is in a namespace of its own.
  for (const i of [0, 1]) {
    pair.startIn(i, [
      ...[
        'openvpn',
        '--dev',
        'tunvpn',
        '--dev-type',
        'tun',
        '--proto',
        'udp',
        '--port',
        '1194',
        '--disable-dco',
      ],
      ...['--local', pair.outer[i], '--remote', pair.outer[1 - i], '--ifconfig', NET[i], NET[1 - i]],
      ...[i === 0 ? '--tls-server' : '--tls-client', ...(i === 0 ? ['--dh', 'none'] : [])],
      ...['--cert', join(pair.folder, `cert-${i}`), '--key', join(pair.folder, `key-${i}`)],
      ...['--peer-fingerprint', prints[1 - i]],
      ...[
        '--cipher',
        'AES-128-GCM',
        '--data-ciphers',
        'AES-128-GCM',
        '--verb',
        '0',
        '--keepalive',
        '5',
        '60',
      ],
      // What a socket holds while the other end has no processor.
      ...['--sndbuf', '4194304', '--rcvbuf', '4194304', '--txqueuelen', '1000'],
    ]);
  }
  await until(
    () =>
      pair.runIn(0, 'ping', '-c', '1', '-W', '1', '-I', NET[0], NET[1]).then(
        () => true,
        () => false,
      ),
    20_000,
    'OpenVPN',
  );
  return { from: NET[0], to: NET[1] };
}
