/**
 * Keys that a stream might have been sealed with instead of the one it should: from the other boot ids, key ids, versions
 * and addresses at hand. Each says what would be wrong if it fits.
 * @module
 */
import { BOOT_ID_LEN, deriveMaterial } from '../../cilium/derive.ts';
import type { CiliumKey } from '../../cilium/keys.ts';
import type { CiliumNode } from '../../cilium/nodes.ts';
import { KeyMaterial, usualIcvs } from '../../crypto/suite.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { type Address, formatAddress, parseAddress } from '../../wire/address.ts';
import type { Evidence, Resolution } from '../evidence.ts';

/** What is wrong when a guess fits. */
export type GuessKind =
  /** The capture itself had it there before. */
  | 'former'
  /** The sender's kernel, or keys and nodes, have another key than the receiver's. */
  | 'other-source'
  | 'stale-boot-id'
  /** Another key of the same id. */
  | 'key-changed'
  /** The key of another id. */
  | 'other-id'
  /** One side derives a key for each tunnel, the other uses the key as it is. */
  | 'not-per-tunnel'
  /** One side has ESN, the other has not. */
  | 'esn-differs'
  /** One side has a longer ICV than the other. */
  | 'icv-length'
  /** Derived from the node's other addresses. */
  | 'other-address';

export interface Guess {
  readonly kind: GuessKind;
  readonly keys: KeyMaterial;
  readonly esn: boolean;
  /** What it is, for a sentence that begins "the packets open with …". */
  readonly what: string;
}

/** What #34223 pushed for a while: a boot id of zeros. */
const NO_BOOT_ID = '00000000-0000-0000-0000-000000000000';
/** Of more nodes than this the boot ids of third nodes are not tried: they are no likely mistake. */
const FEW_NODES = 32;

/** All guesses for a stream, the likeliest first; none is one of its candidates. */
export function guessesFor(
  evidence: Evidence,
  src: string,
  dst: string,
  spi: number,
  { candidates, otherWay, others, former }: Resolution,
): Guess[] {
  const found: Guess[] = [];
  const add = (kind: GuessKind, keys: KeyMaterial, esn: boolean, what: string) => {
    const isSame = (one: { keys: KeyMaterial; esn: boolean }) => one.esn === esn && one.keys.equals(keys);
    if (!candidates.some(isSame) && !found.some(isSame)) found.push({ kind, keys, esn, what });
  };
  for (const { keys, esn } of former) add('former', keys, esn, 'the key that was there before');
  const stated = candidates.filter((config) => !otherWay.includes(config));
  for (const { keys, esn } of stated) {
    for (const icvLen of usualIcvs(keys.suite)) {
      if (icvLen === keys.suite.icvLen) continue;
      const other = new KeyMaterial({ ...keys.suite, icvLen }, keys.key(), keys.salt(), keys.macKey());
      add(
        'icv-length',
        other,
        esn,
        `the same key and an ICV of ${icvLen * 8} bits in place of ${keys.suite.icvLen * 8}`,
      );
    }
  }
  for (const { config, who } of others) add('other-source', config.keys, config.esn, `the key from ${who}`);
  for (const { keys, esn } of stated) {
    add('esn-differs', keys, !esn, `the same key ${esn ? 'without' : 'with'} ESN`);
  }
  for (const { kind, material, derived, what } of derivations(evidence, src, dst, spi)) {
    add(kind, material, derived, what);
  }
  return found;
}

/** Which of the keys at hand is this one? For a key that a kernel holds and the packets do not fit. */
export function nameKey(
  evidence: Evidence,
  { src, dst, spi, keys }: Pick<SaConfig, 'src' | 'dst' | 'spi' | 'keys'>,
): { kind: GuessKind | 'current'; what: string } | undefined {
  return nameHeldKey(evidence, formatAddress(src), formatAddress(dst), spi, (material) =>
    material.equals(keys),
  );
}

/** The same of a key that is known by something else than its bytes: by its hash. */
export function nameHeldKey(
  evidence: Evidence,
  src: string,
  dst: string,
  spi: number,
  isIt: (material: KeyMaterial) => boolean,
): { kind: GuessKind | 'current'; what: string; keys: KeyMaterial } | undefined {
  for (const made of derivations(evidence, src, dst, spi, true)) {
    if (isIt(made.material)) return { kind: made.kind, what: made.what, keys: made.material };
  }
  return undefined;
}

interface Made {
  readonly kind: GuessKind | 'current';
  readonly material: KeyMaterial;
  /** Does it come with ESN: is it derived? */
  readonly derived: boolean;
  readonly what: string;
}

