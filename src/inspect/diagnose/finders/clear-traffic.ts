/**
 * What is in the clear and should not be, and what only looks so.
 * @module
 */

import type { TextPolicy } from '../../../sa-text/to-policy.ts';
import { formatAddress, inPrefix, parseAddress } from '../../../wire/address.ts';
import { type Case, count, finding } from '../case.ts';
import type { ClearFlow } from '../clear.ts';
import type { Finding } from '../finding.ts';
import { framesOf } from '../tally.ts';

export function* clearTraffic(c: Case): Generator<Finding> {
  const { clear, evidence } = c;
  for (const flow of clear.flows.values()) {
    if (flow.tally.count === 0) continue;
    const policy = policyFor(c, flow);
    const from = nodeBehind(c, flow.src) ?? (policy && formatAddress(policy.templates[0]!.src));
    const to = nodeBehind(c, flow.dst) ?? (policy && formatAddress(policy.templates[0]!.dst));
    if (from === undefined || to === undefined || evidence.isSameNode(from, to)) continue;
    const back = clear.carried.get(`${flow.dst} > ${flow.src}`);
    const forth = clear.carried.get(`${flow.src} > ${flow.dst}`);
    const pods = `${flow.src} on ${evidence.nameOf(from)} > ${flow.dst} on ${evidence.nameOf(to)}`;
    const how = flow.isInVxlan ? ' in plain VXLAN' : '';
    const why = reason(c, flow, from, policy);
    const about = { tally: flow.tally, node: evidence.nameOf(from), src: flow.src, dst: flow.dst };
    if (back && !forth) {
      yield finding(
        c,
        'one-way-encryption',
        `${pods}: ${count(flow.tally.count, 'packet')} in the clear${how}, while the other direction comes in ESP (first in frame ${back.frame}).${why}`,
        { ...about, frames: [...flow.tally.frames.slice(0, 15), back.frame] },
      );
    } else {
      const some = forth ? ` Others of the same flow were encrypted (first in frame ${forth.frame}).` : '';
      yield finding(
        c,
        'clear-traffic',
        `${pods}: ${count(flow.tally.count, 'packet')} in the clear${how}.${some}${why}`,
        about,
      );
    }
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

/** The node behind which a pod is: by the pod ranges of the nodes, or by what ESP carried. */
function nodeBehind({ clear, evidence }: Case, pod: string): string | undefined {
  if (evidence.knows(pod)) return undefined; // an address of a node, not of a pod
  return evidence.nodeOfPod(parseAddress(pod)!) ?? clear.behind.get(pod);
}

/** An outbound policy that asks for ESP for this flow. */
function policyFor({ evidence }: Case, { src, dst }: ClearFlow): TextPolicy | undefined {
  const [from, to] = [parseAddress(src)!, parseAddress(dst)!];
  return evidence.policies.find(
    (policy) =>
      policy.direction === 'out' &&
      policy.action === 'allow' &&
      policy.templates.some(({ proto, optional }) => proto === 'esp' && !optional) &&
      inPrefix(policy.selector.src, from) &&
      inPrefix(policy.selector.dst, to),
  );
}

/** What the policies of the sending node say about it. */
function reason(c: Case, flow: ClearFlow, from: string, policy: TextPolicy | undefined): string {
  const { evidence } = c;
  if (policy)
    return ` The policy ${policy.origin} covers it, so the packet passed without the mark, or before the policy was there.`;
  const own = evidence.policies.filter(
    ({ direction, templates }) =>
      direction === 'out' && templates.some(({ src }) => evidence.isSameNode(formatAddress(src), from)),
  );
  const files = [...new Set(evidence.policies.map(({ origin }) => origin.replace(/:\d+$/, '')))];
  if (own.length > 0)
    return ` None of the ${own.length} outbound policies of ${evidence.nameOf(from)} covers ${flow.dst}.`;
  return files.length > 0
    ? ` ${files.join(' and ')} ${files.length === 1 ? 'has' : 'have'} no outbound policy of ${evidence.nameOf(from)}.`
    : '';
}
