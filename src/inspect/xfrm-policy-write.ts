/**
 * Writes policies as `ip xfrm policy add` commands, in the words that iproute2 6.1 takes.
 * @module
 */
import type { XfrmPolicyJson, XfrmTemplateJson } from './xfrm-json.ts';
import { commandLine, hex, limitWords, markWords, selectorWords, type Word } from './xfrm-words.ts';

/** What a command sets up: an index is the kernel's to give. */
export type XfrmPolicyParts = Omit<XfrmPolicyJson, 'socket' | 'index' | 'use' | 'origin'> & {
  readonly direction: string;
};

/** The command, as a line. */
export function writePolicyCommand(policy: XfrmPolicyParts): string {
  const { selector, direction, mark, ifId, ptype, action, priority, flags, lifetime, templates } = policy;
  const words: Word[] = ['ip', 'xfrm', 'policy', 'add', ...selectorWords(selector), 'dir', direction];
  words.push(...markWords('mark', mark));
  if (ptype !== null && ptype !== 'main') words.push('ptype', ptype);
  if (action === 'block') words.push('action', 'block');
  words.push('priority', priority);
  if (flags.length > 0) words.push('flag', ...flags);
  if (ifId !== null) words.push('if_id', hex(ifId));
  words.push(...limitWords(lifetime));
  for (const template of templates) words.push('tmpl', ...templateWords(template));
  return commandLine(words);
}

function templateWords({ src, dst, proto, spi, reqid, mode, level }: XfrmTemplateJson): Word[] {
  const words: Word[] = ['src', src, 'dst', dst, 'proto', proto ?? 'esp'];
  if (spi !== null) words.push('spi', hex(spi, 8));
  if (reqid !== null) words.push('reqid', reqid);
  words.push('mode', mode ?? 'transport');
  if (level === 'use') words.push('level', 'use');
  return words;
}
