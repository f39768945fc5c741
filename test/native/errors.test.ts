/** The usual failures: each says which call failed on what, why, and what to do. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPacket } from '../../src/link/packet.ts';
import { openRaw } from '../../src/link/raw.ts';
import { openTun } from '../../src/link/tun.ts';
import { openUdp } from '../../src/link/udp.ts';
import { inNetns } from '../../src/native/system.ts';
import { check, SystemError } from '../../src/native/system-error.ts';
import { needs } from '../support/needs.ts';
import { LIVE, makeNamespaces, must, type Namespaces } from '../support/netns.ts';

function failure(work: () => unknown): SystemError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(SystemError);
    return error as SystemError;
  }
  throw new Error('it did not fail');
}

describe('errors of system calls without a remedy of their own', () => {
  it.each([
    [1, 'EPERM', /CAP_NET_ADMIN and CAP_NET_RAW/],
    [13, 'EACCES', /CAP_NET_ADMIN and CAP_NET_RAW/],
    [24, 'EMFILE', /ulimit -n/],
    [19, 'ENODEV', /ip link/],
    [100, 'ENETDOWN', /ip link set dev NAME up/],
    [98, 'EADDRINUSE', /ss -ulnp/],
    [77, 'EBADFD', /esplane doctor/],
    [12, 'ENOMEM', /esplane doctor/],
  ])('%i is %s', (errno, name, remedy) => {
    const error = failure(() => check(-errno, 'call on a thing'));
    expect([error.code, error.errno, error.syscall]).toEqual(['ERR_SYSTEM', name, 'call on a thing']);
    expect(error.message).toMatch(new RegExp(`^call on a thing: ${name}\\. .*\\.$`));
    expect(error.message).toMatch(remedy);
  });
});

needs(LIVE, 'errors of links and namespaces', () => {
  let net: Namespaces;
  beforeAll(() => {
    net = makeNamespaces();
    must('ip', '-n', net.a, 'tuntap', 'add', 'dev', 'tap9', 'mode', 'tap');
  });
  afterAll(() => net?.remove());

  const FAILURES: readonly [string, () => unknown, string, RegExp, RegExp][] = [
    ['no such namespace', () => inNetns('est-no', () => 0), 'ENOENT', /netns\/est-no/, /ip netns add est-no/],
    ['no namespace at all', () => inNetns('/etc/hostname', () => 0), 'EINVAL', /setns/, /doctor/],
    [
      'TUN, not a TUN',
      () => openTun({ netns: net.a, name: 'tap9' }),
      'EINVAL',
      /TUN device tap9/,
      /another name/,
    ],
    ['TUN, a veth', () => openTun({ netns: net.a, name: 'v' }), 'EINVAL', /TUN device v/, /another name/],
    [
      'raw, not ours',
      () => openRaw({ netns: net.a, address: '10.1.1.1' }),
      'EADDRNOTAVAIL',
      /10\.1\.1\.1/,
      /ip addr add/,
    ],
    [
      'raw, not ours, MTU given',
      () => openRaw({ netns: net.a, address: '10.1.1.1', mtu: 1400 }),
      'EADDRNOTAVAIL',
      /open raw 10\.1\.1\.1/,
      /ip addr/,
    ],
    [
      'udp, not ours',
      () => openUdp({ netns: net.a, address: '10.1.1.1', mtu: 1400 }),
      'EADDRNOTAVAIL',
      /bind udp 10\.1\.1\.1:4500/,
      /ip addr/,
    ],
    [
      'udp, taken',
      () => {
        const first = openUdp({ netns: net.a, address: '10.99.0.1' });
        try {
          openUdp({ netns: net.a, address: '10.99.0.1' });
        } finally {
          first.close();
        }
      },
      'EADDRINUSE',
      /bind udp 10\.99\.0\.1:4500/,
      /ss -ulnp/,
    ],
    [
      'packet, no device',
      () => openPacket({ netns: net.a, address: '10.99.0.1', device: 'eth77' }),
      'ENODEV',
      /open packet eth77/,
      /no interface eth77/,
    ],
  ];
  it.each(FAILURES)('%s', (_, work, errno, syscall, remedy) => {
    const error = failure(work);
    expect(error.errno).toBe(errno);
    expect(error.syscall).toMatch(syscall);
    expect(error.message).toMatch(remedy);
    expect(error.message.split('\n')).toHaveLength(1);
  });

  it('a program that fails says what it said', () => {
    const error = failure(() => openTun({ netns: net.a, addresses: ['nonsense'] }));
    expect(error.message).toMatch(/ip addr add nonsense.*nonsense.*\..*by hand/s);
  });
});
