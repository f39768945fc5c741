/** Whatever names and texts a page is made of, no printer lets through what a terminal acts on but line ends and colours. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseVersion } from '../../src/cilium/version.ts';
import { diagnosisText, findingText } from '../../src/cli/diagnose-text.ts';
import { explainText } from '../../src/cli/explain-text.ts';
import { makePaint } from '../../src/cli/paint.ts';
import { scenarioText } from '../../src/cli/scenario-text.ts';
import { aead } from '../../src/crypto/suite.ts';
import type { Diagnosis } from '../../src/inspect/diagnose/finding.ts';
import type { Explanation } from '../../src/inspect/explain/tree.ts';
import { PacketTimes } from '../../src/inspect/packet-time.ts';
import { compactLine } from '../../src/observe/flow-compact.ts';
import type { Flow } from '../../src/observe/hubble.ts';
import { encryptionStatus, statusText } from '../../src/observe/status.ts';
import { writeEspSa } from '../../src/sa-text/esp-sa.ts';
import { saTable } from '../../src/sa-text/sa-table.ts';
import { writeScapy } from '../../src/sa-text/scapy.ts';
import type { ScenarioReport } from '../../src/sim/report.ts';

const PAINT = makePaint(true);
const OUR_COLOUR = '\u001b[31m';

/** Names that clear the screen, set its title, begin lines, turn the order of letters around. */
const evil = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\u001b[2J',
        '\u001b]0;x\u0007',
        OUR_COLOUR,
        '\r\n',
        '\n',
        '\t',
        '\u009b1m',
        '\u202e',
        '\u2066',
        '\u2028',
        '\ud800',
        '\u007f',
        ' ',
      ),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.join(''));

