/**
 * The JSON line of `esplane decrypt --json`: a contract that others rely on.
 * @module
 */
import { asciiBytes, type TextBuffer, textOf } from '../base/text-buffer.ts';
import { type FrameNames, numberOf, ONE_CAPTURE } from '../capture/frame-id.ts';
import { dropRow } from '../ipsec/drop.ts';
import { formatAddress } from '../wire/address.ts';
import { PROTOCOL as AGGFRAG } from '../wire/aggfrag.ts';
import { PASS } from '../wire/packet.ts';
import { type Aggregate, countedBeside } from './aggregate.ts';
import { InnerPacket } from './diagnose/inner.ts';
import type { EspEvent } from './esp-event.ts';
import { verdictName } from './esp-words.ts';
import { FlowTable } from './flow-table.ts';
import { type Names, NO_NAMES } from './names.ts';
import { putTime } from './packet-time.ts';
import { SCHEMA } from './schema.ts';

/** What stands of two ends in a line, in two places. */
interface Piece {
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

/** What stands of the ends around ESP. */
interface Ends extends Piece {
  readonly src: string;
  readonly dst: string;
  /** By basis: the second piece with all that stands before it where nearly every packet has nothing to tell. */
  readonly usual: Readonly<Record<EspEvent['basis'], Uint8Array>>;
}

const NOTHING = new Uint8Array(0);

/**
 * Writes ESP packets as JSON objects, each on one line: by hand, field by field, because it runs for every packet.
 */
export class PacketJson {
  readonly #frames: FrameNames;
  readonly #names: Names;
  readonly #inner = new InnerPacket();
  readonly #flows = new FlowTable<Piece>();
  /** The ends around ESP of the last packet. */
  #ends: Ends = {
    ...{ src: '', dst: '' },
    ...{ head: NOTHING, tail: NOTHING, usual: { told: NOTHING, assumed: NOTHING } },
  };

  /** @param frames of several captures: `file` names that of the frame */
  constructor(frames: FrameNames = ONE_CAPTURE, names: Names = NO_NAMES) {
    this.#frames = frames;
    this.#names = names;
  }

