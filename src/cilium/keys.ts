/**
 * Cilium's keys file, as its agent mounts it at `/etc/ipsec/keys`: one key a line, the last one current.
 *
 * ```text
 * 3+ rfc4106(gcm(aes)) 4443…f2f1 128                    key id, AEAD, AES key and salt, ICV in bits
 * 3+ hmac(sha256) 0123…cdef cbc(aes) 0123…cdef          key id, integrity and its key, cipher and its key
 * ```
 *
 * Fields are separated by white space, up to 1.19 by exactly one space; there are no comments and no empty lines. A key
 * may begin with `0x`; `""` is an empty key. Every line that Cilium accepts and whose algorithms are known is accepted here,
 * and what it refuses, or panics at, is an {@link InputError}. Stricter than Cilium:
 * - a negative key id is an error (Cilium wraps it to 8 bits);
 * - an empty file is an error (up to 1.19 Cilium takes it for no key);
 * - algorithms, key lengths and ICV are checked at once (Cilium leaves that to the kernel).
 *
 * By version:
 *
 * | rule | applies |
 * |---|---|
 * | `+` means a key per tunnel, ESN, window 1024; without it one key for all, no ESN, no window | to 1.16 |
 * | every key is per tunnel; `+` changes nothing | from 1.17 |
 * | the key id may be missing (it is 1 then); a last field may hold the node address that a key is for | to 1.16 |
 * | a line must change the key id of the line before it | from 1.17 |
 * | a line must keep the key length of the line before it | from 1.18 |
 * | any run of white space separates, and some at the ends does no harm (#44815) | from 1.20 |
 *
 * No error holds anything that could be part of a key, whatever stands where in a line.
 * @module
 */
import { fromHex } from '../base/bytes.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import { linesOf } from '../base/lines.ts';
import { aead, authenc, type KeyMaterial } from '../crypto/suite.ts';
import { type Address, formatAddress, parseAddress, unmapIpv4 } from '../wire/address.ts';
import { MAX_DERIVED_LEN } from './derive.ts';
import { type CiliumVersion, formatVersion, hasPerTunnelKeys, isAtLeast } from './version.ts';

/** Key ids are 1 to 15: four bits of the packet mark. */
export const MAX_KEY_ID = 15;

const FORMAT =
  'Write KEYID+ AEAD HEXKEY ICVBITS, or KEYID+ AUTH HEXKEY CIPHER HEXKEY, with one space between fields.';
/** The release whose agent splits a line at any white space. */
const SPLITS_AT_WHITE_SPACE = 20;
/** What is white space to Go (unicode.IsSpace), which is not what `\\s` is. */
const GO_SPACE = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
const ICV_REMEDY = 'Use 128, or 96.';

/** Algorithms by the names that stand in the line. */
export type KeyAlgorithm =
  | { readonly kind: 'aead'; readonly name: string; readonly icvBits: number }
  | { readonly kind: 'authenc'; readonly auth: string; readonly enc: string };

/** One line of a keys file. */
export interface CiliumKey {
  /** 1 to 15; the SPI of every SA made from this key. */
  readonly id: number;
  /** Each SA has a key derived from this one, with ESN and a window of 1024; otherwise all use this key. */
  readonly perTunnel: boolean;
  readonly algorithm: KeyAlgorithm;
  /** The key as it stands in the file, hidden from print. */
  readonly material: KeyMaterial;
  /**
   * What Cilium calls the key length, for the MTU and the rotation check: bytes of ICV for AEAD, otherwise the
   * number of hex digits of the integrity key.
   */
  readonly keyLen: number;
  /** The tunnel address of the one node that uses this key; absent, all do. */
  readonly scope?: Address;
  readonly source: string;
  /** 1-based. */
  readonly line: number;
}

/**
 * Reads a keys file.
 * @param source file name, for errors
 * @returns all keys in order; the last is the one that senders use
 * @throws {InputError} at the first line that cannot be used
 */
