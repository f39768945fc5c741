/**
 * Bytes and fields: a packet as a hex grid and as a tree, in the clear and as it is on the wire, and what happens when a
 * bit of it is flipped.
 *
 * ```text
 *  #/bytes                            the packet
 *  #/bytes/field/esp.seq              one field of it
 *  #/bytes?p=native-v6                another packet
 *  #/bytes?byte=41                    a byte, with its bits to flip
 *  #/bytes?flip=41.2,22.0             bits flipped: byte and bit
 *  #/bytes?flip=22.0&sum=left         and checksums left as they were
 * ```
 * @module
 */
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Chapter, ChapterProps } from '../../chapter.ts';
import { arriveWith, send } from '../../model/altered.ts';
import { copyForms, withSecrets } from '../../model/copy-forms.ts';
import { type Flip, formatFlips, parseFlips, toggled } from '../../model/flip.ts';
import { clearBytes, type Place, placeAt, protectionOf } from '../../model/places.ts';
import { segmentsOf } from '../../model/segments.ts';
import { PACKETS, packetOf } from '../../packets/packets.ts';
import { saOf } from '../../packets/page-packet.ts';
import { Brackets } from '../../parts/brackets.tsx';
import { Choice, chosen, numberOf } from '../../parts/controls.tsx';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Download } from '../../parts/download.tsx';
import { FieldTree } from '../../parts/field-tree.tsx';
import { type ByteRange, HexGrid } from '../../parts/hex-grid.tsx';
import { formatRoute, changed as routeWith } from '../../route.ts';
import { BitPicker } from './bit-picker.tsx';
import { FateCard } from './fate-card.tsx';
import { FieldCard } from './field-card.tsx';

const OPTIONS = PACKETS.map(({ id, title }) => ({ value: id, label: title }));
const SUMS = [
  { value: 'mended', label: 'mended, as a router does' },
  { value: 'left', label: 'left as they were' },
];

export const BYTES: Chapter = {
  id: 'bytes',
  title: 'Bytes and fields',
  summary:
    'Every byte of a packet, what it is for, and what ESP does for it. Flip a bit and see who notices.',
  View,
};

