/**
 * Finds a Python that has scapy with its ciphers: not every one on the PATH does.
 * @module
 */
import { spawnSync } from 'node:child_process';
import type { Need } from './needs.ts';

/** Its name or path; `undefined` when there is none. */
export const SCAPY_PYTHON = ['python3', '/usr/bin/python3'].find(
  (python) => spawnSync(python, ['-c', 'import scapy.layers.ipsec, cryptography']).status === 0,
);

/** What a test that runs scapy has to ask for. */
export const SCAPY: Need = {
  what: 'scapy for python3',
  there: SCAPY_PYTHON !== undefined,
  remedy: 'apt-get install python3-scapy python3-cryptography',
};
