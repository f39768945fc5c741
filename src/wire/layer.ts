/**
 * One header of a frame on the way to its IP packets, and how what is behind it is to be read.
 *
 * `link-type.ts` reads what frames begin with, `carrier.ts` everything between that and IP. They fill one object again
 * and again, so that looking at a frame allocates nothing.
 * @module
 */

/** How bytes are to be read. */
export type As =
  /** A frame, whose link type {@link Layer.value} is. */
  | 'link'
  /** What a type field of Ethernet says. */
  | 'ethertype'
  /** IEEE 802.2. */
  | 'llc'
  /** IEEE 802.11; the value is 1 where its header is padded to four bytes. */
  | 'wlan'
  /** A PPP frame, from its protocol field on. */
  | 'ppp'
  /** What an IP header names as its next protocol. */
  | 'protocol'
  /** An IP packet: of version 4 or 6, or with a value of 0 of either. */
  | 'ip';

/** The headers that are known. */
export type LayerKind =
  | 'null'
  | 'eth'
  | 'ppp'
  | 'chdlc'
  | 'fr'
  | 'nflog'
  | 'enc'
  | 'radiotap'
  | 'wlan'
  | 'ppi'
  | 'pktap'
  | 'ipoib'
  | 'ipnet'
  | 'sll'
  | 'direction'
  | 'vlan'
  | 'vntag'
  | 'pbb'
  | 'pppoe'
  | 'mpls'
  | 'llc'
  | 'ip'
  | 'ah'
  | 'gre'
  | 'erspan'
  | 'etherip'
  | 'vxlan'
  | 'vxlan-gpe'
  | 'geneve'
  | 'gtpu'
  | 'teredo';

/** What a look at a header found. */
export type Outcome =
  /** A header that carries something: see {@link Layer.as}. */
  | 'carries'
  /** Something that is known, and carries no IP packet. */
  | 'nothing'
  /** Something that is not looked into: {@link Layer.what} names it. */
  | 'unknown'
  /** A header that is cut off, or says what cannot be. */
  | 'broken';

export class Layer {
  outcome: Outcome = 'nothing';
  kind: LayerKind = 'eth';
  /** Where what it carries lies, as far as it is here. */
  at = 0;
  end = 0;
  as: As = 'ip';
  value = 0;
  /** The virtual network, tunnel or label, or -1. */
  id = -1;
  /** What is not looked into, or is broken. */
  what = '';

  carries(kind: LayerKind, at: number, end: number, as: As, value: number, id = -1): void {
    this.kind = kind;
    this.id = id;
    if (at > end) {
      this.broken(kind);
      return;
    }
    this.outcome = 'carries';
    this.at = at;
    this.end = end;
    this.as = as;
    this.value = value;
  }

  nothing(): void {
    this.outcome = 'nothing';
  }

  unknown(what: string): void {
    this.outcome = 'unknown';
    this.what = what;
  }

  broken(kind: LayerKind): void {
    this.kind = kind;
    this.outcome = 'broken';
    this.what = kind;
  }
}
