/**
 * Takes what nodes say, one by one, and keeps of it what a judgement of the whole cluster needs: a row for each state, and a
 * few facts for each node. The texts themselves are not kept.
 * @module
 */
import { InputError } from '../../base/errors.ts';
import { AddressIds, NO_ADDRESS, PrefixIds } from '../../sa-text/address-ids.ts';
import { type Omission, omissionLine } from '../../sa-text/omission.ts';
import { type PolicyRow, readPolicyRows } from '../../sa-text/policy-rows.ts';
import type { NamedText } from '../../sa-text/sa-texts.ts';
import { readStateRows, type StateRow } from '../../sa-text/state-rows.ts';
import type { XfrmStat } from '../../sa-text/xfrm-stat.ts';
import type { NodeTexts } from '../files/gather.ts';
import { directionBy } from '../state-direction.ts';
import { OutboundPolicies, putPolicy } from './outbound.ts';
import { RECEIVER, SaTable, SENDER } from './sa-table.ts';
import {
  type EncryptStatus,
  type IpcacheCounts,
  parseEncryptStatus,
  parseIpcache,
  parseNodeIds,
  parseNodeList,
  statOf,
} from './texts.ts';

/** Counters of a node, at one time or at two. */
export interface NodeStat {
  readonly file: string;
  readonly before?: XfrmStat;
  readonly after: XfrmStat;
}

/** What one node says. */
export interface NodeFacts {
  /** The folder, archive or file that it is from. */
  readonly source: string;
  /** The Cilium pod that collected it, where it is a collection's. */
  readonly pod?: string;
  /** Host name and boot id, as the node itself has them; empty where not told. */
  readonly host: string;
  readonly bootId: string;
  /** The file with its states; absent where they are not at hand. */
  stateFile?: string;
  /** How many states it has. */
  states: number;
  /** Addresses that its states send from and receive at. */
  readonly own: Set<number>;
  stat?: NodeStat;
  readonly status?: EncryptStatus;
  /** Its number for each address, by the address's number; 0 for none. */
  readonly nodeIds?: Uint16Array;
  readonly ipcache?: IpcacheCounts;
  /** Nodes that its agent knows: a bit for each number of a name, see {@link ClusterReader.names}. */
  readonly known?: Uint32Array;
  policies?: OutboundPolicies;
  /** Is it only named, as the node that counters are of? */
  readonly isOnlyNamed?: boolean;
  /** Where the rest is from. */
  readonly files: Partial<Record<'policies' | 'nodeIds' | 'ipcache' | 'known' | 'status' | 'bootId', string>>;
}

/** Nodes whose texts are taken: pairs of them are counted in a table. */
export const MOST_NODES = 8192;
/** Warnings that are kept. */
const MOST_WARNINGS = 40;

const encoder = new TextEncoder();

export class ClusterReader {
  readonly addresses = new AddressIds();
  readonly table = new SaTable();
  readonly prefixes = new PrefixIds();
  /** Numbers of names of nodes that agents know. */
  readonly names = new Map<string, number>();
  readonly nodes: NodeFacts[] = [];
  /** What is odd about the texts but does not stop the work. */
  readonly warnings: string[] = [];
  /** The last time that any state tells of: {@link StateRow.used}. */
  latest = 0;
  #moreWarnings = 0;
  /** Nodes of texts that no collection names, by address. */
  readonly #byAddress = new Map<number, number>();
  /** Nodes with more than one address, by address: see {@link know}. */
  #sameNode: (address: number) => number | undefined = () => undefined;

  /** How many warnings there are beyond those that are kept. */
  get moreWarnings(): number {
    return this.#moreWarnings;
  }

  /** Says which addresses belong to one node: a number for the node. To be called before {@link states}. */
  know(nodeOf: (address: number) => number | undefined): void {
    this.#sameNode = nodeOf;
  }

