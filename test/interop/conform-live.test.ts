/**
 * `esplane conform run` at a running Linux kernel, set up by the folder's own commands: every frame has the verdict that
 * was written beside it, by its reply and by the kernel's counters.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { esplane, MAIN } from '../support/cli.ts';
import { LiveGuest } from '../support/live-guest.ts';
import { needs, PYTHON, PYTHON_NEED } from '../support/needs.ts';
import { LIVE } from '../support/netns.ts';
import { ALGORITHM_MODULES, UML_NEEDS } from '../support/uml.ts';

/** In the guest: writes its counters into a file when it is asked to. */
const TELLER = `import os, time
while True:
    if os.path.exists("ask"):
        os.unlink("ask")
        with open("/proc/net/xfrm_stat") as counters, open("stat.tmp", "w") as out:
            out.write(counters.read())
        os.rename("stat.tmp", "stat")
    else:
        time.sleep(0.002)
`;

const CASES: readonly { readonly name: string; readonly args: readonly string[]; readonly link?: string }[] =
  [
    { name: 'AES-GCM with ESN', args: ['--suite', 'rfc4106(gcm(aes))', '--esn'] },
    {
      name: 'AES-CBC with HMAC-SHA256, transport mode',
      args: ['--suite', 'hmac(sha256)+cbc(aes)', '--mode', 'transport'],
    },
    {
      name: 'AES-CTR with XCBC over the raw link',
      args: ['--suite', 'xcbc(aes)+rfc3686(ctr(aes))', '--window', '32'],
      link: 'raw',
    },
    {
      name: '3DES with HMAC-MD5 in UDP',
      args: ['--suite', 'hmac(md5)+cbc(des3_ede)', '--udp', '--esn', '--window', '128'],
    },
    {
      name: 'AES-CCM over IPv6',
      args: ['--suite', 'rfc4309(ccm(aes))', '--src', 'fd00:2::1', '--dst', 'fd00:2::2'],
    },
  ];

needs([...UML_NEEDS, PYTHON_NEED, ...LIVE], 'conform run at a Linux kernel', () => {
  let guest: LiveGuest;
  const folder = mkdtempSync(join(tmpdir(), 'esplane-conform-'));

  beforeAll(async () => {
    guest = await LiveGuest.boot(900_000, ALGORITHM_MODULES);
    writeFileSync(join(guest.folder, 'teller.py'), TELLER);
    await guest.run(`${PYTHON} teller.py > /dev/null 2>&1 &`);
    // A packet for a neighbour that is being asked for goes through the host's IP layer, which writes its length anew.
    const mac = (await guest.run('cat /sys/class/net/vec0/address')).trim();
    for (const peer of ['192.0.2.2', 'fd00:2::2'])
      guest.host('ip', 'neigh', 'replace', peer, 'lladdr', mac, 'nud', 'permanent', 'dev', guest.tap);
    guest.host('ip', 'neigh', 'replace', '192.0.2.77', 'lladdr', '02:00:00:00:00:77', 'dev', guest.tap);
  }, 120_000);

  afterAll(async () => {
    await guest?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it.each(CASES)(
    '$name',
    async ({ name, args: given, link }) => {
      const test = join(folder, name.replace(/\W+/g, '-'));
      expect(esplane(['conform', 'make', ...given, '-o', test])).toMatchObject({ code: 0, stderr: '' });
      copyFileSync(join(test, 'peer.sh'), join(guest.folder, 'peer.sh'));
      // The line that waits for ESP in UDP is a comment, for people to run as they like.
      const socket = /^# (python3 -c .*)$/m.exec(readFileSync(join(test, 'peer.sh'), 'utf8'))?.[1];
      await guest.run(
        `ip xfrm state flush; ip xfrm policy flush; sh peer.sh
         ${socket ? `${socket.replace('python3', PYTHON).replace(/ &$/, '')} > /dev/null 2>&1 &\nsleep 1` : ''}`,
      );
      const config = join(test, 'node.yaml');
      if (link) writeFileSync(config, readFileSync(config, 'utf8').replace(/link: \w+/, `link: ${link}`));
      const { folder: at } = guest;
      // Now and then the guest leaves a frame lie until the next one comes: here is one, for another host.
      const stat = `ping -c 1 -W 0.01 192.0.2.77 > /dev/null; rm -f ${at}/stat; touch ${at}/ask; while [ ! -f ${at}/stat ]; do sleep 0.002; done; cat ${at}/stat`;
      const args = ['conform', 'run', '--config', config, '--xfrm-stat-command', stat, '--json'];
      const { stdout, stderr } = spawnSync(
        'ip',
        ['netns', 'exec', guest.netns, process.execPath, MAIN, ...args],
        {
          encoding: 'utf8',
        },
      );
      expect(stderr).toBe('');
      const rows = stdout
        .trim()
        .split('\n')
        .map(
          (line) =>
            JSON.parse(line) as {
              differing?: number[];
              summary?: { differ: number; agree: number; untold: number };
            },
        );
      expect(rows.filter((row) => (row.differing?.length ?? 0) > 0)).toEqual([]);
      const { differ, agree, untold } = rows.at(-1)!.summary!;
      expect([differ, agree, untold]).toEqual([0, 400, 0]);
    },
    180_000,
  );
});
