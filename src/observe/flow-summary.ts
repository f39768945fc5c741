/**
 * The summary of a flow: the innermost header, in the words of the library that Hubble reads packets with (gopacket).
 * @module
 */
import { type FlowL4, words } from './hubble.ts';

interface IcmpType {
  readonly name: string;
  /** By code. */
  readonly codes?: readonly string[];
}

const ICMPV4: Readonly<Record<number, IcmpType>> = {
  0: { name: 'EchoReply' },
  3: {
    name: 'DestinationUnreachable',
    codes: words(
      'Net Host Protocol Port FragmentationNeeded SourceRoutingFailed NetUnknown HostUnknown SourceIsolated',
      'NetAdminProhibited HostAdminProhibited NetTOS HostTOS CommAdminProhibited HostPrecedence PrecedenceCutoff',
    ),
  },
  4: { name: 'SourceQuench' },
  5: { name: 'Redirect', codes: words('Net Host TOS+Net TOS+Host') },
  8: { name: 'EchoRequest' },
  9: { name: 'RouterAdvertisement' },
  10: { name: 'RouterSolicitation' },
  11: { name: 'TimeExceeded', codes: words('TTLExceeded FragmentReassemblyTimeExceeded') },
  12: { name: 'ParameterProblem', codes: words('PointerIndicatesError MissingOption BadLength') },
  13: { name: 'TimestampRequest' },
  14: { name: 'TimestampReply' },
  15: { name: 'InfoRequest' },
  16: { name: 'InfoReply' },
  17: { name: 'AddressMaskRequest' },
  18: { name: 'AddressMaskReply' },
};

const ICMPV6: Readonly<Record<number, IcmpType>> = {
  1: {
    name: 'DestinationUnreachable',
    codes: words(
      'NoRouteToDst AdminProhibited BeyondScopeOfSrc AddressUnreachable PortUnreachable SrcAddressFailedPolicy',
      'RejectRouteToDst',
    ),
  },
  2: { name: 'PacketTooBig' },
  3: { name: 'TimeExceeded', codes: words('HopLimitExceeded FragmentReassemblyTimeExceeded') },
  4: {
    name: 'ParameterProblem',
    codes: words('ErroneousHeaderField UnrecognizedNextHeader UnrecognizedIPv6Option'),
  },
  128: { name: 'EchoRequest' },
  129: { name: 'EchoReply' },
  133: { name: 'RouterSolicitation' },
  134: { name: 'RouterAdvertisement' },
  135: { name: 'NeighborSolicitation' },
  136: { name: 'NeighborAdvertisement' },
  137: { name: 'Redirect' },
};

/** In the order in which Hubble names them. */
const NAMED_FLAGS = ['SYN', 'ACK', 'RST', 'FIN', 'PSH', 'URG', 'ECE', 'CWR', 'NS'] as const;

/** @param ipVersion of the packet; undefined where it has no IP header that can be read */
export function summaryOf(
  l4: FlowL4 | undefined,
  ipVersion: 'IPv4' | 'IPv6' | undefined,
): string | undefined {
  if (!l4) return ipVersion;
  if (l4.TCP) {
    const { flags } = l4.TCP;
    return `TCP Flags: ${NAMED_FLAGS.filter((flag) => flags[flag]).join(', ')}`;
  }
  if (l4.UDP) return 'UDP';
  if (l4.SCTP) return 'SCTP';
  if (l4.ICMPv4) return `ICMPv4 ${typeCode(ICMPV4, l4.ICMPv4)}`;
  return `ICMPv6 ${typeCode(ICMPV6, l4.ICMPv6!)}`;
}

function typeCode(
  table: Readonly<Record<number, IcmpType>>,
  { type = 0, code = 0 }: { readonly type?: number; readonly code?: number },
): string {
  const known = table[type];
  if (!known) return `${type}(${code})`;
  if (!known.codes && code === 0) return known.name;
  return `${known.name}(${known.codes?.[code] ?? `Code: ${code}`})`;
}