  /** Takes what a node of a collection says. @throws {InputError} there are too many nodes */
  node({ source, pod, texts }: NodeTexts): void {
    const own = { stat: texts['xfrm-stat'], later: texts['xfrm-stat-later'] };
    const status = texts['encrypt-status'] && parseEncryptStatus(texts['encrypt-status'].text);
    const stat = this.#statOf(own.stat, own.later, status, texts['encrypt-status']?.source);
    const ids = texts['node-ids'] && parseNodeIds(bytesOf(texts['node-ids']), this.addresses);
    const files: NodeFacts['files'] = {};
    const from = (kind: keyof NodeFacts['files'], text: NamedText | undefined) => {
      if (text) files[kind] = text.source;
    };
    from('policies', texts['xfrm-policy']);
    from('nodeIds', texts['node-ids']);
    from('ipcache', texts.ipcache);
    from('known', texts['node-list']);
    from('status', texts['encrypt-status']);
    from('bootId', texts['boot-id']);
    const facts: NodeFacts = {
      source,
      ...(pod !== undefined && { pod }),
      host: texts.hostname?.text.trim() ?? '',
      bootId: texts['boot-id']?.text.trim() ?? '',
      states: 0,
      own: new Set(),
      ...(stat && { stat }),
      ...(status && { status }),
      ...(ids && { nodeIds: ids }),
      ...(texts.ipcache && { ipcache: parseIpcache(bytesOf(texts.ipcache), this.addresses) }),
      ...(texts['node-list'] && { known: this.#knownOf(parseNodeList(texts['node-list'].text)) }),
      files,
    };
    const index = this.#push(facts);
    const states = texts['xfrm-state'];
    if (states) {
      this.#try(() => {
        this.#read(states, () => index);
        // A command that failed leaves an empty text, too, but not a node that counts keys.
        if (facts.states > 0 || !(status?.keysInUse ?? 0)) facts.stateFile = states.source;
        else this.#warn(`${states.source}: there are no states in it, and the agent counts keys in use`);
      });
    }
    const policies = texts['xfrm-policy'];
    if (policies) this.#try(() => this.#readPolicies(facts, policies));
  }

  /**
   * Takes a text of `ip xfrm state` of which no collection says whose it is: its states do.
   * @throws {InputError} it is too long, or holds something else
   */
  states(text: NamedText): void {
    this.#read(text, (address) => this.#nodeAt(address, text.source));
  }

  /** Takes counters of a node, by its place in {@link nodes}. */
  stat(node: number, stat: NodeStat): void {
    this.nodes[node]!.stat = stat;
  }

