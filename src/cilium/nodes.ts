/**
 * The nodes of a cluster, from `kubectl get ciliumnodes -o json` or `-o yaml`.
 *
 * What counts in a CiliumNode, all under `spec`:
 *
 * | field | is |
 * |---|---|
 * | `addresses[]` of type `CiliumInternalIP` | the router address of a node inside its pod range: outer address in native routing |
 * | `addresses[]` of type `InternalIP` | the address of the node: outer address of encrypted overlays, and in ENI and Azure mode |
 * | `bootid` | part of every per-tunnel key |
 * | `encryption.key` | the key id that the node can decrypt |
 * | `ipam.podCIDRs[]` | pod ranges |
 * | `ipam.pool` | the addresses of a node's pods where a cloud or an operator gives out single ones |
 * | `ipam.pools.allocated[].cidrs[]` | pod ranges, where there are several pools |
 * | `eni`, `azure` | present and not empty: addresses come from the cloud |
 * @module
 */
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import {
  type Address,
  formatAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
  singlePrefix,
  unmapIpv4,
} from '../wire/address.ts';
import { describeObject, parseManifest } from './manifest.ts';
import { checkAddresses, checkNames } from './node-checks.ts';

const GET_NODES = 'Use the output of kubectl get ciliumnodes -o json.';

/** A node as far as IPsec is concerned. */
export interface CiliumNode {
  readonly name: string;
  /** CiliumInternalIP: at most one of each family. */
  readonly ciliumAddresses: readonly Address[];
  /** What other nodes reach it by: InternalIP, or else ExternalIP; at most one of each family. */
  readonly nodeAddresses: readonly Address[];
  /** Empty when the node has not published one: Cilium makes no SA with it then. */
  readonly bootId: string;
  /** The key id it can decrypt; 0 while it has none. */
  readonly keyId: number;
  /** Ranges, or single addresses from a pool. */
  readonly podCidrs: readonly Prefix[];
  /** Those of them that are of further pools (multi-pool IPAM): not the node's first range of their family. */
  readonly furtherPools?: readonly Prefix[];
  /** The cloud that gives out pod addresses, if one does. */
  readonly cloud?: 'eni' | 'azure';
  /** The file it was read from, for errors. */
  readonly source: string;
}

/**
 * Reads the CiliumNode objects in a text: a List, one object, several YAML documents or a JSON array.
 * @param omit told why a node cannot be used, which is then left out, and its name if it has one; absent, that is an error
 * @throws {InputError} when there is none that can be used, or two of them share a name or an address
 */
export function parseNodes(
  text: string,
  source: string,
  omit?: (error: InputError, name?: string) => void,
): CiliumNode[] {
  const objects = parseManifest(text, source);
  if (objects.length === 0) throw new InputError({ source }, 'no CiliumNode in it', GET_NODES);
  const errors: [InputError, string | undefined][] = [];
  const nodes = objects.flatMap((object) => {
    try {
      return readNode(object, source);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      errors.push([error, nameOf(object)]);
      return [];
    }
  });
  const [first] = errors;
  if (first && (!omit || nodes.length === 0)) throw first[0];
  if (omit) for (const [error, name] of errors) omit(error, name);
  checkNames(nodes, source);
  checkAddresses(nodes);
  return nodes;
}

const NODE = z.object({
  kind: z.literal('CiliumNode').optional(), // items of a CiliumNodeList have none
  metadata: z.object({ name: z.string().regex(/^[\w.-]{1,253}$/) }),
  spec: z.object({
    addresses: z.array(z.object({ type: z.string().optional(), ip: z.string().optional() })).nullish(),
    bootid: z.string().nullish(),
    encryption: z.object({ key: z.number().int().min(0).max(255).nullish() }).nullish(),
    ipam: z
      .object({
        podCIDRs: z.array(z.string()).nullish(),
        pool: z.record(z.string(), z.unknown()).nullish(),
        pools: z
          .object({ allocated: z.array(z.object({ cidrs: z.array(z.string()).nullish() })).nullish() })
          .nullish(),
      })
      .nullish(),
    eni: z.record(z.string(), z.unknown()).nullish(),
    azure: z.record(z.string(), z.unknown()).nullish(),
  }),
});

