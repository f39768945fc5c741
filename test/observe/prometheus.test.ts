import { describe, expect, it } from 'vitest';
import type { SaReport } from '../../src/node/stats.ts';
import { CILIUM_FAMILIES } from '../../src/observe/cilium-metrics.ts';
import { FAMILIES } from '../../src/observe/metrics.ts';
import type { Observed } from '../../src/observe/observed.ts';
import { CONTENT_TYPE, prometheusText } from '../../src/observe/prometheus.ts';
import { parseMetrics } from '../support/prometheus.ts';
import { ipv4Packet } from '../support/sa.ts';
import { ends, twoNodes } from '../support/two-nodes.ts';

/** docs/cilium.md, "Metrics and status": label, row inbound, row outbound. */
const TABLE = `
other | XfrmInError | XfrmOutError
no_buffer | XfrmInBufferError | –
header | XfrmInHdrError | –
no_state | XfrmInNoStates | XfrmOutNoStates
state_protocol | XfrmInStateProtoError | XfrmOutStateProtoError
state_mode | XfrmInStateModeError | XfrmOutStateModeError
state_sequence | XfrmInStateSeqError | XfrmOutStateSeqError
state_expired | XfrmInStateExpired | XfrmOutStateExpired
state_mismatched | XfrmInStateMismatch | –
state_invalid | XfrmInStateInvalid | XfrmOutStateInvalid
template_mismatched | XfrmInTmplMismatch | –
no_policy | XfrmInNoPols | –
policy_blocked | XfrmInPolBlock | XfrmOutPolBlock
policy_dead | – | XfrmOutPolDead
policy | XfrmInPolError | XfrmOutPolError
forward_header | XfrmFwdHdrError | –
acquire | XfrmAcquireError | –
bundle_generation | – | XfrmOutBundleGenError
bundle_check | – | XfrmOutBundleCheckError
`
  .trim()
  .split('\n')
  .map((line) => line.split(' | ') as [string, string, string]);

const idle = () => twoNodes().nodes[0].stats();
const scrape = async (observed: Observed) => parseMetrics(await prometheusText(observed));

const SA: SaReport = {
  origin: 'keys:1',
  direction: 'in',
  peer: 'node-2',
  src: '10.0.0.2',
  dst: '10.0.0.1',
  spi: 3,
  reqid: 1,
  esn: true,
  window: 1024,
  packets: 7,
  bytes: 700,
  seqHi: 1,
  seqLo: 5,
  lost: 2,
  late: 4,
  replayWindow: 0,
  replay: 1,
  failed: 3,
};

describe("Cilium's metrics", () => {
  it('have every error of its table, each from its row of xfrm_stat, and 0 for the rest', async () => {
    const rows = TABLE.flatMap(([error, ...counters]) =>
      counters.flatMap((counter, i) =>
        counter === '–' ? [] : [{ counter, error, type: i === 0 ? 'inbound' : 'outbound' }],
      ),
    );
    expect(rows).toHaveLength(28);
    const xfrm = Object.fromEntries(rows.slice(0, 20).map(({ counter }, i) => [counter, i + 1]));
    const { families } = await scrape({ stats: { ...idle(), xfrm } });
    const family = families.get('cilium_ipsec_xfrm_error')!;
    expect(family.type).toBe('gauge');
    const seen = family.samples.map(({ labels, value }) => `${labels['type']} ${labels['error']} ${value}`);
    expect(seen.sort()).toEqual(
      rows.map(({ type, error, counter }) => `${type} ${error} ${xfrm[counter] ?? 0}`).sort(),
    );
    expect(family.samples.every(({ labels }) => Object.keys(labels).length === 2)).toBe(true);
  });

  it('count keys, states and policies of a node', async () => {
    const { families, value } = await scrape({ stats: idle() });
    for (const name of ['cilium_ipsec_keys', 'cilium_ipsec_xfrm_states', 'cilium_ipsec_xfrm_policies'])
      expect(families.get(name)?.type).toBe('gauge');
    // One peer, native, both families: docs/cilium.md, "States".
    expect(value('cilium_ipsec_keys')).toBe(4);
    expect(value('cilium_ipsec_xfrm_states', { direction: 'in' })).toBe(2);
    expect(value('cilium_ipsec_xfrm_states', { direction: 'out' })).toBe(2);
    expect(value('cilium_ipsec_xfrm_policies', { direction: 'in' })).toBe(2);
    expect(value('cilium_ipsec_xfrm_policies', { direction: 'out' })).toBe(4);
    expect(value('cilium_ipsec_xfrm_policies', { direction: 'fwd' })).toBe(2);
  });
});

