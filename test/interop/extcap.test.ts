/** `esplane extcap` as a capture source of the real tshark, and the lines of its protocol. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { esplane, tempFolder } from '../support/cli.ts';
import { readLines } from '../support/decrypt.ts';
import { CAPTURES, needs, program, ROOT, shared } from '../support/needs.ts';
import { LIVE } from '../support/netns.ts';
import { runTun } from '../support/run-tun.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

describe('esplane extcap', () => {
  it('lists its sources, their link types and their options', () => {
    const list = esplane(['extcap', '--extcap-interfaces', '--extcap-version=4.0'])
      .stdout.trimEnd()
      .split('\n');
    expect(list[0]).toMatch(/^extcap \{version=\d+\.\d+\.\d+\}\{display=esplane\}/);
    const names = list
      .slice(1)
      .map((line) => /^interface \{value=([^}]+)\}\{display=[^}]+\}$/.exec(line)?.[1]);
    expect(names).toEqual(['esplane-demo', 'esplane-file', 'esplane-live']);
    for (const name of names) {
      const dlts = esplane(['extcap', `--extcap-interface=${name}`, '--extcap-dlts']).stdout;
      expect(dlts).toBe('dlt {number=101}{name=RAW}{display=Decrypted IP packets}\n');
      const args = esplane(['extcap', '--extcap-interface', name!, '--extcap-config'])
        .stdout.trimEnd()
        .split('\n');
      args.forEach((line, i) => {
        expect(line).toMatch(
          new RegExp(`^arg \\{number=${i}\\}\\{call=--[a-z0-9-]+\\}\\{display=[^}]+\\}\\{type=\\w+\\}`),
        );
      });
    }
  });

  it.each([
    [['extcap'], /for Wireshark to call/],
    [['extcap', '--extcap-interface', 'eth0', '--extcap-dlts'], /no source eth0/],
    [['extcap', '--extcap-interface', 'esplane-demo'], /nothing to do/],
    [
      ['extcap', '--extcap-interface', 'esplane-file', '--capture', '--fifo', '/dev/null'],
      /no capture is named/,
    ],
    [
      ['extcap', '--extcap-interface', 'esplane-live', '--capture', '--fifo', '/dev/null'],
      /no security associations/,
    ],
    [
      ['extcap', '--extcap-interface', 'esplane-demo', '--capture', '--fifo', '/nowhere/x'],
      /cannot be written: its folder does not exist/,
    ],
  ] as const)('%j: 2, and one line', (args, why) => {
    const { code, stderr } = esplane(args);
    expect(stderr).toMatch(why);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
  });
});

needs(
  [ROOT, program('tshark', 'tshark'), program('unshare', 'util-linux'), shared('captures')],
  'esplane extcap in tshark',
  () => {
    const folder = tempFolder();
    const system = /^Extcap path:\s*(\S+)/m.exec(
      spawnSync('tshark', ['-G', 'folders'], { encoding: 'utf8' }).stdout,
    )?.[1];

    /** Runs tshark where a folder with our script alone lies in the place of its own, for this process only. */
    function tshark(given: readonly string[], ...args: readonly string[]) {
      const own = join(folder, 'extcap');
      mkdirSync(own, { recursive: true });
      const script = join(own, 'esplane');
      writeFileSync(script, `#!/bin/sh\nexec ${process.execPath} ${MAIN} extcap ${given.join(' ')} "$@"\n`);
      chmodSync(script, 0o755);
      const inner = 'mount --bind "$0" "$1" && shift && exec tshark "$@"';
      return spawnSync('unshare', ['-m', 'sh', '-c', inner, own, system!, ...args], {
        encoding: 'utf8',
        timeout: 25_000,
      });
    }

    const FIELDS = ['-T', 'fields', '-e', 'ip.src', '-e', 'ip.dst', '-e', '_ws.col.Protocol'];

    it('tshark -D lists the sources', () => {
      const { stdout } = tshark([], '-D');
      for (const name of ['esplane-demo', 'esplane-file', 'esplane-live']) expect(stdout).toContain(name);
    });

    it('captures the clear packets of a simulated cluster', () => {
      const { status, stdout, stderr } = tshark([], '-n', '-i', 'esplane-demo', '-c', '6', ...FIELDS);
      expect(status, stderr).toBe(0);
      const rows = stdout.trimEnd().split('\n');
      expect(rows).toHaveLength(6);
      expect(rows[0]).toBe('10.244.1.10\t10.244.2.20\tICMP');
    });

    it('captures what is in a capture file, with keys that the script names', () => {
      const from = `${CAPTURES}/native-v4`;
      const given = [
        '--keys',
        `${from}/keys`,
        '--nodes',
        `${from}/ciliumnodes.json`,
        '--file',
        `${from}/wire.pcap`,
      ];
      const good = readLines(`${from}/expected.jsonl`).filter(({ verdict }) => verdict === 'ok');
      const args = [
        '-n',
        '-i',
        'esplane-file',
        '-c',
        String(good.length),
        '-T',
        'fields',
        '-e',
        'ip.len',
        '-e',
        'frame.comment',
      ];
      const { status, stdout, stderr } = tshark(given, ...args);
      expect(status, stderr).toBe(0);
      const rows = stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t'));
      expect(rows.map(([len]) => Number(len))).toEqual(good.map(({ inner }) => inner!.length / 2));
      expect(rows[0]![1]).toMatch(/^frame \d+: 10\.244\.\d\.1 > 10\.244\.\d\.1 ESP spi 0x3 seq 1$/);
    });

    needs(LIVE, 'a live interface', () => {
      it('shows pings as they pass', async () => {
        const run = await runTun('--link', 'raw');
        try {
          const name = readdirSync(tmpdir()).find((entry) =>
            entry.startsWith(`esplane-run-${run.child.pid}-`),
          )!;
          const given = [
            '--keys',
            join(tmpdir(), name, 'keys'),
            '--nodes',
            join(tmpdir(), name, 'nodes.json'),
          ];
          const [first, second] = run.netns as [string, string];
          spawnSync('sh', ['-c', `ip netns exec ${first} ping -i 0.2 -c 60 10.244.2.1 >/dev/null 2>&1 &`]);
          const own = tshark([...given, '--device', 'eth0'], '-D');
          expect(own.stdout).toContain('esplane-live');
          const inner = 'mount --bind "$0" "$1" && shift && exec tshark "$@"';
          const args = ['-n', '-i', 'esplane-live', '-c', '4', ...FIELDS];
          const { status, stdout, stderr } = spawnSync(
            'ip',
            [
              'netns',
              'exec',
              second,
              'unshare',
              '-m',
              'sh',
              '-c',
              inner,
              join(folder, 'extcap'),
              system!,
              ...args,
            ],
            { encoding: 'utf8', timeout: 20_000 },
          );
          expect(status, stderr).toBe(0);
          expect(stdout.trimEnd().split('\n').sort()).toEqual([
            ...Array(2).fill('10.244.1.1\t10.244.2.1\tICMP'),
            ...Array(2).fill('10.244.2.1\t10.244.1.1\tICMP'),
          ]);
        } finally {
          run.child.kill('SIGINT');
          await once(run.child, 'close');
        }
      });
    });
  },
);
