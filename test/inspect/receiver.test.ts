/**
 * One receiver for all that looks at a capture: what it says of each packet, how that is known, and that it opens each once.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SECRETS_TYPE_ESP } from '../../src/capture/pcapng.ts';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { loadEvidence } from '../../src/cli/evidence-options.ts';
import type { SaOptions } from '../../src/cli/sa-options.ts';
import type { Engine, JobTable } from '../../src/crypto/engine.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import type { KeyMaterial } from '../../src/crypto/suite.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import { Diagnoser } from '../../src/inspect/diagnose/diagnoser.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import { ExplainSink } from '../../src/inspect/explain/explain.ts';
import type { Explanation } from '../../src/inspect/explain/tree.ts';
import { CaptureSession, type CaptureSink } from '../../src/inspect/session.ts';
import { WirePackets } from '../../src/inspect/wire-packets.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { writeDsbCsv } from '../../src/sa-text/dsb-csv.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { decryptFile, type Line, lineOf, saOptions } from '../support/decrypt.ts';
import { CAPTURES, needs, SHARED, shared } from '../support/needs.ts';
import { receiverWith } from '../support/receiver.ts';
import { address, ipv4Packet, RANDOM, SUITES, saConfig } from '../support/sa.ts';

const TROUBLES = fileURLToPath(new URL('../../pcaps/diagnose/', import.meta.url));

/** Counts what a cipher has to do. */
class CountingEngine implements Engine {
  readonly name = 'counting';
  rows = 0;
  keys = 0;
  readonly #engine = new NodeEngine();

  addKey(material: KeyMaterial): number {
    this.keys++;
    return this.#engine.addKey(material);
  }

  removeKey(handle: number): void {
    this.#engine.removeKey(handle);
  }

  seal(slab: Uint8Array, jobs: JobTable): void {
    this.#engine.seal(slab, jobs);
  }

  open(slab: Uint8Array, jobs: JobTable): void {
    this.rows += jobs.count;
    this.#engine.open(slab, jobs);
  }
}

/** What `capture --json --diagnose --explain -w FILE --wire` makes of a file, with all of it on one receiver or just lines. */
async function inspect(file: string, given: Partial<SaOptions>, withAll: boolean) {
  const own = new CaptureSas(() => {});
  const options = { ...saOptions(given), xfrmStat: [], xfrmPolicy: [] };
  const { evidence, udpPorts } = await loadEvidence(options, own);
  const lines: Line[] = [];
  const explanations: Explanation[] = [];
  const json = new PacketJson();
  const diagnoser = new Diagnoser(evidence);
  const all: CaptureSink[] = [
    diagnoser,
    new ExplainSink({
      evidence,
      wants: () => true,
      onlyEsp: true,
      onExplanation: (explanation) => explanations.push(explanation),
    }),
    new WirePackets(new PcapngWriter(() => {}), { withSecrets: true }),
  ];
  const engine = new CountingEngine();
  const session = new CaptureSession({
    source: file,
    own,
    evidence,
    engine,
    random: RANDOM.random,
    udpPorts,
    sinks: [{ packet: (event) => lines.push(lineOf(event, json)) }, ...(withAll ? all : [])],
  });
  const reader = captureReader(file, session);
  reader.feed(readFileSync(file));
  reader.end();
  session.receiver.flush();
  return { lines, explanations, engine, diagnosis: withAll ? diagnoser.finish() : undefined };
}

needs(
  [shared('captures')],
  'a capture of a kernel, with lines, diagnosis, explanations and a file on one receiver',
  () => {
    const of = (name: string) => ({
      file: `${CAPTURES}/${name}/wire.pcap`,
      given: { xfrmState: [`${CAPTURES}/${name}/n2.xfrm_state.txt`] },
    });

    it.each(['native-v4', 'native-v6', 'cbc-sha256', 'gcm-256', 'fragments', 'vxlan-in-esp'])(
      '%s: each packet is opened once, and once more the first of each stream',
      async (name) => {
        const { file, given } = of(name);
        for (const withAll of [false, true]) {
          const { lines, engine } = await inspect(file, given, withAll);
          const streams = new Set(lines.map(({ src, dst, spi }) => `${src} ${dst} ${spi}`)).size;
          expect(lines.every(({ verdict }) => verdict === 'ok')).toBe(true);
          // The first is tried on a copy: it says where the window stands.
          expect(engine.rows).toBe(lines.length + streams);
          // One more key asks whether the engine has the suite.
          expect(engine.keys).toBe(streams + 1);
        }
      },
    );

    it('faults-esn: what fails is looked at closer, and nothing else', async () => {
      const { file, given } = of('faults-esn');
      const alone = await inspect(file, given, false);
      const { lines, explanations, diagnosis, engine } = await inspect(file, given, true);
      expect(lines).toEqual(alone.lines);
      expect(explanations).toHaveLength(lines.length);
      expect(diagnosis!.streams.map(({ ok }) => ok)).toEqual(
        diagnosis!.streams.map(
          ({ src, dst, spi }) =>
            lines.filter(
              (one) => one.verdict === 'ok' && one.src === src && one.dst === dst && one.spi === spi,
            ).length,
        ),
      );
      const failed = lines.filter(({ verdict }) => verdict !== 'ok').length;
      // Those of the two SAs, and of guesses that were tried.
      expect(engine.keys).toBeLessThan(2 + failed);
      // Each of them under a few other high halves and guesses of keys; the rest once.
      expect(engine.rows - alone.engine.rows).toBeLessThan(12 * failed);
    });
  },
);

