/**
 * ESP in VXLAN between an `esplane node` and a Linux kernel that is set up as Cilium up to 1.17 sets it up: the states and
 * policies that `esplane sas --node` prints, a vxlan device, and pods behind a veth pair.
 *
 * ```text
 *  pod 10.244.1.1 ─ esp0 ─ esplane node-1 ─ 192.0.2.1 ──── vec0 192.0.2.2 ─ vx ─ xfrm ─ lxc ─ pod 10.244.2.20, in the guest
 * ```
 *
 * In the guest tc sets the marks, where Cilium's programs do: on what pods send, on ESP that comes out of VXLAN, and none on
 * what goes into it, or the policy that blocks would take it.
 * Routes say the VNI, which Cilium's programs take from the pod's identity.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { decryptMark, encryptMark } from '../../src/cilium/mark.ts';
import { esplane } from '../support/cli.ts';
import { LiveGuest } from '../support/live-guest.ts';
import { needs, PYTHON, PYTHON_NEED, program } from '../support/needs.ts';
import { LIVE } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';
import { UML_NEEDS } from '../support/uml.ts';

const TCP_PEER = fileURLToPath(new URL('./tcp-peer.py', import.meta.url));
const TCP_BYTES = 500_000;
const TCP_PORT = 5001;
const KEY_ID = 3;
const KEY = `rfc4106(gcm(aes)) ${'0123456789abcdef'.repeat(2)}a1b2c3d4 128\n`;
/** What the guest calls node-1. */
const NODE_ID = 0x3cb2;
/** Of our pods, and of the guest's. */
const IDENTITIES = [41_234, 52_345] as const;
/** What Cilium gives pods of 1500 bytes. */
const POD_MTU = 1373;
/** Where esplane sends a frame for 192.0.2.2: the last bytes of the address. */
const VXLAN_MAC = '02:00:c0:00:02:02';
const [HERE, THERE] = ['10.244.1.1', '10.244.2.20'];
const [HERE_V6, THERE_V6] = ['fd00:10:244:1::1', 'fd00:10:244:2::20'];
/** Pods of both nodes, the headers of a ping between them, and the ends of their ESP. */
const V4 = { here: HERE, there: THERE, headers: 28, ends: ['10.244.1.254', '10.244.2.254'] } as const;
const V6 = {
  here: HERE_V6,
  there: THERE_V6,
  headers: 48,
  ends: ['fd00:10:244:1::fe', 'fd00:10:244:2::fe'],
} as const;

