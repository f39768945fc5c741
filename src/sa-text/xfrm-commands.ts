/**
 * The commands that set up again what the kernel's text says: every state and policy that `ip xfrm` can add, whether or
 * not esplane could run it.
 * @module
 */
import { type Omission, omissionError, omissionLine } from './omission.ts';
import { writePolicyCommand } from './xfrm-policy-write.ts';
import { hasNoKey, writeStateCommand } from './xfrm-state-write.ts';
import type { Damage, XfrmPolicy, XfrmState, XfrmTree } from './xfrm-tree.ts';

/** Protocols whose states `ip` adds; those of Mobile IPv6 (route2, hao) are made by its daemon. */
const PROTOCOLS: readonly string[] = ['esp', 'ah', 'comp'];
const MODES: readonly string[] = ['tunnel', 'transport', 'beet', 'ro', 'in_trigger'];
const AS_PRINTED = 'Give the whole text of `ip -s xfrm state` run as root, as it was printed.';

export interface CommandOptions {
  /** Otherwise a word that `ip` refuses stands in the place of each key. */
  readonly showKeys: boolean;
  /** Called with one line for each part that is left out. */
  readonly note: (line: string) => void;
}

/**
 * Writes one command a line, states first. States and policies that no command makes are left out and named, and so are
 * fields that the commands of iproute2 6.1 cannot express.
 * @throws {InputError} when there are states or policies, and none can be written
 */
export function writeXfrmCommands(trees: readonly XfrmTree[], { showKeys, note }: CommandOptions): string {
  const lines: string[] = [];
  const omitted: Omission[] = [];
  const lost = new LostFields();
  for (const state of trees.flatMap(({ states }) => states)) {
    const why = whyNoState(state);
    if (why !== undefined) omitted.push({ origin: state.origin, why: `the state is left out: ${why}` });
    else {
      lines.push(writeStateCommand(showKeys ? state : hideKeys(state)));
      lost.ofState(state);
    }
  }
  for (const policy of trees.flatMap(({ policies }) => policies)) {
    const { direction, socket, damaged, origin } = policy;
    const omit = (why: string) => omitted.push({ origin, why: `the policy is left out: ${why}` });
    if (socket) omit('it belongs to the socket of a program');
    else if (direction === null || damaged.length > 0) omit(cutOff(damaged));
    else {
      lines.push(writePolicyCommand({ ...policy, direction }));
      lost.ofPolicy(policy);
    }
  }
  const [first] = omitted;
  if (lines.length === 0 && first) throw omissionError(first, AS_PRINTED);
  for (const line of [...omitted.map(omissionLine), ...lost.lines()]) note(line);
  return lines.join('');
}

/** Why no command makes a state. */
function whyNoState({ proto, spi, mode, algorithms, damaged }: XfrmState): string | undefined {
  if (damaged.length > 0) return cutOff(damaged);
  if (proto === null || mode === null) return 'it is cut off';
  if (!PROTOCOLS.includes(proto)) return 'ip adds no state of its protocol';
  if (spi === null) return 'it is cut off';
  if (spi === 0) return 'it has no SPI: it waits for its key exchange';
  if (!MODES.includes(mode)) return 'iproute2 6.1 has no name for its mode';
  if (algorithms.length === 0)
    return 'it has no algorithm: it waits for its key exchange, or lines are missing';
  for (const { type, name, key, icvBits } of algorithms) {
    if (type === 'comp') continue;
    if (key === undefined && !hasNoKey(name)) return 'its key is hidden, or cut off';
    if (icvBits === null && (type === 'aead' || type === 'auth-trunc'))
      return 'the length of its ICV is missing';
  }
  return undefined;
}

function cutOff([first]: readonly Damage[]): string {
  return first === undefined ? 'it is cut off' : `its field ${first.field} cannot be read`;
}

function hideKeys(state: XfrmState): XfrmState {
  return {
    ...state,
    algorithms: state.algorithms.map(({ key, ...one }) => (key === '' ? { ...one, key } : one)),
  };
}

/** Fields that no command of iproute2 6.1 expresses, and how many states or policies have each. */
class LostFields {
  readonly #counts = new Map<string, { count: number; first: string }>();

  ofState(state: XfrmState): void {
    const { origin, seq } = state;
    if (seq !== null && seq > 0) this.#add('seq', origin);
    if (state.direction !== null) this.#add('dir (iproute2 takes it from 6.10)', origin);
    if (state.pcpuNum !== null) this.#add('pcpu-num (iproute2 takes it from 6.14)', origin);
    if (state.natKeepalive !== null) this.#add('nat-keepalive-interval', origin);
    if (state.iptfs !== null) this.#add('iptfs-opts', origin);
    if (state.coa !== null) this.#add('coa', origin);
  }

  ofPolicy({ origin, templates }: XfrmPolicy): void {
    for (const { share, masks } of templates) {
      if (share !== null && share !== 'any') this.#add('share of templates', origin);
      if (masks && Object.values(masks).some((mask) => mask !== 'ffffffff'))
        this.#add('masks of algorithms', origin);
    }
  }

  *lines(): Generator<string> {
    for (const [field, { count, first }] of this.#counts)
      yield `${first}: ${field} is left out${count > 1 ? `, here and in ${count - 1} more` : ''}`;
  }

  #add(field: string, origin: string): void {
    const known = this.#counts.get(field);
    if (known) known.count++;
    else this.#counts.set(field, { count: 1, first: origin });
  }
}
