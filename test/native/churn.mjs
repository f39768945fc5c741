/**
 * Makes and closes everything that the addon has, over and over: `churn.mjs DIST NETNS-A NETNS-B CONFIG ROUNDS [leak]`.
 * Runs the built project at DIST, so that the addon beside it may be another build. Prints, as JSON, the descriptors
 * and threads that were there after the first round and after the last. With `leak`, a descriptor is left open in each.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// For this process only, not for every ip that it runs.
delete process.env.LD_PRELOAD;
const [dist, a, b, configFile, rounds, leak] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(dist, file)).href);
const { addon } = await load('native/addon.js');
const { inNetns, Poller, wakePoller } = await load('native/system.js');
const { openTun } = await load('link/tun.js');
const { openUdp } = await load('link/udp.js');
const { openRaw } = await load('link/raw.js');
const { openPacket } = await load('link/packet.js');
const { NativeEngine, nativeProblem } = await load('crypto/native.js');
const { aead, authenc } = await load('crypto/suite.js');
const { JobTable } = await load('crypto/engine.js');
const { Batch } = await load('wire/packet.js');
const { readNodeConfig } = await load('cli/node-config.js');
const { startNode } = await load('cli/start-node.js');

const key = (len) => Uint8Array.from({ length: len }, (_, i) => i * 37);
const SUITES = [
  ...[16, 24, 32].map((len) => aead('rfc4106(gcm(aes))', key(len + 4), 128)),
  aead('rfc4543(gcm(aes))', key(20), 128),
  aead('rfc7539esp(chacha20,poly1305)', key(36), 128),
  authenc('hmac(sha256)', key(32), 'cbc(aes)', key(16), 128),
];

/** An ESP packet between the namespaces, in UDP or not. */
function packetOf(v6, inUdp) {
  const header = v6 ? 40 : 20;
  const p = new Uint8Array(header + (inUdp ? 8 : 0) + 60);
  if (v6) {
    p.set([0x60, 0, 0, 0, 0, p.length - 40, inUdp ? 17 : 50, 64]);
    p.set([0xfd, 0x99], 8);
    p.set([0xfd, 0x99], 24);
    p[23] = 1;
    p[39] = 2;
  } else {
    p.set([0x45, 0, 0, p.length, 0, 0, 0, 0, 64, inUdp ? 17 : 50, 0, 0, 10, 99, 0, 1, 10, 99, 0, 2]);
  }
  if (inUdp) p.set([0x11, 0x94, 0x11, 0x94, 0, 68], header);
  p.set([1, 2, 3, 4], header + (inUdp ? 8 : 0));
  return p;
}

function use(one, other, packet) {
  try {
    const batch = new Batch({ capacity: 4 });
    for (let n = 0; n < 4; n++) batch.push(packet);
    other.receive(() => {});
    one.send(batch);
    for (let n = 0; n < 3; n++) other.pump();
  } finally {
    one.close();
    other.close();
  }
}

function fails(work) {
  try {
    work();
  } catch {
    return;
  }
  throw new Error(`it should fail: ${work}`);
}

function links() {
  for (const offload of [true, false])
    for (const queues of [1, 2]) {
      const tun = openTun({ name: 'churn0', netns: a, offload, queues });
      use(tun, tun, packetOf(false, false));
    }
  for (const v6 of [false, true]) {
    const [here, there] = v6 ? ['fd99::1', 'fd99::2'] : ['10.99.0.1', '10.99.0.2'];
    for (const open of [openRaw, openPacket, openUdp])
      use(
        open({ netns: a, address: here }),
        open({ netns: b, address: there }),
        packetOf(v6, open === openUdp),
      );
  }
}

/** What fails on the way gives back what it had. */
function failures() {
  fails(() => openTun({ netns: a, name: 'lo' }));
  fails(() => openTun({ netns: a, addresses: ['nonsense'] }));
  fails(() => openTun({ netns: 'est-nowhere' }));
  for (const open of [openRaw, openPacket, openUdp]) {
    fails(() => open({ netns: a, address: '10.1.1.1' }));
    fails(() => open({ netns: a, address: '10.1.1.1', mtu: 1400 }));
  }
  fails(() => openPacket({ netns: a, address: '10.99.0.1', device: 'nothing' }));
  const taken = openUdp({ netns: a, address: '10.99.0.1' });
  fails(() => openUdp({ netns: a, address: '10.99.0.1' }));
  taken.close();
}

function engines() {
  for (const name of ['openssl', 'ipsec-mb']) {
    if (nativeProblem(name)) continue;
    const engine = new NativeEngine(name);
    const slab = new Uint8Array(2048);
    for (const material of SUITES) {
      const handle = engine.addKey(material);
      const jobs = new JobTable(1);
      jobs.count = 1;
      jobs.textAt[0] = 64;
      jobs.textLen[0] = 160;
      jobs.key[0] = handle;
      jobs.aadLen[0] = 8;
      jobs.icvLen[0] = material.suite.icvLen;
      engine.seal(slab, jobs);
      engine.open(slab, jobs);
      if (jobs.verdict[0] !== 0) throw new Error(`${name}: what was sealed does not open`);
      if (handle % 2 === 0) engine.removeKey(handle);
    }
    engine.close();
    engine.close();
    // These two the garbage collector takes, or the end of the thread.
    new NativeEngine(name).addKey(SUITES[0]);
    addon().packetOpen('nothing', Uint8Array.of(10, 99, 0, 1), 0);
  }
}

function system() {
  for (let n = 0; n < 20; n++) {
    const poller = new Poller([]);
    wakePoller(poller.wakeFd);
    poller.wait(1);
    poller.close();
    inNetns(a, () => 0);
    fails(() => inNetns('est-nowhere', () => 0));
    fails(() =>
      inNetns(a, () => {
        throw new Error('inside');
      }),
    );
  }
  if (leak) new Poller([]);
}

/** A node in a worker: one that ends when it is told, one that cannot start. */
async function workers() {
  const config = await readNodeConfig(configFile);
  for (const link of ['raw', 'packet', 'udp']) {
    const node = await startNode({ ...config, outside: { ...config.outside, link } }, () => {});
    node.stop();
    await node.ended;
  }
  let refused = false;
  await startNode({ ...config, inside: { ...config.inside, device: 'lo' } }, () => {}).catch(() => {
    refused = true;
  });
  if (!refused) throw new Error('it should not start');
}

const descriptors = () =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return [];
    }
  });

let first;
for (let round = 0; round < Number(rounds); round++) {
  system();
  links();
  failures();
  engines();
  await workers();
  // The threads of workers end a little after they have said so.
  await new Promise((resolve) => setTimeout(resolve, 100));
  globalThis.gc();
  first ??= { fds: descriptors(), threads: readdirSync('/proc/self/task').length };
}
process.stdout.write(
  JSON.stringify({ first, last: { fds: descriptors(), threads: readdirSync('/proc/self/task').length } }),
);
