/** The next hops of the packet link: peers that do not answer, many peers, and a network that changes under way. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeviceLink } from '../../src/link/link.ts';
import { openPacket, type PacketOptions } from '../../src/link/packet.ts';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';
import { batchOf } from '../support/frames.ts';
import { ADDON, needs, program, ROOT } from '../support/needs.ts';
import { makeNamespaces, must, type Namespaces, pause } from '../support/netns.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

/** Notes the SPI of every ESP packet for this host that comes over the interfaces: as JSON, by interface and address. */
const NOTE = `
import json, select, socket, sys
sockets = {}
for device in sys.argv[1:]:
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
    s.bind((device, 3))
    s.setblocking(False)
    sockets[device] = s
print("ready", flush=True)
seen = {}
while not select.select([sys.stdin], [], [], 0.01)[0]: pass
for device, s in sockets.items():
    try:
        while True:
            p, (_, _, kind, _, _) = s.recvfrom(65535)
            if kind != 0: continue
            v4 = p[0] >> 4 == 4
            if p[9 if v4 else 6] != 50: continue
            dst = socket.inet_ntop(socket.AF_INET, p[16:20]) if v4 else socket.inet_ntop(socket.AF_INET6, p[24:40])
            at = 20 if v4 else 40
            seen.setdefault(device, {}).setdefault(dst, []).append(int.from_bytes(p[at:at + 4], "big"))
    except BlockingIOError: pass
print(json.dumps(seen))
`;

type Seen = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;

const upTo = (n: number) => Array.from({ length: n }, (_, k) => k);

