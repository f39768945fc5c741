/**
 * DPDK's rte_ipsec with CPU crypto, without huge pages and without devices: a program in C that measures itself beside the
 * bare cipher, as `codec` does with esplane.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { CannotRun } from '../cannot-run.mjs';
import { compile } from '../compile.mjs';

/** MiB. 65,536 SAs take some 400. */
const MEMORY = 1024;
const EAL = `--no-huge -m ${MEMORY} --no-pci --no-shconf --no-telemetry -l 0 --vdev=crypto_aesni_gcm0 --log-level=4`;
const PACKAGES = 'libdpdk-dev libipsec-mb-dev pkg-config';

/** Its version, as the program is linked. @throws {CannotRun} */
export function rteIpsecVersion() {
  const { error, status, stdout } = spawnSync('pkg-config', ['--modversion', 'libdpdk'], {
    encoding: 'utf8',
  });
  if (error || status !== 0) throw new CannotRun(`no libdpdk: apt-get install ${PACKAGES}`);
  return stdout.trim();
}

/**
 * @param size bytes of an inner packet
 * @param sas how many, in turn
 * @returns one row each for `seal` and `open`, as `codec` has them
 * @throws {CannotRun} without DPDK or a compiler
 */
export function rteIpsec(size, sas, batches, rounds) {
  rteIpsecVersion();
  const flags = spawnSync('pkg-config', ['--cflags', '--libs', 'libdpdk'], {
    encoding: 'utf8',
  }).stdout.trim();
  const program = compile('rte-ipsec', [...flags.split(/\s+/), '-lIPSec_MB']);
  const args = [...EAL.split(' '), '--', size, sas, batches, rounds].map(String);
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`rte-ipsec: ${stderr.trim().split('\n').at(-1)}`);
  const [seal, cipherSeal, open, cipherOpen, sealRatio, openRatio] = stdout.trim().split(' ').map(Number);
  return [
    { op: 'seal', ns: seal, yardstick: cipherSeal, ratio: sealRatio },
    { op: 'open', ns: open, yardstick: cipherOpen, ratio: openRatio },
  ];
}
