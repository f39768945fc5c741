/**
 * Tunnels that the benchmark races, each with how it starts. A contender that cannot run here says why.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must, until } from './network.mjs';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const INNER = ['10.244.1.1', '10.244.2.1'];

const GCM = `aead rfc4106(gcm(aes)) 0x${'5a'.repeat(16)}01020304 128`;
const NULL = 'auth-trunc digest_null 0x 0\n\tenc ecb(cipher_null) 0x';

/** A contender: `start` gives the address to send to and a way to end it. */
export function contenders() {
  return [
    {
      name: 'clear veth',
      start: async ({ outer }) => ({ to: outer[1], from: outer[0], stop: async () => {} }),
    },
    ...['udp', 'raw', 'packet'].flatMap((link) => [
      { name: `esplane ${link}`, start: (net) => esplane(net, link, GCM) },
      { name: `esplane ${link}, no cipher`, start: (net) => esplane(net, link, NULL) },
    ]),
    { name: 'wireguard-go', start: wireguard },
    { name: 'kernel xfrm', start: kernelXfrm },
  ];
}

/** Two nodes with one SA each way, from `ip xfrm` text. */
async function esplane(net, link, algorithm) {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  const encap = link === 'udp' ? '\tencap type espinudp sport 4500 dport 4500 addr 0.0.0.0\n' : '';
  const state = (src, dst, spi) =>
    `src ${src} dst ${dst}\n\tproto esp spi ${spi} reqid 1 mode tunnel\n\treplay-window 0\n\t${algorithm}\n${encap}\tanti-replay esn context:\n\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0\n\t replay_window 1024, bitmap-length 32\n\tsel src 0.0.0.0/0 dst 0.0.0.0/0\n`;
  const policy = (dir, src, dst, from, to) =>
    `src ${src} dst ${dst}\n\tdir ${dir} priority 0\n\ttmpl src ${from} dst ${to}\n\t\tproto esp reqid 1 mode tunnel\n`;
  const [a, b] = net.outer;
  const pods = ['10.244.1.0/24', '10.244.2.0/24'];
  writeFileSync(join(folder, 'state'), state(a, b, '0x00000101') + state(b, a, '0x00000202'), {
    mode: 0o600,
  });
  const children = [];
  for (const [i, here] of net.outer.entries()) {
    const there = net.outer[1 - i];
    const name = `node-${i + 1}`;
    writeFileSync(
      join(folder, `${name}.policy`),
      policy('out', pods[i], pods[1 - i], here, there) +
        policy('in', pods[1 - i], pods[i], there, here) +
        policy('fwd', pods[1 - i], pods[i], there, here),
    );
    const config = join(folder, `${name}.yaml`);
    writeFileSync(
      config,
      JSON.stringify({
        name,
        netns: net.names[i],
        inside: { device: 'esp0', addresses: [`${INNER[i]}/24`] },
        outside: { link, address: here },
        xfrm: { state: 'state', policy: `${name}.policy` },
        pods: [pods[i]],
      }),
    );
    const child = spawn(process.execPath, [MAIN, 'node', '--config', config, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const seen = { out: '', err: '' };
    child.stdout.on('data', (bytes) => {
      seen.out = (seen.out + bytes).slice(-100_000);
    });
    child.stderr.on('data', (bytes) => {
      seen.err += bytes;
    });
    children.push(child);
    await until(() => seen.out.includes('"ready"') || child.exitCode !== null, 20_000, name);
    if (child.exitCode !== null) throw new Error(seen.err);
  }
  return {
    to: INNER[1],
    from: INNER[0],
    async stop() {
      await Promise.all(
        children.map((child) => {
          const closed = new Promise((resolve) => child.once('close', resolve));
          child.kill('SIGTERM');
          return closed;
        }),
      );
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function wireguard(net) {
  for (const program of ['wireguard-go', 'wg'])
    if (spawnSync('which', [program]).status !== 0)
      throw new Error(`no ${program}: apt-get install wireguard-go wireguard-tools`);
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  const keys = net.outer.map((_, i) => {
    const key = must('wg', 'genkey').trim();
    const file = join(folder, `key-${i}`);
    writeFileSync(file, key, { mode: 0o600 });
    const pub = spawnSync('wg', ['pubkey'], { input: key, encoding: 'utf8' }).stdout.trim();
    return { file, pub };
  });
  const device = (i) => `wgb${i}`;
  net.outer.forEach((_, i) => {
    net.run(i, 'wireguard-go', device(i));
  });
  net.outer.forEach((_, i) => {
    const peer = keys[1 - i];
    const endpoint = `${net.outer[1 - i]}:51820`;
    net.run(
      i,
      'wg',
      'set',
      device(i),
      'private-key',
      keys[i].file,
      'listen-port',
      '51820',
      'peer',
      peer.pub,
      'allowed-ips',
      '10.245.0.0/16',
      'endpoint',
      endpoint,
    );
    net.run(i, 'ip', 'addr', 'add', `10.245.0.${i + 1}/24`, 'dev', device(i));
    net.run(i, 'ip', 'link', 'set', device(i), 'mtu', '1420', 'up');
  });
  return {
    to: '10.245.0.2',
    from: '10.245.0.1',
    async stop() {
      net.outer.forEach((_, i) => {
        net.run(i, 'ip', 'link', 'delete', device(i));
      });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function kernelXfrm(net) {
  const [a, b] = net.outer;
  const state = (src, dst, spi) => [
    'ip',
    'xfrm',
    'state',
    'add',
    'src',
    src,
    'dst',
    dst,
    'proto',
    'esp',
    'spi',
    spi,
    'reqid',
    '1',
    'mode',
    'tunnel',
    'flag',
    'esn',
    'replay-window',
    '1024',
    'aead',
    'rfc4106(gcm(aes))',
    `0x${'5a'.repeat(16)}01020304`,
    '128',
  ];
  const policy = (dir, src, dst, from, to) => [
    'ip',
    'xfrm',
    'policy',
    'add',
    'src',
    src,
    'dst',
    dst,
    'dir',
    dir,
    'tmpl',
    'src',
    from,
    'dst',
    to,
    'proto',
    'esp',
    'reqid',
    '1',
    'mode',
    'tunnel',
  ];
  const nets = ['10.246.1.0/24', '10.246.2.0/24'];
  try {
    net.outer.forEach((here, i) => {
      const there = net.outer[1 - i];
      net.run(i, ...state(a, b, '0x101'));
      net.run(i, ...state(b, a, '0x202'));
      net.run(i, ...policy('out', nets[i], nets[1 - i], here, there));
      net.run(i, ...policy('in', nets[1 - i], nets[i], there, here));
      net.run(i, 'ip', 'addr', 'add', `10.246.${i + 1}.1/24`, 'dev', 'lo');
      net.run(i, 'ip', 'route', 'add', nets[1 - i], 'via', there, 'src', `10.246.${i + 1}.1`);
    });
  } catch (error) {
    await flush(net);
    throw new Error(`this host's kernel has no ESP (${error.message.split('Error: ').at(-1).trim()})`);
  }
  return { to: '10.246.2.1', from: '10.246.1.1', stop: () => flush(net) };
}

async function flush(net) {
  for (const i of [0, 1]) {
    net.run(i, 'ip', 'xfrm', 'state', 'flush');
    net.run(i, 'ip', 'xfrm', 'policy', 'flush');
  }
}
