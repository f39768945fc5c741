/**
 * Hubble's API as a schema, to read lines with as Hubble itself does: protobuf's own JSON rules (a library's, not ours),
 * which refuse unknown fields, unknown enum values and wrong types.
 *
 * The tables are facts from cilium/cilium, `api/v1/flow/flow.proto` and `api/v1/observer/observer.proto`: the fields of
 * `Flow` that are about layers 2 to 4, those of the messages in them, and all values of their enums, with numbers and
 * types. They were compared, field by field, with flow.proto as it was in Cilium 1.16 (04bbfcb5ddb0) and in 1.19-dev
 * (zbb88888/cilium f4275eb782fa, less the `vni_id` that this fork adds to `Endpoint`), and observer.proto at 25972d8e8c67.
 * What is about layer 7, sockets, services and policies is left out: a line that had it would be a mistake.
 * @module
 */
import {
  create,
  createFileRegistry,
  createRegistry,
  fromJson,
  type JsonValue,
  toJson,
} from '@bufbuild/protobuf';
import {
  AnySchema,
  BoolValueSchema,
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  EnumValueDescriptorProtoSchema,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_any,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  Int32ValueSchema,
  OneofDescriptorProtoSchema,
  StructSchema,
  TimestampSchema,
} from '@bufbuild/protobuf/wkt';

/** `name: [number, type]`; `[]` behind a type: repeated; `?` before the name of a oneof: one of it. */
type Fields = Readonly<Record<string, readonly [number, string, string?]>>;

const TIMESTAMP = 'google.protobuf.Timestamp';
const PORTS: Fields = { source_port: [1, 'uint32'], destination_port: [2, 'uint32'] };
const TYPE_CODE: Fields = { type: [1, 'uint32'], code: [2, 'uint32'] };

const FLOW_MESSAGES: Readonly<Record<string, Fields>> = {
  Flow: {
    time: [1, TIMESTAMP],
    uuid: [34, 'string'],
    emitter: [41, 'flow.Emitter'],
    verdict: [2, 'flow.Verdict'],
    drop_reason: [3, 'uint32'],
    auth_type: [35, 'flow.AuthType'],
    ethernet: [4, 'flow.Ethernet'],
    IP: [5, 'flow.IP'],
    l4: [6, 'flow.Layer4'],
    tunnel: [39, 'flow.Tunnel'],
    source: [8, 'flow.Endpoint'],
    destination: [9, 'flow.Endpoint'],
    Type: [10, 'flow.FlowType'],
    node_name: [11, 'string'],
    node_labels: [37, 'string[]'],
    source_names: [13, 'string[]'],
    destination_names: [14, 'string[]'],
    reply: [16, 'bool'],
    event_type: [19, 'flow.CiliumEventType'],
    traffic_direction: [22, 'flow.TrafficDirection'],
    trace_observation_point: [24, 'flow.TraceObservationPoint'],
    trace_reason: [36, 'flow.TraceReason'],
    file: [38, 'flow.FileInfo'],
    ip_trace_id: [40, 'flow.IPTraceID'],
    drop_reason_desc: [25, 'flow.DropReason'],
    is_reply: [26, 'google.protobuf.BoolValue'],
    interface: [28, 'flow.NetworkInterface'],
    Summary: [100000, 'string'],
    extensions: [150000, 'google.protobuf.Any'],
  },
  Layer4: {
    TCP: [1, 'flow.TCP', 'protocol'],
    UDP: [2, 'flow.UDP', 'protocol'],
    ICMPv4: [3, 'flow.ICMPv4', 'protocol'],
    ICMPv6: [4, 'flow.ICMPv6', 'protocol'],
    SCTP: [5, 'flow.SCTP', 'protocol'],
    VRRP: [6, 'flow.VRRP', 'protocol'],
    IGMP: [7, 'flow.IGMP', 'protocol'],
  },
  Emitter: { name: [1, 'string'], version: [2, 'string'] },
  FileInfo: { name: [1, 'string'], line: [2, 'uint32'] },
  IPTraceID: { trace_id: [1, 'uint64'], ip_option_type: [2, 'uint32'] },
  NetworkInterface: { index: [1, 'uint32'], name: [2, 'string'] },
  Endpoint: {
    ID: [1, 'uint32'],
    identity: [2, 'uint32'],
    cluster_name: [7, 'string'],
    namespace: [3, 'string'],
    labels: [4, 'string[]'],
    pod_name: [5, 'string'],
    workloads: [6, 'flow.Workload[]'],
  },
  Workload: { name: [1, 'string'], kind: [2, 'string'] },
  IP: {
    source: [1, 'string'],
    source_xlated: [5, 'string'],
    destination: [2, 'string'],
    ipVersion: [3, 'flow.IPVersion'],
    encrypted: [4, 'bool'],
  },
  Ethernet: { source: [1, 'string'], destination: [2, 'string'] },
  TCP: { ...PORTS, flags: [3, 'flow.TCPFlags'] },
  TCPFlags: {
    FIN: [1, 'bool'],
    SYN: [2, 'bool'],
    RST: [3, 'bool'],
    PSH: [4, 'bool'],
    ACK: [5, 'bool'],
    URG: [6, 'bool'],
    ECE: [7, 'bool'],
    CWR: [8, 'bool'],
    NS: [9, 'bool'],
  },
  UDP: PORTS,
  SCTP: PORTS,
  ICMPv4: TYPE_CODE,
  ICMPv6: TYPE_CODE,
  VRRP: { type: [1, 'uint32'], vrid: [2, 'uint32'], priority: [3, 'uint32'] },
  IGMP: { type: [1, 'uint32'], group_address: [2, 'string'] },
  Tunnel: {
    protocol: [1, 'flow.TunnelProtocol'],
    IP: [2, 'flow.IP'],
    l4: [3, 'flow.Layer4'],
    vni: [4, 'uint32'],
  },
  CiliumEventType: { type: [1, 'int32'], sub_type: [2, 'int32'] },
  LostEvent: {
    source: [1, 'flow.LostEventSource'],
    num_events_lost: [2, 'uint64'],
    cpu: [3, 'google.protobuf.Int32Value'],
    first: [4, TIMESTAMP],
    last: [5, TIMESTAMP],
  },
};