export function parseKeys(text: string, source: string, version: CiliumVersion): CiliumKey[] {
  if (text === '') {
    throw new InputError({ source }, 'the file is empty', FORMAT);
  }
  const keys: CiliumKey[] = [];
  // A final newline ends the last line and begins none.
  for (const { number, text: line } of linesOf(text.endsWith('\n') ? text.slice(0, -1) : text, source)) {
    const key = parseLine(line.endsWith('\r') ? line.slice(0, -1) : line, { source, line: number }, version);
    const before = keys.at(-1);
    if (before) checkRotation(before, key, version);
    keys.push(key);
  }
  return keys;
}

/**
 * Joins the keys of several files. A key that stands in more than one of them is kept once.
 * @throws {InputError} when two different keys have the same id
 */
export function mergeKeys(...files: readonly (readonly CiliumKey[])[]): CiliumKey[] {
  const byId = new Map<string, CiliumKey>();
  for (const key of files.flat()) {
    const slot = `${key.id} ${key.scope ? formatAddress(key.scope) : ''}`;
    const known = byId.get(slot);
    if (!known) {
      byId.set(slot, key);
    } else if (known.perTunnel !== key.perTunnel || !known.material.equals(key.material)) {
      throw new InputError(
        placeOf(key),
        `key id ${key.id} is used for another key in ${known.source}:${known.line}`,
        'Give only the key that was in use when the traffic was sent.',
      );
    }
  }
  return [...byId.values()];
}

type LinePlace = Pick<CiliumKey, 'source' | 'line'>;

/** The place alone: an error must not carry the key along. */
function placeOf({ source, line }: LinePlace): LinePlace {
  return { source, line };
}

function parseLine(line: string, place: LinePlace, version: CiliumVersion): CiliumKey {
  const byWhiteSpace = line.split(GO_SPACE).filter((field) => field !== '');
  if (isAtLeast(version, SPLITS_AT_WHITE_SPACE)) return parseFields(byWhiteSpace, place, version);
  try {
    return parseFields(line.split(' '), place, version);
  } catch (error) {
    if (!(error instanceof InputError) || byWhiteSpace.join(' ') === line) throw error;
    // What else is wrong with the line is said first; then nothing is but its white space.
    parseFields(byWhiteSpace, place, version);
    throw new InputError(
      place,
      'the fields are not separated by exactly one space, with none at the ends',
      `Cilium 1.${SPLITS_AT_WHITE_SPACE} and later take this line; ${formatVersion(version)} does not. Separate the fields by one space, or give --cilium as the version that runs.`,
    );
  }
}

function parseFields(fields: readonly string[], place: LinePlace, version: CiliumVersion): CiliumKey {
  const fail = (problem: string, remedy = FORMAT) => new InputError(place, problem, remedy);
  const old = !isAtLeast(version, 17);
  if (fields.length < 3)
    throw fail(fields.join('') === '' ? 'the line is empty' : 'the line has too few fields');

  // 1. The key id.
  const [first = ''] = fields;
  const number = /^([+-]?\d+)\+?$/.exec(first)?.[1];
  const plus = number !== undefined && first.endsWith('+');
  // To 1.16 a line may begin with the algorithm. A field that is empty makes Cilium panic.
  const hasId = number !== undefined || !old || first === '';
  const id = hasId ? keyId(number, fail) : 1;
  if (plus && !hasPerTunnelKeys(version)) {
    throw fail(
      `Cilium ${formatVersion(version)} does not know + after the key id`,
      'Give --cilium as the version that ran; + came with 1.13.13, 1.14.9 and 1.15.3.',
    );
  }

  // 2. The keys, by the number of fields.
  const rest = hasId ? fields.slice(1) : fields;
  if (rest.length > (old ? 5 : 4)) throw fail('the line has too many fields');
  if (rest.length < 3) throw fail('the line has too few fields');
  const parsed = rest.length === 3 ? parseAead(rest, fail) : parseAuthenc(rest, fail);
  const perTunnel = plus || !old;
  if (perTunnel && parsed.material.macKey().length > MAX_DERIVED_LEN) {
    throw fail(
      `the integrity key is longer than ${MAX_DERIVED_LEN} bytes: no per-tunnel key can be derived from it`,
      `Use one of at most ${MAX_DERIVED_LEN} bytes.`,
    );
  }

  // 3. To 1.16, the node it is for. An empty field is how a trailing space looks: no node then.
  const node = rest[4];
  const scope = node ? parseAddress(node) : undefined;
  if (node && !scope) throw fail('the last field is no IP address');
  return { id, perTunnel, ...parsed, ...(scope && { scope: unmapIpv4(scope) }), ...place };
}

