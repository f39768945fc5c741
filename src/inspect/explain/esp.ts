/**
 * ESP: what everybody can read, and, with the SA, what is inside.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { countsUp, payloadLength } from '../../ipsec/padding.ts';
import * as esp from '../../wire/esp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { readAggfrag } from './aggfrag.ts';
import { HeaderMap, hexNumber, numberWithName, type WordsFor } from './header.ts';
import { protocolName } from './names.ts';
import type { Field, Packet, Protection } from './tree.ts';
import { bytesText, type IpContext, type OpenedEsp, type Walker } from './walker.ts';

const ESP = new HeaderMap(esp.FIELDS, 'RFC 4303 §2.1', {
  spi: { id: 'esp.spi', label: 'SPI', show: hexNumber(8) },
  seq: { id: 'esp.seq', label: 'Sequence number', reference: 'RFC 4303 §2.2' },
} satisfies WordsFor<typeof esp.FIELDS>);

const TRAILER = new HeaderMap(esp.TRAILER_FIELDS, 'RFC 4303 §2.5', {
  padLength: { id: 'esp.pad_len', label: 'Pad length' },
  nextHeader: {
    id: 'esp.protocol',
    label: 'Next header',
    reference: 'RFC 4303 §2.6',
    show: numberWithName((n) => (n === esp.DUMMY ? 'dummy packet' : protocolName(n))),
  },
} satisfies WordsFor<typeof esp.TRAILER_FIELDS>);

/** Reads an ESP packet. */
export function readEsp(w: Walker, at: number, end: number, ip: IpContext): void {
  const { b } = w;
  const headerEnd = Math.min(at + esp.HEADER_LEN, end);
  const opened = w.origin === 'decrypted' ? undefined : w.options.opened?.(b, at, end);
  const authenticated = inside(w.protection, 'authenticated');
  const isPlain = opened?.shape !== undefined && !opened.shape.vouches;
  const children: Field[] = ESP.fields(w, at, headerEnd).map((field) => ({
    ...field,
    protection: isPlain ? w.protection : authenticated,
  }));
  const fault = esp.check(b, at, end);
  if (fault && !ip.quoted) w.stop(end, 'esp', fault.problem);
  if (headerEnd < end)
    children.push(...(opened?.shape ? shaped(w, headerEnd, end, opened) : [opaque(w, headerEnd, end, ip)]));
  const problem = fault && !ip.quoted ? fault.problem : undefined;
  w.layer({
    id: 'esp',
    label: 'ESP',
    at,
    end,
    text: fault
      ? ''
      : `SPI ${hexNumber(8)(esp.spi(b, at))}, number ${opened?.security.sequence?.full ?? esp.seq(b, at)}`,
    meaning: 'Encapsulating security payload: what follows is hidden and vouched for.',
    reference: 'RFC 4303 §2',
    children,
    problem,
    security: opened?.security,
  });
}

/** All behind SPI and number, of which only the SA knows the parts. */
function opaque(w: Walker, at: number, end: number, ip: IpContext): Field {
  return w.field({
    id: 'esp.encrypted_data',
    label: 'Encrypted',
    at,
    end,
    text: bytesText(end - at),
    meaning: 'IV, encrypted packet and ICV. Where one ends and the next begins, only the SA says.',
    reference: 'RFC 4303 §2',
    protection: 'unknown',
    problem: ip.quoted ? undefined : 'not opened: there is no SA for it',
  });
}

/** The parts behind SPI and number, by what the suite says. */
function shaped(w: Walker, at: number, end: number, opened: OpenedEsp): Field[] {
  const { ivLen, icvLen, hides, vouches } = opened.shape!;
  const { b } = w;
  const textAt = at + ivLen;
  const icvAt = end - icvLen;
  const vouched: Protection = vouches ? inside(w.protection, 'authenticated') : w.protection;
  const both = hides ? inside(vouched, 'encrypted') : vouched;
  if (icvAt < textAt) {
    const problem = `needs ${bytesText(ivLen)} of IV and ${bytesText(icvLen)} of ICV, has ${end - at}`;
    w.stop(end, 'esp', problem);
    return [
      w.field({
        id: 'esp.cut',
        label: 'Cut off',
        at,
        end,
        text: bytesText(end - at),
        meaning: 'Too short for what the suite of the SA needs.',
        reference: 'RFC 4303 §2',
        protection: 'unknown',
        problem,
      }),
    ];
  }
  const fields: Field[] = [];
  if (ivLen > 0) {
    fields.push(
      w.field({
        id: 'esp.iv',
        label: 'IV',
        at,
        end: textAt,
        value: toHex(b, at, textAt),
        text: toHex(b, at, textAt),
        meaning:
          ivLen === 8
            ? 'Never the same twice under one key. With the salt of the SA in front it is the nonce, which the ICV depends on.'
            : 'Random: makes the same text look different every time.',
        reference: ivLen === 8 ? 'RFC 4106 §3.1' : 'RFC 3602 §2',
        protection: vouched,
      }),
    );
  }
  if (icvAt > textAt) {
    if (opened.text) fields.push(...cleared(w, textAt, opened, both));
    else {
      fields.push(
        w.field({
          id: 'esp.encrypted_data',
          label: 'Encrypted',
          at: textAt,
          end: icvAt,
          text: bytesText(icvAt - textAt),
          meaning: 'Payload, padding, pad length and next header, not opened.',
          reference: 'RFC 4303 §2',
          protection: both,
          problem: opened.security.problem ?? 'not opened',
        }),
      );
    }
  }
  if (icvLen > 0) {
    const { icvOk } = opened.security;
    fields.push(
      w.field({
        id: 'esp.icv',
        label: 'ICV',
        at: icvAt,
        end,
        value: toHex(b, icvAt, end),
        text: `${toHex(b, icvAt, end)}${icvOk === true ? ', right' : vouches ? '' : ', not checked'}`,
        meaning: vouches
          ? 'Integrity check value: whoever has no key cannot make it, and any changed bit makes it wrong.'
          : 'Integrity check value, which is passed over: its algorithm or key is not known.',
        reference: 'RFC 4303 §2.8',
        protection: w.protection,
        ...(icvOk === false && { problem: 'the ICV is wrong' }),
      }),
    );
  }
  return fields;
}

