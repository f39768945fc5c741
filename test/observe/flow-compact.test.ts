import { describe, expect, it } from 'vitest';
import { compactLine } from '../../src/observe/flow-compact.ts';
import type { Flow } from '../../src/observe/hubble.ts';

const FLOW: Flow = {
  time: '1970-01-01T00:20:34.567800Z',
  uuid: '840095b3-22eb-8462-83ee-000000000000',
  verdict: 'FORWARDED',
  IP: { source: '10.244.1.10', destination: '10.244.2.20', ipVersion: 'IPv4' },
  l4: { TCP: { source_port: 31793, destination_port: 8080, flags: { SYN: true, ACK: true } } },
  source: { identity: 4 },
  destination: { identity: 12345 },
  Type: 'L3_L4',
  node_name: 'k8s1',
  event_type: { type: 4, sub_type: 11 },
  trace_observation_point: 'TO_NETWORK',
  is_reply: false,
  Summary: 'TCP Flags: SYN, ACK',
};

const line = (change: Partial<Flow>, without: readonly (keyof Flow)[] = []) => {
  const flow = Object.fromEntries(
    Object.entries({ ...FLOW, ...change }).filter(([key]) => !without.includes(key as keyof Flow)),
  ) as unknown as Flow;
  return compactLine({ flow, node_name: flow.node_name, time: flow.time });
};

/** The lines that Hubble's own printer makes of the same flows, by its tests and its source. */
describe("Hubble's compact line", () => {
  it('names time, node, both ends with their identities, point, verdict and summary', () => {
    expect(line({})).toBe(
      'Jan  1 00:20:34.567 [k8s1]: 10.244.1.10:31793 (health) -> 10.244.2.20:8080 (ID:12345) to-network FORWARDED (TCP Flags: SYN, ACK)',
    );
  });

  it('turns a reply around, and says where it does not know', () => {
    expect(line({ is_reply: true })).toBe(
      'Jan  1 00:20:34.567 [k8s1]: 10.244.2.20:8080 (ID:12345) <- 10.244.1.10:31793 (health) to-network FORWARDED (TCP Flags: SYN, ACK)',
    );
    expect(line({}, ['is_reply'])).toContain(' (health) <> 10.244.2.20:8080 ');
  });

  it('has the names of pods for their addresses, brackets for IPv6 with a port, and no port 0', () => {
    expect(
      line({
        source: { identity: 10000, namespace: 'default', pod_name: 'client' },
        destination: { identity: 2 },
        IP: { source: 'fd00::1', destination: 'fd00::2', ipVersion: 'IPv6' },
        l4: { UDP: { destination_port: 53 } },
        Summary: 'UDP',
      }),
    ).toBe(
      'Jan  1 00:20:34.567 [k8s1]: default/client (ID:10000) -> [fd00::2]:53 (world) to-network FORWARDED (UDP)',
    );
  });

  it('has the text of a drop that Cilium knows', () => {
    const drop = { reason: 'no-node-id', counter: 'cilium_drop_count_total reason 197' };
    const extensions = {
      '@type': 'type.googleapis.com/google.protobuf.Struct',
      value: { esplane: drop },
    } as const;
    expect(
      line({ verdict: 'DROPPED', event_type: { type: 1, sub_type: 197 }, extensions }, [
        'trace_observation_point',
        'is_reply',
      ]),
    ).toBe(
      'Jan  1 00:20:34.567 [k8s1]: 10.244.1.10:31793 (health) <> 10.244.2.20:8080 (ID:12345) No node ID found DROPPED (TCP Flags: SYN, ACK)',
    );
  });

  it('says how many were lost', () => {
    const lost_events = { source: 'HUBBLE_RING_BUFFER', num_events_lost: '17' } as const;
    expect(compactLine({ lost_events, node_name: 'k8s1', time: FLOW.time })).toBe(
      'EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 17',
    );
  });
});

describe('what esplane adds to it', () => {
  it('is whether the packet is encrypted', () => {
    expect(line({ IP: { ...FLOW.IP!, encrypted: true } })).toMatch(
      / to-network FORWARDED \(TCP Flags: SYN, ACK; encrypted\)$/,
    );
  });

  it('is the counter of a drop that only xfrm knows, with peer, SPI and number', () => {
    const drop = {
      reason: 'replay-seen',
      counter: 'XfrmInStateSeqError',
      peer: 'node-1',
      spi: 3,
      seq: '151',
    };
    const extensions = {
      '@type': 'type.googleapis.com/google.protobuf.Struct',
      value: { esplane: drop },
    } as const;
    expect(
      line({ verdict: 'DROPPED', event_type: { type: 1 }, extensions, Summary: 'IPv4' }, [
        'trace_observation_point',
        'is_reply',
        'l4',
      ]),
    ).toBe(
      'Jan  1 00:20:34.567 [k8s1]: 10.244.1.10 (health) <> 10.244.2.20 (ID:12345) XfrmInStateSeqError replay-seen DROPPED (IPv4; peer node-1, SPI 3, seq 151)',
    );
  });
});
