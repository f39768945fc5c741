import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { compactLine } from '../../src/observe/flow-compact.ts';
import type { FlowFilter } from '../../src/observe/flow-filter.ts';
import { FlowReader } from '../../src/observe/flow-json.ts';
import { FlowObserver } from '../../src/observe/flow-observer.ts';
import { FlowRecorder } from '../../src/observe/flow-recorder.ts';
import type { FlowLine } from '../../src/observe/hubble.ts';
import { Cluster } from '../../src/sim/cluster.ts';
import { reportOf } from '../../src/sim/report.ts';
import { parseScenario } from '../../src/sim/scenario.ts';
import { asHubble } from '../support/hubble.ts';
import { sample } from '../support/sample.ts';

/** Too large for a test of its flows. */
const LARGE = ['rotation-1000'];
const EXAMPLES = readdirSync('examples')
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.replace('.yaml', ''))
  .filter((name) => !LARGE.includes(name));

function run(text: string, filter: FlowFilter = {}) {
  const lines: FlowLine[] = [];
  const scenario = parseScenario(text, 'scenario');
  const reader = new FlowReader({ random: seededBytes(1) });
  let recorder: FlowRecorder | undefined;
  const drain = () => {
    const batch = recorder?.take();
    if (batch) lines.push(...(reader.read(batch) as Generator<FlowLine>));
  };
  const cluster = new Cluster({
    scenario,
    engine: new NodeEngine(),
    observe: (clock, capacity) => {
      recorder ??= new FlowRecorder({ clock, filter, onFull: drain, capacity: 100 });
      return new FlowObserver(recorder, capacity);
    },
  });
  cluster.runTo(cluster.end);
  drain();
  return { lines, report: reportOf(cluster) };
}

it.each(['replay', 'sequence-exhausted'])(
  'drops alone, when nobody wants the rest: examples/%s.yaml',
  (name) => {
    const text = readFileSync(`examples/${name}.yaml`, 'utf8');
    const flowsOf = (filter: FlowFilter) =>
      run(text, filter).lines.map(({ flow }) => ({ ...flow, uuid: undefined }));
    const drops = flowsOf({}).filter(({ verdict }) => verdict === 'DROPPED');
    expect(drops.length).toBeGreaterThan(0);
    expect(flowsOf({ verdict: 'DROPPED' })).toEqual(drops);
  },
);

describe.each(sample(EXAMPLES, 6))('flows of examples/%s.yaml', (name) => {
  let { lines, report } = {} as ReturnType<typeof run>;
  let flows: (typeof lines)[number]['flow'][];
  beforeAll(() => {
    ({ lines, report } = run(readFileSync(`examples/${name}.yaml`, 'utf8')));
    flows = lines.map(({ flow }) => flow);
  });
  const at = (point: string) => flows.filter((flow) => flow.trace_observation_point === point);

  it('are those that the report counts', () => {
    for (const node of report.nodes) {
      const own = (point: string) => at(point).filter(({ node_name }) => node_name === node.node);
      const out = own('TO_NETWORK');
      expect({
        node: node.node,
        encrypted: out.filter(({ IP }) => IP?.encrypted).length,
        clear: out.filter(({ IP }) => !IP?.encrypted).length,
        dropped: flows.filter(({ node_name, verdict }) => node_name === node.node && verdict === 'DROPPED')
          .length,
      }).toEqual({
        node: node.node,
        encrypted: node.encrypted,
        clear: node.clear,
        dropped: node.dropped,
      });
    }
    expect(at('TO_ENDPOINT').length).toBe(report.totals.delivered);
    const drops: Record<string, number> = {};
    for (const { node_name, verdict, extensions, traffic_direction } of flows) {
      if (verdict !== 'DROPPED') continue;
      const { reason, counter, peer } = extensions!.value.esplane;
      const key = [node_name, peer, traffic_direction, reason, counter].join(' ');
      drops[key] = (drops[key] ?? 0) + 1;
    }
    expect(drops).toEqual(
      Object.fromEntries(
        report.drops.map(({ node, peer, direction, reason, counter, count }) => {
          // The simulator knows sender and receiver also where a node does not.
          const isUnknown = reason === 'no-node-id' || reason === 'unencrypted';
          const known = isUnknown ? undefined : (peer ?? undefined);
          return [[node, known, direction === 'in' ? 'INGRESS' : 'EGRESS', reason, counter].join(' '), count];
        }),
      ),
    );
  });

  it('are what Hubble reads, and writes again just so', () => {
    const shapes = new Set<string>();
    for (const line of lines) {
      const text = JSON.stringify(line);
      // Lines that differ in numbers alone are alike for Hubble.
      const shape = text.replace(/"uuid":"[^"]*"/, '').replace(/\d+/g, '0');
      if (shapes.has(shape)) continue;
      shapes.add(shape);
      expect(asHubble(text)).toEqual(JSON.parse(text));
    }
    expect(shapes.size).toBeGreaterThan(2);
    expect(new Set(flows.map(({ uuid }) => uuid)).size).toBe(flows.length);
  });

  it('have a compact line each', () => {
    for (const line of lines.slice(0, 2000))
      expect(compactLine(line)).toMatch(
        /^[A-Z][a-z]{2} [ \d]\d [\d:]{8}\.\d{3} \[node-\d+\]: \S* \(\S+\) (->|<-|<>) \S* \(\S+\) [\w -]+ (FORWARDED|DROPPED) \([^()]*(\([^()]*\))?[^()]*\)$/,
      );
  });
});