function View({ route, go }: ChapterProps) {
  const packet = packetOf(chosen(route, 'p', OPTIONS).value)!;
  const sent = useMemo(() => {
    const frame = send(packet);
    return {
      ...frame,
      protection: protectionOf(frame.explanation.packet),
      clear: clearBytes(frame.explanation.packet),
      ...segmentsOf(frame.explanation.packet),
      sa: saOf(packet),
    };
  }, [packet]);
  const { length } = packet.shown.bytes;
  const isMended = chosen(route, 'sum', SUMS).value === 'mended';
  const flipText = route.params['flip'];
  const flips = useMemo(() => parseFlips(flipText, length), [flipText, length]);
  const arrived = useMemo(() => arriveWith(sent, flips, isMended), [sent, flips, isMended]);
  const [light, setLight] = useState<ByteRange & { readonly name?: string | undefined }>();
  const left = useRef<HTMLElement>(null);
  const focusOn = (selector: string) => left.current?.querySelector<HTMLElement>(selector)?.focus();
  useAnswerTime(flips);

  const { places } = arrived;
  const [kind, name] = route.path;
  const hasName = (place: Place) => place.name === name;
  const current = kind === 'field' ? (places.find(hasName) ?? sent.places.find(hasName)) : undefined;
  const isUnknown = kind !== undefined && (!current || route.path.length > 2);
  const picked = numberOf(route, 'byte', { min: 0, max: length - 1, otherwise: -1 });

  const labelOf = (at: number) => placeAt(sent.places, at)?.field.label ?? '';
  const flip = (one: Flip) => {
    performance.mark(FLIPPED);
    go({ params: { flip: formatFlips(toggled(flips, one)) } });
  };
  const grid = {
    lit: light ?? current,
    describe: labelOf,
    onLight: (at: number | undefined) =>
      setLight(at === undefined ? undefined : (placeAt(places, at) ?? { at, end: at + 1 })),
  };

  return (
    <>
      <h1 tabIndex={-1}>Bytes and fields</h1>
      <p>
        A packet of a real Linux kernel, byte by byte. Point at a byte, or walk to it with the arrow keys, and
        its field lights up; point at a field, and its bytes do. Click a byte on the wire, or press Enter on
        it, to flip a bit: the packet then goes through the receiving node, and you see who notices.
      </p>
      <div class="controls">
        <Choice route={route} go={go} name="p" label="Packet" options={OPTIONS} />
      </div>
      <p>{packet.about}</p>
      {isUnknown && (
        <p class="notice" role="alert">
          This packet has no <code>{route.path.join('/')}</code>. Choose a field below, or another packet.
        </p>
      )}
      <Brackets segments={sent.segments} brackets={sent.brackets} lit={grid.lit} onLight={setLight} />
      <ul class="key" aria-label="What the marks mean">
        <li>
          <i class="encrypted" /> encrypted
        </li>
        <li>
          <i class="authenticated" /> authenticated
        </li>
        <li>
          <i class="none" /> neither
        </li>
        <li>
          <i class="changed" /> changed on the way
        </li>
      </ul>
      <div class="panes">
        <section ref={left}>
          <div class="pair">
            <div>
              <h2>On the wire</h2>
              <HexGrid
                {...grid}
                bytes={arrived.bytes}
                label="The packet on the wire"
                classOf={(at) => `${sent.protection[at]!}${arrived.isChanged(at) ? ' changed' : ''}`}
                picked={picked < 0 ? undefined : picked}
                onPick={(at, how) => {
                  go({ params: { byte: String(at) } }, { replace: true });
                  // Who picks by keyboard goes on to the bits, which are there once this is drawn.
                  if (how === 'keyboard') requestAnimationFrame(() => focusOn('.bits button'));
                }}
              />
            </div>
            <div>
              <h2>In the clear</h2>
              <HexGrid
                {...grid}
                bytes={sent.clear}
                label="The packet with what is encrypted in the clear"
                classOf={(at) => sent.protection[at]!}
              />
            </div>
          </div>
          {picked >= 0 && (
            <BitPicker
              byte={picked}
              value={arrived.bytes[picked]!}
              label={labelOf(picked)}
              flips={flips}
              onFlip={flip}
              onLeave={() => focusOn(`[data-at="${picked}"]`)}
            />
          )}
          <FateCard fate={arrived.fate} onUndo={() => go({ params: { flip: undefined } })} />
          <div class="controls">
            <Choice route={route} go={go} name="sum" label="Checksums on the way" options={SUMS} />
          </div>
        </section>
        <section>
          <h2>Fields{flips.length > 0 ? ', as they arrive' : ''}</h2>
          {current && <FieldCard place={current} />}
          <FieldTree
            places={places}
            label="Fields of the packet"
            lit={light?.name}
            current={current?.name}
            hrefOf={(place) => formatRoute(routeWith(route, { path: ['field', place.name] }))}
            onLight={setLight}
          />
        </section>
      </div>
      <div class="row">
        <Download
          label="Download as pcapng, with keys"
          name={`esplane-${packet.id}.pcapng`}
          type="application/x-pcapng"
          make={() =>
            withSecrets([...packet.earlier, { bytes: arrived.bytes, info: packet.shown.info }], [sent.sa])
          }
        />
        <CopyAs forms={copyForms(packet, sent.sa, arrived.bytes)} />
      </div>
    </>
  );
}

const FLIPPED = 'flipped';

/** Leaves a measurement named `answer` for each flip: from the click until the page says what comes of it. */
function useAnswerTime(flips: readonly Flip[]): void {
  useLayoutEffect(() => {
    if (performance.getEntriesByName(FLIPPED).length === 0) return;
    performance.measure('answer', FLIPPED);
    performance.clearMarks(FLIPPED);
  }, [flips]);
}
