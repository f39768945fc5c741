/**
 * The JSON lines of `esplane check --json`: a contract that others rely on.
 * @module
 */
import { type FrameNames, numberOf } from '../../capture/frame-id.ts';
import { SCHEMA } from '../schema.ts';
import type { CheckReport, PodPair } from './report.ts';

/** Writes a line for each pair of nodes and of pods, and the summary last. */
export function putCheckJson(put: (line: string) => void, report: CheckReport, names: FrameNames): void {
  const line = (kind: string, what: object) =>
    put(`${JSON.stringify({ [kind]: { schema: SCHEMA, ...what } })}\n`);
  for (const nodes of report.nodes) line('nodes', nodes);
  for (const pods of report.pods) line('pods', inFiles(pods, names));
  line('summary', report.summary);
}

/** Frames have the numbers that they have in their files. */
function inFiles(pods: PodPair, names: FrameNames): object {
  if (!names.areSeveral) return pods;
  const own = (id: number | null) => (id === null ? null : numberOf(id));
  const file = (id: number | null) => (id === null ? null : names.file(id));
  const { first, last } = pods;
  return { ...pods, first: own(first), firstFile: file(first), last: own(last), lastFile: file(last) };
}
