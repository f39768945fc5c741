/**
 * "The way of a packet" against what it must be: the packet arrives, the wire decrypts, and every step's bytes are what
 * the step before left and the marks say.
 */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { captureReader } from '../../../src/capture/reader.ts';
import { NobleEngine } from '../../../src/crypto/noble.ts';
import { Evidence } from '../../../src/inspect/evidence.ts';
import { decrementHopLimit } from '../../../src/ipsec/hop-limit.ts';
import { CaptureSas } from '../../../src/sa-text/capture-sas.ts';
import { withSecrets } from '../../../src/web/model/copy-forms.ts';
import type { Shown } from '../../../src/web/model/pieces.ts';
import { unexplainedOn } from '../../../src/web/model/unexplained.ts';
import { stepOfField, takeWay, type Way, type WayStep } from '../../../src/web/model/way.ts';
import { framesOf, wayForms } from '../../../src/web/model/way-forms.ts';
import { ALL_WAYS, MODES } from '../../../src/web/model/way-network.ts';
import * as checksum from '../../../src/wire/checksum.ts';
import { LINK_RAW } from '../../../src/wire/link-type.ts';
import { PASS } from '../../../src/wire/packet.ts';
import { receiverOf, receiverWith } from '../../support/receiver.ts';

const ORDER = {
  native: 'send intercept sa number trailer nonce aad seal outer wire spi window open moved inner delivered',
  'vxlan-in-esp':
    'send intercept wrap sa number trailer nonce aad seal outer wire spi window open moved inner unwrap delivered',
  'esp-in-vxlan':
    'send intercept sa number trailer nonce aad seal outer wrap wire unwrap spi window open moved inner delivered',
};

const step = (way: Way, id: WayStep['id']) => {
  const found = way.steps.find((candidate) => candidate.id === id);
  if (!found) throw new Error(`no step ${id}`);
  return found;
};
const fact = (way: Way, id: WayStep['id'], label: string) =>
  step(way, id).facts.find((candidate) => candidate.label === label)?.value;

/** What is left without the bytes marked so. */
const without = ({ bytes, changes }: Shown, kind: 'added' | 'removed') =>
  bytes.filter((_, i) => !changes.some((change) => change.kind === kind && i >= change.at && i < change.end));
/** Whether each byte is marked `changed`, without those that came or went. */
const changedBits = ({ bytes, changes }: Shown, kind: 'added' | 'removed') =>
  Array.from(bytes, (_, i) => changes.find(({ at, end }) => i >= at && i < end)?.kind)
    .filter((mark) => mark !== kind)
    .map((mark) => mark === 'changed');

