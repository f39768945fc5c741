/** The helper that the interop tests with a real kernel stand on. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { needs } from '../support/needs.ts';
import { runInUml, startUml, UML_NEEDS } from '../support/uml.ts';

needs(UML_NEEDS, 'User-mode Linux', () => {
  it('runs a script, hands files in and out, and writes nowhere else', async () => {
    const { stdout, stderr, exit, files } = await runInUml(
      `
      uname -s; cat given
      echo aside >&2
      touch /root/esplane-leak && echo LEAK
      echo kept > left
      ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 3 mode tunnel aead 'rfc4106(gcm(aes))' 0x${'41'.repeat(20)} 128
      ip xfrm state count
      exit 7`,
      { timeout: 60_000, files: { given: 'handed in\n' } },
    );
    expect(stdout).toBe('Linux\nhanded in\n\t SAD count 1\n');
    expect(stderr).toMatch(/aside\n.*Read-only file system/);
    expect(exit).toBe(7);
    expect([...files.keys()]).toEqual(['left']);
    expect(new TextDecoder().decode(files.get('left'))).toBe('kept\n');
  }, 90_000);

  it('kills a guest that does not end, with all its processes, and removes its folder', async () => {
    const guest = startUml('echo begun; sleep 1000', { timeout: 8000 });
    await expect(guest.result).rejects.toThrow(/killed after 8000 ms[\s\S]*begun/);
    expect(existsSync(guest.folder)).toBe(false);
    expect(spawnSync('pgrep', ['-f', guest.folder]).stdout.toString()).toBe('');
  }, 60_000);

  it('says why when the guest does not come up', async () => {
    const guest = runInUml('true', { timeout: 30_000, memory: '1M' });
    await expect(guest).rejects.toThrow(/User-mode Linux/);
  }, 60_000);
});
