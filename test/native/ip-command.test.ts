/** What `ip -j` prints, or what stands in its place: a program of the test's own on the PATH. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ip, ipBatch, ipJson } from '../../src/native/ip-command.ts';
import { SystemError } from '../../src/native/system-error.ts';

describe('ip', () => {
  const path = process.env['PATH'];
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'esplane-ip-'));
    process.env['PATH'] = `${folder}:${path}`;
  });
  afterEach(() => {
    process.env['PATH'] = path;
    rmSync(folder, { recursive: true, force: true });
  });
  const prints = (script: string) => {
    writeFileSync(join(folder, 'ip'), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, 'ip'), 0o755);
  };
  function failure(work: () => unknown): SystemError {
    try {
      work();
    } catch (error) {
      expect(error).toBeInstanceOf(SystemError);
      return error as SystemError;
    }
    throw new Error('it did not fail');
  }

  it('reads lists, and takes nothing for an empty one', () => {
    prints('echo "[{\\"gateway\\":\\"10.0.0.1\\",\\"asked\\":\\"$*\\"}]"');
    expect(ipJson('route', 'get', '192.0.2.1')).toEqual([
      { gateway: '10.0.0.1', asked: '-j route get 192.0.2.1' },
    ]);
    prints('echo');
    expect(ipJson('neigh')).toEqual([]);
  });

  it('runs many commands at once, none without one', () => {
    prints(`echo "$*" > ${'$'}{0}.said; cat >> ${'$'}{0}.said`);
    ipBatch([]);
    expect(existsSync(join(folder, 'ip.said'))).toBe(false);
    ipBatch(['route del 10.1.0.0/24 dev esp0', 'route replace 10.2.0.0/24 dev esp0']);
    expect(readFileSync(join(folder, 'ip.said'), 'utf8')).toBe(
      '-force -batch -\nroute del 10.1.0.0/24 dev esp0\nroute replace 10.2.0.0/24 dev esp0\n',
    );
    prints('cat > /dev/null; echo "Command failed -:1" >&2; exit 1');
    expect(failure(() => ipBatch(['route del 10.1.0.0/24 dev esp0'])).message).toContain(
      'Command failed -:1',
    );
  });

  it.each([
    [
      'text of a version without JSON',
      'echo 192.0.2.1 via 10.0.0.1 dev eth0',
      '192.0.2.1 via 10.0.0.1 dev eth0',
    ],
    ['half a list', 'printf "[{"', '[{'],
    ['an object', 'echo "{}"', '{}'],
  ])('says what it got instead: %s', (_, script, shown) => {
    prints(script);
    const { message, syscall } = failure(() => ipJson('route', 'get', '192.0.2.1'));
    expect(syscall).toBe('ip -j route get 192.0.2.1');
    expect(message).toBe(
      `ip -j route get 192.0.2.1: prints no list in JSON (${shown}). iproute2 4.16 or later does: apt-get install iproute2.`,
    );
  });

  it('passes on its complaint, and says how to get it where it is not there', () => {
    prints('echo "RTNETLINK answers: Network is unreachable" >&2; exit 2');
    expect(failure(() => ip('route', 'get', '192.0.2.1')).message).toMatch(
      /^ip route get 192\.0\.2\.1: failed \(RTNETLINK answers: Network is unreachable\)\. /,
    );
    process.env['PATH'] = '/nonexistent';
    expect(failure(() => ip('link')).message).toMatch(/^ip: ENOENT\. Install it: apt-get install iproute2\./);
  });
});
