/** What the outside links do beside the conformance suite: marks, headers that the kernel makes, waiting for more. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeviceLink } from '../../src/link/link.ts';
import { openPacket } from '../../src/link/packet.ts';
import { openRaw, type RawOptions } from '../../src/link/raw.ts';
import { openUdp } from '../../src/link/udp.ts';
import { parseAddress } from '../../src/wire/address.ts';
import * as udp from '../../src/wire/udp.ts';
import { batchOf, received } from '../support/frames.ts';
import { needs, PYTHON, PYTHON_NEED } from '../support/needs.ts';
import { LIVE, makeNamespaces, must, type Namespaces, pause } from '../support/netns.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

/** Counts the frames that pass an interface with mark 7: a classic BPF program asks the kernel for each one's mark. */
const COUNT_MARKED = `
import ctypes, socket, struct, sys
code = b"".join(struct.pack("HBBI", *i) for i in [(0x20, 0, 0, 0xfffff014), (0x15, 0, 1, 7), (6, 0, 0, 0xffff), (6, 0, 0, 0)])
program = ctypes.create_string_buffer(code)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 4, ctypes.addressof(program)))
s.bind((sys.argv[1], 3))
print("ready", flush=True)
sys.stdin.readline()
s.setblocking(False)
n = 0
try:
    while s.recv(65535): n += 1
except BlockingIOError:
    print(n)
`;

const ADDRESSES = { 4: ['10.99.0.1', '10.99.0.2'], 6: ['fd99::1', 'fd99::2'] } as const;

function espTo(version: 4 | 6, { len = 100, hopLimit = 64, protocol = 50 } = {}): Uint8Array {
  const [src, dst] = ADDRESSES[version].map((text) => parseAddress(text)!) as [Uint8Array, Uint8Array];
  const headers = version === 4 ? 20 : 40;
  const packet =
    version === 4
      ? ipv4Packet(len, { src, dst, protocol, id: 0x1234, ttl: hopLimit })
      : ipv6Packet(len, { src, dst, nextHeader: protocol, trafficClass: 0, flowLabel: 0, hopLimit });
  if (protocol === 17)
    udp.emit({ srcPort: 4500, dstPort: 4500, length: len - headers, checksum: 0 }, packet, headers);
  packet.set([1, 2, 3, 4], headers + (protocol === 17 ? 8 : 0));
  return packet;
}

