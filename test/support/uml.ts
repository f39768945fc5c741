/**
 * A real Linux kernel for tests: User-mode Linux 6.1 (Debian's `user-mode-linux`), run as an ordinary process.
 *
 * The guest's root is the host's file system, mounted read-only; only the guest's own folder, a temporary one, is
 * writable, and the script runs in it. `/tmp`, `/run` and `/dev` are the guest's own. `ip`, `tcpdump`, `node` and
 * the project are there, networks are not, unless `args` gives it one.
 *
 * Modules are loaded with the system call itself, from perl, so neither kmod nor `/lib/modules` is needed.
 * The guest is killed at the timeout, and when the test process ends.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Need, program } from './needs.ts';

/** Where this checkout is. */
const PROJECT = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');
const MODULES_ROOT = '/usr/lib/uml/modules';

/** What ESP of every suite, both IP versions, and networks inside the guest take. */
const MODULES = [
  ...['ipv6', 'gcm', 'ctr', 'ghash-generic', 'cbc', 'hmac', 'sha512_generic', 'authenc', 'authencesn'],
  ...['chacha20poly1305', 'chacha_generic', 'poly1305_generic', 'drbg', 'jitterentropy_rng', 'seqiv'],
  ...['echainiv', 'esp4', 'esp6', 'ah4', 'xfrm_user', 'veth', 'tun', 'vxlan'],
];

/** What the rest of the algorithms takes that Linux has for ESP; SM3 and SM4 are not built for User-mode Linux. */
export const ALGORITHM_MODULES = [
  ...['ccm', 'cmac', 'xcbc', 'rmd160', 'des_generic', 'cast5_generic', 'blowfish_generic'],
  ...['camellia_generic', 'serpent_generic', 'twofish_generic'],
];

/** What a test that runs a guest has to ask for. */
export const UML_NEEDS: readonly Need[] = [
  program('linux.uml', 'user-mode-linux'),
  program('ip', 'iproute2'),
  program('perl', 'perl-base'),
  {
    what: `kernel modules in ${MODULES_ROOT}`,
    there: existsSync(MODULES_ROOT),
    remedy: 'apt-get install user-mode-linux',
  },
];

export interface UmlOptions {
  /** Milliseconds, boot included, after which the guest is killed. A boot takes about three seconds. */
  readonly timeout: number;
  /** Files to put into the guest's folder, by name. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Modules to load beside the usual ones. */
  readonly modules?: readonly string[];
  /** Memory as the kernel's `mem=` takes it; default 256M. */
  readonly memory?: string;
  /** More kernel arguments, such as `vec0:transport=tap,ifname=tap0,depth=128`. */
  readonly args?: readonly string[];
  /** Network namespace of the host in which the guest's process runs; its TAP devices are there. */
  readonly netns?: string;
}

export interface UmlResult {
  /** What the script printed. */
  readonly stdout: string;
  readonly stderr: string;
  /** The script's exit status. */
  readonly exit: number;
  /** Files that the script left in its folder, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface UmlGuest {
  /** The guest's folder, seen by host and guest under the same name; gone when {@link result} settles. */
  readonly folder: string;
  /** Rejects, with the guest's console, when the script did not come to its end. */
  readonly result: Promise<UmlResult>;
  /** Kills the guest now. */
  stop(): void;
}

/** Runs a shell script in a guest and waits for its end. */
export function runInUml(script: string, options: UmlOptions): Promise<UmlResult> {
  return startUml(script, options).result;
}

