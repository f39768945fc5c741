/**
 * `npm run bench -- codec`: whole encapsulation and decapsulation, by backend, packet size, batch and number of SAs.
 *
 * The work of one packet: sequence number or window, padding, outer header, cipher. The yardstick is the same
 * engine's cipher alone over the same sizes: for the addon's engines a bare C loop, for the others their own loop over
 * a job table. Packets are put back before every round, outside the clock. DPDK's rte_ipsec does the same work in a program of
 * its own (`bench/native/rte-ipsec.c`).
 * @module
 */
import { seededBytes } from '../dist/base/rng.js';
import { JobTable } from '../dist/crypto/engine.js';
import { suiteCheck } from '../dist/crypto/lacking.js';
import { NativeEngine, nativeProblem } from '../dist/crypto/native.js';
import { NobleEngine } from '../dist/crypto/noble.js';
import { NodeEngine } from '../dist/crypto/node.js';
import { aead, authenc } from '../dist/crypto/suite.js';
import { Decapsulator } from '../dist/ipsec/decapsulate.js';
import { Encapsulator } from '../dist/ipsec/encapsulate.js';
import { SecurityAssociation } from '../dist/ipsec/sa.js';
import { Sad } from '../dist/ipsec/sad.js';
import { Batch } from '../dist/wire/packet.js';
import { CannotRun } from './lib/cannot-run.mjs';
import { rteIpsec, rteIpsecVersion } from './lib/contenders/rte-ipsec.mjs';
import { captureSa, innerPacket } from './lib/esp-capture.mjs';
import { median } from './lib/machine.mjs';

const SIZES = [64, 256, 576, 1400, 9000];
const BATCHES = [1, 8, 32, 64, 256];
const NATIVE = ['ipsec-mb', 'openssl'];
const MAX_PACKET = 9200;
/** How long a round takes, but for the engines that are slower. */
const ROUND_NS = 8e6;
/** Packets, as rte_ipsec has it here. */
const WINDOW = 1024;
/** How many SAs packets are for, one after the other. */
const SA_COUNTS = [64, 1024, 4096, 65_536];

/** What is measured beside AES-GCM: the suites that older peers have. */
const OTHER_SUITES = [
  () => aead('rfc4309(ccm(aes))', seeded(19), 128),
  () => authenc('hmac(sha256)', seeded(32), 'rfc3686(ctr(aes))', seeded(20), 128),
  () => authenc('hmac(sha1)', seeded(20), 'cbc(des3_ede)', seeded(24), 96),
];

function seeded(length) {
  const key = new Uint8Array(length);
  seededBytes(5)(key);
  return key;
}

/** Engines that this host has, the quickest first. */
function engines() {
  return [
    ...NATIVE.filter((name) => nativeProblem(name) === undefined).map((name) => () => new NativeEngine(name)),
    () => new NodeEngine(),
    () => new NobleEngine(),
  ];
}

/** @param quick two sizes and one batch, for CI */
export async function codec({ quick = false, log }) {
  for (const name of NATIVE) {
    const problem = nativeProblem(name);
    if (problem !== undefined) log(`no rows for ${name}: ${problem}`);
  }
  agree();
  const rows = [];
  for (const size of quick ? [64, 1400] : SIZES) {
    for (const batch of quick ? [64] : BATCHES) rows.push(...measure(size, batch, 1, quick));
    rows.push(...peer(size, 1, quick, log));
    if (!quick) log(`  ${size} bytes`);
  }
  for (const sas of quick ? [] : SA_COUNTS) {
    for (const size of [64, 1400])
      rows.push(...measure(size, 64, sas, quick), ...peer(size, sas, quick, log));
    log(`  ${sas} SAs`);
  }
  for (const makeKeys of OTHER_SUITES) {
    for (const size of [64, 1400]) rows.push(...measure(size, 64, 1, quick, makeKeys));
    log(`  ${makeKeys().suite.name}`);
  }
  return rows;
}

