/**
 * The sentences that decide what a receiver of ESP does with a frame. Where no RFC has one, the kernel's own rule stands
 * there, under the document `Linux`.
 * @module
 */
import type { DropReason } from '../ipsec/drop.ts';

/** A sentence, and where it stands. */
export interface Rule {
  /** `RFC 4303`, or `Linux`. */
  readonly document: string;
  /** A section's number; of Linux the function. */
  readonly section: string;
  /** As it is written there. */
  readonly sentence: string;
}

const rule = (document: string, section: string, sentence: string): Rule => ({ document, section, sentence });

const WHOLE_DATAGRAM = rule(
  'RFC 4303',
  '3.4.4.1',
  'The receiver reconstructs the original IP datagram from: […] for tunnel mode -- the entire IP datagram in the ESP Payload field.',
);

/** Why a frame is taken, by what is to be seen of it. */
export const TAKEN = {
  window: rule(
    'RFC 4303',
    '3.4.3',
    'If the received packet falls within the window and is not a duplicate, or if the packet is to the right of the window, and if a separate integrity algorithm is employed, then the receiver proceeds to integrity verification.',
  ),
  noWindow: rule(
    'RFC 4303',
    '3.4.3',
    'If the receiver does not enable anti-replay for an SA, no inbound checks are performed on the Sequence Number.',
  ),
  epoch: rule(
    'RFC 4303',
    '3.4.3',
    "In constructing the full sequence number, if the low-order 32 bits carried in the packet are lower in value than the low-order 32 bits of the receiver's sequence number, the receiver assumes that the high-order 32 bits have been incremented, moving to a new sequence number subspace.",
  ),
  update: rule(
    'RFC 4303',
    '3.4.3',
    'The receive window is updated only if the integrity verification succeeds.',
  ),
  spi: rule(
    'RFC 4303',
    '2.1',
    'For a unicast SA, the SPI can be used by itself to specify an SA, or it may be used in conjunction with the IPsec protocol type (in this case ESP).',
  ),
  padding: rule('RFC 4303', '2.4', 'The sender MAY add 0 to 255 bytes of padding.'),
  paddingContent: rule(
    'RFC 4303',
    '2.4',
    'When this padding scheme is employed, the receiver SHOULD inspect the Padding field.',
  ),
  tfc: rule(
    'RFC 4303',
    '2.7',
    'This length information will enable the receiver to discard the TFC padding, because the true length of the Payload Data will be known.',
  ),
  alignment: rule(
    'RFC 4303',
    '2.4',
    'Specifically, the Pad Length and Next Header fields must be right aligned within a 4-byte word, as illustrated in the ESP packet format figures above, to ensure that the ICV field (if present) is aligned on a 4-byte boundary.',
  ),
  place: rule(
    'RFC 4303',
    '3.1.1',
    'In the context of IPv4, this translates to placing ESP after the IP header (and any options that it contains), but before the next layer protocol.',
  ),
  nextHeader: rule(
    'RFC 4303',
    '2.6',
    'The Next Header is a mandatory, 8-bit field that identifies the type of data contained in the Payload Data field, e.g., an IPv4 or IPv6 packet, or a next layer header and data.',
  ),
  ecn: rule(
    'RFC 4301',
    '5.1.2.1',
    'If the ECN field in the inner header is set to ECT(0) or ECT(1), where ECT is ECN-Capable Transport (ECT), and if the ECN field in the outer header is set to Congestion Experienced (CE), then set the ECN field in the inner header to CE; otherwise, make no change to the ECN field in the inner header.',
  ),
  totalLength: rule(
    'RFC 791',
    '3.1',
    'Total Length is the length of the datagram, measured in octets, including internet header and data.',
  ),
  udpChecksum: rule('RFC 3948', '2.1', 'receivers MUST NOT depend on the UDP checksum being a zero value.'),
} as const satisfies Record<string, Rule>;

/** What is not ESP although it comes to its port. */
export const PASSED = {
  keepalive: rule('RFC 3948', '2.3', 'The receiver SHOULD ignore a received NAT-keepalive packet.'),
  marker: rule(
    'RFC 3948',
    '2.2',
    'A Non-ESP Marker is 4 zero-valued bytes aligning with the SPI field of an ESP packet.',
  ),
  short: rule(
    'Linux',
    'xfrm4_udp_encap_rcv',
    'A datagram of no more than 8 bytes is not ESP and goes to the socket.',
  ),
} as const satisfies Record<string, Rule>;

/** Why a frame is dropped. */
export const DROPPED: Readonly<Partial<Record<DropReason, Rule>>> = {
  'header-error': rule(
    'RFC 4303',
    '2.2',
    'The field is mandatory and MUST always be present even if the receiver does not elect to enable the anti-replay service for a specific SA.',
  ),
  'no-state': rule(
    'RFC 4303',
    '3.4.2',
    'If no valid Security Association exists for this packet, the receiver MUST discard the packet; this is an auditable event.',
  ),
  'encap-mismatch': rule(
    'Linux',
    'xfrm_input',
    'A packet in UDP needs a state with UDP encapsulation, and one without a state without.',
  ),
  'replay-zero': rule(
    'RFC 4303',
    '2.2',
    '(The first packet sent using a given SA will have a sequence number of 1; see Section 3.3.3 for more details on how the sequence number is generated.)',
  ),
  'replay-stale': rule(
    'RFC 4303',
    '3.4.3',
    'Packets that contain sequence numbers lower than the "left" edge of the window are rejected.',
  ),
  'replay-seen': rule(
    'RFC 4303',
    '3.4.3',
    'For each received packet, the receiver MUST verify that the packet contains a Sequence Number that does not duplicate the Sequence Number of any other packets received during the life of this SA.',
  ),
  'too-short': rule(
    'RFC 4303',
    '2.8',
    'The length of the field is specified by the integrity algorithm selected and associated with the SA.',
  ),
  'bad-icv': rule(
    'RFC 4303',
    '3.4.3',
    'In either case, if the integrity check fails, the receiver MUST discard the received IP datagram as invalid; this is an auditable event.',
  ),
  'bad-padding': rule(
    'RFC 4303',
    '2.5',
    'The Pad Length field indicates the number of pad bytes immediately preceding it in the Padding field.',
  ),
  dummy: rule(
    'RFC 4303',
    '3.4.4.1',
    'If the value is "59" (no next header), the (dummy) packet is discarded without further processing.',
  ),
  'not-ip': WHOLE_DATAGRAM,
  'inner-short': WHOLE_DATAGRAM,
  'inner-header': rule(
    'RFC 1122',
    '3.2.1.1',
    'A datagram whose version number is not 4 MUST be silently discarded.',
  ),
  'inner-truncated': TAKEN.totalLength,
};

/** The same where the inner packet is IPv6. */
export const DROPPED_IPV6: Readonly<Partial<Record<DropReason, Rule>>> = {
  'inner-header': rule('RFC 8200', '3', '4-bit Internet Protocol version number = 6.'),
  'inner-truncated': rule(
    'RFC 8200',
    '3',
    'Length of the IPv6 payload, i.e., the rest of the packet following this IPv6 header, in octets.',
  ),
};
