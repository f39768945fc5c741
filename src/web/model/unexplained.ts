/**
 * What the page shows and does not explain: the build ends when there is any of it, and so do the tests.
 * @module
 */
import { type Field, type Packet, untiled, walkFields } from '../../inspect/explain/tree.ts';
import type { Shown } from './pieces.ts';
import type { Way } from './way.ts';

/** A sentence or more. */
const SENTENCE = /^[A-Z][\s\S]*[.:?!]$/;
const REFERENCE = /^(RFC \d+|IEEE |Cilium|Linux)/;
/** What a text says when a value was missing as it was put together. */
const SLIP = /undefined|NaN|\[object/;
/** What an application sends: no RFC explains that. */
const NOBODYS = 'data';

/** What is wrong with a packet as a tree, a line each: bytes without a field or with two, fields without a text. */
export function unexplainedIn(packet: Packet): string[] {
  const problems: string[] = [];
  const gap = untiled(packet);
  if (gap !== undefined) problems.push(gap);
  for (const { field } of walkFields(packet)) problems.push(...missingIn(field));
  return problems;
}

function missingIn(field: Pick<Field, 'id' | 'label' | 'meaning' | 'reference'>): string[] {
  const { id, label, meaning, reference } = field;
  const problems: string[] = [];
  if (label === '') problems.push(`${id} has no name`);
  if (!SENTENCE.test(meaning)) problems.push(`${id} has no text that says what it is for: “${meaning}”`);
  if (SLIP.test(label + meaning)) problems.push(`${id} has a slip in its text: “${meaning}”`);
  if (id !== NOBODYS && !REFERENCE.test(reference)) {
    problems.push(`${id} does not say where to read on: “${reference}”`);
  }
  return problems;
}

/** The same of a packet's way: of the bytes before and after every step, and of the step's own words. */
export function unexplainedOn(way: Way): string[] {
  return way.steps.flatMap(({ id, title, what, why, references, before, after, facts }) => {
    const problems = [...unexplainedParts(before), ...unexplainedParts(after)];
    if (title === '') problems.push('has no title');
    for (const text of [what, why]) if (!SENTENCE.test(text)) problems.push(`has no sentence: “${text}”`);
    if (!references.some((text) => REFERENCE.test(text))) problems.push('does not say where to read on');
    for (const { label, value, note = '' } of facts) {
      if (label === '' || value === '') problems.push(`has half a fact: “${label}”, “${value}”`);
      if (SLIP.test(label + value + note)) problems.push(`has a slip in a fact: “${label} ${value} ${note}”`);
    }
    if (SLIP.test(title + what + why)) problems.push(`has a slip in its text: “${what} ${why}”`);
    return problems.map((problem) => `step ${id} ${problem}`);
  });
}

function unexplainedParts({ bytes, parts }: Shown): string[] {
  const problems: string[] = [];
  let at = 0;
  for (const part of parts) {
    if (part.at !== at || part.end <= part.at) {
      problems.push(`has ${part.id} at ${part.at} to ${part.end}, where ${at} is next`);
    }
    if (part.text === '') problems.push(`has ${part.id} without a value`);
    problems.push(...missingIn(part).map((problem) => `: ${problem}`));
    at = part.end;
  }
  if (at !== bytes.length) problems.push(`explains ${at} of ${bytes.length} bytes`);
  return problems;
}