// biome-ignore lint/suspicious/noControlCharactersInRegex: our own colours
const COLOURS = /\u001b\[(?:[012]|3[1236])m/g;
const UNSAFE = /(?![\n\t])\p{Cc}|[\p{Cs}\p{Bidi_Control}\u2028\u2029]/u;

const diagnosis = (name: string): Diagnosis => {
  const one = {
    code: 'esn-mismatch',
    severity: 'error',
    summary: `${name} is wrong`,
    frames: [1],
    remedy: name,
  } as const;
  return {
    conclusion: { code: 'findings', basis: 'told', packets: 1, judged: 1, summary: `${name}'s own state` },
    encryption: {
      esp: 1,
      clear: 0,
      unopened: 1,
      unauthenticated: 0,
      pairs: [
        {
          src: '10.0.1.10',
          dst: '10.0.2.20',
          from: name,
          to: name,
          spi: 3,
          suite: name,
          keyBits: 128,
          icvBits: 128,
          packets: 1,
        },
      ],
    },
    receivers: [
      { address: name, node: name, basis: 'told', packets: 1, judged: 1, counters: { XfrmInError: 1 } },
    ],
    streams: [
      {
        src: '10.0.0.1',
        dst: '10.0.0.2',
        spi: 3,
        packets: 1,
        ok: 0,
        basis: 'told',
        judged: true,
        seqFirst: null,
        seqLast: null,
        missing: 0,
        duplicates: 0,
        late: 0,
        reordered: 0,
        beyondWindow: 0,
      },
    ],
    findings: [one as unknown as Diagnosis['findings'][number]],
    notes: [one as unknown as Diagnosis['findings'][number]],
  };
};

const sa = (name: string) => ({
  src: new Uint8Array(4),
  dst: new Uint8Array(4),
  spi: 3,
  mode: 'tunnel' as const,
  keys: aead('rfc4106(gcm(aes))', new Uint8Array(20).fill(7), 128),
  esn: false,
  replayWindow: 0,
  reqid: 0,
  flags: [],
  origin: name,
});

const flow = (name: string): Flow => ({
  time: '1970-01-01T00:20:34.567800Z',
  uuid: name,
  verdict: 'FORWARDED',
  IP: { source: '10.244.1.10', destination: '10.244.2.20', ipVersion: 'IPv4' },
  source: { identity: 4, namespace: name, pod_name: name },
  destination: { identity: 12345, pod_name: name },
  Type: 'L3_L4',
  node_name: name,
  event_type: { type: 4, sub_type: 11 },
  trace_observation_point: 'TO_NETWORK',
  is_reply: false,
  Summary: name,
});

const explanation = (name: string): Explanation => {
  const field = {
    id: 'ip',
    label: name,
    at: 0,
    end: 2,
    text: name,
    meaning: name,
    reference: name,
    protection: 'none',
    problem: name,
    children: [],
  };
  const packet = { origin: 'frame', bytes: '4500', layers: [field] };
  return {
    frame: 1,
    time: null,
    linkType: 101,
    originalLength: 2,
    packet,
    stops: [{ origin: 'frame', at: 0, id: 'ip', problem: name }],
  } as unknown as Explanation;
};

const report = (name: string): ScenarioReport =>
  ({
    scenario: name,
    about: name.replaceAll('\n', ' '),
    seed: 1,
    cilium: '1.18',
    mode: 'native',
    duration: 1,
    totals: {
      nodes: 1,
      sent: 0,
      delivered: 0,
      changed: 0,
      encrypted: 0,
      decrypted: 0,
      clear: 0,
      unopened: 1,
      dropped: 0,
      resent: 0,
    },
    wire: {},
    timeline: [{ at: 0, node: null, text: name }],
    steps: [],
    nodes: [{ node: name, sent: 0, delivered: 0, encrypted: 0, clear: 0, decrypted: 0, dropped: 0 }],
    drops: [
      { node: name, peer: name, direction: 'in', counter: name, reason: name, count: 1, first: 0, last: 0 },
    ],
    flows: [{ kind: name, from: name, to: name, sent: 1, delivered: 0 }],
    accounted: true,
  }) as unknown as ScenarioReport;

const STYLE = { paint: PAINT, width: 80, times: new PacketTimes('iso', () => undefined) };
const PRINTERS: Readonly<Record<string, (name: string) => string>> = {
  diagnosis: (name) => diagnosisText(diagnosis(name), { capture: name, frames: 1, esp: 1 }, STYLE),
  finding: (name) => findingText(diagnosis(name).findings[0]!, STYLE),
  explanation: (name) =>
    explainText(explanation(name), {
      width: 100,
      paint: PAINT,
      brief: false,
      times: STYLE.times,
    }),
  scenario: (name) => scenarioText(report(name), PAINT),
  'table of SAs': (name) => saTable([sa(name)], { showKeys: true }),
  esp_sa: (name) => writeEspSa([sa(name)], { showKeys: true }),
  scapy: (name) => writeScapy([sa(name)], { showKeys: true }),
  'compact flow': (name) => compactLine({ flow: flow(name), node_name: name, time: flow(name).time }),
  'lost flows': (name) =>
    compactLine({
      lost_events: { source: name as 'HUBBLE_RING_BUFFER', num_events_lost: name },
      node_name: name,
      time: '',
    }),
  status: (name) =>
    statusText(encryptionStatus({ sas: [], xfrm: {}, keys: 1 }, [name], parseVersion('1.18'))),
};

describe.each(Object.entries(PRINTERS))('%s', (_, print) => {
  /** The same page with a harmless name: as many lines and colours as there may be. */
  const lines = (text: string) => text.split('\n').length;

  it('lets nothing through', () => {
    fc.assert(
      fc.property(evil, (name) => {
        const text = print(name);
        expect(text.replace(COLOURS, '')).not.toMatch(UNSAFE);
      }),
      { numRuns: 200 },
    );
  });

  it('lets no name begin a line, or paint', () => {
    // Of the same length when it is escaped.
    const name = `${'\n'.repeat(3)}${OUR_COLOUR}`;
    const plain = 'x'.repeat(3 * 6 + 6 + 4);
    expect(lines(print(name))).toBe(lines(print(plain)));
    expect(print(name).match(COLOURS)?.length).toBe(print(plain).match(COLOURS)?.length);
  });
});