  /**
   * Takes a text of `ip xfrm policy` of which no collection says whose it is: the ends of its tunnels do.
   * @throws {InputError} there are none in it, but something else
   */
  policies(text: NamedText): void {
    let last: NodeFacts | undefined;
    this.#policiesOf(text, (row) => {
      // Those without a tunnel, such as the one that blocks the rest, are of the node of the ones around them.
      if (row.from !== NO_ADDRESS && row.direction === 'out')
        last = this.nodes[this.#nodeAt(row.from, text.source)]!;
      if (last) this.#put(last, row, text.source);
    });
  }

  /** A node of which only a name or address was said, or nothing. @returns its place in {@link nodes} */
  named(source: string, host: string, status?: EncryptStatus): number {
    const address = this.addresses.ofText(host);
    const own = new Set(address === NO_ADDRESS ? [] : [address]);
    return this.#push({
      source,
      host,
      bootId: '',
      states: 0,
      own,
      isOnlyNamed: host !== '',
      ...(status && { status }),
      files: {},
    });
  }

  #push(facts: NodeFacts): number {
    if (this.nodes.length >= MOST_NODES)
      throw new InputError(
        { source: facts.source },
        `the texts of more than ${MOST_NODES} nodes`,
        'Give those of the nodes that matter.',
      );
    return this.nodes.push(facts) - 1;
  }

  #nodeAt(address: number, source: string): number {
    const same = this.#sameNode(address);
    const key = same === undefined ? address : -1 - same;
    const known = this.#byAddress.get(key);
    if (known !== undefined) return known;
    const index = this.#push({ source, host: '', bootId: '', states: 0, own: new Set(), files: {} });
    this.#byAddress.set(key, index);
    return index;
  }

  /** @param nodeAt the node that has an address of its own in this text */
  #read(text: NamedText, nodeAt: (address: number) => number): void {
    const bytes = bytesOf(text);
    const own = new Set<number>();
    const open: StateRow[] = [];
    const put = (row: StateRow, direction: 'in' | 'out') => {
      const index = nodeAt(direction === 'in' ? row.dst : row.src);
      const facts = this.nodes[index]!;
      facts.stateFile ??= text.source;
      facts.states++;
      this.latest = Math.max(this.latest, row.added, row.used);
      facts.own.add(direction === 'in' ? row.dst : row.src);
      this.table.add(index, direction === 'in' ? RECEIVER : SENDER, row);
    };
    const read = readStateRows(bytes, text.source, this.addresses, {
      row: (row) => {
        const direction = rowDirection(row);
        if (direction === undefined) {
          open.push({ ...row, hash: row.hash.slice() });
          return;
        }
        own.add(direction === 'in' ? row.dst : row.src);
        put(row, direction);
      },
    });
    // Told by the company that they are in, where that leaves one answer.
    for (const row of open) {
      const here = (address: number) =>
        own.has(address) || (this.#sameNode(address) !== undefined && this.#isOwn(own, address));
      if (here(row.dst) !== here(row.src)) put(row, here(row.dst) ? 'in' : 'out');
      else
        this.#warn(
          `${text.source}:${row.line}: nothing tells whether the state sends or receives: it is left out`,
        );
    }
    this.#warnOf(read.omitted);
    if (read.states === 0 && read.isOther)
      throw new InputError(
        { source: text.source },
        'no state `src ADDRESS dst ADDRESS`',
        'Give the text of `ip -s xfrm state`.',
      );
  }

  #isOwn(own: ReadonlySet<number>, address: number): boolean {
    const node = this.#sameNode(address);
    for (const one of own) if (this.#sameNode(one) === node) return true;
    return false;
  }

  #readPolicies(facts: NodeFacts, text: NamedText): void {
    this.#policiesOf(text, (row) => this.#put(facts, row, text.source));
    facts.policies ??= new OutboundPolicies(this.prefixes);
    facts.files.policies = text.source;
  }

  #policiesOf(text: NamedText, take: (row: PolicyRow) => void): void {
    const bytes = bytesOf(text);
    const { policies, omitted, isOther } = readPolicyRows(bytes, text.source, this, take);
    this.#warnOf(omitted);
    if (policies === 0 && isOther)
      throw new InputError(
        { source: text.source },
        'this is the text of `ip xfrm state`',
        'Give the text of `ip xfrm policy`.',
      );
  }

  #put(facts: NodeFacts, row: PolicyRow, source: string): void {
    facts.policies ??= new OutboundPolicies(this.prefixes);
    facts.files.policies ??= source;
    putPolicy(facts.policies, row);
  }

  #knownOf(names: readonly string[]): Uint32Array {
    const ids = names.map((name) => {
      const id = this.names.get(name) ?? this.names.size;
      this.names.set(name, id);
      return id;
    });
    const bits = new Uint32Array((this.names.size >>> 5) + 1);
    for (const id of ids) bits[id >>> 5]! |= 1 << (id & 31);
    return bits;
  }

  #statOf(
    first: NamedText | undefined,
    later: NamedText | undefined,
    status: EncryptStatus | undefined,
    statusFile: string | undefined,
  ): NodeStat | undefined {
    const before = first && statOf(first.text, first.source);
    const after = later && statOf(later.text, later.source);
    if (after) return { file: later.source, ...(before && { before }), after };
    if (before) return { file: first.source, after: before };
    return status?.stat && { file: statusFile!, after: status.stat };
  }

  /** A text of one node that cannot be used does not stop the others. */
  #try(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#warn(error.message);
    }
  }

  #warnOf(omitted: readonly Omission[]): void {
    for (const one of omitted) this.#warn(omissionLine(one));
  }

  #warn(line: string): void {
    if (this.warnings.length < MOST_WARNINGS) this.warnings.push(line);
    else this.#moreWarnings++;
  }
}

function bytesOf(text: NamedText): Uint8Array {
  return text.bytes ?? encoder.encode(text.text);
}

function rowDirection(row: StateRow): 'in' | 'out' | undefined {
  return directionBy({
    direction: row.direction,
    outputMark: row.outputMark,
    ...(row.markMask !== 0 && { mark: { value: row.mark, mask: row.markMask } }),
    received: row.seq > 0 || row.seqHi > 0,
    sent: row.oseq > 0 || row.oseqHi > 0,
    refused: row.late + row.replayed + row.failed > 0,
  });
}
