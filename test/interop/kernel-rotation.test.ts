/**
 * A key rotated between an `esplane node`, driven by its files, and a Linux kernel, whose states and policies are the
 * commands that `esplane sas --node` prints: UDP both ways at a fixed rate, and nothing is lost. The other order,
 * advertise first, loses what the peer sends meanwhile.
 *
 * ```text
 *  pod 10.244.1.1 ─ esp0 ─ esplane node-1 ─ 192.0.2.1 ──── vec0 192.0.2.2 ─ xfrm ─ pod 10.244.2.1, in the guest
 * ```
 *
 * The test is the agent in the guest. Marks are where Cilium's programs set them: on ESP that comes in (tc), on what
 * pods send (native: by the sending program, as there is no other place before routing; tunnel: at the vxlan device).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { effectiveKeyId } from '../../src/cilium/effective-key.ts';
import { decryptMark, encryptMark } from '../../src/cilium/mark.ts';
import { wiredNode } from '../support/cilium-cluster.ts';
import { esplane } from '../support/cli.ts';
import { LiveGuest } from '../support/live-guest.ts';
import { needs, PYTHON, PYTHON_NEED } from '../support/needs.ts';
import { LIVE } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';
import { UML_NEEDS } from '../support/uml.ts';

const UDP_RATE = fileURLToPath(new URL('./udp-rate.py', import.meta.url));
const IDS = [14, 15, 1, 2] as const;
const RATE = 200;
/** What the guest calls node-1. */
const NODE_ID = 0x3cb2;
/** Where esplane sends a frame for 192.0.2.2: the last bytes of the address. */
const VXLAN_MAC = '02:00:c0:00:02:02';

type Mode = 'native' | 'tunnel';

/** The ends of the tunnels, node-1 first. */
const ENDS: Readonly<Record<Mode, readonly [string, string]>> = {
  native: ['10.244.1.254', '10.244.2.254'],
  tunnel: ['192.0.2.1', '192.0.2.2'],
};

/** Files by which the test and both ends of the traffic tell each other how far they are. */
const FLAGS = [
  'go',
  'end',
  ...['host', 'guest'].flatMap((end) => [`${end}.mark`, `${end}.ready`, `${end}.json`]),
];

const keyLine = (id: number) =>
  `${id}+ rfc4106(gcm(aes)) ${id.toString(16).padStart(2, '0').repeat(16)}a1b2c3d4 128\n`;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What one end of the traffic says at its end. */
interface Traffic {
  readonly sent: number;
  readonly refused: number;
  readonly came: number;
  readonly runs: readonly (readonly [number, number])[];
}

