import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hasPart, MAIN, tempFolder } from '../support/cli.ts';

const PCAPS = fileURLToPath(new URL('../../pcaps/linux-6.1/faults-esn', import.meta.url));
const SAS = ['--keys', `${PCAPS}/keys`, '--nodes', `${PCAPS}/ciliumnodes.json`];

describe('Ctrl-C', () => {
  const folder = tempFolder();

  it('ends decrypt while its capture waits for more, with what came', async () => {
    const child = spawn(process.execPath, [MAIN, 'decrypt', '-', ...SAS]);
    let lines = 0;
    let said = '';
    child.stderr.on('data', (bytes) => {
      said += bytes;
    });
    child.stdout.on('data', (bytes) => {
      lines += String(bytes).split('\n').length - 1;
      if (lines === 85) child.kill('SIGINT');
    });
    child.stdin.write(readFileSync(`${PCAPS}/wire.pcap`));
    const [code] = await once(child, 'close');
    expect(said).toMatch(/85 frames, 85 ESP packets: 54 decrypted, 31 dropped/);
    expect(said).toMatch(/^esplane: interrupted$/m);
    expect(code).toBe(130);
  });

  it('ends decrypt before anybody writes to its FIFO, and leaves no file', async () => {
    const { child, fifo, out } = startOnFifo('early');
    while (!hasOpen(child.pid!, fifo)) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGINT');
    const [code] = await once(child, 'close');
    expect(code).toBe(130);
    expect(hasPart(out)).toBe(false);
  });

  it('ends decrypt while the writer of its FIFO is silent', async () => {
    const { child, fifo, out } = startOnFifo('silent');
    // Open on this side means open on the other.
    const writer = await open(fifo, 'w');
    try {
      child.kill('SIGINT');
      const [code] = await once(child, 'close');
      expect(code).toBe(130);
      expect(hasPart(out)).toBe(false);
    } finally {
      await writer.close();
    }
  });

  it('reads a FIFO to the end of what its writers write', async () => {
    const { child, fifo, out } = startOnFifo('whole');
    const ended = once(child, 'close');
    await writeFile(fifo, readFileSync(`${PCAPS}/wire.pcap`));
    expect((await ended)[0]).toBe(0);
    expect(existsSync(out)).toBe(true);
  });

  function hasOpen(pid: number, file: string): boolean {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((fd) => {
      try {
        return readlinkSync(join(folder, fd)) === file;
      } catch {
        return false; // closed meanwhile
      }
    });
  }

  function startOnFifo(name: string) {
    const fifo = join(folder, name);
    const out = join(folder, `${name}.pcapng`);
    spawnSync('mkfifo', [fifo]);
    const child = spawn(process.execPath, [MAIN, 'decrypt', fifo, ...SAS, '-w', out], { stdio: 'ignore' });
    return { child, fifo, out };
  }
});

describe('SIGHUP', () => {
  it('ends what has nothing to read again', async () => {
    const child = spawn(process.execPath, [MAIN, 'lab', '--port', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout!, 'data');
    child.kill('SIGHUP');
    expect((await once(child, 'close'))[0]).toBe(0);
  });
});
