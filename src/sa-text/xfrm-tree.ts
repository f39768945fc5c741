/**
 * Everything that `ip xfrm state|policy|count|monitor` (iproute2 6.1 to 7.x) and `/proc/net/xfrm_stat` print, as plain
 * data. The tree is lossless: what `xfrm-parse.ts` reads can be printed again as it was, and what it cannot read is in
 * {@link XfrmTree.unread}. Null stands for what was not printed.
 *
 * Addresses are text, because people hide parts of them. What esplane can run is made of it by `to-sa.ts` and
 * `to-policy.ts`, `ip` commands by `xfrm-commands.ts`.
 * @module
 */
import type { Mark } from '../ipsec/sa-config.ts';

/** A field that is there, and whose value cannot be read. */
export interface Damage {
  /** 1-based, in the text. */
  readonly line: number;
  readonly field: string;
}

export type XfrmAlgorithmType = 'aead' | 'auth' | 'auth-trunc' | 'enc' | 'comp';

export interface XfrmAlgorithm {
  readonly type: XfrmAlgorithmType;
  readonly name: string;
  /** Bits of key material: as printed by `-s`, or those of the key. */
  readonly keyBits: number | null;
  readonly icvBits: number | null;
  /** Hexadecimal, lower case; absent where the text hides it, or cuts it off. */
  readonly key?: string;
  /** SHA-256 of the key's text `0x…`, which cilium-bugtool prints in its place. */
  readonly keyHash?: string;
  /** Where it is in the text. */
  readonly line: number;
}

/** A limit of null is `(INF)`, or `0(sec)` for times. */
export interface XfrmLifetime {
  readonly softBytes: string | null;
  readonly hardBytes: string | null;
  readonly softPackets: string | null;
  readonly hardPackets: string | null;
  readonly softAddSeconds: number | null;
  readonly hardAddSeconds: number | null;
  readonly softUseSeconds: number | null;
  readonly hardUseSeconds: number | null;
}

/** Counters of 64 bits are decimal text; times are as printed, in the zone of the host, and null for `-`. */
export interface XfrmUse {
  readonly bytes: string | null;
  readonly packets: string | null;
  readonly added: string | null;
  readonly used: string | null;
}

export interface XfrmSelector {
  readonly src: string;
  readonly dst: string;
  /** A name of /etc/protocols, or a number. */
  readonly proto: string | null;
  readonly sport: number | null;
  readonly dport: number | null;
  /** ICMP type and code, type of a Mobility header. */
  readonly type: number | null;
  readonly code: number | null;
  /** GRE key. */
  readonly key: number | null;
  readonly dev: string | null;
  readonly uid: number | null;
}

export interface XfrmOffload {
  readonly dev: string | null;
  readonly dir: string | null;
  /** `packet`, or null for crypto offload. */
  readonly mode: string | null;
}

export interface XfrmAntiReplay {
  /** Does the SA have extended sequence numbers? The same context is printed for any window above 32. */
  readonly esn: boolean;
  /** Halves of the last numbers received and sent; high halves are 0 without ESN. */
  readonly seqHi: number;
  readonly seq: number;
  readonly oseqHi: number;
  readonly oseq: number;
  readonly window: number | null;
  /** Words of 32 bits, hexadecimal, as printed: the one with the latest numbers last. */
  readonly bitmap: readonly string[];
}

export interface XfrmState {
  readonly src: string;
  readonly dst: string;
  readonly proto: string | null;
  readonly spi: number | null;
  readonly reqid: number | null;
  readonly mode: string | null;
  readonly replayWindow: number | null;
  /** Sequence number of the key manager's request, which `-s` prints. */
  readonly seq: number | null;
  /** Names, and in hexadecimal the bits that iproute2 has no name for. */
  readonly flags: readonly string[];
  readonly extraFlags: readonly string[];
  readonly mark: Mark | null;
  readonly outputMark: Mark | null;
  readonly algorithms: readonly XfrmAlgorithm[];
  readonly encap: {
    readonly type: string;
    readonly sport: number | null;
    readonly dport: number | null;
    readonly addr: string | null;
  } | null;
  /** Care-of address of Mobile IPv6. */
  readonly coa: string | null;
  readonly antiReplay: XfrmAntiReplay | null;
  readonly selector: XfrmSelector | null;
  readonly lifetime: XfrmLifetime | null;
  readonly use: XfrmUse | null;
  readonly stats: { readonly replayWindow: number; readonly replay: number; readonly failed: number } | null;
  readonly offload: XfrmOffload | null;
  readonly ifId: number | null;
  readonly tfcPad: number | null;
  readonly direction: string | null;
  /** The CPU that the SA belongs to (RFC 9611). */
  readonly pcpuNum: number | null;
  /** Seconds. */
  readonly natKeepalive: number | null;
  /** `iptfs-opts` by name; true for those without a value. */
  readonly iptfs: Readonly<Record<string, number | true>> | null;
  readonly secctx: string | null;
  readonly lastUsed: string | null;
  /** In the place of these fields is null. */
  readonly damaged: readonly Damage[];
  /** `FILE:LINE`. */
  readonly origin: string;
}

