/**
 * `npm run bench -- codec`: whole encapsulation and decapsulation, by backend and packet size.
 *
 * The work of one packet: sequence number or window, padding, outer header, cipher. The yardstick is the same
 * backend's cipher alone, over the same bytes.
 * @module
 */
import b from 'benny';
import { seededBytes } from '../dist/base/rng.js';
import { JobTable } from '../dist/crypto/engine.js';
import { NobleEngine } from '../dist/crypto/noble.js';
import { NodeEngine } from '../dist/crypto/node.js';
import { Decapsulator } from '../dist/ipsec/decapsulate.js';
import { Encapsulator } from '../dist/ipsec/encapsulate.js';
import { SecurityAssociation } from '../dist/ipsec/sa.js';
import { Sad } from '../dist/ipsec/sad.js';
import { Batch } from '../dist/wire/packet.js';
import { captureSa, innerPacket } from './lib/esp-capture.mjs';

const SIZES = [64, 256, 576, 1400, 9000];
const BATCHES = [1, 8, 32, 256];
const ENGINES = [() => new NodeEngine(), () => new NobleEngine()];

/** @param quick only the batch of 32, for CI */
export async function codec({ quick = false }) {
  agree();
  const rows = [];
  for (const size of SIZES) {
    for (const batch of quick ? [32] : BATCHES) {
      const cases = ENGINES.flatMap((makeEngine) => casesOf(makeEngine, size, batch));
      const summary = await b.suite(
        `codec: ${size} bytes, batch ${batch}`,
        ...cases.map(({ label, run }) => b.add(label, run)),
      );
      const nsOf = (label) => 1e9 / summary.results.find((result) => result.name === label).ops / batch;
      for (const { label, op, engine, yardstick } of cases) {
        if (yardstick === undefined) continue;
        const ns = nsOf(label);
        const cipher = nsOf(yardstick);
        rows.push({
          bench: 'codec',
          op,
          engine,
          size,
          batch,
          nsPerPacket: Math.round(ns),
          packetsPerSecond: Math.round(1e9 / ns),
          gbps: Number(((size * 8) / ns).toFixed(2)),
          yardstickNs: Math.round(cipher),
          ratio: Number((ns / cipher).toFixed(2)),
        });
      }
    }
  }
  return rows;
}

/** The SA of the benchmark in a database of its own. */
function setUp(engine, capacity) {
  const random = seededBytes(1);
  const sad = new Sad('source');
  const index = sad.add(new SecurityAssociation(captureSa(), engine, { random }));
  return { sad, index, random, batch: new Batch({ capacity, maxPacket: 9200 }) };
}

function casesOf(makeEngine, size, capacity) {
  const inner = innerPacket(size);
  const { name } = makeEngine();
  const seal = `${name}: encapsulate`;
  const open = `${name}: decapsulate`;
  return [
    {
      label: seal,
      op: 'seal',
      engine: name,
      yardstick: `${name}: cipher alone, seal`,
      run: () => {
        const engine = makeEngine();
        const { sad, index, random, batch } = setUp(engine, capacity);
        const encapsulator = new Encapsulator(sad, engine, capacity, random);
        return () => {
          fill(batch, inner, index);
          encapsulator.run(batch);
        };
      },
    },
    {
      label: open,
      op: 'open',
      engine: name,
      yardstick: `${name}: cipher alone, open`,
      run: () => {
        const engine = makeEngine();
        const { sad, index, random, batch } = setUp(engine, capacity);
        const encapsulator = new Encapsulator(sad, engine, capacity, random);
        fill(batch, inner, index);
        encapsulator.run(batch);
        const sent = Array.from({ length: capacity }, (_, i) => batch.copy(i));
        const decapsulator = new Decapsulator(sad, engine, capacity);
        const { window } = sad.sas[index];
        return () => {
          batch.clear();
          for (let i = 0; i < capacity; i++) batch.push(sent[i]);
          // The same packets again and again: the window is set back before them.
          window.startBefore(0, 1);
          decapsulator.run(batch);
        };
      },
    },
    { label: `${name}: cipher alone, seal`, run: () => cipherAlone(makeEngine(), inner, capacity, 'seal') },
    { label: `${name}: cipher alone, open`, run: () => cipherAlone(makeEngine(), inner, capacity, 'open') },
  ];
}

function fill(batch, packet, index) {
  batch.clear();
  for (let i = 0; i < batch.capacity; i++) batch.sa[batch.push(packet)] = index;
}

/** The backend's own loop over a table of jobs, and the copy that puts fresh packets into the slab. */
function cipherAlone(engine, inner, capacity, op) {
  const { sad, index, batch } = setUp(engine, capacity);
  const sa = sad.sas[index];
  const jobs = new JobTable(capacity);
  const packet = new Uint8Array(inner.length + 16);
  packet.set(inner);
  const load = () => {
    batch.clear();
    for (let i = 0; i < capacity; i++) batch.push(packet);
  };
  load();
  jobs.count = capacity;
  for (let i = 0; i < capacity; i++) {
    jobs.key[i] = sa.key;
    jobs.textAt[i] = batch.offset[i];
    jobs.textLen[i] = inner.length;
    jobs.icvLen[i] = 16;
    jobs.aadLen[i] = 8;
  }
  if (op === 'seal') {
    return () => {
      load();
      engine.seal(batch.slab, jobs);
    };
  }
  engine.seal(batch.slab, jobs);
  packet.set(batch.copy(0));
  return () => {
    load();
    engine.open(batch.slab, jobs);
  };
}

/** Nothing is timed before both backends make the same packets and open each other's. */
function agree() {
  for (const size of SIZES) {
    const [first, second] = ENGINES.map((makeEngine) => {
      const engine = makeEngine();
      const { sad, index, random, batch } = setUp(engine, 4);
      fill(batch, innerPacket(size), index);
      new Encapsulator(sad, engine, 4, random).run(batch);
      const sent = Array.from({ length: 4 }, (_, i) => batch.copy(i));
      return { sent, open: (packets) => openAll(engine, sad, index, packets) };
    });
    for (let i = 0; i < 4; i++) {
      if (Buffer.compare(first.sent[i], second.sent[i]) !== 0)
        throw new Error(`the backends differ at ${size} bytes`);
    }
    if (first.open(second.sent) !== 4 || second.open(first.sent) !== 4) {
      throw new Error(`a backend does not open the other's packets of ${size} bytes`);
    }
  }
}

function openAll(engine, sad, index, packets) {
  const batch = new Batch({ capacity: packets.length, maxPacket: 9200 });
  for (const packet of packets) batch.push(packet);
  sad.sas[index].window.startBefore(0, 1);
  new Decapsulator(sad, engine, packets.length).run(batch);
  return batch.verdict.filter((verdict) => verdict === 0).length;
}