describe('the metrics of SAs', () => {
  const of = (sas: readonly SaReport[]) => scrape({ stats: { ...idle(), sas } });
  const labels = { peer: 'node-2', direction: 'in', src: '10.0.0.2', dst: '10.0.0.1', spi: '3' };

  it('are those of its report', async () => {
    const { value } = await of([SA]);
    expect(value('esplane_sa_packets_total', labels)).toBe(7);
    expect(value('esplane_sa_bytes_total', labels)).toBe(700);
    expect(value('esplane_sa_sequence_number', labels)).toBe(2 ** 32 + 5);
    expect(value('esplane_sa_sequence_space_used_ratio', labels)).toBe((2 ** 32 + 5) / 2 ** 64);
    expect(value('esplane_sa_lost_packets_total', labels)).toBe(2);
    expect(value('esplane_sa_late_packets_total', { ...labels, outcome: 'accepted' })).toBe(4);
    expect(value('esplane_sa_late_packets_total', { ...labels, outcome: 'dropped' })).toBe(0);
    expect(value('esplane_sa_replayed_packets_total', labels)).toBe(1);
    expect(value('esplane_sa_icv_failures_total', labels)).toBe(3);
  });

  it('reckon the share of 2^32 numbers without ESN, and know nothing of losses without a window', async () => {
    const { value } = await of([{ ...SA, esn: false, window: 0, seqHi: 0, seqLo: 2 ** 31 }]);
    expect(value('esplane_sa_sequence_space_used_ratio', labels)).toBe(0.5);
    expect(value('esplane_sa_lost_packets_total', labels)).toBeUndefined();
  });

  it('say nothing about losses of what is sent, and leave out a peer that nobody knows', async () => {
    const { value } = await of([{ ...SA, direction: 'out', peer: null }]);
    const out = { ...labels, direction: 'out', peer: '' };
    expect(value('esplane_sa_packets_total', out)).toBe(7);
    expect(value('esplane_sa_lost_packets_total', out)).toBeUndefined();
    expect(value('esplane_sa_icv_failures_total', out)).toBeUndefined();
  });

  it('put SAs that only their marks tell apart into one series', async () => {
    const { families, value } = await of([SA, { ...SA, packets: 5, seqHi: 0 }]);
    expect(families.get('esplane_sa_packets_total')!.samples).toHaveLength(1);
    expect(value('esplane_sa_packets_total', labels)).toBe(12);
    expect(value('esplane_sa_sequence_number', labels)).toBe(2 ** 32 + 5);
  });
});

