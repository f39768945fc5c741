/**
 * Bytes and fields: a packet as a hex grid and as a tree, side by side, in the clear and as it is on the wire.
 *
 * ```text
 *  #/bytes                            the packet
 *  #/bytes/field/esp.seq              one field of it
 *  #/bytes?p=native-v6                another packet
 * ```
 * @module
 */
import { useMemo, useState } from 'preact/hooks';
import type { Chapter, ChapterProps } from '../../chapter.ts';
import { copyForms, withSecrets } from '../../model/copy-forms.ts';
import { clearBytes, type Place, placeAt, placesOf, protectionOf } from '../../model/places.ts';
import { segmentsOf } from '../../model/segments.ts';
import { explainPacket, PACKETS, packetOf, saOf } from '../../packets/packets.ts';
import { Brackets } from '../../parts/brackets.tsx';
import { Choice, chosen } from '../../parts/controls.tsx';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Download } from '../../parts/download.tsx';
import { FieldTree } from '../../parts/field-tree.tsx';
import { type ByteRange, HexGrid } from '../../parts/hex-grid.tsx';
import { formatRoute, changed as routeWith } from '../../route.ts';
import { FieldCard } from './field-card.tsx';

const OPTIONS = PACKETS.map(({ id, title }) => ({ value: id, label: title }));

export const BYTES: Chapter = {
  id: 'bytes',
  title: 'Bytes and fields',
  summary:
    'Every byte of a packet, what it is for, and what ESP does for it. Flip a bit and see who notices.',
  View,
};

function View({ route, go }: ChapterProps) {
  const packet = packetOf(chosen(route, 'p', OPTIONS).value)!;
  const view = useMemo(() => {
    const { packet: frame } = explainPacket(packet);
    return {
      places: placesOf(frame),
      protection: protectionOf(frame),
      clear: clearBytes(frame),
      ...segmentsOf(frame),
      forms: copyForms(packet, saOf(packet)),
    };
  }, [packet]);
  const [light, setLight] = useState<ByteRange & { readonly name?: string | undefined }>();

  const { places, protection } = view;
  const [kind, name] = route.path;
  const current = kind === 'field' ? places.find((place) => place.name === name) : undefined;
  const isUnknown = kind !== undefined && !current;

  const lightPlace = (place: Place | undefined) => setLight(place);
  const lightByte = (at: number | undefined) =>
    setLight(at === undefined ? undefined : (placeAt(places, at) ?? { at, end: at + 1 }));
  const lit = light ?? current;
  const describe = (at: number) => placeAt(places, at)?.field.label ?? '';
  const grid = { lit, describe, onLight: lightByte };

  return (
    <>
      <h1 tabIndex={-1}>Bytes and fields</h1>
      <p>
        A packet of a real Linux kernel, byte by byte. Point at a byte, or walk to it with the arrow keys, and
        its field lights up; point at a field, and its bytes do.
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
      <Brackets segments={view.segments} brackets={view.brackets} lit={lit} onLight={setLight} />
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
      </ul>
      <div class="panes">
        <section>
          <h2>On the wire</h2>
          <HexGrid
            {...grid}
            bytes={packet.shown.bytes}
            label="The packet on the wire"
            classOf={(at) => protection[at]!}
          />
          <h2>In the clear</h2>
          <HexGrid
            {...grid}
            bytes={view.clear}
            label="The packet with what is encrypted in the clear"
            classOf={(at) => protection[at]!}
          />
        </section>
        <section>
          <h2>Fields</h2>
          {current && <FieldCard place={current} />}
          <FieldTree
            places={places}
            label="Fields of the packet"
            lit={light?.name}
            current={current?.name}
            hrefOf={(place) => formatRoute(routeWith(route, { path: ['field', place.name] }))}
            onLight={lightPlace}
          />
        </section>
      </div>
      <div class="row">
        <Download
          label="Download as pcapng, with keys"
          name={`esplane-${packet.id}.pcapng`}
          type="application/x-pcapng"
          make={() => withSecrets([...packet.earlier, packet.shown], [saOf(packet)])}
        />
        <CopyAs forms={view.forms} />
      </div>
    </>
  );
}
