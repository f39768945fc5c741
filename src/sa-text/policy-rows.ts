/**
 * Policies of a whole cluster are millions, too: of each only what it selects and does is wanted. As `state-rows.ts` reads
 * states.
 * @module
 */
import type { Direction } from '../ipsec/spd.ts';
import { isAny } from '../wire/address.ts';
import { type AddressIds, NO_ADDRESS, type PrefixIds } from './address-ids.ts';
import {
  ADD,
  CURRENT,
  DIR,
  DST,
  EntryBytes,
  HEAD,
  IN,
  LIMITS,
  LIMITS_LINES,
  MARK,
  MODE_TUNNEL,
  OF_BYTES,
  OF_PACKETS,
  OUT,
  type Phrase,
  phrase,
  REQID,
  SLASH_HEX,
  UID,
  USE,
} from './entry-bytes.ts';
import { few, type Omission } from './omission.ts';
import { policiesOf, type TextPolicy } from './to-policy.ts';
import { parseXfrm } from './xfrm-parse.ts';

/** What is kept of one policy. The object is used again for the next one. */
export interface PolicyRow {
  direction: Direction;
  /** Is it of one socket? */
  isSocket: boolean;
  blocks: boolean;
  /** Does it ask for ESP? */
  hasEsp: boolean;
  /** What it selects, by the number of {@link PrefixIds}. */
  dst: number;
  /** Where the tunnel that it asks for begins, by the number of {@link AddressIds}; {@link NO_ADDRESS} where that is not told. */
  from: number;
}

/** What became of a text. */
export interface ReadPolicyRows {
  readonly policies: number;
  /** Policies that are left out, and parts that are not understood. */
  readonly omitted: readonly Omission[];
  /** Are there states in it, or events? */
  readonly isOther: boolean;
}

/** Numbers of what policies name. */
export interface PolicyIds {
  readonly addresses: AddressIds;
  readonly prefixes: PrefixIds;
}

/**
 * Reads the policies of a text.
 * @param bytes the text; UTF-8, or with a byte order mark
 * @param take takes a row, which is valid during the call
 * @throws {InputError} when it is too long, or holds too many policies
 */
export function readPolicyRows(
  bytes: Uint8Array,
  source: string,
  ids: PolicyIds,
  take: (row: PolicyRow) => void,
): ReadPolicyRows {
  return new Reader(bytes, source, ids, take).read();
}

/** An empty row. */
export function policyRow(): PolicyRow {
  return {
    direction: 'out',
    isSocket: false,
    blocks: false,
    hasEsp: false,
    dst: NO_ADDRESS,
    from: NO_ADDRESS,
  };
}

/** The row of a policy. For whatever has no usual form, and for tests. */
export function rowOfPolicy(policy: TextPolicy, { addresses, prefixes }: PolicyIds, row: PolicyRow): void {
  const { direction, socket, action, selector, templates } = policy;
  row.direction = direction;
  row.isSocket = socket;
  row.blocks = action === 'block';
  row.hasEsp = templates.some(({ proto }) => proto === 'esp');
  row.dst = prefixes.of(selector.dst);
  const tunnel = templates.find(({ src }) => !isAny(src));
  row.from = tunnel ? addresses.of(tunnel.src) : NO_ADDRESS;
}

const SLASH = 47;
const FWD = phrase('fwd');
const ACTION = phrase(' action ');
const ALLOW = phrase('allow');
const BLOCK = phrase('block');
const INDEX = phrase(' index ');
const PRIORITY = phrase(' priority ');
const PTYPE = phrase(' ptype main');
const SHARE = phrase(' share any');
const FLAG = phrase(' flag  (0x00000000)');
const TMPL = phrase('\ttmpl src ');
const PROTO = phrase('\t\tproto esp');
const SPI = phrase(' spi 0x');
const LEVEL = phrase('\t\tlevel ');
const REQUIRED = phrase('required');
const OPTIONAL = phrase('use');
const MASKS = phrase('\t\tenc-mask ffffffff auth-mask ffffffff comp-mask ffffffff');

class Reader extends EntryBytes {
  readonly #ids: PolicyIds;
  readonly #take: (row: PolicyRow) => void;
  /** Of an entry of the usual form, and of another one. */
  readonly #row = policyRow();
  readonly #other = policyRow();
  readonly #omitted: Omission[] = [];
  #policies = 0;
  #hasSlash = false;
  #isOther = false;

  constructor(bytes: Uint8Array, source: string, ids: PolicyIds, take: (row: PolicyRow) => void) {
    super(bytes, source);
    this.#ids = ids;
    this.#take = take;
  }

