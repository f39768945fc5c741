/**
 * Writes policies as `ip xfrm policy add` commands, in the words that iproute2 6.1 takes.
 *
 * Socket policies belong to a program that runs and are left out; an index is the kernel's to give.
 * @module
 */
import type { XfrmPolicyJson, XfrmSelector, XfrmTemplateJson } from './xfrm-json.ts';

/** Writes one command a line. */
export function writeXfrmPolicy(policies: readonly XfrmPolicyJson[]): string {
  return policies
    .filter(({ socket, direction }) => !socket && direction !== null)
    .map((policy) => `${command(policy)}\n`)
    .join('');
}

function command(policy: XfrmPolicyJson): string {
  const { selector, direction, mark, ifId, ptype, action, priority, flags, lifetime, templates } = policy;
  const words: (string | number)[] = [
    'ip',
    'xfrm',
    'policy',
    'add',
    ...selectorWords(selector),
    'dir',
    direction!,
  ];
  if (mark) words.push('mark', hex(mark.value), 'mask', hex(mark.mask));
  if (ptype !== null && ptype !== 'main') words.push('ptype', ptype);
  if (action === 'block') words.push('action', 'block');
  if (priority > 0) words.push('priority', priority);
  if (flags.length > 0) words.push('flag', ...flags);
  if (ifId !== null) words.push('if_id', hex(ifId));
  for (const [name, limit] of [
    ['byte-soft', lifetime?.softBytes],
    ['byte-hard', lifetime?.hardBytes],
    ['packet-soft', lifetime?.softPackets],
    ['packet-hard', lifetime?.hardPackets],
    ['time-soft', lifetime?.softAddSeconds],
    ['time-hard', lifetime?.hardAddSeconds],
    ['time-use-soft', lifetime?.softUseSeconds],
    ['time-use-hard', lifetime?.hardUseSeconds],
  ] as const) {
    if (limit !== undefined && limit !== null) words.push('limit', name, limit);
  }
  for (const template of templates) words.push('tmpl', ...templateWords(template));
  return words.join(' ');
}

function selectorWords({ src, dst, proto, sport, dport, dev }: XfrmSelector): (string | number)[] {
  const words: (string | number)[] = ['src', src, 'dst', dst];
  if (dev !== null) words.push('dev', dev);
  if (proto !== null) words.push('proto', proto);
  if (sport !== null) words.push('sport', sport);
  if (dport !== null) words.push('dport', dport);
  return words;
}

function templateWords({ src, dst, proto, spi, reqid, mode, level }: XfrmTemplateJson): (string | number)[] {
  const words: (string | number)[] = ['src', src, 'dst', dst, 'proto', proto ?? 'esp'];
  if (spi !== null) words.push('spi', hex(spi));
  if (reqid !== null) words.push('reqid', reqid);
  words.push('mode', mode ?? 'transport');
  if (level === 'use') words.push('level', 'use');
  return words;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
