/**
 * Two ends of a tunnel under traffic, in virtual time, whose processes end at random moments: in order, killed, or with the
 * power of the machine. The real rows, sequence counters, windows and cipher; only the disk is memory.
 *
 * What holds, and is looked at after every end:
 *
 *  - no sequence number of a key is ever sent twice, whatever the end was;
 *  - after an orderly end or a kill no packet that was accepted before is accepted again;
 *  - after a power failure none is whose number is not above the top that the disk had; those accepted since, at most a
 *    second's, may come in once more;
 *  - packets are lost only while one end is down. After a power failure of the receiver those that are late are, too.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededBytes, xorshift32 } from '../../src/base/rng.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { type RowMemory, RowStore, recoverRows } from '../../src/ipsec/row-store.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { compare, type Halves, rowIn } from '../../src/ipsec/sa-row.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { address, ipv4Packet, saConfig } from '../support/sa.ts';

type End = 'clean' | 'kill' | 'power';
const WORDS = 2 ** 18;
const PAGE = 1024;
const A = address('192.0.2.1');
const B = address('192.0.2.2');
const PACKET = ipv4Packet(40);
const engine = new NodeEngine();

/** A file: what the kernel has of it, and what the disk has. */
class Disk implements RowMemory {
  readonly cache = new Int32Array(WORDS);
  readonly disk = new Int32Array(WORDS);
  #size = 0;

  grow(words: number) {
    const at = this.#size;
    this.#size += words;
    return { at, words: this.cache.subarray(at, at + words) };
  }

  sync(): void {
    this.disk.set(this.cache);
  }

  /** The kernel writes pages when it likes. */
  writeBack(page: number): void {
    const at = (page * PAGE) % WORDS;
    this.disk.set(this.cache.subarray(at, at + PAGE), at);
  }
}

/** One end: its process, which comes and goes, and its machine. */
class Machine {
  readonly #sas: { readonly out: SaConfig; readonly into: SaConfig };
  readonly #random: () => number;
  #disk = new Disk();
  #store: RowStore | undefined;
  out!: TunnelEnd;
  into!: TunnelEnd;
  /** Is it up? */
  isUp = false;
  /** The top of the window that the disk had when it was written last. */
  syncedTop: Halves = { hi: 0, lo: 0 };

  constructor(out: SaConfig, into: SaConfig, random: () => number) {
    this.#sas = { out, into };
    this.#random = random;
  }

