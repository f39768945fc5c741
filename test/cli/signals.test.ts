import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { MAIN } from '../support/cli.ts';

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
