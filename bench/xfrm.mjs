/**
 * `npm run bench -- xfrm`: the kernel's xfrm against esplane on the same topology.
 *
 * On this host when its kernel has ESP, else both inside one User-mode Linux guest, whose kernel is a real one but has no
 * hardware AES, while processes in the guest, esplane's among them, have it. The contenders without a cipher show what
 * the rest of the way costs either.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { esplane, esplaneNull } from './lib/contenders/esplane.mjs';
import { clearVeth } from './lib/contenders/veth.mjs';
import { kernelXfrm, kernelXfrmNull } from './lib/contenders/xfrm.mjs';
import { race } from './lib/race.mjs';
import { loadTypeScript } from './lib/typescript.mjs';

const IN_GUEST = fileURLToPath(new URL('./lib/xfrm-in-guest.mjs', import.meta.url));
const MINUTE = 60_000;

const NOTE =
  'inside one User-mode Linux guest: its kernel has no hardware AES, processes in the guest do; one CPU, and system calls are dear';

/** @param quick one short round of the two that the goal is about, for CI: a node takes six seconds to start in a guest */
export async function xfrm({ quick = false, log }) {
  if (hostHasEsp()) return raceXfrm({ quick, log });
  log("  this host's kernel has no ESP: User-mode Linux");
  if (spawnSync('which', ['linux.uml']).status !== 0) {
    const error = "this host's kernel has no ESP, and there is no linux.uml: apt-get install user-mode-linux";
    return [{ bench: 'xfrm', contender: 'all', error }];
  }
  return raceInGuest({ quick, log });
}

/** The race itself, on whatever kernel this is. */
export function raceXfrm({ quick, log }) {
  const links = quick ? ['udp'] : ['udp', 'raw', 'packet'];
  return race({
    bench: 'xfrm',
    contenders: [
      clearVeth,
      kernelXfrm,
      ...links.map(esplane),
      ...(quick ? [] : [kernelXfrmNull, ...links.map(esplaneNull)]),
    ],
    yardstick: kernelXfrm.name,
    measures: [{ what: 'tcp1', rounds: quick ? 1 : 5, seconds: quick ? 1 : 3 }],
    log,
  });
}

/** Asks the kernel for a state with AES-GCM, in a namespace that goes with the question. */
function hostHasEsp() {
  const key = `0x${'00'.repeat(20)}`;
  const ask = `ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode tunnel aead 'rfc4106(gcm(aes))' ${key} 128`;
  return spawnSync('unshare', ['-n', 'sh', '-c', ask]).status === 0;
}

async function raceInGuest({ quick, log }) {
  loadTypeScript();
  const { startUml } = await import('../test/support/uml.ts');
  const guest = startUml(`exec '${process.execPath}' '${IN_GUEST}' ${quick ? '--quick' : ''}`, {
    timeout: (quick ? 4 : 12) * MINUTE,
    memory: '2G',
  });
  const stop = followLines(`${guest.folder}/.stderr`, log);
  let result;
  try {
    result = await guest.result;
  } finally {
    stop();
  }
  const rows = result.files.get('rows.json');
  if (rows === undefined) throw new Error(`the race in the guest failed: ${result.stderr.trim()}`);
  return JSON.parse(Buffer.from(rows).toString()).map((row) => ({ ...row, note: NOTE }));
}

/** Passes on the lines of a growing file. Returns the way to end it. */
function followLines(path, log) {
  let shown = 0;
  const timer = setInterval(() => {
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
    for (const line of lines.slice(shown)) log(line);
    shown = lines.length;
  }, 500);
  return () => clearInterval(timer);
}
