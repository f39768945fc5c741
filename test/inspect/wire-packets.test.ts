/**
 * A file of packets and keys opens in esplane alone, whatever the SAs are.
 */
import { describe, expect, it } from 'vitest';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { Forge, textOf } from '../../src/conform/forge.ts';
import { authenc } from '../../src/crypto/suite.ts';
import { PacketJson } from '../../src/inspect/decrypt-json.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import { WirePackets } from '../../src/inspect/wire-packets.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { udp4, udp6 } from '../support/datagram.ts';
import { type Line, lineOf } from '../support/decrypt.ts';
import { fullEngine } from '../support/full-engine.ts';
import { receiverOf, receiverWith } from '../support/receiver.ts';
import { address, counting, saConfig } from '../support/sa.ts';

/** Opens packets with SAs that are known, and writes them down with the keys. */
function written(packets: readonly Uint8Array[], sa: SaConfig, warn: (line: string) => void = () => {}) {
  const parts: number[] = [];
  const writer = new PcapngWriter((bytes) => parts.push(...bytes));
  const wire = new WirePackets(writer, { withSecrets: true, warn });
  const lines: Line[] = [];
  const json = new PacketJson();
  const receiver = receiverOf([sa], {
    udpPorts: sa.encap ? [sa.encap.sport, sa.encap.dport] : [],
    onPacket: (event) => lines.push(lineOf(event, json)),
    sinks: [wire],
  });
  const interfaceId = writer.interface({ linkType: LINK_RAW, snapLength: 0 });
  packets.forEach((bytes, i) => {
    const info = { number: i + 1, seconds: 1, nanoseconds: 0, hasTime: true, interfaceId, byte: 0 };
    const whole = { ...info, linkType: LINK_RAW, originalLength: bytes.length };
    receiver.frame(bytes, 0, bytes.length, whole);
    receiver.flush();
    wire.frame(bytes, 0, bytes.length, whole);
  });
  writer.flush();
  return { file: Uint8Array.from(parts), lines };
}

/** Opens a file by what it brings along. */
function reread(file: Uint8Array): Line[] {
  const lines: Line[] = [];
  const json = new PacketJson();
  const own = new CaptureSas((line) => expect.fail(line));
  const receiver = receiverWith(new Evidence({ own }), {
    udpPorts: own.udpPorts,
    onPacket: (event) => lines.push(lineOf(event, json)),
  });
  const reader = captureReader('test', {
    frame: (b, at, end, info) => receiver.frame(b, at, end, info),
    secrets: (_, data) => receiver.forget(own.read(data, 'test')),
  });
  reader.feed(file);
  reader.end();
  receiver.flush();
  return lines;
}

const V6 = { src: address('2001:db8::1'), dst: address('2001:db8::2') };
const ENCAPS = [undefined, { sport: 4500, dport: 4500 }, { sport: 4501, dport: 60_000 }];

describe('packets with the keys that open them', () => {
  it.each(['tunnel', 'transport'] as const)('case captures 04: %s mode, in every carrier', (mode) => {
    for (const encap of ENCAPS) {
      for (const esn of [false, true]) {
        for (const ends of [{}, V6]) {
          const sa = saConfig({ ...ends, mode, esn, replayWindow: esn ? 64 : 0, ...(encap && { encap }) });
          const inner = sa.src.length === 4 ? udp4(60) : udp6(80);
          const text =
            mode === 'tunnel'
              ? textOf(inner, sa.src.length === 4 ? 4 : 41, 4)
              : textOf(inner.subarray(sa.src.length === 4 ? 20 : 40), 17, 4);
          const forge = new Forge(sa, fullEngine());
          const start = esn ? 5n * 2n ** 32n : 1n;
          const { file, lines } = written(
            [0n, 1n, 2n].map((i) => forge.packet(start + i, text)),
            sa,
          );
          expect(lines.map(({ verdict }) => verdict)).toEqual(['ok', 'ok', 'ok']);
          expect(reread(file)).toEqual(lines);
        }
      }
    }
  });

  it('say where a suite has no name there, and are then opened unchecked', () => {
    const keys = authenc('hmac(sha384)', counting(48), 'cbc(aes)', counting(16), 128);
    const sa = saConfig({ keys, esn: false, replayWindow: 0 });
    const notes: string[] = [];
    const packets = [new Forge(sa, fullEngine()).packet(1n, textOf(udp4(60), 4, 16))];
    const { file } = written(packets, sa, (line) => notes.push(line));
    expect(notes).toEqual(['test: its ICV has no name in Wireshark: with these lines it is not checked']);
    expect(reread(file)).toMatchObject([{ verdict: 'ok', authenticated: false }]);
  });
});