const OBSERVER_MESSAGES: Readonly<Record<string, Fields>> = {
  GetFlowsResponse: {
    flow: [1, 'flow.Flow', 'response_types'],
    lost_events: [3, 'flow.LostEvent', 'response_types'],
    node_name: [1000, 'string'],
    time: [1001, TIMESTAMP],
  },
};

const ENUMS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  Verdict: {
    VERDICT_UNKNOWN: 0,
    FORWARDED: 1,
    DROPPED: 2,
    ERROR: 3,
    AUDIT: 4,
    REDIRECTED: 5,
    TRACED: 6,
    TRANSLATED: 7,
  },
  AuthType: { DISABLED: 0, SPIRE: 1, TEST_ALWAYS_FAIL: 2 },
  FlowType: { UNKNOWN_TYPE: 0, L3_L4: 1, L7: 2, SOCK: 3 },
  IPVersion: { IP_NOT_USED: 0, IPv4: 1, IPv6: 2 },
  TrafficDirection: { TRAFFIC_DIRECTION_UNKNOWN: 0, INGRESS: 1, EGRESS: 2 },
  TraceObservationPoint: {
    UNKNOWN_POINT: 0,
    TO_PROXY: 1,
    TO_HOST: 2,
    TO_STACK: 3,
    TO_OVERLAY: 4,
    TO_ENDPOINT: 101,
    FROM_ENDPOINT: 5,
    FROM_PROXY: 6,
    FROM_HOST: 7,
    FROM_STACK: 8,
    FROM_OVERLAY: 9,
    FROM_NETWORK: 10,
    TO_NETWORK: 11,
    FROM_CRYPTO: 12,
    TO_CRYPTO: 13,
  },
  TraceReason: {
    TRACE_REASON_UNKNOWN: 0,
    NEW: 1,
    ESTABLISHED: 2,
    REPLY: 3,
    RELATED: 4,
    REOPENED: 5,
    SRV6_ENCAP: 6,
    SRV6_DECAP: 7,
    ENCRYPT_OVERLAY: 8,
  },
  /** 159 was never given a name. */
  DropReason: {
    DROP_REASON_UNKNOWN: 0,
    INVALID_SOURCE_MAC: 130,
    INVALID_DESTINATION_MAC: 131,
    INVALID_SOURCE_IP: 132,
    POLICY_DENIED: 133,
    INVALID_PACKET_DROPPED: 134,
    CT_TRUNCATED_OR_INVALID_HEADER: 135,
    CT_MISSING_TCP_ACK_FLAG: 136,
    CT_UNKNOWN_L4_PROTOCOL: 137,
    CT_CANNOT_CREATE_ENTRY_FROM_PACKET: 138,
    UNSUPPORTED_L3_PROTOCOL: 139,
    MISSED_TAIL_CALL: 140,
    ERROR_WRITING_TO_PACKET: 141,
    UNKNOWN_L4_PROTOCOL: 142,
    UNKNOWN_ICMPV4_CODE: 143,
    UNKNOWN_ICMPV4_TYPE: 144,
    UNKNOWN_ICMPV6_CODE: 145,
    UNKNOWN_ICMPV6_TYPE: 146,
    ERROR_RETRIEVING_TUNNEL_KEY: 147,
    ERROR_RETRIEVING_TUNNEL_OPTIONS: 148,
    INVALID_GENEVE_OPTION: 149,
    UNKNOWN_L3_TARGET_ADDRESS: 150,
    STALE_OR_UNROUTABLE_IP: 151,
    NO_MATCHING_LOCAL_CONTAINER_FOUND: 152,
    ERROR_WHILE_CORRECTING_L3_CHECKSUM: 153,
    ERROR_WHILE_CORRECTING_L4_CHECKSUM: 154,
    CT_MAP_INSERTION_FAILED: 155,
    INVALID_IPV6_EXTENSION_HEADER: 156,
    IP_FRAGMENTATION_NOT_SUPPORTED: 157,
    SERVICE_BACKEND_NOT_FOUND: 158,
    NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT: 160,
    FAILED_TO_INSERT_INTO_PROXYMAP: 161,
    REACHED_EDT_RATE_LIMITING_DROP_HORIZON: 162,
    UNKNOWN_CONNECTION_TRACKING_STATE: 163,
    LOCAL_HOST_IS_UNREACHABLE: 164,
    NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION: 165,
    UNSUPPORTED_L2_PROTOCOL: 166,
    NO_MAPPING_FOR_NAT_MASQUERADE: 167,
    UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE: 168,
    FIB_LOOKUP_FAILED: 169,
    ENCAPSULATION_TRAFFIC_IS_PROHIBITED: 170,
    INVALID_IDENTITY: 171,
    UNKNOWN_SENDER: 172,
    NAT_NOT_NEEDED: 173,
    IS_A_CLUSTERIP: 174,
    FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND: 175,
    FORBIDDEN_ICMPV6_MESSAGE: 176,
    DENIED_BY_LB_SRC_RANGE_CHECK: 177,
    SOCKET_LOOKUP_FAILED: 178,
    SOCKET_ASSIGN_FAILED: 179,
    PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL: 180,
    POLICY_DENY: 181,
    VLAN_FILTERED: 182,
    INVALID_VNI: 183,
    INVALID_TC_BUFFER: 184,
    NO_SID: 185,
    MISSING_SRV6_STATE: 186,
    NAT46: 187,
    NAT64: 188,
    AUTH_REQUIRED: 189,
    CT_NO_MAP_FOUND: 190,
    SNAT_NO_MAP_FOUND: 191,
    INVALID_CLUSTER_ID: 192,
    UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP: 193,
    NO_EGRESS_GATEWAY: 194,
    UNENCRYPTED_TRAFFIC: 195,
    TTL_EXCEEDED: 196,
    NO_NODE_ID: 197,
    DROP_RATE_LIMITED: 198,
    IGMP_HANDLED: 199,
    IGMP_SUBSCRIBED: 200,
    MULTICAST_HANDLED: 201,
    DROP_HOST_NOT_READY: 202,
    DROP_EP_NOT_READY: 203,
    DROP_NO_EGRESS_IP: 204,
    DROP_PUNT_PROXY: 205,
  },
  LostEventSource: {
    UNKNOWN_LOST_EVENT_SOURCE: 0,
    PERF_EVENT_RING_BUFFER: 1,
    OBSERVER_EVENTS_QUEUE: 2,
    HUBBLE_RING_BUFFER: 3,
  },
  /** In the file it is `Tunnel.Protocol`. */
  TunnelProtocol: { UNKNOWN: 0, VXLAN: 1, GENEVE: 2 },
};

