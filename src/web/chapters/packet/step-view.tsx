/**
 * One step: what it is, why it is so, the figures, and the bytes before and after.
 * @module
 */
import { useMemo, useState } from 'preact/hooks';
import { stretchesOf } from '../../model/parts.ts';
import type { NamedPart, Shown } from '../../model/pieces.ts';
import { joinStretches } from '../../model/segments.ts';
import type { WayStep } from '../../model/way.ts';
import { Brackets } from '../../parts/brackets.tsx';
import { type ByteRange, HexGrid } from '../../parts/hex-grid.tsx';
import { Reference } from '../../parts/reference.tsx';
import { ByteRows } from './byte-rows.tsx';
import { PartCard } from './part-card.tsx';
import { WindowStrip } from './window-strip.tsx';

const PLACE_NAMES: Readonly<Record<WayStep['place'], string>> = {
  client: 'in the pod client, on node-1',
  'node-1': 'on node-1, which sends',
  wire: 'between the nodes',
  'node-2': 'on node-2, which receives',
  web: 'in the pod web, on node-2',
};

/** The words and figures of a step. */
export function StepText({ step, number }: { readonly step: WayStep; readonly number: number }) {
  const { title, place, what, why, references, facts, rows, window } = step;
  return (
    <section class="way-text" aria-label={`Step ${number}`}>
      <h2>
        {number}. {title} <small>{PLACE_NAMES[place]}</small>
      </h2>
      <div aria-live="polite">
        <p>{what}</p>
        <p>
          <b>Why?</b> {why}
        </p>
      </div>
      <p class="way-references">
        {references.map((text, i) => (
          <span key={text}>
            {i > 0 && ' · '}
            <Reference text={text} />
          </span>
        ))}
      </p>
      {rows.length > 0 && <ByteRows rows={rows} />}
      {window && <WindowStrip view={window} />}
      {facts.length > 0 && (
        <dl class="facts">
          {facts.map(({ label, value, note }) => (
            <div key={label}>
              <dt>{label}</dt>
              <dd>
                <output>{value}</output>
                {note && <small> {note}</small>}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}

interface StepBytesProps {
  readonly step: WayStep;
  /** The field whose address this is, in what is there after the step. */
  readonly current?: NamedPart | undefined;
  readonly onPick?: (part: NamedPart) => void;
}

/** The bytes of a step. */
export function StepBytes({ step, current, onPick }: StepBytesProps) {
  const { before, after } = step;
  const [light, setLight] = useState<{ readonly side: Shown; readonly range: ByteRange }>();
  const isSame = before.changes.length === 0 && after.changes.length === 0;
  const side = light?.side ?? after;
  const focus = current ?? step.looksAt;
  const part = (light && partAt(light.side, light.range.at)) ?? current ?? firstChanged(step);
  const { segments, brackets } = useMemo(() => joinStretches(stretchesOf(after.parts)), [after]);

  const grid = (shown: Shown, label: string, isAfter: boolean) => (
    <HexGrid
      bytes={shown.bytes}
      label={label}
      classOf={(at) => classOf(shown, at)}
      describe={(at) => describe(shown, at)}
      lit={light?.side === shown ? light.range : isAfter && !light ? focus : undefined}
      picked={isAfter && current ? current.at : undefined}
      onLight={(at) =>
        setLight(
          at === undefined ? undefined : { side: shown, range: partAt(shown, at) ?? { at, end: at + 1 } },
        )
      }
      {...(onPick && isAfter && { onPick: (at: number) => onPick(partAt(shown, at)!) })}
    />
  );

  return (
    <section class="way-bytes" aria-label="Bytes">
      <Brackets
        segments={segments}
        brackets={brackets.filter(({ kind }) => kind !== 'neither' || brackets.length > 1)}
        lit={side === after ? (light?.range ?? focus) : undefined}
        onLight={(range) => setLight(range && { side: after, range })}
      />
      <div class="panes">
        {!isSame && (
          <div>
            <h3>
              Before <small>{bytesText(before.bytes.length)}</small>
            </h3>
            {grid(before, 'The bytes before this step', false)}
          </div>
        )}
        <div>
          <h3>
            {isSame ? 'Before and after' : 'After'} <small>{summary(step)}</small>
          </h3>
          {grid(after, isSame ? 'The bytes before and after this step' : 'The bytes after this step', true)}
        </div>
        {isSame && <PartCard part={part} />}
      </div>
      <Legend step={step} />
      {!isSame && <PartCard part={part} />}
      <p>
        <small>
          Point at a byte, or walk to it with Tab and the arrow keys, to see what it is.
          {onPick && ' A click or Enter gives its field an address.'}
        </small>
      </p>
    </section>
  );
}

function Legend({ step: { before, after } }: { readonly step: WayStep }) {
  const kinds = new Set([...before.changes, ...after.changes].map(({ kind }) => kind));
  const isSealed = [before, after].some(({ parts }) => parts.some(({ protection }) => protection === 'both'));
  if (kinds.size === 0 && !isSealed) return null;
  return (
    <ul class="key" aria-label="What the marks mean">
      {(['changed', 'added', 'removed'] as const)
        .filter((kind) => kinds.has(kind))
        .map((kind) => (
          <li key={kind}>
            <i class={kind} /> {kind}
          </li>
        ))}
      {isSealed && (
        <>
          <li>
            <i class="encrypted" /> encrypted
          </li>
          <li>
            <i class="authenticated" /> authenticated
          </li>
        </>
      )}
    </ul>
  );
}

function classOf({ parts, changes }: Shown, at: number): string {
  const protection = parts.find((part) => at >= part.at && at < part.end)?.protection ?? 'none';
  const change = changes.find((one) => at >= one.at && at < one.end)?.kind;
  return change ? `${protection} ${change}` : protection;
}

function describe(shown: Shown, at: number): string {
  const part = partAt(shown, at);
  const change = shown.changes.find((one) => at >= one.at && at < one.end)?.kind;
  return `${part ? `${part.layer} ${part.label}` : ''}${change ? `, ${change}` : ''}`;
}

function partAt({ parts }: Shown, at: number): NamedPart | undefined {
  return parts.find((part) => at >= part.at && at < part.end);
}

/** What a step is about: the first field that it adds or changes, or looks at, or else takes away. */
function firstChanged({ before, after, looksAt }: WayStep): NamedPart {
  const change = after.changes[0] ?? looksAt;
  const [gone] = before.changes;
  const part = change ? partAt(after, change.at) : gone ? partAt(before, gone.at) : undefined;
  return part ?? after.parts[0]!;
}

/** `120 bytes: 20 added`. */
function summary({ after, before }: WayStep): string {
  const count = (shown: Shown, wanted: string) =>
    shown.changes.reduce((sum, { at, end, kind }) => sum + (kind === wanted ? end - at : 0), 0);
  const said = [
    [count(after, 'added'), 'added'],
    [count(before, 'removed'), 'removed'],
    [count(after, 'changed'), 'changed'],
  ].flatMap(([n, word]) => (n === 0 ? [] : [`${n} ${word}`]));
  return `${bytesText(after.bytes.length)}${said.length > 0 ? `: ${said.join(', ')}` : ', none changes'}`;
}

function bytesText(n: number): string {
  return n === 1 ? '1 byte' : `${n} bytes`;
}
