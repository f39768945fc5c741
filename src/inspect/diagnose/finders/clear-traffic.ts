/**
 * What is in the clear and should not be, and what only looks so.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import { type DropRow, dropRow } from '../../../ipsec/drop.ts';
import { isByAddress } from '../../../ipsec/selector.ts';
import type { TextPolicy } from '../../../sa-text/to-policy.ts';
import { formatAddress, parseAddress } from '../../../wire/address.ts';
import { PASS } from '../../../wire/packet.ts';
import { type Case, finding } from '../case.ts';
import type { ClearFlow } from '../clear.ts';
import type { Finding } from '../finding.ts';
import { type Answer, asksForEsp, limitsOf, nameOfProtocol, sourceOf } from '../policies.ts';
import { pairName } from '../stream.ts';
import { framesOf } from '../tally.ts';

/** Packets in the clear between pods of different nodes. */
export interface ClearPods {
  readonly flow: ClearFlow;
  /** Addresses of their nodes. */
  readonly from: string;
  readonly to: string;
  readonly answer: Answer;
  /** The capture point is where the pod is, so its node has yet to encrypt them, or has decrypted them. */
  readonly isAtPod: boolean;
}

/** All that went by in the clear between pods of different nodes; finders ask {@link Case.clearPods}. */
export function clearPods(c: Case): ClearPods[] {
  const byPair = new Map<string, ClearFlow[]>();
  for (const flow of c.clear.flows.values()) {
    const name = pairName(flow.src, flow.dst);
    const same = byPair.get(name);
    if (same) same.push(flow);
    else byPair.set(name, [flow]);
  }
  return [...c.clear.flows.values()].flatMap((flow) => {
    if (flow.tally.count + flow.unsent.count === 0) return [];
    const [src, dst] = [parseAddress(flow.src)!, parseAddress(flow.dst)!];
    const isOf = (node: string | undefined) => (policy: TextPolicy) => {
      const source = sourceOf(policy);
      return node === undefined || source === undefined || c.evidence.isSameNode(source, node);
    };
    const behind = nodeBehind(c, flow.src);
    const answer = c.policies.answer(src, dst, flow.signature, isOf(behind));
    const template = answer.policy && asksForEsp(answer.policy) ? answer.policy.templates[0] : undefined;
    const from = behind ?? (template && formatAddress(template.src));
    const to = nodeBehind(c, flow.dst) ?? (template && formatAddress(template.dst));
    if (from === undefined || to === undefined || c.evidence.isSameNode(from, to)) return [];
    return [
      {
        flow,
        from,
        to,
        answer,
        isAtPod: isAtPod(c, flow, byPair.get(pairName(flow.dst, flow.src)) ?? [], from, to),
      },
    ];
  });
}

export function* clearTraffic(c: Case): Generator<Finding> {
  const { clear, evidence, names } = c;
  for (const one of c.clearPods()) {
    const { flow, from, to, answer } = one;
    const back = clear.carried.get(`${flow.dst} > ${flow.src}`);
    const forth = clear.carried.get(`${flow.src} > ${flow.dst}`);
    const pods = `${flow.src} on ${evidence.nameOf(from)} > ${flow.dst} on ${evidence.nameOf(to)}`;
    const ends = { node: evidence.nameOf(from), src: flow.src, dst: flow.dst };
    for (const tally of [flow.unsent, ...(one.isAtPod ? [flow.tally] : [])]) {
      if (tally.count === 0) continue;
      yield finding(
        c,
        'pod-side',
        `${pods}: ${count(tally.count, 'packet')} in the clear as ${tally === flow.unsent ? 'the pod sends them, with the TTL they begin with' : 'the pod gets them: what it sends has the TTL it begins with, and no ESP of these nodes went by'}. Whether they are encrypted between the nodes, this place does not show.`,
        { tally, ...ends },
      );
    }
    const { tally } = flow;
    if (one.isAtPod || tally.count === 0) continue;
    const how = flow.tunnel === '' ? '' : ` in plain ${flow.tunnel}`;
    const why = reason(c, flow, from, answer);
    const sources = [answer.policy, ...answer.others].flatMap((policy) => (policy ? [policy.origin] : []));
    const about = { tally, ...ends, evidence: ['the capture', ...sources.slice(0, 3)] };
    if (back && !forth) {
      yield finding(
        c,
        'one-way-encryption',
        `${pods}: ${count(tally.count, 'packet')} in the clear${how}, while the other direction comes in ESP (first in frame ${names.text(back.frame)}).${why}`,
        { ...about, frames: [...tally.frames.slice(0, 15), back.frame] },
      );
    } else {
      const some = forth
        ? ` Others of the same flow were encrypted (first in frame ${names.text(forth.frame)}).`
        : '';
      yield finding(
        c,
        'clear-traffic',
        `${pods}: ${count(tally.count, 'packet')} in the clear${how}.${some}${why}`,
        about,
      );
    }
    const refusal = refusalOf(c, one);
    if (refusal)
      yield finding(
        c,
        'policy-refuses',
        `${pods}: the inbound policies of ${evidence.nameOf(to)} refuse ${count(tally.count, 'packet')} in the clear (${refusal.counter}), if they reach it. ${refusal.look}`,
        {
          ...{ tally, node: evidence.nameOf(to), src: flow.src, dst: flow.dst },
          ...{ counter: refusal.counter, basis: 'assumed' },
          evidence: ['the capture', c.inbound.fileOf(to)!],
        },
      );
  }
  if (clear.twice.count > 0) {
    yield finding(
      c,
      'seen-twice',
      `${count(clear.twice.count, 'packet')} in the clear that ESP packets of this capture carry too: the capture point sees them before encryption or after decryption.`,
      { tally: clear.twice, frames: framesOf([clear.twice]) },
    );
  }
}

