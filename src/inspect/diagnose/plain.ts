/**
 * Is an ESP packet in the clear behind its IV? So it is between the kernel and a NIC that encrypts (`crypto offload`): header,
 * IV, clear text, trailer, and room for an ICV that is not there yet (Linux esp4_offload).
 * @module
 */
import { u16 } from '../../base/bytes.ts';
import { isEncrypting, type Suite } from '../../crypto/suite.ts';
import { countsUp, payloadLength } from '../../ipsec/padding.ts';
import { checksum } from '../../wire/checksum.ts';
import * as esp from '../../wire/esp.ts';
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as tcp from '../../wire/tcp.ts';

const UDP = 17;

/** Does `b[espAt..espEnd)` hold a packet in the clear, though its suite encrypts? By lengths, checksums and padding. */
export function isInTheClear(b: Uint8Array, espAt: number, espEnd: number, suite: Suite): boolean {
  if (!isEncrypting(suite)) return false;
  return isReadableAs(b, espAt, espEnd, suite.ivLen, suite.icvLen);
}

/** Lengths of IV and ICV of suites, in bytes. */
const SHAPES = [
  [0, 12],
  [0, 16],
  [0, 24],
  [0, 32],
  [8, 16],
  [8, 12],
  [8, 8],
  [16, 12],
  [16, 16],
] as const;

/** Can anyone read what ESP holds? By lengths, checksums and padding, with the IV and ICV of any suite. */
export function isReadable(b: Uint8Array, espAt: number, espEnd: number): boolean {
  return SHAPES.some(([ivLen, icvLen]) => isReadableAs(b, espAt, espEnd, ivLen, icvLen));
}

function isReadableAs(b: Uint8Array, espAt: number, espEnd: number, ivLen: number, icvLen: number): boolean {
  const textAt = espAt + esp.HEADER_LEN + ivLen;
  const textEnd = espEnd - icvLen;
  if (textEnd - textAt <= esp.TRAILER_LEN) return false;
  const length = payloadLength(b, textAt, textEnd - textAt);
  if (length < 0 || !countsUp(b, textAt + length, textEnd - esp.TRAILER_LEN)) return false;
  const end = textAt + length;
  switch (esp.nextHeader(b, textEnd)) {
    case ipv4.PROTOCOL:
      return isIpv4(b, textAt, end);
    case ipv6.PROTOCOL:
      return (
        length >= ipv6.HEADER_LEN &&
        b[textAt]! >>> 4 === 6 &&
        ipv6.HEADER_LEN + ipv6.payloadLength(b, textAt) <= length
      );
    case UDP:
      return length >= 8 && u16(b, textAt + 4) === length;
    case tcp.PROTOCOL:
      return length >= 20 && tcp.check(b, textAt, end) === undefined;
    case icmp.PROTOCOL:
      return length >= icmp.HEADER_LEN && isKnownIcmp(icmp.type(b, textAt)) && checksum(b, textAt, end) === 0;
    default:
      return false;
  }
}

function isKnownIcmp(type: number): boolean {
  return type === icmp.ECHO_REQUEST || type === icmp.ECHO_REPLY || icmp.isError(type, false);
}

function isIpv4(b: Uint8Array, at: number, end: number): boolean {
  if (end - at < ipv4.HEADER_LEN || b[at]! >>> 4 !== 4) return false;
  const headerLen = ipv4.headerLen(b, at);
  return (
    headerLen >= ipv4.HEADER_LEN &&
    at + headerLen <= end &&
    at + ipv4.totalLength(b, at) <= end &&
    checksum(b, at, at + headerLen) === 0
  );
}
