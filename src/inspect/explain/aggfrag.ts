/**
 * The payload of IP-TFS (RFC 9347): inner packets and pieces of them, in ESP with next header 144.
 * @module
 */
import * as aggfrag from '../../wire/aggfrag.ts';
import type { Aggregate } from '../aggregate.ts';
import { HeaderMap, hexNumber, type WordsFor } from './header.ts';
import type { Field, Packet } from './tree.ts';
import { bytesText, type Walker } from './walker.ts';

const ref = 'RFC 9347 §6.1';

const HEADER = new HeaderMap(aggfrag.FIELDS, ref, {
  subtype: { id: 'aggfrag.subtype', label: 'Sub-type' },
  flags: { id: 'aggfrag.flags', label: 'Flags', show: hexNumber(2) },
  blockOffset: { id: 'aggfrag.block_offset', label: 'Block offset' },
} satisfies WordsFor<typeof aggfrag.FIELDS>);

const CONGESTION = new HeaderMap(aggfrag.CONGESTION_FIELDS, 'RFC 9347 §6.1.2', {
  lossEventRate: { id: 'aggfrag.loss_event_rate', label: 'Loss event rate' },
  delays: {
    id: 'aggfrag.delays',
    label: 'Delays',
    read: (b, at) => {
      const [rtt, echo, transmit] = aggfrag.delays(b, at - 8);
      return `round trip ${rtt} µs, echo ${echo} µs, transmit ${transmit} µs`;
    },
  },
  tval: { id: 'aggfrag.tval', label: 'Time stamp' },
  techo: { id: 'aggfrag.techo', label: 'Time stamp echoed' },
} satisfies WordsFor<typeof aggfrag.CONGESTION_FIELDS>);

/**
 * Reads the payload in `w`, all of it.
 * @param aggregate what a receiver made of it, where it took it
 */
export function readAggfrag(w: Walker, aggregate: Aggregate | undefined): void {
  const { b } = w;
  const end = b.length;
  const fault = aggfrag.check(b, 0, end);
  const headerEnd = Math.min(end, aggfrag.headerLen(b));
  const problems =
    fault && end >= aggfrag.HEADER_LEN ? { [fault.at === 1 ? 'flags' : 'subtype']: fault.problem } : {};
  const children = HEADER.fields(w, 0, Math.min(headerEnd, aggfrag.HEADER_LEN), problems);
  if (headerEnd > aggfrag.HEADER_LEN) children.push(...CONGESTION.fields(w, 0, headerEnd));
  if (fault) w.stop(fault.at, 'aggfrag', fault.problem);
  else if (headerEnd < end) children.push(...blocks(w, headerEnd, aggregate));
  w.layer({
    id: 'aggfrag',
    label: 'IP-TFS',
    at: 0,
    end: fault ? headerEnd : end,
    text: fault ? '' : summary(w, aggregate),
    meaning: 'Inner packets one behind the other, cut wherever the packet around them ends.',
    reference: ref,
    children,
    problem: fault?.problem,
  });
  if (fault)
    w.data(headerEnd, end, { label: 'Not read', meaning: 'What follows a header that cannot be trusted.' });
}

function summary({ b }: Walker, aggregate: Aggregate | undefined): string {
  const text = `sub-type ${aggfrag.subtype(b)}, block offset ${aggfrag.blockOffset(b)}`;
  return aggregate?.isHeld ? `${text}, waits for an earlier number` : text;
}

/** What lies behind the header: the end of an earlier packet, and what begins here. */
function blocks(w: Walker, from: number, aggregate: Aggregate | undefined): Field[] {
  const { b } = w;
  const end = b.length;
  const fields: Field[] = [];
  const offset = aggfrag.blockOffset(b);
  let at = Math.min(end, from + offset);
  if (at > from) {
    const completed = aggregate?.completed;
    const goesOn = from + offset > end ? `, ${bytesText(from + offset - end)} more are to come` : '';
    fields.push(
      w.field({
        id: 'aggfrag.piece',
        label: 'Piece',
        at: from,
        end: at,
        text: `${bytesText(at - from)}${goesOn}`,
        meaning: completed
          ? 'The end of an inner packet that began in an earlier packet. It stands below, reassembled.'
          : 'Of an inner packet that began in an earlier packet.',
        reference: 'RFC 9347 §2.2.1',
        ...(completed && { inner: packetOf(w, completed, 'reassembled') }),
      }),
    );
  }
  while (at < end) {
    const block = readBlock(w, at);
    fields.push(block);
    at = block.end;
  }
  return fields;
}

/** The data block that begins at `at`. */
function readBlock(w: Walker, at: number): Field {
  const { b } = w;
  const left = b.length - at;
  const kind = aggfrag.blockKind(b, at);
  const field = (id: string, label: string, len: number, text: string, meaning: string, more = {}) =>
    w.field({ id, label, at, end: at + len, text, meaning, reference: 'RFC 9347 §6.1.3', ...more });
  const refused = (problem: string) => {
    w.stop(at, 'aggfrag.block', problem);
    return field('aggfrag.block', 'Not read', left, bytesText(left), 'Linux drops the whole payload.', {
      problem,
    });
  };
  if (kind === 'unknown')
    return refused(`data block of type ${b[at]! >>> 4}: neither IP (4, 6) nor padding (0)`);
  if (kind === 'padding')
    return field(
      'aggfrag.pad',
      'Padding',
      left,
      bytesText(left),
      'Fills the packet up, to hide how much it holds.',
    );
  const len = aggfrag.innerLength(b, at, left);
  if (len >= 0 && aggfrag.isTooShort(b, at)) return refused('an IPv4 packet that is shorter than its header');
  if (len >= 0 && len <= left)
    return field('aggfrag.block', 'Data block', len, bytesText(len), 'An inner packet. It stands below.', {
      inner: packetOf(w, b.slice(at, at + len), 'decrypted'),
    });
  const rest = len < 0 ? 'too few to tell its length' : `${bytesText(len - left)} more are to come`;
  return field(
    'aggfrag.block',
    'Data block',
    left,
    `${bytesText(left)}, ${rest}`,
    'The beginning of an inner packet that goes on in the next packet.',
  );
}

function packetOf(w: Walker, bytes: Uint8Array, origin: Packet['origin']): Packet {
  const walk = w.inside(bytes, origin);
  walk.next.ip(walk, 0, bytes.length, -1);
  return walk.packet();
}
