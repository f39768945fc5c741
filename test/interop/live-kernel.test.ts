/**
 * `esplane node` against the xfrm of a running Linux kernel, packet by packet on a real wire: pings and TCP at full
 * size both ways, and afterwards both sides have counted the same.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LiveGuest } from '../support/live-guest.ts';
import { needs, PYTHON, PYTHON_NEED } from '../support/needs.ts';
import { LIVE } from '../support/netns.ts';
import { NodeProcess } from '../support/node-process.ts';
import { ALGORITHM_MODULES, UML_NEEDS } from '../support/uml.ts';

const TCP_PEER = fileURLToPath(new URL('./tcp-peer.py', import.meta.url));
const INJECT = fileURLToPath(new URL('./inject.py', import.meta.url));
const TCP_BYTES = 3_000_000;
const SALT = '51525354';

interface Case {
  readonly name: string;
  /** What `ip xfrm state add` takes after mode and reqid. */
  readonly algorithm: string;
  readonly extra?: string;
  readonly outer?: 4 | 6;
  readonly inner?: 4 | 6;
  readonly link?: 'raw' | 'udp' | 'packet';
}

const gcm = (bytes: number, icv = 128) => `aead 'rfc4106(gcm(aes))' 0x${'a7'.repeat(bytes)}${SALT} ${icv}`;
const cbc = `auth-trunc 'hmac(sha256)' 0x${'b1'.repeat(32)} 128 enc 'cbc(aes)' 0x${'c2'.repeat(16)}`;

const CASES: readonly Case[] = [
  { name: 'AES-GCM-128, ESN, window 1024', algorithm: gcm(16), extra: 'flag esn replay-window 1024' },
  { name: 'AES-GCM-192, window 32', algorithm: gcm(24), extra: 'replay-window 32' },
  { name: 'AES-GCM-256, ICV 12', algorithm: gcm(32, 96), extra: 'replay-window 32' },
  { name: 'AES-GCM-256, ICV 16, ESN', algorithm: gcm(32), extra: 'flag esn replay-window 1024' },
  { name: 'AES-GCM-128, ICV 8, no window', algorithm: gcm(16, 64) },
  { name: 'AES-CBC with HMAC-SHA256, ESN', algorithm: cbc, extra: 'flag esn replay-window 128' },
  {
    name: 'AES-CCM-128, ESN',
    algorithm: `aead 'rfc4309(ccm(aes))' 0x${'a7'.repeat(16)}515253 128`,
    extra: 'flag esn replay-window 128',
  },
  {
    name: 'AES-CTR with XCBC',
    algorithm: `auth-trunc 'xcbc(aes)' 0x${'b1'.repeat(16)} 96 enc 'rfc3686(ctr(aes))' 0x${'c2'.repeat(16)}${SALT}`,
    extra: 'replay-window 32',
  },
  {
    name: '3DES with HMAC-MD5, ESN',
    algorithm: `auth-trunc 'hmac(md5)' 0x${'b1'.repeat(16)} 96 enc 'cbc(des3_ede)' 0x${'c2a1b0'.repeat(8)}`,
    extra: 'flag esn replay-window 128',
  },
  { name: 'IPv6 in IPv6', algorithm: gcm(16), extra: 'replay-window 32', outer: 6, inner: 6 },
  { name: 'IPv6 in IPv4', algorithm: gcm(16), extra: 'replay-window 32', inner: 6 },
  { name: 'IPv4 in IPv6', algorithm: gcm(16), extra: 'replay-window 32', outer: 6 },
  { name: 'AES-GCM-128 over the packet link', algorithm: gcm(16), extra: 'replay-window 32', link: 'packet' },
  { name: 'NAT-T over the UDP link', algorithm: gcm(16), extra: 'replay-window 32 flag esn', link: 'udp' },
];

