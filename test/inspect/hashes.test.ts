/**
 * Texts of cilium-bugtool, with hashes in the place of keys: which of the keys at hand a receiver holds, or that it holds
 * another one.
 */
import { describe, expect, it } from 'vitest';
import { stateText } from '../../scripts/sysdump/iproute2.ts';
import { hashKeys } from '../../scripts/sysdump/layout.ts';
import { hex } from '../../src/base/bytes.ts';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead } from '../../src/crypto/suite.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import { Evidence, type EvidenceOptions } from '../../src/inspect/evidence.ts';
import { ExplainSink } from '../../src/inspect/explain/explain.ts';
import type { Explanation } from '../../src/inspect/explain/tree.ts';
import { CaptureSession } from '../../src/inspect/session.ts';
import { WirePackets } from '../../src/inspect/wire-packets.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { keyHashesOf } from '../../src/sa-text/key-hash.ts';
import { withKeys } from '../../src/sa-text/to-sa.ts';
import { readStates } from '../../src/sa-text/xfrm-sas.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { type Line, lineOf } from '../support/decrypt.ts';
import { diagnosePackets, sender } from '../support/diagnose.ts';
import { address, RANDOM, SUITES, saConfig } from '../support/sa.ts';

const OTHER = aead('rfc4106(gcm(aes))', hex('a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4'), 128);
const THIRD = aead('rfc4106(gcm(aes))', hex('c1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4'), 128);

/** What cilium-bugtool makes of the text of a kernel that has this SA. */
function hashedText(config: SaConfig): string {
  const sa = new SecurityAssociation(config, new NodeEngine(), RANDOM);
  return hashKeys(stateText(sa, { added: 0 }));
}

/** Texts of a node that receives, or sends. */
function hashed(sa: SaConfig, file = 'n2.txt', direction: 'in' | 'out' = 'in') {
  const outputMark = { value: direction === 'in' ? 0xd00 : 0xe00, mask: 0xffffff00 };
  const { sas, keyless } = readStates(hashedText({ ...sa, outputMark }), file);
  expect(keyless).toMatchObject([{ keyHash: keyHashesOf(sa.keys) }]);
  return { file, sas, keyless };
}

/** What decrypt, explain and -w make of packets. */
function receive(packets: readonly Uint8Array[], known: EvidenceOptions) {
  const evidence = new Evidence(known);
  const lines: Line[] = [];
  const explanations: Explanation[] = [];
  let file = '';
  const json = new PacketJson();
  const writer = new PcapngWriter((bytes) => {
    file += new TextDecoder('latin1').decode(bytes);
  });
  const session = new CaptureSession({
    ...{ source: 'test', own: new CaptureSas(() => {}), evidence },
    ...{ engine: new NodeEngine(), random: RANDOM.random },
    sinks: [
      { packet: (event) => lines.push(lineOf(event, json)) },
      new WirePackets(writer, { withSecrets: true }),
      new ExplainSink({
        ...{ evidence, wants: () => true, showKeys: true },
        onExplanation: (explanation) => explanations.push(explanation),
      }),
    ],
  });
  const interfaceId = writer.interface({ linkType: LINK_RAW, snapLength: 0 });
  for (const [i, packet] of packets.entries()) {
    const info = { number: i + 1, seconds: 1, nanoseconds: 0, hasTime: true, interfaceId, byte: 0 };
    session.frame(packet, 0, packet.length, { ...info, linkType: LINK_RAW, originalLength: packet.length });
  }
  session.receiver.flush();
  writer.flush();
  return { lines, explanations, file };
}

const said = (lines: readonly Line[]) =>
  lines.map(({ verdict, reason, counter, basis, openedBy }) => [verdict, reason, counter, basis, openedBy]);

