import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { esplane, MAIN, tempFolder } from '../support/cli.ts';

const PCAPS = fileURLToPath(new URL('../../pcaps/linux-6.1/faults-esn', import.meta.url));
const WIRE = `${PCAPS}/wire.pcap`;
const SAS = ['--keys', `${PCAPS}/keys`, '--nodes', `${PCAPS}/ciliumnodes.json`];

describe('files that commands read', () => {
  const folder = tempFolder();

  it.each([
    ['two texts', ['decrypt', WIRE, '--keys', '-', '--nodes', '-'], readFileSync(`${PCAPS}/keys`)],
    ['a capture and a text', ['decrypt', '-', '--keys', '-', ...SAS.slice(2)], readFileSync(`${PCAPS}/keys`)],
  ])('reads standard input once: %s', (_, args, input) => {
    const { code, stderr } = esplane(args, input);
    expect(stderr).toBe('esplane: -: standard input is named twice. Give files for all but one.\n');
    expect(code).toBe(2);
  });

  it('reads no text without end', () => {
    const { code, stderr } = esplane(['xfrm', '/dev/zero']);
    expect(stderr).toBe('esplane: /dev/zero: more than 256 MiB. Name a text file.\n');
    expect(code).toBe(2);
  });

  it('reads a capture from a FIFO, whose writer it meets once', async () => {
    const fifo = join(folder, 'fifo');
    spawnSync('mkfifo', [fifo]);
    const writer = spawn('dd', [`if=${WIRE}`, `of=${fifo}`, 'bs=64k'], { stdio: 'ignore' });
    const wrote = once(writer, 'close');
    const reader = spawn(process.execPath, [MAIN, 'decrypt', fifo, ...SAS, '-q'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    reader.stderr.on('data', (bytes) => {
      said += bytes;
    });
    expect((await once(reader, 'close'))[0]).toBe(0);
    expect(said).toContain('85 frames, 85 ESP packets: 54 decrypted, 31 dropped');
    expect((await wrote)[0]).toBe(0);
  });
});
