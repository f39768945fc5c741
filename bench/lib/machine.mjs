/**
 * What a figure was measured on: without it, it means nothing.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem, type } from 'node:os';

/** CPU, kernel and versions, as one plain object. */
export function machine() {
  const tshark = spawnSync('tshark', ['--version'], { encoding: 'utf8' });
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
    openssl: process.versions.openssl,
    tshark: tshark.status === 0 ? /\d+\.\d+\.\d+/.exec(tshark.stdout)?.[0] : undefined,
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`,
  };
}

/** The value in the middle. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