describe("the receiver's own SA decides", () => {
  it('in a capture of a kernel that dropped what another key opens', async () => {
    const lines = await decryptFile(
      `${TROUBLES}stale-boot-id.pcap`,
      {
        xfrmState: ['n1', 'n2'].map((node) => `${TROUBLES}stale-boot-id.${node}.xfrm_state.txt`),
        keys: [`${TROUBLES}keys`],
        nodes: [`${TROUBLES}nodes.json`],
      },
      new NodeEngine(),
    );
    const to2 = lines.filter(({ dst }) => dst === '10.244.2.1');
    expect(to2).toHaveLength(8);
    for (const { verdict, counter, basis, openedBy, inner } of to2) {
      expect({ verdict, counter, basis, inner }).toEqual({
        verdict: 'drop',
        counter: 'XfrmInStateProtoError',
        basis: 'told',
        inner: null,
      });
      expect(openedBy).toContain('stale-boot-id.n1.xfrm_state.txt');
    }
    expect(lines.filter(({ dst }) => dst === '10.244.1.1').map(({ verdict }) => verdict)).toEqual([
      'ok',
      'ok',
    ]);
  });

  it('where its text has no SA any more, and keys and nodes have', async () => {
    const given = {
      xfrmState: [`${TROUBLES}sa-gone.n2.xfrm_state.txt`, `${TROUBLES}sa-gone.n1.xfrm_state.txt`],
      keys: [`${TROUBLES}keys`],
      nodes: [`${TROUBLES}nodes.json`],
    };
    const lines = await decryptFile(`${TROUBLES}sa-gone.pcap`, given, new NodeEngine());
    const gone = lines.filter(({ verdict }) => verdict !== 'ok');
    expect(gone.length).toBeGreaterThan(0);
    for (const one of gone) {
      expect(one).toMatchObject({ verdict: 'drop', reason: 'no-state', basis: 'told' });
      expect(one.openedBy).not.toBeNull();
    }
  });
});

/** Receives packets, `{ events }` as lines. */
function receive(packets: readonly Uint8Array[], evidence: Evidence): Line[] {
  const lines: Line[] = [];
  const json = new PacketJson();
  const receiver = receiverWith(evidence, { onPacket: (event) => lines.push(lineOf(event, json)) });
  packets.forEach((b, i) => {
    const info = { number: i + 1, seconds: 0, nanoseconds: 0, hasTime: true, interfaceId: 0, byte: 0 };
    receiver.frame(b, 0, b.length, { ...info, linkType: LINK_RAW, originalLength: b.length });
  });
  receiver.flush();
  return lines;
}

function sender(config: SaConfig): (inner?: Uint8Array) => Uint8Array {
  const end = new TunnelEnd(config, new NodeEngine(), RANDOM);
  return (inner = ipv4Packet(100)) => {
    const outcome = end.encapsulate(inner);
    if (outcome.verdict !== 'ok') throw new Error(outcome.reason);
    return outcome.packet.slice();
  };
}

const said = (lines: readonly Line[]) =>
  lines.map(({ verdict, reason, counter, basis }) => [verdict, reason, counter, basis]);

