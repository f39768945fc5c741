/**
 * Reads `/proc/net/xfrm_stat`: a counter a line, its name padded to 24 characters, a tab, the number. The lines of
 * `cilium-dbg encrypt status`, a name, a colon and the number, are read likewise; it lists those that are not 0.
 * @module
 */
import { InputError } from '../base/errors.ts';

/** Counters by name. */
export type XfrmStat = ReadonlyMap<string, number>;

/**
 * Reads a text; what does not look like a counter (a prompt, a headline) is passed over.
 * @param source file name, for errors
 * @throws {InputError} when there is no counter in it
 */
export function parseXfrmStat(text: string, source: string): XfrmStat {
  const counters = new Map<string, number>();
  for (const [, name = '', digits] of text.matchAll(
    /^[ \t]*(Xfrm[A-Za-z]{2,40})(?::[ \t]*|[ \t]+)(\d{1,20})[ \t\r]*$/gm,
  )) {
    counters.set(name, Number(digits));
  }
  if (counters.size === 0) {
    throw new InputError(
      { source },
      'there is no counter in it',
      'Give the text of `cat /proc/net/xfrm_stat`, as the node prints it.',
    );
  }
  return counters;
}

/** How much every counter rose from one text to a later one. Where one fell, the node was rebooted in between. */
export function risen(before: XfrmStat, after: XfrmStat): XfrmStat {
  return new Map([...after].map(([name, value]) => [name, value - (before.get(name) ?? 0)]));
}