/** By node and counter, how many packets in the clear the inbound policies refuse, if they reach the node. */
export function refusedInClear(c: Case): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const refused = new Map<string, Map<string, number>>();
  for (const one of c.inbound.isEmpty ? [] : c.clearPods()) {
    const counter = refusalOf(c, one)?.counter;
    if (!counter) continue;
    const node = c.evidence.nameOf(one.to);
    const rows = refused.get(node) ?? new Map<string, number>();
    rows.set(counter, (rows.get(counter) ?? 0) + one.flow.tally.count);
    refused.set(node, rows);
  }
  return refused;
}

/** What the inbound policies of the other node would drop the packets for; `undefined` where they let them pass, or are not known. */
function refusalOf({ inbound }: Case, { flow, to, isAtPod }: ClearPods): DropRow | undefined {
  const { head, isFragment, tally } = flow;
  // Of a packet in a tunnel policies see the tunnel.
  if (isAtPod || tally.count === 0 || flow.tunnel !== '') return undefined;
  const [src, dst] = [parseAddress(flow.src)!, parseAddress(flow.dst)!];
  const ruling = inbound.judge({ b: head, at: 0, src, dst, isFragment, path: [], node: to });
  return ruling && ruling.verdict !== PASS ? dropRow(ruling.verdict) : undefined;
}

/** The node behind which a pod is: by the pod ranges of the nodes, or by what ESP carried. */
export function nodeBehind({ clear, evidence }: Case, pod: string): string | undefined {
  if (evidence.knows(pod)) return undefined; // an address of a node, not of a pod
  return evidence.nodeOfPod(parseAddress(pod)!) ?? clear.behind.get(pod);
}

/** Is this the side of the pod that gets the packets: does it see what that pod sends before its node does, and no ESP? */
function isAtPod(
  { streams, evidence }: Case,
  { tunnel }: ClearFlow,
  back: readonly ClearFlow[],
  from: string,
  to: string,
): boolean {
  if (tunnel !== '') return false;
  if (!back.some(({ unsent }) => unsent.count > 0) || back.some(({ tally }) => tally.count > 0)) return false;
  const isBetween = (a: string, b: string) => evidence.isSameNode(a, from) && evidence.isSameNode(b, to);
  return !streams.some((stream) => isBetween(stream.src, stream.dst) || isBetween(stream.dst, stream.src));
}

/** What the policies of the sending node say about it. */
function reason(c: Case, flow: ClearFlow, from: string, { kind, policy, others }: Answer): string {
  const { evidence, policies } = c;
  switch (kind) {
    case 'marked':
      return ` The policy ${policy!.origin} covers packets with its mark, so they passed without the mark, or before the policy was there.`;
    case 'protects':
      return ` The policy ${policy!.origin} covers them, so they passed before it was there.`;
    case 'passes':
      return ` The policy ${policy!.origin} lets them pass in the clear.`;
    case 'blocks':
      return ` The policy ${policy!.origin} blocks them, so they passed before it was there.`;
  }
  const own = policies.of((one) => {
    const source = sourceOf(one);
    return source !== undefined && evidence.isSameNode(source, from);
  });
  const [near] = others;
  if (near) {
    const kind = isByAddress(near.selector) ? '' : `, and they are ${nameOfProtocol(flow.protocol)}`;
    return ` No policy covers them: ${near.origin} has their addresses, but is only for ${limitsOf(near)}${kind}.`;
  }
  if (own.length > 0)
    return ` None of the ${own.length} outbound policies of ${evidence.nameOf(from)} covers ${flow.dst}.`;
  const files = [...new Set(evidence.policies.map(({ origin }) => origin.replace(/:\d+$/, '')))];
  return files.length > 0
    ? ` ${files.join(' and ')} ${files.length === 1 ? 'has' : 'have'} no outbound policy of ${evidence.nameOf(from)}.`
    : '';
}