const NEEDS = [...UML_NEEDS, PYTHON_NEED, program('tcpdump', 'tcpdump'), ...LIVE];
needs(NEEDS, 'ESP in VXLAN against the kernel', () => {
  let guest: LiveGuest;
  const folder = mkdtempSync(join(tmpdir(), 'esplane-kernel-vxlan-'));
  const clusterFiles = ['--keys', join(folder, 'keys'), '--nodes', join(folder, 'nodes.json')];

  beforeAll(async () => {
    guest = await LiveGuest.boot(120_000, ['sch_ingress', 'cls_u32', 'cls_matchall', 'act_skbedit']);
    copyFileSync(TCP_PEER, join(guest.folder, 'tcp-peer.py'));
    writeFileSync(
      join(folder, 'nodes.json'),
      JSON.stringify(
        [1, 2].map((i) => ({
          apiVersion: 'cilium.io/v2',
          kind: 'CiliumNode',
          metadata: { name: `node-${i}` },
          spec: {
            addresses: [
              { type: 'InternalIP', ip: `192.0.2.${i}` },
              { type: 'CiliumInternalIP', ip: `10.244.${i}.254` },
              { type: 'CiliumInternalIP', ip: `fd00:10:244:${i}::fe` },
            ],
            bootid: `3f2a6c1e-8d4b-4e57-9a30-5b7c9d1e2f4${i}`,
            encryption: { key: KEY_ID },
            ipam: { podCIDRs: [`10.244.${i}.0/24`, `fd00:10:244:${i}::/64`] },
          },
        })),
      ),
    );
    // Cilium's device takes any VNI, and sends with that of the packet.
    const toNode1 = `encap ip id ${IDENTITIES[1]} src 192.0.2.2 dst 192.0.2.1 dev vx`;
    const onEsp = `action skbedit mark ${decryptMark(NODE_ID).value}`;
    await guest.run(
      `set -e
       echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
       ip addr add 10.244.2.254/32 dev lo; ip addr add fd00:10:244:2::fe/128 dev lo nodad
       ip link add vx address ${VXLAN_MAC} type vxlan external dstport 8472
       ip link set vx arp off up
       ip route add 10.244.1.0/24 ${toNode1}; ip -6 route add fd00:10:244:1::/64 ${toNode1}
       tc qdisc add dev vx clsact
       tc filter add dev vx ingress protocol ip u32 match ip protocol 50 0xff ${onEsp}
       tc filter add dev vx ingress protocol ipv6 u32 match ip6 protocol 50 0xff ${onEsp}
       tc filter add dev vx egress matchall action skbedit mark 0

       ip netns add pod
       ip link add lxc type veth peer name eth0 netns pod
       ip addr add 10.244.2.1/32 dev lxc; ip addr add fd00:10:244:2::1/128 dev lxc nodad; ip link set lxc up
       ip route add ${THERE} dev lxc; ip -6 route add ${THERE_V6} dev lxc
       tc qdisc add dev lxc clsact
       tc filter add dev lxc ingress matchall action skbedit mark ${encryptMark(NODE_ID, KEY_ID).value}
       ip -n pod addr add ${THERE}/24 dev eth0; ip -n pod addr add ${THERE_V6}/64 dev eth0 nodad
       ip -n pod link set eth0 mtu ${POD_MTU} up; ip -n pod link set lo up
       ip -n pod route add default via 10.244.2.1; ip -n pod -6 route add default via fd00:10:244:2::1
       ip netns exec pod ${PYTHON} tcp-peer.py serve ${TCP_PORT} 1000 > /dev/null 2>&1 &`,
    );
  }, 60_000);

  afterAll(async () => {
    await guest?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  const xfrmStat = () => guest.run('cat /proc/net/xfrm_stat');
  /** Packets of the guest's states, by their destination. */
  async function kernelPackets(): Promise<Record<string, number>> {
    const text = await guest.run('ip -s xfrm state');
    return Object.fromEntries(
      [
        ...text.matchAll(/^src \S+ dst (\S+)[\s\S]*?lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)/gm),
      ].map(([, dst, packets]) => [dst!, Number(packets)]),
    );
  }

  /** Writes the keys file, and has the guest hold what Cilium's agent would install there. */
  async function plan(cilium: string, key: string): Promise<void> {
    writeFileSync(join(folder, 'keys'), key);
    const { code, stdout, stderr } = esplane([
      ...['sas', ...clusterFiles, '--node', 'node-2', '--node-id', `node-1=${NODE_ID}`],
      ...['--mode', 'tunnel', '--cilium', cilium, '--format', 'ip-xfrm', '--policies', '--show-keys'],
    ]);
    expect([code, stderr]).toEqual([0, '']);
    // The guest has no cilium_host, which the routes lead to.
    const commands = stdout.replace(/^(?!ip xfrm ).*\n/gm, '');
    await guest.run(`set -e\nip xfrm state flush; ip xfrm policy flush\n${commands}`);
  }

  it.each([
    ['1.17', `${KEY_ID}+ ${KEY}`, [V4, V6]],
    // One key for all nodes, without ESN and window.
    ['1.16', `${KEY_ID} ${KEY}`, [V4]],
  ] as const)(
    'carries pings and TCP both ways, at full size, and both sides count the same: %s',
    async (cilium, key, families) => {
      await plan(cilium, key);
      const before = await xfrmStat();
      const file = join(folder, 'wire.pcap');
      const tcpdump = spawn('ip', [
        ...['netns', 'exec', guest.netns, 'tcpdump', '-i', guest.tap, '-w', file],
        ...['--immediate-mode', '-U', '-s', '2000', '-B', '32768', 'udp port 8472'],
      ]);
      await once(tcpdump.stderr, 'data');
      const server = spawn(
        'ip',
        ['netns', 'exec', guest.netns, PYTHON, TCP_PEER, 'serve', String(TCP_PORT), '1000'],
        { stdio: 'ignore' },
      );
      let node: NodeProcess | undefined;
      try {
        writeFileSync(
          join(folder, 'node.yaml'),
          JSON.stringify({
            name: 'node-1',
            netns: guest.netns,
            inside: {
              device: 'esp0',
              addresses: [`${HERE}/24`, `${HERE_V6}/64`],
              identity: IDENTITIES[0],
            },
            outside: { link: 'udp', address: '192.0.2.1' },
            keys: 'keys',
            nodes: 'nodes.json',
            mode: 'tunnel',
            cilium,
            strict: '10.244.0.0/16',
          }),
        );
        node = await NodeProcess.start(join(folder, 'node.yaml'));
        for (const { here, there, headers } of families) {
          for (const len of [0, 1, POD_MTU - headers])
            guest.host('ping', '-c', '1', '-W', '5', '-M', 'do', '-s', String(len), there);
          guest.host(PYTHON, TCP_PEER, 'send', there, String(TCP_PORT), String(TCP_BYTES));
          await guest.run(
            `for len in 0 1 ${POD_MTU - headers}; do
               ip netns exec pod ping -c 1 -W 5 -M do -s $len ${here} || exit 1
             done
             ip netns exec pod ${PYTHON} tcp-peer.py send ${here} ${TCP_PORT} ${TCP_BYTES}`,
            30_000,
          );
        }
        const { out, in: into, xfrm } = await node.stop();
        const counted = await kernelPackets();
        expect([out.drops, into.drops, xfrm, into.clear]).toEqual([{}, {}, {}, 0]);
        expect(out.encrypted).toBeGreaterThan((families.length * TCP_BYTES) / POD_MTU);
        const carried = (i: 0 | 1) => counted[V4.ends[i]]! + counted[V6.ends[i]]!;
        expect(carried(1), 'what we sent').toBe(out.encrypted);
        expect(carried(0), 'what the kernel sent').toBe(into.decrypted);
        expect(await xfrmStat(), 'no error').toBe(before);

        const { stdout } = esplane(['decrypt', file, '--json', ...clusterFiles, '--cilium', cilium]);
        const seen = stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Record<'src' | 'verdict' | 'carrier', unknown>);
        expect(seen.length).toBeGreaterThan(100);
        const kinds = seen.map(({ src, verdict, carrier }) => `${src} ${verdict} ${JSON.stringify(carrier)}`);
        expect(new Set(kinds)).toEqual(
          new Set(families.flatMap(({ ends }) => ends.map((src, i) => `${src} ok {"vni":${IDENTITIES[i]}}`))),
        );
      } finally {
        tcpdump.kill('SIGKILL');
        server.kill('SIGKILL');
        node?.process.kill('SIGKILL');
      }
    },
    60_000,
  );
});