/** All engines in turn, round after round. */
function measure(size, batch, sas, quick, makeKeys = () => captureSa().keys) {
  const makers = engines().filter((_, k) => sas === 1 || k < NATIVE.length);
  const cases = makers
    .filter((make) => suiteCheck(make())(makeKeys()) === undefined)
    .flatMap((make) => casesOf(make, size, batch, sas, makeKeys));
  const suite = makeKeys().suite.name;
  const rounds = quick ? 7 : 15;
  for (const one of cases) one.warm();
  for (let round = 0; round < rounds; round++) for (const one of cases) one.measure();
  return cases.map(({ op, engine, times, yardsticks }) =>
    rowOf({
      op,
      engine,
      suite,
      size,
      batch,
      sas,
      ns: median(times),
      yardstick: median(yardsticks),
      ratio: median(times.map((time, k) => time / yardsticks[k])),
    }),
  );
}

function rowOf({ op, engine, suite, size, batch, sas, ns, yardstick, ratio }) {
  return {
    bench: 'codec',
    op,
    engine,
    suite,
    size,
    batch,
    sas,
    nsPerPacket: Number(ns.toFixed(1)),
    packetsPerSecond: Math.round(1e9 / ns),
    gbps: Number(((size * 8) / ns).toFixed(2)),
    yardstickNs: Number(yardstick.toFixed(1)),
    ratio: Number(ratio.toFixed(2)),
  };
}

/** The same by DPDK, right after esplane's: its rows have a yardstick of their own. */
function peer(size, sas, quick, log) {
  try {
    const engine = `DPDK ${rteIpsecVersion()} rte_ipsec`;
    const batches = quick ? 100 : 470;
    return rteIpsec(size, sas, batches, quick ? 5 : 15).map((row) =>
      rowOf({ ...row, engine, suite: captureSa().keys.suite.name, size, batch: 64, sas }),
    );
  } catch (error) {
    if (!(error instanceof CannotRun)) throw error;
    log(`no rows for DPDK: ${error.message}`);
    return [];
  }
}

/**
 * `count` SAs with one key each, in a database of their own. They are no longer young: where the numbers of an SA begin,
 * its window holds some that were never expected.
 */
function setUp(engine, capacity, count, makeKeys = () => captureSa().keys) {
  const random = seededBytes(1);
  const sad = new Sad();
  const config = { ...captureSa(), keys: makeKeys(), replayWindow: WINDOW };
  const startAfter = { hi: 0, lo: 2 * config.replayWindow };
  const indices = Array.from({ length: count }, (_, k) =>
    sad.add(new SecurityAssociation({ ...config, spi: config.spi + k }, engine, { random, startAfter })),
  );
  return { sad, indices, random, batch: new Batch({ capacity, maxPacket: MAX_PACKET }) };
}

function casesOf(make, size, capacity, sas, makeKeys) {
  return ['seal', 'open'].map((op) => {
    const engine = make();
    const { run, refill, cipherAlone } =
      op === 'seal'
        ? sealing(engine, size, capacity, sas, makeKeys)
        : opening(engine, size, capacity, sas, makeKeys);
    let perRound = 2;
    const timeOf = (rounds) => {
      let spent = 0;
      for (let k = 0; k < rounds; k++) {
        refill();
        const from = performance.now();
        run();
        spent += performance.now() - from;
      }
      return (spent * 1e6) / rounds / capacity;
    };
    const times = [];
    const yardsticks = [];
    return {
      op,
      engine: engine.name,
      times,
      yardsticks,
      warm: () => {
        // About as long for every engine and suite: noble is a hundred times slower than the addon, 3DES than AES-GCM.
        timeOf(perRound);
        perRound = Math.max(2, Math.min(3000, Math.round(ROUND_NS / (timeOf(perRound) * capacity))));
        timeOf(perRound * 2);
        cipherAlone(perRound);
      },
      measure: () => {
        times.push(timeOf(perRound));
        yardsticks.push(cipherAlone(perRound));
      },
    };
  });
}

