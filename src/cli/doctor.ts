/**
 * `esplane doctor`: what this host allows, and what to install or run for the rest.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { nativeProblem } from '../crypto/native.ts';
import { addon, addonProblem } from '../native/addon.ts';
import { printLine } from './output.ts';
import { paintFor } from './paint.ts';
import { enginesHere, suiteLines } from './suites.ts';

const EXAMPLE = `
Example:
  $ esplane doctor
  $ esplane doctor --json | jq 'select(.ok | not)'

It needs no rights itself: as root it says what root may do.`;

/** One thing that was looked at. */
interface Finding {
  readonly what: string;
  readonly ok: boolean;
  /** What there is, or what is missing. */
  readonly found: string;
  /** What needs it. */
  readonly for: string;
  readonly remedy?: string;
}

/** Bits of `CapEff` (linux/capability.h). */
const CAPABILITIES = [
  { name: 'CAP_NET_ADMIN', bit: 12, for: 'TUN devices, namespaces, ip xfrm' },
  { name: 'CAP_NET_RAW', bit: 13, for: 'raw and packet sockets' },
  { name: 'CAP_SYS_ADMIN', bit: 21, for: 'entering network namespaces' },
] as const;

const PROGRAMS = [
  { name: 'ip', args: ['-V'], debian: 'iproute2', for: 'TUN links, esplane run --tun' },
  { name: 'tshark', args: ['--version'], debian: 'tshark', for: 'interop tests, bench capture' },
  {
    name: 'linux.uml',
    args: ['--version'],
    debian: 'user-mode-linux',
    for: 'a kernel xfrm to race and to test with',
  },
  { name: 'iperf3', args: ['--version'], debian: 'iperf3', for: 'bench tunnel' },
  { name: 'wireguard-go', args: ['--version'], debian: 'wireguard-go wireguard-tools', for: 'bench tunnel' },
  {
    name: '/usr/lib/ipsec/starter',
    args: ['--version'],
    debian: 'strongswan libstrongswan-standard-plugins libstrongswan-extra-plugins libcharon-extra-plugins',
    for: 'bench tunnel',
  },
] as const;

/** Adds the command. */
export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('Say what this host allows, and what to install or run for the rest.')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', EXAMPLE)
    .action(async ({ json }: { json?: boolean }) => {
      const findings = await examine();
      if (json) for (const finding of findings) printLine(JSON.stringify(finding));
      else print(findings);
    });
}

function print(findings: readonly Finding[]): void {
  const paint = paintFor(process.stdout);
  const width = Math.max(...findings.map(({ what }) => what.length));
  for (const { what, ok, found, for: use, remedy } of findings) {
    printLine(`${ok ? paint.green('ok     ') : paint.yellow('missing')}  ${what.padEnd(width)}  ${found}`);
    if (!ok) printLine(`${' '.repeat(9)}${' '.repeat(width)}  for ${use}${remedy ? `: ${remedy}` : ''}`);
  }
}

async function examine(): Promise<Finding[]> {
  const problem = addonProblem();
  return [
    {
      what: 'node',
      ok: true,
      found: `${process.version}, OpenSSL ${process.versions.openssl}`,
      for: 'everything',
    },
    {
      what: 'addon',
      ok: problem === undefined,
      found: problem ?? 'loaded',
      for: 'real links, quick ciphers',
      remedy: 'apt-get install g++ make python3 libipsec-mb-dev libgcrypt20-dev, then npm run build:addon',
    },
    ipsecMb(),
    libgcrypt(),
    await suites(),
    tun(),
    ...capabilities(),
    kernelEsp(),
    scapy(),
    ...PROGRAMS.map(({ name, args, debian, for: use }) => program(name, args, debian, use)),
  ];
}

