import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { textOf as written } from '../../src/base/text-buffer.ts';
import { putEspLine } from '../../src/cli/esp-line.ts';
import { Forge, textOf } from '../../src/conform/forge.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import type { EspEvent } from '../../src/inspect/esp-event.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import { Explainer } from '../../src/inspect/explain/explain.ts';
import { untiled, walkFields } from '../../src/inspect/explain/tree.ts';
import { NO_NAMES } from '../../src/inspect/names.ts';
import { PacketTimes } from '../../src/inspect/packet-time.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { udp4 } from '../support/datagram.ts';
import { type Line, lineOf } from '../support/decrypt.ts';
import { codesOf, diagnosePackets } from '../support/diagnose.ts';

import { receiverOf } from '../support/receiver.ts';
import { RANDOM, saConfig } from '../support/sa.ts';

const config = saConfig({ mode: 'iptfs' });
const forge = new Forge(config, new NodeEngine());
const [A, B] = [udp4(60), udp4(300)];

/** An outer packet with a payload: its block offset, and what lies behind its header. */
function outer(seq: number, offset: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const payload = Uint8Array.from([0, 0, offset >> 8, offset & 0xff, ...parts.flatMap((part) => [...part])]);
  return forge.packet(BigInt(seq), textOf(payload, 144, 4));
}

function decrypt(packets: readonly Uint8Array[], sa: SaConfig = config) {
  const found: { line: Line; text: string }[] = [];
  const json = new PacketJson();
  const style = { times: new PacketTimes('epoch', () => undefined), names: NO_NAMES };
  const onPacket = (event: EspEvent) => {
    const text = written((out) => putEspLine(out, event, style));
    found.push({ line: lineOf(event, json), text: text.slice(text.indexOf(')') + 2).trimEnd() });
  };
  const receiver = receiverOf([sa], { onPacket });
  packets.forEach((bytes, i) => {
    const info = { number: i + 1, seconds: i / 100, nanoseconds: 0, hasTime: true, interfaceId: 0, byte: 0 };
    receiver.frame(bytes, 0, bytes.length, { ...info, linkType: LINK_RAW, originalLength: bytes.length });
  });
  receiver.flush();
  return found;
}

const hexes = (...packets: readonly Uint8Array[]) =>
  packets.map((packet) => Buffer.from(packet).toString('hex'));

