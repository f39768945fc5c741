/** Standard output and standard error that take no more: one line or none, never a trace. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MAIN, tempFolder } from '../support/cli.ts';

const PCAPS = fileURLToPath(new URL('../../pcaps/linux-6.1/faults-esn', import.meta.url));
const SAS = `--keys ${PCAPS}/keys --nodes ${PCAPS}/ciliumnodes.json`;

/** Runs a line of shell in which `esplane` is the built program. */
function shell(line: string, cwd?: string) {
  const { status, stdout, stderr } = spawnSync(
    'bash',
    ['-c', `set -o pipefail; esplane() { '${process.execPath}' '${MAIN}' "$@"; }; ${line}`],
    { encoding: 'utf8', timeout: 30_000, ...(cwd !== undefined && { cwd }) },
  );
  return { code: status, stdout, stderr };
}

/** One for each way to standard output. */
const COMMANDS = ['keys generate', `decrypt ${PCAPS}/wire.pcap ${SAS}`, 'decrypt --help', 'lab --port 0'];

describe('a standard output that is full', () => {
  it.each(COMMANDS)('%s: 2, and a line', (command) => {
    const { code, stderr } = shell(`esplane ${command} > /dev/full`);
    const last = stderr.trimEnd().split('\n').at(-1);
    expect(last).toBe(
      'esplane: standard output: cannot be written: the disk is full. Make room, or name another place.',
    );
    expect(stderr).not.toMatch(/^ {4}at /m);
    expect(code).toBe(2);
  });
});

describe('a pipe that nobody reads', () => {
  it.each(COMMANDS.filter((command) => !command.startsWith('lab')))('%s: enough', (command) => {
    expect(shell(`esplane ${command} 2>&1 | true`)).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});

describe('standard error that takes nothing', () => {
  it.each(['2> /dev/full', '2>&-', '2> >(true)'])('%s: the work is done all the same', (where) => {
    const { code, stdout } = shell(`esplane decrypt ${PCAPS}/wire.pcap ${SAS} ${where}`);
    expect(stdout.trimEnd().split('\n')).toHaveLength(85);
    expect(code).toBe(0);
  });
});

describe('-w -', () => {
  const folder = tempFolder();

  it('writes the capture to standard output, for a program that reads it', () => {
    const { code, stdout } = shell(
      `esplane decrypt ${PCAPS}/wire.pcap ${SAS} --wire --with-secrets -w - | esplane decrypt - -q 2>&1`,
    );
    expect(stdout).toMatch(/^-: 85 frames, 85 ESP packets: 54 decrypted, 31 dropped/m);
    expect(code).toBe(0);
    const packets = `cat ${PCAPS}/wire.pcap | esplane capture - ${SAS} -w - | head -c 4 | od -An -tx1`;
    expect(shell(packets).stdout.trim()).toBe('0a 0d 0d 0a');
  });

  it('leaves standard output to one of two', () => {
    const { code, stderr } = shell(`esplane decrypt ${PCAPS}/wire.pcap ${SAS} --json -w -`, folder);
    expect(stderr).toBe('esplane: -w -: and --json would both write to standard output. Give -w a file.\n');
    expect(code).toBe(2);
  });

  it('does not put clear packets in the place of the capture', () => {
    const same = join(folder, 'same.pcap');
    const line = `cp ${PCAPS}/wire.pcap ${same} && esplane decrypt ${same} ${SAS} -w ./same.pcap`;
    const { code, stderr } = shell(line, folder);
    expect(stderr).toBe('esplane: ./same.pcap: is the capture itself. Give -w another name.\n');
    expect(code).toBe(2);
    expect(shell(`cmp ${same} ${PCAPS}/wire.pcap`).code).toBe(0);
  });
});
