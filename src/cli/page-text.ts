/**
 * A section of docs/diagnose.md for a terminal.
 * @module
 */
import type { Page } from '../inspect/diagnose/pages.ts';
import type { Paint } from './paint.ts';
import { wrap } from './wrap.ts';

const KINDS = { finding: 'a finding of esplane diagnose', counter: 'a counter', drop: 'a reason of drops' };

/** Writes the pages of one name, one after the other. */
export function pageText(pages: readonly Page[], paint: Paint, width: number): string {
  return pages.map((page) => onePage(page, paint, width)).join('\n');
}

function onePage({ kind, title, paragraphs }: Page, paint: Paint, width: number): string {
  const lines = [`${paint.bold(title)}  ${paint.dim(KINDS[kind])}`, ''];
  for (const { label, text } of paragraphs)
    lines.push(...wrap(label === undefined ? text : `${label}: ${text}`, width, '  '), '');
  if (kind === 'counter' && paragraphs.length > 1)
    lines.push(...wrap('Which of them it was, `esplane diagnose CAPTURE` says.', width, '  '), '');
  return lines.join('\n');
}