needs([PYTHON_NEED, ...LIVE], 'outside links', () => {
  let net: Namespaces;
  const open: DeviceLink[] = [];
  const keep = <T extends DeviceLink>(link: T): T => {
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
  /** Counts what passes an interface in namespace a with mark 7, until it is asked how many that were. */
  async function countMarked(device: string): Promise<() => Promise<number>> {
    const counter = spawn('ip', ['netns', 'exec', net.a, PYTHON, '-c', COUNT_MARKED, device]);
    const closed = once(counter, 'close');
    let said = '';
    counter.stdout.on('data', (bytes) => {
      said += bytes;
    });
    await once(counter.stdout, 'data');
    return async () => {
      counter.stdin.write('\n');
      await closed;
      return Number(said.replace('ready\n', ''));
    };
  }

  /** Pumps until nothing came for a while. */
  const settle = (link: DeviceLink) => {
    for (let quiet = 0; quiet < 3; quiet++) {
      while (link.pump() > 0) quiet = 0;
      pause(2);
    }
  };

  describe.each([4, 6] as const)('IPv%i', (version) => {
    const [here, there] = ADDRESSES[version];

    // The packet link goes past all that looks at frames as they leave: see below.
    it.each([
      ['raw', openRaw],
      ['udp', openUdp],
    ] as const)('%s marks what it sends (SO_MARK), and nothing without one', async (name, make) => {
      const packet = espTo(version, { protocol: name === 'udp' ? 17 : 50 });
      const marked = keep(make({ netns: net.a, address: here, mark: 7, segment: false }));
      const count = await countMarked('v');
      expect(marked.send(batchOf([packet, packet, packet]))).toBe(3);
      marked.close();
      expect(keep(make({ netns: net.a, address: here })).send(batchOf([packet, packet]))).toBe(2);
      expect(await count()).toBe(3);
    });

    it.each([
      ['raw', openRaw],
      ['udp', openUdp],
      ['packet', openPacket],
    ] as const)('%s counts what the kernel dropped because nobody read', (name, make) => {
      const protocol = name === 'udp' ? 17 : 50;
      const sender = keep(
        (name === 'udp' ? openUdp : openRaw)({ netns: net.a, address: here, segment: false }),
      );
      const reader = keep(make({ netns: net.b, address: there }));
      // Others of its kind, whose drops are their own.
      const other = keep(make({ netns: net.a, address: here, ...(make === openUdp && { port: 4501 }) }));
      const batch = batchOf(Array.from({ length: 128 }, () => espTo(version, { len: 1400, protocol })));
      let sent = sender.send(batch);
      reader.look?.();
      expect(reader.stats.missed).toBe(0);
      for (let i = 0; i < 400 && reader.stats.missed === 0; i++) {
        for (let k = 0; k < 10; k++) sent += sender.send(batch);
        reader.look?.();
      }
      const { missed } = reader.stats;
      expect(missed).toBeGreaterThan(0);
      settle(reader);
      reader.look?.();
      other.look?.();
      expect([reader.stats.missed, other.stats.missed]).toEqual([missed, 0]);
      expect(reader.stats.received + missed).toBeLessThanOrEqual(sent);
      reader.close();
      reader.look?.();
      expect(reader.stats.missed).toBe(missed);
    });

    it('raw lets the kernel make the header when it is told to', () => {
      const a = keep(openRaw({ netns: net.a, address: here, headerIncluded: false }));
      const b = keep(openRaw({ netns: net.b, address: there }));
      const got = received(b);
      const packet = espTo(version, { hopLimit: 7 });
      expect(a.send(batchOf([packet, espTo(version, { protocol: 99 }), espTo(version, { len: 1600 })]))).toBe(
        3,
      );
      settle(b);
      expect(a.stats).toMatchObject({ sent: 1, sentBytes: packet.length, failed: 1, tooBig: 1 });
      const header = version === 4 ? 20 : 40;
      expect(got.map((one) => one.subarray(header))).toEqual([packet.subarray(header)]);
      expect(got[0]!.subarray(header === 20 ? 12 : 8, header)).toEqual(
        packet.subarray(header === 20 ? 12 : 8, header),
      );
      // An IPv6 raw socket does not see the header: what it shows is made anew.
      if (version === 4) expect([packet[8], got[0]![8]], 'the kernel has its own hop limit').toEqual([7, 64]);
    });
  });

  /** Makes a neighbour known in namespace a that is not there. */
  const neighbour = (address: string, device: string) => {
    const known = [address, 'lladdr', '02:00:00:00:00:01', 'dev', device, 'nud', 'permanent'];
    must('ip', '-n', net.a, 'neigh', 'replace', ...known);
  };

  /** Sends `count` packets, and tells how long the reading of them took, ms. */
  function reading(options: Partial<RawOptions>, ...counts: readonly number[]): number[] {
    const a = keep(openRaw({ netns: net.a, address: '10.99.0.1' }));
    const b = keep(openRaw({ netns: net.b, address: '10.99.0.2', ...options }));
    return counts.map((count) => {
      a.send(batchOf(Array.from({ length: count }, () => espTo(4))));
      const started = performance.now();
      expect(b.pump()).toBe(count);
      return performance.now() - started;
    });
  }

  it('raw waits for more only after dense traffic, with few packets there, and only once', () => {
    const wait = { coalesceMicros: 200_000 };
    const [sparse, afterDense, afterSparse] = reading(wait, 8, 1, 1) as [number, number, number];
    expect(sparse, 'nothing came before').toBeLessThan(150);
    expect(afterDense).toBeGreaterThanOrEqual(199);
    expect(afterDense, 'one wait, no second').toBeLessThan(390);
    expect(afterSparse, 'the call before brought one').toBeLessThan(150);
    expect(reading(wait, 8, 20)[1], 'many are there').toBeLessThan(150);
    expect(Math.max(...reading({ coalesceMicros: 0 }, 8, 1)), 'switched off').toBeLessThan(150);
  });

  // Its frames go past the queueing discipline: no tap, no tc and no nft sees them leave. In the same namespace the mark
  // is still there where they arrive; between namespaces the kernel takes it off.
  it('packet marks what it sends (SO_MARK), and nothing without one', async () => {
    must('ip', '-n', net.a, 'link', 'add', 'm0', 'type', 'veth', 'peer', 'name', 'm1');
    for (const device of ['m0', 'm1']) must('ip', '-n', net.a, 'link', 'set', device, 'up');
    must('ip', '-n', net.a, 'addr', 'add', '10.96.0.1/24', 'dev', 'm0');
    neighbour('10.96.0.2', 'm0');
    const packet = ipv4Packet(100, { dst: parseAddress('10.96.0.2')!, protocol: 50 });
    const count = await countMarked('m1');
    const marked = keep(openPacket({ netns: net.a, address: '10.96.0.1', mark: 7 }));
    expect(marked.send(batchOf([packet, packet, packet]))).toBe(3);
    expect(keep(openPacket({ netns: net.a, address: '10.96.0.1' })).send(batchOf([packet, packet]))).toBe(2);
    expect(await count()).toBe(3);
  });

  it('packet asks for the next hop with its mark: policy routing is followed', () => {
    const far = '10.95.0.1';
    must('ip', '-n', net.a, 'route', 'add', far, 'via', '10.99.0.2', 'dev', 'v');
    must('ip', '-n', net.a, 'rule', 'add', 'fwmark', '7', 'table', '100');
    must('ip', '-n', net.a, 'route', 'add', far, 'via', '10.99.0.7', 'dev', 'v', 'table', '100');
    neighbour('10.99.0.7', 'v');
    const packet = ipv4Packet(100, { dst: parseAddress(far)!, protocol: 50 });
    // Frames to the other hardware address are not b's: it counts them as for another host.
    const arrived = () => Number(/Ip: \d+ \d+ (\d+)/.exec(net.run('b', 'cat', '/proc/net/snmp'))![1]);
    const before = arrived();
    expect(keep(openPacket({ netns: net.a, address: '10.99.0.1', mark: 7 })).send(batchOf([packet]))).toBe(1);
    pause(50);
    expect(arrived() - before, 'by mark 7').toBe(0);
    expect(keep(openPacket({ netns: net.a, address: '10.99.0.1' })).send(batchOf([packet]))).toBe(1);
    pause(50);
    expect(arrived() - before, 'without a mark').toBe(1);
  });

  it.each([
    ['raw', openRaw],
    ['packet', openPacket],
    ['udp', openUdp],
  ] as const)('%s follows the MTU of its interface, unless one was chosen', (_, make) => {
    const link = keep(make({ netns: net.a, address: '10.99.0.1', ...(make === openUdp && { port: 4501 }) }));
    const chosen = keep(make({ netns: net.a, address: '10.99.0.1', mtu: 1400 }));
    must('ip', '-n', net.a, 'link', 'set', 'v', 'mtu', '1300');
    expect([link.mtu, chosen.mtu], 'before it looks').toEqual([1500, 1400]);
    expect([link.follow?.(), chosen.follow?.()]).toEqual([true, true]);
    expect([link.mtu, chosen.mtu]).toEqual([1300, 1400]);
    must('ip', '-n', net.a, 'link', 'delete', 'v');
    // Whether its interface is gone, the packet link is told when it is read.
    expect([link.follow?.(), chosen.follow?.()]).toEqual([make === openPacket, true]);
    expect(link.mtu).toBe(1300);
    link.close();
    expect(link.follow?.()).toBe(true);
  });

  it('packet counts what meets a full queue (ENOBUFS), and keeps it for the sender', () => {
    // This device has no reader: the kernel refuses every frame.
    must('ip', '-n', net.a, 'tuntap', 'add', 'dev', 'full', 'mode', 'tap');
    must('ip', '-n', net.a, 'addr', 'add', '10.97.0.1/24', 'dev', 'full');
    must('ip', '-n', net.a, 'link', 'set', 'full', 'up');
    neighbour('10.97.0.2', 'full');
    const link = keep(openPacket({ netns: net.a, address: '10.97.0.1' }));
    const packet = ipv4Packet(100, { dst: parseAddress('10.97.0.2')!, protocol: 50 });
    expect(link.send(batchOf([packet, packet, packet]))).toBe(0);
    expect(link.stats).toMatchObject({ sent: 0, full: 3, failed: 0 });
  });
});
