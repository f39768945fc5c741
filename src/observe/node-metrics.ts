/**
 * Figures of the node as a whole: what became of packets, its links, its flows, its agent, its threads, and the program.
 * @module
 */
import { DECISIONS } from '../node/decisions.ts';
import { by, type Family, type Sample } from './family.ts';
import type { InputReport, Observed } from './observed.ts';

const sum = (counts: Readonly<Record<string, number>>) =>
  Object.values(counts).reduce((total, count) => total + count, 0);

export const NODE_FAMILIES: readonly Family[] = [
  {
    name: 'esplane_pod_packets_total',
    help: 'Packets that left pods here: encrypted, left in the clear, delivered to a pod here (local), refused by a full queue, or dropped.',
    samples: ({ stats: { out } }) => {
      const { encrypted, clear, local, refused, drops } = out;
      return by('outcome', { encrypted, clear, local, refused, dropped: sum(drops) });
    },
  },
  {
    name: 'esplane_pod_decisions_total',
    help: 'Packets that left pods here, by what was decided about them and why.',
    samples: ({ stats: { decisions } }) =>
      DECISIONS.map(({ name }) => [{ decision: name }, decisions[name] ?? 0]),
  },
  {
    name: 'esplane_network_packets_total',
    help: 'Packets from the network, put together from fragments or whole: delivered to pods, fragments that wait, refused by a full queue, or dropped.',
    samples: ({ stats }) => {
      const { delivered, fragments, refused, drops } = stats.in;
      return by('outcome', { delivered, fragment: fragments, refused, dropped: sum(drops) });
    },
  },
  {
    name: 'esplane_network_received_packets_total',
    help: 'Packets from the network: ESP for this node, those of it that were decrypted, and packets for pods that came in the clear.',
    samples: ({ stats }) => {
      const { esp, decrypted, clear } = stats.in;
      return by('kind', { esp, decrypted, clear });
    },
  },
  ofLinks(
    'packets_total',
    'Packets that the links received and sent.',
    'direction',
    ({ received, sent }) => ({
      received,
      sent,
    }),
  ),
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
  {
    name: 'esplane_flows_written_total',
    help: 'Flows written.',
    samples: ({ flows }) => flows?.written,
  },
  {
    // Sources are named as in Hubble's own `hubble_lost_events_total`.
    name: 'esplane_flows_lost_total',
    help: 'Flows lost: nobody printed them fast enough (hubble_ring_buffer), or they could not be written (observer_events_queue).',
    samples: ({ flows }) =>
      flows && Object.entries(flows.lost).map(([source, lost]) => [{ source: source.toLowerCase() }, lost]),
  },
  {
    name: 'esplane_peers',
    help: 'Other nodes of the cluster.',
    samples: ({ agent }) => agent?.peers,
  },
  {
    name: 'esplane_peers_lingering',
    help: 'Nodes that the node list lacks, and that stay because they have traffic.',
    samples: ({ agent }) => agent?.lingering,
  },
  {
    name: 'esplane_key_id',
    help: 'Key ids: in the keys file (current), told to the peers (advertised), sent with (sending); 0 for none.',
    samples: ({ agent }) =>
      agent &&
      by('use', { current: agent.currentKey, advertised: agent.advertisedKey, sending: agent.sendingKey }),
  },
  {
    name: 'esplane_key_rotation_in_progress',
    help: '1 while SAs of more than one key id are installed.',
    samples: ({ agent }) => agent && (agent.keyIds.length > 1 ? 1 : 0),
  },
  ofInputs(
    'good',
    '1 while what the keys file or node list says is in use, 0 while the last good one is.',
    ({ good }) => (good ? 1 : 0),
  ),
  ofInputs(
    'last_good_timestamp_seconds',
    'When keys file or node list were last read and could be used.',
    ({ lastGood }) => lastGood / 1000,
  ),
  ofInputs(
    'failures_total',
    'How often keys file or node list were read and could not be used.',
    ({ failures }) => failures,
  ),
  {
    name: 'esplane_plan_failures_total',
    help: 'Plans of the agent that the data plane could not take.',
    samples: ({ agent }) => agent?.planFailures,
  },
  {
    name: 'esplane_thread_silent_seconds',
    help: 'Time since a thread last went round: the one that carries packets (data_plane) stays below 1, the one that reads files and plans (control) may take seconds over a node list.',
    samples: ({ threads }) =>
      threads && by('thread', { data_plane: threads.planeSilent, control: threads.controlSilent }),
  },
  {
    name: 'esplane_control_ended',
    help: '1 after the control thread has ended: packets go on, but files are not read again.',
    samples: ({ threads }) => threads && (threads.controlEnded === undefined ? 0 : 1),
  },
  {
    name: 'esplane_build_info',
    help: 'Always 1: version, cipher engine and runtime.',
    samples: ({ program }) =>
      program && [[{ version: program.version, cipher: program.cipher, runtime: program.runtime }, 1]],
  },
  {
    name: 'esplane_node_info',
    help: 'Always 1: the name of this node.',
    samples: ({ stats }) => [[{ node: stats.node }, 1]],
  },
  {
    name: 'process_start_time_seconds',
    help: 'When the program started, in seconds since 1970.',
    samples: ({ program }) => program && program.startedAt / 1000,
  },
  {
    name: 'process_cpu_seconds_total',
    help: 'CPU time of all threads, user and system.',
    samples: ({ program }) => program?.cpuSeconds,
  },
  {
    name: 'process_resident_memory_bytes',
    help: 'Memory in RAM.',
    samples: ({ program }) => program?.residentBytes,
  },
];

function ofLinks(
  name: string,
  help: string,
  label: string,
  figures: (link: NonNullable<Observed['links']>['inside']) => Record<string, number>,
): Family {
  return {
    name: `esplane_link_${name}`,
    help,
    samples: ({ links }) =>
      links &&
      (['inside', 'outside'] as const).flatMap((link) =>
        by(label, figures(links[link])).map(([labels, value]): Sample => [{ link, ...labels }, value]),
      ),
  };
}

function ofInputs(name: string, help: string, figure: (input: InputReport) => number): Family {
  return {
    name: `esplane_input_${name}`,
    help,
    samples: ({ agent }) => agent && by('input', { keys: figure(agent.keys), nodes: figure(agent.nodes) }),
  };
}