  /** Writes a packet's line, with its end. */
  put(out: TextBuffer, r: EspEvent): void {
    const { src, dst } = r;
    if (this.#ends.src !== src || this.#ends.dst !== dst) this.#setEnds(src, dst);
    out.text('{"frame":');
    out.decimal(numberOf(r.frame));
    if (this.#frames.areSeveral) out.text(`,"file":${jsonText(this.#frames.file(r.frame))}`);
    if (r.hasTime) {
      out.text(',"time":"');
      putTime(out, r.seconds, r.nanoseconds);
      out.text('"');
    } else out.text(',"time":null');
    out.bytes(this.#ends.head);
    if (r.hasSpi) {
      out.decimal(r.spi);
      out.text(',"seq":"');
      putSeq(out, r.seqHi, r.seqLo);
      out.text('"');
    } else out.text('null,"seq":null');
    if (r.verdict === PASS && r.aggregate) this.#putAggregate(out, r, r.aggregate);
    else if (r.verdict === PASS) this.#putOpened(out, r);
    else {
      const row = dropRow(r.verdict);
      const counter = r.isUnopened ? null : row?.counter;
      out.text(
        `,"verdict":"${verdictName(r)}","reason":${quoted(row?.reason)},"counter":${quoted(counter)},"inner":null,"overlay":null`,
      );
      this.#putSource(out, r);
      out.bytes(CLOSED);
    }
  }

  #putOpened(out: TextBuffer, r: EspEvent): void {
    const { bytes, at, end } = r;
    out.bytes(r.authenticated ? OPENED : UNAUTHENTICATED);
    out.hex(bytes, at, end);
    const inner = this.#inner;
    const isRead = inner.read(bytes, at, end);
    const { vxlan } = inner;
    if (!vxlan && r.carrier.depth === 0 && !r.openedBy) out.bytes(this.#ends.usual[r.basis]);
    else {
      if (vxlan) {
        out.text('","overlay":{"vni":');
        out.decimal(vxlan.vni);
        out.text(',"frame":"');
        out.hex(bytes, vxlan.frameAt, vxlan.frameEnd);
        out.text('"}');
      } else out.text(NO_OVERLAY);
      this.#putSource(out, r);
    }
    if (isRead) {
      const flow = this.#flowOf();
      out.bytes(flow.head);
      out.decimal(inner.end - inner.at);
      out.bytes(flow.tail);
    } else out.bytes(CLOSED);
  }

  /** What came out of a payload of IP-TFS. */
  #putAggregate(out: TextBuffer, r: EspEvent, aggregate: Aggregate): void {
    const { subtype, blockOffset, padLength, isHeld, inners } = aggregate;
    const authenticated = r.authenticated ? '' : ',"authenticated":false';
    out.text(`,"verdict":"ok","reason":null,"counter":null${authenticated},"inner":null,"overlay":null`);
    this.#putSource(out, r);
    out.text(`,"nextHeader":${AGGFRAG},"subtype":${subtype},"blockOffset":${blockOffset}`);
    out.text(`,"padBytes":${padLength},"held":${isHeld}`);
    out.text(`,"counted":${JSON.stringify(countedBeside(aggregate))},"inners":[`);
    for (const [k, inner] of inners.entries()) {
      out.text(k > 0 ? ',"' : '"');
      out.hex(inner, 0, inner.length);
      out.text('"');
    }
    out.text('],"packets":[');
    for (const [k, inner] of inners.entries()) {
      if (k > 0) out.text(',');
      if (this.#inner.read(inner, 0, inner.length)) {
        const { head, tail } = this.#flowOf();
        out.text('{');
        out.bytes(head.subarray(1));
        out.decimal(this.#inner.end - this.#inner.at);
        out.bytes(tail.subarray(0, tail.length - END.length));
        out.text('}');
      } else out.text('null');
    }
    out.text(']');
    out.bytes(CLOSED);
  }

  /** What carried it, how its verdict is known, and whose nodes it is of. */
  #putSource(out: TextBuffer, r: EspEvent): void {
    const { carrier } = r;
    if (carrier.depth === 0 && !r.openedBy) out.text(OF_FRAME[r.basis]);
    else {
      if (carrier.vni < 0) out.text(',"carrier":null');
      else {
        out.text(',"carrier":{"vni":');
        out.decimal(carrier.vni);
        out.text('}');
      }
      // VXLAN alone was all there was before the others had names, and says all by its VNI.
      if (carrier.depth > 1 || (carrier.depth === 1 && carrier.kind !== 'vxlan'))
        out.text(`,"carriers":${JSON.stringify(carrier.kinds())}`);
      out.text(`,"basis":"${r.basis}","openedBy":${r.openedBy ? jsonText(r.openedBy.origin) : 'null'}`);
    }
    out.bytes(this.#ends.tail);
  }

  /** The packet of the pods, and who they are. */
  #flowOf(): Piece {
    return this.#flows.of(this.#inner) ?? this.#flows.put(this.#pieceOf(this.#inner));
  }

  #pieceOf({ b, srcAt, dstAt, addressLen, protocol, ports }: InnerPacket): Piece {
    const src = formatAddress(b, srcAt, addressLen);
    const dst = formatAddress(b, dstAt, addressLen);
    const [sport, dport] = ports < 0 ? ['null', 'null'] : [Math.floor(ports / 0x1_0000), ports & 0xffff];
    const pod = namesOf(this.#names.pod(src), this.#names.pod(dst));
    return {
      head: asciiBytes(
        `,"packet":{"src":"${src}","dst":"${dst}","proto":${protocol},"sport":${sport},"dport":${dport},"length":`,
      ),
      tail: asciiBytes(`},"pod":${pod}${END_TEXT}`),
    };
  }

  #setEnds(src: string, dst: string): void {
    const tail = `,"node":${namesOf(this.#names.node(src), this.#names.node(dst))}`;
    this.#ends = {
      src,
      dst,
      head: asciiBytes(`,"src":"${src}","dst":"${dst}","spi":`),
      tail: asciiBytes(tail),
      usual: {
        told: asciiBytes(`${NO_OVERLAY}${OF_FRAME.told}${tail}`),
        assumed: asciiBytes(`${NO_OVERLAY}${OF_FRAME.assumed}${tail}`),
      },
    };
  }
}

const OPENED = asciiBytes(',"verdict":"ok","reason":null,"counter":null,"inner":"');
const UNAUTHENTICATED = asciiBytes(
  ',"verdict":"ok","reason":null,"counter":null,"authenticated":false,"inner":"',
);
/** Behind the bytes of an opened packet. */
const NO_OVERLAY = '","overlay":null';
/** Of a packet that lay in the frame itself, and that the receiver's own SA is for. */
const OF_FRAME = {
  told: ',"carrier":null,"basis":"told","openedBy":null',
  assumed: ',"carrier":null,"basis":"assumed","openedBy":null',
} as const;
/** Behind an opened packet. */
const END_TEXT = `,"schema":${SCHEMA}}\n`;
const END = asciiBytes(END_TEXT);
const CLOSED = asciiBytes(`,"packet":null,"pod":null,"schema":${SCHEMA}}\n`);

/** `{"src":"node-1","dst":null}`; null where neither end has a name. */
function namesOf(src: string | null, dst: string | null): string {
  if (src === null && dst === null) return 'null';
  return `{"src":${src === null ? 'null' : jsonText(src)},"dst":${dst === null ? 'null' : jsonText(dst)}}`;
}

/** A string of any characters in JSON, in ASCII. */
function jsonText(text: string): string {
  return JSON.stringify(text).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Writes a 64-bit number in decimal. */
export function putSeq(out: TextBuffer, hi: number, lo: number): void {
  if (hi < 0x20_0000) out.decimal(hi * 2 ** 32 + lo);
  else out.text(String((BigInt(hi) << 32n) | BigInt(lo)));
}

/** {@link putSeq} as a string. */
export function seqText(hi: number, lo: number): string {
  return textOf((out) => putSeq(out, hi, lo));
}

function quoted(text: string | null | undefined): string {
  return text ? `"${text}"` : 'null';
}
