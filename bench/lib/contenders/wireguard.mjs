/**
 * wireguard-go, WireGuard in userspace.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CannotRun } from '../cannot-run.mjs';
import { must, until } from '../network.mjs';
import { packageOf, versionOf } from './version.mjs';

export const wireguardGo = {
  name: 'wireguard-go',
  wire: 'udp port 51820',
  readable: false,
  // What it says of itself is a constant that releases forget.
  version: () => packageOf('wireguard-go') ?? versionOf('wireguard-go', ['--version'], /wireguard-go v(\S+)/),
  start,
};

async function start(pair) {
  for (const program of ['wireguard-go', 'wg'])
    if (spawnSync('which', [program]).status !== 0)
      throw new CannotRun(`no ${program}: apt-get install wireguard-go wireguard-tools`);
  const ends = [];
  for (const i of [0, 1]) {
    const key = (await must('wg', 'genkey')).trim();
    const file = join(pair.folder, `key-${i}`);
    writeFileSync(file, key, { mode: 0o600 });
    const pub = spawnSync('wg', ['pubkey'], { input: key, encoding: 'utf8' }).stdout.trim();
    // Its socket lies in /var/run of the host, so the name has to be one of its own.
    ends.push({ file, pub, device: `wgb${i}-${process.pid}` });
  }
  for (const [i, { device, file }] of ends.entries()) {
    // In the foreground, so that it ends as our child.
    pair.startIn(i, ['wireguard-go', '-f', device]);
    await until(
      () =>
        pair.runIn(i, 'wg', 'show', device).then(
          () => true,
          () => false,
        ),
      5000,
      `wireguard-go ${device}`,
    );
    const peer = ends[1 - i].pub;
    const settings = ['private-key', file, 'listen-port', '51820', 'peer', peer];
    const where = ['allowed-ips', '10.245.0.0/16', 'endpoint', `${pair.outer[1 - i]}:51820`];
    await pair.runIn(i, 'wg', 'set', device, ...settings, ...where);
    await pair.runIn(i, 'ip', 'addr', 'add', `10.245.0.${i + 1}/24`, 'dev', device);
    await pair.runIn(i, 'ip', 'link', 'set', device, 'mtu', '1420', 'up');
  }
  return { from: '10.245.0.1', to: '10.245.0.2' };
}