function derivations(
  evidence: Evidence,
  src: string,
  dst: string,
  spi: number,
): Generator<Made & { kind: GuessKind }>;
function derivations(
  evidence: Evidence,
  src: string,
  dst: string,
  spi: number,
  withCurrent: true,
): Generator<Made>;
function* derivations(
  evidence: Evidence,
  src: string,
  dst: string,
  spi: number,
  withCurrent = false,
): Generator<Made> {
  const from = evidence.nodeOf(src);
  const to = evidence.nodeOf(dst);
  const { keys } = evidence.cluster;
  const all = [
    ...keys.map((key) => ({ key, isOld: false })),
    ...evidence.old.keys.map((key) => ({ key, isOld: true })),
  ].sort((a, b) => Number(a.key.id !== spi) - Number(b.key.id !== spi));
  for (const { key, isOld } of all) {
    const keyKind: GuessKind | 'current' = key.id !== spi ? 'other-id' : isOld ? 'key-changed' : 'current';
    const keyName = `key id ${key.id} of ${key.source}`;
    for (const pair of addressPairs(src, dst, from, to)) {
      for (const boot of bootIdPairs(evidence, from, to)) {
        const kind =
          keyKind !== 'current'
            ? keyKind
            : boot.what !== ''
              ? 'stale-boot-id'
              : pair.what !== ''
                ? 'other-address'
                : 'current';
        // One mistake at a time, but for a key that changed while a node was rebooted.
        if (pair.what !== '' && (boot.what !== '' || keyKind !== 'current')) continue;
        if (kind === 'current' && !withCurrent) continue;
        const material = derive(key, pair.src, pair.dst, boot.src, boot.dst);
        if (material) yield { kind, material, derived: true, what: `${keyName}${boot.what}${pair.what}` };
      }
    }
    yield {
      kind: keyKind === 'current' ? 'not-per-tunnel' : keyKind,
      material: key.material,
      derived: false,
      what: `${keyName} as it is, not derived for the tunnel`,
    };
  }
}

function derive(
  { material }: CiliumKey,
  src: Address,
  dst: Address,
  srcBoot: string,
  dstBoot: string,
): KeyMaterial | undefined {
  if (srcBoot.length < BOOT_ID_LEN || dstBoot.length < BOOT_ID_LEN) return undefined;
  return deriveMaterial(material, src, dst, srcBoot, dstBoot);
}

interface BootIds {
  readonly src: string;
  readonly dst: string;
  /** Empty for the current ones. */
  readonly what: string;
}

function* bootIdPairs(
  evidence: Evidence,
  from: CiliumNode | undefined,
  to: CiliumNode | undefined,
): Generator<BootIds> {
  if (!from || !to) return;
  yield { src: from.bootId, dst: to.bootId, what: '' };
  const a = [...otherBootIds(evidence, from)];
  const b = [...otherBootIds(evidence, to)];
  for (const { id, what } of a) yield { src: id, dst: to.bootId, what };
  for (const { id, what } of b) yield { src: from.bootId, dst: id, what };
  yield { src: to.bootId, dst: from.bootId, what: ' with the boot ids of both nodes exchanged' };
  // Both at once only where both are known to have been rebooted.
  for (const one of a.filter(({ isOld }) => isOld)) {
    for (const two of b.filter(({ isOld }) => isOld)) {
      yield { src: one.id, dst: two.id, what: `${one.what} and${two.what.slice(5)}` };
    }
  }
}

interface BootId {
  readonly id: string;
  readonly isOld: boolean;
  readonly what: string;
}

function* otherBootIds(evidence: Evidence, node: CiliumNode): Generator<BootId> {
  const { nodes } = evidence.cluster;
  for (const old of evidence.old.nodes) {
    if (old.name !== node.name || old.bootId === node.bootId) continue;
    yield {
      id: old.bootId,
      isOld: true,
      what: ` with the boot id ${old.bootId} that ${node.name} had in ${old.source}`,
    };
  }
  yield {
    id: NO_BOOT_ID,
    isOld: false,
    what: ` with the boot id ${NO_BOOT_ID} in place of that of ${node.name}`,
  };
  if (nodes.length > FEW_NODES) return;
  for (const other of nodes) {
    if (other === node) continue;
    yield {
      id: other.bootId,
      isOld: false,
      what: ` with the boot id of ${other.name} in place of that of ${node.name}`,
    };
  }
}

interface AddressPair {
  readonly src: Address;
  readonly dst: Address;
  /** Empty for those of the stream. */
  readonly what: string;
}

function* addressPairs(
  src: string,
  dst: string,
  from: CiliumNode | undefined,
  to: CiliumNode | undefined,
): Generator<AddressPair> {
  const here = { src: parseAddress(src)!, dst: parseAddress(dst)! };
  yield { ...here, what: '' };
  if (!from || !to) return;
  for (const kind of ['ciliumAddresses', 'nodeAddresses'] as const) {
    for (const a of from[kind]) {
      const b = to[kind].find((one) => one.length === a.length);
      if (!b || (formatAddress(a) === src && formatAddress(b) === dst)) continue;
      yield { src: a, dst: b, what: ` derived for ${formatAddress(a)} > ${formatAddress(b)}` };
    }
  }
  yield { src: here.dst, dst: here.src, what: ' derived for the other direction' };
}