const NAMED = NODE.pick({ metadata: true });

function nameOf(object: unknown): string | undefined {
  return NAMED.safeParse(object).data?.metadata.name;
}

type RawAddresses = NonNullable<z.infer<typeof NODE>['spec']['addresses']>;

function readNode(object: unknown, source: string): CiliumNode {
  const parsed = NODE.safeParse(object);
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.map(String) ?? [];
    const problem =
      path[0] === 'kind' || path.length === 0
        ? `no CiliumNode, but ${describeObject(object)}`
        : `${describeObject(object)}: ${path.join('.')} is missing or not what a CiliumNode has`;
    throw new InputError({ source }, problem, GET_NODES);
  }
  const { metadata, spec } = parsed.data;
  const { name } = metadata;
  const fail = (problem: string) => new InputError({ source }, `node ${name} ${problem}`, GET_NODES);

  const addresses = spec.addresses ?? [];
  const ciliumAddresses = onePerFamily(ofType(addresses, 'CiliumInternalIP', fail));
  // As Cilium chooses: the first internal address, or else the last external one.
  const nodeAddresses = onePerFamily([
    ...ofType(addresses, 'InternalIP', fail),
    ...ofType(addresses, 'ExternalIP', fail).reverse(),
  ]);
  if (ciliumAddresses.length === 0 && nodeAddresses.length === 0) {
    throw fail('has neither a CiliumInternalIP nor an InternalIP (spec.addresses)');
  }
  const readRange = (text: string): Prefix => {
    const prefix = parsePrefix(text);
    if (!prefix) throw fail('has a pod range that is no prefix (spec.ipam)');
    return prefix;
  };
  const single = (spec.ipam?.podCIDRs ?? []).map(readRange);
  const pools = (spec.ipam?.pools?.allocated ?? []).flatMap(({ cidrs }) => (cidrs ?? []).map(readRange));
  const ranges = [...single, ...pools];
  const isFirst = (range: Prefix) =>
    range === ranges.find(({ address }) => address.length === range.address.length);
  const furtherPools = pools.filter((range) => !isFirst(range));
  // The node's own router address is one of the pool, and no pod's.
  const own = new Set([...ciliumAddresses, ...nodeAddresses].map((address) => formatAddress(address)));
  const pool = Object.keys(spec.ipam?.pool ?? {}).flatMap((text) => {
    const address = parseAddress(text);
    if (!address) throw fail('has something that is no address in its pool (spec.ipam.pool)');
    return own.has(formatAddress(address)) ? [] : [singlePrefix(address)];
  });
  const podCidrs = [...ranges, ...pool];
  const cloud = isFilled(spec.eni) ? 'eni' : isFilled(spec.azure) ? 'azure' : undefined;
  return {
    name,
    ciliumAddresses,
    nodeAddresses,
    bootId: spec.bootid ?? '',
    keyId: spec.encryption?.key ?? 0,
    podCidrs,
    ...(furtherPools.length > 0 && { furtherPools }),
    ...(cloud && { cloud }),
    source,
  };
}

function ofType(addresses: RawAddresses, type: string, fail: (problem: string) => InputError): Address[] {
  return addresses
    .filter((address) => address.type === type)
    .map(({ ip = '' }) => {
      const address = parseAddress(ip);
      if (!address) throw fail(`has an address of type ${type} that is no IP address`);
      return unmapIpv4(address);
    });
}

function onePerFamily(addresses: readonly Address[]): Address[] {
  const families = new Set<number>();
  return addresses.filter(({ length }) => families.size < families.add(length).size);
}

/** Every CiliumNode has these objects; outside their cloud they are empty. */
function isFilled(object: Record<string, unknown> | null | undefined): boolean {
  return object !== null && object !== undefined && Object.keys(object).length > 0;
}
