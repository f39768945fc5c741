import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeviceLink } from '../../src/link/link.ts';
import { openTun, type TunOptions } from '../../src/link/tun.ts';
import { SystemError } from '../../src/native/system-error.ts';
import * as checksum from '../../src/wire/checksum.ts';
import { received } from '../support/frames.ts';
import { type Need, needs, PYTHON, PYTHON_NEED } from '../support/needs.ts';
import { LIVE, makeNamespaces, must, type Namespaces, pause } from '../support/netns.ts';

const TCP_PEER = fileURLToPath(new URL('../interop/tcp-peer.py', import.meta.url));
/** 4,500 bytes in datagrams of 1,000, in one call (UDP_SEGMENT). */
const SEND_SEGMENTS = `
import socket, sys
to = socket.getaddrinfo(sys.argv[1], 77, type=socket.SOCK_DGRAM)[0]
s = socket.socket(to[0], socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
s.sendto(bytes(i % 251 for i in range(4500)), to[4])
`;
/** 1,000 datagrams of 100 bytes, numbered, 50 in one call; then one without a checksum (SO_NO_CHECK), and an empty one. */
const SEND_MANY = `
import socket, struct, sys
to = socket.getaddrinfo(sys.argv[1], 77, type=socket.SOCK_DGRAM)[0]
s = socket.socket(to[0], socket.SOCK_DGRAM)
s.connect(to[4])
s.setsockopt(socket.IPPROTO_UDP, 103, 100)
for k in range(20):
    s.send(b''.join(struct.pack('>I', 50 * k + i) + bytes(96) for i in range(50)))
s.setsockopt(socket.IPPROTO_UDP, 103, 0)
if to[0] == socket.AF_INET:
    s.setsockopt(socket.SOL_SOCKET, 11, 1)
s.send(struct.pack('>I', 1000))
s.send(b'')
`;
/** Prints the numbers of what arrives, and the sizes that there were; the empty one ends it. */
const RECEIVE_MANY = `
import socket, struct, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
s.bind((sys.argv[1], 77))
print('ready', flush=True)
s.settimeout(20)
numbers, sizes = [], set()
while True:
    data = s.recv(65536)
    if not data: break
    numbers.append(struct.unpack('>I', data[:4])[0])
    sizes.add(len(data))
print(numbers == list(range(1001)), len(numbers), sorted(sizes))
`;
const SEND_SIZES = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for size in sys.argv[2:]:
    s.sendto(bytes(int(size)), (sys.argv[1], 77))
