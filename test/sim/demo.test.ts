import { beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { ClusterPlan } from '../../src/cilium/plan.ts';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import { type DemoOptions, runDemo } from '../../src/sim/demo.ts';
import { demoCluster } from '../../src/sim/demo-cluster.ts';
import { receiverWith } from '../support/receiver.ts';

function run(options: Partial<DemoOptions> = {}) {
  const seed = options.seed ?? 1;
  return runDemo({ cluster: demoCluster(seed), seed, engine: new NodeEngine(), ...options });
}

/** The run as a file. */
function recorded(options: Partial<DemoOptions> = {}) {
  const chunks: Uint8Array[] = [];
  const recorder = new PcapngWriter((bytes) => chunks.push(bytes));
  const result = run({ ...options, recorder });
  recorder.flush();
  return { result, file: Uint8Array.from(chunks.flatMap((chunk) => [...chunk])) };
}

const failed = ({ checks }: ReturnType<typeof run>) =>
  checks.filter(({ ok }) => !ok).map(({ name, expected, actual }) => `${name}: ${actual}, not ${expected}`);

describe.each([4, 6] as const)('the demo over IPv%i', (family) => {
  let result: ReturnType<typeof run>;
  beforeAll(() => {
    result = run({ family });
  });

  it('holds all its comparisons', () => {
    expect(failed(result)).toEqual([]);
    expect(result.ok).toBe(true);
    expect(result.checks.length).toBeGreaterThanOrEqual(13);
  });

  it('sends, encrypts and drops what it should, to the packet', () => {
    expect(
      result.exchanges.map(({ way, sent, delivered, esp, clear }) => ({ way, sent, delivered, esp, clear })),
    ).toEqual([
      { way: 'encrypted', sent: 6, delivered: 6, esp: 6, clear: 0 },
      { way: 'clear', sent: 4, delivered: 4, esp: 0, clear: 0 },
      { way: 'clear', sent: 4, delivered: 4, esp: 0, clear: 4 },
      { way: 'encrypted', sent: 16, delivered: 16, esp: 16, clear: 0 },
      { way: 'encrypted', sent: 12, delivered: 12, esp: 12, clear: 0 },
      { way: 'dropped', sent: 0, delivered: 0, esp: 1, clear: 0 },
      { way: 'dropped', sent: 1, delivered: 0, esp: 1, clear: 0 },
    ]);
    expect(result.totals).toMatchObject({
      sent: 43,
      delivered: 42,
      identical: 42,
      encrypted: 35,
      replayed: 1,
      tampered: 1,
      resent: 0,
    });
    expect(result.drops).toEqual([
      { node: 'node-2', reason: 'replay-seen', counter: 'XfrmInStateSeqError', count: 1 },
      { node: 'node-2', reason: 'bad-icv', counter: 'XfrmInStateProtoError', count: 1 },
    ]);
    expect(result.nodes.map(({ xfrm }) => xfrm)).toEqual([
      {},
      { XfrmInStateSeqError: 1, XfrmInStateProtoError: 1 },
    ]);
  });

  it('follows a ping through every stage, in order', () => {
    expect(result.trace.map(({ where, what }) => `${where} ${what}`)).toEqual([
      'client sends',
      'node-1 decides',
      'node-1 marks',
      'node-1 policy',
      'node-1 SA',
      'node-1 encrypts',
      'node-1 bytes',
      'wire carries',
      'node-2 marks',
      'node-2 looks up',
      'node-2 window',
      'node-2 decrypts',
      'web receives',
    ]);
    const data = Object.fromEntries(result.trace.map(({ where, what, data }) => [`${where} ${what}`, data]));
    const [inner, outer] = family === 4 ? [84, 20] : [104, 40];
    expect(data).toMatchObject({
      'client sends': { bytes: inner, ttl: 64 },
      'node-1 decides': { decision: 'encrypt' },
      'node-1 marks': { keyId: 3 },
      'node-1 SA': { sa: 'keys:1 node-1 -> node-2', seq: '1', iv: expect.stringMatching(/^[0-9a-f]{16}$/) },
      'node-1 encrypts': { before: inner, after: inner + outer + 8 + 8 + 4 + 16, outer, trailer: 4, icv: 16 },
      'wire carries': { bytes: inner + outer + 36, spi: 3, seq: 1 },
      'node-2 looks up': { sa: 'keys:1 node-1 -> node-2', spi: 3 },
      'node-2 window': { seq: '1', top: '1', size: 1024 },
      'node-2 decrypts': { before: inner + outer + 36, after: inner },
      'web receives': { bytes: inner, identical: 'yes', ttl: 62 },
    });
    // The mark is made of the ids that the step names.
    const { mark, nodeId } = data['node-1 marks'] as { mark: string; nodeId: number };
    expect(Number(mark)).toBe(nodeId * 65536 + 0x3e00);
  });
});

describe('the demo on a bad wire', () => {
  const knobs = { loss: [0, 0.15], duplicate: [0, 0.15], corrupt: [0, 0.15], jitter: [0, 40] };
  const matrix = knobs.loss.flatMap((loss) =>
    knobs.duplicate.flatMap((duplicate) =>
      knobs.corrupt.flatMap((corrupt) =>
        knobs.jitter.map((jitter) => ({ loss, duplicate, corrupt, jitter })),
      ),
    ),
  );

  it.each(matrix)('accounts for every packet: %j', (impairments) => {
    for (const seed of [1, 2, 3, 4]) {
      for (const family of [4, 6] as const) {
        const result = run({ seed, family, impairments });
        expect(failed(result), `seed ${seed}, IPv${family}`).toEqual([]);
        const { totals } = result;
        expect(totals.lost > 0).toBe(impairments.loss > 0);
        expect(totals.duplicated > 0).toBe(impairments.duplicate > 0);
        expect(totals.corrupted > 0).toBe(impairments.corrupt > 0);
        // What was sent in the clear may be damaged; what was encrypted is whole or not there.
        if (impairments.corrupt === 0) expect(totals.damaged + totals.altered).toBe(0);
      }
    }
  });

  it('finishes its TCP conversation though the wire loses a tenth, because TCP sends again', () => {
    let resent = 0;
    for (const seed of [1, 2, 3, 4, 5]) {
      const { exchanges, totals } = run({ seed, impairments: { loss: 0.1 } });
      const tcp = exchanges.find(({ name }) => name.startsWith('TCP'))!;
      expect(tcp.delivered).toBeGreaterThanOrEqual(10);
      resent += totals.resent;
    }
    expect(resent).toBeGreaterThan(0);
  });

  it('delivers nothing over a wire that loses everything, and says so', () => {
    const result = run({ impairments: { loss: 1 } });
    expect(failed(result)).toEqual([]);
    expect(result.totals).toMatchObject({ esp: 0, clear: 0, replayed: 0, tampered: 0 });
    expect(result.totals.delivered, 'the cache is on the same node').toBe(4);
    expect(result.trace.at(-1)?.where, 'the trace ends where the packet did').toBe('node-1');
  });

  it('delivers everything after a delay', () => {
    for (const delay of [25, 2000]) {
      const { totals, ok, checks } = run({ impairments: { delay } });
      expect([ok, totals.delivered, checks.length]).toEqual([true, totals.sent - 1, 13]);
    }
  });
});

describe('the same seed', () => {
  it('gives the same bytes, and another seed others', () => {
    const impairments = { loss: 0.05, duplicate: 0.05, corrupt: 0.05, jitter: 10 };
    const first = recorded({ seed: 5, impairments });
    const again = recorded({ seed: 5, impairments });
    expect(toHex(again.file)).toBe(toHex(first.file));
    expect(again.result).toEqual(first.result);
    expect(toHex(recorded({ seed: 6, impairments }).file)).not.toBe(toHex(first.file));
  });

  it('gives the same bytes with either cipher backend', () => {
    const [node, noble] = [new NodeEngine(), new NobleEngine()].map((engine) => recorded({ engine }).file);
    expect(toHex(noble!)).toBe(toHex(node!));
  });
});

describe('the recording', () => {
  const { result, file } = recorded();
  const cluster = demoCluster(1);

  it('has the wire and a side for each pod, in order of time, and says which frames are special', () => {
    const names: string[] = [];
    const comments: string[] = [];
    const frames = new Map<number, number>();
    let last = 0;
    const reader = captureReader('demo', {
      interface: ({ name = '' }) => names.push(name),
      comment: (text) => comments.push(text),
      frame: (_b, _at, _end, { interfaceId, seconds, nanoseconds }) => {
        const time = seconds + nanoseconds / 1e9;
        expect(time).toBeGreaterThanOrEqual(last);
        last = time;
        frames.set(interfaceId, (frames.get(interfaceId) ?? 0) + 1);
      },
    });
    reader.feed(file);
    reader.end();
    expect(names).toEqual(['wire', 'client', 'cache', 'web']);
    expect(comments).toHaveLength(3);
    expect(frames.get(0)).toBe(result.totals.esp + result.totals.clear);
  });

  it('decrypts with its keys and nodes to what the nodes counted', () => {
    const reasons: Record<string, number> = {};
    const { keys, nodes } = cluster;
    const decryptor = receiverWith(new Evidence({ plan: new ClusterPlan(keys, nodes), cluster }));
    const reader = captureReader('demo', decryptor);
    reader.feed(file);
    reader.end();
    decryptor.flush();
    const { totals } = decryptor;
    expect([totals.esp, totals.ok]).toEqual([result.totals.esp, result.totals.esp - 2]);
    for (const count of totals.dropped.values()) reasons['count'] = (reasons['count'] ?? 0) + count;
    expect(reasons).toEqual({ count: 2 });
  });
});

describe('the checks', () => {
  it('fail when the cipher does not encrypt', () => {
    const engine = new NodeEngine();
    engine.seal = (_slab, jobs) => jobs.verdict.fill(0, 0, jobs.count);
    const result = run({ engine });
    expect(result.ok).toBe(false);
    const bad = result.checks.filter(({ ok }) => !ok).map(({ name }) => name);
    expect(bad).toContain('ESP packets in which a payload can be read');
    expect(bad).toContain('packets delivered: all but the tampered one');
  });

  it('fail when the cipher checks nothing', () => {
    const engine = new NodeEngine();
    engine.seal = (_slab, jobs) => jobs.verdict.fill(0, 0, jobs.count);
    engine.open = engine.seal;
    const { checks, ok } = run({ engine });
    expect(ok).toBe(false);
    const bad = checks.filter((check) => !check.ok).map(({ name }) => name);
    expect(bad).toContain('tampered packets, each dropped as XfrmInStateProtoError');
    expect(bad).toContain('packets decrypted, each identical to what was sent');
    expect(bad).not.toContain('replayed packets, each dropped as XfrmInStateSeqError');
  });
});