describe('what is not known is not said', () => {
  const altered = (b: Uint8Array) => {
    b[60]! ^= 1;
    return b;
  };
  const told = (sas: readonly SaConfig[]) =>
    new Evidence({
      states: [{ file: 'n2.txt', sas: sas.map((sa) => ({ ...sa, direction: 'in' })), keyless: [] }],
    });

  it('an assumed key under which nothing has opened drops nothing', () => {
    const send = sender(saConfig());
    const packets = [altered(send()), send(), altered(send())];
    expect(said(receive(packets, new Evidence({ listed: [saConfig()] })))).toEqual([
      ['unopened', 'bad-icv', null, 'assumed'],
      ['ok', null, null, 'assumed'],
      ['drop', 'bad-icv', 'XfrmInStateProtoError', 'assumed'],
    ]);
    expect(said(receive(packets, told([saConfig()])))[0]).toEqual([
      'drop',
      'bad-icv',
      'XfrmInStateProtoError',
      'told',
    ]);
  });

  it('without an SA for the receiver nothing is known; with one, that this SPI is not there', () => {
    const packets = [sender(saConfig({ spi: 9 }))()];
    const elsewhere = saConfig({ dst: address('192.0.2.9') });
    expect(said(receive(packets, new Evidence({ listed: [elsewhere] })))).toEqual([
      ['unopened', 'no-state', null, 'assumed'],
    ]);
    expect(said(receive(packets, new Evidence({ listed: [saConfig()] })))).toEqual([
      ['drop', 'no-state', 'XfrmInNoStates', 'assumed'],
    ]);
    expect(said(receive(packets, told([saConfig()])))).toEqual([
      ['drop', 'no-state', 'XfrmInNoStates', 'told'],
    ]);
  });

  it('packets without an SA are looked up once, and again when the capture brings SAs', () => {
    const own = new CaptureSas(() => {});
    const evidence = new Evidence({ own, listed: [saConfig({ spi: 9 })] });
    const asked: number[] = [];
    const resolve = evidence.resolve.bind(evidence);
    evidence.resolve = (src, dst, spi) => {
      asked.push(spi);
      return resolve(src, dst, spi);
    };
    const lines: Line[] = [];
    const json = new PacketJson();
    const session = new CaptureSession({
      ...{ source: 'x.pcapng', own, evidence, engine: new NodeEngine(), random: RANDOM.random },
      sinks: [{ packet: (event) => lines.push(lineOf(event, json)) }],
    });
    const reader = captureReader('x.pcapng', session);
    const writer = new PcapngWriter((bytes) => reader.feed(bytes));
    const id = writer.interface({ linkType: LINK_RAW, snapLength: 0 });
    const [one, other] = [sender(saConfig({ spi: 3 })), sender(saConfig({ spi: 4 }))];
    const packets = (n: number) => {
      const meta = { seconds: 0, nanoseconds: 0, interfaceId: id };
      for (let i = 0; i < n; i++)
        for (const send of [one, other]) {
          const b = send();
          writer.frame(b, 0, b.length, { ...meta, originalLength: b.length });
        }
      writer.flush();
    };
    packets(300);
    expect(asked).toEqual([3, 4]);
    const secrets = writeDsbCsv([saConfig({ spi: 3 })], { showKeys: true });
    writer.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(secrets));
    packets(2);
    session.receiver.flush();
    expect(asked).toEqual([3, 4, 3, 4]);
    expect(lines.slice(-4).map(({ spi, verdict }) => [spi, verdict])).toEqual([
      [3, 'ok'],
      [4, 'drop'],
      [3, 'ok'],
      [4, 'drop'],
    ]);
  });

  it('a state whose key is hidden is there', () => {
    const { keys: _, ...keyless } = saConfig({ direction: 'in' });
    const evidence = new Evidence({ states: [{ file: 'n2.txt', sas: [], keyless: [keyless] }] });
    expect(said(receive([sender(saConfig())()], evidence))).toEqual([
      ['unopened', 'key-hidden', null, 'told'],
    ]);
  });

  it("a state of a kernel is one window, whatever the packets' source is", () => {
    const nat = address('203.0.113.7');
    const send = sender(saConfig());
    const [a, b] = [send(), send()];
    const from = (packet: Uint8Array) => {
      const moved = packet.slice();
      moved.set(nat, 12);
      return moved;
    };
    const lines = receive([a!, from(b!), from(a!)], told([saConfig()]));
    expect(lines.map(({ src, verdict, reason }) => [src, verdict, reason])).toEqual([
      ['192.0.2.1', 'ok', null],
      ['203.0.113.7', 'ok', null],
      ['203.0.113.7', 'drop', 'replay-seen'],
    ]);
  });
});

describe('ESP in ESP', () => {
  it('is received like any other, to a depth, in its order', () => {
    const configs = [1, 2, 3].map((spi) => saConfig({ spi, keys: SUITES[spi]! }));
    const senders = configs.map(sender);
    const packets = Array.from({ length: 3 }, () =>
      senders.reduce((packet, seal) => seal(packet), ipv4Packet(80)),
    );
    const lines = receive(packets, new Evidence({ listed: configs }));
    expect(lines.map(({ frame, spi, seq, verdict }) => [frame, spi, seq, verdict])).toEqual(
      [1, 2, 3].flatMap((frame) => [3, 2, 1].map((spi) => [frame, spi, String(frame), 'ok'])),
    );
  });

  needs([shared('cases')], 'cases', () => {
    it('case captures 13: is listed, whether its SA is known or not', async () => {
      const folder = `${SHARED}/cases/captures/13-nested-esp`;
      const lines = await decryptFile(`${folder}/in.pcap`, { espSa: [`${folder}/esp_sa`] }, new NodeEngine());
      expect(lines.map(({ verdict, carriers }) => `${verdict} ${carriers ?? ''}`)).toEqual(
        Array.from({ length: 4 }, () => ['ok ', 'unopened esp']).flat(),
      );
    });

    it('case texts 20: is opened, where its SA is given too', async () => {
      const folder = `${SHARED}/cases/texts/20-nested-esp`;
      const lines = await decryptFile(
        `${folder}/nested.pcap`,
        { xfrmState: [`${folder}/nested.txt`] },
        new NodeEngine(),
      );
      expect(lines.map(({ frame, dst, spi, verdict }) => [frame, dst, spi, verdict])).toEqual(
        [1, 2].flatMap((frame) => [
          [frame, '192.1.2.45', 0x12345678, 'ok'],
          [frame, '192.0.1.1', 0xabcdabcd, 'ok'],
        ]),
      );
    });
  });
});