/** The number of an enum's value, as Hubble has it. */
export function enumNumber(name: string, value: string): number | undefined {
  return ENUMS[name]?.[value];
}

const SCALARS: Readonly<Record<string, FieldDescriptorProto_Type>> = {
  string: FieldDescriptorProto_Type.STRING,
  bool: FieldDescriptorProto_Type.BOOL,
  uint32: FieldDescriptorProto_Type.UINT32,
  int32: FieldDescriptorProto_Type.INT32,
  uint64: FieldDescriptorProto_Type.UINT64,
};

function message(name: string, fields: Fields) {
  const oneofs = [...new Set(Object.values(fields).flatMap(([, , oneof]) => oneof ?? []))];
  return create(DescriptorProtoSchema, {
    name,
    oneofDecl: oneofs.map((oneof) => create(OneofDescriptorProtoSchema, { name: oneof })),
    field: Object.entries(fields).map(([field, [number, text, oneof]]) => {
      const isList = text.endsWith('[]');
      const type = isList ? text.slice(0, -2) : text;
      const isEnum = type.startsWith('flow.') && type.slice(5) in ENUMS;
      return create(FieldDescriptorProtoSchema, {
        name: field,
        number,
        label: isList ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
        type: SCALARS[type] ?? (isEnum ? FieldDescriptorProto_Type.ENUM : FieldDescriptorProto_Type.MESSAGE),
        ...(!(type in SCALARS) && { typeName: `.${type}` }),
        ...(oneof !== undefined && { oneofIndex: oneofs.indexOf(oneof) }),
      });
    }),
  });
}