  read(): ReadPolicyRows {
    this.walk();
    return {
      policies: this.#policies,
      omitted: few(this.#omitted, this.source),
      isOther: this.#isOther,
    };
  }

  protected entry(): void {
    this.#policies++;
    this.#take(this.#row);
  }

  protected others(text: string, line: number): void {
    const tree = parseXfrm(text, this.source, { firstLine: line, mayBeNothing: true });
    if (tree.states.length + tree.events.length > 0) this.#isOther = true;
    const { policies, omitted } = policiesOf(tree);
    for (const policy of policies) {
      this.count(line);
      this.#policies++;
      rowOfPolicy(policy, this.#ids, this.#other);
      this.#take(this.#other);
    }
    this.#omitted.push(...omitted);
  }

  protected usual(from: number): number {
    const row = this.#row;
    const { prefixes } = this.#ids;
    let at = this.#prefix(this.match(from, HEAD));
    const src = this.value;
    at = this.#prefix(this.match(at, DST));
    row.dst = this.value;
    if (at < 0 || prefixes.thing(src).address.length !== prefixes.thing(row.dst).address.length) return -1;
    at = this.newline(this.#maybe(at, UID, true));
    at = this.#direction(this.match(at, DIR));
    at = this.#action(at);
    at = this.#maybe(at, INDEX, true);
    at = this.decimal(this.match(at, PRIORITY));
    at = this.#maybe(this.#maybe(this.#maybe(at, PTYPE), SHARE), FLAG);
    at = this.#life(this.newline(at));
    const mark = this.match(at, MARK);
    if (mark > 0) at = this.newline(this.hex(this.match(this.hex(mark), SLASH_HEX)));
    row.isSocket = false;
    row.hasEsp = false;
    row.from = NO_ADDRESS;
    for (let next = this.match(at, TMPL); next > 0; next = this.match(at, TMPL)) at = this.#template(next);
    return at;
  }

  /** Passes what may be there, and a number behind it. */
  #maybe(at: number, what: Phrase, hasNumber = false): number {
    const end = this.match(at, what);
    if (end < 0) return at;
    return hasNumber ? this.decimal(end) : end;
  }

  #prefix(at: number): number {
    const end = this.#word(at);
    // What has no length is read as a state.
    if (end < 0 || !this.#hasSlash) return -1;
    this.value = this.#ids.prefixes.ofBytes(this.bytes, at, end);
    return this.value === NO_ADDRESS ? -1 : end;
  }

  #address(at: number): number {
    const end = this.#word(at);
    if (end < 0) return -1;
    this.value = this.#ids.addresses.ofBytes(this.bytes, at, end);
    return this.value === NO_ADDRESS ? -1 : end;
  }

  /** Digits, dots, colons and slashes. */
  #word(at: number): number {
    if (at < 0) return -1;
    const b = this.bytes;
    let i = at;
    this.#hasSlash = false;
    for (; ; i++) {
      const code = b[i]!;
      if (code === SLASH) this.#hasSlash = true;
      if (!((code >= 46 && code <= 58) || (code >= 97 && code <= 102))) break;
    }
    return i === at || i - at > 49 ? -1 : i;
  }

  #direction(at: number): number {
    const row = this.#row;
    const [into, out, forward] = [this.match(at, IN), this.match(at, OUT), this.match(at, FWD)];
    row.direction = into > 0 ? 'in' : out > 0 ? 'out' : 'fwd';
    return Math.max(into, out, forward);
  }

  #action(at: number): number {
    const row = this.#row;
    row.blocks = false;
    const action = this.match(at, ACTION);
    if (action < 0) return at;
    const allow = this.match(action, ALLOW);
    row.blocks = allow < 0;
    return allow > 0 ? allow : this.match(action, BLOCK);
  }

  #life(from: number): number {
    let at = this.match(from, LIMITS);
    if (at < 0) return from;
    this.line += LIMITS_LINES;
    const current = this.match(at, CURRENT);
    if (current < 0) return at;
    this.line++;
    at = this.newline(this.match(this.digits(this.match(this.digits(current), OF_BYTES)), OF_PACKETS));
    return this.newline(this.time(this.match(this.time(this.match(at, ADD)), USE)));
  }

  #template(from: number): number {
    const row = this.#row;
    const { addresses } = this.#ids;
    let at = this.#address(from);
    const src = this.value;
    at = this.newline(this.#address(this.match(at, DST)));
    at = this.match(at, PROTO);
    const spi = this.match(at, SPI);
    if (spi > 0) at = this.again(this.hex(spi));
    at = this.again(this.decimal(this.match(at, REQID)));
    at = this.newline(this.match(at, MODE_TUNNEL));
    const level = this.match(at, LEVEL);
    if (level > 0) {
      at = Math.max(this.match(level, REQUIRED), this.match(level, OPTIONAL));
      at = this.newline(this.#maybe(at, SHARE));
    }
    const masks = this.match(at, MASKS);
    if (masks > 0) at = this.newline(masks);
    if (at < 0) return -1;
    row.hasEsp = true;
    if (row.from === NO_ADDRESS && !isAny(addresses.thing(src))) row.from = src;
    return at;
  }
}
