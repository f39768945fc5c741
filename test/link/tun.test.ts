import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeviceLink } from '../../src/link/link.ts';
import { openTun, type TunOptions } from '../../src/link/tun.ts';
import { SystemError } from '../../src/native/system-error.ts';
import { received } from '../support/frames.ts';
import { ADDON, needs, program, ROOT } from '../support/needs.ts';
import { makeNamespaces, must, type Namespaces, pause } from '../support/netns.ts';

const TCP_PEER = fileURLToPath(new URL('../interop/tcp-peer.py', import.meta.url));
const PYTHON = '/usr/bin/python3';

needs([ADDON, ROOT, program('ip', 'iproute2')], 'TUN', () => {
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
