/**
 * What to say of the parts of a text that are in no field.
 * @module
 */
import type { XfrmTree } from './xfrm-tree.ts';

/** More lines than this of one text are counted. */
const MOST = 8;

/** One line for each part that is not understood, the first ones of many. */
export function unreadLines({ source, unread }: XfrmTree): string[] {
  return few(
    unread.map(({ line, word }) => `${source}:${line}: not understood and left out: ${word}`),
    source,
  );
}

/** One line for each field whose value cannot be read. */
export function damageLines({ source, states, policies }: XfrmTree): string[] {
  return few(
    [...states, ...policies].flatMap(({ damaged }) =>
      damaged.map(({ line, field }) => `${source}:${line}: the field ${field} cannot be read`),
    ),
    source,
  );
}

function few(lines: string[], source: string): string[] {
  if (lines.length <= MOST) return lines;
  return [...lines.slice(0, MOST), `${source}: and ${lines.length - MOST} more like it`];
}
