/**
 * What commands print with `--json`, as types: schema/esplane.schema.json is made of these (`node scripts/json-schema.mjs`), and
 * docs/json.md tells which command prints which.
 * @module
 */
import type { CheckSummary, NodePair, PodPair } from '../src/inspect/check/report.ts';
import type { ClusterDiagnosis } from '../src/inspect/cluster/judge.ts';
import type { Diagnosis, Finding, FindingFiles } from '../src/inspect/diagnose/finding.ts';
import type { Page } from '../src/inspect/diagnose/pages.ts';
import type { Explanation } from '../src/inspect/explain/tree.ts';
import type { VerdictName } from '../src/inspect/packet-filter.ts';
import type { SaRow } from '../src/sa-text/sa-table.ts';
import type { XfrmJson } from '../src/sa-text/xfrm-json.ts';

/** Version of the shapes: fields may be added; none is taken away, or gets another meaning. */
type Schema = { readonly schema: 1 };

/** Names of both ends; null where one is not known. */
interface Ends {
  readonly src: string | null;
  readonly dst: string | null;
}

/** `decrypt`, `capture`: one ESP packet. */
export interface PacketLine extends Schema {
  /** 1-based number of the frame that completed the packet. */
  readonly frame: number;
  /** Its capture, where there are several. */
  readonly file?: string;
  /** Seconds since 1970, with six decimals or nine; null where the capture has none. */
  readonly time: string | null;
  /** Addresses of the IP header around ESP. */
  readonly src: string;
  readonly dst: string;
  /** Null where the packet is shorter than eight bytes. */
  readonly spi: number | null;
  /** The full number, high half included, in decimal. */
  readonly seq: string | null;
  readonly verdict: VerdictName;
  /** A name of the drop table; null where the verdict is ok. */
  readonly reason: string | null;
  /** Its row of /proc/net/xfrm_stat; null where it is not dropped, or another counter counts it. */
  readonly counter: string | null;
  /** Only where no ICV was checked. */
  readonly authenticated?: false;
  /** The IP packet that ESP carried, in hexadecimal, without trailer; null where it was not accepted, and in IP-TFS: see `inners`. */
  readonly inner: string | null;
  /** The Ethernet frame in it, where that packet is VXLAN. */
  readonly overlay: { readonly vni: number; readonly frame: string } | null;
  /** The VXLAN or Geneve that carried ESP. */
  readonly carrier: { readonly vni: number } | null;
  /** What carried ESP, the outermost first, where it was more than VXLAN. */
  readonly carriers?: readonly string[];
  /** How the SA of the receiver is known: by its own text, or by what others say. */
  readonly basis: 'told' | 'assumed';
  /** The SA that opens it, where that is not the receiver's. */
  readonly openedBy: string | null;
  /** Nodes of the addresses around ESP; null where neither is known by name. */
  readonly node: Ends | null;
  /** The innermost IP packet; null where nothing was opened, and in IP-TFS: see `packets`. */
  readonly packet: ClearPacket | null;
  /** Pods of its addresses, as NAMESPACE/NAME; null where neither is known. */
  readonly pod: Ends | null;
  /** This and what follows only of accepted packets in IP-TFS (RFC 9347). */
  readonly nextHeader?: 144;
  /** 0, or 1 with congestion control. */
  readonly subtype?: number;
  /** Bytes up to the first inner packet that begins in this payload, or in a later one. */
  readonly blockOffset?: number;
  /** Bytes of padding behind the inner packets. */
  readonly padBytes?: number;
  /** Does it wait for an earlier number? What is in it comes out with a later packet. */
  readonly held?: boolean;
  /** Rows of /proc/net/xfrm_stat that rose beside the verdict, once for each time. */
  readonly counted?: readonly string[];
  /** Inner packets that are whole now, in hexadecimal, in order: also of packets that had waited. */
  readonly inners?: readonly string[];
  /** The same as `packet` and `pod`, of each of `inners`; null where it cannot be read. */
  readonly packets?: readonly ({ readonly packet: ClearPacket; readonly pod: Ends | null } | null)[];
}

/** An IP packet that came out of ESP. */
export interface ClearPacket {
  readonly src: string;
  readonly dst: string;
  /** Protocol number of IP: 6 is TCP, 17 UDP, 1 ICMP. */
  readonly proto: number;
  /** Null where the protocol has none, or it is not the first fragment. */
  readonly sport: number | null;
  readonly dport: number | null;
  /** Bytes of the IP packet. */
  readonly length: number;
}

/** `decrypt`, `capture`, with `--summary` or `-q`: the last line. */
export interface SummaryLine extends Schema {
  readonly summary: {
    /** Names of the captures. */
    readonly captures: readonly string[];
    readonly frames: number;
    readonly esp: number;
    readonly ok: number;
    /** Of these those of which no ICV was checked. */
    readonly unauthenticated: number;
    /** Packets by reason. */
    readonly dropped: Readonly<Record<string, number>>;
    readonly unopened: Readonly<Record<string, number>>;
    /** Frames without an ESP packet, by what they are. */
    readonly beside: Readonly<Record<string, number>>;
    /** Packets that the filter kept; null without one. */
    readonly kept: number | null;
  };
}

/** `diagnose`: with a capture, and of the texts of a cluster. */
export type DiagnoseJson = Schema &
  Omit<Diagnosis, 'findings' | 'notes'> &
  Partial<Omit<ClusterDiagnosis, keyof Diagnosis>> & {
    readonly findings: readonly (Finding & Partial<FindingFiles>)[];
    readonly notes: readonly (Finding & Partial<FindingFiles>)[];
  };

/** `explain` of a packet. */
export type ExplainJson = Schema & Explanation;

/** `explain` of a name. */
export interface PagesJson extends Schema {
  readonly pages: readonly Page[];
}

/** `capture --diagnose --json` and `capture --explain --json`, between the packets. */
export type CaptureLine =
  | { readonly finding: Finding }
  | { readonly diagnosis: Diagnosis }
  | { readonly explanation: Explanation };

/** `check`: a line for each pair, and the summary last. */
export type CheckLine =
  | { readonly nodes: NodePair & Schema }
  | {
      readonly pods: PodPair &
        Schema & { readonly firstFile?: string | null; readonly lastFile?: string | null };
    }
  | { readonly summary: CheckSummary & Schema };

/** `sas`: all SAs, as one array. */
export type SasJson = readonly SaRow[];

/** `xfrm`: what texts hold. */
export type XfrmOutput = Schema & XfrmJson;