  start(how: End, seconds: number): void {
    const left = how === 'power' ? this.#disk.disk : this.#disk.cache;
    const { rows, damaged } = recoverRows(left, how !== 'power');
    expect(damaged).toBe(0);
    this.#disk = new Disk();
    this.#store = new RowStore(this.#disk, rows);
    this.#disk.sync();
    const { out, into } = this.#sas;
    const prepared = this.#store.prepare([out, into], seconds);
    this.#disk.sync();
    prepared.commit?.();
    this.#store.settle([out, into], seconds);
    const end = (config: SaConfig) => {
      const row = rowIn(this.#disk.cache, prepared.rows.get(config)!);
      return new TunnelEnd(config, engine, { random: seededBytes(this.#random() * 2 ** 31), row });
    };
    this.out = end(out);
    this.into = end(into);
    this.isUp = true;
    this.syncedTop = this.top;
  }

  get top(): Halves {
    return { hi: this.into.sa.window.topHi, lo: this.into.sa.window.topLo };
  }

  /** Once a second. */
  sync(seconds: number): void {
    const commit = this.#store!.renew(seconds);
    this.#disk.sync();
    commit?.();
    this.syncedTop = this.top;
  }

  /** A moment: the kernel may write a page. It only knows more by it. */
  pass(): void {
    if (this.#random() < 0.05) this.#disk.writeBack(Math.floor(this.#random() * 4));
  }

  stop(): void {
    this.isUp = false;
  }
}

interface Frame {
  readonly packet: Uint8Array;
  readonly number: Halves;
  readonly to: Machine;
  /** When it left, in steps. */
  readonly at: number;
}

const textOf = ({ hi, lo }: Halves) => `${hi >>> 0}/${lo >>> 0}`;

/** One run. @returns how many packets were sent, and accepted */
function run(seed: number, size: number, esn: boolean, restarts: number, near: boolean) {
  const next = xorshift32(seed);
  const random = () => next() / 2 ** 32;
  const sequence = near
    ? esn
      ? { seqHi: 4, seq: 0xffff_f000, oseqHi: 4, oseq: 0xffff_f000 }
      : { seqHi: 0, seq: 0x7fff_ff00, oseqHi: 0, oseq: 0x7fff_ff00 }
    : { seqHi: 0, seq: 0, oseqHi: 0, oseq: 0 };
  const common = { esn, replayWindow: size, sequence };
  const ab = saConfig({ ...common, src: A, dst: B, spi: 3 });
  const ba = saConfig({ ...common, src: B, dst: A, spi: 4 });
  const machines = [new Machine(ab, ba, random), new Machine(ba, ab, random)] as const;
  const sent = new Map(machines.map((machine) => [machine, new Set<string>()]));
  const accepted = new Map(machines.map((machine) => [machine, new Map<string, Frame>()]));
  const flying: Frame[] = [];
  let seconds = 1000;
  let losses = 0;
  let total = 0;
  /** Until when a window may refuse what is late: after a power failure of its machine. */
  const isLate = new Map<Machine, Halves>();
  for (const machine of machines) machine.start('clean', seconds);

  const deliver = (frame: Frame) => {
    const { to, number } = frame;
    if (!to.isUp) return;
    const { verdict } = to.into.decapsulate(frame.packet);
    const known = accepted.get(to)!;
    if (verdict === 'ok') {
      if (known.has(textOf(number))) throw new Error(`${textOf(number)} accepted twice`);
      known.set(textOf(number), frame);
      return;
    }
    const late = isLate.get(to);
    if (late && compare(number, late) <= 0) return;
    losses++;
  };

  let step = 0;
  for (let restart = 0; restart < restarts; restart++) {
    for (const until = step + 5 + Math.floor(random() * 40); step < until; step++) {
      if (random() < 0.1) {
        seconds++;
        for (const machine of machines) if (machine.isUp) machine.sync(seconds);
      }
      machines.forEach((from, k) => {
        from.pass();
        for (let n = Math.floor(random() * 4); n > 0; n--) {
          const outcome = from.out.encapsulate(PACKET);
          if (outcome.verdict !== 'ok') throw new Error(`not sent: ${outcome.reason}`);
          const { hi, lo } = from.out.sa.sequence;
          const numbers = sent.get(from)!;
          if (numbers.has(textOf({ hi, lo }))) throw new Error(`${textOf({ hi, lo })} sent twice`);
          numbers.add(textOf({ hi, lo }));
          total++;
          flying.push({ packet: outcome.packet, number: { hi, lo }, to: machines[1 - k]!, at: step });
        }
      });
      // Some overtake others, by less than a window.
      for (let k = flying.length - 1; k >= 0; k--)
        if (random() < 0.6 || step - flying[k]!.at > 4) deliver(flying.splice(k, 1)[0]!);
    }
    const victim = machines[Math.floor(random() * 2)]!;
    const how = (['clean', 'kill', 'power'] as const)[Math.floor(random() * 3)]!;
    const { syncedTop } = victim;
    if (how === 'clean') victim.sync(seconds);
    victim.stop();
    // While it is down its last packets arrive, and most of those to it are lost.
    for (let k = flying.length - 1; k >= 0; k--)
      if (flying[k]!.to !== victim || random() < 0.7) deliver(flying.splice(k, 1)[0]!);
    seconds += Math.floor(random() * 3);
    victim.start(how, seconds);
    if (how === 'power') isLate.set(victim, victim.top);

    const before = accepted.get(victim)!;
    const old = [...before.values()];
    for (const frame of old.slice(-300)) {
      const isPromised = how !== 'power' || compare(frame.number, syncedTop) <= 0;
      const { verdict } = victim.into.decapsulate(frame.packet);
      if (isPromised && verdict !== 'drop') throw new Error(`${textOf(frame.number)} again after ${how}`);
    }
  }
  const all = [...accepted.values()].reduce((sum, { size: count }) => sum + count, 0);
  return { total, accepted: all, losses };
}

describe('200 restarts under traffic', () => {
  it.each(
    [true, false].flatMap((esn) =>
      [32, 1024, 4096].flatMap((size) => [false, true].map((near) => ({ esn, size, near }))),
    ),
  )('lose and repeat nothing: ESN $esn, window $size, near a wrap $near', ({ esn, size, near }) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (seed) => {
        const { total, accepted, losses } = run(seed, size, esn, 200, near);
        expect(losses).toBe(0);
        expect(accepted).toBeGreaterThan(total * 0.9);
      }),
      { numRuns: 1 },
    );
  });
});
