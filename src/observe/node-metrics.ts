/**
 * Figures of the node as a whole: what became of packets, its links, its agent, and the program.
 * @module
 */
import { DECISIONS } from '../node/decisions.ts';
import { type Family, type Sample, single } from './family.ts';
import type { AgentReport, InputReport } from './observed.ts';

const sum = (counts: Readonly<Record<string, number>>) =>
  Object.values(counts).reduce((total, count) => total + count, 0);

export const NODE_FAMILIES: readonly Family[] = [
  {
    name: 'esplane_pod_packets_total',
    type: 'counter',
    help: 'Packets that left pods here: encrypted, left in the clear, delivered to a pod here (local), refused by a full queue, or dropped.',
    labels: ['outcome'],
    samples: ({ stats: { out } }) => [
      [{ outcome: 'encrypted' }, out.encrypted],
      [{ outcome: 'clear' }, out.clear],
      [{ outcome: 'local' }, out.local],
      [{ outcome: 'refused' }, out.refused],
      [{ outcome: 'dropped' }, sum(out.drops)],
    ],
  },
  {
    name: 'esplane_pod_decisions_total',
    type: 'counter',
    help: 'Packets that left pods here, by what was decided about them and why.',
    labels: ['decision'],
    samples: ({ stats: { decisions } }) =>
      DECISIONS.map(({ name }) => [{ decision: name }, decisions[name] ?? 0]),
  },
  {
    name: 'esplane_network_packets_total',
    type: 'counter',
    help: 'Packets from the network, put together from fragments or whole: delivered to pods, fragments that wait, refused by a full queue, or dropped.',
    labels: ['outcome'],
    samples: ({ stats: { in: into } }) => [
      [{ outcome: 'delivered' }, into.delivered],
      [{ outcome: 'fragment' }, into.fragments],
      [{ outcome: 'refused' }, into.refused],
      [{ outcome: 'dropped' }, sum(into.drops)],
    ],
  },
  {
    name: 'esplane_network_received_packets_total',
    type: 'counter',
    help: 'Packets from the network: ESP for this node, those of it that were decrypted, and packets for pods that came in the clear.',
    labels: ['kind'],
    samples: ({ stats: { in: into } }) => [
      [{ kind: 'esp' }, into.esp],
      [{ kind: 'decrypted' }, into.decrypted],
      [{ kind: 'clear' }, into.clear],
    ],
  },
  ofLinks('packets_total', 'Packets that the links received and sent.', 'direction', (link) => ({
    received: link.received,
    sent: link.sent,
  })),
  ofLinks('bytes_total', 'Bytes that the links received and sent.', 'direction', (link) => ({
    received: link.receivedBytes,
    sent: link.sentBytes,
  })),
  ofLinks(
    'errors_total',
    'Packets that the links could not carry: too big, met a full queue (full), refused by the kernel (failed), received and not for it (ignored), or dropped by the kernel because nobody read fast enough (missed; of a TUN device a super-packet counts as one).',
    'error',
    ({ tooBig, full, failed, ignored, missed }) => ({ too_big: tooBig, full, failed, ignored, missed }),
  ),
];

/** Sources are named as in Hubble's own `hubble_lost_events_total`. */
export const FLOW_FAMILIES: readonly Family[] = [
  {
    name: 'esplane_flows_written_total',
    type: 'counter',
    help: 'Flows written.',
    labels: [],
    samples: ({ flows }) => flows && single(flows.written),
  },
  {
    name: 'esplane_flows_lost_total',
    type: 'counter',
    help: 'Flows lost: nobody printed them fast enough (hubble_ring_buffer), or they could not be written (observer_events_queue).',
    labels: ['source'],
    samples: ({ flows }) =>
      flows && Object.entries(flows.lost).map(([source, lost]) => [{ source: source.toLowerCase() }, lost]),
  },
];

