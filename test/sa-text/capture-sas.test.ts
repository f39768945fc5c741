import { expect, it } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { CaptureDecryptor } from '../../src/inspect/decrypt.ts';
import { dropRow } from '../../src/ipsec/drop.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { writeDsbCsv, writeGone } from '../../src/sa-text/dsb-csv.ts';
import { joinSources } from '../../src/sa-text/sa-source.ts';
import * as link from '../../src/wire/link-type.ts';
import { ipv4Packet, RANDOM, SUITES, saConfig } from '../support/sa.ts';

/** Reads a capture of packets and secrets, as `esplane decrypt` does. @returns a verdict a packet */
function read(...steps: readonly ({ packet: Uint8Array } | { secrets: string })[]): string[] {
  const verdicts: string[] = [];
  const own = new CaptureSas();
  const decryptor = new CaptureDecryptor({
    source: 'test',
    sas: joinSources([own]),
    engine: new NodeEngine(),
    random: RANDOM.random,
    onPacket: ({ verdict }) => verdicts.push(dropRow(verdict)?.reason ?? 'ok'),
  });
  steps.forEach((step, i) => {
    if ('secrets' in step) {
      decryptor.forget(own.read(new TextEncoder().encode(step.secrets), 'test'));
      return;
    }
    const { packet } = step;
    const info = { number: i, seconds: 0, nanoseconds: 0, hasTime: true, interfaceId: 0, byte: 0 };
    decryptor.frame(packet, 0, packet.length, {
      ...info,
      linkType: link.LINK_RAW,
      originalLength: packet.length,
    });
  });
  decryptor.flush();
  return verdicts;
}

function senderOf(config: SaConfig): () => { packet: Uint8Array } {
  const end = new TunnelEnd(config, new NodeEngine(), RANDOM);
  return () => {
    const outcome = end.encapsulate(ipv4Packet(100));
    if (outcome.verdict !== 'ok') throw new Error(outcome.reason);
    return { packet: outcome.packet };
  };
}

const one = saConfig();
const two = saConfig({ keys: SUITES[0]! });
const secrets = (added: readonly SaConfig[], gone: readonly SaConfig[] = []) => ({
  secrets: writeGone(gone) + writeDsbCsv(added, { showKeys: true }),
});

it('opens packets with the SAs that there are when they come', () => {
  const [first, second] = [senderOf(one), senderOf(two)];
  const late = first();
  expect(
    read(
      secrets([one]),
      first(),
      second(), // the receiver does not have that key yet, and its number was not seen
      secrets([two], [one]),
      late,
      second(),
      first(),
      secrets([], [two]),
      second(),
    ),
  ).toEqual(['ok', 'bad-icv', 'bad-icv', 'ok', 'bad-icv', 'no-state']);
});

it('opens no packet with an SA that came after it', () => {
  const [send, sendNew] = [senderOf(one), senderOf(two)];
  expect(
    read(send(), send(), secrets([one]), send(), secrets([], [one]), sendNew(), secrets([two]), sendNew()),
  ).toEqual(['no-state', 'no-state', 'ok', 'no-state', 'ok']);
});

it('begins a window anew for an SA that is made anew, and for no other', () => {
  const other = saConfig({ spi: 4 });
  const [send, sendOther] = [senderOf(one), senderOf(other)];
  const [packet, another] = [send(), sendOther()];
  expect(
    read(secrets([one, other]), packet, packet, another, secrets([one], [one]), packet, packet, another),
  ).toEqual(['ok', 'replay-seen', 'ok', 'ok', 'replay-seen', 'replay-seen']);
});

it('takes away an SA of any source', () => {
  const any = saConfig({ src: new Uint8Array(4) });
  const send = senderOf(one);
  expect(read(secrets([any]), send(), secrets([], [any]), send())).toEqual(['ok', 'no-state']);
});

it('takes nothing from a block with a bad line', () => {
  const own = new CaptureSas();
  own.read(new TextEncoder().encode(secrets([one]).secrets), 'f');
  const bad = `${secrets([two], [one]).secrets}"IPv4"\n`;
  expect(() => own.read(new TextEncoder().encode(bad), 'f')).toThrow(/^f:3: /);
  expect(own.find(one.src, one.dst, 3)).toMatchObject([{ origin: 'f:1' }]);
  expect([own.former(one.src, one.dst, 3), own.knows('192.0.2.1'), own.knows('192.0.2.3')]).toEqual([
    [],
    true,
    false,
  ]);
});