describe('IP-TFS in a capture', () => {
  it('says of each outer packet what came out, and what waits', () => {
    const found = decrypt([
      outer(1, 0, A, new Uint8Array(8)),
      outer(3, 0, B),
      outer(2, 0, A, B.subarray(0, 9)),
    ]);
    expect(found.map(({ line }) => line)).toMatchObject([
      { inner: null, subtype: 0, blockOffset: 0, padBytes: 8, held: false, counted: [], inners: hexes(A) },
      { held: true, inners: [], packets: [] },
      { held: false, counted: ['XfrmInIptfsError'], inners: hexes(A, B) },
    ]);
    const [first] = found[2]!.line.packets!;
    expect(first).toMatchObject({ packet: { src: '10.0.1.10', dst: '10.0.2.20', length: 60 }, pod: null });
    expect(found.map(({ text }) => text.replace(/IP 10.*?(, length|; |$)/g, 'IP$1'))).toEqual([
      'IP-TFS, 1 packet, 8 bytes of padding: IP, length 60',
      'IP-TFS, waits for an earlier number',
      'IP-TFS, 2 packets (XfrmInIptfsError): IP, length 60; IP, length 300',
    ]);
  });

  it('is found where the source does not say the mode', () => {
    const open = saConfig({ unstated: { mode: true } });
    expect(decrypt([outer(1, 0, A, B)], open)[0]!.line).toMatchObject({ verdict: 'ok', inners: hexes(A, B) });
    expect(decrypt([outer(1, 0, A, B)], saConfig())[0]!.line).toMatchObject({ reason: 'not-ip' });
  });

  it('is refused as Linux refuses it', () => {
    const tunnel = forge.packet(1n, textOf(A, 4, 4));
    const found = decrypt([tunnel, outer(2, 0, A, Uint8Array.of(0x50)), outer(3, 0, B)]);
    expect(found.map(({ line: { verdict, counter } }) => [verdict, counter])).toEqual([
      ['drop', 'XfrmInHdrError'],
      ['drop', 'XfrmInBufferError'],
      ['ok', null],
    ]);
  });

  it('is explained to the last byte, whatever it holds', () => {
    const fieldsOf = (packets: readonly Uint8Array[]) => {
      const explainer = new Explainer({
        evidence: new Evidence({ listed: [config] }),
        engine: new NodeEngine(),
        random: RANDOM.random,
      });
      const found = packets.map((bytes, i) => {
        const info = { number: i + 1, seconds: 0, nanoseconds: 0, hasTime: true, interfaceId: 0, byte: 0 };
        const { packet } = explainer.explain(bytes, 0, bytes.length, {
          ...{ ...info, linkType: LINK_RAW, originalLength: bytes.length },
        });
        expect(untiled(packet)).toBeUndefined();
        return [...walkFields(packet)]
          .map(({ field }) => field)
          .filter(({ id }) => id.startsWith('aggfrag.'));
      });
      return found.map((fields) => fields.map(({ id, text, inner }) => `${id} ${text}${inner ? ' +' : ''}`));
    };
    const head = ['aggfrag.subtype 0', 'aggfrag.flags 0x00'];
    expect(
      fieldsOf([
        outer(1, 0, A, B.subarray(0, 100)),
        outer(2, 200, B.subarray(100), B.subarray(0, 3)),
        outer(3, 297, B.subarray(3, 33)),
        outer(4, 267, B.subarray(33), A, new Uint8Array(5)),
        outer(5, 0, A, Uint8Array.of(0x50, 0)),
      ]),
    ).toEqual([
      [
        ...head,
        'aggfrag.block_offset 0',
        'aggfrag.block 60 bytes +',
        'aggfrag.block 100 bytes, 200 bytes more are to come',
      ],
      [
        ...head,
        'aggfrag.block_offset 200',
        'aggfrag.piece 200 bytes +',
        'aggfrag.block 3 bytes, too few to tell its length',
      ],
      [...head, 'aggfrag.block_offset 297', 'aggfrag.piece 30 bytes, 267 bytes more are to come'],
      [
        ...[...head, 'aggfrag.block_offset 267', 'aggfrag.piece 267 bytes +', 'aggfrag.block 60 bytes +'],
        'aggfrag.pad 5 bytes',
      ],
      [...head, 'aggfrag.block_offset 0', 'aggfrag.block 60 bytes +', 'aggfrag.block 2 bytes'],
    ]);
    const random = xorshift32(7);
    const noise = Array.from({ length: 40 }, (_, i) => {
      const payload = new Uint8Array(i).map(() => random() >>> 24);
      if (i > 3) payload.set([i & 1, i % 7 === 0 ? 1 : 0, 0, random() >>> 28]);
      return forge.packet(BigInt(i + 1), textOf(payload, 144, 4));
    });
    expect(fieldsOf(noise)).toHaveLength(40);
  });

  it('is counted by diagnose as by the kernel, and nothing else is said of it', () => {
    const good = [outer(1, 0, A, B.subarray(0, 100)), outer(2, 200, B.subarray(100), A)];
    const known = { listed: [config] };
    const { streams, findings } = diagnosePackets(good, known, { seconds: 0.01 });
    expect(streams).toMatchObject([{ packets: 2, ok: 2, inners: 3, missing: 0 }]);
    expect(findings).toEqual([]);
    // Number 3 never comes, and number 7 gives it up.
    const lossy = [...good, outer(4, 0, A), outer(5, 0, B.subarray(0, 50)), outer(6, 0, A), outer(7, 0, A)];
    const worse = diagnosePackets([...lossy, outer(8, 0, Uint8Array.of(0x50))], known, { seconds: 0.01 });
    expect(worse.streams).toMatchObject([{ packets: 7, ok: 6, inners: 6 }]);
    expect(worse.receivers[0]!.counters).toEqual({ XfrmInBufferError: 1, XfrmInIptfsError: 1 });
    expect(codesOf(worse.findings)).toEqual(['iptfs-abandoned', 'iptfs-refused', 'missing-numbers']);
  });
});