export const AGENT_FAMILIES: readonly Family[] = [
  ofAgent('esplane_peers', 'gauge', 'Other nodes of the cluster.', [], ({ peers }) => single(peers)),
  ofAgent(
    'esplane_peers_lingering',
    'gauge',
    'Nodes that the node list lacks, and that stay because they have traffic.',
    [],
    ({ lingering }) => single(lingering),
  ),
  ofAgent(
    'esplane_key_id',
    'gauge',
    'Key ids: in the keys file (current), told to the peers (advertised), sent with (sending); 0 for none.',
    ['use'],
    ({ currentKey, advertisedKey, sendingKey }) => [
      [{ use: 'current' }, currentKey],
      [{ use: 'advertised' }, advertisedKey],
      [{ use: 'sending' }, sendingKey],
    ],
  ),
  ofAgent(
    'esplane_key_rotation_in_progress',
    'gauge',
    '1 while SAs of more than one key id are installed.',
    [],
    ({ keyIds }) => single(keyIds.length > 1 ? 1 : 0),
  ),
  ofAgent(
    'esplane_input_good',
    'gauge',
    '1 while what the keys file or node list says is in use, 0 while the last good one is.',
    ['input'],
    ofInputs(({ good }) => (good ? 1 : 0)),
  ),
  ofAgent(
    'esplane_input_last_good_timestamp_seconds',
    'gauge',
    'When keys file or node list were last read and could be used.',
    ['input'],
    ofInputs(({ lastGood }) => lastGood / 1000),
  ),
  ofAgent(
    'esplane_input_failures_total',
    'counter',
    'How often keys file or node list were read and could not be used.',
    ['input'],
    ofInputs(({ failures }) => failures),
  ),
  ofAgent(
    'esplane_plan_failures_total',
    'counter',
    'Plans of the agent that the data plane could not take.',
    [],
    ({ planFailures }) => single(planFailures),
  ),
];

export const THREAD_FAMILIES: readonly Family[] = [
  {
    name: 'esplane_thread_silent_seconds',
    type: 'gauge',
    help: 'Time since a thread last went round: the one that carries packets (data_plane) stays below 1, the one that reads files and plans (control) may take seconds over a node list.',
    labels: ['thread'],
    samples: ({ threads }) =>
      threads && [
        [{ thread: 'data_plane' }, threads.planeSilent],
        [{ thread: 'control' }, threads.controlSilent],
      ],
  },
  {
    name: 'esplane_control_ended',
    type: 'gauge',
    help: '1 after the control thread has ended: packets go on, but files are not read again.',
    labels: [],
    samples: ({ threads }) => threads && single(threads.controlEnded === undefined ? 0 : 1),
  },
];

export const PROGRAM_FAMILIES: readonly Family[] = [
  {
    name: 'esplane_build_info',
    type: 'gauge',
    help: 'Always 1: version, cipher engine and runtime.',
    labels: ['version', 'cipher', 'runtime'],
    samples: ({ program }) =>
      program && [[{ version: program.version, cipher: program.cipher, runtime: program.runtime }, 1]],
  },
  {
    name: 'esplane_node_info',
    type: 'gauge',
    help: 'Always 1: the name of this node.',
    labels: ['node'],
    samples: ({ stats }) => [[{ node: stats.node }, 1]],
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    help: 'When the program started, in seconds since 1970.',
    labels: [],
    samples: ({ program }) => program && single(program.startedAt / 1000),
  },
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'CPU time of all threads, user and system.',
    labels: [],
    samples: ({ program }) => program && single(program.cpuSeconds),
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    help: 'Memory in RAM.',
    labels: [],
    samples: ({ program }) => program && single(program.residentBytes),
  },
];

function ofLinks(
  name: string,
  help: string,
  label: string,
  figures: (link: NonNullable<Parameters<Family['samples']>[0]['links']>['inside']) => Record<string, number>,
): Family {
  return {
    name: `esplane_link_${name}`,
    type: 'counter',
    help,
    labels: ['link', label],
    samples: ({ links }) =>
      links &&
      (['inside', 'outside'] as const).flatMap((link) =>
        Object.entries(figures(links[link])).map(([key, value]): Sample => [{ link, [label]: key }, value]),
      ),
  };
}

function ofAgent(
  name: string,
  type: Family['type'],
  help: string,
  labels: readonly string[],
  figures: (agent: AgentReport) => readonly Sample[],
): Family {
  return { name, type, help, labels, samples: ({ agent }) => agent && figures(agent) };
}

function ofInputs(figure: (input: InputReport) => number): (agent: AgentReport) => Sample[] {
  return ({ keys, nodes }) => [
    [{ input: 'keys' }, figure(keys)],
    [{ input: 'nodes' }, figure(nodes)],
  ];
}