describe.each(ALL_WAYS)('$mode, IPv$family, ESN $esn', (options) => {
  const way = takeWay(options);
  const { steps, record } = way;

  it('has its steps in order', () => {
    expect(steps.map(({ id }) => id).join(' ')).toBe(ORDER[options.mode]);
  });

  it('delivers the packet that was sent, two hops later', () => {
    const expected = step(way, 'send').after.bytes.slice();
    expect(toHex(expected)).toBe(toHex(record.sent));
    decrementHopLimit(expected, 0);
    decrementHopLimit(expected, 0);
    expect(toHex(step(way, 'delivered').after.bytes)).toBe(toHex(expected));
  });

  it('shows on the wire what decrypts to the inner packet', () => {
    const out: { verdict: number; bytes: string; seq: number; vni: number }[] = [];
    const decryptor = receiverOf([way.out], {
      engine: new NobleEngine(),
      onPacket: ({ verdict, bytes, at, end, seqLo, carrier }) =>
        out.push({ verdict, bytes: toHex(bytes, at, end), seq: seqLo, vni: carrier.vni }),
    });
    const { bytes } = step(way, 'wire').after;
    const info = { number: 1, seconds: 0, nanoseconds: 0, hasTime: false, linkType: LINK_RAW };
    decryptor.frame(bytes, 0, bytes.length, {
      ...info,
      interfaceId: 0,
      originalLength: bytes.length,
      byte: 0,
    });
    decryptor.flush();
    const inner = toHex(step(way, 'inner').after.bytes);
    expect(out).toEqual([
      { verdict: PASS, bytes: inner, seq: 7, vni: options.mode === 'esp-in-vxlan' ? 41_234 : -1 },
    ]);
    expect(inner.endsWith(toHex(record.intercepted.bytes))).toBe(true);
  });

  it('goes on from what the step before left', () => {
    for (const [i, { id, before }] of steps.entries()) {
      if (i > 0) expect(toHex(before.bytes), id).toBe(toHex(steps[i - 1]!.after.bytes));
    }
  });

  it('shows the bytes that the nodes and the wire really had', () => {
    const { out, into, wire } = record;
    const last = options.mode === 'esp-in-vxlan' ? 'wrap' : 'outer';
    expect(toHex(step(way, 'intercept').after.bytes)).toBe(toHex(record.intercepted.bytes));
    expect(toHex(step(way, last).after.bytes)).toBe(toHex(out.bytes));
    expect(toHex(step(way, 'wire').after.bytes)).toBe(toHex(wire));
    expect(toHex(step(way, 'spi').before.bytes)).toBe(toHex(into.admitted));
    expect(toHex(step(way, 'delivered').after.bytes)).toBe(toHex(into.bytes));
    expect(out.sealed.ok && into.opened.ok).toBe(true);
    expect(toHex(into.opened.nonce)).toBe(toHex(out.sealed.nonce));
    expect(toHex(into.opened.aad)).toBe(toHex(out.sealed.aad));
  });

  it('marks what changed, and nothing else', () => {
    for (const { id, before, after } of steps) {
      const [was, is] = [without(before, 'removed'), without(after, 'added')];
      expect(is.length, id).toBe(was.length);
      const differs = Array.from(was, (byte, i) => byte !== is[i]);
      expect(changedBits(before, 'removed'), id).toEqual(differs);
      expect(changedBits(after, 'added'), id).toEqual(differs);
    }
    const kinds = (id: WayStep['id']) => [
      step(way, id).before.changes.map(({ kind }) => kind),
      step(way, id).after.changes.map(({ kind }) => kind),
    ];
    expect(kinds('sa')).toEqual([[], []]);
    expect(kinds('number')).toEqual([[], ['added']]);
    expect(kinds('trailer')).toEqual([[], ['added']]);
    expect(kinds('nonce')).toEqual([[], ['added']]);
    expect(kinds('outer')).toEqual([[], ['added']]);
    expect(kinds('wire')).toEqual([[], []]);
    expect(kinds('inner')[1]).toEqual([]);
    // One run each for payload and trailer, unless a byte of the ciphertext happens to be its own clear text.
    expect(kinds('seal')[1]!.filter((kind) => kind === 'added')).toHaveLength(1);
  });

  it('has bytes to look at in every step', () => {
    for (const { id, before, after, looksAt } of steps) {
      const hasChanged = before.changes.length + after.changes.length > 0;
      expect(looksAt !== undefined, id).toBe(!hasChanged);
      if (looksAt)
        expect(
          after.parts.some(({ at }) => at === looksAt.at),
          id,
        ).toBe(true);
    }
    const { at, end } = step(way, 'aad').looksAt!;
    // What the AAD holds of the packet is SPI and low half: all of it but the high half.
    const aad = toHex(record.out.sealed.aad);
    expect(toHex(step(way, 'aad').after.bytes, at, end)).toBe(aad.slice(0, 8) + aad.slice(-8));
  });

  it('explains every byte once, and says what, why, and where to read on', () => {
    expect(unexplainedOn(way)).toEqual([]);
  });

  it('follows number and window', () => {
    expect(fact(way, 'number', 'Counter of the SA')).toBe('6 → 7');
    expect(step(way, 'window').window).toMatchObject({
      size: 1024,
      number: '7',
      after: { top: '6', seen: ['1-3', '5-6'] },
    });
    expect(step(way, 'moved').window).toMatchObject({
      before: { top: '6', seen: ['1-3', '5-6'] },
      after: { top: '7', seen: ['1-3', '5-7'] },
    });
  });

  it('puts together nonce and AAD', () => {
    const [number, random, nonce] = step(way, 'nonce').rows.map(({ cells }) => cells.map(({ hex }) => hex));
    const xor = (BigInt(`0x${number![0]}`) ^ BigInt(`0x${random![0]}`)).toString(16).padStart(16, '0');
    expect(nonce![1]).toBe(xor);
    const iv = step(way, 'nonce').after.parts.find(({ id }) => id === 'esp.iv')!;
    expect(toHex(step(way, 'nonce').after.bytes, iv.at, iv.end)).toBe(xor);
    expect(nonce![0]).toBe(toHex(way.out.keys.salt()));
    const aad = step(way, 'aad')
      .rows[0]!.cells.map(({ hex }) => hex)
      .join('');
    expect(aad).toBe(options.esn ? '000000030000000000000007' : '0000000300000007');
  });

  it('has padding to show, that counts up', () => {
    const { bytes, parts } = step(way, 'trailer').after;
    const pad = parts.find(({ id }) => id === 'esp.pad')!;
    expect(Array.from(bytes.slice(pad.at, pad.end))).toEqual(
      Array.from({ length: pad.end - pad.at }, (_, i) => i + 1),
    );
    expect(bytes[pad.end]).toBe(pad.end - pad.at);
  });

  it('knows the sender by its identity on the other side', () => {
    expect(fact(way, 'delivered', 'Sender’s identity')).toBe('41234');
  });
});

