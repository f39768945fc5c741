/**
 * Reads the text of `ip xfrm policy`, with or without `-s`.
 *
 * ```text
 * src 10.244.2.0/24 dst 10.244.1.0/24
 *         dir out priority 0 ptype main
 *         mark 0x3e00/0xff00
 *         tmpl src 10.244.2.1 dst 10.244.1.1
 *                 proto esp spi 0x00000003 reqid 1 mode tunnel
 *                 level use
 * ```
 *
 * A policy says which packets take an SA, and what inbound packets must have come through. Lines that this does not
 * know are passed over.
 * @module
 */
import type { Mark } from '../ipsec/sa-config.ts';
import { type Address, type Prefix, parseAddress, parsePrefix } from '../wire/address.ts';
import { checkEntries } from './sa-limit.ts';
import { parseMark, parseU32, unreadable, wordAfter, type XfrmLine, xfrmLines } from './xfrm-text.ts';

/** The SA that a policy asks for. */
export interface XfrmTemplate {
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

export interface XfrmPolicy {
  readonly src: Prefix;
  readonly dst: Prefix;
  readonly direction: 'in' | 'out' | 'fwd';
  /** The policy belongs to one socket. */
  readonly socket: boolean;
  readonly action: 'allow' | 'block';
  /** The lowest that fits is taken. */
  readonly priority: number;
  readonly mark?: Mark;
  readonly templates: readonly XfrmTemplate[];
  /** `FILE:LINE`, for people. */
  readonly origin: string;
}

const AS_PRINTED = 'Give the whole text of `ip xfrm policy`, as it was printed.';

/**
 * Reads every policy of a text, in order.
 * @param source file name, for {@link XfrmPolicy.origin} and errors
 * @throws {InputError} when a policy cannot be read, or the text is another one
 */
export function parseXfrmPolicy(text: string, source: string): XfrmPolicy[] {
  const found: Draft[] = [];
  let policy: Draft | undefined;
  let first: number | undefined;
  let isXfrm = false;
  for (const line of xfrmLines(text, source)) {
    const { words } = line;
    first ??= line.number;
    if (words[0] === 'src' && words[2] === 'dst') {
      isXfrm = true;
      // A state begins like a policy, but with addresses.
      policy = words[1]!.includes('/') ? begin(line, source) : undefined;
      if (policy) found.push(policy);
      checkEntries(found.length, source, line.number);
    } else if (policy) {
      policy.nested ??= line.indent > policy.indent;
      if (policy.nested && line.indent <= policy.indent) policy = undefined;
      else readLine(policy, line, source);
    }
  }
  if (first !== undefined && !isXfrm)
    throw unreadable(source, first, 'no line `src PREFIX dst PREFIX`', AS_PRINTED);
  return found.map((draft) => finish(draft, source));
}

type Template = { -readonly [K in keyof XfrmTemplate]: XfrmTemplate[K] };

interface Draft {
  readonly line: number;
  readonly indent: number;
  nested?: boolean;
  readonly src: Prefix;
  readonly dst: Prefix;
  direction?: XfrmPolicy['direction'];
  socket: boolean;
  action: XfrmPolicy['action'];
  priority: number;
  mark?: Mark;
  readonly templates: Template[];
}

function begin({ number, indent, words }: XfrmLine, source: string): Draft {
  const src = parsePrefix(words[1] ?? '');
  const dst = parsePrefix(words[3] ?? '');
  if (!src || !dst) {
    throw unreadable(source, number, 'a policy begins with two prefixes', AS_PRINTED);
  }
  return { line: number, indent, src, dst, socket: false, action: 'allow', priority: 0, templates: [] };
}

function readLine(policy: Draft, { words, number }: XfrmLine, source: string): void {
  const need = <T>(value: T | undefined, what: string): T => {
    if (value === undefined) {
      throw unreadable(source, number, `cannot read ${what}`, AS_PRINTED);
    }
    return value;
  };
  const template = policy.templates.at(-1);
  switch (words[0]) {
    case 'dir':
    case 'socket': {
      policy.direction = need(readDirection(words[1]), 'the direction');
      policy.socket = words[0] === 'socket';
      policy.action = wordAfter(words, 'action') === 'block' ? 'block' : 'allow';
      policy.priority = need(parseU32(wordAfter(words, 'priority')), 'the priority');
      return;
    }
    case 'mark':
      policy.mark = need(parseMark(words[1]), 'the mark');
      return;
    case 'tmpl': {
      const src = need(parseAddress(wordAfter(words, 'src') ?? ''), 'the source of the template');
      const dst = need(parseAddress(wordAfter(words, 'dst') ?? ''), 'the destination of the template');
      policy.templates.push({ src, dst, proto: 'esp', reqid: 0, mode: 'transport', optional: false });
      return;
    }
    case 'proto':
      if (!template) return;
      template.proto = need(words[1], 'the protocol of the template');
      template.reqid = need(parseU32(wordAfter(words, 'reqid')), 'the reqid of the template');
      template.mode = need(wordAfter(words, 'mode'), 'the mode of the template');
      if (words.includes('spi')) {
        const spi = need(parseU32(wordAfter(words, 'spi')), 'the SPI of the template');
        if (spi !== 0) template.spi = spi; // `-s` prints 0 where any will do
      }
      return;
    case 'level':
      if (template) template.optional = words[1] === 'use';
      return;
  }
}

function readDirection(word: string | undefined): XfrmPolicy['direction'] | undefined {
  return word === 'in' || word === 'out' || word === 'fwd' ? word : undefined;
}

function finish(draft: Draft, source: string): XfrmPolicy {
  const { src, dst, direction, socket, action, priority, mark, templates, line } = draft;
  if (!direction) {
    throw unreadable(source, line, 'the policy has no line `dir …`', AS_PRINTED);
  }
  const origin = `${source}:${line}`;
  return { src, dst, direction, socket, action, priority, ...(mark && { mark }), templates, origin };
}