needs(
  [ADDON, ROOT, program('ip', 'iproute2'), program('python3', 'python3')],
  'next hops of the packet link',
  () => {
    let net: Namespaces;
    const open: DeviceLink[] = [];
    const link = (options: Partial<PacketOptions> & { address: string }): DeviceLink => {
      const made = openPacket({ netns: net.a, ...options });
      open.push(made);
      return made;
    };
    beforeEach(() => {
      net = makeNamespaces();
    });
    afterEach(() => {
      for (const one of open.splice(0)) one.close();
      net.remove();
    });

    const inA = (...args: string[]) => must('ip', '-n', net.a, ...args);
    const inB = (...args: string[]) => must('ip', '-n', net.b, ...args);

    /** Starts to note what comes to b. @returns ends it */
    async function note(...devices: string[]): Promise<() => Promise<Seen>> {
      const args = ['netns', 'exec', net.b, 'python3', '-c', NOTE, ...devices];
      const noting = spawn('ip', args);
      let said = '';
      noting.stdout.on('data', (bytes) => {
        said += bytes;
      });
      await once(noting.stdout, 'data');
      return async () => {
        const closed = once(noting, 'close');
        noting.stdin.write('\n');
        await closed;
        return JSON.parse(said.replace('ready\n', '')) as Seen;
      };
    }

    /** Lets the kernel and the link work for a while, as the loop of a node does. */
    const turn = (one: DeviceLink, ms: number) => {
      for (const end = performance.now() + ms; performance.now() < end; pause(5)) one.pump();
    };

    describe.each([4, 6] as const)('IPv%i', (version) => {
      const self = version === 4 ? '10.99.0.1' : 'fd99::1';
      const host = (n: number) =>
        version === 4 ? `10.99.${Math.floor(n / 250)}.${1 + (n % 250)}` : `fd99::${(n + 1).toString(16)}`;
      const other = host(1);
      const bits = version === 4 ? '16' : '64';

      /** ESP number `spi` to an address. */
      const esp = (to: string, spi: number): Uint8Array => {
        const [src, dst] = [parseAddress(self)!, parseAddress(to)!];
        const packet =
          version === 4
            ? ipv4Packet(100, { src, dst, protocol: 50 })
            : ipv6Packet(100, { src, dst, nextHeader: 50, trafficClass: 0, flowLabel: 0, hopLimit: 64 });
        new DataView(packet.buffer, packet.byteOffset).setUint32(version === 4 ? 20 : 40, spi);
        return packet;
      };
      const forget = () => inA('neigh', 'flush', 'dev', 'v', 'nud', 'all');
      const stateOf = (address: string) =>
        JSON.parse(inA('-j', 'neigh', 'show', 'to', address, 'dev', 'v'))[0]?.state?.[0] as
          | string
          | undefined;

      it('a peer that does not answer takes nothing from those that do, nor their first packets', async () => {
        forget();
        const end = await note('v');
        const a = link({ address: self });
        const dead = [host(100), host(101), host(102)];
        for (let n = 0; n < 120; n++) {
          a.send(batchOf([...dead.map((to) => esp(to, n)), esp(other, n)]));
          turn(a, 5);
        }
        const seen = await end();
        expect(seen['v']).toEqual({ [other]: upTo(120) });
        // The kernel holds the first ones; then it is not asked again with every packet.
        expect(a.stats).toMatchObject({ full: 0, sent: 120 + 360 - a.stats.failed });
        expect(a.stats.failed).toBeGreaterThan(360 - 3 * 24);
        expect(a.stats.failed).toBeLessThanOrEqual(360 - 3 * 16);
      });

      it('a peer that did not answer is found when it comes', async () => {
        inB('addr', 'del', `${other}/${version === 4 ? 24 : 64}`, 'dev', 'v');
        forget();
        const a = link({ address: self });
        for (let n = 0; n < 30; n++) a.send(batchOf([esp(other, n)]));
        expect(a.stats.failed).toBe(14);
        turn(a, 500);
        inB('addr', 'add', `${other}/${bits}`, 'dev', 'v', ...(version === 6 ? ['nodad'] : []));
        const end = await note('v');
        let sent = 30;
        // The kernel itself asks once a second.
        for (let n = 0; n < 500 && stateOf(other) !== 'REACHABLE'; n++) {
          a.send(batchOf([esp(other, sent++)]));
          turn(a, 10);
        }
        const from = sent;
        for (let n = 0; n < 50; n++) a.send(batchOf([esp(other, sent++)]));
        expect((await end())['v']![other]!.filter((n) => n >= from)).toEqual(upTo(50).map((n) => from + n));
      }, 20_000);

      it('200 peers lose nothing, from the first packet on', async () => {
        forget();
        const peers = upTo(200).map((n) => host(300 + n));
        if (version === 4) inA('addr', 'add', `${self}/16`, 'dev', 'v');
        for (const peer of peers)
          inB('addr', 'add', `${peer}/${bits}`, 'dev', 'v', ...(version === 6 ? ['nodad'] : []));
        const end = await note('v');
        const a = link({ address: self });
        for (let n = 0; n < 20; n++) {
          for (let k = 0; k < peers.length; k += 100)
            expect(a.send(batchOf(peers.slice(k, k + 100).map((to) => esp(to, n))))).toBe(100);
          turn(a, 20);
        }
        const seen = (await end())['v']!;
        expect(Object.keys(seen).length).toBe(200);
        for (const peer of peers)
          expect(
            seen[formatAddress(parseAddress(peer)!)]!.toSorted((x, y) => x - y),
            peer,
          ).toEqual(upTo(20));
        expect(a.stats).toMatchObject({ sent: 4000, full: 0, failed: 0 });
      }, 30_000);

      it('has a neighbour asked for anew that was deleted', async () => {
        const end = await note('v');
        const a = link({ address: self });
        a.send(batchOf([esp(other, 0)]));
        inA('neigh', 'del', other, 'dev', 'v');
        a.pump();
        a.send(batchOf(upTo(16).map((n) => esp(other, n + 1))));
        turn(a, 50);
        expect(stateOf(other)).toBe('REACHABLE');
        a.send(batchOf(upTo(50).map((n) => esp(other, n + 17))));
        expect((await end())['v']).toEqual({ [other]: upTo(67) });
      });

      it('lets the kernel confirm a neighbour that it has not seen in use', () => {
        inA('neigh', 'change', other, 'nud', 'stale', 'dev', 'v');
        const a = link({ address: self });
        expect(stateOf(other)).toBe('STALE');
        a.send(batchOf([esp(other, 0)]));
        expect(stateOf(other)).toBe('DELAY');
        expect(a.stats).toMatchObject({ sent: 1, failed: 0 });
      });

      it('follows a hardware address that changes, at once', async () => {
        const a = link({ address: self });
        a.send(batchOf([esp(other, 0)]));
        inB('link', 'set', 'v', 'address', '02:00:00:00:00:77');
        const end = await note('v');
        inA('neigh', 'replace', other, 'lladdr', '02:00:00:00:00:77', 'dev', 'v', 'nud', 'reachable');
        a.pump();
        a.send(batchOf(upTo(50).map((n) => esp(other, n + 1))));
        expect((await end())['v']).toEqual({ [other]: upTo(50).map((n) => n + 1) });
      });

      it('goes by the table as it is when more changes came than its buffer holds', async () => {
        const a = link({ address: self });
        a.send(batchOf([esp(other, 0)]));
        inB('link', 'set', 'v', 'address', '02:00:00:00:00:78');
        const end = await note('v');
        const lines = upTo(15_000).map(
          (n) =>
            `neigh replace ${host(200)} lladdr 02:00:00:01:${(n >> 8).toString(16)}:${(n & 255).toString(16)} dev v nud permanent`,
        );
        const batch = spawn('ip', ['-n', net.a, '-batch', '-']);
        batch.stdin.end(
          `${lines.join('\n')}\nneigh replace ${other} lladdr 02:00:00:00:00:78 dev v nud permanent\n`,
        );
        expect(await once(batch, 'close')).toEqual([0, null]);
        for (let n = 0; n < 1000; n++) a.pump();
        a.send(batchOf(upTo(50).map((n) => esp(other, n + 1))));
        expect((await end())['v']).toEqual({ [other]: upTo(50).map((n) => n + 1) });
      }, 30_000);

      it('follows a route to another gateway', async () => {
        inB('link', 'add', 'link', 'v', 'name', 'w', 'type', 'macvlan', 'mode', 'bridge');
        // Each interface answers for its own addresses.
        net.run('b', 'sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1');
        inB('addr', 'add', `${host(2)}/${bits}`, 'dev', 'w', ...(version === 6 ? ['nodad'] : []));
        inB('link', 'set', 'w', 'up');
        const far = version === 4 ? '10.95.0.1' : 'fd95::1';
        inA('route', 'add', far, 'via', other, 'dev', 'v');
        const end = await note('v', 'w');
        const a = link({ address: self });
        a.send(batchOf(upTo(10).map((n) => esp(far, n))));
        turn(a, 20);
        inA('route', 'change', far, 'via', host(2), 'dev', 'v');
        turn(a, 20);
        a.send(batchOf(upTo(10).map((n) => esp(far, 10 + n))));
        turn(a, 50);
        const seen = await end();
        expect(seen).toEqual({ v: { [far]: upTo(10) }, w: { [far]: upTo(10).map((n) => 10 + n) } });
      });

      it('goes on when its interface has been down', async () => {
        const a = link({ address: self });
        a.send(batchOf([esp(other, 0)]));
        inA('link', 'set', 'v', 'down');
        turn(a, 20);
        a.send(batchOf([esp(other, 1)]));
        inA('link', 'set', 'v', 'up');
        // IPv6 addresses went with it.
        if (version === 6) inA('addr', 'replace', `${self}/64`, 'dev', 'v', 'nodad');
        turn(a, 1200);
        const end = await note('v');
        a.send(batchOf(upTo(10).map((n) => esp(other, 2 + n))));
        turn(a, 200);
        expect((await end())['v']).toEqual({ [other]: upTo(10).map((n) => 2 + n) });
      });
    });
  },
);