const OUTER = { 4: ['192.0.2.1', '192.0.2.2'], 6: ['fd00:2::1', 'fd00:2::2'] } as const;
const INNER = {
  4: {
    here: '10.244.1.1',
    there: '10.244.2.1',
    podsHere: '10.244.1.0/24',
    podsThere: '10.244.2.0/24',
    bits: 24,
  },
  6: { here: 'fd44:1::1', there: 'fd44:2::1', podsHere: 'fd44:1::/64', podsThere: 'fd44:2::/64', bits: 64 },
} as const;

needs([...UML_NEEDS, PYTHON_NEED, ...LIVE], 'live against the kernel', () => {
  let guest: LiveGuest;
  const folder = mkdtempSync(join(tmpdir(), 'esplane-live-'));
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    guest = await LiveGuest.boot(600_000, ALGORITHM_MODULES);
    // The guest has a /tmp of its own, and sees this folder.
    copyFileSync(TCP_PEER, join(guest.folder, 'tcp-peer.py'));
    copyFileSync(INJECT, join(guest.folder, 'inject.py'));
    await guest.run(
      `ip addr add 10.244.2.1/24 dev lo; ip addr add fd44:2::1/64 dev lo nodad
       ip route add 10.244.1.0/24 dev vec0 src 10.244.2.1 via 192.0.2.1
       ip -6 route add fd44:1::/64 dev vec0 src fd44:2::1 via fd00:2::1
       ${PYTHON} tcp-peer.py serve 5001 1000 > /dev/null 2>&1 &
       ${PYTHON} tcp-peer.py encap 4500 > /dev/null 2>&1 &
       sleep 1`,
    );
    children.push(
      spawn('ip', ['netns', 'exec', guest.netns, PYTHON, TCP_PEER, 'serve', '5001', '1000'], {
        stdio: 'ignore',
      }),
    );
  }, 120_000);

  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await guest?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  /** Sets the kernel's side up, and writes ours. @returns the name of our configuration */
  async function setUp({ algorithm, extra = '', outer = 4, inner = 4, link = 'raw' }: Case): Promise<string> {
    const [us, kernel] = OUTER[outer];
    const { here, podsHere, podsThere, bits } = INNER[inner];
    const any = inner === 4 ? '0.0.0.0/0' : '::/0';
    const encap = link === 'udp' ? 'encap espinudp 4500 4500 0.0.0.0' : '';
    const state = (src: string, dst: string, spi: number) =>
      `ip xfrm state add src ${src} dst ${dst} proto esp spi ${spi} reqid 1 mode tunnel ${extra} ${algorithm} ${encap} sel src ${any} dst ${any}`;
    const policy = (dir: string, src: string, dst: string, from: string, to: string) =>
      `ip xfrm policy add src ${src} dst ${dst} dir ${dir} tmpl src ${from} dst ${to} proto esp reqid 1 mode tunnel`;
    const text = await guest.run(
      `ip xfrm state flush; ip xfrm policy flush
       ${state(us, kernel, 0x101)}
       ${state(kernel, us, 0x202)}
       ${policy('out', podsThere, podsHere, kernel, us)}
       ${policy('in', podsHere, podsThere, us, kernel)}
       ip xfrm state`,
    );
    const policies = await guest.run(
      `ip xfrm policy flush
       ${policy('out', podsHere, podsThere, us, kernel)}
       ${policy('in', podsThere, podsHere, kernel, us)}
       ${policy('fwd', podsThere, podsHere, kernel, us)}
       ip xfrm policy
       ip xfrm policy flush
       ${policy('out', podsThere, podsHere, kernel, us)}
       ${policy('in', podsHere, podsThere, us, kernel)}`,
    );
    writeFileSync(join(folder, 'state'), text);
    writeFileSync(join(folder, 'policy'), policies);
    const config = join(folder, 'node.yaml');
    writeFileSync(
      config,
      JSON.stringify({
        name: 'live',
        netns: guest.netns,
        inside: { device: 'esp0', addresses: [`${here}/${bits}`] },
        outside: { link, address: us },
        xfrm: { state: 'state', policy: 'policy' },
        pods: [podsHere],
      }),
    );
    return config;
  }

  /** Packets that each state of the guest has counted, by SPI. */
  async function kernelPackets(): Promise<Map<number, number>> {
    const text = await guest.run('ip -s xfrm state');
    return new Map(
      [...text.matchAll(/spi (0x[0-9a-f]+)[\s\S]*?lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)/g)].map(
        ([, spi, packets]) => [Number(spi), Number(packets)],
      ),
    );
  }

  const xfrmStat = () => guest.run('cat /proc/net/xfrm_stat');

  describe.each(CASES)('$name', (one) => {
    it('carries pings and TCP both ways, and both sides count the same', async () => {
      const { inner = 4 } = one;
      const { here, there } = INNER[inner];
      const before = await xfrmStat();
      const node = await NodeProcess.start(await setUp(one));
      try {
        for (const size of [0, 1, 56, 1000, 1300])
          guest.host('ping', '-c', '2', '-i', '0.05', '-W', '5', '-s', String(size), there);
        await guest.run(
          `for size in 0 1 500 1300; do ping -c 2 -i 0.2 -W 5 -s $size -I ${there} ${here} || exit 1; done`,
        );
        guest.host(PYTHON, TCP_PEER, 'send', there, '5001', String(TCP_BYTES));
        await guest.run(`${PYTHON} tcp-peer.py send ${here} 5001 ${TCP_BYTES}`, 60_000);
      } finally {
        await node.stop();
      }
      const stats = node.stats!;
      const counted = await kernelPackets();
      expect(counted.get(0x101), 'what we sent, the kernel took').toBe(stats.out.encrypted);
      expect(counted.get(0x202), 'what the kernel sent, we took').toBe(stats.in.decrypted);
      expect(stats.in.esp).toBe(stats.in.decrypted);
      expect([stats.out.drops, stats.in.drops, stats.xfrm]).toEqual([{}, {}, {}]);
      expect(stats.out.encrypted).toBeGreaterThan(TCP_BYTES / 1500);
      expect(await xfrmStat(), 'no error that this did not provoke').toBe(before);
    }, 90_000);
  });

  describe('packets that do not fit', () => {
    it('are cut after ESP on either side and put together on the other; with DF the sender is told', async () => {
      const before = await xfrmStat();
      const config = await setUp({ name: '', algorithm: gcm(16), extra: 'replay-window 32' });
      // A TUN device that lets through what does not fit.
      writeFileSync(
        config,
        readFileSync(config, 'utf8').replace('"device":"esp0"', '"device":"esp0","mtu":9000'),
      );
      const node = await NodeProcess.start(config);
      const { here, there } = INNER[4];
      try {
        for (const size of [1472, 1600, 4000]) {
          guest.host('ping', '-M', 'dont', '-c', '3', '-i', '0.05', '-W', '5', '-s', String(size), there);
          await guest.run(`ping -M dont -c 3 -i 0.2 -W 5 -s ${size} -I ${there} ${here}`);
        }
        expect(() => guest.host('ping', '-M', 'do', '-c', '2', '-W', '2', '-s', '1470', there)).toThrow();
        expect(guest.host('ip', 'route', 'get', there)).toMatch(/mtu 14[0-9][0-9]/);
      } finally {
        await node.stop();
      }
      const stats = node.stats!;
      const counted = await kernelPackets();
      expect(counted.get(0x101)).toBe(stats.out.encrypted);
      expect(counted.get(0x202)).toBe(stats.in.decrypted);
      expect(stats.tooBig.cut).toBeGreaterThan(10);
      expect(stats.tooBig.icmpSent).toBeGreaterThan(0);
      expect(await xfrmStat()).toBe(before);
    }, 60_000);
  });

  describe('rotation', () => {
    it('replaces states under traffic without a loss', async () => {
      const before = await xfrmStat();
      const one = { name: '', algorithm: gcm(16), extra: 'replay-window 32' };
      const config = await setUp(one);
      const node = await NodeProcess.start(config);
      const { there } = INNER[4];
      const [us, kernel] = OUTER[4];
      const pinging = spawn('ip', ['netns', 'exec', guest.netns, 'ping', '-i', '0.01', there]);
      let said = '';
      pinging.stdout.on('data', (bytes: Buffer) => {
        said += bytes.toString();
      });
      const ended = once(pinging, 'close');
      try {
        const text = readFileSync(join(folder, 'state'), 'utf8');
        const key = `0x${'d3'.repeat(16)}${SALT}`;
        const add = (src: string, dst: string, spi: number) =>
          `ip xfrm state add src ${src} dst ${dst} proto esp spi ${spi} reqid 1 mode tunnel replay-window 32 aead 'rfc4106(gcm(aes))' ${key} 128 sel src 0.0.0.0/0 dst 0.0.0.0/0`;
        // Both receive with the new key before either sends with it.
        await guest.run(`${add(us, kernel, 0x103)}`);
        const fresh = await guest.run('ip xfrm state');
        const block = (spi: string, all: string) =>
          all.split(/^(?=src )/m).find((state) => state.includes(spi))!;
        const newOut = block('0x00000103', fresh);
        const newIn = newOut
          .replace(`src ${us} dst ${kernel}`, `src ${kernel} dst ${us}`)
          .replace('0x00000103', '0x00000204');
        const reload = async (states: string, ...spis: readonly number[]) => {
          writeFileSync(join(folder, 'state'), states);
          node.process.kill('SIGHUP');
          const spisOf = (sas: readonly { spi: number }[]) => sas.map(({ spi }) => spi).sort();
          await node.until(({ sas }) => spisOf(sas).join() === spis.join());
        };
        await reload(text + newIn, 0x101, 0x202, 0x204);
        await guest.run(
          `${add(kernel, us, 0x204)}; ip xfrm state delete src ${kernel} dst ${us} proto esp spi 0x202`,
        );
        // The new one stands last, and is taken all the same: it came last.
        await reload(block('0x00000101', text) + newIn + newOut, 0x101, 0x103, 0x204);
        await reload(newOut + newIn, 0x103, 0x204);
        await reload(newOut + newIn, 0x103, 0x204);
        await guest.run(`ip xfrm state delete src ${us} dst ${kernel} proto esp spi 0x101`);
        const { decrypted } = node.stats!.in;
        await node.until((stats) => stats.in.decrypted > decrypted + 50);
        pinging.kill('SIGINT');
        await ended;
      } finally {
        pinging.kill('SIGKILL');
        await node.stop();
      }
      const sent = Number(/(\d+) packets transmitted/.exec(said)![1]);
      const answered = new Set([...said.matchAll(/icmp_seq=(\d+)/g)].map(([, seq]) => Number(seq)));
      // The last ones may still have been on their way.
      expect(Math.max(...answered)).toBeGreaterThan(sent - 20);
      expect(answered.size, 'every one before was answered').toBe(Math.max(...answered));
      expect(sent).toBeGreaterThan(100);
      expect([node.stats!.out.drops, node.stats!.in.drops]).toEqual([{}, {}]);
      expect(node.stats!.sas.map(({ spi }) => spi).sort()).toEqual([0x103, 0x204]);
      expect(await xfrmStat()).toBe(before);
    }, 60_000);
  });

  describe('replays and unknown SPIs', () => {
    it('are refused by both sides under the same names', async () => {
      const packets = 5;
      const node = await NodeProcess.start(
        await setUp({ name: '', algorithm: gcm(16), extra: 'replay-window 32' }),
      );
      const { here, there } = INNER[4];
      const [us, kernel] = OUTER[4];
      const xfrm = async (name: string) => Number(new RegExp(`${name}\\s+(\\d+)`).exec(await xfrmStat())![1]);
      try {
        const counts = async () => [await xfrm('XfrmInStateSeqError'), await xfrm('XfrmInNoStates')];
        const [replays, unknown] = (await counts()) as [number, number];
        // What we send, twice.
        const harm = spawn('ip', [
          ...['netns', 'exec', guest.netns, PYTHON, INJECT],
          ...[guest.tap, kernel, String(packets)],
        ]);
        const done = once(harm, 'close');
        await once(harm.stdout, 'data');
        guest.host('ping', '-c', String(packets), '-i', '0.05', '-W', '5', there);
        expect((await done)[0]).toBe(0);
        await expect.poll(counts).toEqual([replays + packets, unknown + packets]);
        // What the kernel sends, twice.
        await guest.run(
          `${PYTHON} inject.py vec0 ${us} ${packets} > injected &
           until grep -q ready injected; do sleep 0.05; done
           ping -c ${packets} -i 0.2 -W 5 -I ${there} ${here}; wait $!; cat injected`,
        );
        await node.until(({ xfrm: found }) => found['XfrmInNoStates'] === packets);
        guest.host('ping', '-c', '1', '-W', '5', there);
      } finally {
        await node.stop();
      }
      const { stats } = node;
      expect(stats!.xfrm).toEqual({ XfrmInStateSeqError: packets, XfrmInNoStates: packets });
      expect(stats!.sas.find(({ spi }) => spi === 0x202)!.replay).toBe(packets);
      expect(stats!.in.decrypted).toBe(2 * packets + 1);
    }, 60_000);
  });

  describe('errors on purpose', () => {
    it('are counted on both sides under the same names', async () => {
      const one = { name: '', algorithm: gcm(16), extra: 'replay-window 32' };
      const config = await setUp(one);
      const node = await NodeProcess.start(config);
      const { here, there } = INNER[4];
      const [us, kernel] = OUTER[4];
      const count = async (name: string) =>
        Number(new RegExp(`${name}\\s+(\\d+)`).exec(await xfrmStat())![1]);
      try {
        const [noStates, protoError] = [await count('XfrmInNoStates'), await count('XfrmInStateProtoError')];
        // The kernel forgets our state: what we send finds none.
        await guest.run(`ip xfrm state delete src ${us} dst ${kernel} proto esp spi 0x101`);
        expect(() => guest.host('ping', '-c', '3', '-i', '0.1', '-W', '1', there)).toThrow();
        expect(await count('XfrmInNoStates')).toBe(noStates + 3);
        // And takes it back with another key: what we send does not verify, nor what it sends to us.
        const other = `aead 'rfc4106(gcm(aes))' 0x${'ee'.repeat(16)}${SALT} 128`;
        const add = (src: string, dst: string, spi: number) =>
          `ip xfrm state add src ${src} dst ${dst} proto esp spi ${spi} reqid 1 mode tunnel replay-window 32 ${other} sel src 0.0.0.0/0 dst 0.0.0.0/0`;
        await guest.run(
          `${add(us, kernel, 0x101)}; ip xfrm state delete src ${kernel} dst ${us} proto esp spi 0x202; ${add(kernel, us, 0x202)}`,
        );
        expect(() => guest.host('ping', '-c', '4', '-i', '0.1', '-W', '1', there)).toThrow();
        expect(await count('XfrmInStateProtoError')).toBe(protoError + 4);
        await guest.run(`ping -c 5 -i 0.2 -W 1 -I ${there} ${here} || true`);
      } finally {
        await node.stop();
      }
      expect(node.stats!.xfrm).toEqual({ XfrmInStateProtoError: 5 });
      expect(node.stats!.sas.find(({ spi }) => spi === 0x202)!.failed).toBe(5);
    }, 60_000);
  });
});