`;
const [major = 0, minor = 0] = release().split('.').map(Number);
const USO: Need = {
  what: 'a kernel that leaves UDP segmentation to TUN devices',
  there: major > 6 || (major === 6 && minor >= 2),
  remedy: 'Linux 6.2 or later',
};

needs([PYTHON_NEED, ...LIVE], 'TUN', () => {
  let net: Namespaces;
  const open: DeviceLink[] = [];
  const tun = (options: TunOptions) => {
    const link = openTun(options);
    open.push(link);
    return link;
  };
  beforeEach(() => {
    net = makeNamespaces();
  });
  afterEach(() => {
    for (const link of open.splice(0)) link.close();
    net.remove();
  });

  /** How often the kernel handed something over: packets or super-packets that left through the interface. */
  const handedOver = (where: 'a' | 'b') =>
    Number(/TX:.*\n\s+\d+\s+(\d+)/.exec(net.run(where, 'ip', '-s', 'link', 'show', 'est0'))![1]);

  /** Joins two links until `done`. */
  async function join(a: DeviceLink, b: DeviceLink, done: Promise<unknown>): Promise<void> {
    let isDone = false;
    done.finally(() => {
      isDone = true;
    });
    a.receive((batch) => b.send(batch));
    b.receive((batch) => a.send(batch));
    while (!isDone) {
      if (a.pump() + b.pump() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      else await new Promise((resolve) => setImmediate(resolve));
    }
  }

  it('counts what the kernel dropped because nobody read', () => {
    const link = tun({ name: 'est0', netns: net.a, addresses: ['10.98.0.1/24'] });
    const other = tun({ name: 'est0', netns: net.b, addresses: ['10.98.0.1/24'] });
    link.look?.();
    expect(link.stats.missed).toBe(0);
    const flood =
      'import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor i in range(3000): s.sendto(b"x", ("10.98.0.2", 77))';
    net.run('a', PYTHON, '-c', flood);
    link.look?.();
    other.look?.();
    const [{ stats64 }] = JSON.parse(net.run('a', 'ip', '-s', '-j', 'link', 'show', 'est0')) as [
      { stats64: { tx: { dropped: number } } },
    ];
    expect(link.stats.missed).toBe(stats64.tx.dropped);
    expect(link.stats.missed).toBeGreaterThan(500);
    expect(other.stats.missed).toBe(0);
    while (link.pump() > 0);
    expect(link.stats.received + link.stats.missed).toBeGreaterThanOrEqual(3000);
    link.close();
    link.look?.();
  });

  describe.each([
    ['IPv4', '10.98.0.1', '10.98.0.2', '24'],
    ['IPv6', 'fd98::1', 'fd98::2', '64'],
  ])('%s', (_, here, there, bits) => {
    it('carries TCP in super-packets, split to the MTU and merged again', async () => {
      const a = tun({ name: 'est0', netns: net.a, mtu: 1400, addresses: [`${here}/${bits}`] });
      const b = tun({ name: 'est0', netns: net.b, mtu: 1400, addresses: [`${there}/${bits}`] });
      expect(a.offloads).toContain('tso4');
      const server = spawn('ip', ['netns', 'exec', net.b, PYTHON, TCP_PEER, 'serve', '5002', '1']);
      pause(400);
      const client = spawn('ip', [
        'netns',
        'exec',
        net.a,
        PYTHON,
        TCP_PEER,
        'send',
        there,
        '5002',
        '8000000',
      ]);
      const ended = once(client, 'close');
      await join(a, b, ended);
      server.kill();
      expect((await ended)[0], 'the bytes arrived').toBe(0);
      expect(a.stats.received).toBeGreaterThan(8_000_000 / 1400);
      expect(
        a.stats.receivedBytes / a.stats.received,
        'no packet is longer than the MTU',
      ).toBeLessThanOrEqual(1400);
      const [packets] = /RX:.*\n\s+\d+\s+(\d+)/
        .exec(net.run('b', 'ip', '-s', 'link', 'show', 'est0'))!
        .slice(1);
      expect(Number(packets), 'merged on the way in').toBeLessThan(b.stats.sent / 4);
      expect(handedOver('a'), 'super-packets, not packets, were read').toBeLessThan(a.stats.received / 4);
      expect([a.stats.failed, b.stats.failed, a.stats.ignored, b.stats.ignored]).toEqual([0, 0, 0, 0]);
    }, 60_000);
  });

  it('carries packets one by one without offloads, and over several queues', async () => {
    const a = tun({ name: 'est0', netns: net.a, addresses: ['10.98.0.1/24'], offload: false, queues: 2 });
    const b = tun({ name: 'est0', netns: net.b, addresses: ['10.98.0.2/24'], queues: 3 });
    expect([a.fds.length, b.fds.length]).toEqual([2, 3]);
    const pings = Array.from({ length: 4 }, () =>
      once(
        spawn('ip', ['netns', 'exec', net.a, 'ping', '-c', '3', '-i', '0.1', '-W', '5', '10.98.0.2']),
        'close',
      ),
    );
    await join(a, b, Promise.all(pings));
    for (const ping of pings) expect((await ping)[0]).toBe(0);
  }, 30_000);

  needs([USO], 'UDP segmentation', () => {
    it.each([
      [4, '10.98.0.1', '10.98.0.2', '24', 20],
      [6, 'fd98::1', 'fd98::2', '64', 40],
    ] as const)(
      'splits the run of datagrams that a program sends in one call, over IPv%i',
      (_, here, there, bits, header) => {
        const a = tun({ name: 'est0', netns: net.a, mtu: 1400, addresses: [`${here}/${bits}`] });
        expect(a.offloads).toContain('uso');
        while (a.pump() > 0);
        const got = received(a);
        const before = handedOver('a');
        net.run('a', PYTHON, '-c', SEND_SEGMENTS, there);
        while (a.pump() > 0);
        const isOurs = (p: Uint8Array) => p[header === 20 ? 9 : 6] === 17 && p[header + 3] === 77;
        const ours = got.filter(isOurs);
        expect(ours.map((p) => p.length - header - 8)).toEqual([1000, 1000, 1000, 1000, 500]);
        const payload = ours.flatMap((p) => [...p.subarray(header + 8)]);
        expect(payload).toEqual(Array.from({ length: 4500 }, (_, i) => i % 251));
        for (const p of ours) {
          expect(checksum.transportOk(p, 0, 17, header, p.length)).toBe(true);
          expect((p[header + 4]! << 8) | p[header + 5]!, 'UDP length').toBe(p.length - header);
          if (header === 20) expect(checksum.checksum(p, 0, 20), 'of the IP header').toBe(0);
        }
        expect(handedOver('a') - before, 'all five in one read').toBe(1 + got.length - ours.length);
        expect(a.stats.ignored).toBe(0);
      },
    );

    it.each([
      [4, '10.98.0.1', '10.98.0.2', '24'],
      [6, 'fd98::1', 'fd98::2', '64'],
    ] as const)(
      'hands datagrams over in one piece, and each of them arrives, over IPv%i',
      async (_, here, there, bits) => {
        const a = tun({ name: 'est0', netns: net.a, mtu: 1400, addresses: [`${here}/${bits}`] });
        const b = tun({ name: 'est0', netns: net.b, mtu: 1400, addresses: [`${there}/${bits}`] });
        const receiver = spawn('ip', ['netns', 'exec', net.b, PYTHON, '-c', RECEIVE_MANY, there]);
        let said = '';
        receiver.stdout.on('data', (text: Buffer) => {
          said += text.toString();
          if (said === 'ready\n') net.run('a', PYTHON, '-c', SEND_MANY, there);
        });
        await join(a, b, once(receiver, 'close'));
        expect(said).toBe('ready\nTrue 1001 [4, 100]\n');
        const [{ stats64 }] = JSON.parse(net.run('b', 'ip', '-s', '-j', 'link', 'show', 'est0'));
        expect(b.stats.sent).toBeGreaterThanOrEqual(1002);
        expect(stats64.rx.packets, 'super-packets, not packets, were written').toBeLessThan(
          b.stats.sent / 10,
        );
        expect([b.stats.failed, b.stats.full]).toEqual([0, 0]);
      },
    );
  });

  it('reads what is longer than its slots after the MTU was raised by hand, and loses nothing before or behind it', () => {
    const a = tun({ name: 'est0', netns: net.a, mtu: 1500, addresses: ['10.98.0.1/24'] });
    while (a.pump() > 0);
    const got = received(a);
    must('ip', '-n', net.a, 'link', 'set', 'est0', 'mtu', '65535');
    // 2,100 bytes fit a slot of 2,048 only without room for what ESP appends.
    const sizes = [100, 2100, 9000, 65_000, 200];
    net.run('a', PYTHON, '-c', SEND_SIZES, '10.98.0.2', ...sizes.map(String));
    while (a.pump() > 0);
    expect(got.filter((p) => p[9] === 17).map((p) => p.length - 28)).toEqual(sizes);
    expect(a.stats.ignored).toBe(0);
  });

  it('follows a change of the MTU under way', () => {
    const a = tun({ name: 'est0', netns: net.a, mtu: 1500, addresses: ['10.98.0.1/24'] });
    const got = received(a);
    a.setMtu(600);
    expect(a.mtu).toBe(600);
    must('ip', 'netns', 'exec', net.a, 'sh', '-c', 'ping -c 1 -W 1 -s 1400 10.98.0.2 || true');
    while (a.pump() > 0);
    const pings = got.filter((packet) => packet[9] === 1);
    expect(pings.length).toBeGreaterThan(1);
    for (const packet of pings) expect(packet.length).toBeLessThanOrEqual(600);
  });

  it('goes on while the interface is down, and ends with one line when it is gone', () => {
    const a = tun({ name: 'est0', netns: net.a, addresses: ['10.98.0.1/24'] });
    must('ip', '-n', net.a, 'link', 'set', 'est0', 'down');
    while (a.pump() > 0);
    expect(a.pump()).toBe(0);
    must('ip', '-n', net.a, 'link', 'set', 'est0', 'up');
    while (a.pump() > 0);
    must('ip', '-n', net.a, 'link', 'delete', 'est0');
    expect(() => a.pump()).toThrow(/read from est0: EBADFD\. The interface was deleted/);
  });

  it('says what is wrong when it cannot be made', () => {
    tun({ name: 'est0', netns: net.a });
    expect(() => openTun({ name: 'est0', netns: net.a })).toThrow(/est0: EBUSY\. The name is taken/);
    expect(() => openTun({ name: 'a-name-that-is-too-long' })).toThrow(/no name for an interface/);
    expect(() => openTun({ netns: 'est-nowhere' })).toThrow(/ip netns add/);
    expect(() => openTun({ netns: net.a, addresses: ['10.0.0.0.1/8'] })).toThrow(SystemError);
  });

  it('keeps no descriptor and no interface', () => {
    const count = () => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let n = 0; n < 100; n++) openTun({ netns: net.a, up: false }).close();
    expect(() => openTun({ netns: net.a, addresses: ['nonsense'] })).toThrow();
    expect(count()).toBe(before);
    expect(must('ip', '-n', net.a, '-o', 'link')).not.toContain('esp');
  }, 60_000);
});