function file(name: string, pkg: string, messages: typeof FLOW_MESSAGES, dependency: string[]) {
  return create(FileDescriptorProtoSchema, {
    name,
    package: pkg,
    syntax: 'proto3',
    dependency,
    messageType: Object.entries(messages).map(([one, fields]) => message(one, fields)),
    enumType:
      pkg !== 'flow'
        ? []
        : Object.entries(ENUMS).map(([one, values]) =>
            create(EnumDescriptorProtoSchema, {
              name: one,
              value: Object.entries(values).map(([value, number]) =>
                // Values of one package share a scope in protobuf; the file has these where they do not meet.
                create(EnumValueDescriptorProtoSchema, { name: value, number }),
              ),
            }),
          ),
  });
}

const WELL_KNOWN = [
  file_google_protobuf_any,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
];
const imports = WELL_KNOWN.map(({ proto }) => proto.name);
const flowFile = file('flow/flow.proto', 'flow', FLOW_MESSAGES, imports);
const observerFile = file('observer/observer.proto', 'observer', OBSERVER_MESSAGES, [
  ...imports,
  'flow/flow.proto',
]);
const files = createFileRegistry(observerFile, (name) =>
  name === 'flow/flow.proto' ? flowFile : WELL_KNOWN.find(({ proto }) => proto.name === name),
);
const RESPONSE = files.getMessage('observer.GetFlowsResponse')!;
const registry = createRegistry(
  RESPONSE,
  StructSchema,
  AnySchema,
  TimestampSchema,
  BoolValueSchema,
  Int32ValueSchema,
);

/**
 * Reads a line as Hubble does, and writes it again: protobuf's JSON of what was read.
 * @throws {Error} for whatever `protojson` refuses
 */
export function asHubble(line: string): JsonValue {
  const read = fromJson(RESPONSE, JSON.parse(line) as JsonValue, { registry, ignoreUnknownFields: false });
  return toJson(RESPONSE, read, { registry, useProtoFieldName: true });
}