function ipsecMb(): Finding {
  const problem = nativeProblem('ipsec-mb');
  return {
    what: 'ipsec-mb',
    ok: problem === undefined,
    found: problem ?? addon().ipsecMbVersion(),
    for: 'the quickest cipher; without it the addon uses OpenSSL',
    remedy: 'apt-get install libipsec-mb-dev, then npm run build:addon',
  };
}

function libgcrypt(): Finding {
  const problem = addonProblem();
  const version = problem === undefined ? addon().gcryptVersion() : '';
  return {
    what: 'libgcrypt',
    ok: version !== '',
    found: version || (problem ?? 'the addon was built without it'),
    for: 'Serpent and Twofish',
    remedy: 'apt-get install libgcrypt20-dev, then npm run build:addon',
  };
}

/** Of `esplane suites`. */
async function suites(): Promise<Finding> {
  const lines = suiteLines(await enginesHere());
  const missing = lines.filter(({ engines }) => engines.length === 0).map(({ name }) => name);
  const have = `${lines.length - missing.length} of the ${lines.length} algorithms of Linux`;
  return {
    what: 'suites',
    ok: missing.length === 0,
    found: missing.length === 0 ? have : `${have}; without ${missing.join(', ')}`,
    for: 'SAs with these algorithms',
    remedy: 'apt-get install g++ make python3 libgcrypt20-dev, then npm run build:addon',
  };
}

function tun(): Finding {
  const device = '/dev/net/tun';
  const base = { what: 'TUN', for: 'esplane node, esplane run --tun' };
  if (!existsSync(device)) return { ...base, ok: false, found: `no ${device}`, remedy: 'modprobe tun' };
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return { ...base, ok: true, found: device };
  } catch {
    return { ...base, ok: false, found: `${device} may not be opened`, remedy: 'run as root' };
  }
}

function capabilities(): Finding[] {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  const effective = Number.parseInt(/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0', 16);
  return CAPABILITIES.map(({ name, bit, for: use }) => {
    const ok = Math.floor(effective / 2 ** bit) % 2 === 1;
    return {
      what: name,
      ok,
      found: ok ? 'held' : 'not held',
      for: use,
      remedy: 'run as root, or setcap the node executable',
    };
  });
}

/** Asks the kernel for a state with AES-GCM, in a namespace that goes with the question. */
function kernelEsp(): Finding {
  const key = `0x${'00'.repeat(20)}`;
  const ask = `ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode tunnel aead 'rfc4106(gcm(aes))' ${key} 128`;
  const { status, stderr, error } = spawnSync('unshare', ['-n', 'sh', '-c', ask], { encoding: 'utf8' });
  const ok = status === 0;
  return {
    what: 'kernel ESP',
    ok,
    found: ok ? 'the kernel has xfrm with AES-GCM' : (stderr ?? error?.message ?? '').trim().split('\n')[0]!,
    for: "a race against this host's kernel",
    remedy: 'modprobe -a esp4 esp6 gcm seqiv, or take User-mode Linux: apt-get install user-mode-linux',
  };
}

function scapy(): Finding {
  const { status, stdout } = spawnSync('/usr/bin/python3', ['-c', 'import scapy; print(scapy.VERSION)'], {
    encoding: 'utf8',
  });
  const ok = status === 0;
  return {
    what: 'scapy',
    ok,
    found: ok ? stdout.trim() : 'not found',
    for: 'interop tests',
    remedy: 'apt-get install python3-scapy python3-cryptography',
  };
}

function program(name: string, args: readonly string[], debian: string, use: string): Finding {
  const { error, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8', timeout: 10_000 });
  const what = name.split('/').at(-1)!;
  if (error && (error as NodeJS.ErrnoException).code === 'ENOENT')
    return { what, ok: false, found: 'not found', for: use, remedy: `apt-get install ${debian}` };
  const line = `${stdout}${stderr}`.split('\n').find((text) => /\d/.test(text)) ?? 'there';
  return { what, ok: true, found: line.trim(), for: use };
}