const NEEDS = [...UML_NEEDS, PYTHON_NEED, ...LIVE];
needs(NEEDS, 'rotation against the kernel', () => {
  let guest: LiveGuest;
  let folder: string;
  let node: NodeProcess | undefined;
  let traffic: ChildProcess | undefined;

  beforeAll(async () => {
    guest = await LiveGuest.boot(300_000, ['sch_ingress', 'cls_u32', 'cls_matchall', 'act_skbedit']);
    copyFileSync(UDP_RATE, join(guest.folder, 'udp-rate.py'));
    await guest.run(
      `ip addr add 10.244.2.1/32 dev lo; ip addr add 10.244.2.254/32 dev lo
       ip route add 10.244.1.254/32 dev vec0 via 192.0.2.1
       tc qdisc add dev vec0 clsact
       tc filter add dev vec0 ingress protocol ip u32 match ip protocol 50 0xff action skbedit mark ${decryptMark(NODE_ID).value}`,
    );
    for (const args of [
      ['addr', 'add', '10.244.1.254/32', 'dev', 'lo'],
      ['route', 'add', '10.244.2.254/32', 'via', '192.0.2.2'],
    ])
      guest.host('ip', ...args);
  }, 120_000);

  afterAll(async () => {
    await guest?.stop();
  }, 60_000);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'esplane-kernel-rotation-'));
  });
  afterEach(async () => {
    traffic?.kill('SIGKILL');
    node?.process.kill('SIGKILL');
    writeFileSync(join(guest.folder, 'end'), '');
    rmSync(folder, { recursive: true, force: true });
    await guest.run('wait; ip xfrm state flush; ip xfrm policy flush; ip link del vx 2> /dev/null; true');
  });

  /** Replaces a file at once, as kubelet and the API server's watchers do. */
  function put(path: string, text: string): void {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }

  const cilium = (i: number, key: number) => JSON.stringify(wiredNode(i, { key, address: `192.0.2.${i}` }));
  const published = (i: number) =>
    JSON.parse(readFileSync(join(folder, `node-${i}.json`), 'utf8')).spec.encryption.key as number;

  /** The commands that Cilium's agent on the guest stands for. States are new; policies may be there. */
  function commands(id: number, mode: Mode): string {
    put(join(folder, 'keys-2'), keyLine(id));
    const { code, stdout, stderr } = esplane([
      ...['sas', '--keys', join(folder, 'keys-2'), '--node', 'node-2', '--mode', mode],
      ...['--nodes', join(folder, 'node-1.json'), '--nodes', join(folder, 'node-2.json')],
      ...['--node-id', `node-1=${NODE_ID}`, '--format', 'ip-xfrm', '--policies', '--show-keys'],
    ]);
    expect([code, stderr]).toEqual([0, '']);
    // The guest has no cilium_host, which the routes lead to.
    return stdout
      .replaceAll('ip xfrm policy add', 'ip xfrm policy update')
      .replace(/^(?!ip xfrm ).*\n/gm, '');
  }

  /** Lets the guest send with a key, or the older one that node-1 has. */
  async function send(mode: Mode, id: number): Promise<void> {
    const mark = encryptMark(NODE_ID, effectiveKeyId(id, published(1))).value;
    if (mode === 'native') put(join(guest.folder, 'guest.mark'), String(mark));
    else await guest.run(`tc actions replace action skbedit mark ${mark} index 7`);
  }

  /** Removes what has the key, with the policies that lead there. */
  async function reclaim(id: number): Promise<void> {
    const spi = `0x${id.toString(16).padStart(8, '0')}`;
    await guest.run(
      `set -e
       ip xfrm state deleteall proto esp spi ${spi}
       ip -o xfrm policy list dir out | grep 'spi ${spi}' | sed -n 's/^\\(src [^ ]* dst [^ ]*\\) .*[^-]mark \\([^/]*\\)\\/\\([^ \\\\]*\\).*/\\1 mark \\2 mask \\3/p' |
         while read -r line; do ip xfrm policy delete $line dir out; done`,
    );
  }

  const xfrmStat = async () =>
    Object.fromEntries(
      [...(await guest.run('cat /proc/net/xfrm_stat')).matchAll(/(\w+)\s+(\d+)/g)].map(
        ([, name, count]) => [name!, Number(count)] as const,
      ),
    );
  /** Rows that are higher than before. */
  const rises = (before: Record<string, number>, after: Record<string, number>) =>
    Object.fromEntries(
      Object.entries(after).flatMap(([name, n]) => (n > before[name]! ? [[name, n - before[name]!]] : [])),
    );
  /** Packets of the guest's states, by SPI. */
  const kernelPackets = async () => {
    const packets = new Map<number, number[]>();
    for (const [, spi, count] of (await guest.run('ip -s xfrm state')).matchAll(
      /spi (0x[0-9a-f]+)[\s\S]*?lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)/g,
    )) {
      packets.set(Number(spi), [...(packets.get(Number(spi)) ?? []), Number(count)]);
    }
    return packets;
  };

  async function until(what: string, condition: () => boolean): Promise<void> {
    const end = Date.now() + 10_000;
    while (!condition()) {
      if (Date.now() > end) throw new Error(`never: ${what}; ${node?.errors}`);
      await sleep(20);
    }
  }

  /** Both nodes with the first key, and traffic both ways. */
  async function start(mode: Mode): Promise<void> {
    for (const i of [1, 2]) put(join(folder, `node-${i}.json`), cilium(i, IDS[0]));
    put(join(folder, 'keys'), keyLine(IDS[0]));
    for (const name of FLAGS) rmSync(join(guest.folder, name), { force: true });
    await guest.run(
      mode === 'native'
        ? 'ip route replace 10.244.1.0/24 dev vec0 via 192.0.2.1 src 10.244.2.1'
        : `set -e
           ip link add vx address ${VXLAN_MAC} mtu 1373 type vxlan external dstport 8472; ip link set vx arp off up
           ip route replace 10.244.1.0/24 encap ip id 6 src 192.0.2.2 dst 192.0.2.1 dev vx src 10.244.2.1
           tc actions replace action skbedit mark 0 index 7
           tc qdisc add dev vx clsact; tc filter add dev vx egress matchall action skbedit index 7`,
    );
    await guest.run(`set -e\n${commands(IDS[0], mode)}`);
    await send(mode, IDS[0]);
    writeFileSync(
      join(folder, '1.yaml'),
      JSON.stringify({
        name: 'node-1',
        netns: guest.netns,
        inside: { device: 'esp0', addresses: ['10.244.1.1/24'] },
        outside: { link: 'raw', address: ENDS[mode][0] },
        keys: 'keys',
        nodes: ['node-1.json', 'node-2.json'],
        publish: 'node-1.json',
        mode,
        strict: '10.244.0.0/16',
        'key-rotation-duration': '4s',
      }),
    );
    node = await NodeProcess.start(join(folder, '1.yaml'));
    guest.host('ping', '-c', '1', '-W', '5', '192.0.2.2');
    const run = (own: string, peer: string, at: string, name: string) => [
      ...[`${at}/udp-rate.py`, own, peer, String(RATE), at, name],
    ];
    await guest.run(
      `${PYTHON} ${run('10.244.2.1', '10.244.1.1', '.', 'guest').join(' ')} > udp-rate.log 2>&1 &`,
    );
    traffic = spawn(
      'ip',
      [...['netns', 'exec', guest.netns, PYTHON], ...run('10.244.1.1', '10.244.2.1', guest.folder, 'host')],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    await until('both ends listen', () =>
      ['host', 'guest'].every((name) => existsSync(join(guest.folder, `${name}.ready`))),
    );
    writeFileSync(join(guest.folder, 'go'), '');
  }

  /** Ends the traffic. @returns what the two ends say, host first */
  async function end(): Promise<[Traffic, Traffic]> {
    rmSync(join(guest.folder, 'go'));
    await sleep(1000);
    const ended = once(traffic!, 'close');
    writeFileSync(join(guest.folder, 'end'), '');
    await ended;
    await until('both say what came', () =>
      ['host', 'guest'].every((name) => existsSync(join(guest.folder, `${name}.json`))),
    );
    return ['host', 'guest'].map((name) =>
      JSON.parse(readFileSync(join(guest.folder, `${name}.json`), 'utf8')),
    ) as [Traffic, Traffic];
  }

  it.each(['native', 'tunnel'] as const)(
    'loses nothing when the key is rotated three times, and peers are first in turn: %s',
    async (mode) => {
      await start(mode);
      const before = await xfrmStat();
      await sleep(1500);
      const first = await kernelPackets();
      for (const [i, id] of IDS.slice(1).entries()) {
        const old = IDS[i]!;
        const ours = async () => {
          put(join(folder, 'keys'), keyLine(id));
          await until(`node-1 has key ${id}`, () => published(1) === id);
        };
        const theirs = async () => {
          await guest.run(`set -e\n${commands(id, mode)}`);
          put(join(folder, 'node-2.json'), cilium(2, id));
          await sleep(300);
          await send(mode, id);
        };
        for (const step of i % 2 === 0 ? [ours, theirs] : [theirs, ours]) {
          await step();
          await sleep(700);
        }
        await send(mode, id);
        await sleep(800);
        const carried = await kernelPackets();
        expect(
          carried.get(id)?.filter((packets) => packets > 0),
          `both ways with key ${id}`,
        ).toHaveLength(2);
        await until(`node-1 has removed key ${old}`, () =>
          new RegExp(`key ${old}: \\d+ old SAs removed`).test(node!.errors),
        );
        await reclaim(old);
      }
      await sleep(500);
      const left = await kernelPackets();
      const [host, there] = await end();
      expect(first.get(IDS[0])!.filter((packets) => packets > 0)).toHaveLength(2);
      expect([...left.keys()]).toEqual([IDS.at(-1)]);
      expect(rises(before, await xfrmStat())).toEqual({});
      const { out, in: into, xfrm, sas } = await node!.stop();
      expect([out.drops, into.drops, xfrm, out.refused]).toEqual([{}, {}, {}, 0]);
      expect(new Set(sas.map(({ spi }) => spi))).toEqual(new Set([IDS.at(-1)]));
      for (const [sender, receiver] of [
        [host, there],
        [there, host],
      ] as const) {
        expect(sender.refused).toBe(0);
        expect(sender.sent).toBeGreaterThan(10 * RATE);
        expect(receiver.runs, `of ${sender.sent}`).toEqual([[0, sender.sent - 1]]);
        expect(receiver.came).toBe(sender.sent);
      }
    },
    90_000,
  );

  it('loses what comes between, as XfrmInNoStates, when the guest advertises first', async () => {
    await start('native');
    const before = await xfrmStat();
    await sleep(1000);
    const id = IDS[1];
    put(join(folder, 'keys'), keyLine(id));
    await until(`node-1 has key ${id}`, () => published(1) === id);
    put(join(folder, 'node-2.json'), cilium(2, id));
    await sleep(500);
    await guest.run(`set -e\n${commands(id, 'native')}`);
    await send('native', id);
    await sleep(1000);
    const [host, there] = await end();
    const lost = host.sent - there.came;
    expect(lost).toBeGreaterThan(RATE / 10);
    expect(there.runs, 'one hole').toHaveLength(2);
    expect(rises(before, await xfrmStat())).toEqual({ XfrmInNoStates: lost });
    // The other way everything comes.
    expect(host.runs).toEqual([[0, there.sent - 1]]);
    const { out, in: into, xfrm } = await node!.stop();
    expect([out.drops, into.drops, xfrm]).toEqual([{}, {}, {}]);
  }, 60_000);
});