describe('a field', () => {
  const { steps } = takeWay({ mode: 'native', family: 4, esn: true });

  it.each([
    ['ip.ttl', 'send'],
    ['esp.seq', 'number'],
    ['esp.pad_len', 'trailer'],
    ['esp.iv', 'nonce'],
    ['esp.icv', 'seal'],
  ])('%s is first seen at step %s', (id, where) => {
    const found = stepOfField(steps, id);
    expect(found?.step.id).toBe(where);
    expect(found?.part.id).toBe(id);
  });

  it('that no step has is not found', () => {
    expect(stepOfField(steps, 'esp.nothing')).toBeUndefined();
  });
});

describe('the capture', () => {
  it.each(MODES)('of %s opens with the keys that are in it', (mode) => {
    const way = takeWay({ mode, family: 4, esn: true });
    const file = withSecrets(framesOf(way), [way.out]);
    const own = new CaptureSas(() => {});
    const seen: string[] = [];
    const decryptor = receiverWith(new Evidence({ own }), {
      engine: new NobleEngine(),
      onPacket: ({ frame, verdict, seqLo }) =>
        seen.push(`${frame} ${verdict === PASS ? 'ok' : verdict} ${seqLo}`),
    });
    const reader = captureReader('way.pcapng', {
      frame: (b, at, end, info) => decryptor.frame(b, at, end, info),
      secrets: (_, data) => own.read(data, 'way.pcapng'),
    });
    reader.feed(file);
    reader.end();
    decryptor.flush();
    // Number 4 was lost before it came here.
    expect(seen).toEqual(['1 ok 1', '2 ok 2', '3 ok 3', '4 ok 5', '5 ok 6', '6 ok 7']);
  });

  it('has a command for every tool', () => {
    const way = takeWay({ mode: 'esp-in-vxlan', family: 6, esn: false });
    const forms = wayForms(way, way.steps[0]!);
    expect(forms.map(({ label }) => label)).toEqual([
      'esplane explain',
      'esplane decrypt',
      'tshark',
      'ip xfrm',
      'scapy',
      'hex, after this step',
    ]);
    for (const { label, text } of forms) expect(text, label).toMatch(/^\S[\s\S]*\n$/);
    expect(forms[0]!.text).toBe('esplane explain esplane-way-esp-in-vxlan-v6-no-esn.pcapng --frame 6\n');
  });
});

describe('the packet', () => {
  it.each([4, 6] as const)('has a good UDP checksum over IPv%d', (family) => {
    const { sent } = takeWay({ mode: 'native', family, esn: true }).record;
    const udpAt = family === 4 ? 20 : 40;
    expect(checksum.transportOk(sent, 0, 17, udpAt, sent.length)).toBe(true);
  });

  it('is the same on every run', () => {
    const [a, b] = [1, 2].map(() => takeWay({ mode: 'esp-in-vxlan', family: 6, esn: true }));
    expect(a!.steps).toEqual(b!.steps);
  });
});
