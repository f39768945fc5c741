/**
 * What the outbound policies of kernels say of packets that went by in the clear.
 *
 * A kernel takes the policy with the lowest priority value among those that cover a packet by its addresses, protocol,
 * ports (for ICMP type and code, for GRE its key), interface and mark. Interface and mark of a packet on the wire are not
 * seen: a policy of an xfrm interface or a device does not cover what another way took, and one with a mark may.
 * @module
 */
import { isByAddress, SelectedPacket } from '../../ipsec/selector.ts';
import type { TextPolicy } from '../../sa-text/to-policy.ts';
import { type Address, formatAddress, inPrefix, isAny } from '../../wire/address.ts';
import { protocolName } from '../explain/names.ts';
import type { InnerPacket } from './inner.ts';

/** What the policies of a node do with packets of one kind. */
export interface Answer {
  /**
   * `protects`: the policy asks for ESP; `marked`: so it does, of packets with its mark; `passes`: it lets them go in the
   * clear; `blocks`; `none`: no policy covers them.
   */
  readonly kind: 'protects' | 'marked' | 'passes' | 'blocks' | 'none';
  readonly policy: TextPolicy | undefined;
  /** Policies that have the addresses and ask for ESP, but not for such packets. */
  readonly others: readonly TextPolicy[];
}

export class OutboundPolicies {
  /** In the order in which a kernel asks them. */
  readonly #all: readonly TextPolicy[];
  /** Those of all directions that look at more than addresses. */
  readonly #narrow: readonly TextPolicy[];
  readonly #packet = new SelectedPacket();

  constructor(policies: readonly TextPolicy[]) {
    this.#all = inOrder(policies, 'out');
    this.#narrow = policies.filter(({ selector, socket }) => !socket && !isByAddress(selector));
  }

  /** Which of the policies that look at more than addresses cover a packet: equal for packets with equal answers. */
  signature({ b, at }: InnerPacket): string {
    if (this.#narrow.length === 0) return '';
    const packet = this.#packet.look(b, at);
    let signature = '';
    for (const [i, { selector }] of this.#narrow.entries()) if (packet.isIn(selector)) signature += `${i} `;
    return signature;
  }

  /**
   * What happens to packets from `src` to `dst`.
   * @param signature of them
   * @param isOf are a policy's templates those of the sender?
   */
  answer(src: Address, dst: Address, signature: string, isOf: (policy: TextPolicy) => boolean): Answer {
    const fitting = new Set(
      signature.split(' ').flatMap((i) => (i === '' ? [] : [this.#narrow[Number(i)]!])),
    );
    const others: TextPolicy[] = [];
    let marked: TextPolicy | undefined;
    for (const policy of this.#all) {
      const { selector, ifId = 0, dev, mark, action } = policy;
      if (!inPrefix(selector.src, src) || !inPrefix(selector.dst, dst) || !isOf(policy)) continue;
      const isFit = (isByAddress(selector) || fitting.has(policy)) && ifId === 0 && dev === undefined;
      if (!isFit) {
        if (asksForEsp(policy)) others.push(policy);
        continue;
      }
      if (mark && mark.mask !== 0) {
        if (asksForEsp(policy)) marked ??= policy;
        continue;
      }
      if (marked) break;
      return {
        kind: action === 'block' ? 'blocks' : asksForEsp(policy) ? 'protects' : 'passes',
        policy,
        others,
      };
    }
    return { kind: marked ? 'marked' : 'none', policy: marked, others };
  }

  /** Policies of the node for which `isOf` says yes. */
  of(isOf: (policy: TextPolicy) => boolean): readonly TextPolicy[] {
    return this.#all.filter(isOf);
  }
}

/**
 * The policies of one direction, in the order in which a kernel asks them: of two with one priority the older one first, and
 * that one comes later in a text.
 */
export function inOrder(policies: readonly TextPolicy[], way: TextPolicy['direction']): TextPolicy[] {
  return policies
    .filter(({ direction, socket }) => direction === way && !socket)
    .reverse()
    .sort((a, b) => a.priority - b.priority);
}

/** Does it ask for ESP, always? */
export function asksForEsp({ action, templates }: TextPolicy): boolean {
  return action === 'allow' && templates.some(({ proto, optional }) => proto === 'esp' && !optional);
}

/** The end at which a policy's tunnel begins; `undefined` where it has none of its own. */
export function sourceOf({ templates }: TextPolicy): string | undefined {
  const template = templates.find(({ src, mode }) => mode === 'tunnel' && !isAny(src));
  return template && formatAddress(template.src);
}

/** What a policy is for beside addresses: `UDP, destination port 53`. */
export function limitsOf({ selector, ifId, dev, mark }: TextPolicy): string {
  const { proto, sport, dport } = selector;
  const [first, second] = PORT_NAMES[proto ?? -1] ?? ['source port', 'destination port'];
  const parts = [
    ...(proto === undefined ? [] : [nameOfProtocol(proto)]),
    ...(proto === 47 && (sport ?? dport) !== undefined
      ? [`key ${(sport ?? 0) * 0x1_0000 + (dport ?? 0)}`]
      : [
          ...(sport === undefined ? [] : [`${first} ${sport}`]),
          ...(dport === undefined ? [] : [`${second} ${dport}`]),
        ]),
    ...(ifId ? [`what goes through the xfrm interface with if_id 0x${ifId.toString(16)}`] : []),
    ...(dev === undefined ? [] : [`what goes through ${dev}`]),
    ...(mark && mark.mask !== 0 ? [`mark 0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}`] : []),
  ];
  return parts.join(', ');
}

const PORT_NAMES: Readonly<Record<number, readonly [string, string]>> = {
  1: ['type', 'code'],
  58: ['type', 'code'],
};

/** `TCP`, or `protocol 99`. */
export function nameOfProtocol(protocol: number): string {
  return protocolName(protocol) ?? `protocol ${protocol}`;
}