describe('a hash in the place of a key', () => {
  it.each(
    SUITES.filter(({ suite }) => !suite.name.includes('null')).map(
      (keys) => [keys.suite.name, keys] as const,
    ),
  )('is that of the key: %s', (_, keys) => {
    const text = hashedText(saConfig({ keys, esn: false }));
    const [sa] = readStates(text, 'n2.txt').keyless;
    expect(sa!.keyHash).toBe(keyHashesOf(keys));
    expect(withKeys(sa!, keys)).toMatchObject({ spi: 3, esn: false, origin: sa!.origin });
    expect(withKeys(sa!, keys)!.keys.equals(keys)).toBe(true);
    expect(JSON.stringify(sa)).not.toContain('0x');
  });

  it('of a key alone is no state: cilium-bugtool takes out the line of an empty key', () => {
    const keys = SUITES.find(({ suite }) => suite.mac && suite.cipher === 'null')!;
    const [sa] = readStates(hashedText(saConfig({ keys, esn: false })), 'n2.txt').keyless;
    expect(withKeys(sa!, keys)).toBeUndefined();
  });

  it('of a key at hand makes the state one whose key is shown: its window, ESN and ICV count', () => {
    const sa = saConfig({ replayWindow: 32, esn: false });
    const assumed = saConfig({ replayWindow: 1024, esn: false, origin: 'keys' });
    const { held, atReceiver, candidates } = new Evidence({
      states: [hashed(sa)],
      listed: [assumed],
    }).resolve('192.0.2.1', '192.0.2.2', 3);
    expect(atReceiver).toBe('held');
    expect(candidates).toMatchObject([{ replayWindow: 32, esn: false, origin: 'n2.txt:1' }]);
    expect(held[0]!.config).toBe(candidates[0]);
    // 40 numbers later than the window of the receiver allows, and not later than that of the list.
    const send = sender(assumed);
    const packets = Array.from({ length: 42 }, () => send());
    const order = [...packets.slice(1), packets[0]!];
    const { lines } = receive(order, { states: [hashed(sa)], listed: [assumed] });
    expect(lines.at(-1)).toMatchObject({
      ...{ verdict: 'drop', reason: 'replay-stale', counter: 'XfrmInStateSeqError', basis: 'told' },
    });
    expect(lines.slice(0, -1).every(({ verdict, basis }) => verdict === 'ok' && basis === 'told')).toBe(true);
  });

  it("of another key than the one that opens the packets is the receiver's: it refuses them", () => {
    const states = [hashed(saConfig({ keys: OTHER }))];
    const listed = [saConfig({ origin: 'keys' })];
    const send = sender(saConfig());
    const { lines, explanations, file } = receive([send(), send()], { states, listed });
    const refused = ['drop', 'bad-icv', 'XfrmInStateProtoError', 'told', 'keys'];
    expect(said(lines)).toEqual([refused, refused]);
    // What it holds is not known, and nothing stands in its place.
    expect(JSON.stringify(explanations)).toContain('no key at hand is known to be it');
    expect(JSON.stringify(explanations)).toContain('"sa":null');
    const keys = [...file.matchAll(/0x([0-9a-f]{40})/g)].map(([, key]) => key);
    expect(keys).toEqual(['4142434445464748494a4b4c4d4e4f5001020304']);
  });

  it('of another key says nothing of packets that no key at hand opens', () => {
    const states = [hashed(saConfig({ keys: OTHER }))];
    const listed = [saConfig({ origin: 'keys' })];
    const [own, third] = [sender(saConfig({ keys: OTHER })), sender(saConfig({ keys: THIRD }))];
    const unopened = ['unopened', 'key-hidden', null, 'told', null];
    expect(said(receive([own(), third()], { states, listed }).lines)).toEqual([unopened, unopened]);
    const { receivers, conclusion, findings } = diagnosePackets([own(), third()], { states, listed });
    expect(receivers).toMatchObject([{ packets: 2, judged: 0, counters: {} }]);
    expect(conclusion.summary).toContain('shows no keys');
    expect(findings.map(({ code }) => code)).not.toContain('unknown-key');
  });

  it('counts of a stream what another key opens, and no more', () => {
    const states = [hashed(saConfig({ keys: OTHER }))];
    const listed = [saConfig({ origin: 'keys' })];
    const [own, theirs] = [sender(saConfig({ keys: OTHER })), sender(saConfig(), 10)];
    const { receivers, conclusion, findings } = diagnosePackets([own(), theirs(), theirs()], {
      ...{ states, listed },
    });
    expect(receivers).toMatchObject([
      { packets: 3, judged: 2, basis: 'told', counters: { XfrmInStateProtoError: 2 } },
    ]);
    expect(findings).toMatchObject([{ code: 'wrong-key', basis: 'told', count: 2 }]);
    expect(findings[0]!.summary).toContain('holds another one, by its hash (n2.txt:1)');
    expect(conclusion.summary).toContain('1 ESP packet could not be checked.');
  });

  it("is compared with the other end's, where that shows its key", () => {
    const states = [hashed(saConfig({ keys: OTHER })), hashed(saConfig(), 'n1.txt', 'out')];
    const listed = [saConfig({ origin: 'keys' })];
    const send = sender(saConfig());
    const { findings } = diagnosePackets([send()], { states, listed });
    // One trouble, one finding: the packets show what the hashes do.
    expect(findings).toMatchObject([{ code: 'wrong-key', count: 1 }]);
    expect(findings[0]!.summary).toContain('the key from the kernel of 192.0.2.1 (n1.txt)');
  });

  it("is compared with the other end's, where its key is not at hand, in the finding on its packets", () => {
    const states = [hashed(saConfig()), hashed(saConfig({ keys: OTHER }), 'n1.txt', 'out')];
    const listed = [saConfig({ origin: 'keys' })];
    const send = sender(saConfig({ keys: OTHER }));
    const { findings } = diagnosePackets([send(), send()], { states, listed });
    expect(findings).toMatchObject([
      { code: 'wrong-key', basis: 'told', count: 2, frames: [1, 2], evidence: ['n2.txt:1', 'n1.txt:1'] },
    ]);
    expect(findings[0]!.summary).toMatch(
      /2 packets with a wrong ICV.*\. Tried in vain: .* The kernels of 192\.0\.2\.2 \(n2\.txt\) and 192\.0\.2\.1 \(n1\.txt\) hold different keys: their texts have different hashes/,
    );
  });

  it('of a state that takes any source is found by the source of the packets', () => {
    const any = saConfig({ src: address('0.0.0.0') });
    const { atReceiver } = new Evidence({ states: [hashed(any)], listed: [saConfig()] }).resolve(
      ...(['192.0.2.1', '192.0.2.2', 3] as const),
    );
    expect(atReceiver).toBe('held');
  });

  it('is of no use without a key', () => {
    const { lines } = receive([sender(saConfig())()], { states: [hashed(saConfig())] });
    expect(said(lines)).toEqual([['unopened', 'key-hidden', null, 'told', null]]);
  });
});
