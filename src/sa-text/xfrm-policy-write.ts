/**
 * Writes policies as `ip xfrm policy add` commands, in the words that iproute2 6.1 takes.
 * @module
 */
import { POLICY_FLAGS } from './flags.ts';
import type { XfrmPolicy, XfrmTemplate } from './xfrm-tree.ts';
import {
  commandLine,
  flagWords,
  hex,
  limitWords,
  markWords,
  selectorWords,
  type Word,
} from './xfrm-words.ts';

/** What a command sets up: an index is the kernel's to give. */
export type XfrmPolicyParts = Omit<
  XfrmPolicy,
  'socket' | 'index' | 'use' | 'share' | 'templates' | 'damaged' | 'origin'
> & {
  readonly direction: string;
  readonly templates: readonly Omit<XfrmTemplate, 'share' | 'masks'>[];
};

/** The command, as a line. */
export function writePolicyCommand(policy: XfrmPolicyParts): string {
  const { selector, direction, mark, ifId, ptype, action, priority, flags, lifetime, templates } = policy;
  const { offload, secctx } = policy;
  const words: Word[] = ['ip', 'xfrm', 'policy', 'add', ...selectorWords(selector), 'dir', direction];
  if (secctx !== null) words.push('ctx', secctx);
  words.push(...markWords('mark', mark));
  if (ptype !== null && ptype !== 'main') words.push('ptype', ptype);
  if (action !== 'allow') words.push('action', action);
  words.push('priority', priority);
  words.push(...flagWords('flag', flags, POLICY_FLAGS.slice(0, 2)));
  if (ifId !== null) words.push('if_id', hex(ifId));
  words.push(...limitWords(lifetime));
  if (offload?.dev)
    words.push('offload', ...(offload.mode === 'packet' ? ['packet'] : []), 'dev', offload.dev);
  for (const template of templates) words.push('tmpl', ...templateWords(template));
  return commandLine(words);
}

function templateWords({
  src,
  dst,
  proto,
  spi,
  reqid,
  mode,
  level,
}: XfrmPolicyParts['templates'][number]): Word[] {
  const words: Word[] = ['src', src, 'dst', dst, 'proto', proto ?? 'esp'];
  if (spi !== null) words.push('spi', hex(spi, 8));
  if (reqid !== null) words.push('reqid', reqid);
  words.push('mode', mode ?? 'transport');
  if (level !== 'required') words.push('level', level);
  return words;
}