export interface XfrmTemplate {
  readonly src: string;
  readonly dst: string;
  readonly proto: string | null;
  /** Null where any will do. */
  readonly spi: number | null;
  readonly reqid: number | null;
  readonly mode: string | null;
  /** `required`, `use`, or a number that iproute2 has no name for. */
  readonly level: string;
  readonly share: string | null;
  /** Masks of the algorithms that will do, hexadecimal, which `-s` prints. */
  readonly masks: { readonly enc: string; readonly auth: string; readonly comp: string } | null;
}

export interface XfrmPolicy {
  readonly selector: XfrmSelector;
  readonly direction: string | null;
  /** It belongs to one socket. */
  readonly socket: boolean;
  /** `allow`, `block`, or a number that iproute2 has no name for. */
  readonly action: string;
  readonly index: number | null;
  readonly priority: number;
  readonly ptype: string | null;
  readonly share: string | null;
  readonly flags: readonly string[];
  readonly mark: Mark | null;
  readonly ifId: number | null;
  readonly offload: XfrmOffload | null;
  readonly lifetime: XfrmLifetime | null;
  readonly use: XfrmUse | null;
  readonly templates: readonly XfrmTemplate[];
  readonly secctx: string | null;
  readonly damaged: readonly Damage[];
  readonly origin: string;
}

/** The state that an event is about, as far as it names it. */
export interface XfrmStateId {
  readonly src: string | null;
  readonly dst: string | null;
  readonly proto: string | null;
  readonly spi: number | null;
  readonly reqid: number | null;
}

/** One message of `ip xfrm monitor` that says what happened; entries without such a word are states and policies. */
export interface XfrmEvent {
  /** `deleted`, `updated`, `expired`, `flushed`, `acquire`, `async`, `mapping`, `report`, `default`, `unknown`. */
  readonly event: string;
  /** The first line as printed, without time and namespace. There are no keys in it. */
  readonly text: string;
  readonly state: XfrmState | null;
  readonly policy: XfrmPolicy | null;
  /** What an `acquire`, `async` or `mapping` is about. */
  readonly id: XfrmStateId | null;
  /** The packet that an `acquire` or `report` is about. */
  readonly selector: XfrmSelector | null;
  /** `expired`: the hard limit, or the soft one? */
  readonly hard: boolean | null;
  /** `mapping`: `ADDRESS:PORT` before and after. */
  readonly mapping: { readonly from: string; readonly to: string } | null;
  /** `default`: what becomes of packets that no policy covers, `accept` or `block`; also of `ip xfrm policy getdefault`. */
  readonly defaults: { readonly in: string; readonly fwd: string; readonly out: string } | null;
  readonly origin: string;
}

/** When and where `ip -ts xfrm monitor` and `all-nsid` saw an entry. */
export interface XfrmSeen {
  readonly time?: string;
  readonly nsid?: string;
}

/** Part of an entry that is not understood, and so is in no field. */
export interface Unread {
  readonly line: number;
  /** The first word, where it is a plain one: never a key. */
  readonly word: string;
}

export interface XfrmTree {
  readonly source: string;
  readonly states: readonly (XfrmState & XfrmSeen)[];
  readonly policies: readonly (XfrmPolicy & XfrmSeen)[];
  readonly events: readonly (XfrmEvent & XfrmSeen)[];
  /** Of `ip xfrm state count` and `policy count`, by the words printed: `SAD count`, `SPD IN`. */
  readonly counts: Readonly<Record<string, number>>;
  /** Of `/proc/net/xfrm_stat`; several are added up. */
  readonly stat: Readonly<Record<string, number>>;
  /** Lines that belong to no entry, such as prompts and headlines; the first 10,000 of them. */
  readonly passed: readonly number[];
  /** The first 10,000 of them. */
  readonly unread: readonly Unread[];
}