/** Boots a guest that runs a shell script, for tests that act from outside meanwhile. */
export function startUml(script: string, options: UmlOptions): UmlGuest {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-uml-'));
  for (const [name, content] of Object.entries(options.files ?? {})) {
    writeFileSync(join(folder, name), content);
  }
  const given = new Set([...Object.keys(options.files ?? {}), ...PLUMBING]);
  writeFileSync(join(folder, '.script'), script);
  writeFileSync(join(folder, '.modules'), `${modulePaths(options.modules ?? []).join('\n')}\n`);
  writeFileSync(join(folder, '.init'), initScript(folder, options.timeout), { mode: 0o755 });

  const command = [
    ...(options.netns === undefined ? [] : ['ip', 'netns', 'exec', options.netns]),
    ...['linux.uml', `mem=${options.memory ?? '256M'}`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/'],
    ...['ro', `init=${folder}/.init`, `uml_dir=${folder}/`, 'umid=guest', 'con=null', 'con0=null,fd:1'],
    ...['quiet', ...(options.args ?? [])],
  ];
  // Detached: a process group of its own, because the guest's processes are processes of the host.
  const child = spawn(command[0]!, command.slice(1), { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = () => killGroup(child);
  process.once('exit', stop);

  let console = '';
  const keep = (bytes: Buffer) => {
    console = (console + bytes.toString()).slice(-4000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);

  const result = new Promise<UmlResult>((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      stop();
    }, options.timeout);
    const settle = (failure: string | undefined) => {
      clearTimeout(timer);
      process.off('exit', stop);
      stop(); // what the guest left behind
      try {
        const exit = readText(folder, '.exit');
        if (failure === undefined && exit !== '') {
          const files = collect(folder, given);
          const stdout = readText(folder, '.stdout');
          resolve({ stdout, stderr: readText(folder, '.stderr'), exit: Number(exit), files });
        } else {
          const why = late ? `killed after ${options.timeout} ms` : (failure ?? 'the guest ended early');
          const said = ['.stdout', '.stderr'].map((name) => readText(folder, name).slice(-2000)).join('');
          reject(new Error(`User-mode Linux: ${why}\nconsole: ${console}\nscript: ${said}`));
        }
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    };
    child.once('error', (error) => settle(error.message));
    child.once('close', (_code, signal) => settle(signal === null ? undefined : `ended by ${signal}`));
  });
  return { folder, result, stop };
}

/** Names in the guest's folder that are not the script's. */
const PLUMBING = ['.script', '.modules', '.init', '.stdout', '.stderr', '.exit', 'guest'];

/**
 * Runs as process 1. The self-test of jitterentropy_rng asks for noise that this machine's clock does not always make;
 * the random generator, which would only use it too, goes on without. System call 313 is finit_module, 169 is reboot (here: power off). The watchdog is for a test process that was itself killed without warning. */
function initScript(folder: string, timeout: number): string {
  // The guest has a /tmp and a /run of its own; a checkout that lies there is shown all the same.
  const project = /^\/(tmp|run)\//.test(PROJECT)
    ? `mkdir -p '${PROJECT}'\nmount -r -t hostfs -o '${PROJECT}' host '${PROJECT}' || off\n`
    : '';
  const path = `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  return `#!/bin/sh
export PATH='${path}' HOME=/tmp LC_ALL=C
off() { perl -e 'syscall(169, 0xfee1dead, 672274793, 0x4321fedc, 0)'; }
mount -t proc proc /proc
mount -t sysfs sys /sys
[ -c /dev/null ] || mount -t devtmpfs dev /dev
mount -t tmpfs tmp /run
mount -t tmpfs tmp /tmp
${project}mkdir -p '${folder}'
mount -t hostfs -o '${folder}' host '${folder}' || off
cd '${folder}' || off
perl -e 'for (@ARGV) { open(my $f, "<", $_) or die "$_: $!\\n"; my $none = ""; syscall(313, fileno($f), $none, 0) == 0 or /jitterentropy/ or die "$_: $!\\n" }' $(cat .modules) || off
ip link set lo up
( sleep ${Math.ceil(timeout / 1000) + 5}; off ) > /dev/null 2>&1 &
sh .script > .stdout 2> .stderr < /dev/null
echo $? > .exit
sync
off
`;
}

/** Files of the modules and of what they depend on, in the order of loading. */
function modulePaths(more: readonly string[]): string[] {
  const release = readdirSync(MODULES_ROOT)[0];
  if (release === undefined) throw new Error(`${MODULES_ROOT} is empty`);
  const root = join(MODULES_ROOT, release);
  const needs = new Map<string, readonly string[]>();
  const byName = new Map<string, string>();
  for (const line of readFileSync(join(root, 'modules.dep'), 'utf8').split('\n')) {
    const [path = '', rest = ''] = line.split(':');
    needs.set(path, rest.split(' ').filter(Boolean));
    byName.set(path.replace(/^.*\/|\.ko$/g, ''), path);
  }
  const order = new Set<string>();
  for (const name of [...MODULES, ...more]) {
    const path = byName.get(name);
    if (path === undefined) throw new Error(`no module ${name} in ${root}`);
    // modules.dep names the nearest first, the one without needs last.
    for (const file of [path, ...(needs.get(path) ?? [])].reverse()) order.add(join(root, file));
  }
  return [...order];
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // No process is left in the group.
  }
}

function readText(folder: string, name: string): string {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function collect(folder: string, given: ReadonlySet<string>): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (!given.has(name) && statSync(path).isFile()) files.set(name, readFileSync(path));
  }
  return files;
}