describe('the text of a scrape', () => {
  const full = (): Observed => ({
    stats: idle(),
    links: { inside: LINK, outside: { ...LINK, tooBig: 9 } },
    agent: {
      keyIds: [3, 4],
      currentKey: 4,
      advertisedKey: 4,
      sendingKey: 3,
      peers: 1,
      lingering: 0,
      keys: { good: true, lastGood: 1_700_000_000_500, failures: 0 },
      nodes: { good: false, lastGood: 1_600_000_000_000, failures: 2 },
      planFailures: 0,
    },
    threads: { planeSilent: 0.01, controlSilent: 2.5, work: 'the node list', workFor: 2.5 },
    flows: { written: 5, lost: { HUBBLE_RING_BUFFER: 6, OBSERVER_EVENTS_QUEUE: 8 } },
    program: {
      version: '0.1.0',
      cipher: 'noble',
      runtime: 'node v20',
      startedAt: 1000,
      cpuSeconds: 2.5,
      residentBytes: 1e8,
    },
  });
  const LINK = {
    received: 1,
    receivedBytes: 2,
    sent: 3,
    sentBytes: 4,
    tooBig: 0,
    full: 0,
    failed: 0,
    ignored: 0,
    missed: 7,
  };

  it('has the agent, the links and the program where they are', async () => {
    const { value } = await scrape(full());
    expect(value('esplane_input_good', { input: 'keys' })).toBe(1);
    expect(value('esplane_input_good', { input: 'nodes' })).toBe(0);
    expect(value('esplane_input_failures_total', { input: 'nodes' })).toBe(2);
    expect(value('esplane_input_last_good_timestamp_seconds', { input: 'keys' })).toBe(1_700_000_000.5);
    expect(value('esplane_key_rotation_in_progress')).toBe(1);
    expect(value('esplane_key_id', { use: 'sending' })).toBe(3);
    expect(value('esplane_link_errors_total', { link: 'outside', error: 'too_big' })).toBe(9);
    expect(value('esplane_link_errors_total', { link: 'inside', error: 'missed' })).toBe(7);
    expect(value('esplane_flows_written_total')).toBe(5);
    expect(value('esplane_flows_lost_total', { source: 'hubble_ring_buffer' })).toBe(6);
    expect(value('esplane_flows_lost_total', { source: 'observer_events_queue' })).toBe(8);
    expect(value('esplane_build_info', { version: '0.1.0', cipher: 'noble', runtime: 'node v20' })).toBe(1);
    expect(value('process_cpu_seconds_total')).toBe(2.5);
  });

  it('has nothing of an agent where there is none', async () => {
    const { families } = await scrape({ stats: idle() });
    expect(
      [...families.keys()].filter((name) =>
        /^process|^esplane_(key|input|peers|plan|link|build|flows)_/.test(name),
      ),
    ).toEqual([]);
  });

  // pkg/datapath/linux/ipsec/xfrm_collector.go.
  it('has the help texts of Cilium', () => {
    expect(CILIUM_FAMILIES.map(({ name, help }) => [name, help])).toEqual([
      ['cilium_ipsec_xfrm_error', 'Total number of xfrm errors'],
      ['cilium_ipsec_keys', 'Number of IPsec keys in use'],
      ['cilium_ipsec_xfrm_states', 'Number of XFRM states'],
      ['cilium_ipsec_xfrm_policies', 'Number of XFRM policies'],
    ]);
  });

  it('follows what promtool asks for: help, _total on counters alone, snake_case, no sample twice', async () => {
    const { families } = await scrape(full());
    expect(families.size).toBe(FAMILIES.length);
    for (const [name, { type, help, samples }] of families) {
      if (!name.startsWith('cilium_')) expect(help, name).toMatch(/\.$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      expect(name).toMatch(/^(cilium|esplane|process)_[a-z_]+$/);
      const known = Object.keys(samples[0]?.labels ?? {});
      for (const { labels } of samples) expect(Object.keys(labels), name).toEqual(known);
      const series = samples.map(({ labels }) => JSON.stringify(labels));
      expect(new Set(series).size, name).toBe(series.length);
      for (const { labels } of samples)
        for (const label of Object.keys(labels)) expect(label).toMatch(/^[a-z_]+$/);
    }
    expect(CONTENT_TYPE).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  it('accounts for every packet and every drop of a node at work', async () => {
    const two = twoNodes();
    two.send('a1', ...[1, 2, 3].map((id) => ipv4Packet(60, { ...ends('a1', 'b1'), id })));
    two.send('a1', ipv4Packet(60, ends('a1', 'a2')), ipv4Packet(60, { ...ends('a1', 'b1'), ttl: 1 }));
    two.inject(2, two.wire[0]!, two.wire[1]!);
    const [one, second] = two.nodes.map((node) => node.stats());
    const out = await scrape({ stats: one! });
    expect(out.value('esplane_pod_packets_total', { outcome: 'encrypted' })).toBe(3);
    expect(out.value('esplane_pod_packets_total', { outcome: 'local' })).toBe(1);
    expect(out.value('esplane_pod_packets_total', { outcome: 'dropped' })).toBe(1);
    const samples = out.families.get('esplane_pod_packets_total')!.samples;
    expect(samples.reduce((sum, { value }) => sum + value, 0)).toBe(one!.out.packets);
    const into = await scrape({ stats: second! });
    const drop = {
      peer: 'node-1',
      direction: 'in',
      reason: 'replay-seen',
      counter: 'XfrmInStateSeqError',
    };
    expect(into.value('esplane_drops_total', drop)).toBe(2);
    expect(into.value('cilium_ipsec_xfrm_error', { type: 'inbound', error: 'state_sequence' })).toBe(2);
  });

  it('holds no key', async () => {
    const text = await prometheusText(full());
    expect(text).not.toMatch(/[0-9a-f]{32}/i);
  });

  it('escapes what names may hold', async () => {
    const { value } = await scrape({ stats: { ...idle(), node: 'a"b\\c\nd' } });
    expect(value('esplane_node_info', { node: 'a"b\\c\nd' })).toBe(1);
  });
});