type Fail = (problem: string, remedy?: string) => InputError;
type Parsed = Pick<CiliumKey, 'algorithm' | 'material' | 'keyLen'>;

function keyId(number: string | undefined, fail: Fail): number {
  const remedy = `Begin the line with a key id from 1 to ${MAX_KEY_ID}, then + and a space.`;
  if (number === undefined) throw fail(`the first field is no key id, 1 to ${MAX_KEY_ID}`);
  const id = Number(number);
  if (id > MAX_KEY_ID)
    throw fail(`the key id is above ${MAX_KEY_ID}`, `${remedy} After ${MAX_KEY_ID} comes 1.`);
  if (id === 0) throw fail('the key id is zero', remedy);
  if (id < 0) throw fail('the key id is negative', remedy);
  return id;
}

function parseAead([name = '', hexKey = '', bits = '']: readonly string[], fail: Fail): Parsed {
  if (!name.startsWith('rfc')) {
    throw fail('the algorithm of a line with four fields must be an AEAD, whose name begins with rfc');
  }
  const key = decodeKey(hexKey);
  if (!key) throw fail('the AEAD key is not pairs of hex digits');
  if (!/^[+-]?\d+$/.test(bits)) throw fail('the ICV length is missing or no number', ICV_REMEDY);
  const icvBits = Number(bits);
  if (icvBits === 256) {
    throw fail('Cilium reads an ICV of 256 bits, but the kernel refuses it', ICV_REMEDY);
  }
  if (icvBits !== 96 && icvBits !== 128) {
    throw fail('the ICV length is none that Cilium accepts', ICV_REMEDY);
  }
  const material = build([name], fail, () => aead(name, key, icvBits));
  return { algorithm: { kind: 'aead', name, icvBits }, material, keyLen: icvBits / 8 };
}

function parseAuthenc(
  [auth = '', authHex = '', enc = '', encHex = '']: readonly string[],
  fail: Fail,
): Parsed {
  const authKey = decodeKey(authHex);
  if (!authKey) throw fail('the integrity key is not pairs of hex digits');
  const encKey = decodeKey(encHex);
  if (!encKey) throw fail('the cipher key is not pairs of hex digits');
  const material = build([auth, enc], fail, () => authenc(auth, authKey, enc, encKey));
  // Cilium counts the digits, not the bytes.
  return { algorithm: { kind: 'authenc', auth, enc }, material, keyLen: 2 * authKey.length };
}

function decodeKey(field: string): Uint8Array | undefined {
  if (field === '""') return new Uint8Array(0);
  const digits = field.replace(/^0x/, '');
  // Stricter than fromHex, which skips white space.
  return /^[0-9a-f]*$/i.test(digits) ? fromHex(digits) : undefined;
}

/** Builds the suite; what it complains about becomes an {@link InputError}, less any name that may be a key. */
function build(names: readonly string[], fail: Fail, make: () => KeyMaterial): KeyMaterial {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    let problem = error.message;
    for (const name of names) {
      if (!isSafeToShow(name)) problem = problem.replaceAll(`"${name}"`, '(not shown: it may be a key)');
    }
    throw fail(problem);
  }
}

/** Looks like `name(…)` and holds no run of hex digits: a mistyped algorithm, not a key in the wrong place. */
function isSafeToShow(name: string): boolean {
  return /^[\w(),-]{1,64}\)$/.test(name) && !/[0-9a-f]{8}/i.test(name);
}

function checkRotation(before: CiliumKey, key: CiliumKey, version: CiliumVersion): void {
  if (isAtLeast(version, 17) && key.id === before.id) {
    throw new InputError(
      placeOf(key),
      `key id ${key.id} is that of the line before: Cilium refuses another key under the same id`,
      'Raise the key id; after 15 comes 1.',
    );
  }
  if (isAtLeast(version, 18) && key.keyLen !== before.keyLen) {
    throw new InputError(
      placeOf(key),
      'the key length differs from that of the line before: Cilium refuses to change it in a rotation',
      'Keep algorithm and ICV length, or give each key as a file of its own.',
    );
  }
}
