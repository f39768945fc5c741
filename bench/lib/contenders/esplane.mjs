/**
 * esplane: two nodes with one SA each way, from `ip xfrm` text.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../network.mjs';

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const INNER = ['10.244.1.1', '10.244.2.1'];
const PODS = ['10.244.1.0/24', '10.244.2.0/24'];

const GCM = `aead rfc4106(gcm(aes)) 0x${'5a'.repeat(16)}01020304 128`;
const NULL = 'auth-trunc digest_null 0x 0\n\tenc ecb(cipher_null) 0x';

/** @param link what carries ESP: udp, raw or packet */
export const esplane = (link) => contender(`esplane ${link}`, link, GCM);
/** The same with the null cipher: what everything but the cipher costs. */
export const esplaneNull = (link) => contender(`esplane ${link}, no cipher`, link, NULL);

function contender(name, link, algorithm) {
  return {
    name,
    wire: link === 'udp' ? 'udp port 4500' : 'ip proto 50',
    readable: algorithm === NULL,
    start: (pair) => start(pair, link, algorithm),
  };
}

async function start(pair, link, algorithm) {
  for (const i of [0, 1]) await startNode(pair, i, writeNode(pair, i, link, algorithm));
  return { from: INNER[0], to: INNER[1] };
}

/** Writes what node `i` reads, and returns the name of its configuration. */
export function writeNode({ names, outer, folder }, i, link, algorithm = GCM) {
  const [here, there] = [outer[i], outer[1 - i]];
  const name = `node-${i + 1}`;
  const encap = link === 'udp' ? '\tencap type espinudp sport 4500 dport 4500 addr 0.0.0.0\n' : '';
  const state = (src, dst, spi) =>
    `src ${src} dst ${dst}\n\tproto esp spi ${spi} reqid 1 mode tunnel\n\treplay-window 0\n\t${algorithm}\n${encap}\tanti-replay esn context:\n\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0\n\t replay_window 1024, bitmap-length 32\n\tsel src 0.0.0.0/0 dst 0.0.0.0/0\n`;
  const policy = (dir, src, dst, from, to) =>
    `src ${src} dst ${dst}\n\tdir ${dir} priority 0\n\ttmpl src ${from} dst ${to}\n\t\tproto esp reqid 1 mode tunnel\n`;
  const write = (file, text) => writeFileSync(join(folder, file), text, { mode: 0o600 });
  write(`${name}.state`, state(outer[0], outer[1], '0x00000101') + state(outer[1], outer[0], '0x00000202'));
  write(
    `${name}.policy`,
    policy('out', PODS[i], PODS[1 - i], here, there) +
      policy('in', PODS[1 - i], PODS[i], there, here) +
      policy('fwd', PODS[1 - i], PODS[i], there, here),
  );
  write(
    `${name}.yaml`,
    JSON.stringify({
      name,
      netns: names[i],
      inside: { device: 'esp0', addresses: [`${INNER[i]}/24`] },
      outside: { link, address: here },
      xfrm: { state: `${name}.state`, policy: `${name}.policy` },
      pods: [PODS[i]],
      'state-dir': `${name}.kept`,
    }),
  );
  return join(folder, `${name}.yaml`);
}

async function startNode(pair, i, config) {
  const child = pair.start([process.execPath, MAIN, 'node', '--config', config, '--json', '--stats', '60'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (bytes) => {
    out = (out + bytes).slice(-10_000);
  });
  child.stderr.on('data', (bytes) => {
    err = (err + bytes).slice(-10_000);
  });
  await until(() => out.includes('"ready"') || child.exitCode !== null, 30_000, `node-${i + 1}`);
  if (child.exitCode !== null) throw new Error(err);
}
