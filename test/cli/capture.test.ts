/** `esplane capture`: a stream on standard input, and real ESP on an interface. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Diagnosis } from '../../src/inspect/diagnose/finding.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { fixedFields, type Line, readLines } from '../support/decrypt.ts';
import { CAPTURES, needs, PYTHON, PYTHON_NEED, program, shared } from '../support/needs.ts';
import { LIVE, makeNamespaces } from '../support/netns.ts';
import { runTun } from '../support/run-tun.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A program that runs on, and what it has said so far. */
class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  #isClosed = false;

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout!.on('data', (bytes) => {
      this.stdout += bytes;
    });
    this.child.stderr!.on('data', (bytes) => {
      this.stderr += bytes;
    });
    this.child.once('close', () => {
      this.#isClosed = true;
    });
  }

  /** Waits until `condition` holds. */
  async until(condition: () => boolean): Promise<void> {
    for (let tries = 0; !condition(); tries++) {
      if (tries > 400 || (this.#isClosed && !condition()))
        throw new Error(`it never came: ${this.stdout}${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** @returns its exit status */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (this.#isClosed) return this.child.exitCode;
    const closed = once(this.child, 'close');
    if (signal) this.child.kill(signal);
    await closed;
    return this.child.exitCode;
  }

  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1);
  }
}

needs([shared('captures')], 'esplane capture - (a stream)', () => {
  const folder = tempFolder();
  const from = `${CAPTURES}/faults-esn`;
  const sas = ['--keys', `${from}/keys`, '--nodes', `${from}/ciliumnodes.json`];
  const bytes = readFileSync(`${from}/wire.pcap`);

  it('tells each packet when it comes, and ends in order on Ctrl-C', async () => {
    const out = `${folder}/live.pcapng`;
    const capture = new Running(process.execPath, [MAIN, 'capture', '-', ...sas, '-w', out]);
    capture.child.stdin!.write(bytes.subarray(0, 3000));
    await capture.until(() => capture.lines.length >= 2);
    const first = capture.lines.length;
    expect(capture.lines[0]).toMatch(
      /^1 [\dT:.-]+Z 10\.244\.1\.1 \(node-1\) > 10\.244\.2\.1 \(node-2\): ESP\(spi=0x00000003,seq=1\) IP 10\./,
    );
    capture.child.stdin!.write(bytes.subarray(3000, 9000));
    await capture.until(() => capture.lines.length > first);
    expect(await capture.end('SIGINT')).toBe(0);
    expect(capture.stderr).toMatch(/^-: \d+ frames, \d+ ESP packets: \d+ decrypted, 0 dropped$/m);
    expect(existsSync(out)).toBe(true);
    const again = esplane(['decrypt', out, ...sas]);
    expect(again.stderr).toContain(`${capture.lines.length} frames`);
  });

  it('--json is what decrypt says, to the end of the stream', () => {
    const { code, stdout } = esplane(['capture', ...sas, '--json'], bytes);
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    expect(lines.map(fixedFields)).toEqual(readLines(`${from}/expected.jsonl`));
  });

  it('unpacks a packed stream as it comes, and takes Ctrl-C within it', async () => {
    const packed = gzipSync(bytes);
    const whole = esplane(['capture', ...sas], packed);
    expect([whole.code, whole.stdout]).toEqual([0, esplane(['capture', ...sas], bytes).stdout]);
    const capture = new Running(process.execPath, [MAIN, 'capture', '-', ...sas]);
    capture.child.stdin!.write(packed.subarray(0, packed.length / 2));
    await capture.until(() => capture.lines.length >= 2);
    expect(await capture.end('SIGINT')).toBe(0);
    expect(capture.stderr).toMatch(/^-: \d+ frames, \d+ ESP packets: \d+ decrypted, 0 dropped$/m);
  });

  it('--diagnose --json: the findings when they appear, and the diagnosis of diagnose at the end', async () => {
    const capture = new Running(process.execPath, [MAIN, 'capture', '-', ...sas, '--diagnose', '--json']);
    capture.child.stdin!.write(bytes);
    await capture.until(() => capture.stdout.includes('"finding":{"code":"replayed"'));
    capture.child.stdin!.end();
    expect(await capture.end()).toBe(0);
    const { diagnosis } = JSON.parse(capture.lines.at(-1)!) as { diagnosis: Diagnosis };
    const offline = esplane(['diagnose', `${from}/wire.pcap`, ...sas, '--json']);
    expect({ schema: 1, ...diagnosis }).toEqual(JSON.parse(offline.stdout));
    expect(capture.lines.filter((line) => line.startsWith('{"frame"'))).toHaveLength(85);
  });

  it('without SAs lists ESP as tcpdump does', () => {
    const { code, stdout, stderr } = esplane(['capture', '-', '-c', '1'], bytes);
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(
        /^1 [\dT:.-]+Z 10\.244\.1\.1 > 10\.244\.2\.1: ESP\(spi=0x00000003,seq=1\), length \d+\n$/,
      ),
    ]);
    expect(stderr).toContain('no security associations are given');
  });

  it('--diagnose as text: packets, then the page', () => {
    const { code, stdout } = esplane(['capture', ...sas, '--diagnose', '-q'], bytes);
    expect(code).toBe(0);
    expect(stdout).toContain('What the receiving kernels would count');
    expect(stdout).toMatch(/replayed/);
  });

  it('takes what opens the packets without being told what it is', () => {
    const named = esplane(['capture', '-', ...sas], bytes);
    const files = [`${from}/ciliumnodes.json`, `${from}/keys`];
    const told = esplane(['capture', '-', ...files], bytes);
    expect([told.code, told.stdout]).toEqual([0, named.stdout]);
    expect(told.stderr).toContain("keys: Cilium's keys\n");
  });

  it('--explain shows the tree of each packet; -c ends', () => {
    const { code, stdout, stderr } = esplane(['capture', ...sas, '--explain', '-c', '2'], bytes);
    expect(code).toBe(0);
    expect(stdout.match(/^\d+ [\dT:.-]+Z .*ESP\(spi=/gm)).toHaveLength(2);
    expect(stdout.match(/── Decrypted, \d+ bytes ──/g)).toHaveLength(2);
    expect(stderr).toContain('2 ESP packets: 2 decrypted');
  });

  it.each([
    [['capture', '-', '-i', 'eth0'], '', /not both/],
    [['capture', `${from}/wire.pcap`, ...sas], '', /For a file: esplane decrypt/],
    [['capture', 'nope', ...sas], '', /nope: no such file/],
    [['capture', '-', '-w', '/nowhere/x', '--wire'], bytes, /nowhere/],
    [['capture', '-', ...sas], 'nonsense', /neither pcap nor pcapng/],
    [['capture', '-', ...sas], '', /the file is empty/],
    [['capture', '-', ...sas, '-c', '0'], '', /a number from 1 up/],
    [['capture', '-', ...sas], bytes.subarray(0, 3000), /cut off in the middle/],
  ] as const)('%j: 2, and one line', (args, input, why) => {
    const { code, stderr } = esplane(args, input);
    expect(stderr).toMatch(why);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(2);
  });
});

needs([PYTHON_NEED, program('tcpdump', 'tcpdump'), ...LIVE], 'esplane capture -i, real ESP', () => {
  describe('between two nodes', () => {
    let run: Awaited<ReturnType<typeof runTun>>;
    let sas: string[] = [];
    const inside = (n: 0 | 1, ...command: string[]) => ['netns', 'exec', run.netns[n]!, ...command];
    const ping = (count: number) =>
      spawnSync('ip', inside(0, 'ping', '-c', String(count), '-i', '0.05', '-W', '5', '10.244.2.1')).status;
    beforeAll(async () => {
      run = await runTun('--link', 'raw');
      const name = readdirSync(tmpdir()).find((entry) => entry.startsWith(`esplane-run-${run.child.pid}-`))!;
      const folder = join(tmpdir(), name);
      sas = ['--keys', join(folder, 'keys'), '--nodes', join(folder, 'nodes.json')];
    }, 60_000);
    afterAll(async () => {
      run.child.kill('SIGINT');
      await once(run.child, 'close');
    });

    it.each(['eth0', 'any'])(
      '-i %s: a line for each packet as it passes, Ctrl-C, the file',
      async (device) => {
        const out = join(tempName(), `${device}.pcapng`);
        const args = ['capture', '-i', device, ...sas, '-w', out, '--wire', '--with-secrets'];
        const capture = new Running('ip', inside(1, process.execPath, MAIN, ...args));
        await capture.until(() => capture.stderr.includes('listening'));
        expect(ping(5)).toBe(0);
        await capture.until(() => capture.lines.length >= 10);
        expect(await capture.end('SIGINT')).toBe(0);
        expect(capture.lines).toHaveLength(10);
        expect(capture.lines[0]).toMatch(
          /ESP\(spi=0x00000003,seq=\d+\) IP 10\.244\.1\.1 > 10\.244\.2\.1: ICMP echo request, length 84$/,
        );
        expect(capture.lines[1]).toMatch(/ICMP echo reply/);
        expect(capture.stderr).toMatch(/10 ESP packets: 10 decrypted, 0 dropped/);
        const again = esplane(['decrypt', out]);
        expect(again.stderr).toContain('10 ESP packets: 10 decrypted');
      },
    );

    it('a stream of tcpdump, and Ctrl-C for both', async () => {
      const line = `exec tcpdump -ni eth0 -U -w - 2>/dev/null | ${process.execPath} ${MAIN} capture - ${sas.join(' ')}`;
      // A shell in a group of its own, as a terminal has it.
      const pipeline = new Running(
        'ip',
        inside(1, 'setsid', 'sh', '-c', `(trap - INT; ${line}) & trap "kill -INT -$$" TERM; wait; wait`),
      );
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(ping(3)).toBe(0);
      await pipeline.until(() => pipeline.lines.length >= 6);
      pipeline.child.kill('SIGTERM');
      await pipeline.end();
      expect(pipeline.stderr).toMatch(/6 ESP packets: 6 decrypted, 0 dropped/);
    });

    it('without --all the kernel passes on ESP alone; with it the clear packets are shown, too', async () => {
      const options = ['capture', '-i', 'eth0', ...sas];
      const only = new Running('ip', inside(1, process.execPath, MAIN, ...options));
      const all = new Running('ip', inside(1, process.execPath, MAIN, ...options, '--all'));
      await only.until(() => only.stderr.includes('listening'));
      await all.until(() => all.stderr.includes('listening'));
      expect(spawnSync('ip', inside(0, 'ping', '-c', '2', '-i', '0.05', '192.168.7.2')).status).toBe(0);
      expect(ping(1)).toBe(0);
      await all.until(() => all.lines.length >= 6);
      await only.until(() => only.lines.length >= 2);
      expect([await only.end('SIGINT'), await all.end('SIGINT')]).toEqual([0, 0]);
      expect(only.stderr).toMatch(/: 2 frames, 2 ESP packets/);
      const clear = all.lines.filter((line) =>
        line.includes('IP 192.168.7.1 > 192.168.7.2: ICMP echo request'),
      );
      expect(clear).toHaveLength(2);
    });
  });

  const tempName = (() => {
    const folder = tempFolder();
    return () => folder;
  })();

  it('ESP in UDP on port 4500 passes the filter, and is what the kernel makes of it', async () => {
    const run = await runTun('--link', 'udp');
    try {
      const name = readdirSync(tmpdir()).find((entry) => entry.startsWith(`esplane-run-${run.child.pid}-`))!;
      const folder = join(tmpdir(), name);
      const sas = ['--keys', join(folder, 'keys'), '--nodes', join(folder, 'nodes.json')];
      const where = ['netns', 'exec', run.netns[1]!];
      const lines = async (...more: readonly string[]) => {
        const args = ['capture', '-i', 'eth0', ...sas, '-c', '2', ...more];
        const capture = new Running('ip', [...where, process.execPath, MAIN, ...args]);
        await capture.until(() => capture.stderr.includes('listening'));
        spawnSync('ip', ['netns', 'exec', run.netns[0]!, 'ping', '-c', '1', '-W', '5', '10.244.2.1']);
        expect(await capture.end()).toBe(0);
        expect(capture.lines).toHaveLength(2);
        return capture.lines;
      };
      // Cilium's SAs have no UDP encapsulation; those of this run have.
      for (const line of await lines()) expect(line).toMatch(/encap-mismatch \(XfrmInStateMismatch\)$/);
      const [request, reply] = await lines('--udp-port', '4500');
      expect(request).toContain('IP 10.244.1.1 > 10.244.2.1: ICMP echo request');
      expect(reply).toContain('IP 10.244.2.1 > 10.244.1.1: ICMP echo reply');
    } finally {
      run.child.kill('SIGINT');
      await once(run.child, 'close');
    }
  });

  it('a VLAN tag that the kernel took out is put back; tagged ESP passes the filter', async () => {
    const net = makeNamespaces();
    try {
      const from = `${CAPTURES}/native-v4`;
      const args = ['capture', '-i', 'v', '--keys', `${from}/keys`, '--nodes', `${from}/ciliumnodes.json`];
      const out = join(tempName(), 'vlan.pcapng');
      const capture = new Running('ip', [
        ...['netns', 'exec', net.b, process.execPath, MAIN, ...args],
        ...['--wire', '-w', out, '-c', '1'],
      ]);
      await capture.until(() => capture.stderr.includes('listening'));
      const esp = '45000028000040004032000a0af401010af40201' + '0000006300000001000102030405060708091011';
      const frame = `0200000000020200000000018100000708 00${esp}`.replaceAll(' ', '');
      net.run(
        'a',
        PYTHON,
        '-c',
        `import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('v', 0))
s.send(bytes.fromhex('${frame}'))`,
      );
      expect(await capture.end()).toBe(0);
      expect(capture.lines[0]).toMatch(
        /10\.244\.1\.1 \(node-1\) > 10\.244\.2\.1 \(node-2\): ESP\(spi=0x00000063,seq=1\) dropped: no-state/,
      );
      const read = spawnSync('tcpdump', ['-nner', out, 'vlan 7'], { encoding: 'utf8' });
      expect(read.stdout).toMatch(/02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802\.1Q .*vlan 7, .*ESP/);
    } finally {
      net.remove();
    }
  });

  it('says what is wrong: no such interface, one that goes away, no right', async () => {
    const net = makeNamespaces();
    try {
      const from = `${CAPTURES}/native-v4`;
      const sas = ['--keys', `${from}/keys`, '--nodes', `${from}/ciliumnodes.json`];
      const none = esplane(['capture', '-i', 'est-nowhere', ...sas]);
      expect([none.code, none.stderr]).toEqual([
        2,
        'esplane: listen on est-nowhere: ENODEV. There is no interface est-nowhere: look with ip link.\n',
      ]);
      const capture = new Running('ip', [
        'netns',
        'exec',
        net.a,
        process.execPath,
        MAIN,
        'capture',
        '-i',
        'v',
        ...sas,
      ]);
      await capture.until(() => capture.stderr.includes('listening'));
      net.run('a', 'ip', 'link', 'set', 'v', 'down');
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(capture.child.exitCode, 'an interface that is down comes back').toBeNull();
      net.run('a', 'ip', 'link', 'delete', 'v');
      expect(await capture.end()).toBe(2);
      expect(capture.stderr).toMatch(/listen on v: ENODEV\. The interface was removed/);
      const nobody = [
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        '--bounding-set=-all',
        '--inh-caps=-all',
      ];
      const refused = spawnSync(
        'setpriv',
        [...nobody, process.execPath, MAIN, 'capture', '-i', 'lo', ...sas],
        {
          encoding: 'utf8',
        },
      );
      expect([refused.status, refused.stderr]).toEqual([
        2,
        expect.stringMatching(/listen on lo: EPERM\. Run as root, or with CAP_NET_RAW/),
      ]);
    } finally {
      net.remove();
    }
  });
});
