/**
 * Nothing that the addon makes stays: descriptors and threads are counted over rounds of opening and closing all of
 * it, nodes in worker threads included, and a build with AddressSanitizer looks for memory that is used after it was
 * freed or lost. Leaks are those whose allocation has a frame of the addon: node's own are node's.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { needs, program } from '../support/needs.ts';
import { LIVE, makeNamespaces, must, type Namespaces } from '../support/netns.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const CHURN = fileURLToPath(new URL('churn.mjs', import.meta.url));
const LEAK = fileURLToPath(new URL('leak.h', import.meta.url));
const CLUSTER = join(PROJECT, 'pcaps/linux-6.1/native-v4');

/** A line of a stack that lies in the addon. */
const OURS = /#\d+ .*(\.\.\/src\/[\w-]+\.(cc|h):|esplane\.node)/;

interface Said {
  readonly first: { readonly fds: readonly string[]; readonly threads: number };
  readonly last: { readonly fds: readonly string[]; readonly threads: number };
}

needs([program('g++', 'g++'), program('make', 'make'), ...LIVE], 'leaks of the addon', () => {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-leaks-'));
  let net: Namespaces;
  beforeAll(() => {
    net = makeNamespaces();
    for (const file of ['keys', 'ciliumnodes.json']) {
      const text = readFileSync(join(CLUSTER, file), 'utf8').replaceAll('192.168.7.', '10.99.0.');
      writeFileSync(join(folder, file), text);
    }
    const config = {
      name: 'node-1',
      netns: net.a,
      outside: { link: 'raw', address: '10.99.0.1' },
      keys: 'keys',
      nodes: 'ciliumnodes.json',
      'state-dir': 'state',
    };
    writeFileSync(join(folder, 'node.yaml'), JSON.stringify(config));
  });
  afterAll(() => {
    net?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  function churn(dist: string, rounds: number, env: Record<string, string> = {}, ...more: string[]) {
    const config = join(folder, 'node.yaml');
    const args = ['--expose-gc', CHURN, dist, net.a, net.b, config, String(rounds), ...more];
    const run = spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, ...env } });
    return {
      status: run.status,
      stderr: run.stderr,
      said: JSON.parse(run.stdout || 'null') as Said | null,
    };
  }

  it('keeps no descriptor and no thread, and a lost descriptor is found', () => {
    const { status, stderr, said } = churn(join(PROJECT, 'dist'), 3);
    expect(status, stderr).toBe(0);
    expect(said!.last).toEqual(said!.first);
    const lost = churn(join(PROJECT, 'dist'), 2, {}, 'leak');
    expect(lost.said!.last.fds.length - lost.said!.first.fds.length).toBe(1);
  }, 60_000);

  /** Builds the addon with AddressSanitizer, in a copy of the built project. @returns its `dist` */
  function sanitized(name: string, flags: string): string {
    const copy = join(folder, name);
    const release = join(copy, 'native/build/Release');
    mkdirSync(release, { recursive: true });
    cpSync(join(PROJECT, 'dist'), join(copy, 'dist'), { recursive: true });
    copyFileSync(join(PROJECT, 'package.json'), join(copy, 'package.json'));
    symlinkSync(join(PROJECT, 'node_modules'), join(copy, 'node_modules'));
    must(
      'make',
      ...['-s', '-j2', '-C', join(PROJECT, 'native/build'), 'BUILDTYPE=Release'],
      `builddir_name=${join(folder, 'build')}`,
      `CXXFLAGS=-fsanitize=address -fno-omit-frame-pointer -O1 -g1 ${flags}`,
      'LDFLAGS=-fsanitize=address',
    );
    copyFileSync(join(folder, 'build/Release/esplane.node'), join(release, 'esplane.node'));
    return join(copy, 'dist');
  }

  /** Runs it under AddressSanitizer. @returns the leaks that the addon is part of */
  function leaks(dist: string): string[] {
    const { said, stderr } = churn(dist, 1, {
      LD_PRELOAD: must('g++', '-print-file-name=libasan.so').trim(),
      // An error ends the process at once; a leak of node's own does not count.
      ASAN_OPTIONS: 'detect_leaks=1:malloc_context_size=12:exitcode=0',
    });
    expect(said, stderr.slice(0, 3000)).not.toBeNull();
    // What node allocates to hold a handle it frees at a collection, which need not come before a thread ends.
    return stderr
      .split('\n\n')
      .filter((part) => /leak of /.test(part) && OURS.test(part) && !/#1 \S+ in napi_/.test(part));
  }

  it('loses no memory and uses none that is freed, and a lost allocation is found', () => {
    expect(leaks(sanitized('clean', ''))).toEqual([]);
    const forgetful = leaks(sanitized('forgetful', `$(if $(findstring cipher-openssl,$@),-include ${LEAK})`));
    expect(forgetful.join('\n')).toMatch(/HMAC_CTX_new[\s\S]*cipher-openssl\.cc/);
  }, 120_000);
});
