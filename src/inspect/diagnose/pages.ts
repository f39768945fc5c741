/**
 * What a finding, a counter of the kernel or a drop reason means: the sections of docs/diagnose.md, which `esplane explain
 * NAME` prints. Both are made of this, and this of the tables of findings and drops.
 * @module
 */
import { DROPS } from '../../ipsec/drop.ts';
import { FINDINGS } from './table.ts';

/** Text with what stands before it, where that has a name. */
export interface Paragraph {
  readonly label?: string;
  readonly text: string;
}

/** One section. */
export interface Page {
  readonly kind: 'finding' | 'counter' | 'drop';
  readonly title: string;
  readonly paragraphs: readonly Paragraph[];
}

const BASES = {
  seen: 'seen',
  told: 'told',
  sa: "told where the receiver's own text is given, otherwise assumed",
} as const;

/** What the kernel raises rows of `/proc/net/xfrm_stat` for that no packet of a capture is known to do. */
const OTHER_COUNTERS: readonly { readonly counter: string; readonly look: string; readonly rule: string }[] =
  [
    {
      counter: 'XfrmInError',
      look: 'The kernel had no memory to note by which SA a packet came.',
      rule: 'Linux xfrm_input: secpath_set',
    },
    {
      counter: 'XfrmInPolError',
      look: 'The inbound policy of a packet could not be looked up.',
      rule: 'Linux __xfrm_policy_check',
    },
    {
      counter: 'XfrmAcquireError',
      look: 'A packet came for an SA that is being negotiated. Cilium negotiates none: look for IKE on this node.',
      rule: 'Linux xfrm_input: XFRM_STATE_ACQ',
    },
    {
      counter: 'XfrmOutError',
      look: 'The kernel had no room for the headers and the ICV of an ESP packet.',
      rule: 'Linux xfrm_output_one: xfrm_skb_check_space',
    },
    {
      counter: 'XfrmOutBundleGenError',
      look: 'The route for packets of an SA could not be made: is there one to the other node?',
      rule: 'Linux xfrm_resolve_and_create_bundle',
    },
    {
      counter: 'XfrmOutBundleCheckError',
      look: 'The route for packets of an SA is not good any more.',
      rule: 'Linux Documentation/networking/xfrm_proc.rst',
    },
    {
      counter: 'XfrmOutPolDead',
      look: 'A policy was deleted while a packet that it covers was on its way out.',
      rule: 'Linux xfrm_lookup',
    },
    {
      counter: 'XfrmOutStateInvalid',
      look: 'The SA was deleted, or expired by time, while a packet was on its way out.',
      rule: 'Linux xfrm_output_one',
    },
    {
      counter: 'XfrmOutNoQueueSpace',
      look: 'The queue of an SA of IP-TFS (RFC 9347) was full: it sends less than it is given. From Linux 6.14.',
      rule: 'Linux iptfs_output_collect',
    },
  ];

/** A page for each finding, the most important first. */
export function findingPages(): Page[] {
  return FINDINGS.map(({ code, severity, basis, means, proof, remedy }) => ({
    kind: 'finding',
    title: code,
    paragraphs: [
      { label: severity, text: means },
      { label: 'Known by', text: `${proof} Basis: ${BASES[basis]}.` },
      { label: 'To do', text: remedy },
    ],
  }));
}

/** A page for each counter: several reasons raise one. */
export function counterPages(): Page[] {
  const byCounter = new Map<string, Paragraph[]>();
  for (const { reason, rule, look, since, ...row } of DROPS) {
    const name = row.counter ?? row.elsewhere;
    const paragraphs = byCounter.get(name) ?? [];
    paragraphs.push({ label: reason, text: `${look} (${rule})${since ? ` From ${since}.` : ''}` });
    byCounter.set(name, paragraphs);
  }
  for (const { counter, look, rule } of OTHER_COUNTERS)
    byCounter.set(counter, [...(byCounter.get(counter) ?? []), { text: `${look} (${rule})` }]);
  return [...byCounter].map(([title, paragraphs]) => ({ kind: 'counter', title, paragraphs }));
}

function dropPages(): Page[] {
  return DROPS.map(({ reason, look, rule, since, ...row }) => ({
    kind: 'drop',
    title: reason,
    paragraphs: [
      { text: look },
      { label: 'Counted as', text: `${row.counter ?? row.elsewhere}${since ? ` (from ${since})` : ''}` },
      { label: 'Rule', text: rule },
    ],
  }));
}

/** Every page. */
function allPages(): Page[] {
  return [...findingPages(), ...counterPages(), ...dropPages()];
}

/** What a page goes by: `IpInHdrErrors (/proc/net/snmp)` by its first word. */
function nameOf({ title }: Page): string {
  return title.split(' ', 1)[0]!;
}

/** Names that {@link pagesOf} knows: codes of findings, counters, reasons of drops. */
export function pageNames(): string[] {
  return [...new Set(allPages().filter(isNamed).map(nameOf))];
}

/** The pages of a name: a finding and a drop may have the same. Case does not count. */
export function pagesOf(name: string): Page[] {
  const wanted = name.toLowerCase();
  return allPages().filter((page) => isNamed(page) && nameOf(page).toLowerCase() === wanted);
}

/** Some drops raise no counter that has a name of its own. */
function isNamed({ kind, title }: Page): boolean {
  return kind !== 'counter' || /^(?:Xfrm|Ip)[A-Z]/.test(title);
}
