/**
 * One frame, byte by byte, as the chapter of bytes shows it.
 * @module
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { fromHex } from '../../../base/bytes.ts';
import type { EspSecurity } from '../../../inspect/explain/security.ts';
import { type Explanation, walkFields } from '../../../inspect/explain/tree.ts';
import { clearBytes, type Place, placeAt, placesOf, protectionOf } from '../../model/places.ts';
import { segmentsOf } from '../../model/segments.ts';
import { Brackets } from '../../parts/brackets.tsx';
import { FieldTree } from '../../parts/field-tree.tsx';
import { type ByteRange, HexGrid } from '../../parts/hex-grid.tsx';
import { Reference } from '../../parts/reference.tsx';
import { SaFacts } from '../../parts/sa-facts.tsx';
import { FieldCard } from '../bytes/field-card.tsx';

/** Bytes in a grid: more than any frame of a wire, and few enough to be drawn. */
const MOST_BYTES = 2048;

interface FrameViewProps {
  readonly frame: number;
  readonly explanation: Explanation;
}

export function FrameView({ frame, explanation }: FrameViewProps) {
  const { packet, originalLength } = explanation;
  const view = useMemo(
    () => ({
      bytes: fromHex(packet.bytes)!,
      clear: clearBytes(packet),
      places: placesOf(packet),
      protection: protectionOf(packet),
      security: [...walkFields(packet)].find(({ field }) => field.security)?.field.security,
      ...segmentsOf(packet),
    }),
    [packet],
  );
  const { bytes, clear, places, protection, security } = view;
  const [light, setLight] = useState<ByteRange & { readonly name?: string | undefined }>();
  const [picked, setPicked] = useState<string>();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current!.focus(), []);

  const current = places.find(({ name }) => name === picked);
  const lightByte = (at: number | undefined) =>
    setLight(at === undefined ? undefined : (placeAt(places, at) ?? { at, end: at + 1 }));
  const grid = {
    lit: light ?? current,
    describe: (at: number) => placeAt(places, at)?.field.label ?? '',
    classOf: (at: number) => protection[at]!,
    onLight: lightByte,
    onPick: (at: number) => setPicked(placeAt(places, at)?.name),
  };
  const isOpened = places.some(({ isInner }) => isInner);
  return (
    <section aria-label={`Frame ${frame}`} class="own-frame">
      <h2 ref={heading} tabIndex={-1}>
        Frame {frame} <small>{originalLength} bytes</small>
      </h2>
      {security && <Verdict security={security} />}
      {bytes.length > MOST_BYTES && (
        <p>
          Showing the first {MOST_BYTES} of {bytes.length} bytes; the fields are all there.
        </p>
      )}
      <Brackets segments={view.segments} brackets={view.brackets} lit={grid.lit} onLight={setLight} />
      <div class="panes">
        <div>
          <h3>On the wire</h3>
          <HexGrid {...grid} bytes={bytes.subarray(0, MOST_BYTES)} label="The frame on the wire" />
          {isOpened && (
            <>
              <h3>In the clear</h3>
              <HexGrid
                {...grid}
                bytes={clear.subarray(0, MOST_BYTES)}
                label="The frame with what is encrypted in the clear"
              />
            </>
          )}
        </div>
        <div>
          <h3>Fields</h3>
          {current && <FieldCard place={current} />}
          <FieldTree
            places={places}
            label="Fields of the frame"
            lit={light?.name}
            current={current?.name}
            // The address says nothing of what is looked at.
            hrefOf={() => '#/own'}
            onPick={(place: Place) => setPicked(place.name)}
            onLight={setLight}
          />
        </div>
      </div>
    </section>
  );
}

/** What the receiving kernel does with the packet, and why. */
function Verdict({ security }: { security: EspSecurity }) {
  const { verdict, reason, counter, look, rule } = security;
  return (
    <div class="card">
      <h3>
        {verdict === null
          ? 'Closed: there is nothing to open it with'
          : verdict === 'ok'
            ? 'The receiver takes it'
            : `The receiver drops it: ${reason}`}
      </h3>
      {look !== null && <p>{look}</p>}
      <dl class="facts">
        <SaFacts security={security} />
        {counter !== null && (
          <>
            <dt>Linux counts</dt>
            <dd>
              <code>{counter}</code>
            </dd>
          </>
        )}
        {rule !== null && (
          <>
            <dt>Rule</dt>
            <dd>
              <Reference text={rule} />
            </dd>
          </>
        )}
      </dl>
    </div>
  );
}