function sealing(engine, size, capacity, sas, makeKeys) {
  const { sad, indices, random, batch } = setUp(engine, capacity, sas, makeKeys);
  const encapsulator = new Encapsulator(sad, engine, capacity, random);
  const refill = filler(batch, indices, size);
  return {
    refill,
    run: () => encapsulator.run(batch),
    cipherAlone: cipherLoop(
      'seal',
      engine,
      indices.map((index) => sad.sas[index].key),
      batch,
      size,
      makeKeys().suite,
    ),
  };
}

function opening(engine, size, capacity, sas, makeKeys) {
  const { sad, indices, random, batch } = setUp(engine, capacity, sas, makeKeys);
  const encapsulator = new Encapsulator(sad, engine, capacity, random);
  const decapsulator = new Decapsulator(sad, engine, capacity);
  const fill = filler(batch, indices, size);
  const refill = () => {
    fill();
    encapsulator.run(batch);
  };
  // The first packet of each SA.
  for (let k = 0; k < sas / capacity; k++) {
    refill();
    decapsulator.run(batch);
  }
  return {
    refill,
    run: () => decapsulator.run(batch),
    cipherAlone: cipherLoop(
      'open',
      engine,
      indices.map((index) => sad.sas[index].key),
      batch,
      size,
      makeKeys().suite,
    ),
  };
}

/** Fills the batch with packets of one SA after the other. */
function filler(batch, indices, size) {
  const inner = innerPacket(size);
  let turn = 0;
  return () => {
    batch.clear();
    for (let i = 0; i < batch.capacity; i++) batch.sa[batch.push(inner)] = indices[turn++ % indices.length];
  };
}

/** Nanoseconds a packet of the cipher alone, over texts where a batch has them, with one key after the other. */
function cipherLoop(op, engine, keys, { capacity, slotSize, headroom }, size, { align, icvLen, mac }) {
  const own = new Batch({ capacity, maxPacket: MAX_PACKET });
  const len = size + 2 + (-(size + 2) & (align - 1));
  if (engine instanceof NativeEngine) {
    // What it opens has no good ICV. With a MAC it would stop there, and sealing does the same work.
    const work = mac === undefined ? op : 'seal';
    return (rounds) =>
      engine.loop(work, keys, own.slab, headroom, len, slotSize, capacity, rounds) / rounds / capacity;
  }
  const jobs = new JobTable(capacity);
  jobs.count = capacity;
  for (let i = 0; i < capacity; i++) {
    jobs.key[i] = keys[0];
    jobs.textAt[i] = i * slotSize + headroom;
    jobs.textLen[i] = len;
    jobs.icvLen[i] = icvLen;
    jobs.aadLen[i] = 8;
  }
  if (op === 'open') engine.seal(own.slab, jobs);
  const sealed = op === 'open' ? own.slab.slice() : undefined;
  return (rounds) => {
    let spent = 0;
    for (let k = 0; k < rounds; k++) {
      if (sealed) own.slab.set(sealed);
      const from = performance.now();
      engine[op](own.slab, jobs);
      spent += performance.now() - from;
    }
    return (spent * 1e6) / rounds / capacity;
  };
}

/** Nothing is timed before all backends make the same packets and open each other's. */
function agree() {
  for (const size of SIZES) {
    const made = engines().map((make) => {
      const engine = make();
      const { sad, indices, random, batch } = setUp(engine, 4, 1);
      for (let i = 0; i < 4; i++) batch.sa[batch.push(innerPacket(size))] = indices[0];
      new Encapsulator(sad, engine, 4, random).run(batch);
      return { name: engine.name, engine, sad, sent: Array.from({ length: 4 }, (_, i) => batch.copy(i)) };
    });
    const [first] = made;
    for (const { name, engine, sad, sent } of made) {
      if (sent.some((packet, i) => Buffer.compare(packet, first.sent[i]) !== 0))
        throw new Error(`${name} and ${first.name} differ at ${size} bytes`);
      const batch = new Batch({ capacity: 4, maxPacket: MAX_PACKET });
      for (const packet of first.sent) batch.push(packet);
      new Decapsulator(sad, engine, 4).run(batch);
      if (batch.verdict.some((verdict) => verdict !== 0))
        throw new Error(`${name} does not open packets of ${size} bytes by ${first.name}`);
    }
  }
}
