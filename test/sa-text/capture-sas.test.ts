import { expect, it } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import { dropRow } from '../../src/ipsec/drop.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { writeDsbCsv, writeGone } from '../../src/sa-text/dsb-csv.ts';
import * as link from '../../src/wire/link-type.ts';
import { receiverWith } from '../support/receiver.ts';
import { ipv4Packet, RANDOM, SUITES, saConfig } from '../support/sa.ts';

/** Reads a capture of packets and secrets, as `esplane decrypt` does. @returns a verdict a packet */
function read(...steps: readonly ({ packet: Uint8Array } | { secrets: string; file?: number })[]): string[] {
  const verdicts: string[] = [];
  const own = new CaptureSas(() => {});
  const decryptor = receiverWith(new Evidence({ own }), {
    onPacket: ({ verdict }) => verdicts.push(dropRow(verdict)?.reason ?? 'ok'),
  });
  steps.forEach((step, i) => {
    if ('secrets' in step) {
      decryptor.forget(own.read(new TextEncoder().encode(step.secrets), 'test', step.file));
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

it('leaves a bad line of a block out, says so, and takes the rest', () => {
  const notes: string[] = [];
  const own = new CaptureSas((line) => notes.push(line));
  own.read(new TextEncoder().encode(secrets([one]).secrets), 'f');
  const bad = `${secrets([two], [one]).secrets}"IPv4"\n`;
  expect(own.read(new TextEncoder().encode(bad), 'f')).toHaveLength(1);
  expect(notes).toEqual(['f:3: the row is left out: 1 fields; an SA has 8 or 10']);
  expect(own.find(two.src, two.dst, 3)).toMatchObject([{ origin: 'f:2' }]);
  expect(own.former(one.src, one.dst, 3)).toHaveLength(1);
});

it('says of many bad lines the first ones, however many blocks there are', () => {
  const notes: string[] = [];
  const own = new CaptureSas((line) => notes.push(line));
  const bad = new TextEncoder().encode('"IPv4"\n'.repeat(100));
  for (let i = 0; i < 100; i++) own.read(bad, 'f');
  expect(notes).toHaveLength(33);
  expect(notes[8]).toBe('f: and 92 more like it');
  expect(notes.at(-1)).toBe('more of the secrets is left out');
});

/** The same out of one capture of several. */
const of = (file: number, added: readonly SaConfig[], gone: readonly SaConfig[] = []) => ({
  ...secrets(added, gone),
  file,
});

it('takes away of several captures what the last one that has it takes away', () => {
  const first = senderOf(one);
  expect(
    read(
      of(0, [one]),
      of(1, [one]),
      first(),
      of(0, [], [one]),
      first(),
      // It has gone there already.
      of(0, [], [one]),
      first(),
      of(1, [], [one]),
      first(),
    ),
  ).toEqual(['ok', 'ok', 'ok', 'no-state']);
});

it('goes by the new SA of one capture while another one has the old one still', () => {
  const [first, second] = [senderOf(one), senderOf(two)];
  const again = second();
  expect(
    read(
      of(0, [one]),
      of(1, [one]),
      first(),
      of(0, [two], [one]),
      again,
      of(1, [two], [one]),
      // The window of the new one is not begun anew by the second capture.
      again,
      second(),
      first(),
      first(),
    ),
  ).toEqual(['ok', 'ok', 'replay-seen', 'ok', 'replay-seen', 'bad-icv']);
});
