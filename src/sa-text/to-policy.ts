/**
 * Policies of esplane, made of those that a text holds. One that cannot be read is left out and named.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { Mark } from '../ipsec/sa-config.ts';
import type { Selector } from '../ipsec/selector.ts';
import type { Direction, Template } from '../ipsec/spd.ts';
import { type Address, isAny, parseAddress } from '../wire/address.ts';
import { type Omission, omissionError, unreadParts } from './omission.ts';
import { modeOf } from './to-sa.ts';
import { toSelector } from './to-selector.ts';
import { parseXfrm } from './xfrm-parse.ts';
import type { XfrmPolicy, XfrmTemplate, XfrmTree } from './xfrm-tree.ts';

/** The SA that a policy asks for. */
export interface TextTemplate {
  /** Outer addresses; all zero means any. */
  readonly src: Address;
  readonly dst: Address;
  /** `esp`, `ah` or `comp`. */
  readonly proto: string;
  /** Absent where any will do. */
  readonly spi?: number;
  readonly reqid: number;
  /** As printed: `tunnel`, `transport`, `beet`, … */
  readonly mode: string;
  /** Level `use`: an inbound packet may come without this. */
  readonly optional: boolean;
}

/** A policy as a kernel has it. */
export interface TextPolicy {
  readonly selector: Selector;
  readonly direction: Direction;
  /** The policy belongs to one socket. */
  readonly socket: boolean;
  readonly action: 'allow' | 'block';
  /** The lowest that fits is taken. */
  readonly priority: number;
  readonly mark?: Mark;
  /** It covers only what goes through this xfrm interface. */
  readonly ifId?: number;
  /** It covers only what goes through this device. */
  readonly dev?: string;
  readonly templates: readonly TextTemplate[];
  /** `FILE:LINE`, for people. */
  readonly origin: string;
}

/** The policies of a text, and what is left out. */
export interface ReadPolicies {
  readonly policies: readonly TextPolicy[];
  readonly omitted: readonly Omission[];
}

/**
 * Reads every policy of a text, in order; other parts of it are passed over.
 * @param source file name, for {@link TextPolicy.origin} and errors
 * @throws {InputError} when there is no policy in it, but states or something else, or none can be read
 */
export function readPolicies(text: string, source: string): ReadPolicies {
  if (text.trim() === '') return { policies: [], omitted: [] };
  const tree = parseXfrm(text, source);
  const read = policiesOf(tree);
  if (read.policies.length > 0 || tree.events.length > 0) return read;
  if (read.omitted.length === 0 && tree.states.length > 0)
    throw new InputError(
      { source },
      'this is the text of `ip xfrm state`',
      'Give the text of `ip xfrm policy`.',
    );
  const [first = { origin: source, why: 'no policy `src PREFIX dst PREFIX`' }] = read.omitted;
  throw omissionError(first, 'Give the whole text of `ip xfrm policy`, as it was printed.');
}

/** The policies of a tree. */
export function policiesOf(tree: XfrmTree): ReadPolicies {
  const policies: TextPolicy[] = [];
  const omitted: Omission[] = [];
  for (const one of tree.policies) {
    const policy = toPolicy(one);
    if (typeof policy !== 'string') policies.push(policy);
    else omitted.push({ origin: one.origin, why: `the policy is left out: ${policy}` });
  }
  return { policies, omitted: [...omitted, ...unreadParts(tree)] };
}

/** Makes a policy, or says why there is none, to follow `FILE:LINE: the policy is left out: `. */
export function toPolicy(policy: XfrmPolicy): TextPolicy | string {
  const { direction, action, socket, priority, mark, ifId, origin, damaged } = policy;
  if (damaged.length > 0) return `its field ${damaged[0]!.field} cannot be read`;
  const selector = toSelector(policy.selector);
  if (!selector) return 'its selector cannot be read';
  if (direction !== 'in' && direction !== 'out' && direction !== 'fwd') return 'it has no line `dir …`';
  if (action !== 'allow' && action !== 'block') return 'its action is neither allow nor block';
  const templates: TextTemplate[] = [];
  for (const template of policy.templates) {
    const made = toTemplate(template);
    if (!made) return 'a template of it cannot be read';
    templates.push(made);
  }
  return {
    selector,
    direction,
    socket,
    action,
    priority,
    ...(mark && { mark }),
    ...(ifId !== null && { ifId }),
    ...(policy.selector.dev !== null && { dev: policy.selector.dev }),
    templates,
    origin,
  };
}

function toTemplate({ src, dst, proto, spi, reqid, mode, level }: XfrmTemplate): TextTemplate | undefined {
  const [from, to] = [parseAddress(src), parseAddress(dst)];
  if (!from || !to || proto === null || mode === null) return undefined;
  return {
    src: from,
    dst: to,
    proto,
    ...(spi !== null && { spi }),
    reqid: reqid ?? 0,
    mode,
    optional: level === 'use',
  };
}

/** Templates as a judge of policies takes them, or why there are none: `asks for ah`. */
export function toTemplates(templates: readonly TextTemplate[]): Template[] | string {
  const made: Template[] = [];
  for (const { src, dst, proto, spi, reqid, optional, ...template } of templates) {
    if (proto !== 'esp') return `asks for ${proto}`;
    const mode = modeOf(template.mode);
    if (mode === undefined) return `asks for mode ${template.mode}`;
    made.push({
      mode,
      level: optional ? 'use' : 'required',
      ...(!isAny(src) && { src }),
      ...(!isAny(dst) && { dst }),
      ...(spi !== undefined && { spi }),
      ...(reqid !== 0 && { reqid }),
    });
  }
  return made;
}