/** The text when it is clear: payload, TFC padding, padding, trailer. `at` is where it starts on the wire. */
function cleared(w: Walker, at: number, opened: OpenedEsp, protection: Protection): Field[] {
  const text = opened.text!;
  const fields: Field[] = [];
  const trailerAt = text.length - esp.TRAILER_LEN;
  const next = esp.nextHeader(text, text.length);
  const add = (
    id: string,
    label: string,
    from: number,
    to: number,
    meaning: string,
    reference: string,
    more = {},
  ) => {
    if (to <= from) return;
    fields.push(
      w.field({
        id,
        label,
        at: at + from,
        end: at + to,
        text: bytesText(to - from),
        meaning,
        reference,
        protection,
        clear: toHex(text, from, to),
        ...more,
      }),
    );
  };
  const payloadLen = payloadLength(text, 0, text.length);
  const padProblem =
    payloadLen < 0 ? `pad length ${esp.padLength(text, text.length)} leaves no payload before it` : undefined;
  if (payloadLen < 0) {
    w.stop(at, 'esp.pad_len', padProblem!);
    add(
      'esp.contained_data',
      'Payload',
      0,
      trailerAt,
      'Payload and padding, which cannot be told apart.',
      'RFC 4303 §2.3',
    );
  } else {
    const tfcAt = innerEnd(text, payloadLen, next, opened);
    add(
      'esp.contained_data',
      'Payload',
      0,
      tfcAt,
      'The packet that was hidden. It stands below.',
      'RFC 4303 §2.3',
      {
        inner: innerPacket(w, text.subarray(0, tfcAt), next, opened, protection),
      },
    );
    add(
      'esp.tfc',
      'TFC padding',
      tfcAt,
      payloadLen,
      'Behind the end that the inner header gives: hides how long packets are.',
      'RFC 4303 §2.7',
    );
    add(
      'esp.pad',
      'Padding',
      payloadLen,
      trailerAt,
      'Makes the text a whole number of blocks. It counts 1, 2, 3 by rule; Linux does not look.',
      'RFC 4303 §2.4',
      countsUp(text, payloadLen, trailerAt) ? {} : { problem: 'it does not count 1, 2, 3' },
    );
  }
  const shift = at;
  const trailer = w.inside(text, 'decrypted', protection);
  for (const field of TRAILER.fields(trailer, trailerAt, text.length, { padLength: padProblem })) {
    fields.push({
      ...field,
      at: field.at + shift,
      end: field.end + shift,
      clear: toHex(text, field.at, field.end),
    });
  }
  return fields;
}

/** Where the inner packet ends by its own header; the payload's end where that says nothing. */
function innerEnd(text: Uint8Array, payloadLen: number, next: number, opened: OpenedEsp): number {
  if (opened.security.sa?.mode !== 'tunnel') return payloadLen;
  let len = payloadLen;
  if (next === ipv4.PROTOCOL && !ipv4.checkHeader(text, 0, payloadLen)) len = ipv4.totalLength(text);
  else if (next === ipv6.PROTOCOL && !ipv6.checkHeader(text, 0, payloadLen))
    len = ipv6.HEADER_LEN + ipv6.payloadLength(text);
  return Math.min(len, payloadLen);
}

/** What comes out: as the kernel hands it up, or, when it does not, as it lies there. */
function innerPacket(
  w: Walker,
  payload: Uint8Array,
  next: number,
  opened: OpenedEsp,
  protection: Protection,
): Packet | undefined {
  const { delivered, aggregate, security } = opened;
  const bytes = delivered ?? payload.slice();
  if (bytes.length === 0) return undefined;
  const walk = w.inside(bytes, 'decrypted', protection);
  if (security.sa?.mode === 'iptfs') readAggfrag(walk, aggregate);
  else if (delivered || next === ipv4.PROTOCOL || next === ipv6.PROTOCOL)
    walk.next.ip(walk, 0, bytes.length, -1);
  else
    walk.data(0, bytes.length, { label: 'Payload', meaning: 'No IP packet by what the next header says.' });
  return walk.packet();
}

/** Adds what this layer does to what carried it. */
function inside(outer: Protection, own: 'authenticated' | 'encrypted'): Protection {
  if (outer === 'none' || outer === 'unknown' || outer === own) return own;
  return 'both';
}
