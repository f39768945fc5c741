/**
 * What Hubble's flows say was dropped because it could not be encrypted, or was not: by the datapath, before xfrm or after it,
 * so that no counter of xfrm has it. Flows are the last ones of each node, and each is one packet.
 *
 * Names and numbers are those of cilium/cilium, `api/v1/flow/flow.proto` and `bpf/lib/drop_reasons.h`. A release whose schema
 * lacks a name prints the number.
 * @module
 */

/** Reasons of drops that are about encryption alone. Others, such as FIB_LOOKUP_FAILED, have many causes. */
export const DROP_REASONS = [
  { number: 195, name: 'UNENCRYPTED_TRAFFIC' },
  { number: 197, name: 'NO_NODE_ID' },
] as const;

export type DropName = (typeof DROP_REASONS)[number]['name'];

/** Packets that one node dropped for one reason. */
export interface Dropped {
  /** By the name that Hubble has for it, without that of the cluster; empty where it says none. */
  readonly node: string;
  readonly reason: DropName;
  count: number;
  /** Of the first one: pods by name, or addresses; empty where it says none. */
  readonly src: string;
  readonly dst: string;
  /** ISO 8601, as they are in the flows; empty where there is none. */
  first: string;
  last: string;
  /** The file that has the first one. */
  readonly source: string;
}

/** Nodes and reasons that are told apart. */
const MOST_NODES = 1 << 14;
/** Characters of a name: of Kubernetes' names, with the namespace, none is longer. */
const MOST_NAME = 320;
/** A line that may be wanted holds this, whatever stands between. */
const DROPPED = '"DROPPED"';

interface FlowText {
  readonly time?: unknown;
  readonly verdict?: unknown;
  readonly drop_reason?: unknown;
  readonly drop_reason_desc?: unknown;
  readonly node_name?: unknown;
  readonly IP?: { readonly source?: unknown; readonly destination?: unknown };
  readonly source?: { readonly namespace?: unknown; readonly pod_name?: unknown };
  readonly destination?: { readonly namespace?: unknown; readonly pod_name?: unknown };
}

export class FlowDrops {
  readonly #dropped = new Map<string, Dropped>();

  get all(): readonly Dropped[] {
    return [...this.#dropped.values()];
  }

  /** Takes a line of `hubble observe -o jsonpb`. One that is none, or is cut off, is passed over. */
  line(line: string, source: string): void {
    if (!line.includes(DROPPED)) return;
    let read: {
      readonly flow?: FlowText | null;
      readonly node_name?: unknown;
      readonly time?: unknown;
    } | null;
    try {
      read = JSON.parse(line) as typeof read;
    } catch {
      return;
    }
    const flow = read?.flow;
    if (typeof flow !== 'object' || flow === null || flow.verdict !== 'DROPPED') return;
    const reason = DROP_REASONS.find(({ number, name }) =>
      [flow.drop_reason_desc, flow.drop_reason].some((said) => said === name || said === number),
    )?.name;
    if (!reason) return;
    const node = nameOf(flow.node_name ?? read!.node_name).replace(/^.*\//, '');
    const time = timeOf(flow.time ?? read!.time);
    const key = `${node} ${reason}`;
    const known = this.#dropped.get(key);
    if (known) {
      known.count++;
      if (time !== '' && (known.first === '' || time < known.first)) known.first = time;
      if (time > known.last) known.last = time;
    } else if (this.#dropped.size < MOST_NODES) {
      const src = endOf(flow.source, flow.IP?.source);
      const dst = endOf(flow.destination, flow.IP?.destination);
      this.#dropped.set(key, { node, reason, count: 1, src, dst, first: time, last: time, source });
    }
  }
}

function nameOf(value: unknown): string {
  return typeof value === 'string' && value.length <= MOST_NAME ? value : '';
}

/** `shop/web (10.0.1.10)`, as far as it is told. */
function endOf(pod: FlowText['source'], ip: unknown): string {
  const [address, name, namespace] = [nameOf(ip), nameOf(pod?.pod_name), nameOf(pod?.namespace)];
  const called = namespace === '' || name === '' ? name : `${namespace}/${name}`;
  if (called === '' || address === '') return called || address;
  return `${called} (${address})`;
}

/** Times of one form can be compared as texts. */
function timeOf(value: unknown): string {
  const ms = Date.parse(nameOf(value));
  return Number.isNaN(ms) ? '' : new Date(ms).toISOString();
}
